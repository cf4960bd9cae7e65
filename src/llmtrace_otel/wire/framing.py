"""How a stream is cut into events: Server-Sent Events, arriving in pieces of any size.

A stream's pieces are only collected; every few kilobytes the whole events among them are looked at together. With
content off a reader names the byte strings that mark the few events it needs, and those are found by plain searches:
nothing is done per chunk or per event that is not needed. Line ends may be LF, CRLF or CR, the space after `data:` is
optional, comments and unknown fields are skipped. Source: the HTML standard, "Server-sent events".
"""

from __future__ import annotations

import logging
from typing import Protocol

_log = logging.getLogger("llmtrace_otel")

_LOOK_AFTER = 16 * 1024
"""Bytes that are collected before a look. Small enough to stay flat in memory, large enough to be rare."""


class EventReader(Protocol):
    """A wire format's reader of one stream."""

    every: bool
    """Whether every event is wanted; it may turn false once the first events have told the identity."""

    @property
    def marks(self) -> tuple[bytes, ...]:
        """Byte strings, one of which is in each event that is needed when not every event is."""
        ...

    def event(self, data: bytes) -> None:
        """Reads the data of one event."""
        ...


class SSE:
    """Collects pieces, hands events to a reader. Holds at most `_LOOK_AFTER` bytes, or the largest event."""

    __slots__ = ("_look_at", "_pieces", "_reader", "_size")

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self._pieces: list[bytes] = []
        self._size = 0
        self._look_at = _LOOK_AFTER

    def feed(self, piece: bytes) -> int:
        """Takes a piece; returns how many bytes wait for the end of their event."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= self._look_at:
            self._look(last=False)
        return self._size

    def close(self) -> None:
        """The stream is over; an event without its blank line counts."""
        self._look(last=True)

    def _look(self, *, last: bool) -> None:
        text = b"".join(self._pieces)
        rest = b""
        if b"\r" in text:
            # A CR at the very end may be half of a CRLF: it waits for the next piece.
            if text.endswith(b"\r") and not last:
                text, rest = text[:-1], b"\r"
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not last:
            whole = text.rfind(b"\n\n") + 2
            text, rest = (text[:whole], text[whole:] + rest) if whole > 1 else (b"", text + rest)
        self._pieces = [rest] if rest else []
        self._size = len(rest)
        self._look_at = max(_LOOK_AFTER, 2 * len(rest))
        if text:
            self._read(text)

    def _read(self, text: bytes) -> None:
        reader, at, end = self._reader, 0, len(text)
        while reader.every and at < end:
            stop = text.find(b"\n\n", at)
            stop = end if stop < 0 else stop
            self._event(text[at:stop])
            at = stop + 2
        if at < end:
            for start, stop in marked(text, at, reader.marks):
                self._event(text[start:stop])

    def _event(self, event: bytes) -> None:
        data = data_of(event)
        if data:
            try:
                self._reader.event(data)
            except Exception:  # an event of a surprising shape loses itself, not the stream
                _log.debug("llmtrace: an event could not be read", exc_info=True)


def marked(text: bytes, at: int, marks: tuple[bytes, ...]) -> list[tuple[int, int]]:
    """The spans of the events of `text`, from `at` on, that hold one of `marks`, in order."""
    found = set()
    for mark in marks:
        hit = text.find(mark, at)
        while hit >= 0:
            before = text.rfind(b"\n\n", at, hit)
            start = at if before < 0 else before + 2
            stop = text.find(b"\n\n", hit)
            stop = len(text) if stop < 0 else stop
            found.add((start, stop))
            hit = text.find(mark, stop)
    return sorted(found)


def data_of(event: bytes) -> bytes:
    """The data of one event whose lines end in LF; empty for a comment or an event without data."""
    if event.startswith(b"data: ") and b"\n" not in event:  # the common case, by far
        return event[6:]
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)
