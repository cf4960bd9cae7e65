"""What was said in a call: its whole conversation, put together from the spans that hold parts of it.

A span may hold its conversation whole, or only what is new in it and a reference to the span that has the rest
(`telemetry/delta.py` tells how). Both become the same here: a `Turn`, which is what is new and the turn before it.
Messages that cannot be had, because they are in another file or were never recorded, are a `Gap` in their place. Each
message of a file is decoded and hashed once, however often its conversation goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct, structs

from llmtrace_otel.telemetry import semconv
from llmtrace_otel.telemetry.content import json_bytes
from llmtrace_otel.telemetry.delta import as_input, fingerprint, fingerprints, first_said, seed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmtrace_otel.read.span import Span

Message = dict[str, Any]
Key = tuple[str, str]  # trace id, span id

CONTENT: Final = frozenset(
    {
        semconv.INPUT_MESSAGES,
        semconv.OUTPUT_MESSAGES,
        semconv.SYSTEM_INSTRUCTIONS,
        semconv.TOOL_DEFINITIONS,
        semconv.CONTENT_PREVIOUS_SPAN_ID,
    }
)
NOT_HERE: Final = "not in this file"
CIRCLE: Final = "which refers back to this one"
FEWER: Final = "which has fewer"
LEFT_OUT: Final = "left out when this was recorded"


class Gap(Struct, frozen=True):
    """Messages that belong here and cannot be had. The ids are those of the span that should have them.

    Without a `span_id` there is no such span; without a `trace_id` it is in the same trace.
    """

    messages: int
    why: str
    trace_id: str = ""
    span_id: str = ""

    def __str__(self) -> str:
        span = f" in span {self.span_id}" if self.span_id else ""
        trace = f" of trace {self.trace_id}" if self.trace_id else ""
        return f"{earlier(self.messages)}{span}{trace}, {self.why}"


def earlier(count: int) -> str:
    return "… 1 earlier message" if count == 1 else f"… {count} earlier messages"


class Turn(Struct, eq=False):
    """What was said in one call: the first `shared` messages of the conversation `before`, a gap, what is new.

    Messages have the form of the GenAI conventions as far as the file has it. What is no list of objects, such as JSON
    that an attribute's length limit has cut, is one text, of the role `?`. Instructions and tools that are None are not
    known.
    """

    span: Span
    before: Turn | None = None
    shared: int = 0
    gap: Gap | None = None
    new: list[Message] = []
    answers: list[Message] = []
    system_instructions: list[Message] | None = None
    tool_definitions: list[Message] | None = None

    @property
    def known(self) -> int:
        """How many input messages are not new."""
        return self.shared + (self.gap.messages if self.gap else 0)

    @property
    def length(self) -> int:
        """Messages of the conversation up to and with the answer."""
        return self.known + len(self.new) + len(self.answers)

    def input(self) -> list[Message | Gap]:
        """All messages that the call was given, first to last."""
        parts = []
        turn: Turn | None = self
        end = self.known + len(self.new)
        while turn is not None and end > 0:
            parts.append(turn._part(end))
            end = min(end, turn.shared)
            turn = turn.before
        return [message for part in reversed(parts) for message in part]

    def _part(self, end: int) -> list[Message | Gap]:
        """Of the conversation's first `end` messages those that are not in the one before."""
        said = [*self.new, *map(as_input, self.answers)][: max(end - self.known, 0)]
        if self.gap is None or end <= self.shared:
            return [*said]
        return [structs.replace(self.gap, messages=min(self.gap.messages, end - self.shared)), *said]


class Conversations:
    """The turns of spans. Give it all spans of a file: a conversation may go on in another trace."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._spans = {key_of(span): span for span in spans if not CONTENT.isdisjoint(span.attributes)}
        self._turns: dict[Key, _Recorded] = {}
        self._points: dict[bytes, Turn] = {}
        for span in sorted(self._spans.values(), key=lambda span: span.start):
            self._read(span)

    def turn(self, span: Span) -> Turn | None:
        """What was said in a call; None if the span has no content."""
        recorded = self._turns.get(key_of(span))
        return None if recorded is None else recorded.turn

    def _read(self, span: Span) -> None:
        """Reads the span after those that it refers to. Where they go in a circle, one of them is read first."""
        path: dict[Key, Span] = {}
        key: Key | None = key_of(span)
        while key in self._spans and key not in self._turns and key not in path:
            path[key] = self._spans[key]
            key = _reference(path[key])
        for key, span in reversed(path.items()):
            self._turns[key] = self._recorded(span)

    def _recorded(self, span: Span) -> _Recorded:
        recorded = _Recorded(span, *self._referred(span))
        turn = recorded.turn
        least = first_said(turn.new) if recorded.start == 0 else 1
        for count in range(len(turn.new), least - 1, -1):
            if (before := self._points.get(recorded.points[count])) is not None:
                turn.before, turn.shared, turn.gap = before, recorded.start + count, None
                turn.new = turn.new[count:]
                break
        for point in recorded.points[1:]:
            self._points.setdefault(point, turn)
        return recorded

    def _referred(self, span: Span) -> tuple[_Recorded | None, int, Gap | None]:
        """What the span refers to, how many of its messages can be had there, and those that cannot."""
        omitted = span.count(semconv.CONTENT_OMITTED_MESSAGES) or 0
        key = _reference(span)
        if key is None:
            return None, 0, Gap(omitted, LEFT_OUT) if omitted else None
        before = self._turns.get(key)
        shared = 0 if before is None else min(omitted, before.turn.length)
        why = FEWER if before is not None else CIRCLE if key in self._spans else NOT_HERE
        there = ("" if key[0] == span.trace_id else key[0], key[1])
        return before, shared, Gap(omitted - shared, why, *there) if shared < omitted else None


class _Recorded:
    """A turn as its span tells it, and fingerprints of the conversation up to each of the messages that it has."""

    def __init__(self, span: Span, before: _Recorded | None, shared: int, gap: Gap | None) -> None:
        self._before, self._shared = before, shared
        new = _messages(span.attributes.get(semconv.INPUT_MESSAGES))
        answers = _messages(span.attributes.get(semconv.OUTPUT_MESSAGES))
        self.turn: Turn = Turn(span, None if before is None else before.turn, shared, gap, new, answers)
        self.turn.system_instructions = self._setting(semconv.SYSTEM_INSTRUCTIONS, "system_instructions")
        self.turn.tool_definitions = self._setting(semconv.TOOL_DEFINITIONS, "tool_definitions")
        self.start = self.turn.known
        base = self._base()
        said = map(json_bytes, [*new, *map(as_input, answers)])
        self.points = [base, *fingerprints(said, base)]

    def _base(self) -> bytes:
        """What stands for all before the messages that the span has itself."""
        turn = self.turn
        if turn.gap is not None:
            place = _reference(turn.span) if turn.gap.why == NOT_HERE else key_of(turn.span)
            return fingerprint(repr((place, self.start)).encode())
        if self._before is None:
            return seed(turn.span.attributes)
        return self._before.point(turn.shared)

    def point(self, count: int) -> bytes:
        """The fingerprint of the conversation's first `count` messages."""
        recorded = self
        while count < recorded.start and count <= recorded._shared and recorded._before is not None:
            recorded = recorded._before
        if count < recorded.start:  # in a gap
            return fingerprint(str(count).encode(), recorded.points[0])
        return recorded.points[count - recorded.start]

    def _setting(self, name: str, field: str) -> list[Message] | None:
        turn = self.turn
        if name in turn.span.attributes:
            return _parts(turn.span.attributes[name])
        if self._before is not None:
            found: list[Message] | None = getattr(self._before.turn, field)
            return found
        return None if _reference(turn.span) else []


def key_of(span: Span) -> Key:
    return span.trace_id, span.span_id


def _reference(span: Span) -> Key | None:
    span_id = span.text(semconv.CONTENT_PREVIOUS_SPAN_ID)
    return (span.text(semconv.CONTENT_PREVIOUS_TRACE_ID) or span.trace_id, span_id) if span_id else None


def _messages(value: Any) -> list[Message]:
    """An attribute's messages."""
    found = _items(value)
    return [{"role": "?", "parts": _as_text(value)}] if found is None else found


def _parts(value: Any) -> list[Message]:
    """An attribute's instructions or definitions."""
    found = _items(value)
    return _as_text(value) if found is None else found


def _items(value: Any) -> list[Message] | None:
    """The objects of a list, which is JSON text or, from some programs, structured; None if it is no such list."""
    if not value:
        return []
    try:
        found = msgspec.json.decode(value) if isinstance(value, str) else value
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, list) and all(isinstance(item, dict) for item in found) else None


def _as_text(value: Any) -> list[Message]:
    return [{"type": "text", "content": value if isinstance(value, str) else json_bytes(value).decode()}]
