"""Fixtures of the telemetry tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from printed import Printed

from llmtrace_otel.telemetry import content
from support.spans import Recorded


@pytest.fixture
def printed(recorded: Recorded) -> Printed:
    return Printed(recorded)


@pytest.fixture(autouse=True)
def no_redaction_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(content.REDACTION_VARIABLE, raising=False)
    content.refresh()
    yield
    content.set_redaction(None)
    content.refresh()
