"""The documentation's page and its pictures, from the results' file; and the same tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path

from compare.cases import AT_ONCE, CASES, CHUNKS, LONG, SDKS, Case, is_short
from compare.figures import Row, spread
from compare.limits import limits, reporting
from compare.markdown import markdown, number, ranged, title
from compare.peers import BARE, NONE, OURS, PEERS, REPOSITORY
from compare.plot import Bar, amounts, lines, ratios
from compare.results import STARTUP, TIMES, Results
from compare.startup import way
from compare.tables import TABLES, figures_table, startup_name, startup_sentence, startup_table, versions

DOCS = REPOSITORY / "docs"
HEAD = f"""\
# What tracing costs, under every instrumentation

What a call adds under each instrumentation, as a **ratio to a bare OpenTelemetry SDK span** around the same call that
carries the same attributes as ours: 1.00 adds as much as that span, 3.00 three times as much. Plain calls, and answers
streamed in {CHUNKS} chunks; message content recorded ("on") or not ("off"). {{date}}, {{processor}}; made by
`make bench`, of {{file}}.
"""
METHOD = """\
To repeat it: `make bench`, which makes an environment for each peer from the package index and writes this page; `make
tools` builds the official collector. What is here took {minutes:.0f} minutes, environments aside. `python
benchmarks/overhead.py --write openai stream` measures some rows anew: its `--help`, and the lines that it begins with,
say which there are.

- **Calls** are the SDKs' own, over a transport that answers from memory; the exporter, behind the batch processor,
  drops what it gets. Each peer has an environment of its own with what the index resolves for it, and runs in processes
  of its own. A peer that brings other versions of the SDKs is compared with an untraced call and a bare span of those.
- **Counts** are of instructions, all threads', background work included, where the kernel counts them; or, where a
  table says so, of functions called, Python's and C's. They are of a call that is not the first, less those of an
  untraced call. They hardly hang on the machine or on what else it does: **ratios are of counts**.
- **Times** are of processes that take turns, in rounds; the machine's noise is in them. Of CPU time: the median of what
  a round's calls take more than that round's untraced calls, and [the middle half of the rounds]. Elapsed: what half
  and 99 % of all calls do not exceed, tracing included.
- An **empty cell**: the peer does not support the SDK or the setting. **No span**: it is installed, and leaves no span
  of the call; pictures leave it out. Logfire and Langfuse always record content.

{system}, {processor}, {processors} processors, Python {python}, {date}.
"""
TITLES = {"openai": "OpenAI", "anthropic": "Anthropic", "google-genai": "google-genai", "litellm": "LiteLLM"}
SHAPES = {"plain": "Plain calls", "stream": f"Streams of {CHUNKS} chunks"}
Cell = Callable[[Row, str], str]
"""What a table says of a peer in a row."""


def side_by_side(rows: Sequence[Row], name: Callable[[Case], str], cell: Cell) -> str:
    """A line for each peer that has a cell, a column for each row."""
    peers = [peer for peer in PEERS if any(peer in row.figures for row in rows)]
    body = [[title(peer), *(cell(row, peer) if peer in row.figures else "" for row in rows)] for peer in peers]
    return markdown(["", *(name(row.case) for row in rows)], [line for line in body if any(line[1:])])


def is_blind(row: Row, peer: str) -> bool:
    """Whether a peer leaves no span of a call that it should see."""
    return row.figures[peer].spans == 0 and peer != NONE and row.case.sdk in (*SDKS, "formats")


def ratio(row: Row, peer: str) -> str:
    found = "" if peer == NONE else number(row.ratio(peer))
    return f"{found} (no span)" if found and is_blind(row, peer) else found


def unit(rows: Sequence[Row]) -> str:
    """What the counts of rows are of, as `added` tells them."""
    units = {figure.unit for row in rows for figure in row.figures.values()}
    return "thousands of instructions" if units == {"instructions"} else " or ".join(sorted(units))


def added(row: Row, peer: str) -> str:
    """Thousands of instructions, or functions as they are."""
    figure = row.figures[peer]
    count = figure.count if peer == NONE else row.added(peer)
    return number(count and (count / 1000 if figure.unit == "instructions" else count), ",.0f")


def cpu(row: Row, peer: str) -> str:
    """Microseconds: what is added, with its range."""
    if peer == NONE or (found := row.added_cpu(peer)) is None:
        return ""
    return ranged([1e6 * seconds for seconds in found])


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


def set_name(case: Case) -> str:
    return f"{case.mode}, {case.content}"


def sized_name(case: Case) -> str:
    return f"{case.size}, {case.content}"


def shape_name(case: Case) -> str:
    return f"{case.shape}, content {case.content}"


def table(row: Row) -> str:
    """All about one case, for the terminal."""
    cells: dict[str, Cell] = {"ratio": ratio, f"added, {unit([row])}": added}
    if any(figure.cpu for figure in row.figures.values()):
        cells |= {"added CPU, µs": cpu, "p50 / p99, ms": elapsed}
    cells = {"added, kB": memory} if row.case.shape == "memory" else cells | WHAT
    body = [[peer, *(cell(row, peer) for cell in cells.values())] for peer in PEERS if peer in row.figures]
    ranking = row.ranking()
    least = f"\nThe least: {ranking[0]}.\n" if len(ranking) > 1 else ""
    return f"\n## {row.case}\n\n{markdown(['', *cells], body)}\n{least}"


OTHERS: dict[str, tuple[str, str, Cell]] = {
    "concurrent": (f"{AT_ONCE:,} calls at once", "Ratio to a bare span.", ratio),
    "memory": (
        f"A stream of {LONG:,} chunks",
        "The most memory that the call holds at a time, kB: untraced, and what each adds.",
        memory,
    ),
    "other": ("A request that is no LLM call", "By httpx2 to another host: {unit}, untraced and added.", added),
    "child": ("A child process", 'Of `subprocess.run(["true"])` the parent\'s {unit}, untraced and added.', added),
}
"""What is told of one shape of call alone: a heading, a line, and the cells."""


# How it was made


def label(part: str) -> str:
    """A part's name, or, of a row, that of the step that it was measured in."""
    case = {str(case): case for case in CASES}.get(part.removeprefix(TIMES))
    return f"{case.sdk}, content {case.content}" + ", times" * part.startswith(TIMES) if case else part


def column_title(column: str) -> str:
    peer, _, environment = column.partition("@")
    known = PEERS[peer].title if peer in PEERS else peer
    return f"{known}, in the environment of {PEERS[environment].title}" if environment else known


def missing(results: Results) -> list[str]:
    """Who could not be measured, where and why; and what failed."""
    where: dict[tuple[str, str], list[str]] = {}
    for part, run in results.runs.items():
        for column, reason in run.missing.items():
            where.setdefault((column_title(column), reason), []).append(label(part))
        if run.failed:
            where.setdefault(("all", run.failed), []).append(label(part))
    return [f"{who}: {reason} ({_labels(parts)})" for (who, reason), parts in where.items()]


def _labels(parts: Iterable[str]) -> str:
    """Those of one SDK together: `openai, content off, on; startup`."""
    contents: dict[str, list[str]] = {}
    for part in dict.fromkeys(parts):
        sdk, _, content = part.partition(", content ")
        contents.setdefault(sdk, []).append(content)
    told = {sdk: ", ".join(filter(None, all_)) for sdk, all_ in contents.items()}
    return "; ".join(f"{sdk}, content {all_}" if all_ else sdk for sdk, all_ in told.items())


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

    def short(self) -> None:
        """The first screen: what ours adds to a call, and what each other does."""
        sdk = next((row.case.sdk for row in self.rows(is_short) if row.case.mode == "sync"), None)
        if sdk is None:
            return
        cases = [Case(sdk, *case) for case in product(("plain", "stream"), ("sync",), ("off", "on"))]
        rows = sorted(self.rows(cases.__contains__), key=lambda row: cases.index(row.case))
        self.add(f"## In short: calls of {TITLES[sdk]}", "\n".join(filter(None, map(sentence, rows))))
        peers = [peer for peer in PEERS if peer != NONE and any(peer in row.figures for row in rows)]
        body = [
            [title(peer), *(_cell(row, peer, ratio) for row in rows), _told(rows, peer)]
            for peer in _sorted(peers, rows)
        ]
        header = ["ratio to a bare span", *(f"{row.case.shape}, {row.case.content}" for row in rows), "reports tokens"]
        self.add(markdown(header, body))
        for shape in ("plain", "stream"):
            self.ratios(sdk, shape)

    def method(self) -> None:
        steps = {(label(part), run.command, run.seconds) for part, run in self._results.runs.items()}
        minutes = sum(seconds for _, _, seconds in steps) / 60
        text = METHOD.format(date=self._results.date, minutes=minutes, **self._results.machine)
        self.add("## How it is measured", text.strip())

    def who(self) -> None:
        self.add(*(["## Who is compared"] if self._results.rows else []))
        for row in self.rows(lambda case: case in (Case("openai"), Case("openai", content="on"))):
            body = [[title(peer), *(cell(row, peer) for cell in WHAT.values())] for peer in row.peers()]
            self.add(f"A call of the OpenAI SDK, content {row.case.content}, leaves:", markdown(["", *WHAT], body))
        for environment, found in self._results.versions.items():
            self.add(f"Versions, {'with LiteLLM' if environment == 'litellm' else 'with the SDKs'}:", versions(found))
        self.add(*_listed("Not measured:", missing(self._results)))

    def calls(self) -> None:
        first = next((row.case.sdk for row in self.rows(is_short)), None)
        for sdk, shape in product(SDKS, SHAPES):
            rows = [row for row in self.rows(is_short) if row.case[:2] == (sdk, shape)]
            if not rows:
                continue
            self.add(f"## {TITLES[sdk]}: {SHAPES[shape].lower()}", f"Ratio to a bare span, of {counted(rows)}:")
            self.add(side_by_side(rows, set_name, ratio))
            if sdk != first:
                self.ratios(sdk, shape)
            self.add(f"Untraced, and what each adds, {unit(rows)}:", side_by_side(rows, set_name, added))
            self.times(rows, set_name)

    def ratios(self, sdk: str, shape: str) -> None:
        """A picture of the synchronous calls, content off and on."""
        rows = [row for row in self.rows(is_short) if row.case[:3] == (sdk, shape, "sync")]
        found = []
        for peer in dict.fromkeys(peer for row in rows for peer in row.peers() if peer != BARE):
            values = {
                row.case.content: value
                for row in rows
                if peer in row.figures and (value := row.ratio(peer)) and value > 0 and not is_blind(row, peer)
            }
            if values:
                found.append(Bar(PEERS[peer].title.replace("`", ""), values, peer == OURS))
        if found:
            name = f"{TITLES[sdk]}, {SHAPES[shape].lower()}, sync: what each adds"
            across = f"times what a bare span adds, of {counted(rows)}; logarithmic"
            self.picture(f"{sdk}-{shape}", ratios(name, across, found), name)

    def times(self, rows: list[Row], name: Callable[[Case], str]) -> None:
        """Folded, for there are many and they are noisy."""
        if any(figure.cpu for row in rows for figure in row.figures.values()):
            self.add(
                "<details><summary>Times: added CPU of a call, and elapsed</summary>",
                "Added CPU time of a call, µs, median [the middle half of the rounds]:",
                side_by_side(rows, name, cpu),
                "Elapsed time of a call, ms, p50 / p99:",
                side_by_side(rows, name, elapsed),
                "</details>",
            )

    def prompts(self) -> None:
        rows = self.rows(lambda case: case.sdk == "openai" and case.shape == "plain" and not case.turns)
        rows = [row for row in rows if row.case.mode == "sync"]
        if rows:
            self.add("## Long prompts", f"By the size of the prompt: {unit(rows)}, untraced and what each adds.")
            self.add(side_by_side(rows, sized_name, added))
            self.add(
                "What functions do not tell: ours takes what looks like a secret out of the content that it records, "
                "and looking for it is most of the time that a long text takes; `LLMTRACE_REDACT=none` leaves it."
            )
            self.times(rows, sized_name)

    def turns(self) -> None:
        rows = self.rows(lambda case: bool(case.turns))
        if not rows:
            return
        self.add(
            "## Long conversations",
            f"One more turn, by the number of turns before it: {unit(rows)}, untraced and what each adds. `delta` is "
            "`LLMTRACE_CONTENT=delta`: only what is new is recorded.",
            side_by_side(rows, sized_name, added),
        )
        series: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            for peer in row.peers():
                if peer in (OURS, BARE) and (count := row.added(peer)) and count > 0:
                    series.setdefault(f"{PEERS[peer].title} {row.case.content}", []).append((row.case.turns, count))
        if series:
            name = f"What one more turn adds, {counted(rows)}"
            self.picture("turns", lines(name, series, "turns before it"), name)

    def others(self) -> None:
        for shape, (heading, text, cell) in OTHERS.items():
            rows = [row for row in self._results.rows if row.case.shape == shape]
            if rows:
                self.add(f"## {heading}", text.format(unit=unit(rows)), side_by_side(rows, shape_name, cell))
                self.times(rows, shape_name)

    def formats(self) -> None:
        """One line per wire format, ours alone."""
        if rows := self.rows(lambda case: case.sdk == "formats"):
            body = [[row.case.shape, ratio(row, OURS), added(row, OURS)] for row in rows]
            self.add(
                "## Wire formats",
                "By a client of httpx2, so that no SDK's own work is in the way; those in `-stream` in 200 chunks.",
                markdown(["", "ratio", unit(rows)], body),
            )

    def startup(self) -> None:
        found = self._results.startup
        if BARE not in found:
            return
        self.add(
            "## Start-up",
            "`python -c pass` under each, started as its documentation says: what a program pays that makes no call. "
            "`opentelemetry-instrument` alone sets up the same SDK and exporter (OTLP), and no instrumentation.",
        )
        if OURS in found:
            self.add(startup_sentence(found))
        self.add(startup_table(found))
        self.add(
            "CPU and elapsed time: medians. Above: what a round took more than that round's `opentelemetry-instrument` "
            "alone, median [the least … the most]. Memory: the most that was resident, and modules: those that were "
            "imported, when the program's first line ran."
        )
        others = [peer for peer in found if peer != NONE and PEERS[peer].command != PEERS[OURS].command]
        ways = [f"{title(peer)}: `{way(peer)}`" for peer in others]
        self.add(*_listed("Not started by `opentelemetry-instrument`:", ways))
        names = {peer: startup_name(peer).replace("`", "").replace("*", "") for peer in found}
        bars = [Bar(names[peer], {"off": spread(found[peer]["cpu"]).median}, peer == OURS) for peer in found]
        name = "What a program pays that makes no call"
        self.picture("startup", amounts(name, "CPU of the start-up, ms", bars), name)

    def tables(self) -> None:
        for name, (heading, text, _) in TABLES.items():
            if table := self._results.tables.get(name):
                self.add(f"## {heading}", text, figures_table(name, table))

    def held(self) -> None:
        if found := limits(self._results):
            self.add("## What ours is held to", "The project's own limits, content off.")
            self.add(markdown(["", "at most", "found", "kept"], [limit.cells for limit in found]))

    def standing(self) -> None:
        self.add("## Where ours is not the least", "\n".join(lost(self._results)) or "Nowhere, by count.")
        self.add(*_listed("By CPU time, of those that tell as much of the call:", slower(self._results)))

    def made(self) -> None:
        """Which command and which commit each part is of."""
        steps: dict[tuple[str, str], dict[tuple[str, float], int]] = {}
        for part, run in self._results.runs.items():
            rows = steps.setdefault((run.command, run.commit), {})
            rows[label(part), run.seconds] = rows.get((label(part), run.seconds), 0) + 1
        made = [f"`{command}`, commit {commit}: {_took(rows)}." for (command, commit), rows in steps.items()]
        self.add(*_listed("## Which command made what", made))
        self.add(*_listed("## What these results do not have", [f"{name}." for name in unmeasured(self._results)]))


def _took(steps: dict[tuple[str, float], int]) -> str:
    """Each step with its time, and with its number of rows if there are several."""
    return "; ".join(
        f"{name} ({f'{rows} rows, ' if rows > 1 else ''}{seconds:,.0f} s)" for (name, seconds), rows in steps.items()
    )


def sentence(row: Row) -> str:
    """What ours adds to a call, and what the least of the others does."""
    ours, base, multiple = row.added(OURS), row.baseline(OURS), row.ratio(OURS)
    if ours is None or base is None or not base.count or multiple is None:
        return ""
    told = (
        f"- {row.case.shape.capitalize()}, content {row.case.content}: llmtrace adds **{multiple:.2f} ×** what a bare "
    )
    told += f"span does, {100 * ours / base.count:.1f} % of the call's own {counted([row])}"
    others = {peer: value for peer in reporting(row) if (value := row.ratio(peer)) is not None}
    if not others:
        return told + "."
    least = min(others, key=others.__getitem__)
    return f"{told}; the least of the others that report tokens, {PEERS[least].title}: {others[least]:.2f} ×."


def counted(rows: Sequence[Row]) -> str:
    return unit(rows).removeprefix("thousands of ")


def _cell(row: Row, peer: str, cell: Cell) -> str:
    return cell(row, peer) if peer in row.figures else ""


def _sorted(peers: Iterable[str], rows: Sequence[Row]) -> list[str]:
    """By the first row in which they have a ratio."""

    def place(peer: str) -> tuple[int, float]:
        found = [(number, row.ratio(peer)) for number, row in enumerate(rows) if peer in row.figures]
        return next(((number, value) for number, value in found if value is not None), (len(rows), 0.0))

    return sorted(peers, key=place)


def _told(rows: Sequence[Row], peer: str) -> str:
    """Whether a peer reports tokens: of all these calls, of some, or of none."""
    if peer == BARE:
        return ""
    told = {row.case.shape: row.figures[peer].tokens for row in rows if peer in row.figures}
    some = ", ".join(shape for shape, does in told.items() if does)
    return "yes" if all(told.values()) else f"{some} only" if some else "no"


def _listed(heading: str, found: Iterable[str]) -> list[str]:
    lines_ = [f"- {line}" for line in found]
    return [heading, "\n".join(lines_)] if lines_ else []


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


def slower(results: Results) -> Iterator[str]:
    """Who takes less CPU time than ours, in the median, and tells as much."""
    for row in results.rows:
        if OURS not in row.figures or (ours := row.added_cpu(OURS)) is None:
            continue
        for peer in (peer for peer in row.peers() if peer not in (OURS, BARE) and not row.lacks(peer)):
            if (theirs := row.added_cpu(peer)) is not None and theirs.median < ours.median:
                yield f"{row.case}: {title(peer)} takes {cpu(row, peer)} µs, ours {cpu(row, OURS)} µs."


def unmeasured(results: Results) -> list[str]:
    """What a whole run would have, and these results have not."""
    rows = {row.case for row in results.rows}
    cases = dict.fromkeys("formats" if case.sdk == "formats" else str(case) for case in CASES if case not in rows)
    others = {STARTUP: results.startup, **{name: results.tables.get(name) for name in TABLES}}
    return [*cases, *(name for name, found in others.items() if not found)]


def write(results: Results, file: str, folder: Path = DOCS) -> None:
    """Writes `overhead.md` and its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    page = Page(results, folder)
    link = f"[these results](../benchmarks/results/{file})"
    page.add(HEAD.format(file=link, date=results.date, **results.machine).strip())
    for section in (
        page.short,
        page.standing,
        page.held,
        page.method,
        page.who,
        page.calls,
        page.prompts,
        page.turns,
        page.others,
        page.formats,
        page.startup,
        page.tables,
        page.made,
    ):
        section()
    (folder / "overhead.md").write_text(page.text())
