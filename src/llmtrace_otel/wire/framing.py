"""How a stream is cut into events, whatever pieces it arrives in: Server-Sent Events, JSON lines, a JSON array.

A stream's pieces are only collected; every few kilobytes the whole events among them are looked at together. With
content off a reader names the byte strings that mark the few events it needs, and those are found by plain searches:
nothing is done per chunk or per event that is not needed. With content on a look's events are decoded together, by one
call, if they are as plain as nearly all are. AWS's binary frames are in `eventstream.py`.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, cast

_log = logging.getLogger("llmtrace_otel")

_UNREAD = "llmtrace: an event could not be read"
_LOOK_AFTER = 16 * 1024
"""Bytes that are collected before a look. Small enough to stay flat in memory, large enough to be rare."""

_NAMES = 8
"""How many names the events of one look may have, to be decoded together."""
_MOST_TOGETHER = 16 * _LOOK_AFTER
"""Bytes of events that are decoded together at most; a look at more holds some large ones, or a recorded stream."""


class EventReader(Protocol):
    """A wire format's reader of one stream."""

    every: bool
    """Whether every event is wanted; it may turn false once the first events have told the identity."""
    last: bool
    """Whether the last event is wanted too, marked or not: formats that count in every event count in full there."""

    @property
    def marks(self) -> tuple[bytes, ...]:
        """Byte strings, one of which is in each event that is needed when not every event is."""
        ...

    def event(self, data: bytes) -> None:
        """Reads the data of one event."""
        ...


class LinesReader(EventReader, Protocol):
    """A reader that can have many events decoded by one call."""

    lines: Callable[[bytes], list[Any] | None] | None
    """Decodes JSON documents, one in each line; gives `None` if one of them needs more care. `None` itself while not
    every event is wanted."""

    def take(self, event: Any) -> None:
        """Reads an event that `lines` has decoded, as `event` does."""
        ...


class Framing(ABC):
    """Collects pieces, hands events to a reader. Holds at most `_LOOK_AFTER` bytes, or the largest event."""

    __slots__ = ("_lines", "_look_at", "_pieces", "_reader", "_size", "_unread", "broken")

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self._lines: Callable[[bytes], list[Any] | None] | None = getattr(reader, "lines", None)
        self._pieces: list[bytes] = []
        self._size = 0
        self._look_at = _LOOK_AFTER
        self._unread = b""
        """The last event so far, if it has not been read and may be wanted."""
        self.broken: str | None = None
        """Why the rest of the stream cannot be read, if it cannot."""

    def feed(self, piece: bytes) -> int:
        """Takes a piece; returns how many bytes wait for the end of their event."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= self._look_at:
            self._look(last=False)
        return self._size

    def close(self) -> None:
        """The stream is over; a last event that nothing terminates counts where it is whole."""
        for last in (False, True):  # the last whole event, then one that nothing terminates
            if self._pieces:
                self._look(last=last)
            if self._unread:
                self._hand(self._unread)

    def _look(self, *, last: bool) -> None:
        text = b"".join(self._pieces)
        rest = b"" if self.broken else self._cut(text, last=last)
        self._pieces = [rest] if rest else []
        self._size = len(rest)
        self._look_at = max(_LOOK_AFTER, 2 * len(rest))

    @abstractmethod
    def _cut(self, text: bytes, *, last: bool) -> bytes:
        """Hands over the whole events of `text`; returns what is left."""

    def _offer(self, data: bytes) -> None:
        """Hands over an event if it is wanted."""
        if self._reader.every or self._is_marked(data):
            self._hand(data)
        elif self._reader.last:
            self._unread = data

    def _is_marked(self, data: bytes) -> bool:
        for mark in self._reader.marks:  # noqa: SIM110 - a generator costs more than all it finds
            if mark in data:
                return True
        return False

    def _hand(self, data: bytes) -> None:
        self._unread = b""
        try:
            self._reader.event(data)
        except Exception:  # an event of a surprising shape loses itself, not the stream
            _log.debug(_UNREAD, exc_info=True)


class Separated(Framing):
    """Events have a fixed byte string between them."""

    __slots__ = ()
    _GAP = b"\n"

    def _cut(self, text: bytes, *, last: bool) -> bytes:
        rest = b""
        if not last:
            whole = text.rfind(self._GAP) + len(self._GAP)
            text, rest = (text[:whole], text[whole:]) if whole >= len(self._GAP) else (b"", text)
        if text:
            self._read(text)
        return rest

    def _read(self, text: bytes) -> None:
        reader, gap, end = self._reader, self._GAP, len(text)
        at = self._read_together(text) if self._lines is not None and end <= _MOST_TOGETHER else 0
        while reader.every and at < end:
            stop = text.find(gap, at)
            stop = end if stop < 0 else stop
            self._event(text[at:stop])
            at = stop + len(gap)
        if at >= end:
            return
        read_to = at
        for start, stop in marked(text, at, reader.marks, gap):
            self._event(text[start:stop])
            read_to = stop
        if reader.last:
            self._keep_last(text.rstrip().removesuffix(gap), read_to)

    def _read_together(self, text: bytes) -> int:
        """Has the events of `text` decoded by one call, unless they need more care; gives how far it has read.

        The result is that of reading them one by one: `}`, a line's end and `{` follow each other nowhere in JSON, so
        that no two lines are one document, and as many documents as lines means one in each.
        """
        assert self._lines is not None
        end = text.rfind(b"}") + 1  # OpenAI's last event is a mere [DONE]
        if end != len(text) and not text.startswith(self._GAP, end):
            return 0
        lines, count = self._documents(text, end)
        events = self._lines(lines) if lines else None
        if events is None or len(events) != count:
            return 0
        self._unread = b""
        take = cast(LinesReader, self._reader).take
        for event in events:
            try:
                take(event)
            except Exception:  # as below
                _log.debug(_UNREAD, exc_info=True)
        return end

    def _documents(self, text: bytes, end: int) -> tuple[bytes, int]:
        """The data of the events up to `end`, a line each, and how many they are; nothing unless each is one object."""
        return b"", 0

    def _keep_last(self, text: bytes, after: int) -> None:
        if data := self._data(text[max(text.rfind(self._GAP), after) :].strip()):
            self._unread = data

    def _event(self, event: bytes) -> None:
        if data := self._data(event):
            self._hand(data)

    @abstractmethod
    def _data(self, event: bytes) -> bytes:
        """What of an event is read; empty for one that holds nothing."""


class NDJSON(Separated):
    """Events are lines, each a JSON document."""

    __slots__ = ()

    def _documents(self, text: bytes, end: int) -> tuple[bytes, int]:
        return one_a_line(text, end, b"", b"\n")

    def _data(self, event: bytes) -> bytes:
        return event.strip()


class SSE(Separated):
    """Events end with a blank line. Line ends may be LF, CRLF or CR, the space after `data:` is optional, comments
    and unknown fields are skipped. Source: the HTML standard, "Server-sent events"."""

    __slots__ = ()
    _GAP = b"\n\n"

    def _cut(self, text: bytes, *, last: bool) -> bytes:
        held = b""
        if b"\r" in text:
            # A CR at the very end may be half of a CRLF: it waits for the next piece.
            if text.endswith(b"\r") and not last:
                text, held = text[:-1], b"\r"
            text = with_lf(text)
        return super()._cut(text, last=last) + held

    def _documents(self, text: bytes, end: int) -> tuple[bytes, int]:
        if text.startswith(b"event: "):
            text = without_names(text[:end])
            end = len(text)
        return one_a_line(text, end, b"data: ", b"\n\ndata: ")

    def _data(self, event: bytes) -> bytes:
        return data_of(event)


_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
"""A string, whole or cut by the end of what has come, or a bracket."""
_OPENING = re.compile(rb"\{\r?\n")
_INDENTED = re.compile(rb'\s*\[(?:[ \t]*\r?\n)?\{\r?\n[ \t]+"')


class JSONArray(Separated):
    """Events are the objects of one JSON array.

    Google's servers indent: only an element's own closing brace begins a line then, as a JSON string has no line ends,
    and plain searches find the elements; `{}`, which says nothing, is skipped. Other arrays are scanned by brackets.
    """

    __slots__ = ("_at", "_depth", "_indented", "_start")
    _GAP = b"\n}"

    def __init__(self, reader: EventReader) -> None:
        super().__init__(reader)
        self._indented: bool | None = None
        self._at = 0
        self._depth = 0
        self._start = 0

    def _cut(self, text: bytes, *, last: bool) -> bytes:
        if self._indented is None:
            self._indented = _INDENTED.match(text) is not None
        if self._indented:
            return super()._cut(text, last=False)  # an element without its end is none
        return self._scan(text, last=last)

    def _data(self, event: bytes) -> bytes:
        opening = _OPENING.search(event)
        return event[opening.start() :] + self._GAP if opening else b""

    def _scan(self, text: bytes, *, last: bool) -> bytes:
        for token in _TOKEN.finditer(text, self._at):
            found, self._at = token[0], token.end()
            match found:
                case b"{" | b"[":
                    if self._depth == 1:
                        self._start = token.start()
                    self._depth += 1
                case b"}" | b"]":
                    self._depth -= 1
                    if self._depth == 1 and found == b"}":
                        self._offer(text[self._start : self._at])
                case _ if token.end() == len(text) and not last:  # a string that may go on
                    self._at = token.start()
        keep_from = self._start if self._depth > 1 else self._at
        self._at -= keep_from
        self._start = 0
        return text[keep_from:]


def marked(text: bytes, at: int, marks: tuple[bytes, ...], gap: bytes) -> list[tuple[int, int]]:
    """The spans of the events of `text`, from `at` on, that hold one of `marks`, in order; `gap` is between events."""
    found = set()
    for mark in marks:
        hit = text.find(mark, at)
        while hit >= 0:
            before = text.rfind(gap, at, hit)
            start = at if before < 0 else before + len(gap)
            stop = text.find(gap, hit)
            stop = len(text) if stop < 0 else stop
            found.add((start, stop))
            hit = text.find(mark, stop)
    return sorted(found)


def one_a_line(text: bytes, end: int, before: bytes, between: bytes) -> tuple[bytes, int]:
    """The objects up to `end`, with `before` and `between` around them, a line each, and their number; else nothing.

    Lengths tell the numbers: to count takes longer than to replace.
    """
    if not text.startswith(before + b"{"):
        return b"", 0
    text = text[len(before) : end]
    gaps, others = divmod(len(text) - len(text.replace(b"\n", b"")), between.count(b"\n"))
    lines = text.replace(b"}" + between + b"{", b"}\n{")
    if others or len(lines) != len(text) - gaps * (len(between) - 1):
        return b"", 0
    return lines, gaps + 1


def without_names(text: bytes) -> bytes:
    """`text` without the lines that name its events, if it has only a few names; lines end in LF."""
    text = b"\n" + text
    for _ in range(_NAMES):
        start = text.find(b"\nevent: ")
        stop = text.find(b"\n", start + 1)
        if start < 0 or stop < 0:
            break
        text = text.replace(text[start : stop + 1], b"\n")
    return text[1:]


def with_lf(text: bytes) -> bytes:
    """`text` with every line end, CRLF or CR, as LF."""
    bare = text.replace(b"\r", b"")
    if len(text) - len(bare) == text.count(b"\r\n"):  # much cheaper than replacing pairs
        return bare
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def data_of(event: bytes) -> bytes:
    """The data of one event whose lines end in LF; empty for a comment or an event without data."""
    if event[:6] == b"data: " and b"\n" not in event:  # the common cases, by far
        return event[6:]
    if event[:6] == b"event:":
        name, _, data = event.partition(b"\ndata: ")
        if b"\n" not in name and b"\n" not in data:
            return data
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)
