"""AWS's binary frames (`application/vnd.amazon.eventstream`), in which Bedrock streams.

A frame is: length of the frame and of its headers (32 bits each), a CRC-32 of these eight bytes, headers, payload, a
CRC-32 of all that. Its headers say what it is; a reader gets one JSON object whose only key is that type, as botocore
shows it: `{"messageStop": {…}}`. An exception, which ends a stream that began with status 200, becomes
`{"error": {"type": …, "message": …}}`. Source: AWS's "event stream encoding" and botocore's `eventstream` module.
"""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec

from llmtrace_otel.wire import framing
from llmtrace_otel.wire.decode import loads
from llmtrace_otel.wire.framing import EventReader, Framing

PRELUDE = 12
"""Bytes of a frame's head."""
_CRC = 4
_SIZES = struct.Struct(">II").unpack_from
_CHECKSUM = struct.Struct(">I").unpack_from
_SMALLEST = PRELUDE + _CRC
_FAILURES = (b":exception-type", b":error-code")
"""Headers that only frames of a failure have."""
_WRONG_HEAD = "the head of a frame is damaged"
_WRONG_FRAME = "a frame's checksum is wrong"
_LARGEST_HEADERS = 128 * 1024
"""Bytes, as botocore has it."""
_LARGEST_PAYLOAD = 24 * 1024 * 1024
"""Bytes, as botocore has it; AWS promises at most 16 MiB."""
_VALUE_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value, by its type; 6 and 7 are preceded by their length."""


def starts_frame(start: bytes) -> bool:
    """Whether the first `PRELUDE` bytes of a body are the head of a frame; its checksum tells surely."""
    return len(start) >= PRELUDE and crc32(start[:8]) == _CHECKSUM(start, 8)[0]


class EventStream(Framing):
    """Cuts frames, checks their checksums, hands on their events. After a damaged frame nothing can be trusted.

    A reader's marks are looked for in the whole frame, where a type is not in quotes; exceptions are always told.
    """

    __slots__ = ("_awaited", "_block", "_headers")

    def __init__(self, reader: EventReader) -> None:
        super().__init__(reader)
        self._awaited = 0
        """Bytes of the frame whose end has not come."""
        self._block = b""
        self._headers: dict[str, str] = {}

    def _look(self, *, last: bool) -> None:
        super()._look(last=last)
        # A frame says how long it is: a look as soon as it is whole, so that nothing behind it is held.
        self._look_at = min(self._look_at, max(framing._LOOK_AFTER, self._awaited))

    def _cut(self, text: bytes, *, last: bool) -> bytes:
        # Once per frame of every stream: no more than its two lengths and its checksum, which is of its head too.
        at, end, self._awaited = 0, len(text), 0
        view, reader, hits = memoryview(text), self._reader, _positions(text, (*self._reader.marks, *_FAILURES))
        hit = hits.pop()
        while end - at >= PRELUDE and not self.broken:
            size, headers_size = _SIZES(text, at)
            stop = at + size
            if stop > end or size < _SMALLEST:
                self._await(text[at : at + PRELUDE], size, headers_size)
                break
            if crc32(view[at : stop - _CRC]) != _CHECKSUM(text, stop - _CRC)[0]:
                self._await(text[at : at + PRELUDE], size, headers_size)
                self.broken = self.broken or _WRONG_FRAME
            elif hit < stop or reader.every:
                while hit < stop:
                    hit = hits.pop()
                self._tell(text[at:stop], headers_size)
            at = stop
        return b"" if self.broken else text[at:]

    def _await(self, head: bytes, size: int, headers_size: int) -> None:
        """A frame that is not all there, or not as it was sent: its head tells which."""
        if starts_frame(head) and _is_possible(size, headers_size):
            self._awaited = size
        else:
            self.broken = _WRONG_HEAD

    def _tell(self, frame: bytes, headers_size: int) -> None:
        payload_at = PRELUDE + headers_size
        if not _is_possible(len(frame), headers_size):
            self.broken = _WRONG_HEAD
            return
        try:
            headers = self._headers_of(frame[PRELUDE:payload_at])
        except (IndexError, struct.error):
            self.broken = "a frame's headers are damaged"
            return
        payload = frame[payload_at:-_CRC]
        if headers.get(":message-type", "event") == "event":
            kind = headers.get(":event-type", "event")
            self._hand(b"".join((b"{", msgspec.json.encode(kind), b":", payload or b"null", b"}")))
        else:
            self._hand(_error(headers, payload))

    def _headers_of(self, block: bytes) -> dict[str, str]:
        if block != self._block:  # most frames have the headers of the one before
            self._headers, self._block = headers_of(block), block
        return self._headers


def _positions(text: bytes, marks: tuple[bytes, ...]) -> list[int]:
    """Where `text` has one of `marks`, the first place last, behind a place after its end."""
    found = [len(text) + 1]
    for mark in marks:
        hit = text.find(mark)
        while hit >= 0:
            found.append(hit)
            hit = text.find(mark, hit + 1)
    found.sort(reverse=True)
    return found


def _is_possible(size: int, headers_size: int) -> bool:
    payload_size = size - PRELUDE - headers_size - _CRC
    return headers_size <= _LARGEST_HEADERS and 0 <= payload_size <= _LARGEST_PAYLOAD


def headers_of(block: bytes) -> dict[str, str]:
    """The headers of a frame that are strings.

    Raises:
        IndexError, struct.error: the block ends inside a header, or has a value of an unknown type.
    """
    found, at = {}, 0
    while at < len(block):
        name_end = at + 1 + block[at]
        name, kind, at = block[at + 1 : name_end], block[name_end], name_end + 1
        if kind in (6, 7):
            (size,) = struct.unpack_from(">H", block, at)
            at += 2
        elif kind in _VALUE_SIZES:
            size = _VALUE_SIZES[kind]
        else:
            raise IndexError(f"no header type {kind}")
        if at + size > len(block):
            raise IndexError("a header goes past its block")
        if kind == 7:
            found[name.decode("utf-8", "replace")] = block[at : at + size].decode("utf-8", "replace")
        at += size
    return found


def _error(headers: dict[str, str], payload: bytes) -> bytes:
    told = loads(payload) if payload else None
    message = told.get("message") if isinstance(told, dict) else None
    error = {
        "type": headers.get(":exception-type") or headers.get(":error-code"),
        "message": message if isinstance(message, str) else headers.get(":error-message"),
    }
    return msgspec.json.encode({"error": error})
