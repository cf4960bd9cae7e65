"""Which recording is nearest to a request that has none, and what differs: the one thing that a miss has to tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from llmtrace_otel.replay import volatile
from llmtrace_otel.replay.asked import Document

_LONGEST: Final = 60
"""Characters of a value that are shown."""
_BEFORE: Final = 20
"""Characters of a long text before the first that differs."""


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()


class Difference(NamedTuple):
    """A field, and what each of the two has there."""

    field: str
    recorded: Any
    asked: Any

    def __str__(self) -> str:
        recorded, asked = _shown(self.recorded, self.asked), _shown(self.asked, self.recorded)
        return f"{self.field} differs: recorded {recorded} asked {asked}"

    @property
    def size(self) -> int:
        """How many characters of a text are not the same, but for its beginning and its end."""
        if not isinstance(self.recorded, str) or not isinstance(self.asked, str):
            return 0
        begin = _same(self.recorded, self.asked)
        end = _same(self.recorded[begin:][::-1], self.asked[begin:][::-1])
        return max(len(self.recorded), len(self.asked)) - begin - end


def differences(recorded: Document, asked: Document) -> list[Difference]:
    """What differs, in the order of the request. Nothing does, if only the day of the run does."""
    return _leaves(recorded, asked, volatile.undated) and _leaves(recorded, asked, volatile.dated)


def distance(found: list[Difference]) -> tuple[int, int]:
    """How far two requests are from each other, the nearest first when sorted."""
    return len(found), sum(difference.size for difference in found)


def _leaves(recorded: Document, asked: Document, read: Any) -> list[Difference]:
    old, new = dict(_flat(recorded, read)), dict(_flat(asked, read))
    fields = [*new, *(field for field in old if field not in new)]
    found = [Difference(field, old.get(field, ABSENT), new.get(field, ABSENT)) for field in fields]
    return [one for one in found if one.recorded is ABSENT or one.asked is ABSENT or one.recorded != one.asked]


def _flat(value: Any, read: Any, field: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name in sorted(value):
            yield from _flat(value[name], read, f"{field}.{name}" if field and field != "body" else name)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _flat(item, read, f"{field}[{index}]")
    else:
        yield field, read(value) if isinstance(value, str) else value


def _shown(value: Any, other: Any) -> str:
    """A value in few characters, those that differ from the other's among them."""
    if not isinstance(value, str):
        text = repr(value) if value is ABSENT else json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    start = 0
    if isinstance(other, str) and len(value) > _LONGEST:
        start = max(0, _same(value, other) - _BEFORE)
    end = start + _LONGEST
    piece = ("…" if start else "") + value[start:end] + ("…" if end < len(value) else "")
    return "'" + piece.replace("\n", "\\n") + "'"


def _same(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))
