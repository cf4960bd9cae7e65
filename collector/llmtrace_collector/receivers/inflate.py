"""Request bodies as they arrive, decompressed piece by piece, never past a limit: a bomb costs no memory."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Protocol

import zstandard

from llmtrace_collector.errors import MalformedError, TooLargeError

PLAIN = ("", "identity", "none")
WINDOW_BITS = {"gzip": 31, "deflate": 15, "zlib": 15}  # zlib's way to name the two containers
ZSTD_WINDOW = 8 * 1024 * 1024
"""In bytes: what every decoder should have room for (RFC 8878, 3.1.1.1.2)."""


class Inflater(Protocol):
    """Decompresses one gzip member, zlib stream or zstd frame."""

    piece: int
    """In bytes: how much to feed at a time."""

    @property
    def eof(self) -> bool:
        """Whether the end was reached."""

    def inflate(self, data: bytes, room: int) -> tuple[bytes, bytes]:
        """What came out, and what of `data` is to be fed again or belongs to the next one."""


class Zlib:
    """A gzip member or a zlib stream."""

    piece = 16 * 1024  # of a flood of empty members the rest is copied for each

    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        """Whether the end was reached."""
        return self._stream.eof

    def inflate(self, data: bytes, room: int) -> tuple[bytes, bytes]:
        """What came out, `room` bytes at most, and the rest."""
        inflated = self._stream.decompress(data, room)
        return inflated, self._stream.unconsumed_tail or self._stream.unused_data


class Zstd:
    """A zstd frame."""

    piece = 512  # the library has no limit for what comes out; a block of 4 bytes may hold 128 KiB, so this 16 MiB

    def __init__(self) -> None:
        self._stream = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()

    @property
    def eof(self) -> bool:
        """Whether the end was reached."""
        return self._stream.eof

    def inflate(self, data: bytes, room: int) -> tuple[bytes, bytes]:
        """What came out, whatever its size, and the rest."""
        return self._stream.decompress(data), self._stream.unused_data


def new_inflater(encoding: str) -> Inflater:
    """One for the next member or frame."""
    return Zstd() if encoding == "zstd" else Zlib(WINDOW_BITS[encoding])


class Body:
    """Collects one request body. `limit` is in bytes, before and after decompression.

    Raises MalformedError for an unknown Content-Encoding or damaged data, TooLargeError as soon as the limit is passed.
    """

    def __init__(self, content_encoding: str, limit: int) -> None:
        if content_encoding not in (*PLAIN, *WINDOW_BITS, "zstd"):
            known = "gzip, deflate, zlib, zstd or none"
            raise MalformedError(f"unsupported Content-Encoding {content_encoding!r}; use {known}")
        self._encoding = content_encoding
        self._limit = limit
        self._inflater = None if content_encoding in PLAIN else new_inflater(content_encoding)
        self._fed = 0
        self._collected = BytesIO()

    def feed(self, chunk: bytes) -> None:
        """Adds one chunk as it came from the network."""
        self._fed += len(chunk)
        self._expect_at_most_limit(self._fed)
        if self._inflater is None:
            self._collected.write(chunk)
            return
        piece = self._inflater.piece
        try:
            for start in range(0, len(chunk), piece):
                self._inflater = self._inflate(self._inflater, chunk[start : start + piece])
        except (zlib.error, zstandard.ZstdError) as error:
            raise MalformedError(f"the body is not valid {self._encoding}: {error}") from error

    def end(self) -> bytes:
        """The whole body. Raises MalformedError when compressed data stops before its end."""
        if self._inflater is not None and not self._inflater.eof:
            raise MalformedError(f"the {self._encoding} body is truncated")
        return self._collected.getvalue()

    def _inflate(self, inflater: Inflater, data: bytes) -> Inflater:
        while data:
            if inflater.eof:  # gzip and zstd allow several, one after the other
                inflater = new_inflater(self._encoding)
            room = self._limit - self._collected.tell() + 1  # one byte more than allowed tells that there is more
            inflated, data = inflater.inflate(data, room)
            self._expect_at_most_limit(self._collected.tell() + len(inflated))
            self._collected.write(inflated)
        return inflater

    def _expect_at_most_limit(self, size: int) -> None:
        if size > self._limit:
            raise TooLargeError(f"the body is larger than {self._limit} bytes")
