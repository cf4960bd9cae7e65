"""A trace as plain rows for a failure's report: who did what below whom, and what each call used.

The rows, their folding and their words are those of `llmtrace show` (`read/outline.py`). Names and numbers only: what
was said never appears. The cost is what budgets are held to (`check/pricing.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len, set_cell_size

from llmtrace_otel.check import pricing
from llmtrace_otel.read.outline import Row, fold_key, tree_rows
from llmtrace_otel.read.text import ABSENT, UNKNOWN, money
from llmtrace_otel.read.tree import Node

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from llmtrace_otel.check.steps import Step
    from llmtrace_otel.read.span import Span

GAP: Final = "  "
MIN_NAME: Final = 24  # cells


class _Line(NamedTuple):
    """A row's columns before they are aligned."""

    mark: str
    name: str
    notes: str
    numbers: tuple[str, str, str]


def picture(
    roots: Sequence[Step], *, width: int = 100, max_rows: int = 60, marked: Collection[Step] = (), mark: str = "+"
) -> list[str]:
    """The trees as lines of at most `width` cells; `mark` stands before the `marked` steps.

    Of more than `max_rows` rows the first marked ones are kept, up to a half, those above them, and the others from the
    top; `… 212 more` stands for each run that is left out.
    """
    steps, top = _nodes(roots)
    chosen = set(marked)
    found = list(tree_rows(top, lambda node: (steps[node] in chosen, fold_key(node))))
    kept = _kept([steps[row.nodes[0]] for row in found], chosen, max_rows)
    gutter = " " * len(mark) if chosen else ""
    lines = [_line(found[place], mark if steps[found[place].nodes[0]] in chosen else gutter) for place in kept]
    return list(_with_gaps(kept, _aligned(lines, width), len(found)))


def _kept(shown: list[Step], chosen: set[Step], most: int) -> list[int]:
    """The places of the rows that are kept."""
    if len(shown) <= most:
        return list(range(len(shown)))
    first = [place for place, step in enumerate(shown) if step in chosen][: most // 2]
    above = _above(shown[place] for place in first)
    rank = {place: 1 for place, step in enumerate(shown) if step in above} | dict.fromkeys(first, 0)
    return sorted(sorted(range(len(shown)), key=lambda place: (rank.get(place, 2), place))[:most])


def _nodes(roots: Iterable[Step]) -> tuple[dict[Node, Step], list[Node]]:
    """The steps' nodes, and those of the roots."""
    steps: dict[Node, Step] = {}
    top = [Node(root.span) for root in roots]
    stack = list(zip(top, roots, strict=True))
    while stack:
        node, step = stack.pop()
        steps[node] = step
        node.children = [Node(child.span) for child in step.child_list]
        stack += zip(node.children, step.child_list, strict=True)
    return steps, top


def _above(steps: Iterable[Step]) -> set[Step]:
    """Every step above one of these."""
    found: set[Step] = set()
    for step in steps:
        parent = step.parent
        while parent is not None and parent not in found:
            found.add(parent)
            parent = parent.parent
    return found


def _line(row: Row, mark: str) -> _Line:
    notes = "".join(f" {note}" for note in row.notes)
    return _Line(mark + " " * bool(mark), row.branches + row.label, notes, _numbers(row.span))


def _numbers(span: Span) -> tuple[str, str, str]:
    """Tokens, those read from a cache, cost; nothing for a step that is not a model's."""
    if not span.inference:
        return "", "", ""
    into, out, cached = span.usage.input, span.usage.output, span.usage.cache_read
    flow = f"{_count(into)}→{_count(out)} tok" if (into, out) != (None, None) else ""
    usd = pricing.charged(span)
    cost = "incl." if span.cost.status == "included" else UNKNOWN if usd is None else money(usd)
    return flow, f"cache {cached}" if cached else "", cost


def _count(tokens: int | None) -> str:
    return ABSENT if tokens is None else str(tokens)


def _aligned(lines: list[_Line], width: int) -> Iterator[str]:
    """The name gives way to its notes, and both to the numbers."""
    columns = list(zip(*(line.numbers for line in lines), strict=True))
    widths = [size for column in columns if (size := max(map(len, column)))]
    taken = sum(widths) + len(GAP) * len(widths) + max((len(line.mark) for line in lines), default=0)
    longest = max((cell_len(line.name + line.notes) for line in lines), default=0)
    room = min(longest, max(width - taken, MIN_NAME))
    for line in lines:
        numbers = (number for number, column in zip(line.numbers, columns, strict=True) if any(column))
        text = line.mark + _padded(line, room)
        for number, size in zip(numbers, widths, strict=True):
            text += GAP + number.rjust(size)
        yield text.rstrip()


def _padded(line: _Line, room: int) -> str:
    notes = _fit(line.notes, max(room // 2, room - cell_len(line.name)))
    return set_cell_size(_fit(line.name, room - cell_len(notes)) + notes, room)


def _fit(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)) + "…"


def _with_gaps(kept: list[int], lines: Iterable[str], total: int) -> Iterator[str]:
    before = -1
    for place, line in zip(kept, lines, strict=True):
        yield from _more(place - before - 1)
        yield line
        before = place
    yield from _more(total - before - 1)


def _more(count: int) -> list[str]:
    return [f"… {count} more"] if count else []
