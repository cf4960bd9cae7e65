"""The whole run: what its tests used, the budget of the run, the baseline. It has the reports of all workers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from llmtrace_otel.check.annotation import MAX_ANNOTATIONS
from llmtrace_otel.check.budget import Budget, parse_budget, table
from llmtrace_otel.check.errors import NotEvaluableError
from llmtrace_otel.check.plugin import github
from llmtrace_otel.check.plugin.baseline import Baseline
from llmtrace_otel.check.plugin.options import read
from llmtrace_otel.check.plugin.usage import Total, Usage, usage_from
from llmtrace_otel.read.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLE: Final = "LLM usage (costliest first)"
MAX_ROWS: Final = 20


class Summary:
    """Adds up the reports of recorded tests, and says what came of it at the end."""

    def __init__(self, config: pytest.Config) -> None:
        text = config.option.llmtrace_budget
        self._budget = read("--llmtrace-budget", text, parse_budget) if text is not None else Budget()
        self._baseline = Baseline(config)
        self._used: dict[str, Usage] = {}
        self._failed: dict[str, pytest.TestReport] = {}
        self._told: list[str] = []
        """Why the run fails."""
        self._notes: list[str] = []
        """What is worth knowing, and no failure."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        held = getattr(report, "llmtrace", {})
        if report.failed:
            self._failed.setdefault(report.nodeid, report)
        if "usage" in held:
            self._used[report.nodeid] = usage_from(held["usage"])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        passed = {nodeid: used.profile for nodeid, used in self._used.items() if nodeid not in self._failed}
        self._told = [*self._over_budget(), *self._baseline.finish(passed, self._notes)]
        if self._told and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._used:
            terminalreporter.section(TITLE)
            for line in self._lines():
                terminalreporter.line(line)
        for line in self._notes:
            terminalreporter.line(line)
        for line in self._told:
            terminalreporter.line(line, red=True)
        if github.is_there(os.environ):
            self._tell_github(terminalreporter)

    @property
    def _total(self) -> Total:
        total = Total()
        for used in self._used.values():
            total.include(used)
        return total

    def _over_budget(self) -> list[str]:
        if not self._budget.limits:
            return []
        if not self._used:
            self._notes.append("--llmtrace-budget: no test that was recorded made an LLM call")
            return []
        try:
            excess = self._budget.over(self._total)
        except NotEvaluableError as error:
            return [f"--llmtrace-budget cannot be evaluated: {error}"]
        return ["--llmtrace-budget exceeded", *(f"  {line}" for line in table(excess))] if excess else []

    def _lines(self) -> Iterator[str]:
        tests = self._costliest()
        rows = [_row(nodeid, total) for nodeid, total in tests[:MAX_ROWS]]
        more = f", with {plural(len(tests) - MAX_ROWS, 'more test')}" if len(tests) > MAX_ROWS else ""
        rows.append(_row(f"in all{more}", self._total))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for cost, tokens, calls, name in rows:
            yield f"{cost:>{widths[0]}}  {tokens:>{widths[1]}}  {calls:>{widths[2]}}  {name}"

    def _costliest(self) -> list[tuple[str, Total]]:
        totals = [(nodeid, Total().include(used)) for nodeid, used in self._used.items()]
        return sorted(totals, key=lambda test: (-test[1].usd, -test[1].input - test[1].output, test[0]))

    def _tell_github(self, terminalreporter: pytest.TerminalReporter) -> None:
        root = terminalreporter.config.rootpath
        for report in list(self._failed.values())[:MAX_ANNOTATIONS]:
            if getattr(report, "llmtrace", None) is not None:
                terminalreporter.line(github.failure(report, root, os.environ))
        if self._used:
            github.add_summary([*self._costliest(), ("in all", self._total)], self._told, os.environ)


def _row(name: str, total: Total) -> tuple[str, str, str, str]:
    return total.cost_text, f"{total.tokens_text} tokens", plural(total.calls, "call"), name
