"""How a batch lies in a file: a line of JSON, or a length and a message. And where in a file the last whole one ends.

Lines are the OpenTelemetry file format. With `format: proto` or `compression: zstd` each request is preceded by its
length in four bytes, big-endian, and zstd compresses each by itself, as the official exporter does: to read it back,
read a length, read as many bytes, decompress them, parse an export request.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Protocol

import msgspec
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.config.settings import FileExporter
    from llmtrace_collector.otlp.batch import Batch

LINE_START = b'{"resource'
LENGTH_BYTES = 4
BLOCK = 65536
ZSTD_LEVEL = 3  # the official exporter's default
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PROTOBUF_MAGIC = b"\x0a"  # the first field of every export request, which is a message


class Records(Protocol):
    """One way to write batches behind one another."""

    shared: bool
    """Whether several processes may append to one file: a torn record of one does not hide those of the others."""

    def encode(self, batch: Batch) -> bytes:
        """The whole record. Raises MalformedError for an id of wrong length."""

    def whole(self, descriptor: int, size: int) -> int:
        """Where the last whole record of a file ends; what follows was torn when its writer was killed.

        Raises OSError when the file holds something else.
        """


class Lines:
    """OTLP JSON, a line per request."""

    shared = True

    def encode(self, batch: Batch) -> bytes:
        """The batch's line."""
        return batch.line

    def whole(self, descriptor: int, size: int) -> int:
        """A last line without line feed counts as torn only when it is the beginning of one of ours."""
        start = _last_line(descriptor, size)
        if not LINE_START.startswith(os.pread(descriptor, min(len(LINE_START), size - start), start)):
            return size
        return size if start == size or _is_json(os.pread(descriptor, size - start, start)) else start


class Frames:
    """Requests behind their lengths. `magic` is how every body begins."""

    shared = False

    def __init__(self, body: Callable[[Batch], bytes], magic: bytes) -> None:
        self._body = body
        self._magic = magic

    def encode(self, batch: Batch) -> bytes:
        """The batch's length and message."""
        body = self._body(batch)
        return len(body).to_bytes(LENGTH_BYTES, "big") + body

    def whole(self, descriptor: int, size: int) -> int:
        """Goes from length to length. A torn record that does not begin like ours is somebody else's data."""
        end, following = 0, _behind_frame(descriptor, 0)
        while following <= size:
            end, following = following, _behind_frame(descriptor, following)
        if not self._magic.startswith(os.pread(descriptor, len(self._magic), end + LENGTH_BYTES)):
            raise OSError(errno.EINVAL, "it does not hold requests behind their lengths")
        return end


def records(settings: FileExporter) -> Records:
    """The way to write that a configuration asks for."""
    as_json = settings.format == "json"
    if settings.compression:
        compress = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compress
        body = _json if as_json else _protobuf
        return Frames(lambda batch: compress(body(batch)), ZSTD_MAGIC)
    return Lines() if as_json else Frames(_protobuf, PROTOBUF_MAGIC)


def _json(batch: Batch) -> bytes:
    return batch.line.removesuffix(b"\n")


def _protobuf(batch: Batch) -> bytes:
    return batch.protobuf


def _behind_frame(descriptor: int, start: int) -> int:
    """Where the frame that begins at `start` ends, or would end; behind the file where nothing begins there."""
    return start + LENGTH_BYTES + int.from_bytes(os.pread(descriptor, LENGTH_BYTES, start), "big")


def _last_line(descriptor: int, size: int) -> int:
    """Where the text behind the last line feed begins."""
    end = size
    while end:
        start = max(0, end - BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.MsgspecError:
        return False
    return True
