"""What a recorded call cost, and what it would cost by the prices of today.

`charged` is what budgets are held to. A call that was answered from a recording cost nothing when it was replayed; what
it would have cost is what a budget is about, so that is its cost here: a budget holds offline too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmtrace_otel.telemetry import cost, semconv

if TYPE_CHECKING:
    from llmtrace_otel.read.span import Span


def charged(span: Span) -> float | None:
    """USD of an inference call: as recorded, or of a replayed one what the original cost; None if unknown."""
    if not span.replayed:
        usd = span.spend
        return 0.0 if usd is None and not span.unpriced else usd
    saved = span.amount(semconv.COST_SAVED_USD)
    if saved is None and span.error is not None:
        return 0.0 if span.usage.input is None and span.usage.output is None else repriced(span)
    return repriced(span) if saved is None else saved


def repriced(span: Span) -> float | None:
    """USD of the tokens of a call by the price table that is installed; None if it lacks the model or the tokens."""
    usage = span.usage
    if usage.input is None:
        return None
    return cost.estimate(
        span.provider or "",
        [model for name in (semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL) if (model := span.text(name))],
        span.text(semconv.OPENAI_RESPONSE_SERVICE_TIER),
        span.start,
        input=usage.input,
        output=usage.output,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        reasoning=usage.reasoning,
    )
