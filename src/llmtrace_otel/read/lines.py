"""Files as numbered lines: plain or gzip, a path or standard input, whole or cut short.

Gzip is recognised by its first bytes, not by the file's name, so that `llmtrace show - < traces.jsonl.gz` works too.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

BUFFER = 1 << 20  # bytes
GZIP_MAGIC = b"\x1f\x8b\x08"


class Problem(NamedTuple):
    """Something in a file that could not be read. Reading goes on after it where that is possible."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


def numbered_lines(path: str | os.PathLike[str], on_problem: Callable[[Problem], None]) -> Iterator[tuple[int, bytes]]:
    """Yields (number from 1, line with its end) of a file, `-` being standard input. OSError if it cannot be opened."""
    number = 0
    with _opened(path) as stream:
        try:
            for number, line in enumerate(_inflated(stream), 1):
                yield number, line
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            on_problem(Problem(number + 1, f"the gzip data is cut short or damaged ({error})"))


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    if os.fspath(path) == "-":
        yield sys.stdin.buffer  # not ours to close
        return
    with open(path, "rb", buffering=BUFFER) as stream:
        yield stream


def _inflated(stream: IO[bytes]) -> IO[bytes]:
    if isinstance(stream, io.BufferedReader) and stream.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC):
        return io.BufferedReader(_Gunzipped(stream), BUFFER)
    return stream


class _Gunzipped(io.RawIOBase):
    """Hands on whatever gzip has: of a file that is cut short, `GzipFile.read` throws away what came before the cut."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._gzip = gzip.GzipFile(fileobj=stream)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self._gzip.read1(len(view))
        view[: len(data)] = data
        return len(data)
