"""OpenAI's legacy text completions: a prompt in, text out, no tools."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .format import Format, Stream, openai_refusal, openai_stream_error
from .openai_chat import usage
from .script import pieces, text
from .sse import DONE, Event
from .usage import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .ask import Ask


def answer(ask: Ask) -> dict[str, Any]:
    said = text(ask)
    return {**completion(ask, [choice(said, "stop")]), "usage": usage(count(ask, said))}


def events(ask: Ask) -> Iterator[Event]:
    said = text(ask)
    yield from (Event(completion(ask, [choice(piece)])) for piece in pieces(ask, said))
    yield Event(completion(ask, [choice("", "stop")]))
    if ask.wants_usage_chunk:
        yield Event({**completion(ask, []), "usage": usage(count(ask, said))})
    yield DONE


def completion(ask: Ask, choices: list[dict[str, Any]]) -> dict[str, Any]:
    named = {"id": ask.id("cmpl-"), "object": "text_completion", "created": int(time.time()), "model": ask.model}
    return {**named, "choices": choices}


def choice(said: str, finish_reason: str | None = None) -> dict[str, Any]:
    return {"text": said, "index": 0, "logprobs": None, "finish_reason": finish_reason}


FORMAT = Format(answer, openai_refusal, Stream(events, openai_stream_error))
