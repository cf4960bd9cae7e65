"""The proxy as clients meet it: who may use it, what is opened, and that bytes go by as they came."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_tls import ConnectProxy, running
from test_taps import ANSWER, EVENTS, MESSAGES, USAGE, answered, asked, chunked, head
from world import (
    AUTHORIZATION,
    OPENED,
    TOKEN,
    UNOPENED,
    Scripted,
    World,
    basic,
    connect,
    eventually,
    read_all,
    read_exactly,
    read_until,
)

from llmtrace_otel.proxy.messages import Child
from llmtrace_otel.proxy.upstream import Waiting
from llmtrace_otel.wire.call import Usage

BODY = {"model": "gpt-5-mini", "messages": MESSAGES}


def answer_each(answer: bytes) -> Any:
    """A server that reads a request and answers it, as often as one comes."""

    def play(connection: socket.socket) -> None:
        while read_until(connection, b"\r\n\r\n"):
            read_exactly(connection, len(asked()) - asked().index(b"\r\n\r\n") - 4)
            connection.sendall(answer)

    return play


# Who may use it


@pytest.mark.parametrize(
    "authorization",
    [None, basic("child", "wrong"), basic("nobody", TOKEN), "Bearer " + TOKEN, "Basic ?"],
    ids=["none", "wrong token", "unknown child", "another scheme", "unreadable"],
)
def test_without_credentials_that_hold_no_connection_is_made(world: World, authorization: str | None):
    with Scripted(lambda _: None) as server, closing(world.dial()) as client:
        client.sendall(connect(f"127.0.0.1:{server.port}", authorization))
        refusal = read_until(client, b"no such child\n")
        assert refusal.startswith(b"HTTP/1.1 407 ")
        assert b'\r\nProxy-Authenticate: Basic realm="llmtrace"\r\n' in refusal
        assert server.connections == []


def test_a_second_try_may_follow_on_the_same_connection(world: World):
    with Scripted(lambda connection: connection.sendall(b"hello")) as server, closing(world.dial()) as client:
        client.sendall(connect(f"127.0.0.1:{server.port}"))
        assert read_until(client, b"no such child\n").startswith(b"HTTP/1.1 407 ")
        client.sendall(connect(f"127.0.0.1:{server.port}", AUTHORIZATION))
        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert read_all(client) == b"hello"


def test_a_child_that_the_owner_has_just_been_told_of_is_known(world: World, monkeypatch: pytest.MonkeyPatch):
    async def refresh() -> None:
        world.credentials.add(Child("late", "token", {}))

    monkeypatch.setattr(world.server, "_refresh", refresh)
    with Scripted(lambda connection: connection.sendall(b"hello")) as server, closing(world.dial()) as client:
        client.sendall(connect(f"127.0.0.1:{server.port}", basic("late", "token")))
        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_child_that_is_over_is_refused(world: World):
    world.credentials.remove("child")
    with closing(world.dial()) as client:
        client.sendall(connect("127.0.0.1:1", AUTHORIZATION))
        assert read_until(client, b"no such child\n").startswith(b"HTTP/1.1 407 ")


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "metadata.example"])
def test_link_local_addresses_are_closed(world: World, host: str, monkeypatch: pytest.MonkeyPatch):
    class Metadata(asyncio.Transport):
        """A connection to such an address, on a machine that has a way there."""

        def abort(self) -> None: ...

    async def connected(*_: Any) -> Waiting:
        waiting = Waiting()
        waiting.transport = Metadata(extra={"peername": ("169.254.169.254", 80)})
        return waiting

    monkeypatch.setattr("llmtrace_otel.proxy.upstream._connect", connected)
    with closing(world.dial()) as client:
        client.sendall(connect(f"{host}:80", AUTHORIZATION))
        assert read_all(client).startswith(b"HTTP/1.1 403 Forbidden\r\n")


def test_a_socket_that_other_machines_could_reach_is_refused(world: World):
    with (
        socket.create_server(("0.0.0.0", 0)) as listener,
        pytest.raises(ValueError, match=r"would listen on 0\.0\.0\.0"),
    ):
        asyncio.run(world.server.serve(listener))


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"hello\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nx: " + b"x" * 70_000 + b"\r\n\r\n", b"400 Bad Request"),
        (connect("127.0.0.1:1", AUTHORIZATION), b"502 Bad Gateway"),
    ],
    ids=["no request", "no proxy request", "too large", "nobody there"],
)
def test_what_cannot_be_served_is_told_in_a_line(world: World, said: bytes, status: bytes):
    with closing(world.dial()) as client:
        client.sendall(said)
        reply = read_all(client)
    assert reply.startswith(b"HTTP/1.1 " + status + b"\r\n")
    body = reply.partition(b"\r\n\r\n")[2]
    assert body.startswith(b"llmtrace: ")
    assert body.count(b"\n") == 1
    assert TOKEN.encode() not in reply


# Hosts that are opened


def test_the_calls_of_a_child_are_seen(world: World, openai: int):
    with httpx.Client(proxy=world.url, verify=world.trusting()) as client:
        url = f"https://{OPENED}:{openai}/v1/chat/completions"
        for body in (BODY, {**BODY, "stream": True, "stream_options": {"include_usage": True}}):
            assert client.post(url, json=body, headers={"traceparent": "00-1-2-01"}).status_code == 200
        assert client.get(f"https://{OPENED}:{openai}/v1/models").status_code == 200
        assert client.post(url, json=BODY, headers={"x-mode": "fail-429"}).status_code == 429
    assert world.server.hosts == {OPENED: "read"}
    plain, streamed, failed = world.wait_for_calls(3)
    usage = Usage(input=10, output=5, cache_read=0, reasoning=0, input_audio=0, output_audio=0)
    assert [(call.usage, call.complete, call.error_type) for call in (plain, streamed, failed)] == [
        (usage, True, None),
        (usage, True, None),
        (None, False, "requests"),
    ]
    assert {(child, call.layer, call.server_address, told) for child, call, told in world.calls[:2]} == {
        ("child", "proxy", OPENED, "00-1-2-01")
    }


def test_what_goes_through_is_what_goes_without(world: World):
    """Byte by byte, in both directions, whatever the framing."""
    requests = asked("one") + head("GET /v1/models HTTP/1.1", "Host: a", "x-Odd:  CaSe ") + asked("two", stream=True)
    answers = answered() + answered(b"{}") + chunked(EVENTS, "x-Odd:  CaSe ")
    heard: list[bytes] = []

    def play(connection: socket.socket) -> None:
        heard.append(read_exactly(connection, len(requests)))
        connection.sendall(answers)

    with Scripted(play, world.ca.context(OPENED)) as server:
        direct = world.trusting(world.ca.pem).wrap_socket(
            socket.create_connection(("127.0.0.1", server.port)), server_hostname=OPENED
        )
        for client in (direct, world.secure(OPENED, server.port)):
            with client:
                client.sendall(requests)
                assert read_all(client) == answers
    assert heard == [requests, requests]
    assert [call.request_model for call in world.wait_for_calls(2)] == ["one", "two"]


def test_a_stream_goes_by_piece_by_piece(world: World):
    """The server sends a piece only when the client has told it of the one before."""

    def play(connection: socket.socket) -> None:
        read_exactly(connection, len(asked(stream=True)))
        connection.sendall(head("HTTP/1.1 200 OK", "Connection: close"))
        for event in EVENTS:
            connection.sendall(event)
            assert got.wait(10)
            got.clear()

    got = threading.Event()
    with Scripted(play, world.ca.context(OPENED)) as server, world.secure(OPENED, server.port) as client:
        client.sendall(asked(stream=True))
        read_until(client, b"\r\n\r\n")
        for event in EVENTS:
            assert read_exactly(client, len(event)) == event
            got.set()
        assert client.recv(1) == b""
    assert world.wait_for_calls(1)[0].usage == USAGE


def test_a_client_may_wait_to_be_asked_for_its_body(world: World):
    request = asked("gpt-5-mini", "Expect: 100-continue")
    split = request.index(b"\r\n\r\n") + 4

    def play(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        read_exactly(connection, len(request) - split)
        connection.sendall(answered())

    with Scripted(play, world.ca.context(OPENED)) as server, world.secure(OPENED, server.port) as client:
        client.sendall(request[:split])
        assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(request[split:])
        assert read_all(client) == answered()
    assert world.wait_for_calls(1)[0].usage == USAGE


def test_a_child_that_is_killed_leaves_its_call(world: World):
    def play(connection: socket.socket) -> None:
        read_exactly(connection, len(asked(stream=True)))
        connection.sendall(head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"))
        read_all(connection)

    with Scripted(play, world.ca.context(OPENED)) as server:
        client = world.secure(OPENED, server.port)
        client.sendall(asked(stream=True))
        read_until(client, b"\r\n\r\n")
        client.close()
        call = world.wait_for_calls(1)[0]
    assert (call.request_model, call.http_status, call.complete, call.error_type) == ("gpt-5-mini", 200, False, None)


def test_a_server_that_breaks_off_breaks_off_for_the_client_too(world: World):
    def play(connection: socket.socket) -> None:
        read_exactly(connection, len(asked()))
        connection.sendall(answered()[:-20])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    with Scripted(play, world.ca.context(OPENED)) as server, world.secure(OPENED, server.port) as client:
        client.sendall(asked())
        got = read_all(client)
        assert answered()[:-20].startswith(got)
        call = world.wait_for_calls(1)[0]
    assert (call.complete, call.error_type) == (False, "ConnectionResetError")


def test_a_tap_that_breaks_costs_a_span_and_no_byte(world: World, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("llmtrace_otel.proxy.taps.HTTPTap.sent", broken)
    play = answer_each(answered())
    with Scripted(play, world.ca.context(OPENED)) as server, world.secure(OPENED, server.port) as client:
        for _ in range(2):
            client.sendall(asked())
            assert read_exactly(client, len(answered())) == answered()
    assert world.calls == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(st.binary(min_size=1, max_size=3000), max_size=5), heard=st.binary(max_size=5000))
def test_any_bytes_in_either_direction_arrive(world: World, said: list[bytes], heard: bytes):
    arrived: list[bytes] = []
    whole = b"".join(said)

    def play(connection: socket.socket) -> None:
        arrived.append(read_exactly(connection, len(whole)))
        connection.sendall(heard)

    with Scripted(play, world.ca.context(OPENED)) as server, world.secure(OPENED, server.port) as client:
        for piece in said:
            client.sendall(piece)
        assert read_all(client) == heard
    assert arrived == [whole]


# Hosts that are not, and clients that could not be served in their place


@pytest.fixture
def other(world: World) -> Iterator[Scripted]:
    """A server of neither kind: it says who it is by its certificate, and hello."""
    with Scripted(lambda connection: connection.sendall(b"hello"), world.ca.context(UNOPENED)) as server:
        yield server


def test_other_hosts_are_tunnelled_untouched(world: World, other: Scripted):
    with world.secure(UNOPENED, other.port, world.ca.pem) as client:
        assert read_all(client) == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError):
        world.secure(UNOPENED, other.port, world.authority.pem)
    assert world.server.hosts == {UNOPENED: "passed on"}


def test_a_tunnel_may_be_over_in_one_direction(world: World):
    def play(connection: socket.socket) -> None:
        connection.sendall(read_all(connection)[::-1])

    with Scripted(play) as server, closing(world.tunnel("127.0.0.1", server.port)) as client:
        client.sendall(b"abc")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"cba"


def test_clear_text_in_a_tunnel_is_read(world: World):
    with Scripted(answer_each(answered())) as server, closing(world.tunnel("127.0.0.1", server.port)) as client:
        client.sendall(asked())
        assert read_exactly(client, len(answered())) == answered()
        assert world.wait_for_calls(1)[0].usage == USAGE


def test_who_speaks_http_2_only_speaks_with_the_server_itself(world: World):
    context = world.ca.context(OPENED)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with Scripted(lambda connection: connection.sendall(b"hello"), context) as server:
        client = world.secure(OPENED, server.port, world.ca.pem, protocols=["h2"])
        with closing(client):
            assert client.selected_alpn_protocol() == "h2"
            assert read_all(client) == b"hello"
    assert world.server.hosts == {OPENED: "unreadable"}


@pytest.mark.parametrize(
    ("offered", "selected"), [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), (None, None)], ids=str
)
def test_who_can_speak_http_1_is_answered_in_it(world: World, openai: int, offered: list[str], selected: str | None):
    with world.secure(OPENED, openai, protocols=offered) as client:
        assert client.selected_alpn_protocol() == selected


def test_who_wants_another_server_than_it_said_gets_that_one(world: World, other: Scripted):
    context = world.trusting(world.ca.pem)
    with context.wrap_socket(world.tunnel(OPENED, other.port), server_hostname=UNOPENED) as client:
        assert read_all(client) == b"hello"


def test_who_speaks_no_tls_gets_what_the_server_says_to_that(world: World):
    """To the proxy's own TLS the server says nothing that it understands."""

    def play(connection: socket.socket) -> None:
        connection.sendall(read_until(connection, b"\n").upper())

    with Scripted(play) as server, closing(world.tunnel(OPENED, server.port)) as client:
        client.sendall(b"hello\n")
        assert read_all(client) == b"HELLO\n"


def test_a_server_that_we_do_not_trust_is_for_the_client_to_judge(world: World):
    """It sees that server's own certificate, and none of ours for it."""
    world.ca_file.write_bytes(world.authority.pem)
    with Scripted(answer_each(answered()), world.ca.context(OPENED)) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            world.secure(OPENED, server.port)
        with world.secure(OPENED, server.port, world.ca.pem) as client:
            client.sendall(asked())
            assert read_exactly(client, len(answered())) == answered()
    assert world.calls == []


def test_a_client_that_does_not_trust_us_is_left_alone_from_then_on(world: World, openai: int):
    with pytest.raises(ssl.SSLCertVerificationError):
        world.secure(OPENED, openai, world.ca.pem)
    assert eventually(lambda: world.server.busy() == set())
    with world.secure(OPENED, openai, world.ca.pem) as client:
        client.sendall(head("GET /health HTTP/1.1", "Host: a", "Connection: close"))
        assert read_all(client).startswith(b"HTTP/1.1 200 ")
    assert world.server.hosts == {OPENED: "unreadable"}


def test_a_greeting_in_pieces_is_waited_for(world: World, openai: int):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = world.trusting().wrap_bio(incoming, outgoing, server_hostname=OPENED)
    with closing(world.tunnel(OPENED, openai)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with pytest.raises(ssl.SSLWantReadError):
            connection.do_handshake()
        greeting = outgoing.read()
        for at in range(0, len(greeting), 100):
            client.sendall(greeting[at : at + 100])
        while True:
            incoming.write(client.recv(1 << 16))
            try:
                connection.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.sendall(outgoing.read())
        client.sendall(outgoing.read())
        certificate = connection.getpeercert()
    assert certificate is not None
    assert ("organizationName", "llmtrace-otel proxy CA") in [pair for (pair,) in certificate["issuer"]]


# The child's own proxy


def test_the_childs_own_proxy_is_chained(world: World, openai: int):
    company = ConnectProxy(openai, "me:p@ss")
    with running(company) as port:
        world.credentials.add(
            Child(
                "child",
                TOKEN,
                {},
                proxies={"https": f"http://me:p%40ss@127.0.0.1:{port}"},
                trust=[str(world.ca_file)],
                only=True,
            )
        )
        with httpx.Client(proxy=world.url, verify=world.trusting()) as client:
            assert client.post(f"https://{OPENED}:{openai}/v1/chat/completions", json=BODY).status_code == 200
    assert company.hosts == [f"{OPENED}:{openai}"]
    assert world.wait_for_calls(1)[0].complete


# Many bytes, and the end


def test_a_large_download_is_held_by_nobody(world: World):
    """The proxy stops reading from the server when the client does."""
    size = 64 << 20

    def play(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(head("HTTP/1.1 200 OK", f"Content-Length: {size}"))
        for _ in range(size >> 16):
            if not select.select([], [connection], [], 0.3)[1]:
                stopped.set()
            connection.sendall(bytes(1 << 16))

    stopped = threading.Event()
    with Scripted(play, world.ca.context(OPENED)) as server, world.secure(OPENED, server.port) as client:
        client.sendall(head("GET /v1/files/f/content HTTP/1.1", "Host: a"))
        read_until(client, b"\r\n\r\n")
        assert stopped.wait(10)
        assert sum(map(len, iter(lambda: client.recv(1 << 16), b""))) == size


def test_the_proxys_end_is_the_end_of_every_call(world: World):
    def play(connection: socket.socket) -> None:
        read_exactly(connection, len(asked()))
        asked_for.set()
        read_all(connection)

    asked_for = threading.Event()
    with Scripted(play, world.ca.context(OPENED)) as server, world.secure(OPENED, server.port) as client:
        client.sendall(asked())
        assert asked_for.wait(10)

        async def close() -> None:
            world.server.close()

        world.in_loop(close())
        assert read_all(client) == b""
        assert [(call.http_status, call.complete) for call in world.wait_for_calls(1)] == [(None, False)]


def test_a_child_is_finished_when_its_connections_are(world: World):
    with Scripted(answer_each(answered(b"{}", "503 Oh")), world.ca.context(OPENED)) as server:
        request = asked("gpt-5-mini").replace(b"Host: ", b"x-stainless-retry-count: 0\r\nHost: ")
        with world.secure(OPENED, server.port) as client:
            client.sendall(request)
            assert read_exactly(client, len(answered(b"{}", "503 Oh"))) == answered(b"{}", "503 Oh")
            assert world.server.busy() == {"child"}
            assert world.calls == []
    world.in_loop(world.server.finished("child", 10))
    assert world.server.busy() == set()
    assert [call.http_status for call in world.wait_for_calls(1)] == [503]


def test_no_byte_waits_for_others_on_either_side(world: World, openai: int):
    async def options() -> list[int]:
        (tee,) = world.server._open
        sockets = [side.transport.get_extra_info("socket") for side in (tee.client, tee.upstream)]
        return [one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in sockets]

    with world.secure(OPENED, openai):
        assert eventually(lambda: world.server.hosts == {OPENED: "read"})
        assert world.in_loop(options()) == [1, 1]


def test_a_child_that_lives_on_below_itself_is_not_waited_for(world: World):
    with Scripted(answer_each(ANSWER)) as server, closing(world.tunnel("127.0.0.1", server.port)):
        world.in_loop(world.server.finished("child", 0.01))
        assert world.server.busy() == {"child"}


def test_nothing_secret_is_logged(world: World, openai: int, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    with httpx.Client(proxy=world.url, verify=world.trusting()) as client:
        headers = {"authorization": "Bearer sk-secret", "x-mode": "cut"}
        for port in (1, openai):
            with pytest.raises(httpx.HTTPError):
                client.post(f"https://{OPENED}:{port}/v1/chat/completions?key=sk-secret", json=BODY, headers=headers)
    with closing(world.dial()) as client:
        client.sendall(f"GET /t/child:{TOKEN}/gopher/x HTTP/1.1\r\n\r\n".encode())
        read_all(client)
    logged = [record.getMessage() for record in caplog.records if record.name.startswith(("llmtrace", "asyncio"))]
    assert any("ended early" in message for message in logged)
    assert not any("secret" in message for message in logged)
