"""Google's generateContent: one JSON object, or a stream of such, as events (`alt=sse`) or as one long JSON array.

Every piece of a stream tells the counts so far. The model is a part of the path, and no line names an event.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from .format import Format, Stream
from .reply import Reply, stream_reply
from .script import ToolCall, call_of, pieces, text
from .sse import Event, compact
from .usage import Tokens, count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .ask import Ask

STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
STATUS |= {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}


def say(ask: Ask) -> str | ToolCall:
    tools = [tool for group in ask.body.get("tools") or [] for tool in group.get("functionDeclarations") or []]
    parts = (ask.body.get("contents") or [{}])[-1].get("parts") or []
    if tools and not any("functionResponse" in part for part in parts):
        return call_of(tools[0]["name"], tools[0].get("parametersJsonSchema") or tools[0].get("parameters") or {})
    return text(ask)


def answer(ask: Ask) -> dict[str, Any]:
    said = say(ask)
    return piece_of(ask, part(said), count(ask, said), "STOP")


def events(ask: Ask) -> Iterator[Event]:
    said = say(ask)
    parts = [part(said)] if isinstance(said, ToolCall) else [part(piece) for piece in pieces(ask, said)]
    counted = count(ask, said)
    for number, told in enumerate(parts, start=1):
        yield Event(piece_of(ask, told, counted, "STOP" if number == len(parts) else None))


def part(said: str | ToolCall) -> dict[str, Any]:
    if isinstance(said, str):
        return {"text": said}
    return {"functionCall": {"name": said.name, "args": json.loads(said.arguments)}}


def piece_of(ask: Ask, told: dict[str, Any], counted: Tokens, finish_reason: str | None) -> dict[str, Any]:
    ended = {"finishReason": finish_reason} if finish_reason else {}
    candidate = {"content": {"parts": [told], "role": "model"}, **ended, "index": 0}
    named = {"modelVersion": model(ask), "responseId": ask.id("gem")}
    return {"candidates": [candidate], "usageMetadata": usage(counted), **named}


def model(ask: Ask) -> str:
    found = re.search(r"/models/([^:?]+):", ask.path)
    return found[1] if found else "gemini"


def usage(tokens: Tokens) -> dict[str, Any]:
    told = {
        "promptTokenCount": tokens.input,
        "candidatesTokenCount": tokens.output - tokens.reasoning,
        "totalTokenCount": tokens.input + tokens.output,
    }
    extra = {"cachedContentTokenCount": tokens.cache_read, "thoughtsTokenCount": tokens.reasoning}
    return told | {name: number for name, number in extra.items() if number}


def error(_: Ask, status: int) -> dict[str, Any]:
    kind = STATUS.get(status, "INTERNAL")
    return {"error": {"code": status, "message": kind.replace("_", " ").capitalize(), "status": kind}}


def stream_error(ask: Ask) -> list[Event]:
    return [Event(error(ask, 500))]


def reply(events: Iterable[Event], ask: Ask, headers: dict[str, str]) -> Reply:
    return (stream_reply if "alt=sse" in ask.path else array_reply)(events, ask, headers)


def array_reply(events: Iterable[Event], _: Ask, headers: dict[str, str]) -> Reply:
    """A JSON array whose elements travel one by one."""
    objects = [compact(event.data).encode() for event in events]
    opened = [b"[" + objects[0], *(b",\r\n" + element for element in objects[1:]), b"]"]
    return Reply(200, {"content-type": "application/json; charset=UTF-8", **headers}, opened)


GENERATE = Format(answer, error)
STREAM = Format(None, error, Stream(events, stream_error, reply))
