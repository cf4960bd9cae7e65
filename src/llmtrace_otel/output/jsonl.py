"""Spans to a file without a collector: each one a line, written whole as it ends.

One `os.write` on an `O_APPEND` descriptor is atomic on local file systems, so any number of processes may share the
file, and a process that is killed keeps every span that ended. There is no buffer to flush and no lock that a fork
could leave locked.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from .encoding import encode
from .notice import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

OUTPUT_VARIABLE = "LLMTRACE_OUTPUT"
DEFAULT_OUTPUT = "traces.jsonl"

Identity = tuple[int, int, bool]


class LineFile:
    """An append-only file of lines, opened at the first one: mode 0600, missing directories made with 0700."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()  # the program may change its directory later
        self._opened: tuple[int, Identity | None] | None = None
        self._torn = False

    def write(self, line: bytes) -> None:
        """Append `line`, which ends with a newline, whole or not at all. Raises OSError."""
        descriptor = self._descriptor()
        if self._torn:
            line = b"\n" + line
        written = os.write(descriptor, line)
        if written < len(line):
            self._finish(descriptor, line, written)
        self._torn = False

    def close(self) -> None:
        """Close the file; a later `write` opens it again."""
        opened, self._opened = self._opened, None
        if opened and identity(opened[0]) == opened[1]:
            os.close(opened[0])

    def _descriptor(self) -> int:
        """The open file, opened again if the program closed all descriptors (daemons do) or the file was deleted."""
        if self._opened is None or identity(self._opened[0]) != self._opened[1]:
            make_private_directories(self.path.parent)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._opened = descriptor, identity(descriptor)
        return self._opened[0]

    def _finish(self, descriptor: int, line: bytes, written: int) -> None:
        """A full disk took only the start of the line: write the rest or take the start back."""
        try:
            while written < len(line):
                written += os.write(descriptor, line[written:])
        except OSError:
            self._torn = not took_back(descriptor, written)
            raise


def identity(descriptor: int) -> Identity | None:
    """Device and inode behind a descriptor and whether the file still has a name; None when it is closed."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_nlink > 0


def took_back(descriptor: int, count: int) -> bool:
    """Cut the last `count` bytes off, unless another process has appended after them."""
    with contextlib.suppress(OSError):
        end = os.lseek(descriptor, 0, os.SEEK_CUR)
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and os.fstat(descriptor).st_size == end:
            os.ftruncate(descriptor, end - count)
            return True
    return False


def make_private_directories(directory: Path) -> None:
    """Like `mkdir -p`, but no directory on the way is open to others."""
    if not directory.exists():
        make_private_directories(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


class JSONLSpanExporter(SpanExporter):
    """Appends each span as a line of OTLP/JSON; `OTEL_TRACES_EXPORTER=llmtrace_jsonl` selects it.

    `path` defaults to the variable LLMTRACE_OUTPUT, then to `traces.jsonl`. Never raises: the first failure is told in
    one line on stderr, and every later span tries again, so writing resumes when the disk has room.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._file = LineFile(path or os.environ.get(OUTPUT_VARIABLE) or DEFAULT_OUTPUT)
        self._said = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            for span in spans:
                self._file.write(encode(span))
        except Exception as error:
            self._say_once(error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file. Spans that end later are still written."""
        with contextlib.suppress(OSError):
            self._file.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True  # nothing is buffered

    def _say_once(self, error: Exception) -> None:
        if not self._said:
            self._said = True
            reason = getattr(error, "strerror", None) or repr(error)
            say(f"cannot write spans to {self._file.path}: {reason}; the program goes on without them")


class JSONLSpanProcessor(SpanProcessor):
    """Writes each sampled span on the thread that ends it, before `span.end()` returns."""

    def __init__(self, exporter: JSONLSpanExporter) -> None:
        self._exporter = exporter

    def on_end(self, span: ReadableSpan) -> None:
        if span.context and span.context.trace_flags.sampled:
            self._exporter.export((span,))

    def shutdown(self) -> None:
        self._exporter.shutdown()
