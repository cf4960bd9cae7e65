"""What an expected tree asks of a step beside its name: `{args.q ~ cats, tokens.input < 2k, !error}`.

    args.PATH                           a tool's argument; `args.filter.0.lang` goes into objects and lists
    model, error                        the model that was asked, the error's type
    tokens.input, .output, .total, …    of the calls in the step; `20k` is 20,000
    cost, duration                      USD and seconds of the step; `$0.05`, `200ms`
    any other name                      the attribute of that name

    =  !=           the same text or number; what is absent is unequal to everything
    ~               contains this text, upper or lower case
    *=              matches this glob
    <  <=  >  >=    numbers

`error` alone holds for a step that failed, `!error` for one that did not. A value with a comma, a brace or a quote
stands in double quotes, as JSON has it.
"""

from __future__ import annotations

import json
import operator
import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llmtrace_otel.check.amounts import Unknown
from llmtrace_otel.check.arguments import brief, canonical
from llmtrace_otel.check.budget import limit
from llmtrace_otel.check.errors import NotEvaluableError, RuleError, is_answer
from llmtrace_otel.read.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmtrace_otel.check.steps import Step

__tracebackhide__ = is_answer

EMPTY: Final = '""'
ABSENT: Final = object()
UNITS: Final = {"cost": "cost", "duration": "duration"} | {
    f"tokens.{count}": "tokens" for count in ("input", "output", "total", "cache_read", "cache_write", "reasoning")
}
"""What has a unit, and the limit (`check/budget.py`) that is written alike."""
KNOWN: Final = ("args", "model", "error", *UNITS)
COMPARED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPERATORS: Final = ("~", "=", "!=", *COMPARED, "*=")

_CONDITION = re.compile(
    r"\s*(?P<no>!?)(?P<path>[^\s,!=<>~*{}\"]+)\s*"
    r"(?:(?P<operator>!=|<=|>=|\*=|=|<|>|~)\s*(?P<value>\"(?:[^\"\\]|\\.)*\"\s*|[^,\"]*))?(?P<end>,|$)"
)


class Condition(NamedTuple):
    """`args.q ~ cats`. Without an operator it asks whether there is a value, with `!` whether there is none."""

    path: str
    operator: str
    value: str = ""
    number: float | None = None

    def failure(self, step: Step) -> str | None:
        """How the step does not meet it; None if it does. Raises NotEvaluableError if that was not recorded."""
        held = _held(step, self.path)
        if isinstance(held, Unknown):
            raise NotEvaluableError(held.why)
        if self._holds(held):
            return None
        told = "absent" if held is ABSENT else brief(held)
        return f"{self.path} is {told}, expected {self._asked}"

    @property
    def _asked(self) -> str:
        words = {"": "one", "!": "none"}
        return words.get(self.operator) or f"{self.operator} {clean(self.value) or EMPTY}"

    def _holds(self, held: Any) -> bool:
        if held is ABSENT:
            return self.operator in ("!", "!=")
        if compared := COMPARED.get(self.operator):
            return _is_number(held) and compared(held, self.number)
        text = held if isinstance(held, str) else canonical(held)
        match self.operator:
            case "~":
                return self.value.casefold() in text.casefold()
            case "*=":
                return fnmatchcase(text, self.value)
            case "=" | "!=":
                number = self.number is not None and _is_number(held)
                return (held == self.number if number else text == self.value) == (self.operator == "=")
        return self.operator == ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _held(step: Step, path: str) -> Any:
    first, _, rest = path.partition(".")
    if first == "args":
        return _inside(step.args, rest.split(".") if rest else [])
    if path in KNOWN:
        value = attrgetter(path)(step)
        return ABSENT if value is None else value
    return step.attributes.get(path, ABSENT)


def _inside(value: Any, path: list[str]) -> Any:
    """The value at the end of a path through objects and lists."""
    for key in path:
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return ABSENT
    return value


def parse_conditions(text: str) -> list[Condition]:
    """The conditions that stand between braces. Raises RuleError."""
    return list(_conditions(text))


def _conditions(text: str) -> Iterator[Condition]:
    place, end = 0, ","
    while end == ",":
        match = _CONDITION.match(text, place)
        if match is None:
            raise RuleError(f"cannot read the condition {text[place:].strip()!r}; write it as args.q ~ cats")
        yield _condition(match)
        place, end = match.end(), match["end"]


def _condition(match: re.Match[str]) -> Condition:
    path, asked = match["path"], match["operator"]
    _check_path(path)
    if asked is None:
        if path != "error":
            raise RuleError(f"{path!r} alone asks nothing; write an operator and a value: {' '.join(OPERATORS)}")
        return Condition(path, match["no"])
    if match["no"]:
        raise RuleError(f"`!` stands before `error` alone; write {path} != {match['value'].strip() or 'value'}")
    value = _value(path, match["value"].strip())
    return Condition(path, asked, value, _number(path, asked, value))


def _check_path(path: str) -> None:
    """Names near to a known one are mistakes: asked of an attribute that is never there, `!=` would always hold."""
    known = path in KNOWN or path.startswith("args.")
    near = get_close_matches(path, KNOWN, 1, 0.8)
    if not known and near:
        raise RuleError(f"there is no {path!r} to ask for; did you mean {near[0]}?")
    if path == "tokens" or (path.startswith("tokens.") and not known):
        raise RuleError(
            f"there is no {path!r} to ask for; there are {', '.join(n for n in UNITS if n[:6] == 'tokens')}"
        )


def _value(path: str, text: str) -> str:
    if not text:
        raise RuleError(f'{path!r} is compared with nothing; write a value, or "" for empty text')
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        raise RuleError(f"{text} is no text in double quotes as JSON has it") from None


def _number(path: str, asked: str, value: str) -> float | None:
    """The value as a number, in the unit of what it is compared with."""
    if path in UNITS and asked not in ("~", "*="):
        return limit(UNITS[path], value)
    try:
        return float(value)
    except ValueError:
        if asked in COMPARED:
            raise RuleError(f"`{asked}` compares with a number, not {value!r}") from None
        return None
