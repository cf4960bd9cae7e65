"""The batch path to a collector, where the program has no distro that made one.

Without a collector the SDK's exporters hold up the exit for 7 to 10 seconds and log each retry. Here the exit waits
`exit_seconds()` at most, all signals together, and one line says what did not arrive and what to do about it.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.util._importlib_metadata import entry_points

from . import flush
from .notice import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

TIMEOUT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOL_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

EXPORTERS_LOGGER: Final = "opentelemetry.exporter.otlp"
UNREACHABLE: Final = ("Transient error", "max retries or shutdown", "Shutdown in progress", "already shutdown")


def first_set(names: Sequence[str], default: str) -> str:
    """The value of the first of these variables that is set and not empty."""
    return next((value for name in names if (value := os.environ.get(name, "").strip())), default)


def exit_seconds() -> float:
    """How long the exit may wait for the collector: the user's own OTLP timeout, or two seconds."""
    try:
        return float(first_set(TIMEOUT_VARIABLES, str(flush.SECONDS)))
    except ValueError:
        return flush.SECONDS


def protocol() -> str:
    """How OTLP is spoken: `http/protobuf` unless a variable says `grpc`."""
    return first_set(PROTOCOL_VARIABLES, "http/protobuf")


def endpoint() -> str:
    """Scheme, host and port of the collector that spans go to, without path and without credentials."""
    url = first_set(ENDPOINT_VARIABLES, f"http://localhost:{4317 if protocol() == 'grpc' else 4318}")
    return url.split("//")[0] + "//" + urlsplit(url).netloc.rpartition("@")[2] if "//" in url else url


class Countdown:
    """The time that remains for closing everything, counted from the first time somebody asks."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline: float | None = None

    def left_millis(self) -> int:
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._seconds
        return max(int((self._deadline - now) * 1000), 0)


class DeferredExporter(SpanExporter):
    """An exporter made when the first span starts, with a count of the spans that were not delivered, or not yet.

    Importing an OTLP exporter costs several times the SDK, and most child processes never have a span to send. When the
    first batch comes would be too late: some exporters cannot be imported any more while the interpreter shuts down.
    """

    def __init__(self, make: Callable[[], SpanExporter], on_failure: Callable[[], None]) -> None:
        self._make: Callable[[], SpanExporter] | None = make
        self._exporter: SpanExporter | None = None
        self._on_failure = on_failure
        self._making = threading.RLock()
        self.unsent = 0
        os.register_at_fork(  # a child must not be born while half a module is imported
            before=self._making.acquire, after_in_parent=self._making.release, after_in_child=self._start_over
        )

    def prepare(self) -> None:
        """Make the exporter, once. Never raises; when it cannot be made, one line says so and spans are dropped."""
        if self._make is None:
            return
        with self._making:
            make, self._make = self._make, None
            try:
                self._exporter = make() if make is not None else self._exporter
            except Exception as error:
                say(f"could not make the exporter that the OTEL_ variables ask for: {error}; no spans are sent")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._making:
            exporter = self._exporter
        if exporter is None:
            return SpanExportResult.FAILURE
        self.unsent += len(spans)
        result = SpanExportResult.FAILURE
        with contextlib.suppress(Exception):  # gRPC raises when its channel is closed under it
            result = exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.unsent -= len(spans)
        else:
            self._on_failure()
        return result

    def shutdown(self) -> None:
        if self._exporter:
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter is None or self._exporter.force_flush(timeout_millis)

    def _start_over(self) -> None:
        self.unsent = 0  # what the parent has not delivered is the parent's to tell
        self._making.release()


class BoundedSpanProcessor(BatchSpanProcessor):
    """The SDK's batch processor, except that its shutdown gives up when the countdown ends."""

    def __init__(self, exporter: DeferredExporter, countdown: Countdown) -> None:
        super().__init__(exporter)
        self._exporter = exporter
        self._countdown = countdown

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._exporter.prepare()

    def shutdown(self) -> None:
        self._batch_processor.shutdown(timeout_millis=self._countdown.left_millis())

    def unsent(self) -> int:
        """Spans in the queue, on their way, or refused."""
        return len(self._batch_processor._queue) + self._exporter.unsent


class ExporterLog(logging.Handler):
    """Hears what OTLP exporters log: failing attempts are counted elsewhere, other complaints are passed on once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.refused = False
        self._told: set[tuple[str, int]] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message, complaint = record.getMessage(), (record.name, record.levelno)
        if complaint in self._told or any(words in message for words in UNREACHABLE):
            return
        self._told.add(complaint)
        self.refused = self.refused or record.levelno >= logging.ERROR
        say(f"{message} ({endpoint()})")


class Collector:
    """The processors towards one collector, their common countdown, and the one line about what did not arrive."""

    def __init__(self) -> None:
        self.countdown = Countdown(exit_seconds())
        self._processors: list[BoundedSpanProcessor] = []
        self._said = False
        self._log = ExporterLog()
        logger = logging.getLogger(EXPORTERS_LOGGER)
        logger.addHandler(self._log)
        logger.propagate = False

    def watch_exits(self) -> None:
        """Close at exit. To be called when the providers exist: exit handlers run in reverse order."""
        atexit.register(self.close)
        flush.install(self.say_unsent)

    def span_processor(self, make: Callable[[], SpanExporter]) -> SpanProcessor:
        """A batch processor for the exporter that `make` will make."""
        processor = BoundedSpanProcessor(DeferredExporter(make, self.say_unsent), self.countdown)
        self._processors.append(processor)
        return processor

    def close(self) -> None:
        """Shut spans and metrics down within the countdown, so that the SDK's own handlers have nothing left to do."""
        flush.quietly(trace.get_tracer_provider().shutdown)  # type: ignore[attr-defined]
        if shutdown := getattr(metrics.get_meter_provider(), "shutdown", None):
            flush.quietly(shutdown, self.countdown.left_millis())
        flush.quietly(self.say_unsent)

    def say_unsent(self) -> None:
        """Say once how many spans the collector did not get, unless an exporter has already said why."""
        unsent = sum(processor.unsent() for processor in self._processors)
        if not unsent or self._said or self._log.refused:
            return
        self._said = True
        spans = "1 span" if unsent == 1 else f"{unsent} spans"
        say(f"no collector at {endpoint()}: {spans} not sent; set LLMTRACE_OUTPUT=FILE or start 'llmtrace collect'")


def maker(name: str) -> Callable[[], SpanExporter]:
    """What makes the traces exporter of this name. Raises LookupError if it is not installed."""
    if name == "otlp":
        name = "otlp_proto_grpc" if protocol() == "grpc" else "otlp_proto_http"
    for entry_point in entry_points(group="opentelemetry_traces_exporter", name=name):
        return lambda: entry_point.load()()
    raise LookupError(f"the traces exporter {name!r} is not installed")
