"""What a rule asks for, in words: `llmtrace check --explain ID`."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from llmtrace_otel.check.budget import quantity
from llmtrace_otel.check.errors import RuleError
from llmtrace_otel.check.rules.judges import written
from llmtrace_otel.check.rules.keys import CHECKS, TABLES
from llmtrace_otel.check.rules.model import Limit, Rule, Rules, TreeRule

if TYPE_CHECKING:
    from collections.abc import Iterator


def explain(rules: Rules, name: str) -> str:
    """Lines about the rule of that name. Raises RuleError if there is none."""
    asked: list[Limit | Rule | TreeRule] = [*rules.limits, *rules.rules, *rules.trees]
    known = {rule.id: rule for rule in asked}
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
        raise RuleError(f"there is no rule {name!r}; {hint}")
    rule = known[name]
    lines = [f"{rule.id} ({rule.origin})", *_about(rule), f"  judged for each {rules.defaults.group}"]
    return "".join(f"{line}\n" for line in lines)


def _about(rule: Limit | Rule | TreeRule) -> Iterator[str]:
    if isinstance(rule, Limit):
        yield f"  at most {quantity(rule.name, rule.most)}: {TABLES['budget'][rule.name].doc}"
        return
    if isinstance(rule, Rule):
        yield from _asked(rule)
    else:
        yield f"  tree: {TABLES['tree']['shape'].doc}"
    yield f"  level {rule.level}" + (f" – {rule.why}" if rule.why else "")


def _asked(rule: Rule) -> Iterator[str]:
    if rule.match:
        yield f"  of the steps that match {rule.match}"
    for name, value in rule.where.items():
        yield f"  with {name} = {value}"
    for name, wanted in rule.checks.items():
        yield f"  {name} {written(wanted)}: {CHECKS[name].doc}"
