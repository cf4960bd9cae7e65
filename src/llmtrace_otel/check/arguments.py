"""JSON values as text that is the same whatever order their keys were recorded in."""

from __future__ import annotations

import json
from typing import Any

from llmtrace_otel.read.text import clean


def canonical(value: Any) -> str:
    """A value as JSON with sorted keys, on one line. What JSON cannot say, such as bytes, is told as Python does."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=repr)


def brief(value: Any, limit: int = 80) -> str:
    """The same, printable, of at most `limit` characters."""
    return clean(canonical(value), limit)
