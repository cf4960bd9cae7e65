"""The pytest plugin: what a test asked of models and spent, as fixtures, a marker and a report.

    llmtrace             this test's spans: `assert llmtrace.llm.count <= 4`
    llmtrace_run         runs a command and gives its spans
    llmtrace_snapshot    compares the shape of this test's spans with a file
    llm_budget           marker: limits on what a test may use

Every pytest run of an environment that has llmtrace-otel imports this module. So it imports nothing that pytest has not
imported itself, and adds no hook to the tests; what does the work is loaded by the first test that asks for it:

    check/plugin/recording.py    whose span is it: a file per test, and what its child processes find in the environment
    check/plugin/session.py      one test from its setup to its report
    check/plugin/summary.py      the whole run: what all tests used, budget, baseline
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llmtrace_otel.check.plugin.run import Run
    from llmtrace_otel.check.plugin.session import Recording
    from llmtrace_otel.check.plugin.snapshot import Snapshot
    from llmtrace_otel.check.plugin.summary import Summary
    from llmtrace_otel.check.trace import Trace

FIXTURES = frozenset(("llmtrace", "llmtrace_run", "llmtrace_snapshot"))
MARKER = "llm_budget"
MODES = ("auto", "all", "off")
REPLAY_VARIABLES = ("LLMTRACE_RECORD", "LLMTRACE_REPLAY")

_RECORDING = "llmtrace-recording"
_SUMMARY = "llmtrace-summary"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("llmtrace", "LLM calls that tests make")
    group.addoption(
        "--llmtrace",
        choices=MODES,
        default="auto",
        help="which tests are recorded: auto, those with a fixture of llmtrace or the marker llm_budget (default); "
        "all; off, which skips those with a fixture and checks no budget",
    )
    group.addoption("--llmtrace-budget", metavar="LIMITS", help='of the whole run: "cost=2 tokens=1M calls=500"')
    group.addoption("--llmtrace-out", metavar="DIR", help="keep the spans of each recorded test there, one file each")
    group.addoption("--llmtrace-baseline", metavar="FILE", help="fail if tests use more than this file says they did")
    group.addoption(
        "--llmtrace-tolerance", metavar="SHARE", help="how much more than the baseline is allowed (default: 10%%)"
    )
    group.addoption(
        "--llmtrace-update", action="store_true", help="write the baseline, and the files of llmtrace_snapshot"
    )
    parser.addini("llmtrace_budget", "limits of each test that makes LLM calls: cost=0.05 tokens=20k calls=10")
    parser.addini(
        "llmtrace_content",
        "whether messages and arguments are recorded (default: true if the provider is ours)",
        type="bool",
        default=None,
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARKER}(cost=, tokens=, calls=, tools=, duration=): what the test may use; USD, seconds"
    )
    option = config.option
    if option.llmtrace == "off":
        return
    if not hasattr(config, "workerinput"):
        of_run = option.llmtrace_budget, option.llmtrace_baseline, option.llmtrace_tolerance
        if of_run != (None, None, None):  # "" is a mistake to be told, such as a variable that is not set
            summary(config)
        else:
            config.pluginmanager.register(_FirstReport(config))
    replays = any(map(os.environ.get, REPLAY_VARIABLES))
    if config.getini("llmtrace_budget") or option.llmtrace_out is not None or replays:
        recording(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    if any(is_recorded(item) for item in session.items):
        recording(session.config)


def is_recorded(item: pytest.Item) -> bool:
    """Whether a test is recorded from the start of its setup."""
    mode = item.config.option.llmtrace
    if mode != "auto":
        return bool(mode == "all")
    fixtures = getattr(item, "fixturenames", ())
    return not FIXTURES.isdisjoint(fixtures) or item.get_closest_marker(MARKER) is not None


def recording(config: pytest.Config) -> Recording:
    """The part that records tests, loaded when it is first asked for."""
    found: Recording | None = config.pluginmanager.get_plugin(_RECORDING)
    if found is None:
        from llmtrace_otel.check.plugin.session import Recording

        found = Recording(config)
        config.pluginmanager.register(found, _RECORDING)
    return found


def summary(config: pytest.Config) -> Summary:
    """The part that adds up what tests used, in the process that has their reports."""
    found: Summary | None = config.pluginmanager.get_plugin(_SUMMARY)
    if found is None:
        from llmtrace_otel.check.plugin.summary import Summary

        found = Summary(config)
        config.pluginmanager.register(found, _SUMMARY)
    return found


class _FirstReport:
    """Waits for the report of a test that was recorded, here or by a worker of pytest-xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "llmtrace"):
            self._config.pluginmanager.unregister(self)
            summary(self._config).pytest_runtest_logreport(report)


@pytest.fixture
def llmtrace(request: pytest.FixtureRequest) -> Trace:
    """What this test asks of models: its spans, in-process, of threads and of child processes, as they are recorded."""
    return _recording_of(request).begin(request.node).trace


@pytest.fixture
def llmtrace_run(request: pytest.FixtureRequest) -> Run:
    """Runs a command as `llmtrace run` does: `llmtrace_run(["python", "agent.py"], timeout=60).trace`."""
    from llmtrace_otel.check.plugin.run import Run

    return Run(_recording_of(request).begin(request.node))


@pytest.fixture
def llmtrace_snapshot(request: pytest.FixtureRequest) -> Snapshot:
    """Fails unless the shape of this test's spans is that of its file, which --llmtrace-update writes."""
    from llmtrace_otel.check.plugin.snapshot import Snapshot

    record = _recording_of(request).begin(request.node)
    return Snapshot(request.node, record.trace, update=request.config.option.llmtrace_update)


def _recording_of(request: pytest.FixtureRequest) -> Recording:
    if request.config.option.llmtrace == "off":
        pytest.skip("nothing is recorded with --llmtrace=off")
    return recording(request.config)
