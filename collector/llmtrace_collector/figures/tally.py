"""What the LLM calls that come through add up to: calls, tokens, cost, errors, by model.

Which span is a call and what it costs is decided where `llmtrace show` decides it (`llmtrace_otel.read.span`). Most
spans are no LLM calls, so the name that every call carries is looked for in the serialised bytes before anything else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmtrace_collector.figures import glance
from llmtrace_collector.otlp.signals import TRACES
from llmtrace_otel.read.span import Span
from llmtrace_otel.read.text import UNKNOWN, clean
from llmtrace_otel.telemetry import semconv

if TYPE_CHECKING:
    from llmtrace_collector.otlp.batch import Batch
    from llmtrace_collector.pipeline import Fanout

MAX_MODELS = 100
OTHER = "other"
MARK = semconv.OPERATION.encode()
READ = (
    semconv.OPERATION,
    semconv.REQUEST_MODEL,
    semconv.RESPONSE_MODEL,
    semconv.USAGE_INPUT,
    semconv.USAGE_OUTPUT,
    semconv.COST_USD,
    semconv.COST_OPERATION,
    semconv.COST_STATUS,
    semconv.CACHE_HIT,
    semconv.ERROR_TYPE,
)


@dataclass(slots=True)
class Calls:
    """Sums over calls. A sum of tokens is None when no call reported any, `usd` is None when no call's cost is known.

    `unpriced` counts the calls that cost something nobody knows.
    """

    count: int = 0
    input: int | None = None
    output: int | None = None
    usd: float | None = None
    unpriced: int = 0
    errors: int = 0

    def count_in(self, span: Span) -> None:
        """Adds one call."""
        spend = span.spend
        self.count += 1
        self.input = _sum(self.input, span.count(semconv.USAGE_INPUT))
        self.output = _sum(self.output, span.count(semconv.USAGE_OUTPUT))
        self.usd = _sum(self.usd, spend)
        self.unpriced += spend is None and span.unpriced
        self.errors += span.error is not None

    def add(self, more: Calls) -> None:
        """Adds other sums to these."""
        self.count += more.count
        self.input = _sum(self.input, more.input)
        self.output = _sum(self.output, more.output)
        self.usd = _sum(self.usd, more.usd)
        self.unpriced += more.unpriced
        self.errors += more.errors


def _sum(one: Any, other: Any) -> Any:
    return other if one is None else one if other is None else one + other


@dataclass(slots=True)
class Tally:
    """The calls so far. Models beyond the first `MAX_MODELS` are summed up as `other`, a call without one as `?`."""

    models: dict[str, Calls] = field(default_factory=dict)

    @property
    def total(self) -> Calls:
        """The calls of all models."""
        total = Calls()
        for calls in self.models.values():
            total.add(calls)
        return total

    def add(self, spans: list[Span]) -> None:
        """Adds calls, as `calls_in` finds them."""
        for span in spans:
            model = span.model or UNKNOWN
            calls = self.models.get(model) or self._of(clean(model))
            calls.count_in(span)

    def _of(self, model: str) -> Calls:
        known = model in self.models or len(self.models) < MAX_MODELS
        return self.models.setdefault(model if known else OTHER, Calls())


class Tallied:
    """The pipelines with a tally in front of them: what they refuse is not counted, since clients send it again."""

    def __init__(self, pipelines: Fanout, tally: Tally) -> None:
        self.pipelines, self.tally = pipelines, tally
        self.wants_lines = pipelines.wants_lines

    async def accept(self, batch: Batch) -> None:
        """Returns when every pipeline has the batch. Raises RequestError when one refuses it."""
        spans = calls_in(batch)  # before a processor changes them
        await self.pipelines.accept(batch)
        self.tally.add(spans)


def calls_in(batch: Batch) -> list[Span]:
    """The inference spans of a batch, with the attributes that are summed up and no others."""
    if batch.signal is not TRACES or MARK not in batch.protobuf:
        return []
    named = (_read(span) for span in glance.spans(batch.protobuf) if semconv.OPERATION in span.attributes)
    return [span for span in named if span.inference]


def _read(span: Any) -> Span:
    held = span.attributes
    attributes = {name: glance.scalar(held[name]) for name in READ if name in held}
    status = "error" if span.status.code == glance.FAILED else "ok"
    return Span(trace_id="", span_id="", attributes=attributes, status=status)
