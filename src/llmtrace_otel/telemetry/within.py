"""A call that is recorded above the request: what the requests sent within it show becomes part of the one span.

A library such as LiteLLM makes the span. The requests that it sends are read like any other, and what they show is
merged into its call when that ends: the tokens that the provider stated, the server, ids that the library replaces.

    frame = Frame(call_span)            # the library's call has started
    part = frame.part(call)             # a request of it has; its end changes nothing by itself
    frame.merge()                       # the library's call is over: its call now has what was seen
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING

from opentelemetry.trace import Span

from llmtrace_otel.wire.call import Call, Usage

if TYPE_CHECKING:
    from llmtrace_otel.telemetry.spans import CallSpan

_TRUER = ("request_model", "response_id", "response_model", "response_status")
"""What the request and its answer know better: libraries rename models and make up ids."""
_GAPS = (
    "server_address",
    "server_port",
    "url_path",
    "api_type",
    "choice_count",
    "seed",
    "top_k",
    "top_p",
    "temperature",
    "max_tokens",
    "frequency_penalty",
    "presence_penalty",
    "stop_sequences",
    "reasoning_level",
    "previous_response_id",
    "stream_cursor",
    "conversation_id",
    "output_type",
    "encoding_formats",
    "dimensions",
    "request_service_tier",
    "http_status",
    "finish_reasons",
    "service_tier",
    "system_fingerprint",
    "stated_cost",
    "gateway_cost",
    "replayed_seconds",
    "first_chunk_ns",
    "unreadable",
    "keys_seen",
    "sent",
    "input_messages",
    "output_messages",
    "system_instructions",
    "tool_definitions",
)
"""What they add where the library's call says nothing. Its error is its own: what failed may have been tried again."""

_truer_of = attrgetter(*_TRUER)
_gaps_of = attrgetter(*_GAPS)


class Part:
    """One request within a recorded call, and the attempts that repeat it. It looks like the span of a call."""

    __slots__ = ("_frame", "call", "settle")

    settle: Callable[[], None] | None
    """Ends what is still being read of it."""

    def __init__(self, frame: Frame, call: Call) -> None:
        self._frame = frame
        self.call = call
        self.settle = None

    @property
    def span(self) -> Span:
        return self._frame.span

    def end(self) -> None:
        """The request is over."""
        self.settle = None


class Frame:
    """A call that is recorded above its requests."""

    __slots__ = ("_call_span", "_parts", "answers", "sending", "span")

    def __init__(self, call_span: CallSpan) -> None:
        self._call_span = call_span
        self._parts: list[Part] = []
        self.span = call_span.span
        self.sending = False
        """Whether requests that start now are its own: a task or thread that it started may outlive it."""
        self.answers = 0
        """How many of its requests were answered with a count of tokens, once they are merged."""

    def part(self, call: Call) -> Part:
        """A request of this call starts. What the call has no use for is not built."""
        call.capture = call.capture and self._call_span.call.capture
        part = Part(self, call)
        self._parts.append(part)
        return part

    @property
    def has_requests(self) -> bool:
        """Whether any request of it was seen."""
        return bool(self._parts)

    @property
    def complete_without_usage(self) -> bool:
        """Whether its last request was answered whole, and without a count of tokens."""
        last = self._parts[-1].call if self._parts else None
        return last is not None and last.complete and last.usage is None

    def merge(self) -> None:
        """Puts what the requests showed so far into the call."""
        seen: list[Call] = []
        self.answers = 0
        for part in self._parts:
            if part.settle is not None:
                part.settle()
            seen.append(part.call)
            self.answers += part.call.usage is not None
        if seen:
            merge(self._call_span.call, seen)


def merge(call: Call, seen: list[Call]) -> None:
    """Adds to `call` what the calls seen within it know. The last one is its answer; each one's tokens were used."""
    *earlier, answer = seen
    for field, value in zip(_TRUER, _truer_of(answer), strict=True):
        if value is not None:
            setattr(call, field, value)
    add_gaps(call, answer)
    call.attempts = answer.attempts
    call.complete = call.complete or answer.complete
    if (used := answer.usage) is not None:
        call.usage = used
    if earlier:
        _add_earlier(call, earlier)


def add_gaps(call: Call, other: Call) -> None:
    """Fills what `call` lacks from another reading of it."""
    for field, told, known in zip(_GAPS, _gaps_of(other), _gaps_of(call), strict=True):
        if told is not None and known is None:
            setattr(call, field, told)


def _add_earlier(call: Call, earlier: Iterable[Call]) -> None:
    """Counts the attempts before the last, and what their answers used: one call may be several of the model's."""
    for one in earlier:
        call.attempts += one.attempts
        if one.usage is None:
            continue
        call.usage = one.usage if call.usage is None else sum_of(call.usage, one.usage)


def sum_of(one: Usage, other: Usage) -> Usage:
    """Both counts together; a number that only one of them states is that one's."""
    added = Usage()
    for field in Usage.__struct_fields__:
        counts = [count for usage in (one, other) if (count := getattr(usage, field)) is not None]
        setattr(added, field, sum(counts) if counts else None)
    return added
