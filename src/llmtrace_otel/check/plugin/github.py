"""What GitHub Actions shows of a run: a note at each test that failed, a table of what the tests used."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from llmtrace_otel.check.annotation import annotation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pytest

    from llmtrace_otel.check.plugin.usage import Total

MAX_ROWS: Final = 200
MAX_MESSAGE: Final = 2000  # characters


def is_there(environ: Mapping[str, str]) -> bool:
    return environ.get("GITHUB_ACTIONS") == "true"


def failure(report: pytest.TestReport, root: Path, environ: Mapping[str, str]) -> str:
    """The command that puts a failure's message at its test."""
    file, line, name = report.location
    path = os.path.relpath(root / file, environ.get("GITHUB_WORKSPACE") or root)
    message = getattr(getattr(report.longrepr, "reprcrash", None), "message", None) or report.longreprtext
    return annotation("error", name, message[:MAX_MESSAGE], file=path, line=(line or 0) + 1)


def add_summary(tests: Sequence[tuple[str, Total]], told: Sequence[str], environ: Mapping[str, str]) -> None:
    """Adds what the tests used to the summary of the job, and why the run fails. The last row is the sum."""
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        lines = ["### LLM usage", "", "| test | cost | tokens | calls |", "|---|--:|--:|--:|"]
        lines += [_row(name, total) for name, total in (*tests[:-1][:MAX_ROWS], tests[-1])]
        lines += ["", *(["```", *told, "```", ""] if told else [])]
        with suppress(OSError), open(path, "a", encoding="utf-8") as stream:
            stream.write("\n".join(lines) + "\n")


def _row(name: str, total: Total) -> str:
    shown = name.replace("|", "\\|").replace("`", "'")
    return f"| `{shown}` | {total.cost_text} | {total.tokens_text} | {total.calls} |"
