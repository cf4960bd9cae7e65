"""Workflow commands of GitHub Actions: an annotation for each finding, at the rule that is broken.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from llmtrace_otel.check.formats.phrases import evidence, more, remarks, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmtrace_otel.check.rules.report import Outcome, Report

MAX_ANNOTATIONS: Final = 10
"""GitHub shows no more of a step."""


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
    level = "warning" if outcome.status == "warn" else "error"
    at = {"file": outcome.origin.file, "line": str(outcome.origin.line)} if outcome.origin.line else {}
    properties = ",".join(f"{name}={_property(value)}" for name, value in {**at, "title": outcome.id}.items())
    return f"::{level} {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
