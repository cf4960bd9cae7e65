"""Where in a TOML file a key stands: for messages only, so that what it cannot tell costs a line number and no more.

The standard library's parser gives values without positions. This scanner looks for headers and keys, and knows of
strings over several lines.
"""

from __future__ import annotations

import re
from collections import Counter

Path = tuple[str | int, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_ASSIGNED = re.compile(rf"\s*({_DOTTED})\s*=\s*(.*)")
_DELIMITERS = ('"""', "'''")


def positions(content: str) -> dict[Path, int]:
    """Line numbers from 1, by path: `("rule", 0, "count")`. A table's own is that of its header."""
    found: dict[Path, int] = {}
    lists: Counter[Path] = Counter()
    table: Path = ()
    inside = ""
    for number, line in enumerate(content.split("\n"), 1):
        if inside:
            inside = "" if inside in line else inside
        elif header := _HEADER.match(line):
            table = _parts(header[2])
            if header[1] == "[[":
                lists[table] += 1
            table = _numbered(table, lists)
            found.setdefault(table, number)
        elif assigned := _ASSIGNED.match(line):
            found.setdefault(table + _parts(assigned[1]), number)
            inside = next((mark for mark in _DELIMITERS if assigned[2].count(mark) % 2), "")
    return found


def line_of(path: Path, found: dict[Path, int]) -> int:
    """The line of a path, or of the nearest table around it that has one."""
    while path and path not in found:
        path = path[:-1]
    return found.get(path, 1)


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in re.findall(_KEY, dotted))


def _numbered(table: Path, lists: Counter[Path]) -> Path:
    """`rule.where` below the third `[[rule]]` is `("rule", 2, "where")`."""
    path: Path = ()
    plain: Path = ()
    for part in table:
        path, plain = (*path, part), (*plain, part)
        if plain in lists:
            path = (*path, lists[plain] - 1)
    return path
