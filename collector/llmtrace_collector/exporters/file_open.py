"""One open file that only ever grows by whole records, whatever happens to the disk or to the process.

A disk that fills up in the middle of a record must leave no half of it, and neither must a writer that is killed: what
it left torn was never acknowledged, and is cut off by the next one that has the file for itself. Processes that share a
file know of each other by a lock (`flock`); then nothing is cut, and an unfinished line of another is closed by a line
feed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from llmtrace_collector.exporters.file_records import Records

FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class OpenFile:
    """A file readable by its owner only. With `empty` what it held is thrown away, unless another collector or exporter
    has it open: that one has acknowledged what is there. Raises OSError.

    `cut` is how many bytes of a torn record were cut off, `fresh` whether the file held nothing. Only regular files
    are locked, mended and rotated; a pipe or a device is just written.
    """

    def __init__(self, path: Path, records: Records, *, empty: bool) -> None:
        self.descriptor = os.open(path, FLAGS, 0o600)
        status = os.fstat(self.descriptor)
        self.regular = stat.S_ISREG(status.st_mode)
        self.fresh = self.regular and not status.st_size
        self.cut = 0
        self._identity = (status.st_dev, status.st_ino)
        self._records = records
        self._end: int | None = None  # of our last record
        self._torn: tuple[int, int] | None = None  # start and end of a partly written record that is still in the file
        try:
            self._prepare(empty=empty)
        except OSError:
            os.close(self.descriptor)
            raise

    @property
    def size(self) -> int:
        """In bytes; 0 for a pipe or a device."""
        return os.fstat(self.descriptor).st_size if self.regular else 0

    def is_at(self, path: Path) -> bool:
        """Whether the path still leads to this file. Raises OSError when that cannot be told."""
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def append(self, record: bytes) -> None:
        """Writes one whole record, or nothing and raises OSError."""
        rest = memoryview(self._behind_others(record))
        written = 0
        try:
            while rest:
                count = os.write(self.descriptor, rest)
                rest = rest[count:]
                written += count
        except OSError:
            self._tear(written)
            raise
        if self.regular:
            self._end = os.lseek(self.descriptor, 0, os.SEEK_CUR)

    def mend(self) -> None:
        """Cuts a partly written record off, unless another process wrote behind it. Raises OSError."""
        if self._torn is None:
            return
        start, end = self._torn
        if self.size == end:
            os.ftruncate(self.descriptor, start)
        self._torn = None

    def close(self) -> None:
        """Lets go of the file."""
        with suppress(OSError):
            self.mend()
        os.close(self.descriptor)

    def _prepare(self, *, empty: bool) -> None:
        if not self.regular:
            return
        alone = self._lock()
        if empty and alone:
            os.ftruncate(self.descriptor, 0)
        elif alone:
            self._cut_torn_end()
        if self._records.shared:
            with suppress(OSError):
                fcntl.flock(self.descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _lock(self) -> bool:
        """Whether no other collector has the file open. Raises OSError when it has and they cannot share it."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not self._records.shared:
                raise BlockingIOError(errno.EWOULDBLOCK, "another process or exporter is writing it") from error
            return False
        return True

    def _cut_torn_end(self) -> None:
        size = self.size
        whole = self._records.whole(self.descriptor, size)
        if whole < size:
            os.ftruncate(self.descriptor, whole)
        self.cut = size - whole

    def _behind_others(self, record: bytes) -> bytes:
        """The record, behind a line feed when somebody left the last line unfinished: it must not swallow ours."""
        size = self.size
        if size in (0, self._end) or not self._records.shared or os.pread(self.descriptor, 1, size - 1) == b"\n":
            return record
        return b"\n" + record

    def _tear(self, written: int) -> None:
        if not written or not self.regular:
            return
        end = os.lseek(self.descriptor, 0, os.SEEK_CUR)
        self._torn = (end - written, end)
        with suppress(OSError):
            self.mend()  # if not now, then before the next record
