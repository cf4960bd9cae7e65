"""What the SDK's own console exporters print of a test's calls: an independent witness of what leaves the process."""

from __future__ import annotations

import io
import json
from typing import Any

from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from support.spans import Recorded


class Printed:
    """Spans and events as the console exporters print them."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._spans, self._events = io.StringIO(), io.StringIO()
        recorded.tracer_provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=self._spans)))
        recorded.logger_provider.add_log_record_processor(
            SimpleLogRecordProcessor(ConsoleLogRecordExporter(out=self._events))
        )

    @property
    def spans(self) -> list[dict[str, Any]]:
        return _documents(self._spans.getvalue())

    @property
    def span(self) -> dict[str, Any]:
        """The one span that there must be."""
        (span,) = self.spans
        return span

    @property
    def events(self) -> list[dict[str, Any]]:
        return _documents(self._events.getvalue())

    @property
    def event(self) -> dict[str, Any]:
        """The one event that there must be."""
        (event,) = self.events
        return event

    @property
    def text(self) -> str:
        """All that was exported, metrics too, to be searched for what must not be in it."""
        metrics = [metric.to_json() for metric in self._recorded.metrics.values()]
        return "\n".join(
            [json.dumps(self.spans, ensure_ascii=False), json.dumps(self.events, ensure_ascii=False), *metrics]
        )


def _documents(text: str) -> list[Any]:
    """The JSON documents that follow one another in a text."""
    found, rest, decoder = [], text.lstrip(), json.JSONDecoder()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append(document)
        rest = rest[end:].lstrip()
    return found
