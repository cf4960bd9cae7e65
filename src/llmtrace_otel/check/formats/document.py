"""JSON for programs. Keys are only ever added.

version     1
result      pass, fail, error (it could not be told)
group       what was judged: trace, session, file, or an attribute's name
groups, spans, calls    how many there were
unread      lines that could not be read
price_versions          of the tables that recorded costs are from
rules       for each: id, asks, status (pass, warn, fail, error), level, why, file, line, judged (groups), failed
            (groups), findings (the first 20: group, what, detail, picture, places), remarks;
            of a limit also most: what one group used at most, and which
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmtrace_otel.read.text import clean

if TYPE_CHECKING:
    from llmtrace_otel.check.rules.report import Outcome, Report

VERSION: Final = 1
RESULTS: Final = {0: "pass", 1: "fail", 3: "error"}


def write(report: Report) -> str:
    """One object, indented."""
    told = {
        "version": VERSION,
        "result": RESULTS[report.exit_code],
        "group": report.group,
        "groups": report.groups,
        "spans": report.spans,
        "calls": report.calls,
        "unread": report.unread,
        "price_versions": report.price_versions,
        "rules": [_rule(outcome) for outcome in report.outcomes],
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n"


def _rule(outcome: Outcome) -> dict[str, Any]:
    told = {
        "id": outcome.id,
        "asks": outcome.asks,
        "status": outcome.status,
        "level": outcome.level,
        "why": outcome.why,
        "file": clean(outcome.origin.file, 1000),
        "line": outcome.origin.line,
        "judged": outcome.judged,
        "failed": outcome.failed,
        "findings": [msgspec.to_builtins(finding) for finding in outcome.findings],
        "remarks": [*outcome.doubts, *outcome.warnings],
    }
    if outcome.most is not None:
        told["most"] = {"used": outcome.most[0], "group": outcome.most[1]}
    return told
