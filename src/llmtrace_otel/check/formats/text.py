"""For people: what failed first, with its tree; what passed on one line; the sums on the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmtrace_otel.check.formats.phrases import evidence, more, remarks, sentence, summary
from llmtrace_otel.read.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmtrace_otel.check.rules.report import Outcome, Report

INDENT: Final = "       "
GAP: Final = "   "
WORDS: Final = {"fail": "FAIL", "warn": "warn", "error": "????", "pass": "ok"}
MAX_ID: Final = 40


def write(report: Report) -> str:
    """Lines of plain text."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    told = [outcome for outcome in report.outcomes if outcome.status != "pass"]
    width = max((len(_name(outcome)) for outcome in told), default=0)
    for status in ("fail", "error", "warn"):
        for outcome in told:
            if outcome.status == status:
                yield from _outcome(outcome, width)
    if passed := [_name(outcome) for outcome in report.outcomes if outcome.status == "pass"]:
        yield f"{WORDS['pass']:<4} {', '.join(passed)}"
    yield summary(report)


def _outcome(outcome: Outcome, width: int) -> Iterator[str]:
    lead = f"{WORDS[outcome.status]} {_name(outcome):<{width}}{GAP}"
    for finding in outcome.findings:
        yield lead + finding.group + GAP + sentence(outcome, finding)
        for line in evidence(finding):
            yield (INDENT + line).rstrip()
    if hidden := more(outcome):
        yield INDENT + hidden
    if said := remarks(outcome):
        yield (INDENT if outcome.failed else lead) + said


def _name(outcome: Outcome) -> str:
    return clean(outcome.id, MAX_ID)
