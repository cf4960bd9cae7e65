"""Spans of the OpenTelemetry SDK, started as its `Tracer.start_span` starts them.

The tracer's sampler decides, its generator makes the ids, its processors see the span when it starts and when it ends,
and the span is of the SDK's class. What is left out are its constructors, and `_clean_attribute_value`, function upon
function for each value, wherever types and limits show at once that there is nothing to clean.

This leans on names that the SDK keeps to itself. `knows` therefore starts one span in each way, which go nowhere, and
compares all that they hold: where anything differs, spans are not started here.
"""

from __future__ import annotations

import copy
import logging
from threading import Lock
from types import FunctionType
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace._tracer_metrics import NoOpTracerMetrics
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

_log = logging.getLogger("llmtrace_otel")

_start_span = sdk.Tracer.start_span
_TEXT = frozenset({str})
_PLAIN = frozenset({str, int, float, bool})
_LISTS = frozenset({list, tuple})
_PER_SPAN = ("_context", "_lock", "_attributes", "_events", "_links", "_status")
_UNSET = Status(StatusCode.UNSET)
_FLAGS = {
    (sampled, random): TraceFlags(sampled * TraceFlags.SAMPLED | random * TraceFlags.RANDOM_TRACE_ID)
    for sampled in (False, True)
    for random in (False, True)
}


def is_untouched() -> bool:
    """Whether the SDK still starts spans itself, and nobody has wrapped its function."""
    return sdk.Tracer.start_span is _start_span


def knows(tracer: trace.Tracer) -> bool:
    """Whether spans of this tracer can be started here."""
    return (
        type(tracer) is sdk.Tracer
        and "start_span" not in vars(tracer)
        and isinstance(_start_span, FunctionType)
        and _start_span.__code__.co_filename == sdk.__file__
        and _starts_the_same(tracer)
    )


def start(tracer: Any, name: str, attributes: dict[str, Any], start_ns: int, here: Context) -> Span:
    """Starts a client's span below the span of a context."""
    above = trace.get_current_span(here).get_span_context()
    if not tracer._is_enabled():
        return NonRecordingSpan(above)
    ids = tracer.id_generator
    if above is not None and above.is_valid:
        parent, trace_id, is_random = above, above.trace_id, above.trace_flags.random_trace_id
    else:
        parent, trace_id, is_random = None, ids.generate_trace_id(), bool(ids.is_trace_id_random())
    sampled = tracer.sampler.should_sample(here, trace_id, name, SpanKind.CLIENT, attributes, ())
    context = SpanContext(
        trace_id,
        ids.generate_span_id(),
        is_remote=False,
        trace_flags=_FLAGS[sampled.decision.is_sampled(), is_random],
        trace_state=sampled.trace_state,
    )
    record_end = tracer._tracer_metrics.start_span(parent, sampled.decision)
    if not sampled.decision.is_recording():
        return NonRecordingSpan(context)
    limits = tracer._span_limits
    given = None
    if sampled.attributes == attributes:  # else the sampler has some of its own, of any kind
        given = _fitting(dict(attributes), 0, limits.max_span_attributes, limits.max_span_attribute_length)
    bounded: Any = object.__new__(BoundedAttributes)
    bounded.__dict__ = {
        "_dict": {} if given is None else given,
        "maxlen": limits.max_span_attributes,
        "dropped": 0,
        "max_value_len": limits.max_span_attribute_length,
        "_lock": Lock(),
        "_immutable": False,
    }
    if given is None:
        bounded._set_items(sampled.attributes)
    span: Any = object.__new__(sdk._Span)
    span.__dict__ = {
        "_name": name,
        "_context": context,
        "_kind": SpanKind.CLIENT,
        "_instrumentation_info": tracer.instrumentation_info,
        "_instrumentation_scope": tracer._instrumentation_scope,
        "_parent": parent,
        "_start_time": start_ns,
        "_end_time": None,
        "_attributes": bounded,
        "_events": BoundedList(limits.max_events),
        "_links": BoundedList(limits.max_links),
        "_resource": tracer.resource,
        "_status": _UNSET,
        "_trace_config": None,
        "_record_exception": True,
        "_set_status_on_exception": True,
        "_sampler": tracer.sampler,
        "_span_processor": tracer.span_processor,
        "_limits": limits,
        "_lock": Lock(),
        "_record_end_metrics": record_end,
    }
    tracer.span_processor.on_start(span, parent_context=here)
    return span  # type: ignore[no-any-return]


def add(span: Any, attributes: dict[str, Any]) -> bool:
    """Sets attributes on an open span, if they need no cleaning and find room; gives whether they did."""
    if type(span) is not sdk._Span or span._end_time is not None:
        return False
    bounded: Any = span._attributes
    with bounded._lock:
        given = _fitting(attributes, len(bounded._dict), bounded.maxlen, bounded.max_value_len)
        if given is None:
            return False
        bounded._dict.update(given)
    return True


def _fitting(attributes: dict[str, Any], others: int, most: int | None, longest: int | None) -> dict[str, Any] | None:
    """The attributes as the SDK would keep them, beside others; `None` if it has more to look at than their types."""
    if longest is not None or (most is not None and others + len(attributes) > most):
        return None
    if _PLAIN.issuperset(map(type, attributes.values())):
        return attributes
    fitting = dict(attributes)
    for name, value in attributes.items():
        if type(value) not in _PLAIN:
            if type(value) not in _LISTS or not _TEXT.issuperset(map(type, value)):
                return None
            fitting[name] = tuple(value)
    return fitting


def _starts_the_same(tracer: trace.Tracer) -> bool:
    """Whether a span that is started here is what the SDK would have made."""
    try:
        probe: Any = copy.copy(tracer)
        probe.sampler = ALWAYS_ON
        probe.id_generator = RandomIdGenerator()
        probe.span_processor = sdk.SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
        probe._tracer_metrics = NoOpTracerMetrics()
        name, attributes, here = "probe", {"text": "a", "texts": ["b"]}, Context()
        theirs = _start_span(probe, name, here, SpanKind.CLIENT, attributes, start_time=1)
        ours = start(probe, name, attributes, 1, here)
        return type(theirs) is type(ours) and _told(theirs) == _told(ours)
    except Exception:
        _log.debug("llmtrace: spans are started by the SDK, which is not the one that is known", exc_info=True)
        return False


def _told(span: Any) -> dict[str, Any]:
    """All that a span holds; of what each has for itself, what it is."""
    held = {**vars(span), **vars(span._attributes)}
    for name in _PER_SPAN:
        held[name] = type(held[name])
    status, context = span.status, span.get_span_context()
    told = {"status": (status.status_code, status.description), "context": tuple(context)[2:]}
    return held | told | {name: list(getattr(span, name)) for name in ("events", "links")}
