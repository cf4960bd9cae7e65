"""What happened so far in words: the line of totals at the end, and the phrases that the live view is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmtrace_collector.figures.counts import Counts
from llmtrace_collector.figures.tally import Tally
from llmtrace_collector.otlp.signals import SIGNALS, TRACES
from llmtrace_otel.read.text import ABSENT, flow, money, plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.figures.tally import Calls
    from llmtrace_collector.otlp.signals import Signal


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an exporter forwards to. `exporter` is its id, as in counts; `address` is what is shown of it.

    `down_since` tells, in seconds since 1970, since when it cannot be reached; None while it can.
    """

    exporter: str
    address: str
    down_since: Callable[[], float | None]


@dataclass(frozen=True, slots=True)
class File:
    """A path that is written, or a pattern of paths. `written` tells the bytes since the start."""

    path: str
    written: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Figures:
    """All that there is to tell."""

    counts: Counts = field(default_factory=Counts)
    tally: Tally = field(default_factory=Tally)
    destinations: tuple[Destination, ...] = ()
    files: tuple[File, ...] = ()

    def received(self, signal: Signal) -> int:
        """Items that were accepted."""
        return self.counts.total(f"otelcol_receiver_accepted_{signal.items}")

    def refused(self, signal: Signal) -> int:
        """Items of requests that were not accepted; clients may have sent them again."""
        return self.counts.total(f"otelcol_receiver_refused_{signal.items}")

    def sent(self, signal: Signal, exporter: str) -> int:
        """Items that an exporter delivered."""
        return self.counts.total(f"otelcol_exporter_sent_{signal.items}", exporter=exporter)

    def dropped(self, exporter: str) -> int:
        """Items of all signals that are lost to an exporter's destination."""
        names = (f"llmtrace_exporter_dropped_{signal.items}" for signal in SIGNALS.values())
        return sum(self.counts.total(name, exporter=exporter) for name in names)

    def queue(self, exporter: str, what: str) -> int:
        """The `size` or `capacity` of an exporter's queues together, in the unit they were configured in."""
        name = f"otelcol_exporter_queue_{what}"
        queues = self.counts.gauges.items()
        return round(
            sum(read() for (series, labels), read in queues if series == name and ("exporter", exporter) in labels)
        )


def summary(figures: Figures) -> str:
    """`2 requests, 3 spans, 1234 bytes written; 3 spans forwarded to URL, 0 dropped; 2 calls, …`"""
    received = _items({signal: figures.received(signal) for signal in SIGNALS.values()})
    requests = figures.counts.total("otelcol_receiver_requests", outcome="success")
    written = sum(file.written() for file in figures.files)
    parts = [f"{plural(requests, 'request')}, {received}, {written} bytes written"]
    parts += [_forwarded(figures, destination) for destination in figures.destinations]
    if figures.tally.models:
        parts.append(", ".join(spent(figures.tally.total)))
    return "; ".join(parts)


def _forwarded(figures: Figures, to: Destination) -> str:
    sent = _items({signal: figures.sent(signal, to.exporter) for signal in SIGNALS.values()})
    return f"{sent} forwarded to {to.address}, {figures.dropped(to.exporter)} dropped"


def _items(counts: dict[Signal, int]) -> str:
    """`3 spans`, and the other signals' items if there were any."""
    return ", ".join(items(signal, count) for signal, count in counts.items() if count or signal is TRACES)


def items(signal: Signal, count: int) -> str:
    """`1 span`, `2 metric points`."""
    return plural(count, signal.items.removesuffix("s").replace("_", " "))


def spent(calls: Calls) -> list[str]:
    """`2 calls`, `1.2k→85 tokens`, `$0.0227 + 1 unknown`, `1 error`."""
    tokens = f"{flow(calls.input, calls.output)} tokens"
    return [
        plural(calls.count, "call"),
        tokens,
        cost(calls),
        *([plural(calls.errors, "error")] if calls.errors else []),
    ]


def cost(calls: Calls) -> str:
    """What is known of the cost, and how many calls' cost is not; `–` if there was none to know."""
    known = [] if calls.usd is None else [money(calls.usd)]
    unknown = [f"{calls.unpriced} unknown"] if calls.unpriced else []
    return " + ".join(known + unknown) or ABSENT
