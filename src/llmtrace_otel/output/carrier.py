"""A trace and its baggage as text, for the environment of a child: W3C, whatever OTEL_PROPAGATORS says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

_TRACE: Final = TraceContextTextMapPropagator()
_BAGGAGE: Final = W3CBaggagePropagator()


def carrier_of(context: Context) -> dict[str, str]:
    """`traceparent`, `tracestate` and `baggage` of a context; what it lacks is left out."""
    carrier: dict[str, str] = {}
    _TRACE.inject(carrier, context)
    _BAGGAGE.inject(carrier, context)
    return carrier


def context_of(carrier: Mapping[str, str], context: Context) -> Context:
    """`context` with the trace and the baggage that a carrier names."""
    return _BAGGAGE.extract(carrier, _TRACE.extract(carrier, context))
