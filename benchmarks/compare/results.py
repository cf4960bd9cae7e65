"""A run's figures as a file, `benchmarks/results/<date>-<machine>.json`, which is written after each part of a run.

What is measured again on the same day and machine takes the place of what was there; the rest stays. So each part (a
row, the start-up, a table) tells which command and which commit made it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from compare.cases import CASES
from compare.figures import Row, from_data, to_data
from compare.peers import REPOSITORY

FOLDER = REPOSITORY / "benchmarks" / "results"
STARTUP = "startup"
TIMES = "times of "
"""Before a row's name: the part that took its times, if another counted it."""

Table = dict[str, dict[str, list[float]]]
"""What each round found, by figure and column."""


@dataclass
class Run:
    """How a part was made: `missing` says who could not be measured, and why; `failed`, why there is nothing."""

    command: str
    commit: str
    seconds: float
    missing: dict[str, str] = field(default_factory=dict)
    failed: str = ""


@dataclass
class Results:
    """All that was found, or what one step of a run did."""

    date: str = ""
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    """Of what is installed for each peer, by environment: with the SDKs, or with LiteLLM."""
    rows: list[Row] = field(default_factory=list)
    startup: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    """Of the proxy, the collector and reading, by name."""
    runs: dict[str, Run] = field(default_factory=dict)
    """By part: the name of a row or a table, or STARTUP."""

    def take(self, newer: Results) -> None:
        """Puts what another measured in place of its own. A row is replaced as a whole: its peers took turns."""
        rows = {str(row.case): row for row in self.rows if str(row.case) not in newer.runs}
        rows |= {str(row.case): row for row in newer.rows}
        order = {str(case): number for number, case in enumerate(CASES)}
        self.rows = [rows[name] for name in sorted(rows, key=lambda name: order.get(name, len(order)))]
        self.startup = newer.startup if STARTUP in newer.runs else self.startup
        self.tables = {name: table for name, table in self.tables.items() if name not in newer.runs} | newer.tables
        for environment, found in newer.versions.items():
            self.versions.setdefault(environment, {}).update(found)
        self.runs |= newer.runs

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.date}-{self.machine['name']}.json"

    def save(self) -> Path:
        """Writes the file, whole or not at all, and gives its path."""
        self.path.parent.mkdir(exist_ok=True)
        data = {
            **vars(self),
            "rows": to_data(self.rows),
            "runs": {part: asdict(run) for part, run in self.runs.items()},
        }
        draft = self.path.with_suffix(".part")
        draft.write_text(json.dumps(data, indent=1) + "\n")
        return draft.replace(self.path)


def load(path: Path) -> Results:
    data = json.loads(path.read_text())
    runs = {part: Run(**run) for part, run in data["runs"].items()}
    return Results(**{**data, "rows": from_data(data["rows"]), "runs": runs})


def begun() -> Results:
    """Today's results on this machine: those that are there, or none yet."""
    found = Results(time.strftime("%Y-%m-%d"), machine())
    if found.path.exists():
        found.take(load(found.path))
    return found


def newest() -> Path | None:
    """The latest results, by the date in their name."""
    return max(FOLDER.glob("*.json"), default=None)


def commit() -> str:
    """What is measured: the commit, and whether something was changed since, other than by what a run writes."""
    try:
        hash_ = _git("rev-parse", "--short=10", "HEAD")
        changes = _git("status", "--porcelain", "-uno", "--", ".", ":!docs", ":!benchmarks/results")
    except (OSError, subprocess.CalledProcessError):
        return "no commit"
    return f"{hash_} with changes" if changes else hash_


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout.strip()


def machine() -> dict[str, Any]:
    """What the figures were taken on. The name tells the system, the processor and Python, never the host."""
    name = f"{platform.system()} {_processor()} python{'.'.join(platform.python_version_tuple()[:2])}"
    return {
        "name": re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-"),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
