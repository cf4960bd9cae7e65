"""Lines of OTLP JSON straight from serialised requests.

Envelopes are read from the request's `skeleton`, what they hold is written by `forms`. Spans, which are most of what
comes, have a writer of their own: attributes are looked up in what was written before, and so is what differs little.

What `forms` leaves undecided is not decided here either: the answer is None, and the reference, `json_form.write` over
the parsed message, takes the request or refuses it. Where both answer, they write the same bytes.
"""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from llmtrace_collector.otlp import json_form
from llmtrace_collector.otlp.forms import LEVELS, UNDECIDED, Memo, attributes, form
from llmtrace_collector.otlp.skeleton import ITEMS, is_envelope, skeleton
from llmtrace_collector.otlp.wire_fields import encode, label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmtrace_collector.otlp.signals import Signal
    from llmtrace_collector.otlp.wire_fields import Form

    Parts = list[bytes]
    Put = Callable[[Any, Parts], int]  # writes a message, or one of its fields, and counts the items in it


def line(signal: Signal, body: bytes) -> bytes | None:
    """A serialised export request as a line of OTLP JSON with its line feed; None when the reference must decide."""
    written = line_and_count(signal, body)
    return written and written[0]


def line_and_count(signal: Signal, body: bytes) -> tuple[bytes, int] | None:
    """The line, and how many items the request holds (spans, log records, data points). Never raises."""
    parts: Parts = []
    descriptor = signal.request.DESCRIPTOR
    try:
        items = _envelope(descriptor)(skeleton(descriptor).FromString(body), parts)
    except (*UNDECIDED, DecodeError):
        return None
    parts.append(b"\n")
    return b"".join(parts), items


# Envelopes, in pieces: copying them level by level would cost as much as writing them. Behind every piece is a comma,
# and in place of the last one what closes the list or object.


@cache
def _envelope(descriptor: Any) -> Put:
    """The writer of a message that holds items."""
    puts = [_field(field) for field in descriptor.fields]

    def put(message: Any, parts: Parts) -> int:
        parts.append(b"{")
        items = sum([put(message, parts) for put in puts])
        if parts[-1] == b",":
            parts.pop()
        parts.append(b"}")
        return items

    return put


def _field(field: Any) -> Put:
    if field.message_type is None:
        return _scalar(field)
    if is_envelope(field.message_type):
        return _envelopes(field) if field.is_repeated else _one_envelope(field)
    return _list(field) if field.is_repeated else _message(field)


def _scalar(field: Any) -> Put:
    name, start = field.name, label(field)

    def put(message: Any, parts: Parts) -> int:
        if value := getattr(message, name):
            parts += (start, encode(value), b",")
        return 0

    return put


def _message(field: Any) -> Put:
    """It is written when it is absent, too."""
    name, start, write = field.name, label(field), form(field.message_type, LEVELS)

    def put(message: Any, parts: Parts) -> int:
        parts += (start, write(b"".join(getattr(message, name))), b",")
        return 0

    return put


def _list(field: Any) -> Put:
    name, start = field.name, label(field) + b"["
    write = span if field.message_type.full_name == SPAN else form(field.message_type, LEVELS)
    counts = field.message_type.full_name in ITEMS

    def put(message: Any, parts: Parts) -> int:
        members = getattr(message, name)
        if not members:
            return 0
        parts.append(start)
        for fragment in map(write, members):
            parts += (fragment, b",")
        parts[-1:] = (b"]", b",")
        return len(members) if counts else 0

    return put


def _envelopes(field: Any) -> Put:
    name, start, write = field.name, label(field) + b"[", _envelope(field.message_type)

    def put(message: Any, parts: Parts) -> int:
        members = getattr(message, name)
        if not members:
            return 0
        parts.append(start)
        items = 0
        for member in members:
            items += write(member, parts)
            parts.append(b",")
        parts[-1:] = (b"]", b",")
        return items

    return put


def _one_envelope(field: Any) -> Put:
    name, start, write = field.name, label(field), _envelope(field.message_type)

    def put(message: Any, parts: Parts) -> int:
        if not message.HasField(name):
            return 0
        parts.append(start)
        items = write(getattr(message, name), parts)
        parts.append(b",")
        return items

    return put


# Spans


SPAN = Span.DESCRIPTOR.full_name
NO_TRACE_ID, NO_SPAN_ID = bytes(16), bytes(8)
SHORT = 300  # characters of the texts that are remembered
often = attrgetter(
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "start_time_unix_nano",
    "end_time_unix_nano",
    "attributes",
    "events",
    "links",
)
seldom = attrgetter(
    "trace_state",
    "flags",
    "kind",
    "dropped_attributes_count",
    "dropped_events_count",
    "dropped_links_count",
    "status.code",
    "status.message",
)
DROPPED = slice(3, 6)  # counts of `seldom`; each stands behind its list, where that is written in one go
attribute = attributes(LEVELS).__getitem__
general, event, link = (form(message.DESCRIPTOR, LEVELS) for message in (Span, Span.Event, Span.Link))


def span(message: Any) -> bytes:
    """A span of a skeleton."""
    trace_id, span_id, parent_id, name, start, end, held, events, links = often(message)
    rest = seldom(message)
    usual = name and start and end and held and _are_ids(trace_id, span_id, parent_id)
    more = events or links
    if not usual or len(name) + len(rest[0]) + len(rest[-1]) > SHORT or (more and any(rest[DROPPED])):
        return general(message.SerializeToString())
    state, flags, kind, closing = _around[rest]
    parent = f',"parentSpanId":"{parent_id.hex()}"' if parent_id else ""
    head = (
        f'{{"traceId":"{trace_id.hex()}","spanId":"{span_id.hex()}"{state}{parent}{flags},"name":{_names[name]}{kind},'
        f'"startTimeUnixNano":"{start}","endTimeUnixNano":"{end}","attributes":['
    )
    lists = _lists((b"events", event, events), (b"links", link, links)) if more else b""
    return b"".join((head.encode(), b",".join(map(attribute, held[:])), b"]", lists, closing))


def _lists(*lists: tuple[bytes, Form, Iterable[bytes]]) -> bytes:
    fragments = [b',"%s":[%s]' % (name, b",".join(map(write, members))) for name, write, members in lists if members]
    return b"".join(fragments)


def _are_ids(trace_id: bytes, span_id: bytes, parent_id: bytes) -> bool:
    lengths_fit = len(trace_id) == 16 and len(span_id) == 8 and len(parent_id) in (0, 8)
    return lengths_fit and trace_id != NO_TRACE_ID and NO_SPAN_ID not in (span_id, parent_id)


def _fragments(values: tuple[Any, ...]) -> tuple[str, str, str, bytes]:
    """What spans with these values of `seldom` have behind their ids, the parent's id, the name and the attributes."""
    state, flags, kind, dropped_attributes, dropped_events, dropped_links, code, message = values
    written = json_form.write(
        Span(
            trace_state=state,
            flags=flags,
            kind=kind,
            dropped_attributes_count=dropped_attributes,
            dropped_events_count=dropped_events,
            dropped_links_count=dropped_links,
            status=Status(code=code, message=message),
        )
    )
    fragments = {key: f',"{key}":{encode(value).decode()}' for key, value in written.items()}
    state, own_flags, own_kind = (fragments.pop(key, "") for key in ("traceState", "flags", "kind"))
    return state, own_flags, own_kind, f"{''.join(fragments.values())}}}".encode()


_around = Memo(_fragments)
_names = Memo(lambda name: encode(name).decode())
