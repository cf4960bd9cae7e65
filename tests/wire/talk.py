"""Plays one exchange and tells what its call knows: `played(CHAT, {...})`, `told(call) == {...}`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import fields

from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.exchange import Exchange


@dataclass(frozen=True)
class Endpoint:
    """Where a request goes, and a request that fits there."""

    host: str
    path: str
    request: dict[str, Any] = field(default_factory=dict)
    method: str = "POST"
    port: int = 443

    def begin(self, **options: Any) -> Exchange:
        body = options.pop("body", json.dumps(self.request).encode() if self.request else None)
        exchange = Exchange.begin(self.method, self.host, self.port, self.path, body, **options)
        assert exchange is not None
        return exchange


_ASKED = [{"role": "user", "content": "Capital of Peru?"}]

CHAT = Endpoint("api.openai.com", "/v1/chat/completions", {"model": "gpt-5-mini", "messages": _ASKED})
COMPLETIONS = Endpoint("api.openai.com", "/v1/completions", {"model": "davinci-002", "prompt": "Lima is"})
EMBEDDINGS = Endpoint("api.openai.com", "/v1/embeddings", {"model": "text-embedding-3-small", "input": "Lima"})
RESPONSES = Endpoint("api.openai.com", "/v1/responses", {"model": "gpt-5", "input": "Capital of Peru?"})
FETCH = Endpoint("api.openai.com", "/v1/responses/resp_1", method="GET")
MESSAGES = Endpoint(
    "api.anthropic.com", "/v1/messages", {"model": "claude-sonnet-4-5", "max_tokens": 64, "messages": _ASKED}
)
COMPLETE = Endpoint(
    "api.anthropic.com", "/v1/complete", {"model": "claude-2.1", "max_tokens_to_sample": 9, "prompt": "Human: Hi"}
)
ENDPOINTS = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, FETCH, MESSAGES, COMPLETE)


def played(
    endpoint: Endpoint,
    answer: bytes | dict[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    pieces: Iterable[bytes] | None = None,
    decoded: bool = False,
    left: bool = False,
    **options: Any,
) -> Call:
    """The call after a whole exchange; with `left`, the caller leaves at the end of `answer` instead."""
    exchange = endpoint.begin(**options)
    exchange.response(status, headers or {}, decoded=decoded)
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    for piece in [body] if pieces is None else pieces:
        exchange.feed(piece)
    exchange.abandon() if left else exchange.end()
    if exchange.call.capture:
        exchange.write_content()
    return exchange.call


def held(exchange: Exchange) -> int:
    """The bytes of the answer that an exchange holds at this moment."""
    return sum(map(len, exchange._body)) + (sum(map(len, exchange._framing._pieces)) if exchange._framing else 0)


def sse(*events: Any, end: bytes = b"\n") -> bytes:
    """A stream: a text is sent as it is; an object as JSON, under its `type` if it has one."""
    return b"".join(_event(event, end) for event in events)


def _event(event: Any, end: bytes) -> bytes:
    data = event.encode() if isinstance(event, str) else json.dumps(event, separators=(",", ":")).encode()
    name = event.get("type") if isinstance(event, dict) else None
    return (b"event: " + name.encode() + end if name else b"") + b"data: " + data + end + end


_DEFAULTS = {item.name: item.default for item in fields(Call)}
_ANSWER = (
    "response_id",
    "response_model",
    "response_status",
    "finish_reasons",
    "service_tier",
    "system_fingerprint",
    "usage",
    "stated_cost",
    "error_type",
    "error_message",
    "complete",
    "unreadable",
    "keys_seen",
    "output_messages",
)
_REQUEST = (
    "request_model",
    "stream",
    "choice_count",
    "seed",
    "top_k",
    "top_p",
    "temperature",
    "max_tokens",
    "frequency_penalty",
    "presence_penalty",
    "stop_sequences",
    "reasoning_level",
    "previous_response_id",
    "stream_cursor",
    "conversation_id",
    "output_type",
    "encoding_formats",
    "dimensions",
    "request_service_tier",
    "api_type",
)


def told(call: Call) -> dict[str, Any]:
    """What the answer left on the call: the fields that it changed."""
    return _changed(call, _ANSWER)


def asked(call: Call) -> dict[str, Any]:
    """What the request left on the call."""
    return _changed(call, _REQUEST)


def _changed(call: Call, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(call, name)) != _DEFAULTS[name]}
