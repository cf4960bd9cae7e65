"""What a call counts: fixed numbers that tests know, numbers from headers, or realistic ones.

Realistic counts take four bytes for a token, the usual rule of thumb for English: the input is the request's body, the
output is what was said. From the second turn of a conversation on, everything before the model's last message is
cached, together with the tools and the system prompt. The Responses format adds `REASONING` tokens of reasoning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .script import ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .ask import Ask

    Measure = Callable[[Ask, str | ToolCall], "Tokens"]

REASONING = 64
OVERRIDES = ("input", "output", "cache_read", "cache_write", "reasoning")


@dataclass(frozen=True)
class Tokens:
    """Counts in the format's own meaning: Anthropic's `input` is without the cached tokens, OpenAI's with them."""

    input: int = 10
    output: int = 5
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


FIXED = Tokens()


def count(ask: Ask, said: str | ToolCall, fixed: Tokens = FIXED, measure: Measure | None = None) -> Tokens:
    """`fixed`, or what `measure` finds where realistic counts are asked for; headers win over both."""
    base = (measure or openai_tokens)(ask, said) if ask.realistic else fixed
    given = {name: f"x-{name.replace('_', '-')}-tokens" for name in OVERRIDES}
    return replace(base, **{name: int(ask.headers[header]) for name, header in given.items() if header in ask.headers})


def openai_tokens(ask: Ask, said: str | ToolCall) -> Tokens:
    """Realistic counts as OpenAI means them: `input` holds the cached tokens."""
    spoken = said.name + said.arguments if isinstance(said, ToolCall) else said
    total = tokens(ask.raw)
    return Tokens(total, tokens(spoken.encode()), cache_read=min(seen_before(ask.body), total))


def reasoned_tokens(ask: Ask, said: str | ToolCall) -> Tokens:
    """The same for a model that reasons: `output` holds the reasoning."""
    counted = openai_tokens(ask, said)
    return replace(counted, output=counted.output + REASONING, reasoning=REASONING)


def anthropic_tokens(ask: Ask, said: str | ToolCall) -> Tokens:
    """Realistic counts as Anthropic means them; the first turn writes the prefix that later turns read."""
    counted = openai_tokens(ask, said)
    write = 0 if counted.cache_read else min(prefix(ask.body, 0), counted.input)
    return replace(counted, input=counted.input - counted.cache_read - write, cache_write=write)


def seen_before(body: Mapping[str, Any]) -> int:
    """Tokens that an earlier turn of this conversation has sent already; 0 on the first turn."""
    turns = messages(body)
    spoken = [
        i for i, turn in enumerate(turns) if turn.get("role") == "assistant" or turn.get("type") == "function_call"
    ]
    return prefix(body, spoken[-1]) if spoken else 0


def prefix(body: Mapping[str, Any], turns: int) -> int:
    parts = [body.get("tools"), body.get("system"), body.get("instructions"), messages(body)[:turns]]
    present = [part for part in parts if part]
    return tokens(json.dumps(present, separators=(",", ":")).encode()) if present else 0


def messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The turns of a chat, Messages or Responses request; empty for a plain text input."""
    turns = body.get("messages") or body.get("input") or []
    return [turn for turn in turns if isinstance(turn, dict)]


def tokens(data: bytes) -> int:
    return max(1, len(data) // 4)
