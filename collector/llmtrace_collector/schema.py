"""Typed reading of YAML with line numbers: a dataclass is the schema, and every mistake names its file and line.

YAML is composed into nodes, never into plain objects: nodes keep their lines and original texts, so a string field gets
the text as it stands (1.10, not 1.1) and only fields that are numbers are read as numbers. YAML 1.2: `yes` is a string.
`${env:NAME}`, `${env:NAME:-default}` and `${NAME}` are replaced in every value; `$$` is a dollar sign.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from llmtrace_collector.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

REFERENCE = re.compile(r"\$(?:\$|\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})")
NULL = "tag:yaml.org,2002:null"


def integer(text: str) -> int:
    """Decimal digits."""
    if not text.isdigit():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def boolean(text: str) -> bool:
    """`true` or `false`."""
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


class Document:
    """One YAML file. Every problem is a ConfigError that starts with `file:line:`."""

    def __init__(self, path: Path, scalars: dict[Any, Callable[[str], Any]]) -> None:
        """`scalars` adds readers for types of the caller's own: from text, raising ValueError."""
        self.path = path
        self._scalars: dict[Any, Callable[[str], Any]] = {str: str, int: integer, bool: boolean, **scalars}
        self.root = self._compose()

    def fail(self, node: Any, message: str) -> NoReturn:
        """Raises the ConfigError for a node."""
        raise ConfigError(f"{self.path}:{node.start_mark.line + 1}: {message}")

    def unknown(self, node: Any, what: str, known: Iterable[str]) -> NoReturn:
        """Raises the ConfigError for a name that is not one of `known`, with the nearest that is."""
        names = sorted(known)
        near = difflib.get_close_matches(node.value, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(names) or 'none'}"
        self.fail(node, f"unknown {what} {node.value!r}; {hint}")

    def section(self, name: str) -> Any:
        """The value of a top-level key that must be there."""
        sections = {key.value: value for key, value in self.entries(self.root, "the file")}
        if name not in sections:
            self.fail(self.root, f"the section {name!r} is missing")
        return sections[name]

    def at(self, *keys: str) -> Any:
        """The node under these keys, or the deepest on the way to it: where a mistake is shown."""
        node = self.root
        for key in keys:
            found = [value for name, value in getattr(node, "value", ()) if name.value == key]
            if not found:
                break
            node = found[0]
        return node

    def entries(self, node: Any, where: str) -> list[tuple[Any, Any]]:
        """The key and value nodes of a mapping; none for null."""
        if is_null(node):
            return []
        if not isinstance(node, MappingNode):
            self.fail(node, f"{where} must be a mapping")
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.fail(key, f"a key in {where} must be a plain word")
            if is_null(value):
                value.start_mark = key.start_mark  # nothing is nowhere: mistakes about it are shown at its key
            if key.value in seen:
                self.fail(key, f"{key.value!r} appears twice in {where}")
            seen.add(key.value)
        return list(node.value)

    def read(self, kind: Any, node: Any, where: str) -> Any:
        """A node as `kind`: dataclass, scalar, `X | None`, `tuple[X, ...]`, `dict[str, X]` or Literal of strings."""
        origin = get_origin(kind)
        if is_dataclass(kind) and kind not in self._scalars:
            return self._record(kind, node, where)
        if origin is UnionType:
            return self.read(get_args(kind)[0], node, where)
        if origin is tuple:
            return self._sequence(get_args(kind)[0], node, where)
        if origin is dict:
            return {key.value: self.read(get_args(kind)[1], value, where) for key, value in self.entries(node, where)}
        return self._scalar(kind, node, where)

    def _compose(self) -> Any:
        try:
            root = YAML(pure=True).compose(self.path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read {self.path}: {error.strerror}") from error
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(f"{self.path}:{line}: not valid YAML: {error.problem}") from error
        except (YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path}: not valid YAML: {error}") from error
        if root is None:
            raise ConfigError(f"{self.path}: the file is empty")
        return root

    def _record(self, kind: Any, node: Any, where: str) -> Any:
        hints = get_type_hints(kind)
        known = {field.name: field for field in fields(kind)}
        values = {}
        for key, value in self.entries(node, where):
            if key.value not in known:
                self.unknown(key, f"key in {where}:", known)
            values[key.value] = self.read(hints[key.value], value, f"{where}.{key.value}")
        for field in known.values():
            if field.default is MISSING and field.default_factory is MISSING and field.name not in values:
                self.fail(node, f"{where} needs {field.name!r}")
        return kind(**values)

    def _sequence(self, kind: Any, node: Any, where: str) -> tuple[Any, ...]:
        if is_null(node):
            return ()
        if not isinstance(node, SequenceNode):
            self.fail(node, f"{where} must be a list")
        return tuple(self.read(kind, item, where) for item in node.value)

    def _scalar(self, kind: Any, node: Any, where: str) -> Any:
        if not isinstance(node, ScalarNode) or is_null(node):
            self.fail(node, f"{where} needs a value")
        text = self._expand(node)
        if get_origin(kind) is Literal:
            if text not in get_args(kind):
                self.fail(node, f"{where}: {text!r} is not one of {', '.join(get_args(kind))}")
            return text
        try:
            return self._scalars[kind](text)
        except ValueError as error:
            self.fail(node, f"{where}: {error}")

    def _expand(self, node: Any) -> str:
        def value(reference: re.Match[str]) -> str:
            if reference.group() == "$$":
                return "$"
            name, default = reference["name"], reference["default"]
            found = os.environ.get(name, default)
            if found is None:
                self.fail(node, f"environment variable {name} is not set; set it, or write ${{env:{name}:-default}}")
            return found

        return REFERENCE.sub(value, node.value)


def is_null(node: Any) -> bool:
    """An absent value: `http:` with nothing behind it stands for all defaults."""
    return isinstance(node, ScalarNode) and str(node.tag) == NULL
