"""What ours is held to: the figures that the project promises, as far as they were measured."""

from __future__ import annotations

from typing import NamedTuple

from compare.cases import SDKS, is_short
from compare.figures import Row
from compare.peers import BARE, OURS
from compare.plot import shown
from compare.results import Results
from compare.tables import above


class Limit(NamedTuple):
    """A figure of ours, and what it may be at most."""

    what: str
    most: float
    found: float
    unit: str = ""

    @property
    def cells(self) -> list[str]:
        return [
            self.what,
            f"{self.most:.2g}{self.unit}",
            f"{shown(self.found)}{self.unit}",
            "yes" if self.found <= self.most else "**no**",
        ]


def limits(results: Results) -> list[Limit]:
    """What the project promises of its cost, as far as it was measured: of sync and async, the one that costs more."""
    calls: dict[tuple[str, float], list[float]] = {}
    found = []
    for row in results.rows:
        case, ours = row.case, row.added(OURS)
        if case.sdk in SDKS and is_short(case) and case.content == "off" and ours is not None:
            if case.shape == "plain" and (multiple := row.ratio(OURS)) is not None:
                calls.setdefault((f"{case.sdk}, plain: × a bare span", 1.3), []).append(multiple)
            elif case.shape == "stream" and (others := [row.added(peer) or 0.0 for peer in reporting(row)]):
                what = f"{case.sdk}, stream: × the least of those who report tokens"
                calls.setdefault((what, 1 / 3), []).append(ours / min(others))
        if case.shape == "other" and (time := row.added_cpu(OURS)):
            found.append(Limit("a request that is no LLM call: added CPU", 2, 1e6 * time.median, " µs"))
    found = [*(Limit(*key, max(values)) for key, values in calls.items()), *found]
    start = results.startup
    if OURS in start and BARE in start:
        what = "start-up above `opentelemetry-instrument` alone: "
        found.append(Limit(f"{what}CPU", 60, above(start, OURS).median, " ms"))
        found.append(Limit(f"{what}memory", 12, start[OURS]["memory"] - start[BARE]["memory"], " MB"))
    return found


def reporting(row: Row) -> list[str]:
    """The others that leave a span with a call's tokens, which costs them something."""
    others = [peer for peer in row.peers() if peer not in (OURS, BARE) and row.figures[peer].spans]
    return [peer for peer in others if row.figures[peer].tokens and (row.added(peer) or 0.0) > 0]
