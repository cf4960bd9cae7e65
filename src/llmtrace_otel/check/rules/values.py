"""The values that a rule file holds: ranges, patterns, conditions. Each reader raises RuleError for another."""

from __future__ import annotations

import math
import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from llmtrace_otel.check.budget import limit
from llmtrace_otel.check.errors import RuleError
from llmtrace_otel.read.span import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS: Final[tuple[str, ...]] = (*get_args(Kind), "*")
SHORT_NAMES: Final = ("agent", "error", "model", "provider", "session")
"""What a condition may name beside attributes."""

GREATEST: Final = 10**15
"""More is a slip: no trace has so many tokens, and no one so many dollars."""

_RANGE = re.compile(r"\s*(>=|<=|>|<|=)\s*(\S+)\s*")
_FROM_TO = re.compile(r"\s*(\S+?)\s*\.\.\s*(\S+)\s*")


class Range(NamedTuple):
    """Numbers that are allowed: from `low` to `high`, without the ends where `open_low` and `open_high` say so."""

    text: str
    low: float = 0
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __str__(self) -> str:
        return self.text

    def holds(self, number: float) -> bool:
        return self._not_below(number) and not self.below(number)

    def below(self, number: float) -> bool:
        """Whether the whole range is below a number, which is then too much whatever comes on top."""
        return number >= self.high if self.open_high else number > self.high

    def _not_below(self, number: float) -> bool:
        return number > self.low if self.open_low else number >= self.low


class Pattern(NamedTuple):
    """Which steps: `tool delete_*`, by kind and a glob of the name."""

    kind: str
    glob: str

    def __str__(self) -> str:
        return self.kind if self.glob == "*" == self.kind else f"{self.kind} {self.glob}"

    def selects(self, kind: str, name: str) -> bool:
        return self.kind in ("*", kind) and _fits(name, self.glob)


_fits = lru_cache(maxsize=4096)(fnmatchcase)


def range_of(unit: str, *examples: str, exact: bool = False) -> Callable[[Any], Range]:
    """A reader of ranges such as `<=20k`, `1..3`; of a mere number too where an exact one makes sense."""
    plain = "a number, or " if exact else ""
    told = " or ".join(f'"{example}"' for example in examples)

    def read(value: Any) -> Range:
        try:
            return _range(value, unit, exact=exact)
        except RuleError:
            raise RuleError(f"write {plain}a range such as {told}") from None

    return read


def _range(value: Any, unit: str, *, exact: bool) -> Range:
    if isinstance(value, str):
        if match := _FROM_TO.fullmatch(value):
            low, high = number(unit, match[1]), number(unit, match[2])
            if low <= high:
                return Range(value.strip(), low, high)
        elif match := _RANGE.fullmatch(value):
            return _compared(value.strip(), match[1], number(unit, match[2]))
    if exact:
        only = number(unit, value)
        return Range(str(value).strip(), only, only)
    raise RuleError("no range")


def _compared(text: str, sign: str, end: float) -> Range:
    if sign in (">", ">="):
        return Range(text, low=end, open_low=sign == ">")
    return Range(text, low=end if sign == "=" else 0, high=end, open_high=sign == "<")


def number(unit: str, value: Any) -> float:
    """A number in a unit of budgets, or `ratio`: a share of 1. Raises RuleError."""
    if unit == "ratio":
        return _share(value)
    try:
        found = limit(unit, value)
    except OverflowError:
        found = math.inf
    if found > GREATEST:
        raise RuleError(f"{unit} = {value!r}: that is more than there can be")
    return found


def _share(value: Any) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)(%?)", str(value))
    share = float(match[1]) / (100 if match[2] else 1) if match and not isinstance(value, bool) else math.inf
    if share > 1:
        raise RuleError("write a share from 0 to 1")
    return share


def pattern(value: Any) -> Pattern:
    """`tool delete_*`; `llm` alone is `llm *`."""
    if isinstance(value, str) and value.strip():
        kind, _, glob = value.strip().partition(" ")
        if kind in KINDS:
            return Pattern(kind, glob.strip() or "*")
    raise RuleError(f'write a kind and a glob of the name, such as "tool delete_*"; kinds are {", ".join(KINDS)}')


def globs(value: Any) -> tuple[str, ...]:
    """A list of globs."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise RuleError('write a list of globs, such as ["gpt-5*", "claude-*"]')


def conditions(value: Any) -> dict[str, Any]:
    """What must hold of a step: globs by short name, globs or values by attribute."""
    if not isinstance(value, dict) or not value:
        raise RuleError('write a table such as { agent = "planner", "gen_ai.tool.type" = "function" }')
    for name, wanted in value.items():
        if "." not in name and name not in SHORT_NAMES:
            near = get_close_matches(name, SHORT_NAMES, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise RuleError(f"{name!r} is neither {', '.join(SHORT_NAMES)} nor an attribute in quotes{hint}")
        if not isinstance(wanted, str | int | float) or (name in SHORT_NAMES and not isinstance(wanted, str)):
            raise RuleError(f"{name}: write a glob" + (", a number or a boolean" if "." in name else ""))
    return value


def text(value: Any) -> str:
    """Text that is not empty."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise RuleError("write text in quotes")


def lines(value: Any) -> str:
    """Lines of text, with their indentation."""
    if isinstance(value, str) and value.strip():
        return value
    raise RuleError('write lines of text between """')


def boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise RuleError("write true or false")


def repeats(value: Any) -> int:
    """How often is a loop."""
    if isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= GREATEST:
        return value
    raise RuleError("write how often the same step is a loop: 2 or more")


def one_of(*words: str) -> Callable[[Any], str]:
    """A reader of one of some words."""

    def read(value: Any) -> str:
        if value in words and isinstance(value, str):
            return value
        raise RuleError(f"write one of {', '.join(words)}")

    return read


def grouping(value: Any) -> str:
    """By what spans are put together: `trace`, `session`, `file`, `attr:KEY`."""
    if isinstance(value, str) and (value in ("trace", "session", "file") or (value[:5] == "attr:" and value[5:])):
        return value
    raise RuleError("write one of trace, session, file, attr:KEY")
