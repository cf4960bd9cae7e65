"""What budgets and rules are about: the spans of each trace, session, file or value of an attribute.

Spans of a trace that name no session are of the session that its other spans name first; of none, the trace itself is
one. A span that was exported twice counts once, as it was recorded last.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from llmtrace_otel.check.measure import Measure
from llmtrace_otel.check.rules.partition import HELD, partitioned
from llmtrace_otel.check.trace import forest
from llmtrace_otel.read.text import clean
from llmtrace_otel.telemetry import semconv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from llmtrace_otel.check.rules.recorded import Recorded
    from llmtrace_otel.check.steps import Step


NO_SESSION: Final = "\0"
"""Stands before the id of a trace that is a session of its own."""


class Group:
    """Spans that are judged together. `spans` is empty unless they are to be kept: sums need none of them."""

    def __init__(self, by: str, key: str, *, keep: bool) -> None:
        self.by = by
        self.key = key
        self.measure = Measure()
        self.spans: list[Recorded] = []
        self.session = ""
        self._keep = keep

    def add(self, span: Recorded) -> None:
        """Adds one more."""
        self.measure.add(span)
        if self._keep:
            self.spans.append(span)
        if not self.session:
            self.session = span.session or ""

    @property
    def order(self) -> tuple[int, str]:
        """Groups are told in the order of their starts."""
        return self.measure.start, self.key

    @property
    def label(self) -> str:
        """`trace 7f3a91c2 (session s-42)`, `session s-42`, `file a.jsonl`, `service.name api`."""
        if self.by == "trace":
            return f"trace {clean(self.key[:8])}" + (f" (session {clean(self.session, 40)})" if self.session else "")
        if self.key.startswith(NO_SESSION):
            return f"trace {clean(self.key[1:9])} (no session)"
        return f"{self.by.removeprefix('attr:')} {clean(self.key, 60) or 'none'}"

    @cached_property
    def roots(self) -> list[Step]:
        return self._forest[0]

    @cached_property
    def steps(self) -> list[Step]:
        """In order of their starts."""
        return self._forest[1]

    @cached_property
    def _forest(self) -> tuple[list[Step], list[Step]]:
        return forest(sorted(self.spans, key=lambda span: (span.start, span.trace_id)))


def groups(
    spans: Iterable[Recorded],
    by: str,
    *,
    keep: bool,
    held: int = HELD,
    see: Callable[[Recorded], None] | None = None,
) -> Iterator[Group]:
    """The groups of spans, each whole.

    Args:
        spans: In any order.
        by: `trace`, `session`, `file` or `attr:KEY`.
        keep: Whether groups keep their spans.
        held: Spans that may be in memory at a time; more only if a trace, or a group that keeps its spans, has more.
        see: Is shown every span once.
    """
    traces = _traces(spans, held)
    if see is not None:
        traces = _seen(traces, see)
    if by == "trace":
        for trace in traces:
            yield _group(by, trace[0].trace_id, trace, keep=keep)
        return
    key = _keys(by)
    if by == "file":  # few, so each is filled as spans come
        yield from _filled(by, (span for trace in traces for span in trace), key, keep=keep)
        return
    members = (span for trace in traces for span in (_in_sessions(trace) if by == "session" else trace))
    for part in partitioned(members, key, held):
        yield from _filled(by, part, key, keep=keep)


def _traces(spans: Iterable[Recorded], held: int) -> Iterator[list[Recorded]]:
    """The spans of each trace, none twice."""
    for part in partitioned(spans, lambda span: span.trace_id, held):
        by_trace: dict[str, dict[str, Recorded]] = {}
        for span in part:
            by_trace.setdefault(span.trace_id, {})[span.span_id] = span
        for by_id in by_trace.values():
            yield list(by_id.values())


def _seen(traces: Iterator[list[Recorded]], see: Callable[[Recorded], None]) -> Iterator[list[Recorded]]:
    for trace in traces:
        for span in trace:
            see(span)
        yield trace


def _in_sessions(trace: list[Recorded]) -> list[Recorded]:
    """The spans of a trace, each of which names a session if any does."""
    if first := next((span.session for span in trace if span.session), None):
        for span in trace:
            if not span.session:
                span.attributes[semconv.SESSION_ID] = first
    return trace


def _group(by: str, key: str, spans: Iterable[Recorded], *, keep: bool) -> Group:
    group = Group(by, key, keep=keep)
    for span in spans:
        group.add(span)
    return group


def _filled(by: str, spans: Iterable[Recorded], key: Callable[[Recorded], str], *, keep: bool) -> Iterator[Group]:
    found: dict[str, Group] = {}
    for span in spans:
        name = key(span)
        if (group := found.get(name)) is None:
            group = found[name] = Group(by, name, keep=keep)
        group.add(span)
    yield from found.values()


def _keys(by: str) -> Callable[[Recorded], str]:
    """What a span belongs to."""
    if by == "file":
        return lambda span: span.file
    if by == "session":
        return lambda span: span.session or NO_SESSION + span.trace_id
    name = by.removeprefix("attr:")
    return lambda span: _written(span.attributes.get(name))


def _written(value: Any) -> str:
    return "" if value is None else str(value)
