"""`llmtrace show [FILE|-] [TRACE]`: recorded traces as trees with time, tokens, cached share and cost.

`–` is a number that was not recorded, `?` a cost that nobody knows, `incl.` a call that a subscription covers, `~` an
estimate where others are stated. Cached tokens are part of the input. Sums are over inference spans only. Without a
terminal the output is plain text that does not change with the machine; `--json` is described in `read/document.py`.

`--content` prints below each LLM call what was said in it that its conversation did not have before, long texts cut;
`--content=full` the whole conversation, each text whole. It does not matter whether the spans were recorded so.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len, get_character_cell_size, set_cell_size

from llmtrace_otel.cli.errors import UsageError
from llmtrace_otel.read import Conversations, group, read_spans, transcript
from llmtrace_otel.read.document import document
from llmtrace_otel.read.outline import Row, rows
from llmtrace_otel.read.summary import heading, sums
from llmtrace_otel.read.text import UNKNOWN, clean, flow, money, plural, seconds, share
from llmtrace_otel.read.totals import totals
from llmtrace_otel.telemetry.content import MODE_VARIABLE
from llmtrace_otel.telemetry.shorten import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from llmtrace_otel.read import Problem, Span, Trace, Turn

Styled = list[tuple[str, str]]  # a line as (text, rich style)

PLAIN_WIDTH: Final = 100
MIN_WIDTH: Final = 40
MIN_NAME: Final = 16
MIN_BAR, MAX_BAR = 10, 40
GAP: Final = "  "
HEADINGS: Final = ("time", "in→out", "cached", "cost")
MAX_PROBLEMS: Final = 5
STYLES: Final = {"agent": "bold cyan", "workflow": "bold cyan", "llm": "bold", "embed": "bold", "tool": "yellow"}

ROLE: Final = len("assistant")  # cells
MIN_TEXT: Final = 20
MAX_LINES, MAX_CHARACTERS = 12, 1000  # of a text, where not all is asked for
ROLES: Final = {"user": "green", "assistant": "cyan", "tool": "yellow"}
SAID: Final = {"thought": "italic dim", "call": "yellow", "media": "magenta", "note": "dim"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="OTLP-JSON lines, also gzip; - is standard input")
    parser.add_argument("trace", nargs="?", default="", metavar="TRACE", help="only traces whose id begins so")
    parser.add_argument("--json", action="store_true", help="one JSON document per trace, one per line")
    parser.add_argument("--width", type=_width, metavar="N", help="columns (default: the terminal's, else 100)")
    parser.add_argument(
        "--content", action="store_const", const=transcript.news, help="what was new in each call's conversation"
    )
    parser.add_argument(
        "--content=full",
        dest="content",
        action="store_const",
        const=transcript.whole,
        help="each call's whole conversation",
    )
    parser.add_argument("--full", action="store_true", help="do not fold repeated tool calls")


def _width(text: str) -> int:
    if not text.isdecimal() or int(text) < MIN_WIDTH:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of columns from {MIN_WIDTH} up")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 if anything was shown, 3 if the file holds no spans. Raises UsageError for no such file or trace."""
    path = args.file or os.environ.get("LLMTRACE_OUTPUT") or "traces.jsonl"
    problems = Problems()
    chosen, others = _load(path, args.trace.lower(), problems, keep_others=args.content is not None)
    traces = group(chosen)
    conversations = Conversations(chain(others, chosen)) if args.content else None
    problems.print()
    if not traces:
        print(f"llmtrace show: {_why_nothing(path, problems)}", file=sys.stderr)
        return 3
    if args.json:
        for trace in traces:
            print(document(trace, conversations))
    else:
        _print(traces, args.width, View(not args.full, conversations, args.content))
    if conversations is not None and not any(map(conversations.turn, chosen)):
        print(f"llmtrace show: no content here. Record it with: {MODE_VARIABLE}=span_only", file=sys.stderr)
    return 0


class View(NamedTuple):
    """What is shown of a trace: whether repeated calls are folded, what was said, and how much of that."""

    fold: bool
    conversations: Conversations | None
    tell: Callable[[Turn], Iterator[transcript.Line]]

    @property
    def whole(self) -> bool:
        return self.tell is transcript.whole

    def said(self, row: Row) -> Iterator[transcript.Line]:
        """The lines below a row."""
        turn = self.conversations and self.conversations.turn(row.span)
        if turn and row.span.kind_of in ("llm", "fetch"):
            yield from self.tell(turn)


class Problems:
    """What could not be read: the first few, and how many more."""

    def __init__(self) -> None:
        self.first: list[Problem] = []
        self.count = 0

    def add(self, problem: Problem) -> None:
        self.count += 1
        if len(self.first) < MAX_PROBLEMS:
            self.first.append(problem)

    def print(self) -> None:
        for problem in self.first:
            print(f"llmtrace show: {clean(str(problem))}", file=sys.stderr)
        if self.count > len(self.first):
            print(f"llmtrace show: and {self.count - len(self.first)} more", file=sys.stderr)


def _load(path: str, prefix: str, problems: Problems, *, keep_others: bool) -> tuple[list[Span], list[Span]]:
    """The spans of traces whose id begins with `prefix`, and, if they are to be kept, those of the others."""
    there_are_others = False
    chosen: list[Span] = []
    others: list[Span] = []
    try:
        for span in read_spans(path, problems.add):
            if span.trace_id.startswith(prefix):
                chosen.append(span)
            else:
                there_are_others = True
                if keep_others:
                    others.append(span)
    except OSError as error:
        raise UsageError(_cannot_open(path, error)) from None
    if there_are_others and not chosen:
        raise UsageError(f"no trace in {path} begins with {clean(prefix)!r}; `llmtrace show {path}` shows them all")
    return chosen, others


def _cannot_open(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path}: no such file. {_how_to_record(path)}"
    return f"{path}: {error.strerror or error}. Name a file of OTLP-JSON lines, or - for standard input"


def _how_to_record(path: str) -> str:
    return f"Record one with: LLMTRACE_OUTPUT={path} opentelemetry-instrument python your_program.py"


def _why_nothing(path: str, problems: Problems) -> str:
    source, target = ("standard input", "traces.jsonl") if path == "-" else (path, path)
    if problems.count:
        return f"no spans in {source}: none of its lines is a readable line of OTLP-JSON traces"
    return f"no spans in {source}. {_how_to_record(target)}"


def _print(traces: list[Trace], width: int | None, view: View) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an encoding without `→` prints `?`, it does not fail
    if sys.stdout.isatty():
        _print_styled(traces, width, view)
        return
    for line in _lines(traces, width or PLAIN_WIDTH, view):
        print("".join(text for text, _ in line))


def _print_styled(traces: list[Trace], width: int | None, view: View) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(width=width, markup=False, highlight=False, emoji=False)
    for line in _lines(traces, console.width, view):
        console.print(Text.assemble(*line), soft_wrap=True)


def _lines(traces: list[Trace], width: int, view: View) -> Iterator[Styled]:
    for trace in traces:
        yield from _wrapped(heading(trace), width)
        yield from _tree(trace, width, view)
        if len(traces) > 1:
            yield []
    if len(traces) > 1:
        total = totals(node for trace in traces for node in trace.nodes)
        yield from _wrapped(["total", plural(len(traces), "trace"), *sums(total)], width)


def _wrapped(parts: Iterable[str], width: int) -> Iterator[Styled]:
    """Parts on as few lines as the width allows, none split; further lines are indented."""
    first, *others = parts
    line = first
    for part in others:
        if cell_len(line + GAP + part) > width:
            yield [(line, "bold")]
            line = ""
        line += GAP + part
    yield [(line, "bold")]


def _tree(trace: Trace, width: int, view: View) -> Iterator[Styled]:
    shown = [(row, _line(row, trace)) for row in rows(trace, fold=view.fold)]
    layout = Layout.of([line for _, line in shown], width, trace.end - trace.start)
    yield layout.heading()
    for row, line in shown:
        yield layout.styled(line)
        for said in view.said(row):
            yield from _said(said, row.below + " ", width, whole=view.whole)


class Line(NamedTuple):
    """A row's columns before they are aligned. Nanoseconds from the trace's start; `end` < `start` if it has none."""

    branches: str
    label: str
    style: str
    notes: str
    alarm: str  # the notes' style
    start: int
    end: int
    numbers: tuple[str, ...]


def _line(row: Row, trace: Trace) -> Line:
    return Line(
        row.branches,
        row.label,
        STYLES.get(row.span.kind_of, ""),
        "".join(f" {note}" for note in row.notes),
        "red" if row.span.error else "yellow",
        start=max(min(node.span.start for node in row.nodes) - trace.start, 0),
        end=max(node.span.end for node in row.nodes) - trace.start,
        numbers=(_time(row), *_call_numbers(row.span, mark_estimates=trace.totals.mixed)),
    )


def _time(row: Row) -> str:
    durations = [duration for node in row.nodes if (duration := node.span.duration) is not None]
    return seconds(sum(durations) if durations else None)


def _call_numbers(span: Span, *, mark_estimates: bool) -> tuple[str, str, str]:
    """Tokens, cached share and cost; nothing for a step that is not a model's."""
    if not span.inference:
        return "", "", ""
    usage = span.usage
    into_out = ("~" if span.usage_estimated else "") + flow(usage.input, usage.output)
    mark = "~" if mark_estimates and span.cost.status == "estimated" else ""
    return into_out, share(usage.cache_read, usage.input), mark + _cost(span)


def _cost(span: Span) -> str:
    if span.cost.status == "included":
        return "incl."
    return UNKNOWN if span.unpriced else money(span.spend)


class Layout(NamedTuple):
    """The widths of the columns, in cells, and the time that the bar column spans, in nanoseconds."""

    name: int
    bar: int
    numbers: list[int]
    duration: int

    @classmethod
    def of(cls, lines: list[Line], width: int, duration: int) -> Layout:
        """Numbers get what they need; the name, what the bar leaves; a bar too short to say anything is left out."""
        numbers = [max(map(len, column)) for column in zip(HEADINGS, *(line.numbers for line in lines), strict=True)]
        left = width - sum(numbers) - len(GAP) * len(numbers)
        name = max(cell_len(line.branches + line.label + line.notes) for line in lines)
        bar = min(max(left - len(GAP) - name, left // 3), MAX_BAR)
        bar = bar if bar >= MIN_BAR else 0
        return cls(min(name, left - bar - len(GAP) * bool(bar)), bar, numbers, duration)

    def heading(self) -> Styled:
        bar = "0s" + seconds(self.duration / 1e9).rjust(self.bar - len("0s"))
        return [("span".ljust(self.name) + self._columns(bar, HEADINGS), "dim")]

    def styled(self, line: Line) -> Styled:
        """The name gives way to its notes: what went wrong must not be cut off."""
        name = line.branches + line.label
        notes = _fit(line.notes, max(self.name - min(cell_len(name), MIN_NAME), self.name // 2))
        name = _fit(name, self.name - cell_len(notes))
        padding = " " * (self.name - cell_len(name + notes))
        return [
            (name[: len(line.branches)], "dim"),
            (name[len(line.branches) :], line.style),
            (notes, line.alarm),
            (padding + self._columns(self._bar(line), line.numbers), ""),
        ]

    def _columns(self, bar: str, numbers: Iterable[str]) -> str:
        text = GAP + bar.ljust(self.bar) if self.bar else ""
        for number, width in zip(numbers, self.numbers, strict=True):
            text += GAP + number.rjust(width)
        return text.rstrip()

    def _bar(self, line: Line) -> str:
        """When the step ran, as its place in the trace's time; at least one cell."""
        scale = self.bar / self.duration if self.duration else 0.0
        start = min(int(line.start * scale), self.bar - 1)
        length = max(min(round((line.end - line.start) * scale), self.bar - start), 1)
        return " " * start + ("━" * length if line.end >= line.start else "·")


def _said(line: transcript.Line, gutter: str, width: int, *, whole: bool) -> Iterator[Styled]:
    """The speaker and the text beside each other; a note by nobody begins where speakers do."""
    text = line.text if whole else _beginning(line.text)
    role, style = _fit(clean(line.role), ROLE), ROLES.get(line.role, "bold")
    column = "" if line.kind == "note" and not role else role + " " * (ROLE - cell_len(role)) + GAP
    for broken in _broken(text, max(width - cell_len(gutter + column), MIN_TEXT)):
        if broken:
            yield [(gutter, "dim"), (column, style), (broken, SAID.get(line.kind, ""))]
        else:
            yield [((gutter + column).rstrip(), "dim")]
        column = " " * cell_len(column)


def _beginning(text: str) -> str:
    """A text that is too long for a glance, with a note of how much follows."""
    beginning = "\n".join(text.split("\n", MAX_LINES)[:MAX_LINES])[:MAX_CHARACTERS]
    if len(beginning) == len(text):
        return text
    return beginning + ("\n" if text[len(beginning)] == "\n" else "") + note(len(text) - len(beginning), "characters")


def _broken(text: str, width: int) -> Iterator[str]:
    """Printable lines of at most `width` cells, broken at spaces where there are some."""
    for line in text.splitlines() or [""]:
        rest = clean(line, len(line))
        start = 0
        while (end := start + _fitting(rest[start : start + width + 1], width)) < len(rest):
            space = rest.rfind(" ", start + 1, end + 1)
            end = space if space > start else end
            yield rest[start:end].rstrip()
            start = end + (rest[end] == " ")
        yield rest[start:].rstrip()


def _fitting(text: str, width: int) -> int:
    """How many of its characters fit."""
    if text.isascii():
        return min(len(text), width)
    cells = 0
    for count, character in enumerate(text):
        cells += get_character_cell_size(character)
        if cells > width:
            return count
    return len(text)


def _fit(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)) + "…"
