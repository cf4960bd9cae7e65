"""The whole SDK, where metrics, logs or rarer variables are asked for: its own configurator with our bounded exits.

Importing it costs a Python process more than everything else that happens at start-up, so tracing alone does without.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

from .collector import Collector, Countdown
from .jsonl import JSONLSpanExporter, JSONLSpanProcessor

if TYPE_CHECKING:
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter


class BoundedLogRecordProcessor(BatchLogRecordProcessor):
    """The SDK's batch processor, except that its shutdown gives up when the countdown ends."""

    def __init__(self, exporter: LogRecordExporter, countdown: Countdown) -> None:
        super().__init__(exporter)
        self._countdown = countdown

    def shutdown(self) -> None:
        self._batch_processor.shutdown(timeout_millis=self._countdown.left_millis())


def configure(**options: Any) -> None:
    """Set up traces, metrics and logs as the variables ask; `options` go to the SDK's configurator."""
    configurator: Any = _OTelSDKConfigurator()  # type: ignore[no-untyped-call]
    if os.environ.get("OTEL_CONFIG_FILE"):  # the file then says everything
        configurator.configure()
        return
    collector = Collector()

    def span_processor(exporter: SpanExporter) -> SpanProcessor:
        if isinstance(exporter, JSONLSpanExporter):
            return JSONLSpanProcessor(exporter)
        return collector.span_processor(lambda: exporter)

    def log_record_processor(exporter: LogRecordExporter) -> BoundedLogRecordProcessor:
        return BoundedLogRecordProcessor(exporter, collector.countdown)

    configurator.configure(
        export_span_processor=span_processor, export_log_record_processor=log_record_processor, **options
    )
    collector.watch_exits()
