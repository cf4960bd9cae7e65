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

Most of a request is old, byte for byte: of what `as_sent` knows by its bytes, nothing is built.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llmtrace_otel.telemetry import content, semconv
from llmtrace_otel.telemetry.as_sent import Request
from llmtrace_otel.telemetry.latest import Latest

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from llmtrace_otel.wire.call import Message
    from llmtrace_otel.wire.sent import Sent

SETTING: Final = (semconv.SYSTEM_INSTRUCTIONS, semconv.TOOL_DEFINITIONS)
"""What a call has besides messages: it stays as it is for most of a conversation."""
_NONE: Final = b"[]"


class Place(NamedTuple):
    """A span that exported messages, and the fingerprints of the setting in which it did."""

    trace_id: int
    span_id: int
    setting: tuple[bytes, ...]


class Places(Latest[bytes, Place]):
    """By the fingerprints of conversations up to a message: the span that exported the message."""


PLACES = Places()
PLACES.go_on_after_fork()


def recorded(given: dict[str, list[Message]], span: Span, sent: Sent | None = None) -> content.Recorded:
    """As `content.recorded`, without what an earlier span has. Later ones may refer to this span if it is sampled.

    `sent` has the input messages where `given` has not.
    """
    start = seed(getattr(span, "attributes", None) or {})
    if sent is not None:
        return _as_sent(given, span, sent, start)
    if not given.get(semconv.INPUT_MESSAGES):
        return content.recorded(given)
    return _whole(_Said(given, 0, start), span)


def _as_sent(given: dict[str, list[Message]], span: Span, sent: Sent, start: bytes) -> content.Recorded:
    """Builds what is new, and the rest only if it has to be exported, or looked for, once more."""
    request = Request(sent, start)
    if (known := request.known()) is not None and (new := request.after(known[0])) is not None:
        said = _Said(given | {semconv.INPUT_MESSAGES: new}, *known)
        if (found := _referring(said, span)) is not None:
            request.remember(*said.given)
            return found
    messages = request.after(0)
    given = given | {semconv.INPUT_MESSAGES: sent.messages() if messages is None else messages}
    if not given[semconv.INPUT_MESSAGES]:
        return content.recorded(given)
    said = _Said(given, 0, start)
    if messages is not None:
        request.remember(*said.given)
    return _whole(said, span)


def _whole(said: _Said, span: Span) -> content.Recorded:
    """Where all messages are at hand: without those that an earlier span has, or with all of them."""
    found = _referring(said, span)
    if found is None:
        found = said.since(0, None)
        said.leave_at(span, 0, found)
    return found


def _referring(said: _Said, span: Span) -> content.Recorded | None:
    """What refers to an earlier span; `None` where there is none, or the limit leaves out what is new."""
    count, place = PLACES.longest(said.points[: said.inputs + 1], said.least + 1)
    if place is None:
        return None
    new = count - 1
    found = said.since(new, place)
    if semconv.CONTENT_OMITTED_MESSAGES in found:
        return None
    said.leave_at(span, new, found)
    return found | _reference(said.before + new, place, span.get_span_context().trace_id)


def _reference(count: int, place: Place, trace_id: int) -> content.Recorded:
    found: content.Recorded = {
        semconv.CONTENT_PREVIOUS_SPAN_ID: f"{place.span_id:016x}",
        semconv.CONTENT_OMITTED_MESSAGES: count,
    }
    if place.trace_id != trace_id:
        found[semconv.CONTENT_PREVIOUS_TRACE_ID] = f"{place.trace_id:032x}"
    return found


class _Said:
    """A call's content with its fingerprints. Input messages are encoded once, to be hashed and to be exported.

    The `before` messages that it began with are not given again: `point` is the fingerprint of the conversation there.
    """

    def __init__(self, given: dict[str, list[Message]], before: int, point: bytes) -> None:
        new = given[semconv.INPUT_MESSAGES]
        self.before = before
        self._given = given
        self._messages = [content.json_bytes(message) for message in new]
        self._setting = {name: content.json_bytes(given[name]) if name in given else _NONE for name in SETTING}
        answers = [content.json_bytes(as_input(answer)) for answer in given.get(semconv.OUTPUT_MESSAGES, ())]
        self.inputs = len(new)
        self.points = [point, *fingerprints(self._messages + answers, point)]
        """Fingerprints of the conversation: where it is known up to, then after each message of input and of output."""
        self.least = 0 if before else first_said(new)
        """How many of them make a conversation with those before, which are one."""
        self.setting = tuple(map(fingerprint, self._setting.values()))

    @property
    def given(self) -> tuple[int, list[bytes]]:
        """After how many messages there is a conversation, and its fingerprints after each further one of input."""
        first = max(self.least, 1)
        return self.before + first - 1, self.points[first : self.inputs + 1]

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

    def leave_at(self, span: Span, count: int, found: content.Recorded) -> None:
        """Remembers that the span has what comes after `count` messages, up to where it is exported."""
        context = span.get_span_context()
        if context.trace_flags.sampled:
            here = Place(context.trace_id, context.span_id, self.setting)
            PLACES.add(self.points[count + 1 : self._exported(found) + 1], repeat(here))

    def _exported(self, found: content.Recorded) -> int:
        """Up to which message the conversation is exported now, wherever."""
        if _is_short(found[semconv.INPUT_MESSAGES]):
            return 0
        return self.inputs if _is_short(found.get(semconv.OUTPUT_MESSAGES)) else len(self.points) - 1


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
