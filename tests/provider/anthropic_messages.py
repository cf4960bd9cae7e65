"""Anthropic Messages: `input_tokens` leaves out what the cache read and wrote, and a stream counts twice.

`message_start` tells the input and a first output count; `message_delta` repeats them with the final output.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .errors import anthropic_error
from .format import Format, Stream
from .script import ToolCall, call_of, pieces, text
from .sse import Event
from .usage import Tokens, anthropic_tokens, count, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .ask import Ask

FIXED = Tokens(cache_read=100, cache_write=20)


def say(ask: Ask) -> str | ToolCall:
    tools = [tool for tool in ask.body.get("tools") or [] if "input_schema" in tool]
    last = (ask.body.get("messages") or [{}])[-1]
    if tools and not answers_tool(last.get("content", "")):
        return call_of(tools[0]["name"], tools[0]["input_schema"])
    return text(ask)


def answers_tool(content: str | list[dict[str, Any]]) -> bool:
    return isinstance(content, list) and any(block.get("type") == "tool_result" for block in content)


def answer(ask: Ask) -> dict[str, Any]:
    said = say(ask)
    told = {"content": [block(ask, said)], "stop_reason": stop_reason(said)}
    return {**message(ask), **told, "usage": usage(counted(ask, said))}


def message(ask: Ask) -> dict[str, Any]:
    named = {"id": ask.id("msg_"), "type": "message", "role": "assistant", "model": ask.model}
    return {**named, "content": [], "stop_reason": None, "stop_sequence": None}


def block(ask: Ask, said: str | ToolCall) -> dict[str, Any]:
    if isinstance(said, str):
        return {"type": "text", "text": said}
    return {"type": "tool_use", "id": ask.id("toolu_"), "name": said.name, "input": json.loads(said.arguments)}


def stop_reason(said: str | ToolCall) -> str:
    return "tool_use" if isinstance(said, ToolCall) else "end_turn"


def events(ask: Ask) -> Iterator[Event]:
    for data in story(ask):
        yield Event(data, data["type"])


def story(ask: Ask) -> Iterator[dict[str, Any]]:
    said = say(ask)
    final = usage(counted(ask, said))
    yield {"type": "message_start", "message": {**message(ask), "usage": {**final, "output_tokens": 1}}}
    yield {"type": "content_block_start", "index": 0, "content_block": opened(ask, said)}
    yield {"type": "ping"}
    yield from ({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas(ask, said))
    yield {"type": "content_block_stop", "index": 0}
    closing = {"stop_reason": stop_reason(said), "stop_sequence": None}
    cumulative = {name: value for name, value in final.items() if name.endswith("_tokens")}
    yield {"type": "message_delta", "delta": closing, "usage": cumulative}
    yield {"type": "message_stop"}


def opened(ask: Ask, said: str | ToolCall) -> dict[str, Any]:
    return block(ask, ToolCall(said.name, "{}") if isinstance(said, ToolCall) else "")


def deltas(ask: Ask, said: str | ToolCall) -> Iterator[dict[str, Any]]:
    if isinstance(said, str):
        yield from ({"type": "text_delta", "text": piece} for piece in pieces(ask, said))
    else:
        yield {"type": "input_json_delta", "partial_json": ""}
        yield from ({"type": "input_json_delta", "partial_json": piece} for piece in pieces(ask, said.arguments))


def error(ask: Ask, status: int) -> dict[str, Any]:
    return anthropic_error(status, ask.id("req_"))


def stream_error(ask: Ask) -> list[Event]:
    return [Event(error(ask, 529), "error")]


def counted(ask: Ask, said: str | ToolCall) -> Tokens:
    return count(ask, said, FIXED, anthropic_tokens)


def token_count(ask: Ask) -> dict[str, Any]:
    """What `POST /v1/messages/count_tokens` tells."""
    return {"input_tokens": tokens(ask.raw)}


def usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": tokens.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": tokens.output,
        "service_tier": "standard",
    }


FORMAT = Format(answer, error, Stream(events, stream_error), request_id="request-id")
