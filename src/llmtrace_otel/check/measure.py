"""What a set of spans used: calls, tokens, cost, tools, time. Spans are added one at a time and not kept.

Budgets, baselines and summaries all read this, so that they count alike: a call is an LLM call or an embedding, one
span however often its request was repeated; agents and workflows repeat the numbers of the calls below and count none.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from llmtrace_otel.check import pricing
from llmtrace_otel.check.amounts import Unknown, some
from llmtrace_otel.read.outline import named
from llmtrace_otel.read.text import plural
from llmtrace_otel.telemetry import semconv

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmtrace_otel.read.span import Kind, Span


class Tally(dict[str, int]):
    """How often each name came."""

    def __missing__(self, name: str) -> int:
        return 0

    def total(self) -> int:
        """How often any came."""
        return sum(self.values())


class Measure:
    """Sums over spans. Times are nanoseconds since 1970, 0 when no span has any."""

    __slots__ = (
        "_usd",
        "calls",
        "costliest",
        "end",
        "errors",
        "input",
        "output",
        "spans",
        "start",
        "tools",
        "uncounted",
        "unpriced",
    )

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self.spans = 0
        self.calls = 0
        self.errors = 0
        """Spans that failed; one that passes on the failure of another counts too."""
        self.input = self.output = 0
        """Tokens that were told."""
        self._usd = Decimal(0)
        self.unpriced = Tally()
        """Calls whose cost is not known, by model."""
        self.uncounted = Tally()
        """Calls that did not tell their tokens, by model."""
        self.costliest: tuple[float, str] = (0.0, "")
        """USD of the call that cost most, and its model."""
        self.tools = Tally()
        self.start = self.end = 0
        for span in spans:
            self.add(span)

    def add(self, span: Span) -> None:
        """Counts a span."""
        self.spans += 1
        error = span.error
        if error is not None:
            self.errors += 1
        if span.start and (not self.start or span.start < self.start):
            self.start = span.start
        if span.end > self.end:
            self.end = span.end
        kind = span.kind_of
        if kind == "tool":
            self.tools[named(span)] += 1
        elif kind in ("llm", "embed"):
            self._add_call(span, kind, error)

    def _add_call(self, span: Span, kind: Kind, error: str | None) -> None:
        self.calls += 1
        into, out = span.count(semconv.USAGE_INPUT), span.count(semconv.USAGE_OUTPUT)
        self.input += into or 0
        self.output += out or 0
        if (into is None or (out is None and kind == "llm")) and error is None:
            self.uncounted[named(span)] += 1
        usd = pricing.charged(span)
        if usd is None:
            self.unpriced[named(span)] += 1
        elif usd:
            self._usd += Decimal(repr(usd))
            if usd > self.costliest[0]:
                self.costliest = (usd, named(span))

    @property
    def cost(self) -> float | Unknown:
        """USD."""
        if not self.unpriced:
            return float(self._usd)
        told = f"the cost of {self.unpriced.total()} of {plural(self.calls, 'call')} is unknown"
        why = f"{told}: no price, or no token counts, for {some(self.unpriced)}; price it in LLMTRACE_PRICES"
        return Unknown(why, float(self._usd))

    @property
    def tokens(self) -> int | Unknown:
        """Input and output."""
        known = self.input + self.output
        if not self.uncounted:
            return known
        told = f"the tokens of {self.uncounted.total()} of {plural(self.calls, 'call')} are not known"
        return Unknown(f"{told}: {some(self.uncounted)}; was the stream cut, or asked without usage?", known)

    @property
    def tool_calls(self) -> int:
        return self.tools.total()

    @property
    def duration(self) -> float:
        """Seconds from the first start to the last end."""
        return max(0, self.end - self.start) / 1e9
