"""Makes content fit a limit of bytes, inside its JSON: long texts are cut, then the earliest messages left out.

What comes out is JSON of the same shape. A cut text ends with a note of how much is missing, so that nobody takes it
for the whole.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

STRUCTURE = frozenset({"type", "role", "finish_reason", "id", "name", "modality", "mime_type", "sha256"})
"""Keys of messages and parts whose values are no content."""


class Shortened(NamedTuple):
    """What is left of a value, and how many messages of it are not."""

    value: Any
    omitted: int = 0


def shortened(value: Any, limit: int) -> Shortened:
    """`value`, with its texts cut as little as makes its JSON `limit` bytes long at most.

    Where that is not enough, the earliest items of a list go, and anything else becomes a note. Never raises for what
    JSON can hold; `Exception` of msgspec's for what it cannot.
    """
    if _size(value) <= limit:
        return Shortened(value)
    if _size(_cut(value, 0)) <= limit:
        return Shortened(_cut(value, _longest_that_fits(value, limit)))
    if not isinstance(value, list):
        return Shortened(note(_size(value), "bytes"))
    kept = _last_that_fit([_cut(item, 0) for item in value], limit)
    return Shortened(kept, omitted=len(value) - len(kept))


def _longest_that_fits(value: Any, limit: int) -> int:
    """The most characters that every text may have."""
    fits, too_long = 0, limit
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _size(_cut(value, middle)) <= limit:
            fits = middle
        else:
            too_long = middle
    return fits


def _last_that_fit(items: list[Any], limit: int) -> list[Any]:
    left, first = limit - 2, len(items)
    while first and (left := left - _size(items[first - 1]) - 1) >= -1:  # the last one has no comma
        first -= 1
    return items[first:]


def _cut(value: Any, most: int) -> Any:
    if isinstance(value, str):
        missing = note(len(value) - most, "characters")
        return value if len(value) <= most + len(missing) else value[:most] + missing
    if isinstance(value, dict):
        return {key: item if key in STRUCTURE else _cut(item, most) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(item, most) for item in value]
    return value


def note(count: int, unit: str) -> str:
    """What stands for content that was cut."""
    return f"… [{count} more {unit}]"


def _size(value: Any) -> int:
    return len(msgspec.json.encode(value, enc_hook=str))
