"""The documentation's page and its pictures, from the results' file; and the same tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from compare.cases import AT_ONCE, LONG, Case
from compare.figures import Row
from compare.peers import BARE, NONE, OURS, PEERS, REPOSITORY
from compare.plot import Bar, bars, lines
from compare.results import Results

DOCS = REPOSITORY / "docs"
HEAD = """\
# What tracing costs, under every instrumentation

Made by `make bench`, of {file}. Do not edit: run it again.

{date}, {processor}, {processors} processors, {system}, Python {python}. Each peer is in an environment of its own, with
what the package index resolves for it. Calls are the SDKs' own, over a transport that answers from memory; the exporter
behind the batch processor drops what it gets. **Ratios are to a bare OpenTelemetry SDK span** around the same call
that carries the same attributes as ours: 1.00 adds as much as that span. They are of instructions, counted with
valgrind, which vary little from run to run, or, where the table says so, of functions called; and of what is added to
an untraced call. Times are of processes that take turns; a machine's noise is in them.

An empty cell: the peer does not support the SDK or the setting. Logfire and Langfuse always record content.
"""
Cell = Callable[[Row, str], str]
"""What a table says of a peer in a row."""


def markdown(header: Iterable[str], body: Iterable[Iterable[str]]) -> str:
    """A table; columns after the first are numbers."""
    header = list(header)
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *body))


def title(peer: str) -> str:
    return f"**{PEERS[peer].title}**" if peer == OURS else PEERS[peer].title


def number(value: float | None, form: str = ".2f") -> str:
    return "" if value is None else format(value, form)


def side_by_side(rows: Sequence[Row], name: Callable[[Case], str], cell: Cell) -> str:
    """A line for each peer that has a cell, a column for each row."""
    peers = [peer for peer in PEERS if any(peer in row.figures for row in rows)]
    body = [[title(peer), *(cell(row, peer) if peer in row.figures else "" for row in rows)] for peer in peers]
    return markdown(["", *(name(row.case) for row in rows)], [line for line in body if any(line[1:])])


def ratio(row: Row, peer: str) -> str:
    return "" if peer == NONE else number(row.ratio(peer))


def added(row: Row, peer: str) -> str:
    """Thousands of instructions, or functions as they are."""
    figure = row.figures[peer]
    count = figure.count if peer == NONE else row.added(peer)
    return number(count and (count / 1000 if figure.unit == "instructions" else count), ",.0f")


def cpu(row: Row, peer: str) -> str:
    """Microseconds: what is added, with its range."""
    if peer == NONE or (found := row.added_cpu(peer)) is None:
        return ""
    return "{:.0f} [{:.0f} … {:.0f}]".format(*(1e6 * seconds for seconds in found))


def elapsed(row: Row, peer: str) -> str:
    """Milliseconds of a call, tracing included."""
    return " / ".join(f"{1000 * seconds:.2f}" for seconds in row.figures[peer].elapsed)


def memory(row: Row, peer: str) -> str:
    """Thousands of bytes."""
    count = row.added_bytes(peer) if peer != NONE else row.figures[peer].bytes
    return "" if count is None else f"{count / 1000:,.0f}"


def spans(row: Row, peer: str) -> str:
    return str(row.figures[peer].spans)


def tokens(row: Row, peer: str) -> str:
    return "yes" if row.figures[peer].tokens else "no"


def content(row: Row, peer: str) -> str:
    return "yes" if row.figures[peer].content else "no"


WHAT: dict[str, Cell] = {"spans of a call": spans, "reports tokens": tokens, "records content": content}


def call_name(case: Case) -> str:
    return f"{case.shape} {case.mode}, {case.content}"


def sized_name(case: Case) -> str:
    return f"{case.size}, {case.content}"


def shape_name(case: Case) -> str:
    return f"{case.shape}, content {case.content}"


def is_short(case: Case) -> bool:
    """Whether it is one of the plain and streamed calls that every SDK has."""
    return case.shape in ("plain", "stream") and not case.turns and case.prompt == Case(case.sdk).prompt


def table(row: Row) -> str:
    """All about one case, for the terminal."""
    unit = next(iter(row.figures.values())).unit
    scale = "thousands of instructions" if unit == "instructions" else "functions"
    cells: dict[str, Cell] = {"ratio": ratio, f"added, {scale}": added, "added CPU, µs": cpu, "p50 / p99, ms": elapsed}
    cells = {"added, kB": memory} if row.case.shape == "memory" else cells | WHAT
    body = [[peer, *(cell(row, peer) for cell in cells.values())] for peer in PEERS if peer in row.figures]
    ranking = row.ranking()
    least = f"\nThe least: {ranking[0]}.\n" if len(ranking) > 1 else ""
    return f"\n## {row.case}\n\n{markdown(['', *cells], body)}\n{least}"


OTHERS: dict[str, tuple[str, str, Cell]] = {
    "concurrent": (f"{AT_ONCE:,} calls at once", "Ratio to a bare span.", ratio),
    "memory": (f"A stream of {LONG:,} chunks", "Memory that it needs more than untraced, kB.", memory),
    "other": ("A request that is no LLM call", "Added thousands of instructions.", added),
    "child": ("A child process", "Added thousands of instructions of the parent's.", added),
}
"""What is told of one shape of call alone: a heading, a line, and the cells."""


# The page


class Page:
    """Gathers sections, and writes pictures as it goes."""

    def __init__(self, results: Results, folder: Path) -> None:
        self._results, self._folder = results, folder
        self._parts: list[str] = []

    def add(self, *parts: str) -> None:
        self._parts += [part for part in parts if part]

    def picture(self, name: str, svg: str, alt: str) -> None:
        path = self._folder / f"overhead-{name}.svg"
        path.write_text(svg)
        self.add(f"![{alt}]({path.name})")

    def text(self) -> str:
        return "\n\n".join(self._parts) + "\n"

    def rows(self, wanted: Callable[[Case], bool]) -> list[Row]:
        return [row for row in self._results.rows if wanted(row.case)]

    # Sections

    def who(self) -> None:
        self.add("## Who is compared")
        for row in self.rows(lambda case: case in (Case("openai"), Case("openai", content="on"))):
            body = [[title(peer), *(cell(row, peer) for cell in WHAT.values())] for peer in row.peers()]
            self.add(f"A call of the OpenAI SDK, content {row.case.content}, leaves:", markdown(["", *WHAT], body))
        installed = self._results.versions.items()
        lines_ = [f"- {title(peer)}: " + ", ".join(f"{k} {v}" for k, v in found.items()) for peer, found in installed]
        self.add("Versions:", "\n".join(lines_))
        missing = [f"- {title(peer.partition('@')[0])}: {reason}" for peer, reason in self._results.missing.items()]
        self.add(*(["Not measured:", "\n".join(missing)] if missing else []))

    def calls(self) -> None:
        for sdk in ("openai", "anthropic", "google-genai", "litellm"):
            rows = [row for row in self.rows(is_short) if row.case.sdk == sdk]
            if not rows:
                continue
            unit = next(iter(rows[0].figures.values())).unit
            self.add(f"## {sdk}", f"Ratio to a bare span, of {unit}; content off and on.")
            self.add(side_by_side(rows, call_name, ratio))
            for row in (row for row in rows if row.case.mode == "sync" and row.case.content == "off"):
                self.ratios(row)
            self.add(f"Added {'thousands of ' if unit == 'instructions' else ''}{unit}:")
            self.add(side_by_side(rows, call_name, added))
            self.times(rows)

    def ratios(self, row: Row) -> None:
        found = [
            Bar(PEERS[peer].title, value, ours=peer == OURS)
            for peer in row.peers()
            if (value := row.ratio(peer)) is not None and value > 0
        ]
        if found:
            name = f"{row.case.sdk}, {row.case.shape}, content {row.case.content}: ratio to a bare span"
            self.picture(f"{row.case.sdk}-{row.case.shape}", bars(name, found), name)

    def times(self, rows: list[Row]) -> None:
        if any(figure.cpu for row in rows for figure in row.figures.values()):
            self.add("Added CPU time of a call, µs, median and range:", side_by_side(rows, call_name, cpu))
            self.add("Elapsed time of a call, ms, p50 / p99:", side_by_side(rows, call_name, elapsed))

    def prompts(self) -> None:
        rows = self.rows(lambda case: case.sdk == "openai" and case.shape == "plain" and not case.turns)
        rows = [row for row in rows if row.case.mode == "sync"]
        if rows:
            self.add("## Long prompts", "Added thousands of instructions, by the size of the prompt.")
            self.add(side_by_side(rows, sized_name, added))

    def turns(self) -> None:
        rows = self.rows(lambda case: bool(case.turns))
        if not rows:
            return
        self.add(
            "## Long conversations",
            "Added thousands of instructions of one more turn, by the number of turns before it. `delta` is "
            "`LLMTRACE_CONTENT=delta`: only what is new is recorded.",
            side_by_side(rows, sized_name, added),
        )
        series: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            for peer in row.peers():
                if peer in (OURS, BARE) and (count := row.added(peer)) and count > 0:
                    series.setdefault(f"{PEERS[peer].title} {row.case.content}", []).append((row.case.turns, count))
        name = "Instructions that one more turn adds"
        self.picture("turns", lines(name, series, "turns before it"), name)

    def others(self) -> None:
        for shape, (heading, text, cell) in OTHERS.items():
            rows = [row for row in self._results.rows if row.case.shape == shape]
            if rows:
                self.add(f"## {heading}", text, side_by_side(rows, shape_name, cell))
                self.times(rows)

    def formats(self) -> None:
        """One line per wire format, ours alone."""
        if rows := self.rows(lambda case: case.sdk == "formats"):
            body = [[row.case.shape, ratio(row, OURS), added(row, OURS)] for row in rows]
            self.add(
                "## Wire formats",
                "By a client of httpx2, so that no SDK's own work is in the way; those in `-stream` in 200 chunks.",
                markdown(["", "ratio", "thousands of instructions"], body),
            )

    def startup(self) -> None:
        if not (found := self._results.startup):
            return
        self.add("## Start-up", "`python -c pass`, started as the peer's documentation says.")
        body = [
            [
                "python alone" if peer == NONE else "opentelemetry-instrument" if peer == BARE else title(peer),
                "{:.0f} [{:.0f} … {:.0f}]".format(*figures["cpu"]),
                f"{figures['memory']:.0f}",
                str(figures["modules"]),
            ]
            for peer, figures in found.items()
        ]
        self.add(markdown(["", "CPU, ms", "memory, MB", "modules"], body))
        found_bars = [Bar(PEERS[peer].title, figures["cpu"][0], peer == OURS) for peer, figures in found.items()]
        self.picture("startup", bars("Start-up, CPU ms", found_bars), "CPU milliseconds of start-up")

    def tables(self) -> None:
        for heading, found in self._results.tables.items():
            columns = list(dict.fromkeys(column for figures in found.values() for column in figures))
            body = [
                [name, *(number(figures.get(column), ",.2f") for column in columns)] for name, figures in found.items()
            ]
            self.add(f"## {heading}", markdown(["", *columns], body))

    def standing(self) -> None:
        self.add("## Where ours is not the least", "\n".join(lost(self._results)) or "Nowhere, by count.")


def lost(results: Results) -> list[str]:
    """Who adds less than ours, by count, row by row; and what a peer leaves out that does."""
    found = []
    for row in results.rows:
        counted = row.counted()
        for peer in counted[: counted.index(OURS)] if OURS in counted else ():
            less, ours, unit = row.added(peer), row.added(OURS), row.figures[OURS].unit
            but = f"; it reports {lacked}" if (lacked := row.lacks(peer)) else ""
            found.append(f"- {row.case}: {title(peer)} adds {less:,.0f} {unit}, ours {ours:,.0f}{but}.")
    return found


def write(results: Results, file: str, folder: Path = DOCS) -> None:
    """Writes `overhead.md` and its pictures."""
    page = Page(results, folder)
    page.add(HEAD.format(file=f"[{file}](../benchmarks/results/{file})", date=results.date, **results.machine).strip())
    for section in (
        page.who,
        page.calls,
        page.prompts,
        page.turns,
        page.others,
        page.formats,
        page.startup,
        page.tables,
        page.standing,
    ):
        section()
    (folder / "overhead.md").write_text(page.text())
