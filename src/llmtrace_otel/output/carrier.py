"""The current trace and its baggage as environment variables, W3C whatever OTEL_PROPAGATORS says: both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

VARIABLES: Final = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")


def carrier_of(context: Context) -> dict[str, str]:
    """`traceparent`, `tracestate` and `baggage` of a context; what it lacks is left out."""
    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, context)
    W3CBaggagePropagator().inject(carrier, context)
    return carrier


def context_of(carrier: Mapping[str, str], context: Context | None = None) -> Context:
    """`context`, or an empty one, with the trace and baggage that a carrier names."""
    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    base = Context() if context is None else context
    return W3CBaggagePropagator().extract(carrier, TraceContextTextMapPropagator().extract(carrier, base))


def variables_of(context: Context) -> dict[str, str]:
    """The same as environment variables."""
    return {name.upper(): value for name, value in carrier_of(context).items()}


def from_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The carrier that is in environment variables."""
    return {name.lower(): value for name in VARIABLES if (value := environ.get(name))}
