"""`GET /metrics`: what the collector counts of itself, in Prometheus' text format 0.0.4.

Names, labels and help are those that the official collector's page has, so one dashboard serves both. It writes
counters without the `_total` that Prometheus' client libraries add, which is why the few lines of text are written
here. Of its process metrics those of Go's memory are left out. Its `target_info` is kept: it tells restarts apart.
What begins with `llmtrace_` is ours.
"""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from contextlib import suppress
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, NamedTuple

import h11

from llmtrace_collector.config.values import Address
from llmtrace_collector.errors import ConfigError
from llmtrace_collector.figures import process
from llmtrace_collector.otlp.signals import SIGNALS
from llmtrace_collector.receivers.binding import place_of, resolve
from llmtrace_otel.telemetry.semconv import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from llmtrace_collector.config.settings import Prometheus
    from llmtrace_collector.figures.counts import Counts, Labels
    from llmtrace_collector.figures.tally import Tally

    Sample = tuple[str, Labels, float]

PATH = b"/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CLIENT_SECONDS = 10
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Metric(NamedTuple):
    """What is said of a metric above its values."""

    kind: Literal["counter", "gauge"]
    help: str


PER_SIGNAL = {  # {} is what the signal's items are called
    "otelcol_receiver_accepted_{}": "Number of {} successfully pushed into the pipeline. [Alpha]",
    "otelcol_receiver_refused_{}": "Number of {} that could not be pushed into the pipeline. [Alpha]",
    "otelcol_receiver_failed_{}": (
        "The number of {} that failed to be processed by the receiver due to internal errors. [Alpha]"
    ),
    "otelcol_processor_memory_limiter_accepted_{}": (
        "Number of {} successfully pushed into the next component in the pipeline. [Alpha]"
    ),
    "otelcol_processor_memory_limiter_refused_{}": (
        "Number of {} that were rejected by the next component in the pipeline. [Alpha]"
    ),
    "otelcol_exporter_sent_{}": "Number of {} successfully sent to destination. [Alpha]",
    "otelcol_exporter_send_failed_{}": "Number of {} in failed attempts to send to destination. [Alpha]",
    "otelcol_exporter_enqueue_failed_{}": "Number of {} failed to be added to the sending queue. [Alpha]",
    "llmtrace_exporter_dropped_{}": "Number of {} lost to a destination.",
}
METRICS = {
    **{
        name.format(signal.items): Metric("counter", text.format(signal.items.replace("_", " ")))
        for name, text in PER_SIGNAL.items()
        for signal in SIGNALS.values()
    },
    "otelcol_receiver_requests": Metric("counter", "The number of requests performed. [Alpha]"),
    "otelcol_processor_incoming_items": Metric("counter", "Number of items passed to the processor. [Alpha]"),
    "otelcol_processor_outgoing_items": Metric("counter", "Number of items emitted from the processor. [Alpha]"),
    "otelcol_processor_probabilistic_sampler_count_traces_sampled": Metric(
        "counter", "Count of traces that were sampled or not [Development]"
    ),
    "otelcol_processor_probabilistic_sampler_count_logs_sampled": Metric(
        "counter", "Count of logs that were sampled or not [Development]"
    ),
    "otelcol_exporter_in_flight_requests": Metric(
        "gauge", "Number of export requests currently in-flight (including retry backoff). [Development]"
    ),
    "otelcol_exporter_queue_size": Metric("gauge", "Current size of the retry queue (in batches). [Alpha]"),
    "otelcol_exporter_queue_capacity": Metric("gauge", "Fixed capacity of the retry queue (in batches). [Alpha]"),
    "otelcol_process_cpu_seconds": Metric("counter", "Total CPU user and system time in seconds [Alpha]"),
    "otelcol_process_memory_rss": Metric("gauge", "Total physical memory (resident set size) [Alpha]"),
    "otelcol_process_uptime": Metric("counter", "Uptime of the process [Alpha]"),
    "target_info": Metric("gauge", "Target metadata"),
    "llmtrace_calls": Metric("counter", "LLM calls, failed ones included."),
    "llmtrace_tokens": Metric("counter", "Tokens that LLM calls reported."),
    "llmtrace_cost_usd": Metric("counter", "What is known of the cost of LLM calls, in US dollars."),
    "llmtrace_unpriced_calls": Metric("counter", "LLM calls that cost something nobody knows."),
    "llmtrace_errors": Metric("counter", "LLM calls that failed."),
}


def page(samples: Iterable[Sample]) -> str:
    """The text of a page, sorted by name and labels. A metric that is not in the table has no header."""
    lines: list[str] = []
    for name, series in groupby(sorted(samples), key=itemgetter(0)):
        if metric := METRICS.get(name):
            lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}"]
        lines += [f"{name}{_labels(labels)} {value}" for _, labels, value in series]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    pairs = (f'{name}="{value.translate(ESCAPES)}"' for name, value in sorted(labels))
    return f"{{{','.join(pairs)}}}" if labels else ""


def counted(counts: Counts) -> Iterator[Sample]:
    """The samples of all counters and gauges."""
    for (name, labels), amount in counts.totals.items():
        yield name, labels, amount
    for (name, labels), read in counts.gauges.items():
        yield name, labels, read()


def called(tally: Tally) -> Iterator[Sample]:
    """The samples of LLM calls by model. Numbers that no call reported have no sample."""
    for model, calls in tally.models.items():
        labels = (("model", model),)
        known = {
            ("llmtrace_calls", labels): calls.count,
            ("llmtrace_tokens", (*labels, ("type", "input"))): calls.input,
            ("llmtrace_tokens", (*labels, ("type", "output"))): calls.output,
            ("llmtrace_cost_usd", labels): calls.usd,
            ("llmtrace_unpriced_calls", labels): calls.unpriced,
            ("llmtrace_errors", labels): calls.errors,
        }
        yield from ((*series, value) for series, value in known.items() if value is not None)


def running(instance: str) -> Iterator[Sample]:
    """The samples of this process."""
    yield "otelcol_process_cpu_seconds", (), process.cpu_seconds()
    yield "otelcol_process_memory_rss", (), process.resident_bytes()
    yield "otelcol_process_uptime", (), process.uptime_seconds()
    names = {"service_instance_id": instance, "service_name": "llmtrace-otel", "service_version": VERSION}
    yield "target_info", tuple(names.items()), 1


class MetricsPage:
    """Serves the page. `url` is where, with the port that was really taken; empty while it is not served.

    With a tally its LLM calls are on the page. An address that cannot be served is told by `say` and stops nothing.
    """

    def __init__(
        self,
        settings: Prometheus,
        counts: Counts,
        say: Callable[[str], None],
        tally: Tally | None = None,
        *,
        allow_remote: bool = False,
    ) -> None:
        self.url = ""
        self._address = Address(settings.host, settings.port)
        self._counts, self._say, self._tally = counts, say, tally
        self._allow_remote = allow_remote
        self._instance = str(uuid.uuid4())
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begins to serve, in the running event loop. Never raises."""
        try:
            listener = self._listen()
        except ConfigError as error:
            self._say(f"no /metrics: {error}")
        except OSError as error:
            shown = f"{self._address.host}:{self._address.port}"
            self._say(
                f"no /metrics: cannot listen on {shown} ({os.strerror(error.errno or 0)}); choose another port for it"
            )
        else:
            self._server = await asyncio.start_server(self._serve, sock=listener)
            self.url = f"http://{place_of(listener).text}/metrics"

    def _listen(self) -> socket.socket:
        place = resolve(self._address, allow_remote=self._allow_remote)
        return socket.create_server((place.host, place.port), family=place.family)

    async def stop(self, grace_seconds: float) -> None:
        """Ends; requests under way have so much time."""
        if self._server is not None:
            self._server.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), grace_seconds)

    def text(self) -> str:
        """The page as it is now."""
        calls = called(self._tally) if self._tally else ()
        return page(chain(counted(self._counts), calls, running(self._instance)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLIENT_SECONDS):
                request = await _request(connection, reader)
                if not isinstance(request, h11.ConnectionClosed):
                    for part in _response(request, self.text):
                        writer.write(connection.send(part) or b"")
                    await writer.drain()
        writer.close()


async def _request(
    connection: h11.Connection, reader: asyncio.StreamReader
) -> h11.Request | h11.ConnectionClosed | None:
    """The request's head; None for what is no HTTP."""
    try:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await reader.read(4096))
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Request | h11.ConnectionClosed)
    return event


def _response(request: h11.Request | None, text: Callable[[], str]) -> list[h11.Event]:
    if request is None:
        return _answer(400, "not an HTTP request\n")
    if request.target.partition(b"?")[0] != PATH:
        return _answer(404, "only /metrics is here\n")
    if request.method != b"GET":
        return _answer(405, "", ("Allow", "GET"))
    return _answer(200, text())


def _answer(status: int, text: str, *headers: tuple[str, str]) -> list[h11.Event]:
    body = text.encode()
    length = ("Content-Length", str(len(body)))
    head = h11.Response(
        status_code=status, headers=[("Content-Type", CONTENT_TYPE), length, ("Connection", "close"), *headers]
    )
    return [head, h11.Data(data=body), h11.EndOfMessage()]
