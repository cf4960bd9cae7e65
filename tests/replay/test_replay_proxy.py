"""Child programs: the proxy records what it reads, and answers in the place of hosts that nobody connects with."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from tapes import Tape

from llmtrace_otel.replay import MISSES, RECORD, REPLAY
from llmtrace_otel.replay.tape import SCOPE
from provider import Provider
from provider.script import ANSWER

sys.path.append(str(Path(__file__).parent.parent / "proxy"))
from world import AUTHORIZATION, OPENED, UNOPENED, Scripted, World, basic, read_all, read_exactly, read_until, secured

PATH = "/v1/chat/completions"
_getaddrinfo = socket.getaddrinfo


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


def post(body: dict[str, Any], host: str = OPENED, *more: str, path: str = PATH, target: str = "") -> bytes:
    data = json.dumps(body).encode()
    lines = [f"POST {target or path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(data)}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def answer(client: socket.socket) -> tuple[int, dict[str, str], list[bytes]]:
    """Status, headers and the HTTP chunks of the next answer."""
    first, *lines = read_until(client, b"\r\n\r\n").decode().strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if length := headers.get("content-length"):
        return int(first.split()[1]), headers, [read_exactly(client, int(length))]
    chunks = []
    while size := int(read_until(client, b"\r\n"), 16):
        chunks.append(read_exactly(client, size))
        read_until(client, b"\r\n")
    read_until(client, b"\r\n")
    return int(first.split()[1]), headers, chunks


@pytest.fixture
def local_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        return _getaddrinfo("127.0.0.1" if host in (OPENED, UNOPENED) else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def worlds(local_names: None, tape: Tape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a proxy that records, or one that replays."""

    def world(variable: str) -> World:
        SCOPE.begin("")
        for name in (RECORD, REPLAY):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(variable, str(tape.directory))
        monkeypatch.setenv(MISSES, str(tmp_path / "misses"))
        return World(tmp_path)

    return world


def recorded(worlds: Any, *bodies: dict[str, Any], headers: tuple[str, ...] = ()) -> list[Any]:
    """The answers of a provider to a child whose calls are recorded."""
    provider = Provider()
    with worlds(RECORD) as world:
        port = secured(provider, world.ca.context(OPENED))
        with provider, world.secure(OPENED, port) as client:
            found = []
            for body in bodies:
                client.sendall(post(body, OPENED, *headers))
                found.append(answer(client))
            world.wait_for_calls(len(bodies))
            return found


def test_an_answer_is_given_where_there_is_no_server(worlds: Any, tape: Tape) -> None:
    ((_, _, live),) = recorded(worlds, chat("cats"))
    rename_host(tape)
    with worlds(REPLAY) as world, world.secure(OPENED, 443) as client:
        client.sendall(post(chat("cats")))
        status, headers, replayed = answer(client)
        (call,) = world.wait_for_calls(1)
    assert (status, json.loads(b"".join(replayed))) == (200, json.loads(b"".join(live)))
    assert headers["x-llmtrace-replay"] == tape.files[0]
    assert (call.layer, call.replayed_seconds, call.cache_hit) == ("proxy", tape.recording["seconds"], True)
    assert call.usage is not None
    assert (call.usage.input, call.usage.output) == (10, 5)


def rename_host(tape: Tape) -> None:
    """Has what was recorded from a server on a free port be that of the host itself."""
    for path in list(tape.directory.iterdir()):
        found = json.loads(path.read_text())
        found["request"]["host"] = OPENED
        path.unlink()
        name = path.name.replace(path.name.partition(".v1-")[0], OPENED, 1)
        (tape.directory / name).write_text(json.dumps(found))


@pytest.mark.parametrize("coding", ["gzip", ""])
def test_a_stream_is_given_in_its_pieces(worlds: Any, tape: Tape, coding: str) -> None:
    ask = chat("cats", stream=True, stream_options={"include_usage": True})
    recorded(worlds, ask, headers=(f"x-encode: {coding}",) if coding else ())
    rename_host(tape)
    with worlds(REPLAY) as world, world.secure(OPENED, 443) as client:
        client.sendall(post(ask))
        _, headers, chunks = answer(client)
        (call,) = world.wait_for_calls(1)
    assert "content-encoding" not in headers
    assert [chunk.decode() for chunk in chunks] == ["".join(lines) for lines in tape.recording["response"]["chunks"]]
    assert len(chunks) > 3
    assert (call.streamed, call.complete) == (True, True)


def test_a_connection_serves_many_and_repeated_questions(worlds: Any, tape: Tape) -> None:
    recorded(worlds, chat("cats"), chat("dogs"), chat("cats"))
    rename_host(tape)
    with worlds(REPLAY) as world, world.secure(OPENED, 443) as client:
        client.sendall(post(chat("cats")) + post(chat("cats")))
        client.sendall(post(chat("dogs")) + post(chat("cats")))
        names = [answer(client)[1]["x-llmtrace-replay"] for _ in range(4)]
        world.wait_for_calls(4)
    assert [name[-7:] for name in names] == [".1.json", ".2.json", ".1.json", ".2.json"]
    assert (names[1], names[2] == names[0]) == (names[3], False)


def test_a_miss_is_an_error_of_the_call(worlds: Any, tape: Tape) -> None:
    recorded(worlds, chat("cats"))
    rename_host(tape)
    with worlds(REPLAY) as world, world.secure(OPENED, 443) as client:
        client.sendall(post(chat("dogs"), OPENED, "Expect: 100-continue"))
        assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        status, headers, chunks = answer(client)
        (call,) = world.wait_for_calls(1)
    message = json.loads(b"".join(chunks))["error"]["message"]
    assert (status, headers["x-should-retry"]) == (400, "false")
    assert "messages[0].content differs: recorded 'cats' asked 'dogs'; record again by" in message
    assert (call.error_type, call.error_message, call.replayed_seconds) == ("replay_miss", message, None)
    assert tape.misses == [message]


def test_what_is_no_llm_call_reaches_its_server(worlds: Any, tape: Tape) -> None:
    body = {"purpose": "x" * 300_000}
    provider = Provider()
    with worlds(REPLAY) as world:
        port = secured(provider, world.ca.context(OPENED))
        with provider, world.secure(OPENED, port) as client:
            client.sendall(post(body, path="/v1/batches"))
            assert answer(client)[0] == 404
    with worlds(REPLAY) as world, Provider() as other, world.dial() as client:  # the path of one, and not its body
        target = f"{other.url}{PATH}"
        client.sendall(post(body, "x", f"Proxy-Authorization: {AUTHORIZATION}", target=target))
        answer(client)
    whole = len(json.dumps(body))
    assert [len(request.body) for request in (*provider.requests, *other.requests)] == [whole, whole]
    assert tape.misses == []


def test_a_request_in_clear_text_is_answered(worlds: Any, tape: Tape) -> None:
    with Provider() as provider, worlds(RECORD) as world:
        for variable in (RECORD, REPLAY):
            with worlds(variable) as world, world.dial() as client:
                target = f"{provider.url}{PATH}"
                client.sendall(post(chat("cats"), "x", f"Proxy-Authorization: {AUTHORIZATION}", target=target))
                status, _, chunks = answer(client)
                assert json.loads(b"".join(chunks))["choices"][0]["message"]["content"] == ANSWER
                world.wait_for_calls(1)
    assert (status, len(provider.requests)) == (200, 1)


def test_a_websocket_is_refused_so_that_its_client_uses_http(worlds: Any, tape: Tape) -> None:
    asked = f"GET /v1/responses HTTP/1.1\r\nHost: {OPENED}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    for variable in (RECORD, REPLAY):
        with worlds(variable) as world, world.secure(OPENED, 443) as client:
            client.sendall(asked.encode())
            said = read_all(client)
        assert said.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
        assert said.endswith(b"\r\n\r\nllmtrace: WebSockets are not recorded; use plain HTTP\n")


def test_who_does_not_take_our_tls_is_not_let_through(worlds: Any, tape: Tape) -> None:
    def fail(_: Any) -> None:
        raise AssertionError("somebody was let through")

    with worlds(REPLAY) as world, Scripted(fail) as server, world.tunnel(OPENED, server.port) as client:
        client.sendall(b"\x16\x03\x01\x00\x05hello")
        assert read_all(client) == b""
    assert tape.misses == [
        f"llmtrace replay: a child program cannot be answered in the place of {OPENED}: it does not take our TLS"
    ]
    assert server.connections == []


def test_an_answer_that_broke_off_breaks_off_again(worlds: Any, tape: Tape) -> None:
    recorded(worlds, chat("cats"))
    rename_host(tape)
    path = tape.directory / tape.files[0]
    found = json.loads(path.read_text())
    found["response"] |= {"cut": "ReadError", "chunks": [["data: 1\n\n"]]}
    del found["response"]["body"]
    path.write_text(json.dumps(found))
    with worlds(REPLAY) as world, world.secure(OPENED, 443) as client:
        client.sendall(post(chat("cats")))
        assert read_all(client).endswith(b"\r\n\r\n9\r\ndata: 1\n\n\r\n")
        (call,) = world.wait_for_calls(1)
    assert call.error_type == "ConnectionError"


def test_a_child_that_is_not_known_gets_nothing(worlds: Any) -> None:
    with worlds(REPLAY) as world, world.dial() as client:
        told = f"Proxy-Authorization: {basic('child', 'wrong')}"
        client.sendall(post(chat("cats"), "x", told, target=f"http://{OPENED}{PATH}"))
        assert read_all(client).startswith(b"HTTP/1.1 407 ")
