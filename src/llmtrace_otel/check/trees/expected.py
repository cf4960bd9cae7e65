"""Trees of steps against an expectation: `assert_tree`.

The language is described in `language.py`, conditions in `conditions.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmtrace_otel.check.errors import NotEvaluableError, is_answer
from llmtrace_otel.check.picture import picture
from llmtrace_otel.check.trees.align import BELOW, CONDITION, SAME, Costs, align, failures
from llmtrace_otel.check.trees.language import Block, ExpectedTree, Line, parse_tree
from llmtrace_otel.check.trees.match import Matcher
from llmtrace_otel.read.text import clean, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llmtrace_otel.check.steps import Step
    from llmtrace_otel.check.trees.language import Item

__all__ = ["ExpectedTree", "difference", "parse_tree"]

__tracebackhide__ = is_answer

MAX_TOLD: Final = 20  # lines of each part


def difference(expected: ExpectedTree, roots: Sequence[Step]) -> str | None:
    """How the trees differ from the expectation, as lines of text; None if they do not.

    Raises NotEvaluableError if a condition asks for what was not recorded.
    """
    matcher = Matcher(expected)
    steps = matcher.visible(roots)
    if matcher.match(expected.items, steps):
        return None
    found = _Findings(matcher)
    found.compare(expected.items, steps, 0)
    return "\n".join(found.told(roots))


class _Findings:
    """What differs: lines that no step is beside, steps that no line is beside, and what is wrong with pairs."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._costs = Costs(matcher)
        self.missing: list[str] = []
        self.wrong: list[str] = []
        self.unexpected: list[Step] = []

    def compare(self, items: Sequence[Item], steps: Sequence[Step], depth: int) -> None:
        """Compares siblings and what is below them: no deeper than the expectation is."""
        pairs = align(self._costs, items, steps)
        strays = [pair.step for pair in pairs if pair.item is None]
        beside: list[tuple[Line, list[Step], int]] = []
        for item in items:
            own = [pair.step for pair in pairs if pair.item is item]
            if isinstance(item, Line):
                beside.append((item, own, depth))
            elif isinstance(item, Block) and not self._matches([item], own):
                shared, left = self._shared_out(item, own)
                beside += [(line, steps, depth + 1) for line, steps in shared]
                strays += left
        for line, own, level in beside:
            self._count(line, own, strays, level)
            for step in own:
                self._pair(line, step, level)
        self.unexpected += [below for stray in strays for below in stray.walk()]

    def _matches(self, items: Sequence[Item], steps: Sequence[Step]) -> bool:
        try:
            return self._matcher.match(items, steps)
        except NotEvaluableError:
            return False

    def _shared_out(self, block: Block, steps: Sequence[Step]) -> tuple[list[tuple[Line, list[Step]]], list[Step]]:
        """Each line's steps, the best pairs first, and the steps that are left."""
        own: list[tuple[Line, list[Step]]] = [(line, []) for line in block.lines]
        left = list(steps)
        for worst in (SAME, BELOW, CONDITION):
            unplaced, left = left, []
            for step in unplaced:
                fitting = [
                    (len(held) >= line.least, place)
                    for place, (line, held) in enumerate(own)
                    if (line.most is None or len(held) < line.most) and self._costs.pair(line, step) <= worst
                ]
                (own[min(fitting)[1]][1] if fitting else left).append(step)
        return own, [] if block.rest else left

    def _count(self, line: Line, own: list[Step], strays: list[Step], depth: int) -> None:
        if line.least and not own:
            self.missing += _written(line, depth)
            return
        if line.count and own:
            count = len(own) + sum(self._costs.pair(line, stray) <= BELOW for stray in strays)
            if count < line.least or (line.most is not None and count > line.most):
                self.wrong.append(f"{line.head}: {plural(count, 'time')}, expected {line.count}")

    def _pair(self, line: Line, step: Step, depth: int) -> None:
        self.wrong += [f"{step.label}: {failure}" for failure in failures(line, step)]
        below = self._matcher.visible(step.child_list)
        if not self._matches(line.items, below):
            self.compare(line.items, below, depth + 1)

    def told(self, roots: Sequence[Step]) -> Iterator[str]:
        yield "span tree differs from the expected shape"
        if self.missing:
            yield "  expected but missing (-):"
            yield from _first(f"  - {line}" for line in self.missing)
        if self.wrong:
            yield "  not as expected (!):"
            yield from _first(f"  ! {line}" for line in dict.fromkeys(self.wrong))
        yield f"  recorded tree{' (+ = not in the expectation)' if self.unexpected else ''}:"
        yield from (f"  {row}" for row in picture(roots, marked=self.unexpected))


def _written(item: Item, depth: int) -> list[str]:
    """A line and those below it, as they were written."""
    indent = "  " * (depth + 1)
    if not isinstance(item, Line | Block):
        return [f"{indent}..."]
    own = item.text if isinstance(item, Line) else "||"
    return [f"{indent}{clean(own)}", *(line for below in item.items for line in _written(below, depth + 1))]


def _first(lines: Iterable[str]) -> list[str]:
    told = list(lines)
    return [*told[:MAX_TOLD], *([f"    … {len(told) - MAX_TOLD} more"] if len(told) > MAX_TOLD else [])]
