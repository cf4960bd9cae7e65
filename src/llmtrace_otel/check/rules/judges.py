"""Who judges what: a limit, a rule, a tree, a baseline. Each is shown one group after another, keeps an `Outcome`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from llmtrace_otel.check.amounts import Unknown
from llmtrace_otel.check.budget import Excess, quantity
from llmtrace_otel.check.compare import compare
from llmtrace_otel.check.errors import NotEvaluableError
from llmtrace_otel.check.profile import Profile, Profiler
from llmtrace_otel.check.rules.judge import UnknownCostError, UnreliableError, broken, selected
from llmtrace_otel.check.rules.recorded import Recorded
from llmtrace_otel.check.rules.report import Finding, Outcome, Report
from llmtrace_otel.read.text import clean, money

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmtrace_otel.check.measure import Measure
    from llmtrace_otel.check.rules.groups import Group
    from llmtrace_otel.check.rules.model import Baseline, Limit, Rule, TreeRule
    from llmtrace_otel.check.steps import Step

MAX_ROWS: Final = 20  # of a tree
MAX_PLACES: Final = 3
MARK: Final = "►"

NO_CALLS: Final = 'no LLM call is in it; if that is right, set on_no_spans = "pass" in [defaults]'

ELSEWHERE: Final = "; price it in LLMTRACE_PRICES"
PRICED_HERE: Final = '; price it in the rules: [prices."model"]'

USED: Final[dict[str, Callable[[Measure], float | Unknown]]] = {
    "cost": lambda measure: measure.cost,
    "tokens": lambda measure: measure.tokens,
    "calls": lambda measure: measure.calls,
    "tools": lambda measure: measure.tool_calls,
    "duration": lambda measure: measure.duration,
}


class Judge(Protocol):
    """Something that is asked of every group."""

    outcome: Outcome

    @property
    def matched(self) -> bool:
        """Whether it has found anything that it is about."""

    def judge(self, group: Group) -> None:
        """Judges one group."""

    def finish(self, report: Report) -> None:
        """Judges the whole, once all groups are."""


class LimitJudge:
    """Holds every group to a limit."""

    matched = False

    def __init__(self, limit: Limit, unknown_cost: str) -> None:
        asks = f"{limit.name} <= {quantity(limit.name, limit.most)}"
        self.outcome = Outcome(id=limit.id, asks=asks, origin=limit.origin)
        self._name = limit.name
        self._limit = limit.most
        self._used = USED[limit.name]
        self._most, self._order = -1.0, (0, "")
        self._unknown = unknown_cost if limit.name == "cost" else "error"

    def judge(self, group: Group) -> None:
        used = self._used(group.measure)
        known = used.at_least if isinstance(used, Unknown) else used
        outcome = self.outcome
        if known > self._most or (known == self._most and group.order < self._order):
            self._most, self._order = known, group.order
            outcome.most = (known, group.label)
        if known > self._limit:
            outcome.fail(group.order, lambda: self._finding(group, known, exact=not isinstance(used, Unknown)))
        elif isinstance(used, Unknown):
            _in_doubt(outcome, used.why, self._unknown)
        else:
            outcome.hold()

    def finish(self, report: Report) -> None:
        if not report.calls:
            self.outcome.doubt(NO_CALLS)

    def _finding(self, group: Group, used: float, *, exact: bool) -> Finding:
        excess = Excess(self._name, used, self._limit, exact)
        at_least = "" if exact else "at least "
        told, most = quantity(self._name, used), quantity(self._name, self._limit)
        detail = _costliest(group, used) if self._name == "cost" else ""
        return Finding(group.label, f"{at_least}{told} > {most} ({excess.over})", detail)


def _costliest(group: Group, total: float) -> str:
    usd, model = group.measure.costliest
    return f"costliest: llm {clean(model)} {money(usd)} ({usd / total:.0%})" if usd and group.measure.calls > 1 else ""


def _in_doubt(outcome: Outcome, why: str, policy: str) -> None:
    """What becomes of a sum that is not known."""
    why = why.partition(ELSEWHERE)[0] + (PRICED_HERE if ELSEWHERE in why else "")
    if policy == "error":
        outcome.doubt(why)
        return
    outcome.hold()
    if policy == "warn":
        outcome.warn(why)


class RuleJudge:
    """Asks a rule of the steps of every group."""

    def __init__(self, rule: Rule, unknown_cost: str) -> None:
        self.outcome = Outcome(id=rule.id, asks=asked(rule), level=rule.level, why=rule.why, origin=rule.origin)
        self.matched = False
        self._rule = rule
        self._unknown = unknown_cost
        self._unreliable = 0
        self._reason = ""

    def judge(self, group: Group) -> None:
        selection = selected(self._rule, group)
        self.matched |= bool(selection.steps and (self._rule.match or self._rule.where))
        try:
            found = broken(self._rule, selection)
        except UnreliableError as doubt:
            self._unreliable += 1
            self._reason = min(self._reason or str(doubt), str(doubt))
        except UnknownCostError as doubt:
            _in_doubt(self.outcome, str(doubt), self._unknown)
        except NotEvaluableError as doubt:
            self.outcome.doubt(str(doubt))
        else:
            if found:
                steps = [step for one in found for step in one.steps]
                what = "; ".join(one.what for one in found)
                self.outcome.fail(group.order, lambda: _finding(group, what, steps))
            else:
                self.outcome.hold()

    def finish(self, report: Report) -> None:
        if self._unreliable:
            among = f" in {self._unreliable} of {report.groups} groups" if report.groups > 1 else ""
            self.outcome.warn(self._reason + among)
        if not (self.matched or self._rule.may_select_nothing or self.outcome.failed):
            self.outcome.doubt("it matches no step of the whole recording; correct it, or set allow_empty = true")


def asked(rule: Rule) -> str:
    """A rule in short: `tool delete_*: count 0`."""
    checks = ", ".join(f"{name} {written(wanted)}" for name, wanted in rule.checks.items())
    return f"{rule.match}: {checks}" if rule.match else checks


def written(wanted: object) -> str:
    plain = isinstance(wanted, tuple) and not hasattr(wanted, "_fields")
    return " ".join(wanted) if plain else str(wanted)  # type: ignore[arg-type]


def _finding(group: Group, what: str, steps: Sequence[Step]) -> Finding:
    from llmtrace_otel.check.picture import picture  # only for what is broken

    rows = picture(group.roots, max_rows=MAX_ROWS, marked=steps, mark=MARK)
    return Finding(group.label, what, picture=rows, places=_places(steps))


def _places(steps: Sequence[Step]) -> list[str]:
    """`line 8 of a.jsonl`, `lines 1, 4, 9 and 1 more of b.jsonl`."""
    lines: dict[str, list[int]] = {}
    for step in steps:
        if isinstance(step.span, Recorded):
            lines.setdefault(step.span.file, []).append(step.span.line)
    return [f"{_lines(sorted(set(found)))} of {clean(file)}" for file, found in lines.items()]


def _lines(numbers: list[int]) -> str:
    more = f" and {len(numbers) - MAX_PLACES} more" if len(numbers) > MAX_PLACES else ""
    return f"line{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:MAX_PLACES]))}{more}"


class TreeJudge:
    """Compares the tree of every group."""

    matched = False

    def __init__(self, tree: TreeRule) -> None:
        self.outcome = Outcome(id=tree.id, asks="tree", level=tree.level, why=tree.why, origin=tree.origin)
        self._tree = tree.shape

    def judge(self, group: Group) -> None:
        from llmtrace_otel.check.trees.expected import difference  # only where a tree is asked for

        try:
            differs = difference(self._tree, group.roots)
        except NotEvaluableError as doubt:
            self.outcome.doubt(str(doubt))
            return
        if differs is None:
            self.outcome.hold()
        else:
            first, *rows = differs.splitlines()
            self.outcome.fail(group.order, lambda: Finding(group.label, first.rstrip(":"), picture=rows))

    def finish(self, report: Report) -> None:
        """A tree is there or not: nothing is left to say."""


class BaselineJudge:
    """Compares what all groups used with what was used before: both sides by the prices of today."""

    matched = False

    def __init__(self, baseline: Baseline, old: Profile) -> None:
        told = f"no more than {baseline.tolerance:.0%} above {clean(baseline.file)}"
        self.outcome = Outcome(id="baseline", asks=told, level=baseline.level, origin=baseline.origin)
        self._tolerance = baseline.tolerance
        self._old = old
        self._new = Profiler()

    def see(self, span: Recorded) -> None:
        """Counts a span."""
        self._new.add(span)

    def judge(self, group: Group) -> None:
        """Groups are not compared: a recording has other ones each time."""

    def finish(self, report: Report) -> None:
        if not report.calls:
            self.outcome.doubt(NO_CALLS)
            return
        changes = compare(self._old, self._new.profile, self._tolerance)
        for number, change in enumerate(changes):
            if change.worse:
                finding = Finding("all", change.text)
                self.outcome.fail((number, change.name), lambda finding=finding: finding)  # type: ignore[misc]
            elif not change.known:
                self.outcome.doubt(change.text)
        if not self.outcome.failed:
            self.outcome.hold()
