"""Two profiles beside each other: the rows of a table, before columns and markup."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from llmtrace_otel.check.amounts import Unknown
from llmtrace_otel.check.compare import Amount, at_least, difference, is_worse, same
from llmtrace_otel.check.profile import Profile
from llmtrace_otel.read.text import UNKNOWN, money, seconds

if TYPE_CHECKING:
    from llmtrace_otel.check.profile import Profiler

Write = Callable[[float], str]

SAME: Final = "="


class Row(NamedTuple):
    """One number on both sides; `worse` if it grew by more than is allowed."""

    name: str
    old: Amount
    new: Amount
    worse: bool
    write: Write

    @property
    def same(self) -> bool:
        return same(self.old, self.new)

    @property
    def texts(self) -> tuple[str, str, str, str]:
        """Old, new, difference and difference in percent."""
        return self._told(self.old), self._told(self.new), *self._differences()

    def _told(self, amount: Amount) -> str:
        """`$0.0227`; `$0.0227 + ?` if a part of it is not known."""
        if not isinstance(amount, Unknown):
            return self.write(amount)
        return f"{self.write(amount.at_least)} + {UNKNOWN}" if amount.at_least else UNKNOWN

    def _differences(self) -> tuple[str, str]:
        if isinstance(self.old, Unknown) or isinstance(self.new, Unknown):
            return UNKNOWN, UNKNOWN
        if self.same:
            return SAME, ""
        sign = "+" if self.new > self.old else "−"
        return sign + self.write(abs(self.new - self.old)), difference(self.old, self.new)


class Section(NamedTuple):
    """Rows about one thing; the title of those about everything is empty."""

    title: str
    rows: list[Row]

    @property
    def same(self) -> bool:
        return all(row.same for row in self.rows)


class Comparison(NamedTuple):
    """How much more is allowed, as a share, and whose prices count: a time in nanoseconds since 1970."""

    tolerance: float
    at: int

    def totals(self, old: Profiler, new: Profiler) -> Section:
        """Everything that was used. Cached tokens and time are for information: they are never worse."""
        was, became = old.profile, new.profile
        rows = [
            self._row("calls", was.calls, became.calls),
            self._row("input tokens", was.told("input"), became.told("input")),
            self._row("output tokens", was.told("output"), became.told("output")),
            self._row("cached tokens", was.told("cache_read"), became.told("cache_read"))._replace(worse=False),
            self._row("cost", was.cost(self.at), became.cost(self.at), money),
            self._row("tools", sum(was.tools.values()), sum(became.tools.values())),
            self._row("errors", was.errors, became.errors),
            self._row("duration", old.measure.duration, new.measure.duration, seconds)._replace(worse=False),
        ]
        return Section("", rows)

    def parts(self, old: dict[str, Profile], new: dict[str, Profile]) -> list[Section]:
        """A section for each name on either side, without what neither side used."""
        sections = (
            Section(name, self._part(old.get(name, Profile()), new.get(name, Profile())))
            for name in sorted(old.keys() | new.keys())
        )
        return [section for section in sections if section.rows]

    def tools(self, old: dict[str, int], new: dict[str, int]) -> list[Section]:
        """One section with a row for each tool."""
        rows = [self._row(name, old.get(name, 0), new.get(name, 0)) for name in sorted(old.keys() | new.keys())]
        return [Section("tools", rows)] if rows else []

    def _part(self, was: Profile, became: Profile) -> list[Row]:
        rows = [
            self._row("calls", was.calls, became.calls),
            self._row("tokens", was.tokens, became.tokens),
            self._row("cost", was.cost(self.at), became.cost(self.at), money),
            self._row("tools", sum(was.tools.values()), sum(became.tools.values())),
            self._row("errors", was.errors, became.errors),
        ]
        return [row for row in rows if not row.same or isinstance(row.new, Unknown) or at_least(row.new)]

    def _row(self, name: str, old: Amount, new: Amount, write: Write = "{:,}".format) -> Row:
        return Row(name, old, new, is_worse(old, new, self.tolerance), write)
