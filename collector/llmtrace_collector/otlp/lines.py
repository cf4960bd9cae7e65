"""Lines of OTLP JSON straight from protobuf bytes, without messages and dictionaries in between.

What SDKs send is regular: each field once, lists in one piece, attributes whose keys and most of whose values come
again and again. `line_and_count` walks the bytes of such a request once and writes JSON as it goes: every message type
has a writer built from its descriptor, and fragments of short attributes are remembered. The walk sees every byte, so
an answer is also the proof that the request is valid.

Whatever is unusual (a field that is not known, comes twice or in two pieces, deep nesting, an id of wrong length,
malformed bytes) is not decided here: the answer is None, and the reference, `json_form.write` over the parsed message,
takes the request or refuses it. Where both answer, they write the same bytes.
"""

from __future__ import annotations

from functools import cache
from struct import Struct, error
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
    SummaryDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from llmtrace_collector.otlp.json_form import ID_BYTES
from llmtrace_collector.otlp.wire_fields import (
    DELIMITED,
    FIXED64,
    VARINT,
    Unusual,
    delimited,
    encode,
    label,
    long_varint,
    run,
    scalar,
    string,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.otlp.signals import Signal
    from llmtrace_collector.otlp.wire_fields import Form, Reader

    Table = dict[int, tuple[int, Reader]]

KEY_VALUE, ANY_VALUE, SPAN = (message.DESCRIPTOR.full_name for message in (KeyValue, AnyValue, Span))
ITEMS = {
    message.DESCRIPTOR.full_name
    for message in (
        Span,
        LogRecord,
        NumberDataPoint,
        HistogramDataPoint,
        ExponentialHistogramDataPoint,
        SummaryDataPoint,
    )
}
LEVELS = 8  # of arrays and maps in one another; protobuf refuses some 40
REMEMBERED = 4096  # fragments of messages of less than 128 bytes: a few megabytes at most
VALUES = 64  # of one attribute that are remembered
SHORT_SPAN = 100  # bytes, more than what `_span` reads in one go
NO_TRACE_ID, NO_SPAN_ID = bytes(16), bytes(8)
unpack_ids, unpack_times = Struct("<2s16s2s8s2s8s").unpack_from, Struct("<BBBQBQ").unpack_from


def line(signal: Signal, body: bytes) -> bytes | None:
    """A serialised export request as a line of OTLP JSON with its line feed; None when the reference must decide."""
    written = line_and_count(signal, body)
    return written and written[0]


def line_and_count(signal: Signal, body: bytes) -> tuple[bytes, int] | None:
    """The line, and how many items the request holds (spans, log records, data points). Never raises."""
    try:
        parts = envelope(signal.request.DESCRIPTOR)(body, 0, len(body))
    except (Unusual, KeyError, IndexError, UnicodeDecodeError, error):
        return None
    parts.append(b"\n")
    return b"".join(parts), parts.items


class Memo(dict[bytes, Any]):
    """Remembers what `make` made of some bytes, and forgets everything when that is too much."""

    def __init__(self, make: Callable[[bytes], Any]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, raw: bytes) -> Any:
        made = self.make(raw)
        if len(self) >= REMEMBERED:
            self.clear()
        self[raw] = made
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
    name, own_tag = label(field), tag(field, DELIMITED)
    if is_envelope(field.message_type):
        return DELIMITED, _envelopes(field)
    write = form(field.message_type, levels)
    if not field.is_repeated:
        return DELIMITED, delimited(write, name, present=True)
    if field.message_type.full_name in ITEMS:
        return DELIMITED, _items(write, name, own_tag)
    if field.message_type.full_name == KEY_VALUE:
        return DELIMITED, _attributes(write, attributes(levels), name, own_tag)
    return DELIMITED, run(write, name, own_tag)


# Messages below the items, and the items: their bytes in, JSON out


@cache
def _layout(descriptor: Any, levels: int) -> Layout:
    return Layout(descriptor, levels)


@cache
def form(descriptor: Any, levels: int) -> Form:
    """The writer of a message type in which arrays and maps may nest `levels` deep."""
    layout = _layout(descriptor, levels)
    make = {KEY_VALUE: _key_value, ANY_VALUE: _any_value, SPAN: _span}.get(descriptor.full_name, _message)
    return make(layout, levels)


def _message(layout: Layout, levels: int) -> Form:
    blanks, table, fill = layout.blanks, layout.table, layout.fill

    def write(raw: bytes) -> bytes:
        return b"{%s}" % b",".join(filter(None, fill(blanks.copy(), table, raw, 0, len(raw))))

    return write


def _any_value(layout: Layout, levels: int) -> Form:
    """It has one member, or none."""
    table = layout.table

    def write(raw: bytes) -> bytes:
        return b"{%s}" % _member(table, raw, 0) if raw else b"{}"

    return write


def _member(table: Table, raw: bytes, pos: int) -> bytes:
    """The only field that stands between `pos` and the end."""
    fragment: bytes
    _, read = table[raw[pos]]
    fragment, end = read(raw, pos + 1, len(raw))
    if end != len(raw):
        raise Unusual
    return fragment


def _key_value(layout: Layout, levels: int) -> Form:
    """Most are a key of less than 128 bytes and a value, and most values are strings."""
    general, table = _message(layout, levels), _layout(AnyValue.DESCRIPTOR, levels).table
    key_tag, value_tag = (tag(KeyValue.DESCRIPTOR.fields_by_name[name], DELIMITED) for name in ("key", "value"))
    string_tag = tag(AnyValue.DESCRIPTOR.fields_by_name["string_value"], DELIMITED)
    strings = Memo(lambda key: b'{"key":%s,"value":{"stringValue":' % string(key))
    others = Memo(lambda key: b'{"key":%s,"value":{' % string(key))

    def write(raw: bytes) -> bytes:
        end = len(raw)
        pos = raw[1] + 2 if end > 1 else end
        if pos + 3 > end or not 2 < pos < 130 or raw[0] != key_tag or raw[pos] != value_tag:
            return general(raw)
        start = pos + 2
        size = raw[pos + 1]
        if size > 127:
            size, start = long_varint(raw, pos + 1)
        if start + size != end or size < 2:
            return general(raw)
        if raw[start] != string_tag:
            return b"".join((others[raw[2:pos]], _member(table, raw, start), b"}}"))
        size = raw[start + 1]
        start += 2
        if size > 127:
            size, start = long_varint(raw, start - 1)
        if start + size != end:
            raise Unusual
        return b"".join((strings[raw[2:pos]], encode(raw[start:].decode()), b"}}"))

    return write


class Attributes:
    """Fragments of short attributes, whoever has them.

    Of a key that has many values (ids, counts of tokens) only the first ones are remembered: they would soon push out
    everything else, and are not met again.
    """

    def __init__(self, write: Form) -> None:
        self.write = write
        self.fragments: dict[bytes, bytes] = {}
        self.values: dict[bytes, int] = {}

    def remember(self, raw: bytes) -> bytes:
        fragment = self.write(raw)
        key = raw[: raw[1] + 2] if len(raw) > 1 else raw
        values = self.values.get(key, 0)
        if values < VALUES:
            if len(self.fragments) >= REMEMBERED:
                self.forget()
            self.fragments[raw] = fragment
            self.values[key] = values + 1
        return fragment

    def forget(self) -> None:
        self.fragments.clear()
        self.values.clear()


@cache
def attributes(levels: int) -> Attributes:
    """What is remembered of attributes in which arrays and maps may nest `levels` deep."""
    return Attributes(form(KeyValue.DESCRIPTOR, levels))


def _attributes(write: Form, memo: Attributes, name: bytes, own_tag: int) -> Reader:
    """As `run`, for the hottest of all lists."""
    known, remember = memo.fragments.get, memo.remember

    def read(data: bytes, pos: int, end: int) -> tuple[bytes, int]:
        members: list[bytes] = []
        add = members.append
        while True:
            size = data[pos]
            start = pos + 1
            if size < 128:
                pos = start + size
                raw = data[start:pos]
                add(known(raw) or remember(raw))
            else:
                size, start = long_varint(data, pos)
                pos = start + size
                add(write(data[start:pos]))
            if pos >= end or data[pos] != own_tag:
                return b"%s[%s]" % (name, b",".join(members)), pos
            pos += 1

    return read


def _span(layout: Layout, levels: int) -> Form:
    """Most spans have two or three ids, a short name, a kind, two times, attributes, and then little that differs."""
    general, slots, table = _message(layout, levels), layout.slots, layout.table
    fields = Span.DESCRIPTOR.fields_by_name
    trace_tag, span_tag, parent_tag = (bytes([tag(fields[name], DELIMITED), size]) for name, size in ID_BYTES.items())
    name_tag, attributes_tag = tag(fields["name"], DELIMITED), tag(fields["attributes"], DELIMITED)
    times = ("kind", VARINT), ("start_time_unix_nano", FIXED64), ("end_time_unix_nano", FIXED64)
    time_tags = tuple(tag(fields[name], wire_type) for name, wire_type in times)
    read_attributes = table[attributes_tag][1]
    later = {own: entry for own, entry in table.items() if entry[0] > slots["attributes"] or entry[0] == slots["flags"]}
    names: Memo = Memo(lambda raw: string(raw).decode())

    def around(tail: bytes) -> tuple[bytes, bytes]:
        """What the bytes behind a span's attributes put before its name and after its attributes."""
        filled = layout.fill(layout.blanks.copy(), later, tail, 0, len(tail))
        before, after = filled[: slots["name"]], filled[slots["attributes"] + 1 :]
        return b",".join([b"", *filter(None, before)]), b",".join([b"", *filter(None, after)]) + b"}"

    tails = Memo(around)

    def write(raw: bytes) -> bytes:
        end = len(raw)
        if end < SHORT_SPAN:
            return general(raw)
        a, trace_id, b, span_id, c, parent_id = unpack_ids(raw)
        if a != trace_tag or b != span_tag or trace_id == NO_TRACE_ID or span_id == NO_SPAN_ID:
            return general(raw)
        ids = f'{{"traceId":"{trace_id.hex()}","spanId":"{span_id.hex()}"'
        pos = 28
        if c == parent_tag and parent_id != NO_SPAN_ID:
            ids = f'{ids},"parentSpanId":"{parent_id.hex()}"'
            pos = 38
        size, start = raw[pos + 1], pos + 2
        after_name = start + size
        if raw[pos] != name_tag or not 0 < size < 128 or after_name + 21 > end:
            return general(raw)
        a, kind, b, began, c, ended = unpack_times(raw, after_name)
        if (a, b, c) != time_tags or not (0 < kind < 128 and began and ended) or raw[after_name + 20] != attributes_tag:
            return general(raw)
        name = names[raw[start:after_name]]
        named = f',"name":{name},"kind":{kind},"startTimeUnixNano":"{began}","endTimeUnixNano":"{ended}",'
        fragment, pos = read_attributes(raw, after_name + 21, end)
        if pos > end:
            raise Unusual
        before, after = tails[raw[pos:]] if end - pos < 128 else around(raw[pos:])
        return b"".join((ids.encode(), before, named.encode(), fragment, after))

    return write


# Messages above the items: in pieces, because copying them level by level costs as much as writing them


class Parts(list[bytes]):
    """JSON in pieces; `items` counts the items in it."""

    items = 0

    def add(self, piece: bytes | Parts) -> None:
        if isinstance(piece, Parts):
            self += piece
            self.items += piece.items
        else:
            self.append(piece)


@cache
def is_envelope(descriptor: Any) -> bool:
    """Whether messages of this type hold items, at whatever depth."""
    if descriptor.full_name in (KEY_VALUE, ANY_VALUE):
        return False
    held = [field.message_type for field in descriptor.fields if field.message_type is not None]
    return any(message.full_name in ITEMS or is_envelope(message) for message in held)


@cache
def envelope(descriptor: Any) -> Callable[[bytes, int, int], Parts]:
    """The writer of an envelope, which takes all bytes, and where the envelope begins and ends."""
    layout = Layout(descriptor, LEVELS)

    def write(data: bytes, pos: int, end: int) -> Parts:
        parts = Parts([b"{"])
        for fragment in filter(None, layout.fill(layout.blanks.copy(), layout.table, data, pos, end)):
            if len(parts) > 1:
                parts.append(b",")
            parts.add(fragment)
        parts.append(b"}")
        return parts

    return write


def _items(write: Form, name: bytes, own_tag: int) -> Reader:
    """As `run`, in pieces: the items are most of the line."""

    def read(data: bytes, pos: int, end: int) -> tuple[Parts, int]:
        parts = Parts([name + b"["])
        while True:
            size = data[pos]
            start = pos + 1
            if size > 127:
                size, start = long_varint(data, pos)
            pos = start + size
            parts.append(write(data[start:pos]))
            parts.items += 1
            if pos >= end or data[pos] != own_tag:
                parts.append(b"]")
                return parts, pos
            parts.append(b",")
            pos += 1

    return read


def _envelopes(field: Any) -> Reader:
    """The reader of envelopes in an envelope, of one or of all that stand behind one another."""
    write, name, own_tag = envelope(field.message_type), label(field), tag(field, DELIMITED)
    opening, closing = (b"[", b"]") if field.is_repeated else (b"", b"")

    def read(data: bytes, pos: int, end: int) -> tuple[Parts, int]:
        parts = Parts([name + opening])
        while True:
            size = data[pos]
            start = pos + 1
            if size > 127:
                size, start = long_varint(data, pos)
            pos = start + size
            parts.add(write(data, start, pos))
            if pos >= end or data[pos] != own_tag:
                parts.append(closing)
                return parts, pos
            if not field.is_repeated:
                raise Unusual
            parts.append(b",")
            pos += 1

    return read
