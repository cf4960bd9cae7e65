"""Which step stands beside which line of an expected tree, where they do not all agree: the pairs that cost least.

It explains a mismatch, it does not decide on one (`match.py` does). A line is as many slots as it asks for steps;
slots and steps are aligned as texts are in a diff.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from llmtrace_otel.check.errors import NotEvaluableError, is_answer
from llmtrace_otel.check.trees.language import Block, Line, Rest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmtrace_otel.check.steps import Step
    from llmtrace_otel.check.trees.language import Item
    from llmtrace_otel.check.trees.match import Matcher

__tracebackhide__ = is_answer

SAME, REST, BELOW, CONDITION, ALONE = 0, 1, 10, 20, 30
"""What a pair costs: all fits, it is any step, something below it differs, a condition fails; what has no partner."""
NEVER: Final = 1_000_000
MANY: Final = 20


class Slot(NamedTuple):
    """A place for one step, or for any number of them."""

    item: Item
    required: bool = False
    repeats: bool = False


class Pair(NamedTuple):
    """A step beside an item; None for a step that is not expected."""

    item: Item | None
    step: Step


def align(costs: Costs, items: Sequence[Item], steps: Sequence[Step]) -> list[Pair]:
    """Every step, in order, and what it stands beside."""
    slots = [slot for item in items for slot in _slots(item, len(steps))]
    best = _best(costs, slots, steps)
    return list(_walk(costs, slots, steps, best))


def _slots(item: Item, count: int) -> Iterator[Slot]:
    """More slots than there are steps make no difference; where many are asked for, any number may stand."""
    if not isinstance(item, Line):
        yield Slot(item, repeats=True)
        return
    yield from [Slot(item, required=True)] * min(item.least, count + 1, MANY)
    if item.most is None or item.most > MANY:
        yield Slot(item, repeats=True)
    else:
        yield from [Slot(item)] * (item.most - item.least)


class Costs:
    """What pairs cost, each remembered."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._known: dict[tuple[int, int], int] = {}

    def pair(self, item: Item, step: Step) -> int:
        key = (id(item), id(step))
        if key not in self._known:
            self._known[key] = self._cost(item, step)
        return self._known[key]

    def _cost(self, item: Item, step: Step) -> int:
        if isinstance(item, Rest):
            return REST
        if isinstance(item, Block):
            return min([self.pair(line, step) for line in item.items])
        if not self._matcher.named(item, step):
            return NEVER
        if failures(item, step):
            return CONDITION
        return SAME if self._fits(item, step) else BELOW

    def _fits(self, line: Line, step: Step) -> bool:
        try:
            return self._matcher.fits(line, step)
        except NotEvaluableError:
            return False


def failures(line: Line, step: Step) -> list[str]:
    """Which of a line's conditions a step does not meet, or is not known to meet."""
    found = []
    for condition in line.conditions:
        try:
            found.append(condition.failure(step))
        except NotEvaluableError as error:
            found.append(str(error))
    return [failure for failure in found if failure]


def _best(costs: Costs, slots: list[Slot], steps: Sequence[Step]) -> list[list[int]]:
    """For each slot and step, what the alignment of both rests costs."""
    row = [ALONE * left for left in range(len(steps), -1, -1)]
    rows = [row]
    for slot in reversed(slots):
        after, row = row, [0] * len(row)
        skipped = ALONE * slot.required
        row[-1] = after[-1] + skipped
        for place in range(len(steps) - 1, -1, -1):
            paired = costs.pair(slot.item, steps[place]) + (row if slot.repeats else after)[place + 1]
            row[place] = min(paired, after[place] + skipped, row[place + 1] + ALONE)
        rows.append(row)
    return rows[::-1]


def _walk(costs: Costs, slots: list[Slot], steps: Sequence[Step], best: list[list[int]]) -> Iterator[Pair]:
    k = place = 0
    while place < len(steps):
        if k == len(slots):
            yield Pair(None, steps[place])
            place += 1
            continue
        slot, cost = slots[k], best[k][place]
        beyond = k if slot.repeats else k + 1
        if cost == costs.pair(slot.item, steps[place]) + best[beyond][place + 1]:
            yield Pair(slot.item, steps[place])
            k, place = beyond, place + 1
        elif cost == best[k + 1][place] + ALONE * slot.required:
            k += 1
        else:
            yield Pair(None, steps[place])
            place += 1
