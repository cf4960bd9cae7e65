"""What the model says: a call of the first tool when a user asks and tools are there, else one fixed text.

With the tool's result as the last message the answer is text, so that an agent's loop ends after one round.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .ask import Ask

ANSWER = "Paris is sunny today: 21 °C, a light breeze — no umbrella needed. ☀"  # multi-byte characters are meant
FILLER = "The quick brown fox jumps over the lazy dog. "
EXAMPLES = {"string": "Paris", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


@dataclass(frozen=True)
class ToolCall:
    """A call of `name`; `arguments` is a JSON object as text."""

    name: str
    arguments: str


def call_of(name: str, schema: Mapping[str, Any]) -> ToolCall:
    """A call whose arguments fit the JSON schema of the tool's parameters."""
    arguments = {key: example(value) for key, value in schema.get("properties", {}).items()}
    return ToolCall(name, json.dumps(arguments))


def example(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    return EXAMPLES.get(schema.get("type", "string"))


def text(ask: Ask) -> str:
    """The answer's text: at least one character for every chunk of the stream, or just as big as asked."""
    if size := ask.count("x-big"):
        return (FILLER * (size // len(FILLER) + 1))[:size]
    chunks = ask.count("x-chunks")
    return ANSWER * (chunks // len(ANSWER) + 1)


def pieces(ask: Ask, whole: str) -> list[str]:
    """`whole` in as many pieces of nearly the same length as `x-chunks` says (4 by default)."""
    count = min(ask.count("x-chunks", 4), len(whole)) or 1
    bounds = [len(whole) * i // count for i in range(count + 1)]
    return [whole[start:end] for start, end in pairwise(bounds)]
