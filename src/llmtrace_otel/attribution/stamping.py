"""The one reader of identity: a span processor that copies our baggage entries onto every span at its start."""

from __future__ import annotations

import logging
from contextlib import suppress

from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span as SDKSpan
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import Span

from llmtrace_otel.attribution.identity import is_ours
from llmtrace_otel.attribution.once import per_provider
from llmtrace_otel.telemetry import semconv as sc

_log = logging.getLogger("llmtrace_otel")


class _Stamp(SpanProcessor):
    """Copies our baggage entries onto each span at its start; what the span's maker said itself stays."""

    def on_start(self, span: SDKSpan, parent_context: Context | None = None) -> None:
        entries = baggage.get_all(parent_context)
        if entries:
            said = span.attributes or {}
            for key, value in entries.items():
                if is_ours(key) and key not in said:
                    _stamp(span, key, value)


def _stamp(span: Span, key: str, value: object) -> None:
    if key != sc.TURN_COUNT:
        span.set_attribute(key, str(value))
    elif str(value).isdecimal() and len(str(value)) < 19:  # another process may have said anything; OTLP has 64 bits
        span.set_attribute(key, int(str(value)))


@per_provider
def _register_stamp(provider: trace.TracerProvider) -> None:
    add = getattr(provider, "add_span_processor", None)
    if add is not None:
        try:
            add(_Stamp())
        except Exception as error:
            _log.warning("llmtrace: spans will not show their session: no span processor can be added (%r)", error)


def stamp_spans() -> None:
    """Have the current tracer provider put our baggage entries on every span it starts. Idempotent; never raises.

    `session()` and the others call it, so a program calls it only to honour baggage that came from elsewhere, such as
    a parent process. Before an SDK provider is set it does nothing; the next use tries again.
    """
    with suppress(Exception):  # the OpenTelemetry API says itself why it has no provider
        _register_stamp(trace.get_tracer_provider())
