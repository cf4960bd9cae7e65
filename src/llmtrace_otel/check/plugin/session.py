"""One recorded test from its setup to its report: its spans, its budget, what a failure shows."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import pytest

from llmtrace_otel.check.budget import table
from llmtrace_otel.check.errors import NotEvaluableError, RuleError
from llmtrace_otel.check.measure import Measure
from llmtrace_otel.check.once import once
from llmtrace_otel.check.picture import picture
from llmtrace_otel.check.plugin import options
from llmtrace_otel.check.plugin.names import path_of
from llmtrace_otel.check.plugin.recording import Record, instrument
from llmtrace_otel.check.plugin.usage import usage_of
from llmtrace_otel.pytest_plugin import MARKER, REPLAY_VARIABLES, is_recorded

if TYPE_CHECKING:
    from collections.abc import Generator

    from llmtrace_otel.check.budget import Excess
    from llmtrace_otel.check.plugin.options import Limits

_RECORD: Final = pytest.StashKey[Record]()
_LIMITS: Final = pytest.StashKey["Limits"]()
EXCEEDED: Final = "LLM budget exceeded"
NOT_EVALUATED: Final = "LLM budget cannot be evaluated"


def __tracebackhide__(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:  # noqa: N807 - pytest's name for it
    """What fails within these hooks is not shown to go through them."""
    return not excinfo.errisinstance(pytest.fail.Exception)


class Recording:
    """Hooks around the tests that are recorded."""

    def __init__(self, config: pytest.Config) -> None:
        self._records: WeakSet[Record] = WeakSet()
        self._kept = options.directory(config)
        self._directory = self._kept
        self._budget = options.default_budget(config)
        self._with_content: bool | None = config.getini("llmtrace_content")
        self._replays = any(map(os.environ.get, REPLAY_VARIABLES))

    def begin(self, item: pytest.Item) -> Record:
        """The test's record, begun if it has not been. Fails the test if its limits cannot be read."""
        record = item.stash.get(_RECORD, None)
        if record is None:
            try:
                item.stash[_LIMITS] = options.limits_of(item, self._budget)
            except RuleError as error:
                raise pytest.fail.Exception(f"{MARKER}: {error}", pytrace=False) from None
            path = self._path(item)
            path.unlink(missing_ok=True)
            record = item.stash[_RECORD] = Record(path, with_content=self._with_content)
            self._records.add(record)
            record.begin()
        return record

    @pytest.hookimpl(wrapper=True, trylast=True)  # within pytest's own, which a failure here is not to leave half done
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        if item.stash.get(_RECORD, None) is not None:  # a test that is run again
            del item.stash[_RECORD]
        if self._replays:
            _new_scope(item)
        if is_recorded(item):
            self.begin(item)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """What a fixture of one test does is the test's. Others come before, and may set a provider."""
        record = request.node.stash.get(_RECORD, None) if fixturedef.scope == "function" else None
        if record is None:
            return (yield)
        record.prepare()
        with record.active():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        record = item.stash.get(_RECORD, None)
        if record is None:
            return (yield)
        record.prepare()
        with record.active():
            result = yield
        if failure := _over_budget(record, item.stash[_LIMITS]):
            pytest.fail(failure, pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        try:
            return (yield)
        finally:
            if (record := item.stash.get(_RECORD, None)) is not None:
                record.end()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        record = item.stash.get(_RECORD, None)
        if record is None:
            return (yield)
        usage = usage_of(record.spans()) if call.when == "teardown" else None
        if usage is not None:
            kept = [entry for entry in item.user_properties if not entry[0].startswith("llmtrace.")]
            item.user_properties[:] = kept + usage.properties
        report = yield
        if usage is not None or (report.failed and not record.trace.empty):
            report.llmtrace = {} if usage is None else {"usage": usage.as_json()}  # type: ignore[attr-defined]
        if report.failed:
            _explain(report, record, item.stash[_LIMITS], drawn=_is_drawn(call.excinfo))
        return report

    def pytest_sessionfinish(self) -> None:  # a worker of pytest-xdist may not come to be unconfigured
        if self._directory is not None and self._kept is None:
            for record in self._records:
                record.discard()
            shutil.rmtree(self._directory, ignore_errors=True)

    def _path(self, item: pytest.Item) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="llmtrace-"))
        path = self._directory / path_of(item.nodeid)
        return path.with_name(f"{path.name}.jsonl")


def _new_scope(item: pytest.Item) -> None:
    from llmtrace_otel.replay import new_scope

    instrument()
    new_scope(item.nodeid)


def _over_budget(record: Record, limits: Limits) -> str | None:
    """Why a test that passed fails all the same; None if it does not."""
    try:
        excess = _excess(record, limits)
    except NotEvaluableError as error:
        return f"{NOT_EVALUATED}\n  {error}"
    return "\n  ".join([EXCEEDED, *table(excess)]) if excess else None


def _excess(record: Record, limits: Limits) -> list[Excess]:
    """The limits that were exceeded. Raises NotEvaluableError, also if nothing was there to be limited."""
    measure = Measure(once(record.spans()))
    if not measure.calls and not record.why_unfinished() and limits.marked and limits.budget.calls != 0:
        why = f"no LLM call was recorded; {MARKER}(calls=0) is how to say that there must be none"
        raise NotEvaluableError(why if measure.spans else f"{why}\n  {record.why_empty()}")
    excess = limits.budget.over(measure) if measure.calls or limits.marked else []
    if limits.budget.limits and not excess and (unfinished := record.why_unfinished()):
        raise NotEvaluableError(unfinished)
    return excess


def _is_drawn(excinfo: pytest.ExceptionInfo[BaseException] | None) -> bool:
    """Whether the failure's message has the trace already."""
    if excinfo is None or not excinfo.errisinstance(AssertionError):
        return False
    return any(entry.frame.code.raw.co_qualname == "Trace.assert_tree" for entry in excinfo.traceback)


def _explain(report: pytest.TestReport, record: Record, limits: Limits, *, drawn: bool) -> None:
    """Adds the trace to a failure, and the limits that are exceeded if it is not them that it tells of."""
    if record.trace.empty:
        return
    if not drawn:
        _add_section(report, "LLM trace", picture(record.trace.roots))
    if EXCEEDED not in report.longreprtext:
        with suppress(NotEvaluableError):
            if excess := _excess(record, limits):
                _add_section(report, EXCEEDED, table(excess))


def _add_section(report: pytest.TestReport, title: str, lines: list[str]) -> None:
    """To the failure itself, where it can take one: that is what JUnit's XML has."""
    text = "\n".join(lines)
    add = getattr(report.longrepr, "addsection", None)
    if add is not None:
        add(title, text)
    else:
        report.sections.append((title, text))
