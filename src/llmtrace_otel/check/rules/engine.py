"""Rules, and files of spans → a report. Every group is judged alone and forgotten, so that memory does not grow.

Limits need sums only; rules and trees need the steps of a group in their places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmtrace_otel.check.compare import profile
from llmtrace_otel.check.rules.groups import groups
from llmtrace_otel.check.rules.judges import NO_CALLS, BaselineJudge, Judge, LimitJudge, RuleJudge, TreeJudge
from llmtrace_otel.check.rules.partition import HELD
from llmtrace_otel.check.rules.recorded import COMPARED, CONTENT, MEASURED, PRICED, SHOWN, Recording
from llmtrace_otel.check.rules.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmtrace_otel.check.rules.model import Baseline, Rules
    from llmtrace_otel.read.lines import Problem

    OnProblem = Callable[[str, Problem], None]

CONTENT_WEIGHT: Final = 4
"""Spans with what was said in them are so many times as large."""


def check(rules: Rules, files: Sequence[str], on_problem: OnProblem, *, held: int = HELD) -> Report:
    """Judges the spans of files.

    Args:
        rules: What is asked.
        files: OTLP-JSON lines, plain or gzip; `-` is standard input.
        on_problem: Is told of each line that cannot be read, and of which file.
        held: Spans that may be in memory at a time.

    Raises OSError if a file cannot be opened.
    """
    recording = _recording(rules, files, on_problem)
    baseline = _baseline(rules.baseline, on_problem) if rules.baseline else None
    judges = [*_judges(rules), *([baseline] if baseline else [])]
    by = rules.defaults.group
    report = Report(outcomes=[judge.outcome for judge in judges], group=by.removeprefix("attr:"))
    keep, see = bool(rules.rules or rules.trees), baseline.see if baseline else None
    held = held // CONTENT_WEIGHT if _asks_for_content(rules) else held
    for group in groups(recording, by, keep=keep, held=held, see=see):
        report.groups += 1
        report.spans += group.measure.spans
        report.calls += group.measure.calls
        for judge in judges:
            judge.judge(group)
    if rules.defaults.on_no_spans == "error" or report.calls:
        _finish(judges, report)
    report.fail_on = rules.defaults.fail_on
    report.price_versions = sorted(recording.price_versions)
    return report


def _finish(judges: list[Judge], report: Report) -> None:
    """What can be said at the end only: that nothing was there to be judged is no pass."""
    nothing = not report.calls and not any(judge.matched for judge in judges)
    for judge in judges:
        judge.finish(report)
        if nothing and judge.outcome.status == "pass":
            judge.outcome.doubt(NO_CALLS)


def _judges(rules: Rules) -> list[Judge]:
    unknown_cost = rules.defaults.unknown_cost
    judges: list[Judge] = [LimitJudge(limit, unknown_cost) for limit in rules.limits]
    judges += [RuleJudge(rule, unknown_cost) for rule in rules.rules]
    return judges + [TreeJudge(tree) for tree in rules.trees]


def _baseline(baseline: Baseline, on_problem: OnProblem) -> BaselineJudge:
    keep = {*MEASURED, *PRICED}
    return BaselineJudge(baseline, profile(Recording([baseline.file], on_problem, keep)))


def _recording(rules: Rules, files: Sequence[str], on_problem: OnProblem) -> Recording:
    """The spans, with as much of each as the rules ask for."""
    group = rules.defaults.group
    by = [group.removeprefix("attr:")] if group.startswith("attr:") else []
    keep = None if rules.trees else _kept(rules).union(by)
    drop = () if _asks_for_content(rules) else CONTENT
    return Recording(files, on_problem, keep, drop=drop, of_resource=by, prices=rules.prices)


def _kept(rules: Rules) -> frozenset[str]:
    """The attributes that budgets, rules and a baseline ask for."""
    keep = MEASURED | PRICED
    if rules.rules:
        keep = SHOWN.union(*(rule.where for rule in rules.rules))
    return keep | COMPARED if _asks_for_content(rules) else keep


def _asks_for_content(rules: Rules) -> bool:
    """Whether a rule compares what was said: a call of a model is a loop if it is given the same again."""
    return any("loops" in rule.checks for rule in rules.rules)
