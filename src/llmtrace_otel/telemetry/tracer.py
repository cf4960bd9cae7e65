"""Starts the spans of calls: by the SDK itself, or as the SDK would, without what ours do not need.

Two thirds of what the SDK does for a span of ours is to look whether its attributes may be such. Ours come out of typed
fields, so one look at their types tells. Where the program's tracer is the SDK's own, a span is therefore started by
`sdk_spans`: its class, sampler, limits and processors are those that it would have anyway. Any other tracer (another
SDK's, a subclass, one whose methods somebody wrapped, a later release that makes spans otherwise) is asked by the API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import ProxyTracer, Span, SpanKind, Tracer, TracerProvider

from llmtrace_otel.telemetry import semconv

if TYPE_CHECKING:
    from types import ModuleType

_SDK = "opentelemetry.sdk.trace"


class CallTracer:
    """Starts spans with the tracer of the given provider, or of the global one once there is one."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer: Tracer = trace.get_tracer(semconv.SCOPE, semconv.VERSION, provider, semconv.SCHEMA_URL)
        self._quick: ModuleType | None = None
        self._settled = False

    def start(self, name: str, attributes: dict[str, Any], start_ns: int, here: Context) -> Span:
        """Starts a client's span below the span of a context. `start_ns` is in nanoseconds since the epoch."""
        if not self._settled:
            self._settle()
        if self._quick is not None:
            span: Span = self._quick.start(self._tracer, name, attributes, start_ns, here)
            return span
        return self._tracer.start_span(name, here, SpanKind.CLIENT, attributes, start_time=start_ns)

    def add(self, span: Span, attributes: dict[str, Any]) -> None:
        """Sets attributes on a span that was started here."""
        if self._quick is None:
            span.set_attributes(attributes)
        else:
            self._quick.add(span, attributes)

    def _settle(self) -> None:
        """Finds out what kind of tracer this is, once there is a provider of tracers."""
        tracer = self._tracer
        if isinstance(tracer, ProxyTracer):
            tracer = tracer._tracer
            if isinstance(tracer, trace.NoOpTracer):
                return  # the program may yet set a provider
            self._tracer = tracer
        self._settled = True
        if type(tracer).__module__ == _SDK:
            from llmtrace_otel.telemetry import sdk_spans

            if sdk_spans.knows(tracer):
                self._quick = sdk_spans
