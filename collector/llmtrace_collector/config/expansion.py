"""`${env:NAME}`, `${NAME}`, `${env:NAME:-default}`, `${file:PATH}` and `${yaml:TEXT}` in a configuration's values.

As in the official collector: a value that is one reference becomes what the referenced text means as YAML, be it a
number or a whole mapping; inside other text it is put in as text. What comes out is looked at again. `$$` is a `$`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from llmtrace_collector.config.tree import DEEPEST, LARGEST, Key, Node, Place, YAMLMistakeError, mistake, parse

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
LONGEST = 64 * 1024
BUDGET = 1_000_000
PER_REFERENCE = 100


class Expansion:
    """The references of one configuration. `notes` tells of variables that are not set."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._left = BUDGET

    def expand(self, node: Node, depth: int = 0) -> Node:
        """The node with everything replaced. Raises ConfigError."""
        self._spend(1, node, depth)
        if isinstance(node.value, dict):
            items = {key: self._shown_at(key, self.expand(item, depth + 1)) for key, item in node.value.items()}
            return Node(items, node.place, node.text)
        if isinstance(node.value, list):
            return Node([self.expand(item, depth + 1) for item in node.value], node.place, node.text)
        return self._expand_text(node, depth) if type(node.value) is str else node

    def _expand_text(self, node: Node, depth: int) -> Node:
        text = node.value
        while reference := find(text):
            found = self._fetch(reference, node, depth)
            if reference == text and type(found.value) is not str:
                original = self._replace_all(found.text or "", node, depth)
                return Node(self.expand(found, depth + 1).value, found.place, original)
            text = self._replaced(text, reference, found.text or "", node)
        return Node(text.replace("$$", "$"), node.place, node.text)

    def _replace_all(self, text: str, node: Node, depth: int) -> str:
        """The text with its references replaced as text."""
        while reference := find(text):
            text = self._replaced(text, reference, self._fetch(reference, node, depth).text or "", node)
        return text.replace("$$", "$")

    def _replaced(self, text: str, reference: str, by: str, node: Node) -> str:
        if len(text) + text.count(reference) * len(by) > LONGEST:
            self._fail(node.place, f"longer than {LONGEST // 1024} KiB once its references are replaced")
        return text.replace(reference, by)

    def _fetch(self, reference: str, node: Node, depth: int) -> Node:
        """What a reference stands for: the value, and its text."""
        uri = reference[2:-1] if ":" in reference else f"env:{reference[2:-1]}"
        parts = URI.fullmatch(uri)
        if not parts or "$" in parts[2]:
            self._fail(node.place, f"{reference} is not a reference such as ${{env:NAME}}; write $$ for a dollar sign")
        fetch = {"env": self._variable, "file": self._file, "yaml": _as_yaml}.get(parts[1])
        if not fetch:
            self._fail(node.place, f"{reference} cannot be read: only env:, file: and yaml: can")
        found = fetch(parts[2], node.place)
        self._spend(PER_REFERENCE + len(found.text or ""), node, depth)
        return found

    def _variable(self, name: str, place: Place) -> Node:
        name, assigned, default = name.partition(":-")
        if not NAME.fullmatch(name):
            self._fail(place, f"{name!r} is not the name of an environment variable; write $$ for a dollar sign")
        value = os.environ.get(name)
        if value is None and assigned and not default:
            return Node("", place, "")
        if value is None and not assigned:
            self._say_unset(name, place)
        return _as_yaml(default if value is None else value, place)

    def _say_unset(self, name: str, place: Place) -> None:
        note = (
            f"{place}: environment variable {name} is not set: nothing stands for it; or write ${{env:{name}:-default}}"
        )
        if note not in self.notes:
            self.notes.append(note)

    def _file(self, path: str, place: Place) -> Node:
        try:
            with Path(path).open(encoding="utf-8-sig", newline="") as file:
                content = file.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            self._fail(place, f"cannot read ${{file:{path}}}: {getattr(error, 'strerror', None) or error}")
        if len(content) > LARGEST:
            self._fail(place, f"cannot read ${{file:{path}}}: larger than {LARGEST // 1024} KiB")
        return _as_yaml(content, place, lambda line: Place(path, line))

    def _shown_at(self, key: Key, node: Node) -> Node:
        return Node(None, key.place, node.text) if node.value is None else node

    def _spend(self, amount: int, node: Node, depth: int) -> None:
        self._left -= amount
        if self._left < 0 or depth > DEEPEST:
            self._fail(node.place, "too many references; one that leads to itself never ends")

    def _fail(self, place: Place, why: str) -> NoReturn:
        raise mistake(place, why)


def find(text: str) -> str:
    """The first reference in a text, innermost first; none if a `$` before it takes its meaning away."""
    end = text.find("}")
    while end >= 0:
        start = text.rfind("${", 0, end)
        if start >= 0:
            escaped = (start - len(text[:start].rstrip("$"))) % 2
            return "" if escaped else text[start : end + 1]
        end = text.find("}", end + 1)
    return ""


def _as_yaml(text: str, place: Place, place_of: Callable[[int], Place] | None = None) -> Node:
    """The text read as YAML; as it stands where it is text, or not YAML at all."""
    try:
        found = parse(text, place_of or (lambda _: place))
    except YAMLMistakeError:
        return Node(text, place, text)
    return Node(text, place, text) if type(found.value) is str else Node(found.value, found.place, text)
