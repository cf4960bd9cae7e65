"""Trace and span ids have 16 and 8 bytes, or none: a request with another is refused, as officially.

One found later would spoil a file's line, or a larger request that other clients' items travel in. The hot path reads
every span here, so the loops are left to `map`.
"""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from llmtrace_collector.errors import MalformedError
from llmtrace_collector.otlp.signals import LOGS, METRICS, TRACES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmtrace_collector.otlp.signals import Signal

trace_id = attrgetter("trace_id")
span_id = attrgetter("span_id")
parent_span_id = attrgetter("parent_span_id")
links = attrgetter("links")
exemplars = attrgetter("exemplars")
TRACE_ID_LENGTHS = frozenset((0, 16))
SPAN_ID_LENGTHS = frozenset((0, 8))


def check(signal: Signal, message: Any) -> None:
    """Looks at every id of an export request. Raises MalformedError for one of wrong length."""
    CHECKS[signal](message)


def _traces(message: Any) -> None:
    for resource in message.resource_spans:
        for scope in resource.scope_spans:
            spans = list(scope.spans)
            _lengths(spans)
            _expect(SPAN_ID_LENGTHS, map(parent_span_id, spans))
            _expect(
                TRACE_ID_LENGTHS, map(trace_id, chain.from_iterable(map(links, spans)))
            )  # of few spans, or of many:
            _expect(SPAN_ID_LENGTHS, map(span_id, chain.from_iterable(map(links, spans))))  # a list could be any size


def _logs(message: Any) -> None:
    for resource in message.resource_logs:
        for scope in resource.scope_logs:
            _lengths(list(scope.log_records))


def _metrics(message: Any) -> None:
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                if kind is not None and kind != "summary":  # which has no exemplars
                    points = getattr(metric, kind).data_points
                    _lengths(list(chain.from_iterable(map(exemplars, points))))


def _lengths(items: list[Any]) -> None:
    if items:
        _expect(TRACE_ID_LENGTHS, map(trace_id, items))
        _expect(SPAN_ID_LENGTHS, map(span_id, items))


def _expect(lengths: frozenset[int], ids: Iterable[bytes]) -> None:
    if not lengths.issuperset(map(len, ids)):
        raise MalformedError(f"the request holds an id that has not {max(lengths)} bytes")


CHECKS: dict[Signal, Callable[[Any], None]] = {TRACES: _traces, LOGS: _logs, METRICS: _metrics}
