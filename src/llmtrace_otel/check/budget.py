"""Limits on what a test, a trace or a session may use: `cost=0.05 tokens=20k calls=10 tools=6 duration=30s`.

A limit that cannot be told from the spans is neither kept nor exceeded, unless what is known is too much already.
"""

from __future__ import annotations

import math
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import Struct, convert, structs

from llmtrace_otel.check.amounts import Unknown
from llmtrace_otel.check.errors import NotEvaluableError, RuleError
from llmtrace_otel.read.text import money, seconds

if TYPE_CHECKING:
    from llmtrace_otel.check.measure import Measure

_NUMBER = re.compile(r"\$?(\d+(?:\.\d+)?|\.\d+)([a-zA-Z]*)")
_COUNTS: Final[dict[str, float]] = {"": 1, "k": 1_000, "m": 1_000_000}
_TIMES: Final[dict[str, float]] = {"": 1, "ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600}
_UNITS: Final[dict[str, dict[str, float]]] = {
    "cost": {"": 1, "usd": 1},
    "tokens": _COUNTS,
    "calls": _COUNTS,
    "tools": _COUNTS,
    "duration": _TIMES,
}
_EXAMPLES: Final = {"cost": "0.05", "tokens": "20k", "calls": "10", "tools": "6", "duration": "30s"}


class Excess(NamedTuple):
    """A limit that was exceeded, in the limit's unit. `exact` is False where more was used than is known."""

    name: str
    used: float
    limit: float
    exact: bool = True

    @property
    def over(self) -> str:
        """How much more than the limit: `+14%`."""
        return f"+{self.used / self.limit - 1:.0%}" if self.limit else "none allowed"


class Budget(Struct, frozen=True):
    """Limits that may just be reached: `cost` in USD, `duration` in seconds; None for no limit."""

    cost: float | None = None
    tokens: int | None = None
    calls: int | None = None
    tools: int | None = None
    duration: float | None = None

    @property
    def limits(self) -> dict[str, float]:
        return {name: limit for name, limit in structs.asdict(self).items() if limit is not None}

    def over(self, measure: Measure) -> list[Excess]:
        """The limits that were exceeded. Raises NotEvaluableError if one can be neither kept nor exceeded for sure."""
        used = {"cost": measure.cost, "tokens": measure.tokens, "calls": measure.calls}
        used |= {"tools": measure.tool_calls, "duration": measure.duration}
        known = {name: value.at_least if isinstance(value, Unknown) else value for name, value in used.items()}
        found = [
            Excess(name, known[name], limit, not isinstance(used[name], Unknown))
            for name, limit in self.limits.items()
            if known[name] > limit
        ]
        doubts = [value.why for name in self.limits if isinstance(value := used[name], Unknown)]
        if doubts and not found:
            raise NotEvaluableError("; ".join(doubts))
        return found


def budget(limits: dict[str, Any]) -> Budget:
    """A budget from named limits, each a number or text such as `20k` and `30s`. Raises RuleError."""
    return convert({name: limit(name, value) for name, value in limits.items()}, Budget)


def parse_budget(text: str) -> Budget:
    """A budget from `cost=0.05 tokens=20k`. Raises RuleError."""
    limits = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals:
            raise RuleError(f"{word!r} is no limit; write name=value, such as cost=0.05")
        if name in limits:
            raise RuleError(f"{name} is limited twice: {text!r}")
        limits[name] = value
    if not limits:
        raise RuleError("a budget without a limit; write one such as cost=0.05 tokens=20k")
    return budget(limits)


def limit(name: str, value: Any) -> float:
    """One limit in its unit: USD, tokens, calls, seconds. Raises RuleError."""
    units = _UNITS.get(name)
    if units is None:
        near = get_close_matches(name, _UNITS, 1)
        raise RuleError(f"there is no limit {name!r}" + (f"; did you mean {near[0]}?" if near else f"; {_known()}"))
    number = _number(value, units)
    whole = units is _COUNTS
    if number is None or (whole and number != int(number)):
        wanted = "a whole number" if whole else "a number"
        raise RuleError(f"{name}={value!r}: write {wanted} such as {name}={_EXAMPLES[name]}, 0 or more")
    return int(number) if whole else number


def _known() -> str:
    return f"limits are {', '.join(_UNITS)}"


def _number(value: Any, units: dict[str, float]) -> float | None:
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value.strip().replace("_", "").replace(",", ""))
        unit = units.get(match[2].lower()) if match else None
        number = math.inf if match is None or unit is None else round(float(match[1]) * unit, 12)
        return number if number < math.inf else None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return value
    return None


def quantity(name: str, value: float) -> str:
    """A limit, or what was used of it, as people read it."""
    if name == "cost":
        return money(value)
    return seconds(value) if name == "duration" else f"{value:,.0f}"


def table(found: list[Excess]) -> list[str]:
    """A line for each limit that was exceeded: name, used, limit, by how much."""
    rows = [
        (one.name, ("" if one.exact else "≥ ") + quantity(one.name, one.used), quantity(one.name, one.limit), one.over)
        for one in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else [0, 0, 0]
    return [f"{a:<{widths[0]}}  {b:>{widths[1]}} > {c:<{widths[2]}}  ({d})" for a, b, c, d in rows]
