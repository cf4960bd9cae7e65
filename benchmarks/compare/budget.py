"""What a call of ours may cost: the counts of `budget.toml`, and a tenth more.

Counted in the environment that this runs in, without any peer: in instructions where the kernel counts them and a
budget of them is recorded, else in functions called.
"""

from __future__ import annotations

import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from compare.cases import Case
from compare.peers import NONE, OURS, REPOSITORY
from compare.runner import KERNEL, Child, count

FILE = REPOSITORY / "benchmarks" / "budget.toml"
TOLERANCE = 1.1
CASES = [
    *(Case("openai", mode=mode, content=content) for mode in ("sync", "async") for content in ("off", "on")),
    *(Case("openai", "stream", content=content) for content in ("off", "on")),
    Case("httpx2", "other"),
    Case("subprocess", "child"),
]
HEAD = """\
# What llmtrace adds to a call, in functions called or instructions. `python benchmarks/overhead.py --budget` fails when
# it is more by over 10 %; with --record it writes this file. Recorded with Python {python}.
"""

Counts = dict[Case, float]


class Excess(NamedTuple):
    """A case that costs more than it may."""

    case: Case
    allowed: float
    found: float

    def __str__(self) -> str:
        return f"{self.case}: {self.found:,.0f}, which is over the {self.allowed:,.0f} of {FILE.name} and a tenth"


def excesses(found: Counts, budget: Counts) -> list[Excess]:
    """The cases that cost over a tenth more than their budget. One without a budget may cost nothing."""
    wrong = [Excess(case, budget.get(case, 0.0), added) for case, added in found.items()]
    return [excess for excess in wrong if excess.found > TOLERANCE * excess.allowed]


def counted(way: str, at_once: int) -> Counts:
    """What ours adds to each case, in instructions or functions."""
    kinds = list(dict.fromkeys((case.sdk, case.content) for case in CASES))
    jobs = [(peer, *kind) for kind in kinds for peer in (NONE, OURS)]
    with ThreadPoolExecutor(at_once) as pool:
        totals = dict(zip(jobs, pool.map(lambda job: _totals(job, way), jobs), strict=True))
    return {
        case: totals[OURS, case.sdk, case.content][case] - totals[NONE, case.sdk, case.content][case] for case in CASES
    }


def _totals(job: tuple[str, str, str], way: str) -> Counts:
    peer, sdk, content = job
    with Child(Path(sys.executable), sdk, peer, content, way) as child:
        return {case: count(child, case, {}, way) for case in CASES if (case.sdk, case.content) == (sdk, content)}


def recorded(way: str) -> Counts:
    budget = tomllib.loads(FILE.read_text()).get(way, {})
    return {case: budget[str(case)] for case in CASES if str(case) in budget}


def record(at_once: int) -> None:
    """Writes the file anew: functions and, where the kernel counts them, instructions."""
    text = HEAD.format(python=sys.version.split()[0])
    for way in ("instructions", "functions") if KERNEL else ("functions",):
        text += f"\n[{way}]\n"
        text += "".join(f'"{case}" = {added:.0f}\n' for case, added in counted(way, at_once).items())
    FILE.write_text(text)


def check(way: str, at_once: int) -> list[Excess]:
    """Counts what has a budget, says what was found, and gives what is too much."""
    if not recorded(way):
        way = "functions"
    found, budget = counted(way, at_once), recorded(way)
    for case, added in found.items():
        print(f"{case}: {added:,.0f} {way} added; budget {budget.get(case, 0):,.0f}")
    return excesses(found, budget)
