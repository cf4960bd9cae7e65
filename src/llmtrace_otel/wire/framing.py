"""How a stream is cut into events, whatever pieces it arrives in: Server-Sent Events, JSON lines, a JSON array.

A stream's pieces are only collected; every few kilobytes the whole events among them are looked at together. With
content off a reader names the byte strings that mark the few events it needs, and those are found by plain searches:
nothing is done per chunk or per event that is not needed. AWS's binary frames are in `eventstream.py`.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from typing import Protocol

_log = logging.getLogger("llmtrace_otel")

_LOOK_AFTER = 16 * 1024
"""Bytes that are collected before a look. Small enough to stay flat in memory, large enough to be rare."""


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


class Framing(ABC):
    """Collects pieces, hands events to a reader. Holds at most `_LOOK_AFTER` bytes, or the largest event."""

    __slots__ = ("_look_at", "_pieces", "_reader", "_size", "_unread", "broken")

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
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
            _log.debug("llmtrace: an event could not be read", exc_info=True)


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
        reader, gap, at, end = self._reader, self._GAP, 0, len(text)
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


def with_lf(text: bytes) -> bytes:
    """`text` with every line end, CRLF or CR, as LF."""
    bare = text.replace(b"\r", b"")
    if len(text) - len(bare) == text.count(b"\r\n"):  # much cheaper than replacing pairs
        return bare
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def data_of(event: bytes) -> bytes:
    """The data of one event whose lines end in LF; empty for a comment or an event without data."""
    if event.startswith(b"data: ") and b"\n" not in event:  # the common case, by far
        return event[6:]
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)
