"""The `debug` exporter: one line per request on standard error, to see that spans arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.otlp import Batch


class DebugExporter:
    """Says how much came; keeps nothing."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def show(self, batch: Batch) -> None:
        """Tells of one batch."""
        self._say(f"debug: {batch.spans} spans, {len(batch.protobuf)} bytes")
