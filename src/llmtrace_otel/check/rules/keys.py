"""The one definition of the rule file: its tables, their keys, what each may hold and means.

The loader reads by it, the JSON Schema and `--explain` are made from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llmtrace_otel.check.compare import parse_tolerance
from llmtrace_otel.check.errors import RuleError
from llmtrace_otel.check.rules import values

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION: Final = 1

_TEXT: Final = {"type": "string", "minLength": 1}
_AMOUNT: Final = {"type": ["number", "string"]}
_RANGE: Final = {"type": "string", "pattern": r"\.\.|^\s*[<>=]"}
_EXACT: Final = {"type": ["integer", "string"]}
_GLOBS: Final = {"type": "array", "items": _TEXT}


class Key(NamedTuple):
    """A key: `read` turns its value into what the rules work with and raises RuleError for what it cannot be."""

    read: Callable[[Any], Any]
    doc: str
    schema: dict[str, Any]
    required: bool = False


def _word(doc: str, *words: str) -> Key:
    return Key(values.one_of(*words), doc, {"enum": list(words)})


def _limit(name: str, doc: str) -> Key:
    return Key(lambda value: _amount(name, value), doc, _AMOUNT)


def _amount(name: str, value: Any) -> float:
    try:
        return values.number(name, value)
    except RuleError:
        raise RuleError(f"write {_LIMITS[name]}") from None


_LIMITS: Final = {
    "cost": "US dollars such as 0.05",
    "tokens": 'a whole number such as 20_000 or "20k"',
    "calls": "a whole number such as 10",
    "tools": "a whole number such as 6",
    "duration": 'seconds, or text such as "30s" or "5m"',
}


def _tolerance(value: Any) -> float:
    try:
        return parse_tolerance(value)
    except RuleError:
        raise RuleError('write a share such as "10%" or 0.1') from None


def _tree(value: Any) -> Any:
    from llmtrace_otel.check.trees.expected import parse_tree  # only where a tree is asked for

    return parse_tree(values.lines(value))


LEVEL: Final = _word("Whether to break it fails the check or warns. Default: error.", "error", "warn")
WHY: Final = Key(values.text, "Said when it is broken.", _TEXT)

CHECKS: Final[dict[str, Key]] = {
    "count": Key(values.range_of("calls", ">=1", "1..3", exact=True), "How many steps match.", _EXACT),
    "before": Key(values.pattern, "A step that matches starts before the first of these.", _TEXT),
    "after": Key(values.pattern, "No step that matches starts before the first of these.", _TEXT),
    "cost": Key(
        values.range_of("cost", "<=0.05", "0.01..0.05"),
        "USD of the calls that match, or are below what matches.",
        _RANGE,
    ),
    "tokens": Key(values.range_of("tokens", "<=20k", "5k..20k"), "Input and output tokens of those calls.", _RANGE),
    "cached_ratio": Key(
        values.range_of("ratio", ">=0.5", ">=50%"),
        "Share of their input tokens that came from the provider's cache.",
        _RANGE,
    ),
    "duration_max": Key(
        values.range_of("duration", "<30s", "<=500ms"), "How long the longest of the steps takes.", _RANGE
    ),
    "duration_p95": Key(
        values.range_of("duration", "<2s", "<=500ms"),
        "How long 95% of the steps take at most; 5 steps or more.",
        _RANGE,
    ),
    "errors": Key(
        values.range_of("calls", "<=1", "0..3", exact=True), "How many steps fail, each failure once.", _EXACT
    ),
    "models": Key(values.globs, "The models that may be called.", _GLOBS),
    "tools": Key(values.globs, "The tools that may be called.", _GLOBS),
    "loops": Key(
        values.repeats,
        "How often the same step, given the same, is a loop: there must be none.",
        {"type": "integer", "minimum": 2},
    ),
}
"""What a rule may ask for. Those of `ALONE` need no `match`."""

ALONE: Final = ("errors", "models", "tools", "loops")

TABLES: Final[dict[str, dict[str, Key]]] = {
    "defaults": {
        "group": Key(
            values.grouping,
            "What budgets and rules are about: each trace, session, file, or value of an attribute. Default: trace.",
            {"type": "string", "pattern": "^(trace|session|file|attr:.+)$"},
        ),
        "on_no_spans": _word("Whether a file without LLM calls passes. Default: error.", "error", "pass"),
        "unknown_cost": _word("What a limit of costs makes of a call without a price.", "error", "warn", "ignore"),
        "fail_on": _word("Whether warnings fail the check. Default: error, they do not.", "error", "warn"),
    },
    "budget": {
        "cost": _limit("cost", "USD."),
        "tokens": _limit("tokens", "Input and output tokens."),
        "calls": _limit("calls", "LLM calls and embeddings."),
        "tools": _limit("tools", "Calls of tools."),
        "duration": _limit("duration", "Seconds from the first start to the last end."),
    },
    "rule": {
        "id": Key(values.text, "Its name, used once.", _TEXT, required=True),
        "match": Key(
            values.pattern, f"Which steps: kind and glob of the name. Kinds: {', '.join(values.KINDS)}.", _TEXT
        ),
        "where": Key(
            values.conditions,
            f"What else holds of these steps: {', '.join(values.SHORT_NAMES)}, or attributes.",
            {"type": "object", "minProperties": 1},
        ),
        **CHECKS,
        "level": LEVEL,
        "why": WHY,
        "allow_empty": Key(
            values.boolean, "Whether it passes if nothing matches in the whole file.", {"type": "boolean"}
        ),
    },
    "tree": {
        "name": Key(values.text, "Its name, used once.", _TEXT, required=True),
        "shape": Key(_tree, "The steps of every group, indented; `...` for any others.", _TEXT, required=True),
        "level": LEVEL,
        "why": WHY,
    },
    "baseline": {
        "file": Key(values.text, "Recorded spans, or profiles, to compare with.", _TEXT, required=True),
        "tolerance": Key(_tolerance, "How much more is allowed. Default: 10%.", _AMOUNT),
        "level": _word("Whether more than that fails the check or warns. Default: warn.", "error", "warn"),
    },
}

LISTS: Final = ("rule", "tree")
"""Tables that there may be any number of: `[[rule]]`."""
