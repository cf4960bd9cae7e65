"""A call that the proxy saw becomes a span under the span of the child that made it."""

from __future__ import annotations

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.wire.call import Call


def record(recorder: Recorder, call: Call, child: Context, traceparent: str | None) -> None:
    """Records a finished call in the context of its child.

    A span that the request itself names as its parent refines that where it is of the same trace; of another trace, it
    is linked to. May raise.
    """
    named = _span_named(traceparent)
    within = trace.get_current_span(child).get_span_context()
    if named is not None and named.trace_id == within.trace_id:
        child, named = trace.set_span_in_context(trace.NonRecordingSpan(named), child), None
    token = context.attach(child)
    try:
        span = recorder.start_call(call)
    finally:
        context.detach(token)
    if named is not None:
        span.span.add_link(named)
    span.end()


def _span_named(traceparent: str | None) -> SpanContext | None:
    if not traceparent:
        return None
    found = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
    named = trace.get_current_span(found).get_span_context()
    return named if named.is_valid else None
