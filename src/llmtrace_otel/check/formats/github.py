"""Annotations of GitHub Actions: one for each finding, at the rule that is broken."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Literal

from llmtrace_otel.check.annotation import MAX_ANNOTATIONS, annotation
from llmtrace_otel.check.formats.phrases import evidence, more, remarks, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmtrace_otel.check.rules.report import Outcome, Report


def write(report: Report) -> str:
    """One line for each annotation, the failures first."""
    outcomes = sorted(report.outcomes, key=lambda outcome: ("fail", "error", "warn", "pass").index(outcome.status))
    lines = (line for outcome in outcomes if outcome.status != "pass" for line in _annotations(outcome))
    return "".join(f"{line}\n" for line in islice(lines, MAX_ANNOTATIONS))


def _annotations(outcome: Outcome) -> Iterator[str]:
    for finding in outcome.findings:
        body = [f"{finding.group}: {sentence(outcome, finding)}", *evidence(finding)]
        yield _command(outcome, "\n".join(body))
    if hidden := more(outcome):
        yield _command(outcome, hidden)
    if said := remarks(outcome):
        yield _command(outcome, said)


def _command(outcome: Outcome, message: str) -> str:
    level: Literal["error", "warning"] = "warning" if outcome.status == "warn" else "error"
    return annotation(level, outcome.id, message, file=outcome.origin.file, line=outcome.origin.line)
