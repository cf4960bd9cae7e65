"""Spans of the OpenTelemetry SDK, started as its `Tracer.start_span` starts them.

The tracer's sampler decides, its generator makes the ids, its processors see the span when it starts and when it ends,
and the span is of the SDK's class. What is left out are its constructors; `_clean_attribute_value`, function upon
function for each value, wherever types and limits show at once that there is nothing to clean; and the eight functions
by which the sampler that the SDK has unless it is told otherwise says yes.

This leans on names that the SDK keeps to itself. `knows` therefore starts spans in each way, which go nowhere, and
compares all that they hold: where anything differs, spans are not started here.
"""

from __future__ import annotations

import copy
import logging
from collections import deque
from threading import Lock
from types import FunctionType
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace._tracer_metrics import NoOpTracerMetrics
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON, Decision
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.trace.propagation import _SPAN_KEY

_log = logging.getLogger("llmtrace_otel")

_start_span = sdk.Tracer.start_span
_TEXT = frozenset({str})
_PLAIN = frozenset({str, int, float, bool})
_LISTS = frozenset({list, tuple})
_PER_SPAN = ("_context", "_lock", "_attributes", "_dq", "_status")
_UNSET = Status(StatusCode.UNSET)
_NO_STATE = TraceState.get_default()
_FLAGS = {
    (sampled, random): TraceFlags(sampled * TraceFlags.SAMPLED | random * TraceFlags.RANDOM_TRACE_ID)
    for sampled in (False, True)
    for random in (False, True)
}


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
    if sdk.Tracer.start_span is not _start_span:  # somebody has wrapped it
        started: Span = tracer.start_span(name, here, SpanKind.CLIENT, attributes, start_time=start_ns)
        return started
    above = trace.get_current_span(here).get_span_context() if _SPAN_KEY in here else INVALID_SPAN_CONTEXT
    if not tracer._is_enabled():
        return NonRecordingSpan(above)
    ids, sampler = tracer.id_generator, tracer.sampler
    if above is not INVALID_SPAN_CONTEXT and above is not None and above.is_valid:
        parent, trace_id, state, flags = above, above.trace_id, above.trace_state, above.trace_flags
        is_random, says_yes = flags.random_trace_id, flags.sampled
    else:
        parent, trace_id, state = None, ids.generate_trace_id(), None
        is_random, says_yes = bool(ids.is_trace_id_random()), True
    if sampler is DEFAULT_ON and says_yes:
        decision, is_sampled, is_recorded, kept = Decision.RECORD_AND_SAMPLE, True, True, attributes
    else:
        result = sampler.should_sample(here, trace_id, name, SpanKind.CLIENT, attributes, ())
        decision, state, kept = result.decision, result.trace_state, result.attributes
        is_sampled, is_recorded = decision.is_sampled(), decision.is_recording()
    span_id = ids.generate_span_id()
    is_valid = 0 < trace_id < 1 << 128 and 0 < span_id < 1 << 64
    context = tuple.__new__(
        SpanContext,
        (trace_id, span_id, False, _FLAGS[is_sampled, is_random], _NO_STATE if state is None else state, is_valid),
    )
    record_end = tracer._tracer_metrics.start_span(parent, decision)
    if not is_recorded:
        return NonRecordingSpan(context)
    limits = tracer._span_limits
    held: dict[str, Any] = {}
    bounded: Any = object.__new__(BoundedAttributes)
    bounded._dict = held
    bounded.maxlen = limits.max_span_attributes
    bounded.dropped = 0
    bounded.max_value_len = limits.max_span_attribute_length
    bounded._lock = Lock()
    bounded._immutable = False
    # A sampler may have attributes of its own, of any kind.
    if (kept is not attributes and kept != attributes) or not _put(attributes, held, bounded):
        bounded._set_items(kept)
    events: Any = object.__new__(BoundedList)
    events.dropped, events._dq, events._lock = 0, deque(maxlen=limits.max_events), Lock()
    links: Any = object.__new__(BoundedList)
    links.dropped, links._dq, links._lock = 0, deque(maxlen=limits.max_links), Lock()
    span: Any = object.__new__(sdk._Span)
    span._name = name
    span._context = context
    span._kind = SpanKind.CLIENT
    span._instrumentation_info = tracer.instrumentation_info
    span._instrumentation_scope = tracer._instrumentation_scope
    span._parent = parent
    span._start_time = start_ns
    span._end_time = None
    span._attributes = bounded
    span._events = events
    span._links = links
    span._resource = tracer.resource
    span._status = _UNSET
    span._trace_config = None
    span._record_exception = True
    span._set_status_on_exception = True
    span._sampler = sampler
    span._span_processor = tracer.span_processor
    span._limits = limits
    span._lock = Lock()
    span._record_end_metrics = record_end
    tracer.span_processor.on_start(span, parent_context=here)
    return span  # type: ignore[no-any-return]


def add(span: Any, attributes: dict[str, Any]) -> None:
    """Sets attributes on an open span."""
    if type(span) is sdk._Span and span._end_time is None:
        bounded: Any = span._attributes
        with bounded._lock:
            if _put(attributes, bounded._dict, bounded):
                return
    span.set_attributes(attributes)


def _put(attributes: dict[str, Any], held: dict[str, Any], bounded: Any) -> bool:
    """Puts attributes among those held, as the SDK would; if it has more to look at than their types, none of them."""
    most, lists = bounded.maxlen, {}
    if bounded.max_value_len is not None or (most is not None and len(held) + len(attributes) > most):
        return False
    for name, value in attributes.items():
        if (kind := type(value)) not in _PLAIN:
            if kind not in _LISTS or not _TEXT.issuperset(map(type, value)):
                return False
            lists[name] = tuple(value)
    held.update(attributes)
    if lists:
        held.update(lists)
    return True


def _starts_the_same(tracer: trace.Tracer) -> bool:
    """Whether spans that are started here are what the SDK would have made."""
    try:
        probe: Any = copy.copy(tracer)
        probe.id_generator = RandomIdGenerator()
        probe.span_processor = sdk.SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
        probe._tracer_metrics = NoOpTracerMetrics()
        name, attributes = "probe", {"text": "a", "texts": ["b"]}
        local, remote = (SpanContext(1, 2, far, TraceFlags(1 | far << 1), TraceState()) for far in (False, True))
        below = [trace.set_span_in_context(NonRecordingSpan(parent), Context()) for parent in (local, remote)]
        for probe.sampler, here in ((ALWAYS_ON, Context()), *((DEFAULT_ON, here) for here in (Context(), *below))):
            theirs = _start_span(probe, name, here, SpanKind.CLIENT, attributes, start_time=1)
            ours = start(probe, name, attributes, 1, here)
            if type(theirs) is not type(ours) or _told(theirs) != _told(ours):
                return False
        return True
    except Exception:
        _log.debug("llmtrace: spans are started by the SDK, which is not the one that is known", exc_info=True)
        return False


def _told(span: Any) -> dict[str, Any]:
    """All that a span holds; of what each has for itself, what it is."""
    held = dict(vars(span))
    for name in ("_attributes", "_events", "_links"):
        held |= {f"{name}.{part}": value for part, value in vars(held[name]).items()}
    told: dict[str, Any] = {name: type(value) for name, value in held.items() if name.endswith(_PER_SPAN)}
    told |= {name: repr(held[name]) for name in ("_events", "_links")}
    status, context = span.status, span.get_span_context()
    return held | told | {"status": (status.status_code, status.description), "context": tuple(context)[2:]}
