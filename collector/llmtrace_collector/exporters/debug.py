"""The `debug` exporter: says what comes, to see that something does. It keeps nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmtrace_collector.figures.summary import items as items_of
from llmtrace_otel.read.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmtrace_collector.config.settings import DebugExporter as DebugSettings
    from llmtrace_collector.otlp.batch import Batch

LISTS = {"resourceSpans": ("scopeSpans", "spans"), "resourceMetrics": ("scopeMetrics", "metrics"),
         "resourceLogs": ("scopeLogs", "logRecords")}  # fmt: skip


class DebugExporter:
    """`basic` is a line per request, `normal` another per item, `detailed` the whole request as indented JSON."""

    durable = False

    def __init__(self, settings: DebugSettings, say: Callable[[str], None]) -> None:
        self.wants_lines = settings.verbosity != "basic"
        self._verbosity = settings.verbosity
        self._say = say

    def describe(self) -> str:
        """What it does, for the line at start."""
        return "printing what comes"

    def start(self) -> None:
        """Nothing to do."""

    async def export(self, batch: Batch, *, kept: bool) -> None:
        """Tells of one batch."""
        self._say(f"debug: {items_of(batch.signal, batch.items)}, {len(batch.protobuf)} bytes")
        if self._verbosity == "detailed":
            self._say(msgspec.json.format(batch.line.strip(), indent=2).decode())
        elif self._verbosity == "normal":
            for item in items(msgspec.json.decode(batch.line)):
                self._say(f"debug: {clean(summary(item))}")

    async def close(self, timeout: float) -> None:
        """Nothing to do."""


def items(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The spans, metrics or log records of one line of OTLP JSON."""
    for key, resources in line.items():
        scopes, members = LISTS[key]
        for resource in resources:
            for scope in resource.get(scopes, ()):
                yield from scope.get(members, ())


def summary(item: dict[str, Any]) -> str:
    """Name, ids and attributes of a span, metric or log record, in one line."""
    words = [item.get("name") or item.get("eventName") or "log", item.get("traceId"), item.get("spanId")]
    for attribute in item.get("attributes", ()):
        [value] = attribute["value"].values() or [None]
        words.append(
            f"{attribute.get('key', '')}={value if isinstance(value, str) else msgspec.json.encode(value).decode()}"
        )
    return " ".join(word for word in words if word)
