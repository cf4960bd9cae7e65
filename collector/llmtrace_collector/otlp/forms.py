"""Messages as JSON fragments straight from their bytes, without messages and dictionaries in between: for `lines.py`.

What SDKs send is regular: each field once, lists in one piece, attributes whose keys and most of whose values come
again and again. Every message type has a writer built from its descriptor, which walks the bytes once, and short
attributes are remembered. The walk sees every byte, so a fragment is also the proof that the bytes are valid.

Whatever is unusual (a field that is not known, comes twice or in two pieces, deep nesting, an id of wrong length,
malformed bytes) is not decided here: it raises one of `UNDECIDED`.
"""

from __future__ import annotations

from functools import cache
from struct import error
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from llmtrace_collector.otlp.wire_fields import (
    DELIMITED,
    Unusual,
    delimited,
    label,
    run,
    scalar,
    string,
    tag,
    varint,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.otlp.wire_fields import Form, Reader

    Table = dict[int, tuple[int, Reader]]

KEY_VALUE, ANY_VALUE = KeyValue.DESCRIPTOR.full_name, AnyValue.DESCRIPTOR.full_name
LEVELS = 8  # of arrays and maps in one another; protobuf refuses some 40
REMEMBERED = 4096  # fragments of messages of less than 128 bytes: a few megabytes at most
VALUES = 64  # of one attribute that are remembered
UNDECIDED = (Unusual, KeyError, IndexError, UnicodeDecodeError, error)


class Memo(dict[Any, Any]):
    """Remembers what `make` made of something, and forgets everything when that is too much."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, source: Any) -> Any:
        made = self.make(source)
        if len(self) >= REMEMBERED:
            self.clear()
        self[source] = made
        return made


class Layout:
    """How the messages of a type are written: through slots, one for each field or oneof, as they are declared.

    `blanks` is what the slots of an empty message hold; `table` has for each tag the slot and the reader that fills it.
    """

    def __init__(self, descriptor: Any, levels: int) -> None:
        self.blanks: list[Any] = []
        self.slots: dict[str, int] = {}
        self.table: Table = {}
        for field in descriptor.fields:
            self._add(field, levels)

    def _add(self, field: Any, levels: int) -> None:
        slot = self.slots.setdefault((field.containing_oneof or field).name, len(self.slots))
        if slot == len(self.blanks):
            self.blanks.append(_blank(field, levels))
        found = scalar(field) if field.message_type is None else _message_reader(field, levels)
        if found is not None:
            wire_type, read = found
            self.table[tag(field, wire_type)] = slot, read

    def fill(self, slots: list[Any], table: Table, data: bytes, pos: int, end: int) -> list[Any]:
        """Reads the fields between `pos` and `end`, those that `table` has, into the slots."""
        blanks = self.blanks
        while pos < end:
            key = data[pos]
            pos += 1
            if key > 127:
                key |= data[pos] << 8
                pos += 1
            slot, read = table[key]
            fragment, pos = read(data, pos, end)
            if slots[slot] != blanks[slot]:
                raise Unusual
            slots[slot] = fragment
        if pos != end:
            raise Unusual
        return slots


def _blank(field: Any, levels: int) -> bytes:
    """An absent field: a single sub-message that is no member of a oneof is written all the same, as in every line."""
    if field.message_type is None or field.is_repeated or field.containing_oneof:
        return b""
    return label(field) + form(field.message_type, levels)(b"")


def _message_reader(field: Any, levels: int) -> tuple[int, Reader] | None:
    """The reader of a sub-message or a list of them; None where arrays and maps nest too deep."""
    if field.containing_type.full_name == ANY_VALUE:
        levels -= 1
    if levels < 0 or (field.is_repeated and field.number > 15):  # runs are recognised by tags of one byte
        return None
    write = form(field.message_type, levels)
    if field.is_repeated:
        return DELIMITED, run(write, label(field), tag(field, DELIMITED))
    return DELIMITED, delimited(write, label(field), present=True)


@cache
def _layout(descriptor: Any, levels: int) -> Layout:
    return Layout(descriptor, levels)


@cache
def form(descriptor: Any, levels: int) -> Form:
    """The writer of a message type in which arrays and maps may nest `levels` deep."""
    if descriptor.full_name == KEY_VALUE:
        return attributes(levels).__getitem__
    return {ANY_VALUE: _any_value}.get(descriptor.full_name, _message)(_layout(descriptor, levels))


def _message(layout: Layout) -> Form:
    blanks, table, fill = layout.blanks, layout.table, layout.fill

    def write(raw: bytes) -> bytes:
        return b"{%s}" % b",".join(filter(None, fill(blanks.copy(), table, raw, 0, len(raw))))

    return write


def _any_value(layout: Layout) -> Form:
    """It has one member, or none."""
    table = layout.table

    def write(raw: bytes) -> bytes:
        return b"{%s}" % _member(table, raw) if raw else b"{}"

    return write


def _member(table: Table, raw: bytes) -> bytes:
    """The only field of a message."""
    fragment: bytes
    _, read = table[raw[0]]
    fragment, end = read(raw, 1, len(raw))
    if end != len(raw):
        raise Unusual
    return fragment


# Attributes


KEY_TAG, VALUE_TAG = (tag(KeyValue.DESCRIPTOR.fields_by_name[name], DELIMITED) for name in ("key", "value"))
STRING_TAG = tag(AnyValue.DESCRIPTOR.fields_by_name["string_value"], DELIMITED)
MAX_HEADER = 12  # two tags and two lengths of less than 4 GiB


class Key:
    """How the attributes of a key begin, with a string and with another value, and how many more are remembered."""

    __slots__ = ("left", "other", "string")

    def __init__(self, name: bytes) -> None:
        self.string = b'{"key":%s,"value":{"stringValue":' % name
        self.other = b'{"key":%s,"value":{' % name
        self.left = VALUES


def _key(head: bytes) -> Key | None:
    """From what should be the field `key`, of less than 128 bytes."""
    usual = 2 < len(head) < 130 and head[0] == KEY_TAG and len(head) == head[1] + 2
    return Key(string(head[2:])) if usual else None


def _string_header(room: int) -> bytes | tuple[()]:
    """What stands before the text when `room` bytes of an attribute are a string value and nothing else.

    There are sizes that no string value has; nothing starts with an empty tuple.
    """
    for width in range(4, min(room, MAX_HEADER) + 1):
        text = bytes([STRING_TAG]) + varint(room - width)
        header = bytes([VALUE_TAG]) + varint(len(text) + room - width) + text
        if len(header) == width:
            return header
    return ()


string_headers = Memo(_string_header)


class Attributes(dict[bytes, bytes]):
    """Attributes as JSON, by their bytes. The short ones are remembered, whoever has them.

    Of a key that has many values (ids, counts of tokens) only the first ones are remembered: they would soon push out
    everything else, and are not met again.
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        table = _layout(AnyValue.DESCRIPTOR, levels).table
        self.general = _message(_layout(KeyValue.DESCRIPTOR, levels))
        self.names = Memo(_key)
        self.others = Memo(lambda raw: _member(table, raw) + b"}}")

    def __missing__(self, raw: bytes) -> bytes:
        end = len(raw)
        pos = raw[1] + 2 if end > 1 else 0
        key = self.names[raw[:pos]]
        if key is None:
            return self.general(raw)
        header = string_headers[end - pos]
        if raw.startswith(header, pos):
            fragment = b"".join((key.string, string(raw[pos + len(header) :]), b"}}"))
        elif end < 128 and end > pos + 2 and raw[pos] == VALUE_TAG and raw[pos + 1] == end - pos - 2:
            fragment = key.other + self.others[raw[pos + 2 :]]
        else:
            return self.general(raw)
        if key.left and end < 128:
            self._remember(key, raw, fragment)
        return fragment

    def _remember(self, key: Key, raw: bytes, fragment: bytes) -> None:
        if len(self) >= REMEMBERED:
            self.forget()
        key.left -= 1
        self[raw] = fragment

    def forget(self) -> None:
        self.clear()
        self.names.clear()


@cache
def attributes(levels: int) -> Attributes:
    """What is remembered of attributes in which arrays and maps may nest `levels` deep."""
    return Attributes(levels)
