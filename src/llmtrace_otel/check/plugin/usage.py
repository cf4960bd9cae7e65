"""What a test used, as its report carries it from the process that ran the test to the one that adds all up."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct, convert, to_builtins

from llmtrace_otel.check.amounts import Unknown
from llmtrace_otel.check.measure import Measure
from llmtrace_otel.check.once import once
from llmtrace_otel.check.profile import Profile, Profiler
from llmtrace_otel.read.text import money

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmtrace_otel.read.span import Span


class Usage(Struct):
    """Sums over a test's spans. `usd` and `tokens` are what is known of them; times are nanoseconds since 1970."""

    calls: int
    input: int
    output: int
    tools: int
    usd: float
    unpriced: dict[str, int]
    uncounted: dict[str, int]
    start: int
    end: int
    profile: Profile

    @property
    def properties(self) -> list[tuple[str, object]]:
        """What JUnit's XML tells of a test. A sum that is not known is left out."""
        known: list[tuple[str, object]] = [("llmtrace.calls", self.calls)]
        if not self.uncounted:
            known.append(("llmtrace.tokens", self.input + self.output))
        if not self.unpriced:
            known.append(("llmtrace.cost_usd", self.usd))
        return known

    def as_json(self) -> Any:
        return to_builtins(self)


def usage_of(spans: Iterable[Span]) -> Usage | None:
    """What spans used; None if no LLM call is among them."""
    profiler = Profiler()
    for span in once(spans):
        profiler.add(span)
    used = profiler.measure
    if not used.calls:
        return None
    return Usage(
        used.calls,
        used.input,
        used.output,
        used.tool_calls,
        used.cost.at_least if isinstance(used.cost, Unknown) else used.cost,
        dict(used.unpriced),
        dict(used.uncounted),
        used.start,
        used.end,
        profiler.profile,
    )


def usage_from(held: Any) -> Usage:
    """What `as_json` made."""
    return convert(held, Usage)


class Total(Measure):
    """What several tests used."""

    __slots__ = ()

    def include(self, used: Usage) -> Total:
        """Adds a test. Gives itself."""
        self.calls += used.calls
        self.input += used.input
        self.output += used.output
        self.tools[""] += used.tools
        self._usd += Decimal(repr(used.usd))
        self.unpriced.update(used.unpriced)
        self.uncounted.update(used.uncounted)
        self.start = min(self.start or used.start, used.start)
        self.end = max(self.end, used.end)
        return self

    @property
    def usd(self) -> float:
        """What is known of the cost."""
        return float(self._usd)

    @property
    def cost_text(self) -> str:
        """`$0.0227`; `$0.0227 + ?` if the cost of a call is not known."""
        return money(self.usd) + (" + ?" if self.unpriced else "")

    @property
    def tokens_text(self) -> str:
        """`7,515`; `7,515 + ?` if a call did not tell its tokens."""
        return f"{self.input + self.output:,}" + (" + ?" if self.uncounted else "")
