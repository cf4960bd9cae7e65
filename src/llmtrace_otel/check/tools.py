"""Which tools were called, against those that were expected: `assert_tools("search", "answer", mode="in_order")`.

Modes:
    exact      These tools, in this order, and no others.
    in_order   These tools in this order; others may be called before, between and after.
    any_order  These tools, each as often as it is named, in any order, and no others.
    subset     No tool but these; each may be called any number of times, or not at all.

Expected names are globs, and case counts. A call that failed is an attempt and does not count, unless `include_failed`
says so. A program that called no tool at all never is as expected, unless none was expected.
"""

from __future__ import annotations

from collections import Counter, deque
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from llmtrace_otel.check.assignment import Assignment
from llmtrace_otel.check.errors import RuleError, is_answer
from llmtrace_otel.read.text import clean, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmtrace_otel.check.steps import Steps

__tracebackhide__ = is_answer

Mode = Literal["exact", "in_order", "any_order", "subset"]

MAX_ROWS: Final = 14
BEFORE: Final = 3  # rows shown before the first that differs
MAX_CELLS: Final = 1_000_000  # of expected × called, above which sequences are not aligned
MAX_NAME: Final = 40

Pair = tuple[str | None, str | None]
"""What was expected and what was called, one of them None where the other has nothing to stand beside."""


class _Rule(NamedTuple):
    pairs: Callable[[Sequence[str], Sequence[str]], list[Pair]]
    missing: bool = True  # whether a tool that was expected has to be called
    unexpected: bool = True  # whether a tool that was not expected may not be called

    def wrong(self, pair: Pair) -> str:
        """`-` for a tool that is missing, `+` for one that is not expected, else a space."""
        if pair[1] is None:
            return "-" if self.missing else " "
        return "+" if pair[0] is None and self.unexpected else " "


def difference(expected: Sequence[str], tools: Steps, mode: Mode, *, include_failed: bool = False) -> str | None:
    """How the tools that were called differ from those expected, as lines of text; None if they do not.

    Raises RuleError for an unknown mode and for names that say nothing.
    """
    rule = _rule(expected, mode)
    called = [tool.name for tool in tools if include_failed or not tool.error]
    attempts = "" if len(called) == len(tools) else f" ({plural(len(tools) - len(called), 'failed call')} not counted)"
    if expected and not called:
        return f"no tool was called{attempts}, expected {mode}: {_listed(expected)}"
    pairs = rule.pairs(expected, called)
    marked = [(rule.wrong(pair), pair) for pair in pairs]
    if all(mark == " " for mark, _ in marked):
        return None
    return "\n".join([f"tools differ from those expected ({mode}){attempts}", *_told(marked), *_table(marked)])


def _rule(expected: Sequence[str], mode: str) -> _Rule:
    rule = _RULES.get(mode)
    if rule is None:
        near = get_close_matches(str(mode), _RULES, 1)
        hint = f"did you mean {near[0]}?" if near else f"modes are {', '.join(get_args(Mode))}"
        raise RuleError(f"there is no mode {mode!r}; {hint}")
    if wrong := [name for name in expected if not isinstance(name, str)]:
        raise RuleError(f"a tool's name is text, not {wrong[0]!r}; write assert_tools('search', 'answer')")
    if mode == "in_order" and not expected:
        raise RuleError("in_order without a tool accepts everything; name one, or use exact to say that none is called")
    return rule


def _in_step(expected: Sequence[str], called: Sequence[str]) -> list[Pair]:
    """Both sequences side by side so that as many as possible agree; equal beginnings and ends are set aside first."""
    shorter = min(len(expected), len(called))
    head = next((i for i in range(shorter) if not fnmatchcase(called[i], expected[i])), shorter)
    most = shorter - head
    tail = next((i for i in range(most) if not fnmatchcase(called[-1 - i], expected[-1 - i])), most)
    inner = _longest(expected[head : len(expected) - tail], called[head : len(called) - tail])
    ends = zip(expected[len(expected) - tail :], called[len(called) - tail :], strict=True)
    return [*zip(expected[:head], called[:head], strict=True), *inner, *ends]


def _longest(expected: Sequence[str], called: Sequence[str]) -> list[Pair]:
    """The longest common subsequence, with what is not in it around."""
    if not expected or not called or len(expected) * len(called) > MAX_CELLS:
        return [*((name, None) for name in expected), *((None, name) for name in called)]
    lengths = _lengths(expected, called)
    pairs: list[Pair] = []
    i = j = 0
    while i < len(expected) and j < len(called):
        if fnmatchcase(called[j], expected[i]):
            pairs.append((expected[i], called[j]))
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            pairs.append((expected[i], None))
            i += 1
        else:
            pairs.append((None, called[j]))
            j += 1
    return [*pairs, *((name, None) for name in expected[i:]), *((None, name) for name in called[j:])]


def _lengths(expected: Sequence[str], called: Sequence[str]) -> list[list[int]]:
    """How much of the rest agrees, from each place in both."""
    rows = [[0] * (len(called) + 1)]
    for pattern in reversed(expected):
        below, row = rows[-1], [0] * (len(called) + 1)
        for j in range(len(called) - 1, -1, -1):
            row[j] = below[j + 1] + 1 if fnmatchcase(called[j], pattern) else max(below[j], row[j + 1])
        rows.append(row)
    return rows[::-1]


def _one_after_another(expected: Sequence[str], called: Sequence[str]) -> list[Pair]:
    """Each expected tool beside the next call of it; one that is not called any more stands alone."""
    pairs: list[Pair] = []
    place = 0
    for pattern in expected:
        found = next((i for i in range(place, len(called)) if fnmatchcase(called[i], pattern)), None)
        if found is None:
            pairs.append((pattern, None))
            continue
        pairs += [(None, name) for name in called[place:found]]
        pairs.append((pattern, called[found]))
        place = found + 1
    return [*pairs, *((None, name) for name in called[place:])]


def _each_once(expected: Sequence[str], called: Sequence[str]) -> list[Pair]:
    """Each call beside an expected tool of its own, as many as possible."""
    there = Counter(called)
    seats: Assignment[str, str] = Assignment(lambda glob: [name for name in there if fnmatchcase(name, glob)])
    for name, count in there.items():
        seats.open(name, count)
    missing = {glob: count - seats.seat(glob, count) for glob, count in Counter(expected).items()}
    beside = {name: deque(seats.held[name].elements()) for name in there}
    pairs: list[Pair] = [(beside[name].popleft() if beside[name] else None, name) for name in called]
    return [*pairs, *((glob, None) for glob, count in missing.items() for _ in range(count))]


def _among(expected: Sequence[str], called: Sequence[str]) -> list[Pair]:
    """Each call beside the first expected tool that it is."""
    first = {name: next((p for p in expected if fnmatchcase(name, p)), None) for name in dict.fromkeys(called)}
    return [(first[name], name) for name in called]


_RULES: Final[dict[str, _Rule]] = {
    "exact": _Rule(_in_step),
    "in_order": _Rule(_one_after_another, unexpected=False),
    "any_order": _Rule(_each_once),
    "subset": _Rule(_among, missing=False),
}


def _told(marked: list[tuple[str, Pair]]) -> list[str]:
    """Which tools are missing and which were not expected."""
    missing = Counter(pair[0] for mark, pair in marked if mark == "-")
    unexpected = Counter(pair[1] for mark, pair in marked if mark == "+")
    if missing and missing == unexpected:
        return ["  the same tools, in another order"]
    told = (("missing", missing), ("unexpected", unexpected))
    return [f"  {word}: {_listed(names.elements())}" for word, names in told if names]


def _listed(names: Iterable[str | None]) -> str:
    counted = [f"{_short(name)} ×{count}" if count > 1 else _short(name) for name, count in Counter(names).items()]
    return ", ".join(counted[:8]) + (f" and {len(counted) - 8} more" if len(counted) > 8 else "")


def _table(marked: list[tuple[str, Pair]]) -> list[str]:
    """Both sequences side by side, from shortly before the first difference."""
    first = next(place for place, (mark, _) in enumerate(marked) if mark != " ")
    start = max(first - BEFORE, 0)
    shown = [(mark, _short(left), _short(right)) for mark, (left, right) in marked[start : start + MAX_ROWS]]
    width = max(len("expected"), *(len(left) for _, left, _ in shown))
    rows = [(" ", "expected", "called"), *shown]
    lines = [f"  {mark} {left:<{width}}  {right}".rstrip() for mark, left, right in rows]
    above = [f"    … {start} before"] if start else []
    more = len(marked) - start - len(shown)
    return [lines[0], *above, *lines[1:], *([f"    … {more} more"] if more else [])]


def _short(name: str | None) -> str:
    return clean(name or "", MAX_NAME)
