"""OpenAI Responses: named events, no `[DONE]`, and everything that counts in the last event's `response`.

A background request is answered `queued` and without usage; asking for its id later gives the whole response.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .errors import openai_error
from .format import Format, Stream, openai_refusal
from .script import ToolCall, call_of, pieces, text
from .sse import Event
from .usage import Tokens, count, reasoned_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .ask import Ask

BLANK: dict[str, Any] = {
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "service_tier": "default",
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
}


def say(ask: Ask) -> str | ToolCall:
    tools = [tool for tool in ask.body.get("tools") or [] if tool.get("type") == "function"]
    given = ask.body.get("input") or ""
    asked = isinstance(given, str) or given[-1].get("role") == "user"
    if tools and asked:
        return call_of(tools[0]["name"], tools[0].get("parameters") or {})
    return text(ask)


def answer(ask: Ask) -> dict[str, Any]:
    if ask.body.get("background"):
        return response(ask, "queued")
    said = say(ask)
    return completed(ask, said, item(ask, said))


def retrieved(ask: Ask, response_id: str) -> dict[str, Any]:
    """What `GET /v1/responses/{id}` tells: any id names a completed response."""
    said = text(ask)
    return {**completed(ask, said, item(ask, said)), "id": response_id}


def completed(ask: Ask, said: str | ToolCall, output: dict[str, Any]) -> dict[str, Any]:
    return {**response(ask, "completed"), "output": [output], "usage": usage(count(ask, said, measure=reasoned_tokens))}


def response(ask: Ask, status: str) -> dict[str, Any]:
    named = {"id": ask.id("resp_"), "object": "response", "created_at": int(time.time()), "model": ask.model}
    return {
        **named,
        "status": status,
        "background": bool(ask.body.get("background")),
        "output": [],
        **BLANK,
        "usage": None,
    }


def item(ask: Ask, said: str | ToolCall, status: str = "completed") -> dict[str, Any]:
    if isinstance(said, str):
        content = [part(said)] if said else []
        return {"id": ask.id("msg_"), "type": "message", "status": status, "role": "assistant", "content": content}
    called = {"call_id": ask.id("call_"), "name": said.name, "arguments": said.arguments}
    return {"id": ask.id("fc_"), "type": "function_call", "status": status, **called}


def part(said: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": said}


def events(ask: Ask) -> Iterator[Event]:
    for number, data in enumerate(story(ask)):
        yield Event({**data, "sequence_number": number}, data["type"])


def story(ask: Ask) -> Iterator[dict[str, Any]]:
    """The events of a stream, without their numbers."""
    said = say(ask)
    whole = item(ask, said)
    opened = item(ask, ToolCall(said.name, "") if isinstance(said, ToolCall) else "", "in_progress")
    yield {"type": "response.created", "response": response(ask, "in_progress")}
    yield {"type": "response.in_progress", "response": response(ask, "in_progress")}
    yield {"type": "response.output_item.added", "output_index": 0, "item": opened}
    yield from told(ask, said, whole["id"])
    yield {"type": "response.output_item.done", "output_index": 0, "item": whole}
    yield {"type": "response.completed", "response": completed(ask, said, whole)}


def told(ask: Ask, said: str | ToolCall, item_id: str) -> Iterator[dict[str, Any]]:
    """The events inside an output item: the deltas and what closes them."""
    place: dict[str, Any] = {"item_id": item_id, "output_index": 0}
    if isinstance(said, ToolCall):
        kind = "response.function_call_arguments"
        yield from ({"type": f"{kind}.delta", **place, "delta": piece} for piece in pieces(ask, said.arguments))
        yield {"type": f"{kind}.done", **place, "name": said.name, "arguments": said.arguments}
        return
    place["content_index"] = 0
    yield {"type": "response.content_part.added", **place, "part": part("")}
    for piece in pieces(ask, said):
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": said, "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part(said)}


def stream_error(ask: Ask) -> list[Event]:
    """An `error` event, then the failed response, as the service sends them."""
    message = openai_error(500)["error"]["message"]
    reason = {"code": "server_error", "message": message}
    failed = {**response(ask, "failed"), "error": reason}
    told = [{"type": "error", **reason, "param": None}, {"type": "response.failed", "response": failed}]
    return [Event({**data, "sequence_number": number}, data["type"]) for number, data in enumerate(told, start=2)]


def usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cache_read},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }


FORMAT = Format(answer, openai_refusal, Stream(events, stream_error))
