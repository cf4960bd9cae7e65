"""OpenAI Chat Completions, also under Azure: a stream tells its usage in an extra last chunk, and only when asked.

Azure's stream begins with a chunk that has no id, no model and no choice, only the verdict of its prompt filter.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .format import Format, Stream, openai_refusal, openai_stream_error
from .script import ToolCall, call_of, pieces, text
from .sse import DONE, Event
from .usage import Tokens, count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .ask import Ask

FILTERED = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "safe"}}


def say(ask: Ask) -> str | ToolCall:
    tools = [tool["function"] for tool in ask.body.get("tools") or [] if "function" in tool]
    asked = (ask.body.get("messages") or [{}])[-1].get("role") == "user"
    if tools and asked:
        return call_of(tools[0]["name"], tools[0].get("parameters", {}))
    return text(ask)


def answer(ask: Ask) -> dict[str, Any]:
    said = say(ask)
    choice = {"index": 0, "message": message(ask, said), "logprobs": None, "finish_reason": finish(said)}
    return {**head(ask, "chat.completion"), "choices": [choice], "usage": usage(count(ask, said))}


def message(ask: Ask, said: str | ToolCall) -> dict[str, Any]:
    whole: dict[str, Any] = {"role": "assistant", "content": said, "refusal": None, "annotations": []}
    if isinstance(said, ToolCall):
        whole |= {"content": None, "tool_calls": [tool_call(ask, said)]}
    return whole


def tool_call(ask: Ask, said: ToolCall) -> dict[str, Any]:
    function = {"name": said.name, "arguments": said.arguments}
    return {"id": ask.id("call_"), "type": "function", "function": function}


def events(ask: Ask) -> Iterator[Event]:
    said = say(ask)
    if ask.azure:
        filtered = {"prompt_index": 0, "content_filter_results": FILTERED}
        yield Event({**chunk(ask, []), "id": "", "model": "", "prompt_filter_results": [filtered]})
    yield from (Event(chunk(ask, [choice(delta)])) for delta in deltas(ask, said))
    yield Event(chunk(ask, [choice({}, finish(said))]))
    if ask.wants_usage_chunk:
        yield Event({**chunk(ask, []), "usage": usage(count(ask, said))})
    yield DONE


def deltas(ask: Ask, said: str | ToolCall) -> Iterator[dict[str, Any]]:
    if isinstance(said, str):
        yield {"role": "assistant", "content": "", "refusal": None}
        yield from ({"content": piece} for piece in pieces(ask, said))
        return
    opened = {"index": 0, **tool_call(ask, ToolCall(said.name, ""))}
    yield {"role": "assistant", "content": None, "tool_calls": [opened], "refusal": None}
    for piece in pieces(ask, said.arguments):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def chunk(ask: Ask, choices: list[dict[str, Any]]) -> dict[str, Any]:
    announced = {"usage": None} if ask.wants_usage_chunk else {}
    return {**head(ask, "chat.completion.chunk"), "choices": choices, **announced}


def choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def head(ask: Ask, kind: str) -> dict[str, Any]:
    named = {"id": ask.id("chatcmpl-"), "object": kind, "created": int(time.time()), "model": ask.model}
    return {**named, "service_tier": "default", "system_fingerprint": None}


def finish(said: str | ToolCall) -> str:
    return "tool_calls" if isinstance(said, ToolCall) else "stop"


def usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning, "audio_tokens": 0},
    }


FORMAT = Format(answer, openai_refusal, Stream(events, openai_stream_error))
