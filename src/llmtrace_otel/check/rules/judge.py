"""Whether a rule is kept in one group: None, or how it is broken.

Each check is a function of what the rule states, the steps that it selects, and the group. What cannot be told raises
NotEvaluableError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llmtrace_otel.check.amounts import Unknown, some
from llmtrace_otel.check.errors import NotEvaluableError
from llmtrace_otel.check.steps import MIN_FOR_PERCENTILE, Step, Steps, matches
from llmtrace_otel.read.outline import short_error
from llmtrace_otel.read.text import clean, money, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmtrace_otel.check.rules.groups import Group
    from llmtrace_otel.check.rules.model import Rule
    from llmtrace_otel.check.rules.values import Pattern, Range

MAX_LOOP: Final = 120  # characters


class Broken(NamedTuple):
    """What is wrong, in a phrase, and the steps that show it."""

    what: str
    steps: Sequence[Step] = ()


class UnreliableError(NotEvaluableError):
    """Too few steps for a percentile: a warning, no pass."""


class UnknownCostError(NotEvaluableError):
    """A sum that lacks a price: what the rules make of it is theirs to say."""


class Selection(NamedTuple):
    """The steps of a group that a rule is about, and what the rule calls them."""

    name: str
    steps: Sequence[Step]
    group: Group


def selected(rule: Rule, group: Group) -> Selection:
    """The steps that a rule selects, in order of their starts; all of them without `match` and `where`."""
    steps = _matching(rule.match, group) if rule.match else group.steps
    if rule.where:
        steps = [step for step in steps if _meets(step, rule.where)]
    return Selection(clean(str(rule.match)) if rule.match else "steps", steps, group)


def broken(rule: Rule, selection: Selection) -> list[Broken]:
    """How a rule is broken: nothing if it is kept. Raises NotEvaluableError unless something is broken for sure."""
    found: list[Broken] = []
    doubts: list[NotEvaluableError] = []
    for name, wanted in rule.checks.items():
        try:
            if selection.steps or name in OF_NONE:
                found += filter(None, [CHECKERS[name](wanted, selection)])
        except NotEvaluableError as doubt:
            doubts.append(doubt)
    if doubts and not found:
        raise doubts[0]
    return found


def _matching(pattern: Pattern, group: Group) -> list[Step]:
    return [step for step in group.steps if pattern.selects(step.kind, step.name)]


def _meets(step: Step, where: dict[str, Any]) -> bool:
    return all(
        matches(wanted, step.attributes.get(name) if "." in name else getattr(step, name))
        for name, wanted in where.items()
    )


def _count(wanted: Range, selection: Selection) -> Broken | None:
    found = len(selection.steps)
    if wanted.holds(found):
        return None
    return Broken(f"{selection.name} ×{found}, expected {wanted}", selection.steps)


def _before(other: Pattern, selection: Selection) -> Broken | None:
    """No other step may start before the first selected one has."""
    return _ordered(selection.name, selection.steps, clean(str(other)), _matching(other, selection.group))


def _after(other: Pattern, selection: Selection) -> Broken | None:
    return _ordered(clean(str(other)), _matching(other, selection.group), selection.name, selection.steps)


def _ordered(first: str, firsts: Sequence[Step], then: str, thens: Sequence[Step]) -> Broken | None:
    if not thens or (firsts and firsts[0].span.start < thens[0].span.start):
        return None
    return Broken(f"{then} without {first} before it", thens[:1])


def _cost(wanted: Range, selection: Selection) -> Broken | None:
    return _summed(Steps(selection.steps, selection.name).cost, wanted, "cost", money, selection, UnknownCostError)


def _tokens(wanted: Range, selection: Selection) -> Broken | None:
    total = Steps(selection.steps, selection.name).tokens.total
    return _summed(total, wanted, "tokens", "{:,}".format, selection, NotEvaluableError)


def _summed(
    amount: float | Unknown,
    wanted: Range,
    what: str,
    write: Callable[[Any], str],
    selection: Selection,
    error: type[NotEvaluableError],
) -> Broken | None:
    known = amount.at_least if isinstance(amount, Unknown) else amount
    if isinstance(amount, Unknown) and not wanted.below(known):
        raise error(amount.why)
    if wanted.holds(known):
        return None
    at_least = "at least " if isinstance(amount, Unknown) else ""
    return Broken(f"{selection.name}: {what} {at_least}{write(known)}, expected {wanted}", selection.steps)


def _cached_ratio(wanted: Range, selection: Selection) -> Broken | None:
    ratio = Steps(selection.steps, selection.name).cached_ratio
    if wanted.holds(ratio):
        return None
    return Broken(f"{selection.name}: {ratio:.0%} of the input cached, expected {wanted}", selection.steps)


def _duration_max(wanted: Range, selection: Selection) -> Broken | None:
    longest = max(selection.steps, key=lambda step: step.duration)
    if wanted.holds(longest.duration):
        return None
    return Broken(f"{longest.label} took {seconds(longest.duration)}, expected {wanted}", [longest])


def _duration_p95(wanted: Range, selection: Selection) -> Broken | None:
    count = len(selection.steps)
    if count < MIN_FOR_PERCENTILE:
        raise UnreliableError(f"n={count} < {MIN_FOR_PERCENTILE}, percentile unreliable")
    found = Steps(selection.steps, selection.name).duration.p95
    if wanted.holds(found):
        return None
    slow = [step for step in selection.steps if step.duration >= found]
    return Broken(f"{selection.name}: p95 {seconds(found)}, expected {wanted} (n={count})", slow)


def _errors(wanted: Range, selection: Selection) -> Broken | None:
    """A failure that climbs from a step to those above it is one, the innermost."""
    failed = [step for step in selection.steps if step.error and not any(below.error for below in step.child_list)]
    if wanted.holds(len(failed)):
        return None
    told = "".join(f": {step.label} {short_error(step.span)}" for step in failed[:1])
    return Broken(f"errors ×{len(failed)}, expected {wanted}{told}", failed)


def _models(allowed: Sequence[str], selection: Selection) -> Broken | None:
    calls = [step for step in selection.steps if step.span.inference]
    return _foreign("model", allowed, [(step, step.name) for step in calls])


def _tools(allowed: Sequence[str], selection: Selection) -> Broken | None:
    return _foreign("tool", allowed, [(step, step.name) for step in selection.steps if step.kind == "tool"])


def _foreign(what: str, allowed: Sequence[str], named: Sequence[tuple[Step, str]]) -> Broken | None:
    foreign = [(step, name) for step, name in named if not any(matches(glob, name) for glob in allowed)]
    if not foreign:
        return None
    names = clean(some(name or "unnamed" for _, name in foreign))
    return Broken(f"{what} not allowed: {names}", [step for step, _ in foreign])


def _loops(repeats: int, selection: Selection) -> Broken | None:
    from llmtrace_otel.check.loops import loops

    found = loops(selection.group.roots, repeats)
    if not found:
        return None
    first = found[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return Broken(f"loop: {clean(str(first), MAX_LOOP)}{more}", [step for loop in found for step in loop.steps])


CHECKERS: Final[dict[str, Callable[[Any, Selection], Broken | None]]] = {
    "count": _count,
    "before": _before,
    "after": _after,
    "cost": _cost,
    "tokens": _tokens,
    "cached_ratio": _cached_ratio,
    "duration_max": _duration_max,
    "duration_p95": _duration_p95,
    "errors": _errors,
    "models": _models,
    "tools": _tools,
    "loops": _loops,
}

OF_NONE: Final = frozenset({"count", "before"})
"""Checks that a group in which nothing is selected may fail."""
