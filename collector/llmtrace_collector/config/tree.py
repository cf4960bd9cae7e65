"""YAML text as a tree of values that know their file and line, read the way the official collector reads it.

Plain scalars are resolved as Go's yaml.v3 does: YAML 1.2, so `yes` is text, plus `017` and `0o17`, `1_000` and dates.
Merge keys (`<<`) and aliases are followed, `a::b: 1` is short for `a: {b: 1}`, only the first document counts.
What could be endless is not: size, depth and number of values are bounded.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.tag import Tag

from llmtrace_collector.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGEST = 256 * 1024
DEEPEST = 100
LONGEST_LINE = 500
MOST = 100_000
PLAIN = "!plain"
YAML_TAG = "tag:yaml.org,2002:"
RESOLVED = {PLAIN, *(YAML_TAG + kind for kind in ("int", "float", "bool", "null"))}
UNSUPPORTED = {YAML_TAG + kind for kind in ("binary", "set", "omap", "pairs", "timestamp")}

WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
SURROGATE = re.compile("[\ud800-\udfff]")
DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9:.]+(Z|[-+][0-9:]+)?)?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, shown as `file:line`."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Key(str):
    """A key of a mapping, and its place."""

    place: Place

    @classmethod
    def at(cls, text: str, place: Place) -> Key:
        """The key at a place."""
        key = cls(text)
        key.place = place
        return key


class Date(str):
    """An unquoted date: neither text nor a number."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value: None, bool, int, float, str, Date, a list of nodes, or a dict of keys and nodes.

    `text` is what a `${...}` stood for, before it was read as YAML: a field that is text gets it unchanged.
    """

    value: Any
    place: Place
    text: str | None = None


class YAMLMistakeError(Exception):
    """Not YAML: the line in the text, counted from 1, and why."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


def read_file(path: Path) -> Node:
    """The tree of a file. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > LARGEST:
        raise ConfigError(f"{path}: larger than {LARGEST // 1024} KiB, which is no configuration")
    try:
        return parse(content.decode("utf-8-sig"), lambda line: Place(str(path), line))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8: {error.reason}") from error
    except YAMLMistakeError as error:
        raise ConfigError(f"{path}:{error.line}: not valid YAML: {error}") from error


def parse(text: str, place: Callable[[int], Place]) -> Node:
    """The tree of a text whose lines are at `place(line)`. Raises YAMLMistakeError."""
    root = _compose(text)
    return Node(None, place(1)) if root is None else _Builder(place).build(root, 0)


def _compose(text: str) -> Any:
    """The parser's nodes of the first document; None where there is none."""
    yaml = YAML(pure=True)
    yaml.Resolver = _Resolver
    try:
        return next(iter(yaml.compose_all(text)), None)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YAMLMistakeError(line, _one_line(error.problem or error.context)) from error
    except RecursionError as error:
        raise YAMLMistakeError(1, "nested too deeply") from error
    except YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", None) or 0) + 1
        raise YAMLMistakeError(line, _one_line(getattr(error, "reason", error))) from error
    except Exception as error:
        # the parser also fails in ways of its own on what is not YAML: an odd %YAML, a \U escape beyond Unicode
        raise YAMLMistakeError(1, _one_line(error)) from error


def mistake(place: Place, message: str) -> ConfigError:
    """The error for a place: one line, and not for ever, whatever of the file the message quotes."""
    line = " ".join(message.splitlines())
    return ConfigError(f"{place}: {line if len(line) <= LONGEST_LINE else f'{line[:LONGEST_LINE]}…'}")


def merge(base: Node, over: Node) -> Node:
    """Mappings are merged key by key, and `over` wins; anything else is replaced by `over`."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    later = {key: key for key in over.value}
    merged = {
        later.get(key, key): merge(node, over.value[key]) if key in later else node for key, node in base.value.items()
    }
    return Node({**merged, **{key: node for key, node in over.value.items() if key not in merged}}, over.place)


def scalar(text: str) -> Any:
    """What a plain scalar stands for."""
    if text in WORDS:
        return WORDS[text]
    if DATE.fullmatch(text):
        return Date(text)
    if text[0] == ".":
        return _float(text, text)
    if text[0] not in "0123456789+-":
        return text
    digits = text.replace("_", "")
    number = _integer(digits)
    return _float(digits, text) if number is None else number


def _integer(digits: str) -> int | None:
    """An integer of 64 bits, as Go writes it: 0x1f, 0b1, 0o17, 017."""
    found = INTEGER.fullmatch(digits)
    if not found or len(digits) > 70:
        return None
    sign, magnitude = found.groups()
    base = 8 if re.fullmatch("0[0-7]+", magnitude) else 0
    number = int(magnitude, base)
    number = -number if sign == "-" else number
    return number if -(2**63) <= number < (2**63 if sign else 2**64) else None


def _float(digits: str, text: str) -> float | str:
    number = float(digits) if FLOAT.fullmatch(digits) else math.inf
    return number if math.isfinite(number) else text


def _one_line(why: Any) -> str:
    return " ".join(str(why).split()) or "unreadable"


class _Resolver(VersionedResolver):
    """Leaves scalars as they are, and says which of them were plain."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Tag:
        if kind is ScalarNode and implicit[0]:
            return Tag(suffix=PLAIN)
        names = {ScalarNode: "str", SequenceNode: "seq", MappingNode: "map"}
        return Tag(suffix=YAML_TAG + names[kind])


class _Builder:
    """Turns the parser's nodes into ours."""

    def __init__(self, place: Callable[[int], Place]) -> None:
        self._place = place
        self._left = MOST
        self._open: set[int] = set()

    def build(self, node: Any, depth: int) -> Node:
        """Raises YAMLMistakeError."""
        self._left -= 1
        line = node.start_mark.line + 1
        if depth > DEEPEST or self._left < 0 or id(node) in self._open:
            raise YAMLMistakeError(line, self._endless(node, depth))
        if str(node.tag) in UNSUPPORTED:
            raise YAMLMistakeError(line, f"values of type {str(node.tag).removeprefix(YAML_TAG)} are not supported")
        self._open.add(id(node))
        value = self._value(node, depth + 1)
        self._open.discard(id(node))
        return Node(value, self._place(line))

    def _endless(self, node: Any, depth: int) -> str:
        if id(node) in self._open:
            return "an anchor contains itself"
        return "nested too deeply" if depth > DEEPEST else f"more than {MOST} values, counting what aliases repeat"

    def _value(self, node: Any, depth: int) -> Any:
        if isinstance(node, SequenceNode):
            return [self.build(item, depth) for item in node.value]
        if isinstance(node, MappingNode):
            return self._mapping(node, depth)
        if SURROGATE.search(node.value):
            raise YAMLMistakeError(node.start_mark.line + 1, "half of a surrogate pair is no character")
        return scalar(node.value) if str(node.tag) in RESOLVED else node.value

    def _mapping(self, node: Any, depth: int) -> dict[Key, Node]:
        mapping = Node({}, self._place(node.start_mark.line + 1))
        bases: list[dict[Key, Node]] = []
        seen: set[str] = set()
        for name, item in node.value:
            key = self._key(name, seen)
            value = self.build(item, depth)
            if key == "<<":
                bases += self._bases(value, key)
            else:
                mapping = merge(mapping, _nested(key, value))
        for base in bases:
            mapping = Node(base | mapping.value, mapping.place)
        return mapping.value  # type: ignore[no-any-return]

    def _key(self, node: Any, seen: set[str]) -> Key:
        line = node.start_mark.line + 1
        if not isinstance(node, ScalarNode) or SURROGATE.search(node.value):
            raise YAMLMistakeError(line, "a key must be a plain word")
        if node.value in seen:
            raise YAMLMistakeError(line, f"the key {node.value!r} appears twice in one mapping")
        seen.add(node.value)
        return Key.at(node.value, self._place(line))

    def _bases(self, value: Node, key: Key) -> list[dict[Key, Node]]:
        bases = [base.value for base in value.value] if isinstance(value.value, list) else [value.value]
        if not all(isinstance(base, dict) for base in bases):
            raise YAMLMistakeError(key.place.line, "<< takes a mapping, or a list of mappings")
        return bases


def _nested(key: Key, value: Node) -> Node:
    """`a::b: 1` as `a: {b: 1}`. Nothing behind a key is nowhere, so mistakes about it are shown at the key."""
    value = Node(None, key.place) if value.value is None else value
    for part in reversed(key.split("::")):
        value = Node({Key.at(part, key.place): value}, key.place)
    return value
