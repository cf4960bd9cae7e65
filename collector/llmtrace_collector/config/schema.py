"""Typed reading of a configuration's tree: a dataclass is the schema, and every mistake names its file and line.

Strict as the official collector is: a number is no text, text is no number, unknown keys are refused. Nothing behind
the key of a scalar is its zero (not its default!), nothing behind the key of a mapping is the mapping's defaults.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import MISSING, Field, dataclass, fields
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from llmtrace_collector.config import tree, values
from llmtrace_collector.config.settings import MistakeError, Settings
from llmtrace_collector.config.tree import Date, Key, Node, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KINDS = {bool: "a boolean", int: "a number", float: "a number", Date: "a date", list: "a list", dict: "a mapping"}


@dataclass(frozen=True)
class Header(Settings):
    """One of `headers` where they are written as a list."""

    name: str
    value: str


class Reader:
    """Reads nodes into dataclasses. `command` runs the official collector with the same files.

    `notes` are lines for the user; `ignored` are keys that are read by the official collector only, and do no harm.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self.notes: list[str] = []
        self.ignored: list[str] = []

    def fail(self, place: Place, message: str) -> NoReturn:
        """Raises the ConfigError for a place."""
        raise tree.mistake(place, message)

    def elsewhere(self, place: Place, what: str) -> NoReturn:
        """Raises the ConfigError for what the official collector knows and this one does not."""
        self.fail(place, f"only the official collector {what}; run: {self.command}")

    def unknown(self, key: Key, what: str, known: Iterable[str]) -> NoReturn:
        """Raises the ConfigError for a name that is not one of `known`, with the nearest that is."""
        names = sorted(known)
        near = difflib.get_close_matches(key[:100], names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(names) or 'none'}"
        self.fail(key.place, f"unknown {what} {shown(key)}; {hint}")

    def entries(self, node: Node, where: str) -> dict[Key, Node]:
        """The keys and values of a mapping; none for null."""
        if node.value is None:
            return {}
        if not isinstance(node.value, dict):
            self.fail(node.place, f"{where} must be a mapping")
        return node.value

    def read(self, kind: Any, node: Node, where: str) -> Any:
        """A node as `kind`: dataclass, scalar, `X | None`, `tuple[X, ...]`, `dict[X, Y]` or Literal of strings."""
        origin = get_origin(kind)
        if kind in SCALARS:
            return self._scalar(kind, node, where)
        if origin is UnionType:
            return self._optional(get_args(kind)[0], node, where)
        if origin is Literal:
            return self._choice(get_args(kind), node, where)
        if origin is tuple:
            return self._sequence(get_args(kind)[0], node, where)
        if origin is dict:
            return self._mapping(kind, node, where)
        return self.record(kind, node, where)

    def record(self, kind: Any, node: Node, where: str) -> Any:
        """A mapping as a dataclass: keys that are known, then what `check` says about them together."""
        hints = get_type_hints(kind, include_extras=True)
        known = {field.name: field for field in fields(kind)}
        entries = self.entries(node, where)
        found = {}
        for key, item in entries.items():
            if key in known:
                found[str(key)] = self._field(kind, hints[key], key, item, where)
            elif not (kind.SWITCHED and key == "enabled"):
                self._unread(kind, key, item, where, known)
        found = {key: value for key, value in found.items() if value or key not in kind.DEFAULT_AT_ZERO}
        self._require(known, found, node, where)
        record = kind(**found)
        self._check(record, entries, node, where)
        return record

    def protest(self, mistake: MistakeError, entries: Iterable[str], place: Place, where: str) -> NoReturn:
        """Raises the ConfigError for a mistake in a mapping, at the key that it is about."""
        keys = {key: key.place for key in entries if isinstance(key, Key)}
        key = f".{mistake.key}" if mistake.key else ""
        self.fail(keys.get(Key(mistake.key), place), f"{where}{key} {mistake}")

    def _field(self, kind: Any, hint: Any, key: Key, node: Node, where: str) -> Any:
        if isinstance(node.value, str):
            if key in kind.CASELESS:
                node = Node(node.value.lower(), node.place, node.text)
            if f"{key}: {node.value}" in kind.ELSEWHERE:
                self.elsewhere(key.place, f"knows {where}.{key}: {node.value}")
        return self.read(hint, node, f"{where}.{key}")

    def _unread(self, kind: Any, key: Key, node: Node, where: str, known: Iterable[str]) -> None:
        if key in kind.IGNORED:
            self.ignored.append(f"{where}.{key}")
        elif key not in kind.ELSEWHERE:
            switch = ("enabled",) if kind.SWITCHED else ()
            self.unknown(key, f"key in {where}:", (*known, *kind.IGNORED, *switch))
        elif node.value is not None:
            self.elsewhere(key.place, f"reads {where}.{key}")

    def _require(self, known: dict[str, Field[Any]], found: dict[str, Any], node: Node, where: str) -> None:
        for field in known.values():
            if field.default is MISSING and field.default_factory is MISSING and field.name not in found:
                self.fail(node.place, f"{where} needs {field.name!r}")

    def _check(self, record: Settings, entries: dict[Key, Node], node: Node, where: str) -> None:
        try:
            for note in record.check(entries.keys()):
                self.notes.append(f"{node.place}: {where} {note}")
        except MistakeError as mistake:
            self.protest(mistake, entries, node.place, where)

    def _optional(self, kind: Any, node: Node, where: str) -> Any:
        """A mapping that may be absent, or switched off by `enabled: false`."""
        if node.value is None and not (isinstance(kind, type) and issubclass(kind, Settings) and kind.DEFAULTED):
            return None
        value = self.read(kind, node, where)
        switched = isinstance(value, Settings) and value.SWITCHED
        enabled = self.entries(node, where).get(Key("enabled")) if switched else None
        return None if enabled and not self._switch(enabled, where) else value

    def _switch(self, node: Node, where: str) -> bool:
        if not isinstance(node.value, bool):
            self.fail(node.place, f"{where}.enabled: {shown(node.value)} is neither true nor false")
        return node.value

    def _choice(self, choices: tuple[str, ...], node: Node, where: str) -> str:
        text: str = self._scalar(str, node, where)
        if text not in choices:
            known = ", ".join(choice for choice in choices if choice)
            self.fail(node.place, f"{where}: {shown(text)} is not one of {known}")
        return text

    def _sequence(self, kind: Any, node: Node, where: str) -> tuple[Any, ...]:
        if node.value is None:
            return ()
        if type(node.value) is str and kind in (str, values.Pattern):
            if kind is values.Pattern and "," in node.value:
                self.notes.append(
                    f"{node.place}: {where} is one text, so each of its commas ends a pattern; write a list"
                )
            return tuple(self.read(kind, Node(part, node.place), where) for part in node.value.split(","))
        if not isinstance(node.value, list):
            self.fail(node.place, f"{where} must be a list")
        return tuple(self.read(kind, item, where) for item in node.value)

    def _mapping(self, whole: Any, node: Node, where: str) -> dict[Any, Any]:
        key_kind, kind = get_args(whole)
        if isinstance(node.value, list) and kind is str:
            headers = [self.record(Header, item, where) for item in node.value]
            return {header.name: header.value for header in headers}
        found: dict[Any, Any] = {}
        for key, item in self.entries(node, where).items():
            name = self._scalar(key_kind, Node(str(key), key.place), where)
            if name in found:
                self.fail(key.place, f"{name!r} appears twice in {where}")
            found[name] = self.read(kind, item, f"{where}.{name}")
        return found

    def _scalar(self, kind: Any, node: Node, where: str) -> Any:
        if node.value is None and node.text is None:
            if kind not in ZEROS:
                self.fail(node.place, f"{where} needs a value")
            return ZEROS[kind]
        try:
            return SCALARS[kind](node)
        except ValueError as error:
            self.fail(node.place, f"{where}: {error}")


def shown(value: Any) -> str:
    """A value as it is quoted in a message: on one line, and not for ever."""
    text = repr(str(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def text(node: Node) -> str:
    """Text, or the text that a reference stood for. Raises ValueError for what is not text."""
    if type(node.value) is str:
        return node.value
    if node.text is not None:
        return node.text
    if isinstance(node.value, (list, dict)):
        raise ValueError(f"{KINDS[type(node.value)]} stands where text is expected")
    raise ValueError(f"{_as_written(node.value)} is {KINDS[type(node.value)]}, not text; write it in quotes")


def boolean(node: Node) -> bool:
    """`true` or `false`, unquoted. Raises ValueError."""
    if node.value is None:
        return False
    if not isinstance(node.value, bool):
        quoted = ", but text; write it without quotes" if node.value in ("true", "false") else ""
        raise ValueError(f"{_as_written(node.value)} is neither true nor false{quoted}")
    return node.value


def integer(node: Node) -> int:
    """A whole number; a fraction is cut off. Raises ValueError."""
    return math.trunc(number(node))


def unsigned(node: Node) -> int:
    """A whole number of 32 bits, zero or more. Raises ValueError."""
    value = integer(node)
    if not 0 <= value < 2**32:
        raise ValueError(f"{value} is not a number between 0 and {2**32 - 1}")
    return value


def number(node: Node) -> int | float:
    """A finite number, unquoted. Raises ValueError."""
    if node.value is None:
        return 0
    if type(node.value) not in (int, float) or not math.isfinite(node.value):
        raise ValueError(f"{_as_written(node.value)} is not a number")
    if abs(node.value) >= 2**63:
        raise ValueError(f"{_as_written(node.value)} is too large a number")
    return node.value  # type: ignore[no-any-return]


def duration(node: Node) -> values.Duration:
    """A Go duration, or 0. Raises ValueError."""
    if not node.value and type(node.value) in (int, float, type(None)):
        return values.Duration(0.0)
    return values.duration(node.value if type(node.value) is str else _as_written(node.value))


def anything(node: Node) -> values.Scalar | None:
    """A scalar in its YAML type. Raises ValueError."""
    if isinstance(node.value, (list, dict, Date)):
        raise ValueError(f"{KINDS[type(node.value)]} cannot be the value of an attribute here")
    return node.value  # type: ignore[no-any-return]


def _as_written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{KINDS[type(value)]}" if isinstance(value, (list, dict)) else shown(value)


def _textual(parse: Callable[[str], Any]) -> Callable[[Node], Any]:
    return lambda node: parse(text(node))


SCALARS: dict[Any, Callable[[Node], Any]] = {
    str: text,
    bool: boolean,
    int: integer,
    float: lambda node: float(number(node)),
    values.UInt: unsigned,
    values.Duration: duration,
    values.Scalar | None: anything,
    values.Address: _textual(values.Address.parse),
    values.BaseURL: _textual(values.base_url),
    values.Target: _textual(values.target),
    values.URLPath: _textual(values.url_path),
    values.Octal: _textual(values.octal),
    values.Pattern: _textual(values.pattern),
    values.ComponentID: _textual(values.component_id),
    values.PipelineID: _textual(values.pipeline_id),
}
ZEROS: dict[Any, Any] = {
    str: "",
    bool: False,
    int: 0,
    float: 0.0,
    values.UInt: 0,
    values.Duration: 0.0,
    values.Scalar | None: None,
    values.BaseURL: "",
    values.Pattern: "",
    values.ComponentID: "",
}
