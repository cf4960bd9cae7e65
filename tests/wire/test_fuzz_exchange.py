"""Anything may arrive, in any order: an exchange never raises, keeps its types and holds no more than it must."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import bodies
import brotli
import msgspec
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.wire import framing
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.exchange import Exchange
from wire.fuzzing import cut, fuzz
from wire.schemas import violations
from wire.talk import (
    CHAT,
    COMPLETE,
    COMPLETIONS,
    EMBEDDINGS,
    ENDPOINTS,
    FETCH,
    MESSAGES,
    RESPONSES,
    Endpoint,
    held,
    sse,
)

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}, "cost": 0.01}
FUNCTION = {"name": "weather", "arguments": '{"city": "Lima ☀"}'}
CHOICE = {
    "index": 0,
    "finish_reason": "stop",
    "message": {"role": "assistant", "content": "Lima ☀", "tool_calls": [{"id": "c", "function": FUNCTION}]},
}
DELTAS: list[dict[str, Any]] = [
    {"content": "Li"},
    {"reasoning_content": "Hm."},
    {"tool_calls": [{"index": 0, "id": "c", "function": FUNCTION}]},
]
CHUNKS = [{"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in DELTAS]
RESPONSE = {
    "id": "resp_1",
    "model": "m",
    "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "Lima ☀"}]}],
    "usage": {"input_tokens": 12, "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 1}},
}
COUNTS = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 5}
MESSAGE = {
    "id": "msg_1",
    "model": "m",
    "content": [{"type": "text", "text": "Lima ☀"}, {"type": "tool_use", "id": "t", "name": "w", "input": {}}],
    "stop_reason": "end_turn",
    "usage": COUNTS,
}
ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded", "code": 529}}

ANSWERS: list[tuple[Endpoint, bytes]] = [
    (endpoint, json.dumps(answer).encode())
    for endpoint, answer in (
        (CHAT, {"id": "c", "model": "m", "choices": [CHOICE], "usage": USAGE}),
        (COMPLETIONS, {"id": "c", "choices": [{"index": 0, "text": "Lima ☀", "finish_reason": "length"}]}),
        (EMBEDDINGS, {"data": [{"embedding": [0.1, 0.2]}], "model": "m", "usage": USAGE}),
        (RESPONSES, RESPONSE),
        (FETCH, RESPONSE),
        (MESSAGES, MESSAGE),
        (COMPLETE, {"completion": "Hi", "stop_reason": "stop", "model": "m"}),
        (CHAT, ERROR),
    )
]
STREAMS: list[tuple[Endpoint, bytes]] = [
    (CHAT, sse(*CHUNKS, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"usage": USAGE}, "[DONE]")),
    (CHAT, sse(*CHUNKS, ERROR, end=b"\r\n")),
    (
        RESPONSES,
        sse(
            {"type": "response.created", "response": RESPONSE | {"usage": None}},
            {"type": "response.output_item.done", "item": {"type": "reasoning", "summary": [{"text": "Hm."}]}},
            {"type": "response.completed", "response": RESPONSE},
        ),
    ),
    (
        MESSAGES,
        sse(
            {"type": "message_start", "message": MESSAGE | {"content": []}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Lima ☀"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
            {"type": "message_stop"},
            end=b"\r",
        ),
    ),
    (COMPLETE, sse({"type": "completion", "completion": "Hi", "stop_reason": "stop"})),
]
OTHERS = [(name, build(3) if name.endswith("-stream") else build()) for name, build in bodies.FORMATS.items()]
"""A call in each other format, as the benchmark makes it, in a few chunks."""
for name, call in OTHERS:
    url = urlsplit(call.url)
    (STREAMS if name.endswith("-stream") else ANSWERS).append(
        (Endpoint(url.hostname or "", url.path, call.request), b"".join(call.pieces))
    )
ALL_ENDPOINTS = [*ENDPOINTS, *(endpoint for endpoint, _ in ANSWERS + STREAMS)]


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)  # the same bytes at any time of day


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzipped,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "deflate, gzip": lambda data: gzipped(zlib.compress(data)),
}
SPLICES = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"\n\n",
    b"\r",
    b"data: ",
    b"null",
    b"-1",
    b"1e999",
    rb"\ud800",
    b"\xff",
    b"\x00",
    b"9" * 25,
]


@st.composite
def mutated(draw: st.DrawFn, body: bytes) -> bytes:
    """`body` with a few of its bytes flipped, deleted, doubled or replaced."""
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(body)))
        until = min(len(body), at + draw(st.integers(0, 12)))
        splice = draw(st.sampled_from([b"", body[at:until] * 2, *SPLICES]) | st.binary(max_size=3))
        body = body[:at] + splice + body[until:]
    return body


statuses = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 429, 500, 529]) | st.integers(-1, 1_000)
headers = st.dictionaries(
    st.sampled_from(["content-encoding", "content-type", "x-litellm-call-id", "x-litellm-version"]),
    st.sampled_from([*ENCODERS, "wat", "", ",", "text/event-stream", "application/json"]) | st.text(max_size=8),
)


def has_its_declared_types(call: Call) -> bool:
    return msgspec.convert(msgspec.to_builtins(call), Call, strict=True) == call


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Exchange, list[bytes]]:
    """An exchange whose answer has begun, and the pieces of a real answer that something has happened to."""
    endpoint, answer = draw(st.sampled_from(ANSWERS + STREAMS))
    other = draw(st.sampled_from(ALL_ENDPOINTS))
    endpoint = draw(st.sampled_from([endpoint, endpoint, other]))
    request = json.dumps(endpoint.request).encode()
    options = {"body": draw(mutated(request) | st.none() | st.binary(max_size=20)), "capture": draw(st.booleans())}
    exchange = endpoint.begin(query=draw(st.text(max_size=10)), **options)
    coding = draw(st.sampled_from(["identity", "identity", "identity", *ENCODERS]))
    body = draw(mutated(answer))
    if coding != "identity":
        body = (
            draw(st.sampled_from([ENCODERS[coding](body), body]))
            if draw(st.booleans())
            else (draw(mutated(ENCODERS[coding](body))))
        )
    exchange.response(draw(statuses), {"content-encoding": coding} | draw(headers), decoded=draw(st.booleans()))
    return exchange, draw(cut(body))


@fuzz
@given(exchanges(), st.sampled_from(["end", "abandon", "fail"]))
def test_no_answer_makes_an_exchange_raise(begun: tuple[Exchange, list[bytes]], ending: str):
    exchange, pieces = begun
    for piece in pieces:
        exchange.feed(piece)
    if ending == "fail":
        exchange.fail(TimeoutError("read"))
    else:
        getattr(exchange, ending)()
    if exchange.call.capture:
        exchange.write_content()
    assert has_its_declared_types(exchange.call)
    assert violations(exchange.call) == []
    assert held(exchange) == 0


STEPS = ("response", "feed", "feed", "feed", "whole", "end", "abandon", "fail", "write_content")


@fuzz
@given(st.sampled_from(ANSWERS + STREAMS), st.booleans(), st.data())
def test_no_order_of_calls_makes_an_exchange_raise(real: tuple[Endpoint, bytes], capture: bool, data: st.DataObject):
    endpoint, answer = real
    exchange = endpoint.begin(capture=capture)
    pieces = st.sampled_from([answer, answer[: len(answer) // 2], answer[len(answer) // 2 :], b"", b"\xff"])
    for step in data.draw(st.lists(st.sampled_from(STEPS), max_size=10)):
        match step:
            case "response":
                exchange.response(data.draw(statuses), data.draw(headers))
            case "feed" | "whole":
                getattr(exchange, step)(data.draw(pieces))
            case "fail":
                exchange.fail(data.draw(st.sampled_from([TimeoutError(), ValueError("x"), KeyboardInterrupt()])))
            case _:
                getattr(exchange, step)()
    assert has_its_declared_types(exchange.call)


def summary(exchange: Exchange) -> Call:
    """The call without its times."""
    return msgspec.structs.replace(exchange.call, first_chunk_ns=None)


@fuzz
@given(st.sampled_from(ANSWERS + STREAMS), st.booleans(), st.data())
def test_how_an_answer_is_cut_changes_nothing(real: tuple[Endpoint, bytes], capture: bool, data: st.DataObject):
    endpoint, answer = real
    body = data.draw(mutated(answer))
    found = []
    for pieces in ([body], [body[at : at + 1] for at in range(len(body))], data.draw(cut(body))):
        exchange = endpoint.begin(capture=capture)
        exchange.response(200)
        for piece in pieces:
            exchange.feed(piece)
        exchange.end()
        found.append(summary(exchange))
    assert found[0] == found[1] == found[2]


@fuzz
@given(
    st.sampled_from([(endpoint, answer) for endpoint, answer in STREAMS if answer.startswith((b"data:", b"event:"))]),
    st.integers(1, 200),
    st.integers(200, 5_000),
    st.booleans(),
)
def test_a_stream_is_held_only_until_its_events_are_whole(
    real: tuple[Endpoint, bytes], events: int, size: int, capture: bool
):
    endpoint, answer = real
    exchange = endpoint.begin(capture=capture)
    exchange.response(200)
    most = 0
    stream = answer + sse(*[{"choices": [], "text": "x" * 300}] * events)
    for at in range(0, len(stream), size):
        exchange.feed(stream[at : at + size])
        most = max(most, held(exchange))
    assert most <= framing._LOOK_AFTER
