"""`llmtrace diff A B`: what two recordings used, beside each other: calls, tokens, cost, tools, errors, time.

Costs of both sides are those of the prices installed now, so that only what was used makes a difference. `?` is what
nobody knows, `=` no difference, `worse` what grew by more than the tolerance. Cached tokens and time are never worse.
As with `git diff` the exit code is 0 whatever the difference, unless `--exit-code` asks: then 1 if something is worse.

A span that was exported twice counts once. Files are read as a stream: their length is no limit. `--by agent` and
`--by session` go by what each span itself names.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llmtrace_otel.check.amounts import Unknown
from llmtrace_otel.check.compare import TOLERANCE, Change, compare, parse_tolerance, percent, why
from llmtrace_otel.check.errors import RuleError
from llmtrace_otel.check.once import once
from llmtrace_otel.check.profile import Profiler
from llmtrace_otel.check.side_by_side import Comparison, Row, Section
from llmtrace_otel.cli.errors import UsageError
from llmtrace_otel.cli.problems import Problems
from llmtrace_otel.read import read_spans
from llmtrace_otel.read.text import ABSENT, clean
from llmtrace_otel.telemetry import prices_published, prices_user

if TYPE_CHECKING:
    from llmtrace_otel.read import Span

MAX_NAME: Final = 30
MAX_ALIKE: Final = 5
GAP: Final = "  "
HEADINGS: Final = ("Δ", "%")
PARTS: Final[dict[str, Callable[[Span], str | None] | None]] = {
    "model": None,
    "tool": None,
    "agent": lambda span: span.agent,
    "session": lambda span: span.session,
}
"""By what the numbers can be parted, and what names a span's part where a profile does not part them itself."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("old", metavar="A", help="OTLP-JSON lines, also gzip; one of the two may be -, standard input")
    parser.add_argument("new", metavar="B", help="what is compared with it")
    parser.add_argument(
        "--tolerance", type=_tolerance, default=TOLERANCE, metavar="SHARE", help="how much more is allowed (10%%)"
    )
    parser.add_argument("--by", choices=list(PARTS), default="model", help="part the numbers by (default: %(default)s)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="a Markdown table")
    form.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if something is worse")


def _tolerance(text: str) -> float:
    try:
        return parse_tolerance(text)
    except RuleError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 if asked for and something is worse; 3 if a file holds no spans. Raises UsageError."""
    if args.old == args.new == "-":
        raise UsageError("only one of the two can be standard input; name a file for the other")
    old, new = (_read(path, PARTS[args.by]) for path in (args.old, args.new))
    found = _difference(old, new, args.by, args.tolerance)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an encoding without `Δ` prints `?`, it does not fail
    for line in _json(found) if args.json else _markdown(found) if args.md else _text(found):
        print(line)
    return int(args.exit_code and bool(found.worse))


class Recording(NamedTuple):
    """What a file says was used, in all and by part."""

    path: str
    whole: Profiler
    parts: dict[str, Profiler]


class Difference(NamedTuple):
    """Two recordings compared. `sections` are of what they are parted by."""

    names: tuple[str, str]
    tolerance: float
    changes: list[Change]
    totals: Section
    sections: list[Section]

    @property
    def changed(self) -> list[Section]:
        return [section for section in self.sections if not section.same]

    @property
    def worse(self) -> list[str]:
        return [change.name for change in self.changes if change.worse]


def _read(path: str, part: Callable[[Span], str | None] | None) -> Recording:
    problems = Problems("diff")
    found = Recording(path, Profiler(), {})
    try:
        for span in once(read_spans(path, partial(problems.add, _named(path)))):
            found.whole.add(span)
            if part is not None:
                name = clean(part(span) or ABSENT)
                found.parts.setdefault(name, Profiler()).add(span)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; name a file of OTLP-JSON lines, or -") from None
    problems.print()
    if not found.whole.measure.spans:
        raise UsageError(f"no spans in {_named(path)}, so there is nothing to compare", 3)
    return found


def _difference(old: Recording, new: Recording, by: str, tolerance: float) -> Difference:
    comparison = Comparison(tolerance, time.time_ns())
    was, became = old.whole.profile, new.whole.profile
    if by == "tool":
        sections = comparison.tools(was.tools, became.tools)
    elif by == "model":
        sections = comparison.parts(was.by_model, became.by_model)
    else:
        sections = comparison.parts(*({name: part.profile for name, part in one.parts.items()} for one in (old, new)))
    changes = compare(was, became, tolerance, at=comparison.at)
    return Difference((old.path, new.path), tolerance, changes, comparison.totals(old.whole, new.whole), sections)


def _text(found: Difference) -> Iterator[str]:
    lines = [("", *map(_short, found.names), *HEADINGS, "")]
    for section in (found.totals, *found.changed):
        if section.title:
            lines += [("",) * 6, (section.title, *[""] * 5)]
        lines += [(GAP * bool(section.title) + row.name, *row.texts, _mark(row)) for row in section.rows]
    yield from _aligned(lines)
    yield ""
    yield from _closing(found)


def _aligned(lines: list[tuple[str, ...]]) -> Iterator[str]:
    """Columns: names to the left, numbers to the right. A title may reach into the columns."""
    widths = [max(len(line[column]) for line in lines if any(line[1:])) for column in range(6)]
    for name, *numbers, mark in lines:
        columns = [text.rjust(width) for text, width in zip(numbers, widths[1:], strict=False)]
        yield GAP.join([name.ljust(widths[0]), *columns, mark]).rstrip()


def _markdown(found: Difference) -> Iterator[str]:
    old, new = (_escaped(_short(name)) for name in found.names)
    yield f"| | {old} | {new} | {' | '.join(HEADINGS)} | |"
    yield "|---|--:|--:|--:|--:|---|"
    for section in (found.totals, *found.changed):
        if section.title:
            yield f"| **{_escaped(section.title)}** | | | | | |"
        for row in section.rows:
            yield f"| {' | '.join((_escaped(row.name), *row.texts, _mark(row)))} |"
    yield ""
    yield from (f"- {_escaped(line)}" for line in _closing(found))


def _json(found: Difference) -> Iterator[str]:
    old, new = found.names
    rows = [_record(section, row) for section in (found.totals, *found.sections) for row in section.rows]
    document = {"old": old, "new": new, "tolerance": found.tolerance, "prices": _prices()}
    changes = [change._asdict() for change in found.changes]
    yield json.dumps(document | {"rows": rows, "changes": changes}, indent=2, ensure_ascii=False)


def _record(section: Section, row: Row) -> dict[str, Any]:
    """A row as JSON: null is a number that is not known."""
    old, new = (None if isinstance(amount, Unknown) else amount for amount in (row.old, row.new))
    return {"of": section.title or None, "name": row.name, "old": old, "new": new, "worse": row.worse}


def _closing(found: Difference) -> Iterator[str]:
    if alike := [section.title for section in found.sections if section.same]:
        more = f" and {len(alike) - MAX_ALIKE} more" if len(alike) > MAX_ALIKE else ""
        yield f"the same in both: {', '.join(alike[:MAX_ALIKE])}{more}"
    for path, amount in zip(found.names, _costs(found), strict=True):
        if doubt := why(amount):
            yield f"the cost of {_short(path)} is not known: {doubt}"
    yield f"costs of both by the prices of now: {_prices()}"
    allowed = percent(found.tolerance)
    yield (
        f"more than {allowed} worse: {', '.join(found.worse)}"
        if found.worse
        else f"nothing is more than {allowed} worse"
    )


def _prices() -> str:
    """The price tables that are asked, the first one first: `prices.toml@1f00aa12, genai-prices 0.2.3`."""
    own = prices_user.table()
    published = f"{prices_published.SOURCE} {prices_published.version()}"
    return f"{own.version}, {published}" if own else published


def _costs(found: Difference) -> tuple[Any, Any]:
    row = next(row for row in found.totals.rows if row.name == "cost")
    return row.old, row.new


def _mark(row: Row) -> str:
    return "worse" if row.worse else ""


def _named(path: str) -> str:
    return "standard input" if path == "-" else path


def _short(path: str) -> str:
    """The end of a path, which tells files apart better than its beginning."""
    path = clean(_named(path), len(path) + MAX_NAME)
    return path if len(path) <= MAX_NAME else "…" + path[1 - MAX_NAME :]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`").replace("<", "&lt;").replace("*", "\\*")
