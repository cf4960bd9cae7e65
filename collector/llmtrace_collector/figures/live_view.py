"""The live view of `llmtrace collect`: a few lines at the bottom of the terminal that follow what comes in.

Lines that are said appear above it. It is drawn twice a second at most, and only when something in it has changed. On a
terminal that cannot move its cursor (`TERM=dumb`), or when standard error is none, there are only the lines.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from llmtrace_collector.figures import process
from llmtrace_collector.figures.summary import cost, items, spent
from llmtrace_collector.otlp.signals import SIGNALS, TRACES
from llmtrace_otel.read.text import clean, flow, size, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmtrace_collector.figures.summary import Destination, Figures, File
    from llmtrace_collector.figures.tally import Calls
    from llmtrace_collector.otlp.signals import Signal

DRAW_SECONDS = 0.5
RATE_SECONDS = 5.0  # over which items per second are measured
TOP_MODELS = 3
MAX_MODEL = 30  # characters
MEMORY = "memory"


class Row(NamedTuple):
    """One line of the view: what it is about, and phrases as (text, style)."""

    label: str
    phrases: tuple[tuple[str, str], ...]


class LiveView:
    """Draws figures on a terminal. `prefix` begins every line that is said."""

    def __init__(self, figures: Figures, terminal: Console, prefix: str = "") -> None:
        self._rows = Rows(figures, time.monotonic)
        self._terminal = terminal
        self._prefix = prefix
        self._live = Live(
            console=terminal, auto_refresh=False, transient=True, vertical_overflow="crop", redirect_stdout=False
        )
        self._shown: object = None
        self._drawing: asyncio.Task[None] | None = None

    def say(self, line: str) -> None:
        """Shows one line above the view, or as it is while there is none. A closed terminal stops nothing."""
        with suppress(OSError):
            self._terminal.print(Text(self._prefix + line), soft_wrap=True)

    def start(self) -> None:
        """Begins to draw, in the running event loop, if the terminal can be drawn on."""
        if self._terminal.is_terminal and not self._terminal.is_dumb_terminal:
            self._drawing = asyncio.create_task(self._draw_on())

    def draw(self) -> None:
        """Draws the figures, unless they are as they were. Raises OSError when the terminal is closed."""
        rows = list(self._rows.now())
        shown = [self._terminal.size, *(row for row in rows if row.label != MEMORY)]
        if shown != self._shown:
            self._live.start()
            self._live.update(table(rows), refresh=True)
            self._shown = shown

    def close(self) -> None:
        """Takes the view away; the cursor is where it began."""
        if self._drawing is not None:
            self._drawing.cancel()
        with suppress(OSError):
            self._live.update("")
            self._live.stop()

    async def _draw_on(self) -> None:
        with suppress(OSError):
            while True:
                self.draw()
                await asyncio.sleep(DRAW_SECONDS)


def table(rows: list[Row]) -> Table:
    """The rows, each broken between words where the terminal is narrow."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, phrases in rows:
        dotted = [part for phrase in phrases for part in ((" · ", "dim"), phrase)][1:]
        grid.add_row(label, Text.assemble(*dotted))
    return grid


class Rows:
    """The figures as rows. `clock` gives seconds."""

    def __init__(self, figures: Figures, clock: Callable[[], float]) -> None:
        self._figures = figures
        self._rates = {signal: Rate(clock) for signal in SIGNALS.values()}

    def now(self) -> Iterator[Row]:
        """From top to bottom. Signals and calls of which there were none have no row."""
        for signal in SIGNALS.values():
            yield from self._signal(signal)
        yield from _calls(self._figures)
        yield from (_queue(self._figures, destination) for destination in self._figures.destinations)
        yield from (_file(file) for file in self._figures.files if file.written())
        yield Row(MEMORY, ((size(process.resident_bytes()), ""),))

    def _signal(self, signal: Signal) -> Iterator[Row]:
        received, refused = self._figures.received(signal), self._figures.refused(signal)
        rate = self._rates[signal].of(received)
        if received or refused or signal is TRACES:
            phrases = [(items(signal, received), "bold"), (f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s", "")]
            yield Row(signal.name, (*phrases, *_bad(refused, "refused")))


class Rate:
    """How fast a total grows, per second, over the last `RATE_SECONDS`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._past: deque[tuple[float, int]] = deque()

    def of(self, total: int) -> float:
        """To be asked again and again."""
        now = self._clock()
        self._past.append((now, total))
        while len(self._past) > 2 and self._past[1][0] <= now - RATE_SECONDS:
            self._past.popleft()
        then, before = self._past[0]
        return (total - before) / (now - then) if now > then else 0.0


def _calls(figures: Figures) -> Iterator[Row]:
    total = figures.tally.total
    if not total.count:
        return
    yield Row("calls", tuple((word, "red" if "error" in word else "") for word in spent(total)))
    ranked = sorted(figures.tally.models.items(), key=lambda entry: -entry[1].count)
    yield from (_model(name, calls) for name, calls in ranked[:TOP_MODELS])


def _model(name: str, calls: Calls) -> Row:
    named = f"{clean(name, MAX_MODEL)} ×{calls.count}"
    return Row("", ((named, "cyan"), (flow(calls.input, calls.output), ""), (cost(calls), "")))


def _queue(figures: Figures, to: Destination) -> Row:
    waiting, room = (figures.queue(to.exporter, what) for what in ("size", "capacity"))
    queue = ((f"{tokens(waiting)}/{tokens(room)} waiting", ""),) if room else ()
    since = to.down_since()
    down = () if since is None else ((f"down since {datetime.fromtimestamp(since):%H:%M:%S}", "bold red"),)
    dropped = figures.dropped(to.exporter)
    return Row("to", ((clean(to.address), "cyan"), *queue, *down, *_bad(dropped, "dropped")))


def _file(file: File) -> Row:
    sizes = [f"{size(file.written())} written"]
    with suppress(OSError):  # a pattern, or moved away
        sizes.insert(0, size(os.stat(file.path).st_size))
    return Row("file", ((clean(file.path), "cyan"), *((text, "") for text in sizes)))


def _bad(count: int, what: str) -> tuple[tuple[str, str], ...]:
    return ((f"{count} {what}", "red"),) if count else ()
