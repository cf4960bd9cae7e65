"""A rule file → `Rules`. Whatever is wrong with it is a RuleError: file, line, key, what to write instead."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmtrace_otel.check.errors import RuleError
from llmtrace_otel.check.rules.keys import ALONE, CHECKS, TABLES, VERSION, Key
from llmtrace_otel.check.rules.lines import line_of, positions
from llmtrace_otel.check.rules.model import Baseline, Defaults, Limit, Origin, Rule, Rules, TreeRule
from llmtrace_otel.read.text import clean
from llmtrace_otel.telemetry.prices_user import UserPrices

if TYPE_CHECKING:
    from collections.abc import Iterable

PYPROJECT: Final = "pyproject.toml"
TOP: Final = ("version", *TABLES, "prices")
MAX_VALUE: Final = 60  # characters of a value in a message


def load(path: str) -> Rules:
    """The rules of a file; of a `pyproject.toml`, those of its `[tool.llmtrace]`. Raises RuleError and OSError."""
    try:
        content = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RuleError(f"{path}: not UTF-8 text (byte {error.start})") from None
    return loads(content, path, ("tool", "llmtrace") if Path(path).name == PYPROJECT else ())


def found_in(folder: str) -> str | None:
    """The rule file of a folder: `llmtrace.toml`, else a `pyproject.toml` that has rules; None if there is none."""
    own, project = Path(folder, "llmtrace.toml"), Path(folder, PYPROJECT)
    if own.is_file():
        return own.name
    try:
        return project.name if "llmtrace" in tomllib.loads(project.read_text("utf-8")).get("tool", {}) else None
    except (OSError, ValueError, RecursionError, TypeError):  # others say what is wrong with a project's file
        return None


def loads(content: str, file: str, section: tuple[str, ...] = ()) -> Rules:
    """The rules of a text; `section` is the table that they stand in. Raises RuleError."""
    try:
        document: Any = tomllib.loads(content.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise RuleError(_syntax(file, content, str(error))) from None
    except (RecursionError, ValueError):
        raise RuleError(f"{file}: values are nested too deeply, or too long, for a rule file") from None
    for name in section:
        document = document.get(name, {}) if isinstance(document, dict) else {}
    return _Reader(file, content, section).rules(document)


def _syntax(file: str, content: str, message: str) -> str:
    """The parser's message, with its position at the front."""
    at = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)", message)
    if at is None:
        return f"{file}: not TOML: {clean(message)}"
    where = f"{at[1]}:{at[2]}" if at[1] else str(content.rstrip("\n").count("\n") + 1)
    return f"{file}:{where}: not TOML: {clean(message[: at.start()])}"


class _Reader:
    """Reads the tables of one document. `place` is the path to what is being read."""

    def __init__(self, file: str, content: str, section: tuple[str, ...]) -> None:
        self.file = file
        self.section = section
        self.lines = positions(content)

    def origin(self, *place: str | int) -> Origin:
        return Origin(self.file, line_of(self.section + place, self.lines))

    def wrong(self, what: str, *place: str | int) -> RuleError:
        return RuleError(f"{self.origin(*place)}: {what}")

    def rules(self, document: Any) -> Rules:
        if not isinstance(document, dict):
            raise self.wrong(f"{'.'.join(self.section)} is no table")
        for name in document:
            if name not in TOP:
                raise self.wrong(_no_such(name, TOP, "table"), name)
        version = document.get("version", VERSION)
        if version != VERSION or isinstance(version, bool | float):
            raise self.wrong(f"version = {shown(version)}: write {VERSION}, the only one there is", "version")
        rules = Rules(
            self.file,
            Defaults(**self.table(document, "defaults")),
            tuple(
                Limit(name, most, self.origin("budget", name)) for name, most in self.table(document, "budget").items()
            ),
            tuple(self.rule(*entry) for entry in self.entries(document, "rule")),
            tuple(
                TreeRule(id=found.pop("name"), origin=self.origin("tree", index), **found)
                for index, found in self.entries(document, "tree")
            ),
            self.baseline(document),
            self.prices(document),
        )
        self.unique([*rules.rules, *rules.trees])
        return rules

    def table(self, document: dict[str, Any], name: str) -> dict[str, Any]:
        held = document.get(name, {})
        if not isinstance(held, dict):
            raise self.wrong(f"{name} is {_kind(held)}, not a table: write [{name}]", name)
        return self.values(held, f"[{name}]", TABLES[name], name)

    def entries(self, document: dict[str, Any], name: str) -> Iterable[tuple[int, dict[str, Any]]]:
        held = document.get(name, [])
        if not isinstance(held, list) or not all(isinstance(entry, dict) for entry in held):
            raise self.wrong(f"{name} is {_kind(held)}, not a list of tables: write [[{name}]]", name)
        for index, entry in enumerate(held):
            told = entry.get("id" if name == "rule" else "name")
            label = f"[[{name}]] {shown(told)}" if isinstance(told, str) else f"[[{name}]]"
            yield index, self.values(entry, label, TABLES[name], name, index)

    def values(self, held: dict[str, Any], label: str, keys: dict[str, Key], *place: str | int) -> dict[str, Any]:
        """The values of a table as its keys read them."""
        found = {}
        for name, value in held.items():
            if name not in keys:
                raise self.wrong(f"{label}: {_no_such(name, keys, 'key')}", *place, name)
            try:
                found[name] = keys[name].read(value)
            except RuleError as error:
                raise self.wrong(f"{label}: {name} = {shown(value)}: {error}", *place, name) from None
        for name, key in keys.items():
            if key.required and name not in found:
                raise self.wrong(f'{label}: {name} is missing; write {name} = "…"', *place)
        return found

    def rule(self, index: int, found: dict[str, Any]) -> Rule:
        checks = {name: found.pop(name) for name in CHECKS if name in found}
        label = f"[[rule]] {shown(found['id'])}"
        if not checks:
            raise self.wrong(f"{label}: it asks for nothing; add one of {', '.join(CHECKS)}", "rule", index)
        if "match" not in found and (needing := [name for name in checks if name not in ALONE]):
            told = f'{needing[0]} of what? Add match = "llm *", or another kind and name'
            raise self.wrong(f"{label}: {told}", "rule", index, needing[0])
        if "loops" in checks and (narrowing := [name for name in ("match", "where") if name in found]):
            told = f"loops are looked for everywhere; leave out {narrowing[0]}"
            raise self.wrong(f"{label}: {told}", "rule", index, narrowing[0])
        return Rule(checks=checks, origin=self.origin("rule", index), **found)

    def baseline(self, document: dict[str, Any]) -> Baseline | None:
        if "baseline" not in document:
            return None
        return Baseline(origin=self.origin("baseline"), **self.table(document, "baseline"))

    def prices(self, document: dict[str, Any]) -> UserPrices | None:
        """Its prices; each mistake in them counts, unlike in a program that goes on without."""
        if "prices" not in document:
            return None
        try:
            prices = UserPrices({"prices": document["prices"]}, Path(self.file).name)
        except (ValueError, AttributeError, ArithmeticError, RecursionError):
            raise self.wrong(
                'prices: write [prices."model"] with input and output, USD per million tokens', "prices"
            ) from None
        if prices.mistakes:
            name = re.match(r'prices\."(.*)"', prices.mistakes[0])
            raise self.wrong(clean(prices.mistakes[0]), "prices", name[1] if name else "")
        return prices

    def unique(self, rules: list[Rule | TreeRule]) -> None:
        """Ids are how a rule is told from others, in messages and for `--explain`."""
        counted = Counter(rule.id for rule in rules)
        for rule in rules:
            if counted[rule.id] > 1:
                raise RuleError(
                    f"{rule.origin}: {shown(rule.id)} names {counted[rule.id]} rules; name each its own way"
                )
            if rule.id.startswith("budget.") or rule.id == "baseline":
                raise RuleError(f"{rule.origin}: {shown(rule.id)} is the name of a limit; choose another")


def _no_such(name: str, known: Iterable[str], what: str) -> str:
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
    return f"there is no {what} {shown(name)}{hint}"


def shown(value: Any) -> str:
    """A value as TOML has it, roughly, on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + clean(value, MAX_VALUE) + '"'
    try:
        return clean(str(value), MAX_VALUE)
    except (ValueError, RecursionError):  # a whole number of thousands of digits
        return "…"


def _kind(value: Any) -> str:
    names = {dict: "a table", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "a date or time")
