"""What was found, and what follows from it: medians, ratios to a bare span, who adds the least."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from compare.cases import Case
from compare.peers import BARE, NONE, OURS


class Column(NamedTuple):
    """A peer in an environment: its own, or, to compare another peer with what its environment has, that one's."""

    peer: str
    home: str

    def __str__(self) -> str:
        return self.peer if self.home in (self.peer, NONE) else f"{self.peer}@{self.home}"


@dataclass
class Figure:
    """What a case takes under a peer, as a whole, per call.

    `count` is of `unit`, instructions or functions; `cpu` has the seconds of each round, `elapsed` the median and the
    99th percentile of all calls' seconds; `bytes` is the most memory that a call holds. `spans`, `tokens` and `content`
    say what a call left.
    """

    spans: int = 0
    tokens: bool = False
    content: bool = False
    count: float | None = None
    unit: str = "instructions"
    cpu: list[float] = field(default_factory=list)
    elapsed: list[float] = field(default_factory=list)
    bytes: int | None = None


class Spread(NamedTuple):
    """A median with a range: of all values, or of the middle half."""

    median: float
    least: float
    most: float


def spread(values: Iterable[float]) -> Spread:
    found = sorted(values)
    return Spread(statistics.median(found), found[0], found[-1])


def middle(values: Iterable[float]) -> Spread:
    """The median, and the first and the last quarter's bounds."""
    found = sorted(values)
    least, _, most = statistics.quantiles(found, n=4) if len(found) > 1 else found * 3
    return Spread(statistics.median(found), least, most)


def percentile(values: Iterable[float], share: float) -> float:
    """The least value that so large a share of all does not exceed."""
    found = sorted(values)
    return found[max(0, math.ceil(share * len(found)) - 1)]


class Row:
    """The figures of one case, by the name of their column."""

    def __init__(self, case: Case, figures: dict[str, Figure]) -> None:
        self.case, self.figures = case, figures

    def peers(self) -> list[str]:
        """Who adds something to a call: everyone but the baselines of others."""
        return [name for name in self.figures if name != NONE and "@" not in name]

    def baseline(self, of: str, kind: str = NONE) -> Figure | None:
        """The untraced call, or the bare span, that a peer is compared with: in its own environment, if it has one."""
        return self.figures.get(f"{kind}@{of}", self.figures.get(kind))

    def added(self, name: str) -> float | None:
        """Instructions, or functions, that a peer adds to a call."""
        return self._difference(name, NONE, name)

    def _difference(self, name: str, kind: str, of: str) -> float | None:
        figure, base = self.figures.get(name), self.baseline(of, kind)
        if figure is None or base is None or figure.count is None or base.count is None:
            return None
        return figure.count - base.count

    def ratio(self, name: str) -> float | None:
        """What a peer adds, as a multiple of what a bare span adds."""
        own = f"{BARE}@{name}"
        bare = self._difference(own if own in self.figures else BARE, NONE, name)
        added = self.added(name)
        return added / bare if added is not None and bare and bare > 0 else None

    def added_bytes(self, name: str) -> int | None:
        figure, base = self.figures.get(name), self.baseline(name)
        if figure is None or base is None or figure.bytes is None or base.bytes is None:
            return None
        return figure.bytes - base.bytes

    def added_cpu(self, name: str) -> Spread | None:
        """Seconds that a peer adds to a call: more than the same round's untraced calls, in the middle half of them."""
        base = self.baseline(name)
        if base is None or not base.cpu or not (cpu := self.figures[name].cpu):
            return None
        return middle(with_it - without for with_it, without in zip(cpu, base.cpu, strict=True))

    def lacks(self, name: str) -> str:
        """What ours tells of the call, and a peer does not: so it does less work than there is to do."""
        ours, figure = self.figures.get(OURS, Figure()), self.figures[name]
        if ours.spans and not figure.spans:
            return "no span"
        if ours.tokens and not figure.tokens:
            return "no tokens"
        return "no content" if ours.content and not figure.content else ""

    def counted(self) -> list[str]:
        """The peers, the one that adds the least first; bare spans are no peer."""
        found = {name: added for name in self.peers() if name != BARE and (added := self.added(name)) is not None}
        return sorted(found, key=lambda name: found[name])

    def ranking(self) -> list[str]:
        """Those of them that tell of the call what ours does."""
        return [name for name in self.counted() if not self.lacks(name)]


def from_data(data: list[dict[str, Any]]) -> list[Row]:
    """The rows of a results file."""
    return [
        Row(Case(**row["case"]), {name: Figure(**figure) for name, figure in row["figures"].items()}) for row in data
    ]


def to_data(rows: list[Row]) -> list[dict[str, Any]]:
    """What a results file holds of the rows."""
    return [
        {"case": row.case._asdict(), "figures": {name: vars(figure) for name, figure in row.figures.items()}}
        for row in rows
    ]
