"""What the tests of record and replay share: both modes as context managers, and what is in the directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llmtrace_otel.instrument.httpx import HTTPXInstrumentor
from llmtrace_otel.instrument.lazy import LazyInstrumentor
from llmtrace_otel.replay import MISSES, RECORD, REPLAY
from llmtrace_otel.replay.tape import SCOPE
from support.spans import Recorded

KEY = "sk-proj-abcdefghijklmnop1234567890"
NOWHERE = "http://127.0.0.1:9"
"""Where nobody listens: what is answered there was not asked there."""


class Tape:
    """One directory of recordings."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self._monkeypatch = monkeypatch
        self._misses = directory.with_name("misses")

    @contextmanager
    def mode(self, variable: str, *more: LazyInstrumentor) -> Iterator[Recorded]:
        SCOPE.begin("")
        with self._monkeypatch.context() as environment:
            environment.setenv(variable, str(self.directory))
            environment.setenv(MISSES, str(self._misses))
            recorded = Recorded()
            instrumentors = [HTTPXInstrumentor(), *more]
            for instrumentor in instrumentors:
                instrumentor.instrument(**recorded.providers)
            try:
                yield recorded
            finally:
                for instrumentor in instrumentors:
                    instrumentor.uninstrument()
                recorded.close()

    def record(self, *more: LazyInstrumentor) -> Any:
        """Records what is asked within."""
        return self.mode(RECORD, *more)

    def replay(self, *more: LazyInstrumentor) -> Any:
        """Answers what is asked within."""
        return self.mode(REPLAY, *more)

    @property
    def files(self) -> list[str]:
        """The names of the recordings."""
        return sorted(path.name for path in self.directory.iterdir()) if self.directory.exists() else []

    @property
    def texts(self) -> dict[str, str]:
        return {name: (self.directory / name).read_text() for name in self.files}

    @property
    def recordings(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts.values()]

    @property
    def recording(self) -> dict[str, Any]:
        """The one there must be."""
        (recording,) = self.recordings
        return recording

    @property
    def misses(self) -> list[str]:
        """What was said of each call without a recording."""
        return self._misses.read_text().splitlines() if self._misses.exists() else []
