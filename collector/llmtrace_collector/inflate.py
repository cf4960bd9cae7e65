"""Request bodies as they arrive, decompressed chunk by chunk, never past a limit: a gzip bomb costs no memory."""

from __future__ import annotations

import zlib

from llmtrace_collector.errors import MalformedError, TooLargeError

WINDOW_BITS = {"gzip": 31, "deflate": 15}  # zlib's way to name the two containers
PLAIN = ("", "identity", "none")


class Body:
    """Collects one request body. `limit` is in bytes, after decompression.

    Raises MalformedError for an unknown Content-Encoding or damaged data, TooLargeError as soon as the limit is passed.
    """

    def __init__(self, content_encoding: str, limit: int) -> None:
        if content_encoding not in WINDOW_BITS and content_encoding not in PLAIN:
            raise MalformedError(f"unsupported Content-Encoding {content_encoding!r}; use gzip, deflate or none")
        self._encoding = content_encoding
        self._limit = limit
        self._inflater = self._new_inflater()
        self._collected = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Adds one chunk as it came from the network."""
        try:
            self._take(chunk)
        except zlib.error as error:
            raise MalformedError(f"the body is not valid {self._encoding}: {error}") from error

    def end(self) -> bytes:
        """The whole body. Raises MalformedError when compressed data stops before its end."""
        if self._inflater is not None and not self._inflater.eof:
            raise MalformedError(f"the {self._encoding} body is truncated")
        return bytes(self._collected)

    def _take(self, chunk: bytes) -> None:
        if self._inflater is None:
            return self._collect(chunk)
        while chunk:
            if self._inflater.eof:  # gzip allows several members, one after the other
                self._inflater = self._new_inflater()
                assert self._inflater is not None
            room = self._limit - len(self._collected) + 1  # one byte more than allowed tells that there is more
            self._collect(self._inflater.decompress(chunk, room))
            chunk = self._inflater.unconsumed_tail or self._inflater.unused_data
        return None

    def _collect(self, data: bytes) -> None:
        if len(self._collected) + len(data) > self._limit:
            raise TooLargeError(f"the body is larger than {self._limit} bytes")
        self._collected += data

    def _new_inflater(self) -> zlib._Decompress | None:
        return zlib.decompressobj(WINDOW_BITS[self._encoding]) if self._encoding in WINDOW_BITS else None
