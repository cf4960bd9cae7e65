"""What a test, a session or a file used, small enough to be committed: calls, tokens by model, tools, errors.

No price is in it. Costs that are compared are those of one price table at one time, so a profile holds what any table
needs: the tokens, apart for each model, service tier and length of input that may be charged apart. Of what is charged
alike the price of the average call, times the calls, is the price of all. It is exact as long as the table has its
steps at `STEPS`; a table of one's own with other steps is averaged within these.
"""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from msgspec import Meta, Struct, field

from llmtrace_otel.check.amounts import Unknown, exact_sum, some
from llmtrace_otel.check.measure import Measure
from llmtrace_otel.check.once import once
from llmtrace_otel.read.span import Usage
from llmtrace_otel.read.text import UNKNOWN, clean, plural
from llmtrace_otel.telemetry import cost, semconv

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmtrace_otel.read.span import Span

STEPS: Final = (32_000, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000, 512_000, 524_288)
"""Input tokens of a call above which published prices change."""

TOKENS: Final = ("input", "output", "cache_read", "cache_write", "reasoning")


Number = TypeVar("Number", int, float)
Count = Annotated[int, Meta(ge=0)]


class Used(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Calls that any price table charges alike, and their tokens.

    `provider`, `model` (the one asked for), `answered` (the one that answered, if another), `tier` and `above` (the
    step of the input's length) select the price. `free`: nothing was charged, whatever a table says: a cache of the
    program's own answered, a subscription paid, or the call failed at once. `uncounted` calls did not tell their
    tokens, and `unpriced` ones not all that may be charged.
    """

    provider: str = ""
    model: str = ""
    answered: str = ""
    tier: str = ""
    above: Count = 0
    free: bool = False
    calls: Count = 0
    input: Count = 0
    output: Count = 0
    cache_read: Count = 0
    cache_write: Count = 0
    reasoning: Count = 0
    uncounted: Count = 0
    unpriced: Count = 0

    @property
    def name(self) -> str:
        """`openai/gpt-5-mini`, whatever selects its price besides."""
        return clean("/".join(part for part in (self.provider, self.model or UNKNOWN) if part))

    def add(self, usage: Usage) -> None:
        """Counts a call and the tokens that it told."""
        self.calls += 1
        for name in TOKENS:
            setattr(self, name, getattr(self, name) + (getattr(usage, name) or 0))

    def cost(self, at: int) -> float | None:
        """USD of the tokens that were told, by the prices of a time in nanoseconds since 1970; None without a price."""
        if self.free or not self.calls:
            return 0.0
        average: dict[str, Any] = {name: Fraction(getattr(self, name), self.calls) for name in TOKENS}
        models = [model for model in (self.answered, self.model) if model]
        usd = cost.estimate(self.provider, models, self.tier or None, at, **average)
        return None if usd is None else float(usd * self.calls)


class Profile(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What was used. `tools` counts calls by name; `models` holds the calls' tokens, apart by what selects a price."""

    calls: Count = 0
    errors: Count = 0
    tools: dict[str, Count] = field(default_factory=dict)
    models: list[Used] = field(default_factory=list)

    @property
    def tokens(self) -> int | Unknown:
        """Input and output."""
        return self.told("input", "output")

    def told(self, *counts: str) -> int | Unknown:
        """The sum of some of `TOKENS`."""
        return self._unless(self._sum("uncounted"), sum(map(self._sum, counts)), "tokens")

    @property
    def by_model(self) -> dict[str, Profile]:
        """The parts of it by provider and model, without tools and errors."""
        parts: dict[str, Profile] = {}
        for used in self.models:
            part = parts.setdefault(used.name, Profile())
            part.calls += used.calls
            part.models.append(used)
        return parts

    def cost(self, at: int) -> float | Unknown:
        """USD by the prices of a time in nanoseconds since 1970."""
        costs = [(used, used.cost(at)) for used in self.models]
        known = exact_sum(usd for _, usd in costs if usd is not None)
        if lacking := [used.name for used, usd in costs if usd is None]:
            return Unknown(f"no price for {some(lacking)}; give one in LLMTRACE_PRICES", known)
        return self._unless(self._sum("unpriced"), known, "all their tokens")

    def _sum(self, count: str) -> int:
        return sum(getattr(used, count) for used in self.models)

    def _unless(self, lacking: int, known: Number, what: str) -> Number | Unknown:
        """The sum, unknown if some calls did not tell their part in it."""
        why = f"{lacking} of {plural(self.calls, 'call')} did not tell {what}"
        return Unknown(why, known) if lacking else known


class Profiler:
    """Makes a profile of spans that are added one at a time and not kept. `measure` is what they used otherwise."""

    def __init__(self) -> None:
        self.measure = Measure()
        self._used: dict[tuple[Any, ...], Used] = {}

    def add(self, span: Span) -> None:
        """Counts a span."""
        if span.inference:
            self._add_call(span)
        else:
            self.measure.add(span)

    def _add_call(self, span: Span) -> None:
        uncounted = -self.measure.uncounted.total()
        self.measure.add(span)
        uncounted += self.measure.uncounted.total()
        usage = span.usage
        selected = _selected(span, usage)
        used = self._used.get(selected) or self._used.setdefault(selected, Used(*selected))
        used.add(usage)
        used.uncounted += uncounted
        if not used.free and (uncounted or span.incomplete or usage.input is None):
            used.unpriced += 1

    @property
    def profile(self) -> Profile:
        """What was used so far."""
        used = [self._used[selected] for selected in sorted(self._used)]
        measure = self.measure
        return Profile(measure.calls, measure.errors, dict(sorted(measure.tools.items())), used)


def profile(spans: Iterable[Span]) -> Profile:
    """The profile of spans, in memory that does not grow with them. A span exported twice counts once: see `once`."""
    found = Profiler()
    for span in once(spans):
        found.add(span)
    return found.profile


def _selected(span: Span, usage: Usage) -> tuple[Any, ...]:
    """The first fields of `Used`, in their order."""
    answered = span.text(semconv.RESPONSE_MODEL) or ""
    return (
        span.provider or "",
        span.model or "",
        answered if answered != span.model else "",
        span.text(semconv.OPENAI_RESPONSE_SERVICE_TIER) or "",
        (0, *STEPS)[bisect_left(STEPS, usage.input or 0)],
        _free(span, usage),
    )


def _free(span: Span, usage: Usage) -> bool:
    """Whether nothing was charged. What a replayed call cost when it was recorded is what a comparison is about."""
    if span.error is not None and usage == Usage():
        return True
    return not span.replayed and (span.cache_hit or span.text(semconv.COST_STATUS) == cost.INCLUDED)
