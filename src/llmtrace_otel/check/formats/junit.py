"""JUnit XML, as CI systems read it: a test case for each rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from llmtrace_otel.check.formats.phrases import evidence, more, remarks, sentence

if TYPE_CHECKING:
    from llmtrace_otel.check.rules.report import Outcome, Report

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(report: Report) -> str:
    """A document with one suite."""
    failures, errors = (sum(_tag(outcome) == tag for outcome in report.outcomes) for tag in ("failure", "error"))
    counts = f'tests="{len(report.outcomes)}" failures="{failures}" errors="{errors}"'
    cases = "".join(map(_case, report.outcomes))
    suite = f'<testsuite name="llmtrace check" {counts}>\n{cases}</testsuite>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites {counts}>\n{suite}\n</testsuites>\n'


def _tag(outcome: Outcome) -> str:
    """JUnit knows no warnings: they are output of a test case that passes."""
    return {"fail": "failure", "error": "error", "warn": "system-out"}.get(outcome.status, "")


def _case(outcome: Outcome) -> str:
    attributes = f"classname={_attribute('llmtrace')} name={_attribute(outcome.id)}"
    if outcome.origin.line:
        attributes += f' file={_attribute(outcome.origin.file)} line="{outcome.origin.line}"'
    if not (tag := _tag(outcome)):
        return f"<testcase {attributes}/>\n"
    lines = list(_lines(outcome))
    message = "" if tag == "system-out" else f" message={_attribute(lines[0])}"
    body = _valid(escape("\n".join(lines)))
    return f"<testcase {attributes}>\n<{tag}{message}>{body}</{tag}>\n</testcase>\n"


def _lines(outcome: Outcome) -> list[str]:
    found = []
    for finding in outcome.findings:
        found += [f"{finding.group}: {sentence(outcome, finding)}", *evidence(finding)]
    return [line for line in (*found, more(outcome), remarks(outcome)) if line]


def _attribute(text: str) -> str:
    return _valid(quoteattr(text))


def _valid(text: str) -> str:
    """Without the characters that XML cannot hold, however they are written."""
    return _NO_XML.sub("�", text)
