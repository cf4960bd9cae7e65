"""The `file` exporter: one line of OTLP JSON per request, written before the request is answered.

No buffer of ours: a written line is in the kernel's hands, so killing the collector loses nothing acknowledged.
A disk that fills up in the middle of a line must leave no half of it; that is the only bookkeeping here.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from llmtrace_collector.errors import ConfigError, UnavailableError
from llmtrace_collector.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class FileExporter:
    """Appends lines to `path`, readable by its owner only; missing directories are created, with mode 0700.

    Without `append` the file is emptied first, as the official exporter does. A file that was moved or deleted
    meanwhile (log rotation) is created anew. Raises ConfigError when it cannot be opened.
    """

    def __init__(self, path: str, say: Callable[[str], None], *, append: bool) -> None:
        self.path = Path(path)
        self._outage = Outage(say)
        self._torn: tuple[int, int] | None = None  # start and end of a partly written line that is still in the file
        try:
            make_parents(self.path)
            self._open(FLAGS if append else FLAGS | os.O_TRUNC)
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from error

    def write(self, line: bytes) -> None:
        """Writes one whole line. Raises UnavailableError, with nothing of the line left behind, when it cannot."""
        try:
            self._follow()
            self._mend()
            self._append(line)
        except OSError as error:
            message = f"cannot write {self.path}: {error.strerror}"
            self._outage.begins(f"{message}; clients are asked to send again")
            raise UnavailableError(message) from error
        self._outage.ends(f"{self.path} can be written again")

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _open(self, flags: int) -> None:
        self._descriptor = os.open(self.path, flags, 0o600)
        status = os.fstat(self._descriptor)
        self._identity = (status.st_dev, status.st_ino)
        self._torn = None
        if (
            stat.S_ISREG(status.st_mode)
            and status.st_size
            and os.pread(self._descriptor, 1, status.st_size - 1) != b"\n"
        ):
            os.write(self._descriptor, b"\n")  # somebody's unfinished last line must not swallow our first

    def _follow(self) -> None:
        """Opens the file again when its path no longer leads to the one that is open."""
        with suppress(FileNotFoundError):
            status = os.stat(self.path)
            if (status.st_dev, status.st_ino) == self._identity:
                return
        previous = self._descriptor
        make_parents(self.path)
        self._open(FLAGS)
        os.close(previous)

    def _append(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            if written := len(line) - len(rest):
                end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
                self._torn = (end - written, end)
            with suppress(OSError):
                self._mend()  # if not now, then before the next line
            raise

    def _mend(self) -> None:
        """Cuts a partly written line off, unless another process wrote behind it."""
        if self._torn is None:
            return
        start, end = self._torn
        if os.fstat(self._descriptor).st_size == end:
            os.ftruncate(self._descriptor, start)
        self._torn = None


def make_parents(path: Path) -> None:
    """Creates the missing directories above `path`, private to their owner. Raises OSError."""
    for directory in reversed(path.absolute().parents):
        if not directory.exists():
            directory.mkdir(mode=0o700, exist_ok=True)
