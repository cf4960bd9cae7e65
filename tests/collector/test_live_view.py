"""The live view: its text with fixed figures, and what a terminal shows of it."""

import asyncio
import io
import re
from datetime import datetime

import pytest
from figure_helpers import OTLP, busy_figures
from rich.console import Console
from screen_helpers import Terminal

from llmtrace_collector.figures import process
from llmtrace_collector.figures.live_view import LiveView, Rate, Rows, table
from llmtrace_collector.figures.summary import Figures

COLOUR = re.compile(r"\x1b\[(?:\d+;)*[349]\d(?:;\d+)*m")


@pytest.fixture(autouse=True)
def steady_memory(monkeypatch):
    monkeypatch.setattr(process, "resident_bytes", lambda: 45_200_000)


def text(figures, width=100):
    """What the view's table says at the first look."""
    terminal = Console(file=io.StringIO(), width=width, force_terminal=False)
    terminal.print(table(list(Rows(figures, lambda: 0.0).now())))
    return "\n".join(line.rstrip() for line in terminal.file.getvalue().splitlines())


def test_at_the_start():
    assert text(Figures()) == "traces  0 spans · 0.0/s\nmemory  45.2 MB"


def test_a_busy_collector(tmp_path):
    path = tmp_path / "traces.jsonl"
    path.write_bytes(bytes(2_500_000))
    down_since = datetime(2026, 11, 21, 12, 3, 10).timestamp()
    assert text(busy_figures(path, down_since), 200) == (
        "traces  3412 spans · 0.0/s · 12 refused\n"
        "logs    1 log record · 0.0/s\n"
        "calls   6 calls · 3.4k→168 tokens · $0.03 + 2 unknown · 1 error\n"
        "        gpt-5-mini ×3 · 3.0k→150 · $0.03\n"
        "        claude-sonnet-5 ×2 · 400→18 · 2 unknown\n"
        "        o9 ×1 · – · –\n"
        "to      http://127.0.0.1:4318 · 6/2.0k waiting · down since 12:03:10 · 5 dropped\n"
        f"file    {path} · 2.5 MB · 1.2 MB written\n"
        "memory  45.2 MB"
    )


def test_forty_columns():
    assert text(busy_figures("no such directory/{*}.jsonl"), 40) == (
        "traces  3412 spans · 0.0/s · 12 refused\n"
        "logs    1 log record · 0.0/s\n"
        "calls   6 calls · 3.4k→168 tokens ·\n"
        "        $0.03 + 2 unknown · 1 error\n"
        "        gpt-5-mini ×3 · 3.0k→150 · $0.03\n"
        "        claude-sonnet-5 ×2 · 400→18 · 2\n"
        "        unknown\n"
        "        o9 ×1 · – · –\n"
        "to      http://127.0.0.1:4318 · 6/2.0k\n"
        "        waiting · 5 dropped\n"
        "file    no such directory/{*}.jsonl ·\n"
        "        1.2 MB written\n"
        "memory  45.2 MB"
    )


def test_only_the_models_with_most_calls_are_shown():
    figures = busy_figures()
    figures.tally.models["another"] = figures.tally.models["o9"]
    assert "another" not in text(figures)


def test_a_rate_is_over_the_last_seconds():
    times = iter([0.0, 2.0, 4.0, 6.0, 100.0, 106.0])
    rate = Rate(lambda: next(times))
    assert [rate.of(total) for total in (10, 30, 50, 170, 170, 170)] == [0.0, 10.0, 10.0, 80 / 3, 0.0, 0.0]


def view_on(figures, **options):
    """A view, and what it writes."""
    written = io.StringIO()
    return LiveView(figures, Console(file=written, force_terminal=True, width=60, height=20, **options)), written


def test_nothing_is_drawn_while_nothing_changes(monkeypatch):
    view, written = view_on(Figures())
    view.draw()
    drawn = written.getvalue()
    monkeypatch.setattr(process, "resident_bytes", lambda: 99_900_000)
    view.draw()
    assert "45.2 MB" in drawn
    assert written.getvalue() == drawn


def test_what_changed_is_drawn():
    figures = Figures()
    view, written = view_on(figures)
    view.draw()
    figures.counts.add("otelcol_receiver_accepted_spans", 1, OTLP)
    view.draw()
    assert re.findall(r"\d+ spans?", written.getvalue()) == ["0 spans", "1 span"]


@pytest.mark.parametrize(("options", "coloured"), [({}, True), ({"no_color": True}, False)])
def test_colours_are_left_out_where_they_are_not_wanted(options, coloured):
    view, written = view_on(busy_figures(), color_system="standard", **options)
    view.draw()
    assert "12 refused" in written.getvalue()
    assert bool(COLOUR.search(written.getvalue())) is coloured


def test_a_closed_terminal_stops_nothing():
    class Closed(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    async def run():
        view = LiveView(Figures(), Console(file=Closed(), force_terminal=True, width=60))
        view.start()
        await asyncio.sleep(0)
        view.say("listening")
        view.close()

    asyncio.run(run())


# On a pseudo-terminal

CHILD = """
import asyncio, fcntl, signal, sys, termios
from llmtrace_collector.figures import live_view
from llmtrace_collector.figures import process
from llmtrace_collector.figures.summary import Figures, summary
from rich.console import Console

fcntl.ioctl(2, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches this process
process.resident_bytes = lambda: 45_200_000
live_view.DRAW_SECONDS, live_view.RATE_SECONDS = 0.02, 0.0


async def main():
    figures = Figures()
    view = live_view.LiveView(figures, Console(stderr=True), "llmtrace collect: ")
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stopping.set)

    def arrived():
        count = int(sys.stdin.buffer.raw.readline())
        figures.counts.add("otelcol_receiver_accepted_spans", count)
        view.say(f"{count} came")

    loop.add_reader(0, arrived)
    view.start()
    view.say("listening on a long address, longer than a narrow terminal is wide")
    await stopping.wait()
    view.close()
    view.say(summary(figures))


asyncio.run(main())
"""
LISTENING = "llmtrace collect: listening on a long address, longer than a narrow terminal is wide"


@pytest.fixture
def terminal():
    """Starts the view on a terminal of its own."""
    with Terminal(CHILD) as started:
        yield started


def broken(line, columns):
    """A line as a terminal breaks it."""
    return [line[begin : begin + columns].rstrip() for begin in range(0, len(line), columns)]


@pytest.mark.parametrize("columns", [100, 40])
def test_lines_appear_above_and_ctrl_c_leaves_only_them(terminal, columns):
    terminal.start(columns=columns)
    said = broken(LISTENING, columns)
    terminal.wait_for([*said, "traces  0 spans · 0.0/s", "memory  45.2 MB"])
    terminal.type(b"2\n")
    said.append("llmtrace collect: 2 came")
    terminal.wait_for([*said, "traces  2 spans · 0.0/s", "memory  45.2 MB"])
    terminal.ctrl_c()
    said += broken("llmtrace collect: 0 requests, 2 spans, 0 bytes written", columns)
    terminal.wait_for([*said, ""])
    assert terminal.exit_code() == 0
    assert terminal.cursor_shown


def test_a_window_lower_than_the_view(terminal):
    terminal.start(columns=100, lines=1)
    terminal.wait_for([LISTENING, "traces  0 spans · 0.0/s"])
    terminal.ctrl_c()
    terminal.wait_for([LISTENING, "llmtrace collect: 0 requests, 0 spans, 0 bytes written", ""])


def test_a_dumb_terminal_gets_lines_only(terminal):
    terminal.start(columns=100, TERM="dumb")
    terminal.type(b"2\n")
    terminal.wait_for([LISTENING, "llmtrace collect: 2 came", ""])
    terminal.ctrl_c()
    assert terminal.exit_code() == 0
    assert b"\x1b" not in terminal.received
