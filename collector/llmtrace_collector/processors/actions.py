"""The changes to attributes that the `attributes` and the `resource` processor share, done in the order given.

A change knows how to be made to an attribute list and says whether it changed it.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from llmtrace_collector.processors.items import find, put, remove
from llmtrace_collector.processors.patterns import compiled
from llmtrace_collector.processors.text import as_text, double, integer, truncated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmtrace_collector.config.settings import Action

    Change = Callable[[Any], bool]


class Actions:
    """A list of changes."""

    def __init__(self, actions: Sequence[Action]) -> None:
        """Raises ValueError for an action that lacks what it needs, or has what it does not use."""
        if not actions:
            raise ValueError("there is no action")
        self._changes = [change(action) for action in actions]

    def apply(self, attributes: Any) -> bool:
        """Changes an attribute list. Whether there was anything to change."""
        changed = False
        for change in self._changes:
            changed |= change(attributes)
        return changed


def change(action: Action) -> Change:
    """One action, ready to be done. Raises ValueError."""
    _check(action)
    match action.action:
        case "insert" | "update" | "upsert":
            return _setting(action)
        case "delete":
            return _deleting(action)
        case "hash":
            return _hashing(action)
        case "extract":
            return _extracting(action)
        case _:
            return _converting(action)


_USES = {
    **{name: {"value", "from_attribute"} for name in ("insert", "update", "upsert")},
    **{name: {"pattern"} for name in ("delete", "hash", "extract")},
    "convert": {"converted_type"},
}
_NEEDS_NO_KEY = {"delete", "hash"}


def _check(action: Action) -> None:
    name, uses = action.action, _USES[action.action]
    given = {field for field in ("from_attribute", "pattern", "converted_type") if getattr(action, field)}
    given |= {"value"} if action.value is not None else set()
    if unused := given - uses:
        raise ValueError(f"the action {name} of {action.key!r} does not use {', '.join(sorted(unused))}")
    if not action.key and not (name in _NEEDS_NO_KEY and action.pattern):
        raise ValueError(f"an action {name} has no key")
    if name not in _NEEDS_NO_KEY and len(given) != 1:
        raise ValueError(f"the action {name} of {action.key!r} needs {' or '.join(sorted(uses, reverse=True))}")


def _setting(action: Action) -> Change:
    fixed = None if action.value is None else any_value(action.value)
    when_there, when_missing = action.action != "insert", action.action != "update"

    def set_value(attributes: Any) -> bool:
        source = find(attributes, action.from_attribute) if fixed is None else fixed
        target = find(attributes, action.key)
        if source is None or not (when_missing if target is None else when_there):
            return False
        (put(attributes, action.key) if target is None else target).CopyFrom(source)
        return True

    return set_value


def any_value(scalar: bool | int | float | str) -> Any:
    """A scalar of the configuration as an attribute's value of the same type. Raises ValueError."""
    match scalar:
        case bool():
            return AnyValue(bool_value=scalar)
        case int() if not -(2**63) <= scalar < 2**63:
            raise ValueError(f"{scalar} is no integer of 64 bits")
        case int():
            return AnyValue(int_value=scalar)
        case float():
            return AnyValue(double_value=scalar)
        case _:
            return AnyValue(string_value=scalar)


def _deleting(action: Action) -> Change:
    matches = compiled(action.pattern).search if action.pattern else None

    def delete(attributes: Any) -> bool:
        changed = remove(attributes, action.key)
        if matches:
            for index in range(len(attributes) - 1, -1, -1):
                if matches(attributes[index].key):
                    del attributes[index]
                    changed = True
        return changed

    return delete


def _hashing(action: Action) -> Change:
    matches = compiled(action.pattern).search if action.pattern else None

    def hash_value(attributes: Any) -> bool:
        values = [value] if (value := find(attributes, action.key)) else []
        if matches:
            values += [attribute.value for attribute in attributes if matches(attribute.key)]
        for value in values:
            value.string_value = _sha256(value)
        return bool(values)

    return hash_value


def _sha256(value: Any) -> str:
    """In hexadecimal; of what is neither text, number nor truth value there is none."""
    match value.WhichOneof("value"):
        case "string_value":
            plain = value.string_value.encode()
        case "bool_value":
            plain = bytes([value.bool_value])
        case "int_value":
            plain = struct.pack("<q", value.int_value)
        case "double_value":
            plain = struct.pack("<d", value.double_value)
        case _:
            return ""
    return hashlib.sha256(plain).hexdigest()


def _extracting(action: Action) -> Change:
    pattern = compiled(action.pattern)
    names = {index: name for name, index in pattern.groupindex.items()}
    if len(names) != pattern.groups or not names:
        raise ValueError(f"every group of {action.pattern!r} needs a name, and there must be one: (?P<name>...)")

    def extract(attributes: Any) -> bool:
        source = find(attributes, action.key)
        if source is None or not source.HasField("string_value"):
            return False
        match = pattern.search(source.string_value)
        if match is None:
            return False
        for index in sorted(names):
            put(attributes, names[index]).string_value = match.group(index) or ""
        return True

    return extract


def _converting(action: Action) -> Change:
    convert = {"string": _to_string, "int": _to_int, "double": _to_double}[action.converted_type]

    def convert_value(attributes: Any) -> bool:
        value = find(attributes, action.key)
        return value is not None and convert(value)

    return convert_value


def _to_string(value: Any) -> bool:
    value.string_value = as_text(value)
    return True


def _to_int(value: Any) -> bool:
    match value.WhichOneof("value"):
        case "double_value":
            number: int | None = truncated(value.double_value)
        case "bool_value":
            number = int(value.bool_value)
        case "string_value":
            number = integer(value.string_value)
        case _:
            return False
    if number is not None:
        value.int_value = number
    return number is not None


def _to_double(value: Any) -> bool:
    match value.WhichOneof("value"):
        case "int_value":
            number: float | None = float(value.int_value)
        case "bool_value":
            number = float(value.bool_value)
        case "string_value":
            number = double(value.string_value)
        case _:
            return False
    if number is not None:
        value.double_value = number
    return number is not None
