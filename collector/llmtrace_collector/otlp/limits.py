"""How many messages a request may be made of, counted before they are built.

An empty span is two bytes on the wire and some hundred in memory, and an object while its ids are looked at: a body
within the limit for bodies could take all memory, and the event loop for a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmtrace_collector.errors import TooLargeError
from llmtrace_collector.otlp.signals import LOGS, METRICS, TRACES
from llmtrace_collector.otlp.wire_fields import DELIMITED, FIXED32, FIXED64, VARINT, Unusual, long_varint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmtrace_collector.otlp.signals import Signal

    Level = frozenset[int]

MOST = 500_000
"""Resources, scopes and items together: in 64 MiB these are of 134 bytes, less than a span without attributes needs."""
MOST_OBJECTS = 16 * MOST
"""Braces of a JSON body, those within its texts included."""

_ENVELOPES: tuple[Level, ...] = (frozenset({1}), frozenset({2}), frozenset({2}))
LEVELS = {
    TRACES: _ENVELOPES,
    LOGS: _ENVELOPES,
    METRICS: (*_ENVELOPES, frozenset({5, 7, 9, 10, 11}), frozenset({1})),  # the kinds of metrics, and data points
}
"""Fields whose messages are counted, from the request down to its items."""


def expect_few(signal: Signal, body: bytes) -> None:
    """Looks at a serialised export request. Raises TooLargeError; what is malformed is left to the parser."""
    if len(body) < 2 * MOST:
        return
    levels, counted = LEVELS[signal], 0
    spans = [(0, len(body), 0)]
    try:
        while spans:
            pos, end, level = spans.pop()
            for start, stop in _messages(body, pos, end, levels[level]):
                counted += 1
                if counted > MOST:
                    raise TooLargeError(f"the request is made of more than {MOST} messages; send fewer at a time")
                if level + 1 < len(levels):
                    spans.append((start, stop, level + 1))
    except (IndexError, Unusual):
        return


def expect_few_objects(body: bytes) -> None:
    """Looks at a JSON body. Raises TooLargeError."""
    if body.count(b"{") > MOST_OBJECTS:
        raise TooLargeError(f"the request has more than {MOST_OBJECTS} braces; send less at a time")


def _messages(data: bytes, pos: int, end: int, fields: Level) -> Iterator[tuple[int, int]]:
    """Where the messages in these fields begin and end."""
    while pos < end:
        key, pos = _varint(data, pos)
        kind = key & 7
        if kind == DELIMITED:
            size, pos = _varint(data, pos)
            if key >> 3 in fields:
                yield pos, pos + size
            pos += size
        elif kind == VARINT:
            _, pos = _varint(data, pos)
        else:  # of groups, which nothing writes, the content is counted as if it stood here
            pos += {FIXED64: 8, FIXED32: 4}.get(kind, 0)


def _varint(data: bytes, pos: int) -> tuple[int, int]:
    return (data[pos], pos + 1) if data[pos] < 128 else long_varint(data, pos)
