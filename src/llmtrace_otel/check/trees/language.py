"""The language of expected trees: lines whose indentation is the nesting of the steps.

    agent planner                     # a kind of step, and a glob of its name
      llm gpt-5-mini x1..3            # so many in a row: xN, xN..M, xN.. or x*; one if not said
      tool search {args.q ~ cats}     # conditions: `conditions.py`
      ||                              # the steps below it, in any order
        tool weather
        tool news x2
      ...                             # any steps, any number
      llm                             # any name

A name with spaces needs no quotes; one that ends like a count, or has `"`, `{` or ` #` in it, stands in double quotes,
as JSON has them. Steps of the kinds span, http and fetch are plumbing: an expectation that does not name such a kind
anywhere sees the steps below them in their place. All other steps have to be expected, or stand where `...` is.
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import Final, NamedTuple, get_args

from msgspec import Struct, field

from llmtrace_otel.check.errors import RuleError, is_answer
from llmtrace_otel.check.trees.conditions import Condition, parse_conditions
from llmtrace_otel.read.span import OPERATIONS, Kind
from llmtrace_otel.read.text import clean

__tracebackhide__ = is_answer

KINDS: Final = get_args(Kind)
PLUMBING: Final = frozenset({"span", "http", "fetch"})
REST: Final = "..."
ANY_ORDER: Final = "||"
MAX_COUNT: Final = 20  # characters
MAX_DEPTH: Final = 50  # levels; matching goes down level by level, and so does Python's stack

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|(?<!\S)(?P<comment>#.*)|.')
_COUNT = re.compile(r"x(?:(\*)|(\d+)(?:(\.\.)(\d*))?)")
_LIKE_COUNT = re.compile(r"x[\d*]\S*|x\.\.\S*")
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")\s*(\S*)')
_OPENING = re.compile(r'\{|"(?:[^"\\]|\\.)*"')


class Rest(Struct, frozen=True, eq=False):
    """Any steps."""


class Line(Struct, frozen=True, eq=False):
    """A step that is expected, or several in a row. A `most` of None is no limit; `count` is as it was written."""

    text: str
    kind: str
    name: str = "*"
    count: str = ""
    least: int = 1
    most: int | None = 1
    conditions: list[Condition] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    @property
    def head(self) -> str:
        """Kind and name."""
        return self.kind if self.name == "*" else f"{self.kind} {self.name}"


class Block(Struct, frozen=True, eq=False):
    """Steps in any order, as many as their lines say. `number` is its own line's."""

    number: int
    items: list[Item] = field(default_factory=list)

    @property
    def lines(self) -> list[Line]:
        return [item for item in self.items if isinstance(item, Line)]

    @property
    def rest(self) -> bool:
        """Whether other steps may stand among them."""
        return any(isinstance(item, Rest) for item in self.items)


Item = Line | Block | Rest


class ExpectedTree(Struct, frozen=True, eq=False):
    """What the trees of a trace have to look like."""

    items: list[Item]
    kinds: frozenset[str]

    @property
    def plumbing(self) -> frozenset[str]:
        """The kinds of steps that are looked through."""
        return PLUMBING - self.kinds


class _Level(NamedTuple):
    """Lines at one indentation, and what they are below."""

    indent: int
    items: list[Item]
    above: Item | None = None


def parse_tree(text: str) -> ExpectedTree:
    """Reads an expected tree. Raises RuleError that names the line, counted from 1, and what is wrong with it."""
    top: list[Item] = []
    levels: list[_Level] = []
    kinds: set[str] = set()
    blocks: list[Block] = []
    for number, line in enumerate(text.split("\n"), 1):
        content = _without_comment(line)
        if not content.strip():
            continue
        try:
            level = _level(content, levels, top)
            item = _item(content.strip(), number)
            if isinstance(item, Block) and isinstance(level.above, Block):
                raise RuleError("`||` stands below `||`; write their lines below one")
        except RuleError as error:
            raise RuleError(f"line {number}: {error}: {clean(line.strip(), 80)!r}") from None
        level.items.append(item)
        blocks += [item] if isinstance(item, Block) else []
        kinds |= {item.kind} if isinstance(item, Line) else set()
    _check_whole(top, blocks)
    return ExpectedTree(top, frozenset(kinds))


def _check_whole(top: list[Item], blocks: list[Block]) -> None:
    for block in blocks:
        if not block.lines:
            raise RuleError(f"line {block.number}: `||` without a step below it says nothing")
    if not top:
        raise RuleError("an expected tree without a line; write a step such as `llm gpt-5*`")
    if all(isinstance(item, Rest) for item in top):
        raise RuleError("`...` alone accepts every tree; write a step that has to be there")


def _without_comment(line: str) -> str:
    for piece in _PIECE.finditer(line):
        if piece["comment"]:
            return line[: piece.start()]
    return line


def _level(content: str, levels: list[_Level], top: list[Item]) -> _Level:
    """The level that a line belongs to; levels that it ends are left."""
    blank = content[: len(content) - len(content.lstrip())]
    if blank.strip(" "):
        raise RuleError("indent with spaces alone")
    indent = len(blank)
    if not levels:
        levels.append(_Level(indent, top))
    elif indent > levels[-1].indent:
        levels.append(_Level(indent, *_below(levels[-1].items[-1])))
    while indent < levels[-1].indent and len(levels) > 1:
        levels.pop()
    if indent != levels[-1].indent:
        raise RuleError(f"indented by {indent}, as no line above; the nearest is indented by {levels[-1].indent}")
    if len(levels) > MAX_DEPTH:
        raise RuleError(f"more than {MAX_DEPTH} levels deep")
    return levels[-1]


def _below(item: Item) -> tuple[list[Item], Item]:
    if isinstance(item, Rest):
        raise RuleError("indented below `...`, which already stands for whatever is below")
    return item.items, item


def _item(content: str, number: int) -> Item:
    if content == REST:
        return Rest()
    if content == ANY_ORDER:
        return Block(number)
    for word in (REST, ANY_ORDER):
        if content.startswith(word):
            raise RuleError(f"`{word}` stands alone on its line")
    return _line(content)


def _line(content: str) -> Line:
    head, conditions = _split(content)
    kind, _, rest = head.partition(" ")
    _check_kind(kind)
    name, count = _name_and_count(rest.strip())
    least, most = _range(count)
    return Line(
        content,
        kind,
        "*" if name is None else name,
        count,
        least,
        most,
        [] if conditions is None else parse_conditions(conditions),
    )


def _split(content: str) -> tuple[str, str | None]:
    """What stands before braces, and between them."""
    start = next((match.start() for match in _OPENING.finditer(content) if match[0] == "{"), None)
    if start is None:
        return content, None
    if not content.endswith("}"):
        raise RuleError("the brace `{` is not closed at the end of the line")
    return content[:start].rstrip(), content[start + 1 : -1]


def _check_kind(kind: str) -> None:
    if kind in KINDS:
        return
    if kind in OPERATIONS and OPERATIONS[kind] == "span":
        raise RuleError(f"{kind!r} is no kind of step; write `span {kind}*`")
    near = get_close_matches(kind, KINDS, 1)
    raise RuleError(f"{kind!r} is no kind of step; " + (f"did you mean {near[0]}?" if near else _kinds()))


def _kinds() -> str:
    return f"kinds are {', '.join(KINDS)}"


def _name_and_count(text: str) -> tuple[str | None, str]:
    """A glob, None if there is none, and the count as written."""
    if text.startswith('"'):
        return _quoted(text)
    before, _, last = text.rpartition(" ")
    name, count = (before.rstrip(), last) if _LIKE_COUNT.fullmatch(last) else (text, "")
    if '"' in name:
        raise RuleError("a name with a double quote stands in double quotes, as JSON has it")
    return name or None, count


def _quoted(text: str) -> tuple[str, str]:
    match = _QUOTED.fullmatch(text)
    if match is None or (match[2] and not _LIKE_COUNT.fullmatch(match[2])):
        raise RuleError("after a name in double quotes only a count such as x2 may stand")
    try:
        return str(json.loads(match[1])), match[2]
    except ValueError:
        raise RuleError(f"{match[1]} is no text in double quotes as JSON has it") from None


def _range(count: str) -> tuple[int, int | None]:
    """The least and the most of a count, no limit being None."""
    if not count:
        return 1, 1
    match = _COUNT.fullmatch(count)
    if match is None or len(count) > MAX_COUNT:
        raise RuleError(f"{count!r} is no count; write xN, xN..M, xN.. or x*")
    if match[1]:
        return 0, None
    least = int(match[2])
    most = None if match[3] and not match[4] else int(match[4] or least)
    if most is not None and most < least:
        raise RuleError(f"{count!r} asks for at least {least} and at most {most}")
    if most == 0:
        raise RuleError("x0 says nothing: a step that is not written is not expected anyway")
    return least, most
