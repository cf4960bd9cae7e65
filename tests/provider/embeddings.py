"""OpenAI embeddings: a vector for every input (8 numbers unless `dimensions` says more), as floats or base64.

Never a stream, no id, and no output tokens.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

from .format import Format, openai_refusal
from .usage import count

if TYPE_CHECKING:
    from .ask import Ask


def answer(ask: Ask) -> dict[str, Any]:
    given = ask.body.get("input", "")
    inputs = given if isinstance(given, list) else [given]
    data = [{"object": "embedding", "index": i, "embedding": vector(ask, i)} for i in range(len(inputs))]
    tokens = count(ask, "").input
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": ask.model, "usage": usage}


def vector(ask: Ask, index: int) -> list[float] | str:
    size = ask.body.get("dimensions") or 8
    numbers = [(index + i + 1) / (2 * size) for i in range(size)]
    if ask.body.get("encoding_format") == "base64":
        return base64.b64encode(struct.pack(f"<{size}f", *numbers)).decode()
    return numbers


FORMAT = Format(answer, openai_refusal)
