"""What the collector counts of itself: plain numbers in a table, under the official collector's metric names.

The hot path adds to a dictionary; `/metrics` and the terminal read it when they want to show something.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Labels = tuple[tuple[str, str], ...]
Series = tuple[str, Labels]


@dataclass(slots=True)
class Counts:
    """Counters, and gauges that are read when somebody looks. A series is a metric name and its labels."""

    totals: Counter[Series] = field(default_factory=Counter)
    gauges: dict[Series, Callable[[], float]] = field(default_factory=dict)

    def add(self, name: str, amount: int, labels: Labels = ()) -> None:
        """Adds to a counter."""
        self.totals[name, labels] += amount

    def gauge(self, name: str, labels: Labels, read: Callable[[], float]) -> None:
        """Registers a value that is read at every look."""
        self.gauges[name, labels] = read

    def total(self, name: str, **labels: str) -> int:
        """The sum over all series of a counter that have these labels."""
        wanted = set(labels.items())
        return sum(
            amount for (series, carried), amount in self.totals.items() if series == name and wanted <= set(carried)
        )
