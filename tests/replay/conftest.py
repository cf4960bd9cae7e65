"""A directory of recordings for each test, and the instrumented libraries on either side of it."""

from __future__ import annotations

import pytest
from tapes import Tape

from llmtrace_otel.replay import MISSES, RECORD, REPLAY
from llmtrace_otel.replay.tape import SCOPE
from llmtrace_otel.telemetry import content


@pytest.fixture
def tape(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Records and replays in this process."""
    for variable in (RECORD, REPLAY, MISSES, content.MODE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY", "false")
    yield Tape(tmp_path / "cassettes", monkeypatch)
    SCOPE.begin("")
