"""Content as a delta: a span names the span that has the beginning of its conversation, instead of repeating it.

Each turn of a conversation sends all earlier messages again, so that spans with whole content grow with the square of
its length. With `LLMTRACE_CONTENT=delta` a span leaves out as many of its first input messages as another span of this
process has exported, and says so: `llmtrace.content.omitted_messages` tells how many,
`llmtrace.content.previous_span_id` where they are, and `llmtrace.content.previous_trace_id` in which trace, if it is
another one. They are the first messages of that span's own conversation: its input, what it leaves out itself
included, and then its output. System instructions and tool definitions that the named span has (or, with none of its
own, the one that it names) are left out too; `[]` says that there are none any more.

No text is kept, only fingerprints. That of a message is over the one before it, so that it stands for the conversation
up to there, whoever continues it. They are of messages as they were sent, before redaction and limit: what was exported
redacted or cut is referred to as such. A message that the limit has left out is nowhere, so nothing refers to it; and a
span from which the limit leaves out input messages refers to none, so that it counts nothing but what is nowhere.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import accumulate
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llmtrace_otel.telemetry import content, semconv

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from llmtrace_otel.wire.call import Message

SETTING: Final = (semconv.SYSTEM_INSTRUCTIONS, semconv.TOOL_DEFINITIONS)
"""What a call has besides messages: it stays as it is for most of a conversation."""
SIZE: Final = 8_192
"""Messages whose place is remembered, at some 350 bytes each."""

_NONE: Final = b"[]"


class Place(NamedTuple):
    """A span that exported messages, and the fingerprints of the setting in which it did."""

    trace_id: int
    span_id: int
    setting: tuple[bytes, ...]


class Places:
    """Conversation up to a message, as a fingerprint → the span that exported the message. The latest ones only."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._places: OrderedDict[bytes, Place] = OrderedDict()
        self.lock = RLock()  # a signal may end a span while another is being ended

    def longest(self, conversation: Sequence[bytes], least: int) -> tuple[int, Place | None]:
        """How many of its messages, if it is `least` or more, some span has; and which span has the last of them."""
        with self.lock:
            for count in range(len(conversation), least - 1, -1):
                if (place := self._places.get(conversation[count - 1])) is not None:
                    self._places.move_to_end(conversation[count - 1])
                    return count, place
        return 0, None

    def add(self, conversation: Iterable[bytes], place: Place) -> None:
        with self.lock:
            for point in conversation:
                self._places[point] = place
                self._places.move_to_end(point)
            while len(self._places) > self._size:
                self._places.popitem(last=False)


PLACES = Places()

# A child goes on with what the parent has exported; it must not inherit a lock that nobody will release.
os.register_at_fork(before=PLACES.lock.acquire, after_in_parent=PLACES.lock.release, after_in_child=PLACES.lock.release)


def recorded(given: dict[str, list[Message]], span: Span) -> content.Recorded:
    """As `content.recorded`, without what an earlier span has. Later ones may refer to this span if it is sampled."""
    if not given.get(semconv.INPUT_MESSAGES):
        return content.recorded(given)
    said = _Said(given, span)
    count, place = PLACES.longest(said.conversation[: said.inputs], said.least)
    found = said.since(count, place)
    if place is not None and semconv.CONTENT_OMITTED_MESSAGES in found:
        count, place = 0, None
        found = said.since(count, place)
    context = span.get_span_context()
    if context.trace_flags.sampled:
        here = Place(context.trace_id, context.span_id, said.setting)
        PLACES.add(said.conversation[count : said.exported(found)], here)
    if place is not None:
        found |= _reference(count, place, context.trace_id)
    return found


def _reference(count: int, place: Place, trace_id: int) -> content.Recorded:
    found: content.Recorded = {
        semconv.CONTENT_PREVIOUS_SPAN_ID: f"{place.span_id:016x}",
        semconv.CONTENT_OMITTED_MESSAGES: count,
    }
    if place.trace_id != trace_id:
        found[semconv.CONTENT_PREVIOUS_TRACE_ID] = f"{place.trace_id:032x}"
    return found


class _Said:
    """A call's content with its fingerprints. Input messages are encoded once, to be hashed and to be exported."""

    def __init__(self, given: dict[str, list[Message]], span: Span) -> None:
        self._given = given
        self._messages = [content.json_bytes(message) for message in given[semconv.INPUT_MESSAGES]]
        self._setting = {name: content.json_bytes(given[name]) if name in given else _NONE for name in SETTING}
        answers = [content.json_bytes(as_input(answer)) for answer in given.get(semconv.OUTPUT_MESSAGES, ())]
        self.inputs = len(self._messages)
        self.least = first_said(given[semconv.INPUT_MESSAGES])
        self.conversation = fingerprints(self._messages + answers, seed(getattr(span, "attributes", None) or {}))
        """Fingerprints of the conversation up to each message, first of the input and then of the output."""
        self.setting = tuple(map(fingerprint, self._setting.values()))

    def since(self, count: int, place: Place | None) -> content.Recorded:
        """What may leave, without the first `count` messages, and without a setting that is the one at `place`."""
        new = self._given | {semconv.INPUT_MESSAGES: self._given[semconv.INPUT_MESSAGES][count:]}
        json = self._setting | {semconv.INPUT_MESSAGES: b"[%b]" % b",".join(self._messages[count:])}
        if place is not None:
            for name, here, there in zip(SETTING, self.setting, place.setting, strict=True):
                new[name] = self._given.get(name, [])
                if here == there:
                    del new[name]
        return content.recorded(new, json)

    def exported(self, found: content.Recorded) -> int:
        """Up to which message the conversation is exported now, wherever."""
        if _is_short(found[semconv.INPUT_MESSAGES]):
            return 0
        return self.inputs if _is_short(found.get(semconv.OUTPUT_MESSAGES)) else len(self.conversation)


def _is_short(found: content.Exported | int | str | None) -> bool:
    return isinstance(found, content.Exported) and found.omitted > 0


def fingerprint(json: bytes, before: bytes = b"") -> bytes:
    return blake2b(json, digest_size=16, key=before).digest()


def fingerprints(messages: Iterable[bytes], before: bytes) -> list[bytes]:
    """Of a conversation up to each of its messages, given as JSON. `before` stands for all that was earlier."""
    return list(accumulate(messages, lambda last, json: fingerprint(json, last), initial=before))[1:]


def seed(attributes: Any) -> bytes:
    """Where the conversations of a span's session begin: equal words in two sessions are two conversations."""
    return fingerprint(str(attributes.get(semconv.SESSION_ID, "")).encode(errors="surrogatepass"))


def as_input(answer: Message) -> Message:
    """An output message as it is when it comes back as input: nobody sends its finish reason."""
    return {key: value for key, value in answer.items() if key != "finish_reason"}


def first_said(messages: list[Message]) -> int:
    """The number, from 1, of the first message that somebody said: what a system is told is no conversation yet."""
    told = ("system", "developer")
    return next(
        (number for number, message in enumerate(messages, 1) if message.get("role") not in told), len(messages) + 1
    )
