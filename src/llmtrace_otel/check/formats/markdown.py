"""Markdown for a summary or a comment: a table of the rules, the most that was used, then the findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmtrace_otel.check.budget import quantity
from llmtrace_otel.check.formats.phrases import evidence, more, remarks, sentence, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmtrace_otel.check.rules.report import Outcome, Report

WORDS: Final = {"fail": "❌ failed", "error": "❔ not evaluable", "warn": "⚠️ warning", "pass": "✅ passed"}
_SPECIAL: Final = str.maketrans({char: f"\\{char}" for char in "\\`*_{}[]<>()#!|~&@$"})


def write(report: Report) -> str:
    """A table and, folded, what is behind each row that did not pass."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"### llmtrace check: {_plain(summary(report))}"
    yield ""
    yield "| rule | asks | result | most used | groups that break it |"
    yield "|---|---|---|---|---|"
    for outcome in report.outcomes:
        cells = (_plain(outcome.id), _plain(outcome.asks), WORDS[outcome.status], _most(outcome), _failed(outcome))
        yield f"| {' | '.join(cells)} |"
    for outcome in report.outcomes:
        if outcome.status != "pass":
            yield from _details(outcome)


def _most(outcome: Outcome) -> str:
    if outcome.most is None:
        return ""
    used, group = outcome.most
    return _plain(f"{quantity(outcome.id.removeprefix('budget.'), used)} in {group}")


def _failed(outcome: Outcome) -> str:
    return f"{outcome.failed:,} of {outcome.judged:,}" if outcome.failed else ""


def _details(outcome: Outcome) -> Iterator[str]:
    yield ""
    yield f"<details><summary>{_html(outcome.id)}: {WORDS[outcome.status]}</summary>"
    yield ""
    for finding in outcome.findings:
        yield f"- {_plain(finding.group)}: {_plain(sentence(outcome, finding))}"
        if rows := list(evidence(finding)):
            yield ""
            yield from (f"      {row}" for row in rows)  # an indented block: nothing in it can end it
            yield ""
    yield from (f"- {_plain(line)}" for line in (more(outcome), remarks(outcome)) if line)
    yield ""
    yield "</details>"


def _plain(text: str) -> str:
    return " ".join(text.split()).translate(_SPECIAL)


def _html(text: str) -> str:
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
