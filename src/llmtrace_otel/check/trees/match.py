"""Whether steps are as an expected tree says.

Siblings are matched from left to right: after each line of the expectation, the places that the steps read so far may
end at. All ways are followed at once, so that siblings × lines bounds the work, and each pair of a line and a step is
looked at once. Python's stack grows with the expectation's depth (`language.MAX_DEPTH`), not with the trace's.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from llmtrace_otel.check.assignment import Assignment
from llmtrace_otel.check.errors import is_answer
from llmtrace_otel.check.trees.language import Block, Line, Rest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmtrace_otel.check.steps import Step
    from llmtrace_otel.check.trees.language import ExpectedTree, Item

__tracebackhide__ = is_answer


class Matcher:
    """Answers for one trace, each remembered."""

    def __init__(self, tree: ExpectedTree) -> None:
        self._plumbing = tree.plumbing
        self._fits: dict[tuple[int, int], bool] = {}

    def visible(self, steps: Sequence[Step]) -> list[Step]:
        """The steps with those below plumbing in its place, in order of their starts."""
        if not any(step.kind in self._plumbing for step in steps):
            return list(steps)
        found, stack = [], [*steps]
        while stack:
            step = stack.pop()
            if step.kind in self._plumbing:
                stack += step.child_list
            else:
                found.append(step)
        return sorted(found, key=lambda step: step.span.start)

    def named(self, line: Line, step: Step) -> bool:
        """Whether kind and name are those of a line."""
        return step.kind == line.kind and fnmatchcase(step.name, line.name)

    def fits(self, line: Line, step: Step) -> bool:
        """Whether a step is what a line says, and the steps below it are. Raises NotEvaluableError."""
        key = (id(line), id(step))
        if (known := self._fits.get(key)) is None:
            known = self._fits[key] = (
                self.named(line, step)
                and not any(condition.failure(step) for condition in line.conditions)
                and self.match(line.items, self.visible(step.child_list))
            )
        return known

    def match(self, items: Sequence[Item], steps: Sequence[Step]) -> bool:
        """Whether siblings are what the lines of one level say. Raises NotEvaluableError."""
        ends = {0}
        for item in items:
            ends = _after(self._reader(item, steps), sorted(ends))
        return len(steps) in ends

    def _reader(self, item: Item, steps: Sequence[Step]) -> _Reader:
        if isinstance(item, Rest):
            return _AnySteps(len(steps))
        return _InARow(self, item, steps) if isinstance(item, Line) else _InAnyOrder(self, item, steps)


class _Reader(Protocol):
    """Reads steps for one item. Asked for ever later places, what it answers never goes back."""

    def ends(self, start: int) -> tuple[int, int]:
        """The first and the last place where the item may end if it starts here; none if the last is before."""


def _after(reader: _Reader, starts: list[int]) -> set[int]:
    found: set[int] = set()
    seen = 0
    for start in starts:
        first, last = reader.ends(start)
        found.update(range(max(first, seen), last + 1))
        seen = max(seen, last + 1)
    return found


class _AnySteps:
    def __init__(self, count: int) -> None:
        self._count = count

    def ends(self, start: int) -> tuple[int, int]:
        return start, self._count


class _InARow:
    """Steps that one line stands for, one after another."""

    def __init__(self, matcher: Matcher, line: Line, steps: Sequence[Step]) -> None:
        self._matcher, self._line, self._steps = matcher, line, steps
        self._end = 0

    def ends(self, start: int) -> tuple[int, int]:
        line, steps = self._line, self._steps
        most = len(steps) if line.most is None else min(start + line.most, len(steps))
        self._end = max(self._end, start)
        while self._end < most and self._matcher.fits(line, steps[self._end]):
            self._end += 1
        return start + line.least, self._end


class _InAnyOrder:
    """Steps that are shared out among a block's lines.

    Every step must get a line that has room, and every line must get its least: if each is possible, both are at once
    (Mendelsohn and Dulmage). So there are two assignments, steps to lines for the last end and lines to steps for the
    first one, and both only move on: steps are taken in at the right and left behind at the left. Steps that fit the
    same lines are alike.
    """

    def __init__(self, matcher: Matcher, block: Block, steps: Sequence[Step]) -> None:
        self._matcher, self._steps, self._lines = matcher, steps, block.lines
        self._others = (len(self._lines),) if block.rest else ()  # the place of steps that no line names
        self._kinds: dict[int, tuple[int, ...]] = {}
        self._kinds_of: defaultdict[int, set[tuple[int, ...]]] = defaultdict(set)
        self._shared: Assignment[tuple[int, ...], int] = Assignment(lambda kind: kind)
        self._filled: Assignment[int, tuple[int, ...]] = Assignment(self._kinds_of.__getitem__)
        self._wanting = Counter({place: line.least for place, line in enumerate(self._lines)})
        self._least = sum(line.least for line in self._lines)
        self._start = self._first = self._last = 0
        for place, line in enumerate(self._lines):
            self._shared.open(place, math.inf if line.most is None else line.most)
        for place in self._others:
            self._shared.open(place, math.inf)

    def ends(self, start: int) -> tuple[int, int]:
        self._leave_behind(start)
        while self._last < len(self._steps) and self._shared.seat(self._kind(self._last)):
            self._last += 1
        while self._first < min(start + self._least, self._last):
            self._take_in()
        while not self._all_filled():
            if self._first >= self._last:
                return start, start - 1
            self._take_in()
        return self._first, self._last

    def _leave_behind(self, start: int) -> None:
        for step in range(self._start, min(start, self._last)):
            self._shared.leave(self._kind(step))
        for step in range(self._start, min(start, self._first)):
            if (line := self._filled.close(self._kind(step))) is not None:
                self._wanting[line] += 1
        self._start, self._first, self._last = start, max(start, self._first), max(start, self._last)

    def _take_in(self) -> None:
        self._filled.open(self._kind(self._first))
        self._first += 1

    def _all_filled(self) -> bool:
        if self._first < self._start + self._least:
            return False
        for line, wanted in self._wanting.items():
            self._wanting[line] -= self._filled.seat(line, wanted)
            if self._wanting[line]:
                return False
        return True

    def _kind(self, step: int) -> tuple[int, ...]:
        """The places that a step may have."""
        if step not in self._kinds:
            lines = [place for place, line in enumerate(self._lines) if self._matcher.fits(line, self._steps[step])]
            self._kinds[step] = kind = (*lines, *self._others)
            for place in lines:
                self._kinds_of[place].add(kind)
        return self._kinds[step]
