"""A run's figures as a file: `benchmarks/results/<date>-<machine>.json`, with machine, versions and date."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compare.figures import Row, from_data, to_data
from compare.peers import REPOSITORY

FOLDER = REPOSITORY / "benchmarks" / "results"


@dataclass
class Results:
    """All that a run found. Tables of the other benchmarks are as they made them, by name."""

    date: str = ""
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    startup: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Of the proxy, the collector and reading: a figure by row and column."""

    def save(self) -> Path:
        """Writes the file and gives its path."""
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{self.date}-{self.machine['name']}.json"
        path.write_text(json.dumps({**vars(self), "rows": to_data(self.rows)}, indent=1) + "\n")
        return path


def load(path: Path) -> Results:
    data = json.loads(path.read_text())
    return Results(**{**data, "rows": from_data(data["rows"])})


def newest() -> Path | None:
    """The latest results, by the date in their name."""
    return max(FOLDER.glob("*.json"), default=None)


def today() -> str:
    return time.strftime("%Y-%m-%d")


def machine() -> dict[str, Any]:
    """What the figures were taken on. The name tells the system and the processor, never the host."""
    model = re.sub(r"[^a-z0-9]+", "-", _processor().lower()).strip("-")
    return {
        "name": f"{platform.system().lower()}-{model}",
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
