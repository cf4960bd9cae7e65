"""OTLP's JSON form: protobuf messages to plain dictionaries and back.

Protobuf's own JSON mapping is not OTLP's: ids are hex instead of base64, enums are integers, names are lowerCamelCase
only (OTLP specification, "JSON Protobuf Encoding"). Both directions follow the message descriptors, so a field that a
newer `opentelemetry-proto` adds is carried without a change here. As in the official collector's files, fields stand in
the order of their declaration, zero values and ids of zeros are left out unless their presence says something, and
single sub-messages (`resource`, `scope`, `status`, an attribute's `value`) are always written.
"""

from __future__ import annotations

import base64
import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

if TYPE_CHECKING:
    from collections.abc import Callable

INTEGER = re.compile(r"-?[0-9]+")
DECIMAL = re.compile(r"[-+.0-9eE]+|-?Infinity|NaN")
ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}

INTEGERS = {
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_SFIXED32,
    FieldDescriptor.TYPE_SINT32,
}
LONG_INTEGERS = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
    FieldDescriptor.TYPE_SINT64,
}


class Field(NamedTuple):
    """One field of a message: its two names, and how its value is written and read (None: as it is).

    Of an optional one, a member of a oneof too, the message knows whether it is set: zero is a value then.
    """

    name: str
    key: str
    write: Callable[[Any], object] | None
    read: Callable[[Any], Any] | None
    is_message: bool
    is_repeated: bool
    is_optional: bool


@cache
def fields(descriptor: Any) -> tuple[Field, ...]:
    """The fields of a message type in the order of their declaration."""
    return tuple(_field(field) for field in descriptor.fields)


def _field(field: Any) -> Field:
    write, read = _codec(field)
    if field.is_repeated:
        write = _each(write) if write else list
    is_message, is_optional = field.message_type is not None, field.containing_oneof is not None
    return Field(field.name, field.json_name, write, read, is_message, field.is_repeated, is_optional)


def _codec(field: Any) -> tuple[Callable[[Any], object] | None, Callable[[Any], Any] | None]:
    if field.message_type is not None:
        return WRITERS.get(field.message_type.full_name, write), None
    if field.name in ID_BYTES:
        return _id_writer(ID_BYTES[field.name]), _from_hex
    if field.type == FieldDescriptor.TYPE_BYTES:
        return base64_text, _from_base64
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return double, _from_number
    if field.type in LONG_INTEGERS:
        return str, _from_integer
    if field.type in INTEGERS:
        return None, _from_integer
    if field.type == FieldDescriptor.TYPE_ENUM:
        return None, _enum_reader(field.enum_type)
    return None, None


# Writing


def write(message: Any) -> dict[str, object]:
    """A message other than `AnyValue`, ready for a JSON encoder. Raises ValueError for an id of wrong length."""
    written: dict[str, object] = {}
    for name, key, convert, _, _, _, is_optional in fields(message.DESCRIPTOR):
        value = getattr(message, name)
        is_set = message.HasField(name) if is_optional else value  # a sub-message is always true, zero is not
        if is_set:
            converted = value if convert is None else convert(value)
            if converted is not None:
                written[key] = converted
    return written


def write_attribute(attribute: Any) -> dict[str, object]:
    """A `KeyValue`. Most of a span is these, so they have a function of their own."""
    value = write_any_value(attribute.value)
    written: dict[str, object] = {"key": key, "value": value} if (key := attribute.key) else {"value": value}
    if attribute.key_strindex:  # belongs to profiles, but whoever sends it gets it back
        written["keyStrindex"] = attribute.key_strindex
    return written


def write_any_value(value: Any) -> dict[str, object]:
    """An `AnyValue`: the one member that is set, also when it is zero or empty."""
    name = value.WhichOneof("value")
    if name is None:
        return {}
    key, convert = MEMBERS[name]
    member = getattr(value, name)
    return {key: member if convert is None else convert(member)}


def _each(convert: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda values: [convert(value) for value in values]


def _id_writer(length: int) -> Callable[[bytes], str | None]:
    def to_hex(value: bytes) -> str | None:
        if len(value) != length:
            raise ValueError(f"an id of {len(value)} bytes where {length} are needed")
        return value.hex() if any(value) else None  # zeros are no id

    return to_hex


def base64_text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


# Reading


def read(source: object, message: Any) -> None:
    """Fills `message` from decoded JSON, ignoring unknown fields. Raises ValueError naming the field that is wrong."""
    if not isinstance(source, dict):
        raise ValueError(f"must be an object, not {_kind(source)}")
    for field in fields(message.DESCRIPTOR):
        value = source.get(field.key)
        if value is not None:
            _read_field(field, value, message)


def _read_field(field: Field, value: object, message: Any) -> None:
    try:
        if field.is_repeated:
            _read_list(field, value, getattr(message, field.name))
        elif field.is_message:
            member = getattr(message, field.name)
            member.SetInParent()
            read(value, member)
        else:
            setattr(message, field.name, value if field.read is None else field.read(value))
    except (TypeError, ValueError, OverflowError) as error:
        separator = "." if isinstance(error, _FieldError) else ": "
        raise _FieldError(f"{field.key}{separator}{error}") from None


def _read_list(field: Field, values: object, members: Any) -> None:
    if not isinstance(values, list):
        raise ValueError(f"must be an array, not {_kind(values)}")
    for value in values:
        if field.is_message:
            read(value, members.add())
        else:
            members.append(value if field.read is None else field.read(value))


class _FieldError(ValueError):
    """A mistake below a field: its message is the path so far."""


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _from_integer(value: Any) -> int:
    """64-bit integers come as strings, by some writers as numbers."""
    whole = isinstance(value, str) and INTEGER.fullmatch(value)
    if not whole and (isinstance(value, bool | str) or int(value) != value):
        raise ValueError(f"{value!r} is not an integer")
    return int(value)


def _from_number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError("must be a number, not a boolean")
    if isinstance(value, str) and not DECIMAL.fullmatch(value):  # underscores, other digits: Python's own ideas
        raise ValueError(f"{value!r} is not a number")
    return float(value)  # reads "NaN", "Infinity" and "-Infinity" too


def _from_hex(value: Any) -> bytes:
    if not isinstance(value, str) or not value.isalnum():  # spaces between bytes are Python's own idea
        return _empty(value)
    return bytes.fromhex(value)


def _from_base64(value: Any) -> bytes:
    """Standard or URL-safe alphabet, with or without padding, as protobuf's JSON mapping accepts."""
    if not isinstance(value, str):
        return _empty(value)
    standard = value.translate(str.maketrans("-_", "+/")).rstrip("=")
    return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)


def _empty(value: object) -> bytes:
    if value != "":
        raise TypeError(f"{value!r} does not stand for bytes")
    return b""


def _enum_reader(enum: Any) -> Callable[[Any], int]:
    names: dict[str, int] = {value.name: value.number for value in enum.values}

    def read(value: Any) -> int:
        if isinstance(value, str):
            if value not in names:
                raise ValueError(f"{value!r} is none of {', '.join(names)}")
            return names[value]
        return _from_integer(value)

    return read


# Two types have writers of their own; these tables need the functions above.
WRITERS = {AnyValue.DESCRIPTOR.full_name: write_any_value, KeyValue.DESCRIPTOR.full_name: write_attribute}
MEMBERS = {field.name: (field.key, field.write) for field in fields(AnyValue.DESCRIPTOR)}
