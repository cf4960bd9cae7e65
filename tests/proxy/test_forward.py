"""HTTP in clear text, and the relay: each request goes to the server that it names, as if there were no proxy."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_taps import EVENTS, MESSAGES, USAGE, answered, asked, chunked, head
from websockets.sync.client import connect as connect_websocket
from websockets.sync.server import serve as serve_websocket
from world import AUTHORIZATION, OPENED, TOKEN, Scripted, World, read_all, read_exactly, read_until

from llmtrace_otel.proxy.messages import Child
from provider import Provider

BODY = {"model": "gpt-5-mini", "messages": MESSAGES}
OURS = f"Proxy-Authorization: {AUTHORIZATION}"


def absolute(request: bytes, port: int, *lines: str) -> bytes:
    """The request as a client sends it to a proxy."""
    method, _, rest = request.partition(b" ")
    first, _, rest = rest.partition(b"\r\n")
    added = "".join(f"{line}\r\n" for line in (OURS, "Proxy-Connection: keep-alive", *lines)).encode()
    return method + b" http://127.0.0.1:%d" % port + first + b"\r\n" + added + rest


def reading(size: int, answer: bytes, heard: list[bytes]) -> Any:
    """A server that reads so many bytes and answers them."""

    def play(connection: socket.socket) -> None:
        heard.append(read_exactly(connection, size))
        connection.sendall(answer)
        read_all(connection)

    return play


def test_one_connection_serves_many_servers(world: World):
    with Provider() as one, Provider() as other, httpx.Client(proxy=world.url) as client:
        for provider in (one, one, other, one):
            assert client.post(f"{provider.url}/v1/chat/completions", json=BODY).status_code == 200
        ports = [provider.server.server_address[1] for provider in (one, one, other, one)]
        assert [call.server_port for call in world.wait_for_calls(4)] == ports
        for request in one.requests + other.requests:
            assert request.path == "/v1/chat/completions"
            assert not [name for name in request.lowered if name.startswith("proxy-")]


def test_the_server_gets_what_it_would_get_without_the_proxy(world: World):
    request, heard = asked("gpt-5-mini", "x-Odd:  CaSe "), []
    with Scripted(reading(len(request), answered(), heard)) as server, closing(world.dial()) as client:
        client.sendall(absolute(request, server.port))
        assert read_exactly(client, len(answered())) == answered()
    assert heard == [request]
    assert world.wait_for_calls(1)[0].usage == USAGE


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_however_requests_are_cut_each_gets_its_answer(world: World, data: st.DataObject):
    body = b"5\r\nhello\r\n3;ext=1\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n"
    requests = [
        asked("one"),
        head("POST /v1/files HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + body,
        head("GET /v1/models HTTP/1.1", "Host: a"),
        asked("two"),
    ]
    answers = [answered(), head("HTTP/1.1 204 No Content"), chunked(EVENTS), chunked([b"a", b"b" * 300])]
    heard: list[bytes] = []

    def play(connection: socket.socket) -> None:
        for request, answer in zip(requests, answers, strict=True):
            heard.append(read_exactly(connection, len(request)))
            connection.sendall(answer)

    with Scripted(play) as server, closing(world.dial()) as client:
        said = b"".join(absolute(request, server.port) for request in requests)
        cuts = sorted(data.draw(st.sets(st.integers(1, len(said) - 1), max_size=8)))
        for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True):
            client.sendall(said[start:end])
        assert read_exactly(client, len(b"".join(answers))) == b"".join(answers)
    assert heard == requests


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
    with Scripted(play) as server, closing(world.dial()) as client:
        client.sendall(absolute(asked(stream=True), server.port))
        read_until(client, b"\r\n\r\n")
        for event in EVENTS:
            assert read_exactly(client, len(event)) == event
            got.set()
        assert client.recv(1) == b""
    assert world.wait_for_calls(1)[0].usage == USAGE


def test_a_client_may_wait_to_be_asked_for_its_body(world: World):
    request = asked("gpt-5-mini")
    split = request.index(b"\r\n\r\n") + 4

    def play(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        read_exactly(connection, len(request) - split)
        connection.sendall(answered())
        read_all(connection)

    with Scripted(play) as server, closing(world.dial()) as client:
        client.sendall(absolute(request[:split], server.port, "Expect: 100-continue"))
        assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(request[split:])
        assert read_exactly(client, len(answered())) == answered()
    assert world.wait_for_calls(1)[0].usage == USAGE


def test_an_answer_may_come_before_the_request_is_whole(world: World):
    def play(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(answered(b"{}", "413 Content Too Large"))
        read_all(connection)

    request = asked()
    with Scripted(play) as server, closing(world.dial()) as client:
        client.sendall(absolute(request[:-5], server.port))
        expected = answered(b"{}", "413 Content Too Large")
        assert read_exactly(client, len(expected)) == expected


def test_a_child_that_is_killed_leaves_its_call(world: World):
    def play(connection: socket.socket) -> None:
        read_exactly(connection, len(asked()))
        reached.set()
        read_all(connection)

    reached = threading.Event()
    with Scripted(play) as server, closing(world.dial()) as client:
        client.sendall(absolute(asked(), server.port))
        assert reached.wait(10)
        client.close()
        call = world.wait_for_calls(1)[0]
    assert (call.request_model, call.http_status, call.complete, call.error_type) == ("gpt-5-mini", None, False, None)


def test_an_answer_that_cannot_be_read_goes_by_to_its_end(world: World):
    heard: list[bytes] = []
    odd = b"HTTP/1.1 200 OK\r\nContent-Length: 5, 7\r\n\r\nhello"

    def play(connection: socket.socket) -> None:
        heard.append(read_exactly(connection, len(asked())))
        connection.sendall(odd)

    with Scripted(play) as server, closing(world.dial()) as client:
        client.sendall(absolute(asked(), server.port))
        assert read_all(client) == odd
    assert heard == [asked()]
    assert world.wait_for_calls(1)[0].http_status is None


def test_a_request_that_cannot_be_read_goes_by_and_is_the_last(world: World):
    """Where it ends nobody knows, so the server is asked to close."""
    request = head("POST /v1/files HTTP/1.1", "Host: a", "Content-Length: 5, 7") + b"hello"
    heard: list[bytes] = []

    def play(connection: socket.socket) -> None:
        heard.append(read_exactly(connection, len(request) + len(b"Connection: close\r\n")))
        connection.sendall(answered())

    with Scripted(play) as server, closing(world.dial()) as client:
        client.sendall(absolute(request, server.port))
        assert read_all(client) == answered()
    assert heard == [request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET http://169.254.169.254/latest/meta-data/ HTTP/1.1", b"403 Forbidden"),
        ("GET http://127.0.0.1:1/ HTTP/1.1", b"502 Bad Gateway"),
        ("GET ftp://127.0.0.1/ HTTP/1.1", b"400 Bad Request"),
        (f"GET /t/child:{TOKEN}/https/127.0.0.1:1/ HTTP/1.1", b"502 Bad Gateway"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
def test_what_cannot_be_served_is_told_in_a_line(world: World, request_line: str, status: bytes, is_first: bool):
    with Scripted(reading(len(asked()), answered(), [])) as server, closing(world.dial()) as client:
        if not is_first:
            client.sendall(absolute(asked(), server.port))
            read_exactly(client, len(answered()))
        client.sendall(head(request_line, "Host: a", OURS))
        reply = read_all(client)
    assert reply.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert reply.partition(b"\r\n\r\n")[2].startswith(b"llmtrace: ")
    assert TOKEN.encode() not in reply


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
def test_every_request_needs_credentials(world: World, is_first: bool):
    with Scripted(reading(len(asked()), answered(), [])) as server, closing(world.dial()) as client:
        if not is_first:
            client.sendall(absolute(asked(), server.port))
            read_exactly(client, len(answered()))
        client.sendall(absolute(asked(), server.port).replace(OURS.encode() + b"\r\n", b""))
        assert read_all(client).startswith(b"HTTP/1.1 407 ")
        assert len(server.connections) == (0 if is_first else 1)


# The relay


def test_the_relay_leads_to_https(world: World, openai: int):
    base = f"http://127.0.0.1:{world.port}/t/child:{TOKEN}/https/{OPENED}:{openai}"
    with httpx.Client(trust_env=False) as client:
        for _ in range(2):
            assert client.post(f"{base}/v1/chat/completions", json=BODY).status_code == 200
    assert [(call.server_address, call.complete) for call in world.wait_for_calls(2)] == [(OPENED, True)] * 2


def test_the_relay_names_the_server_in_the_host_header(world: World, provider: Provider):
    address = provider.url.removeprefix("http://")
    with httpx.Client(trust_env=False) as client:
        url = f"http://127.0.0.1:{world.port}/t/child:{TOKEN}/http/{address}/v1/chat/completions"
        assert client.post(url, json=BODY).status_code == 200
    assert [(request.path, request.header("host")) for request in provider.requests] == [
        ("/v1/chat/completions", address)
    ]


@pytest.mark.parametrize("credentials", ["child:wrong", "nobody:" + TOKEN])
def test_the_relay_is_for_children_alone(world: World, provider: Provider, credentials: str):
    with httpx.Client(trust_env=False) as client:
        url = f"http://127.0.0.1:{world.port}/t/{credentials}/http/{provider.url.removeprefix('http://')}/health"
        assert client.get(url).status_code == 407
    assert provider.requests == []


def test_the_relay_speaks_with_no_server_that_the_child_would_not_trust(world: World, openai: int):
    world.ca_file.write_bytes(world.authority.pem)
    with httpx.Client(trust_env=False) as client:
        reply = client.get(f"http://127.0.0.1:{world.port}/t/child:{TOKEN}/https/{OPENED}:{openai}/health")
    assert reply.status_code == 502
    assert reply.text.startswith(f"llmtrace: the certificate of {OPENED}:{openai} cannot be trusted")


# The child's own proxy, and WebSockets


def test_the_childs_own_proxy_gets_the_absolute_url(world: World):
    heard: list[bytes] = []
    passed_on = head(
        "GET http://gateway.example:4000/v1/models HTTP/1.1",
        "Host: gateway.example",
        "Proxy-Authorization: Basic bWU6cEBzcw==",
    )
    with Scripted(reading(len(passed_on), answered(b"{}"), heard)) as company, closing(world.dial()) as client:
        proxies = {"http": f"http://me:p%40ss@127.0.0.1:{company.port}"}
        world.credentials.add(Child("child", TOKEN, {}, proxies=proxies))
        client.sendall(head("GET http://gateway.example:4000/v1/models HTTP/1.1", "Host: gateway.example", OURS))
        assert read_exactly(client, len(answered(b"{}"))) == answered(b"{}")
    assert heard == [passed_on]


def test_a_websocket_goes_by_both_ways(world: World):
    with serve_websocket(lambda socket: [socket.send(message[::-1]) for message in socket], "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"127.0.0.1:{server.socket.getsockname()[1]}"
        with connect_websocket(f"ws://127.0.0.1:{world.port}/t/child:{TOKEN}/http/{address}/any", proxy=None) as client:
            client.send("abc")
            assert client.recv() == "cba"
        server.shutdown()
        thread.join()
