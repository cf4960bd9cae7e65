"""What all formats say alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmtrace_otel.read.text import clean, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmtrace_otel.check.rules.report import Finding, Outcome, Report


def summary(report: Report) -> str:
    """`2 failed, 1 warning, 2 passed · 1 trace · prices 2026-11-18`."""
    counts = {
        "failed": report.count("fail"),
        "not evaluable": report.count("error"),
        "warning": report.count("warn"),
        "passed": report.count("pass"),
    }
    told = [_counted(count, what) for what, count in counts.items() if count]
    noun = report.group if report.group in ("trace", "session", "file") else "group"
    prices = [f"prices {clean(', '.join(report.price_versions))}"] if report.price_versions else []
    unread = [f"{plural(report.unread, 'line')} could not be read"] if report.unread else []
    return " · ".join([", ".join(told), plural(report.groups, noun), *prices, *unread])


def _counted(count: int, what: str) -> str:
    return plural(count, what) if what == "warning" else f"{count} {what}"


def sentence(outcome: Outcome, finding: Finding) -> str:
    """What is wrong, and why that matters."""
    why = f" – {clean(outcome.why)}" if outcome.why else ""
    return finding.what + why


def evidence(finding: Finding) -> Iterator[str]:
    """The lines that show it: a detail, the tree, where the steps are recorded."""
    if finding.detail:
        yield finding.detail
    yield from finding.picture
    if finding.places:
        yield ", ".join(finding.places)


def remarks(outcome: Outcome) -> str:
    """Why it could not be told, or what to mind."""
    return clean("; ".join([*outcome.doubts, *outcome.warnings]), 600)


def more(outcome: Outcome) -> str:
    """`… and 380 more`; nothing if all findings are there."""
    left = outcome.failed - len(outcome.kept)
    return f"… and {left:,} more" if left else ""
