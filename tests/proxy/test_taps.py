"""What a tap makes of the bytes of a connection, however they are cut."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Iterable
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.proxy.readings import LARGEST_BODY, Calls, Where
from llmtrace_otel.proxy.taps import HTTPTap
from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.providers import Providers

USAGE = Usage(input=10, output=5)
MESSAGES = [{"role": "user", "content": "hi"}]
ANSWER = json.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "model": "gpt-5-mini-2025-08-07",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }
).encode()
EVENTS = [
    b'data: {"id": "c1", "model": "m-1", "choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n',
    b'data: {"id": "c1", "model": "m-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],'
    b'"usage": {"prompt_tokens": 10, "completion_tokens": 5}}\n\n',
    b"data: [DONE]\n\n",
]


class Connection:
    """One connection to OpenAI and what is told of it."""

    def __init__(self, host: str = "api.openai.com", *, capture: bool = False) -> None:
        self.told: list[tuple[str, Call, str | None]] = []
        calls = Calls(lambda *told: self.told.append(told), Providers(), capture=capture)
        self.tap = HTTPTap(calls, Where("child", host, 443))

    @property
    def calls(self) -> list[Call]:
        return [call for _, call, _ in self.told]

    @property
    def outcome(self) -> list[tuple[str | None, int | None, Usage | None, bool, str | None]]:
        """Of each call, what matters most."""
        return [
            (call.request_model, call.http_status, call.usage, call.complete, call.error_type) for call in self.calls
        ]


WHOLE = ("gpt-5-mini", 200, USAGE, True, None)


def head(first: str, *lines: str) -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode()


def asked(model: str = "gpt-5-mini", *lines: str, path: str = "/v1/chat/completions", **told: Any) -> bytes:
    """A request for a chat completion."""
    body = json.dumps({"model": model, "messages": MESSAGES, **told}).encode()
    return head(f"POST {path} HTTP/1.1", "Host: api.openai.com", f"Content-Length: {len(body)}", *lines) + body


def answered(body: bytes = ANSWER, status: str = "200 OK", *lines: str) -> bytes:
    return head(f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines) + body


def chunked(pieces: Iterable[bytes], *lines: str) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *lines) + body + b"0\r\n\r\n"


def test_a_call_is_told_of_when_its_answer_is_whole():
    connection = Connection()
    connection.tap.sent(asked("gpt-5-mini", "TraceParent: 00-1-2-01"))
    assert connection.told == []
    connection.tap.received(answered())
    (child, call, traceparent) = connection.told[0]
    assert (child, traceparent) == ("child", "00-1-2-01")
    assert connection.outcome == [WHOLE]
    assert (call.layer, call.provider, call.server_address, call.server_port) == (
        "proxy",
        "openai",
        "api.openai.com",
        443,
    )
    assert call.first_chunk_ns is not None
    assert call.end_ns is not None
    assert 0 < call.start_ns <= call.first_chunk_ns <= call.end_ns


@given(st.data())
def test_however_the_bytes_are_cut_the_calls_are_the_same(data: st.DataObject):
    connection = Connection()
    said = asked("one") + head("GET /v1/models HTTP/1.1", "Host: a") + asked("two", stream=True)
    heard = answered() + answered(b"{}") + chunked(EVENTS)
    for tell, message in ((connection.tap.sent, said), (connection.tap.received, heard)):
        cuts = sorted(data.draw(st.sets(st.integers(1, len(message) - 1), max_size=12)))
        for start, end in zip([0, *cuts], [*cuts, len(message)], strict=True):
            tell(message[start:end])
    assert connection.outcome == [("one", *WHOLE[1:]), ("two", *WHOLE[1:])]


def test_a_chunked_request_is_read():
    body = json.dumps({"model": "gpt-5-mini", "messages": MESSAGES}).encode()
    connection = Connection()
    connection.tap.sent(head("POST /v1/chat/completions HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"))
    connection.tap.sent(b"%x\r\n%b\r\n" % (len(body), body) + b"0\r\n\r\n")
    connection.tap.received(answered())
    assert connection.outcome == [WHOLE]


def test_a_compressed_answer_is_read():
    connection = Connection()
    connection.tap.sent(asked())
    connection.tap.received(answered(zlib.compress(ANSWER), "200 OK", "Content-Encoding: deflate"))
    assert connection.outcome == [WHOLE]


def test_a_request_may_wait_to_be_asked_for_its_body():
    connection = Connection()
    request = asked("gpt-5-mini", "Expect: 100-continue")
    end = request.index(b"\r\n\r\n") + 4
    connection.tap.sent(request[:end])
    connection.tap.received(b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.tap.sent(request[end:])
    connection.tap.received(answered())
    assert connection.outcome == [WHOLE]


def test_answers_without_a_body_do_not_hide_the_next():
    connection = Connection()
    for method, answer in (
        ("HEAD", head("HTTP/1.1 200 OK", "Content-Length: 1000")),
        ("GET", head("HTTP/1.1 304 Not Modified", "Content-Length: 1000")),
        ("DELETE", head("HTTP/1.1 204 No Content")),
    ):
        connection.tap.sent(head(f"{method} /v1/models HTTP/1.1", "Host: a"))
        connection.tap.received(answer)
    connection.tap.sent(asked())
    connection.tap.received(answered())
    assert connection.outcome == [WHOLE]


def test_a_body_may_end_with_the_connection():
    connection = Connection()
    connection.tap.sent(asked())
    connection.tap.received(head("HTTP/1.1 200 OK", "Connection: close") + ANSWER)
    assert connection.told == []
    connection.tap.lost(None)
    assert connection.outcome == [WHOLE]


def test_an_answer_that_comes_before_the_request_is_whole_counts():
    connection = Connection()
    connection.tap.sent(asked()[:-5])
    connection.tap.received(answered(b'{"error": {"message": "too large"}}', "413 Content Too Large"))
    connection.tap.sent(b"12345" + asked("two"))
    connection.tap.received(answered())
    assert connection.outcome == [(None, 413, None, False, "413"), ("two", *WHOLE[1:])]


def test_a_client_that_has_all_it_wanted_may_leave_before_the_end():
    connection = Connection()
    connection.tap.sent(asked(stream=True))
    connection.tap.received(chunked(EVENTS)[:-5])
    connection.tap.left()
    assert connection.outcome == [WHOLE]


def test_a_client_that_leaves_in_the_middle_leaves_a_call_without_an_error():
    connection = Connection()
    connection.tap.sent(asked(stream=True))
    connection.tap.received(chunked(EVENTS[:1])[:-5])
    connection.tap.left()
    assert connection.outcome == [("gpt-5-mini", 200, None, False, None)]


def test_a_client_that_leaves_before_any_answer_leaves_a_call():
    connection = Connection()
    connection.tap.sent(asked()[:-5])
    connection.tap.left()
    assert connection.outcome == [(None, None, None, False, None)]


@pytest.mark.parametrize(
    ("error", "kind"), [(None, "ConnectionError"), (ConnectionResetError(104, "reset"), "ConnectionResetError")]
)
def test_a_server_that_leaves_in_the_middle_is_an_error(error: Exception | None, kind: str):
    connection = Connection()
    connection.tap.sent(asked(stream=True))
    connection.tap.received(chunked(EVENTS[:1])[:-5])
    connection.tap.lost(error)
    assert connection.outcome == [("gpt-5-mini", 200, None, False, kind)]


def test_every_request_that_is_not_answered_is_an_error_when_the_server_leaves():
    connection = Connection()
    connection.tap.sent(asked("one") + asked("two"))
    connection.tap.lost(None)
    assert connection.outcome == [
        ("one", None, None, False, "ConnectionError"),
        ("two", None, None, False, "ConnectionError"),
    ]


def test_requests_that_are_no_llm_calls_are_not_read(monkeypatch: pytest.MonkeyPatch):
    def never(*_: Any, **__: Any) -> None:
        pytest.fail("an exchange was built")

    monkeypatch.setattr("llmtrace_otel.wire.exchange.Exchange.begin", never)
    connection = Connection()
    for _ in range(2):
        connection.tap.sent(asked(path="/v1/files"))
        connection.tap.received(answered())
    connection.tap.left()
    assert connection.told == []


def test_a_request_of_an_unknown_host_is_told_by_its_body():
    connection = Connection("gateway.example")
    connection.tap.sent(asked(path="/v1/responses") + asked())
    connection.tap.received(answered() + answered())
    assert connection.outcome == [WHOLE]


def test_a_request_that_is_too_large_is_known_by_its_url_alone():
    connection = Connection()
    connection.tap.sent(head("POST /v1/chat/completions HTTP/1.1", "Host: a", f"Content-Length: {LARGEST_BODY + 9}"))
    for _ in range(LARGEST_BODY >> 20):
        connection.tap.sent(bytes(1 << 20))
    connection.tap.sent(bytes(9))
    connection.tap.received(answered())
    assert connection.outcome == [(None, *WHOLE[1:])]


def test_messages_are_there_if_they_are_wanted():
    connection = Connection(capture=True)
    connection.tap.sent(asked())
    connection.tap.received(answered())
    assert connection.calls[0].input_messages == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]


def test_an_upgrade_that_is_refused_is_a_request_like_others():
    connection = Connection()
    upgrade = head("GET /v1/responses HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket")
    connection.tap.sent(upgrade)
    connection.tap.sent(asked())
    connection.tap.received(answered(b"no", "426 Upgrade Required"))
    connection.tap.received(answered())
    assert connection.outcome == [WHOLE]


@pytest.mark.parametrize("first", [b"SSH-2.0-OpenSSH\r\n\r\n", b"\x16\x03\x01\0\0", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_http_raises_for_the_tee_to_know(first: bytes):
    with pytest.raises(h11.RemoteProtocolError):
        Connection().tap.sent(first)


def test_an_answer_that_nobody_asked_for_raises_for_the_tee_to_know():
    with pytest.raises(IndexError):
        Connection().tap.received(answered())


def test_a_retry_of_an_sdk_is_the_same_call():
    async def retrying() -> Connection:
        connection = Connection()
        connection.tap.sent(asked("gpt-5-mini", "x-stainless-retry-count: 0"))
        connection.tap.received(answered(b"{}", "429 Too Many Requests"))
        connection.tap.sent(asked("gpt-5-mini", "x-stainless-retry-count: 1"))
        connection.tap.received(answered())
        return connection

    connection = asyncio.run(retrying())
    assert connection.outcome == [WHOLE]
    assert connection.calls[0].attempts == 2
