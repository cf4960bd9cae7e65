"""Scalar fields of protobuf's wire format as fragments of OTLP JSON, for `lines.py`.

A reader takes the bytes, where a field begins behind its tag, and where its message ends. It returns the field as
JSON, `"name":value`, or nothing when OTLP leaves the field out (it is zero and its presence means nothing), and where
the field ends. It may read past the end of the message: that is found out by who compares ends. What a serialiser would
not have written raises Unusual, bytes that end too early IndexError or struct.error, text that is not UTF-8
UnicodeDecodeError.
"""

from __future__ import annotations

from struct import Struct, iter_unpack
from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]

from llmtrace_collector.otlp.json_form import ID_BYTES, base64_text, double

if TYPE_CHECKING:
    from collections.abc import Callable

    Reader = Callable[[bytes, int, int], tuple[Any, int]]
    Form = Callable[[Any], bytes]  # a value, or the bytes of a delimited field, as JSON

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5  # protobuf's wire types

encode = msgspec.json.Encoder().encode


class Unusual(Exception):  # noqa: N818  (no error: another implementation decides)
    """Nothing that serialisers write."""


def tag(field: Any, wire_type: int) -> int:
    """A field's tag with its bytes as they stand, the first one lowest: one byte, or two for numbers from 16 on."""
    number: int = field.number << 3 | wire_type
    return number if number < 128 else number & 0x7F | 0x80 | number >> 7 << 8


def label(field: Any) -> bytes:
    return b'"%s":' % field.json_name.encode()


def long_varint(data: bytes, pos: int) -> tuple[int, int]:
    """A varint of several bytes, and where it ends."""
    second = data[pos + 1]
    if 0 < second < 128:  # most are lengths up to 16 KiB
        return data[pos] & 0x7F | second << 7, pos + 2
    value = shift = 0
    while data[pos] > 127:
        value |= (data[pos] & 0x7F) << shift
        shift += 7
        pos += 1
        if shift > 63:
            raise Unusual
    value |= data[pos] << shift
    if data[pos] == 0 or value >> 64:  # longer than needed, or too large
        raise Unusual
    return value, pos + 1


def varint(value: int) -> bytes:
    """A varint as serialisers write it."""
    written = bytearray()
    while value > 127:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def scalar(field: Any) -> tuple[int, Reader] | None:
    """The wire type and the reader of a field that is not a message; None when no reader is made for it."""
    if field.is_repeated:
        return _repeated(field)
    name, present = label(field), field.has_presence
    if field.type in FIXED:
        wire_type, layout, form = FIXED[field.type]
        return wire_type, _fixed(Struct(layout), form, name, present)
    if field.type in VARINTS:
        return VARINT, _varint(VARINTS[field.type], name, present)
    text = _text_form(field)
    return text and (DELIMITED, delimited(text, name, present))


def _repeated(field: Any) -> tuple[int, Reader] | None:
    if field.type == FieldDescriptor.TYPE_STRING and field.number < 16:
        return DELIMITED, run(string, label(field), tag(field, DELIMITED))
    if field.type in FIXED:
        _, layout, form = FIXED[field.type]
        return DELIMITED, delimited(_packed_fixed(layout, form), label(field), present=False)
    if field.type in VARINTS:
        return DELIMITED, delimited(_packed_varints(VARINTS[field.type]), label(field), present=False)
    return None


# Readers


def _fixed(layout: Struct, form: Form, name: bytes, present: bool) -> Reader:
    unpack, width = layout.unpack_from, layout.size

    def read(data: bytes, pos: int, end: int) -> tuple[bytes, int]:
        (value,) = unpack(data, pos)
        return (name + form(value) if value or present else b""), pos + width

    return read


def _varint(form: Form, name: bytes, present: bool) -> Reader:
    def read(data: bytes, pos: int, end: int) -> tuple[bytes, int]:
        value = data[pos]
        pos += 1
        if value > 127:
            value, pos = long_varint(data, pos - 1)
        return (name + form(value) if value or present else b""), pos

    return read


def delimited(form: Form, name: bytes, present: bool) -> Reader:
    def read(data: bytes, pos: int, end: int) -> tuple[bytes, int]:
        size = data[pos]
        start = pos + 1
        if size > 127:
            size, start = long_varint(data, pos)
        value = form(data[start : start + size]) if size or present else b""
        return (name + value if value else b""), start + size

    return read


def run(form: Form, name: bytes, own_tag: int) -> Reader:
    """All members of a repeated field that stand behind one another, each by itself."""

    def read(data: bytes, pos: int, end: int) -> tuple[bytes, int]:
        members: list[bytes] = []
        while True:
            size = data[pos]
            start = pos + 1
            if size > 127:
                size, start = long_varint(data, pos)
            pos = start + size
            members.append(form(data[start:pos]))
            if pos >= end or data[pos] != own_tag:
                return b"%s[%s]" % (name, b",".join(members)), pos
            pos += 1

    return read


# Values


def string(raw: bytes) -> bytes:
    return encode(raw.decode())


def _base64(raw: bytes) -> bytes:
    return b'"%s"' % base64_text(raw).encode()


def _id(length: int) -> Form:
    """Lowercase hex; an id of zeros is no id."""

    def form(raw: bytes) -> bytes:
        if len(raw) not in (0, length):
            raise Unusual
        return b'"%s"' % raw.hex().encode() if any(raw) else b""

    return form


def _text_form(field: Any) -> Form | None:
    if field.name in ID_BYTES:
        return _id(ID_BYTES[field.name])
    return {FieldDescriptor.TYPE_STRING: string, FieldDescriptor.TYPE_BYTES: _base64}.get(field.type)


def _packed_fixed(layout: str, form: Form) -> Form:
    def pack(raw: bytes) -> bytes:
        return b"[%s]" % b",".join([form(value) for (value,) in iter_unpack(layout, raw)]) if raw else b""

    return pack


def _packed_varints(form: Form) -> Form:
    def pack(raw: bytes) -> bytes:
        members, pos = [], 0
        while pos < len(raw):
            value, pos = (raw[pos], pos + 1) if raw[pos] < 128 else long_varint(raw, pos)
            members.append(form(value))
        return b"[%s]" % b",".join(members) if members else b""

    return pack


def _double(value: float) -> bytes:
    return encode(double(value))


def _boolean(value: int) -> bytes:
    return b"true" if value else b"false"


def _integer(bits: int, signed: bool = False) -> Form:
    """A non-negative integer of so many bits; of a zigzag-coded one, the sign is the lowest bit."""

    def form(value: int) -> bytes:
        if value >> bits:
            raise Unusual
        return b"%d" % (value >> 1 ^ -(value & 1) if signed else value)

    return form


def _signed(value: int) -> bytes:
    return b'"%d"' % (value - (1 << 64) if value >> 63 else value)


NUMBER, QUOTED = b"%d".__mod__, b'"%d"'.__mod__

FIXED: dict[int, tuple[int, str, Form]] = {
    FieldDescriptor.TYPE_DOUBLE: (FIXED64, "<d", _double),
    FieldDescriptor.TYPE_FIXED64: (FIXED64, "<Q", QUOTED),
    FieldDescriptor.TYPE_SFIXED64: (FIXED64, "<q", QUOTED),
    FieldDescriptor.TYPE_FIXED32: (FIXED32, "<I", NUMBER),
}
VARINTS: dict[int, Form] = {
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_ENUM: _integer(31),  # negative ones are left to the reference
    FieldDescriptor.TYPE_INT32: _integer(31),
    FieldDescriptor.TYPE_UINT32: _integer(32),
    FieldDescriptor.TYPE_SINT32: _integer(32, signed=True),
    FieldDescriptor.TYPE_INT64: _signed,
    FieldDescriptor.TYPE_UINT64: QUOTED,
}
