"""One path that records are appended to: followed when it is moved, rotated when it is full, told of when it fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from llmtrace_collector.errors import UnavailableError
from llmtrace_collector.exporters.file_open import OpenFile
from llmtrace_collector.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.exporters.file_records import Records
    from llmtrace_collector.exporters.file_rotation import Backups

RETRY_SECONDS = 1.0
PRIVATE = 0o700


class Appender:
    """Appends to `path`; missing directories are created with `directory_mode`.

    `written` is told of each descriptor that is written to, for what was written to be synced to disk.
    """

    def __init__(
        self,
        path: Path,
        records: Records,
        say: Callable[[str], None],
        *,
        directory_mode: int = PRIVATE,
        backups: Backups | None = None,
        written: Callable[[int], None] | None = None,
    ) -> None:
        self.path = path
        self._records = records
        self._say = say
        self._directory_mode = directory_mode
        self._backups = backups
        self._written = written
        self._outage = Outage(say)
        self._untidy = Outage(say)
        self._file: OpenFile | None = None

    def open(self, *, empty: bool = False) -> OpenFile:
        """Opens what the path leads to now, in place of what is open. Raises OSError."""
        make_parents(self.path, self._directory_mode)
        file = OpenFile(self.path, self._records, empty=empty)
        self.close()
        self._file = file
        if file.cut:
            self._say(f"{self.path}: its last {file.cut} bytes were the beginning of a request, and are cut off")
        if file.fresh:
            self._name_written()
        if self._backups:
            self._tidy(self._backups.prune)
        return file

    def write(self, record: bytes) -> None:
        """Writes one whole record. Raises UnavailableError, with nothing of it left behind, when it cannot."""
        try:
            file = self._with_room_for(len(record))
            if self._written and file.regular:
                self._written(file.descriptor)
            file.append(record)
        except OSError as error:
            raise self._unavailable(error) from error
        self._outage.ends(f"{self.path} can be written again")

    def reopen(self) -> None:
        """Opens the file anew if its path no longer leads to the one that is open. Raises UnavailableError."""
        try:
            self._follow()
        except OSError as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Closes the file; the next record would open it again."""
        if self._file:
            self._file.close()
        self._file = None

    def _follow(self) -> OpenFile:
        if self._file and self._file.is_at(self.path):
            return self._file
        return self.open()

    def _with_room_for(self, length: int) -> OpenFile:
        file = self._follow()
        file.mend()
        if self._backups and file.size > 0 and file.size + length > self._backups.max_bytes:
            self._tidy(self._backups.move)
            file = self._follow()
        return file

    def _tidy(self, step: Callable[[], None]) -> None:
        """Moves or removes full files. Where that fails, what comes in is written all the same."""
        try:
            step()
        except FileNotFoundError:
            return  # another process that writes to this path was faster
        except OSError as error:
            self._untidy.begins(f"cannot rotate {self.path}: {error.strerror}; everything is written all the same")
        else:
            self._untidy.ends(f"{self.path} can be rotated again")

    def _unavailable(self, error: OSError) -> UnavailableError:
        message = f"cannot write {self.path}: {error.strerror}"
        self._outage.begins(f"{message}; clients are asked to send again")
        return UnavailableError(message, RETRY_SECONDS)

    def _name_written(self) -> None:
        """A new file outlives a power cut only when its name does, which is written in the directory."""
        if self._written:
            descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._written(descriptor)
            finally:
                os.close(descriptor)


def make_parents(path: Path, mode: int) -> None:
    """Creates the missing directories above `path`. Raises OSError."""
    for directory in reversed(path.absolute().parents):
        if not directory.exists():
            directory.mkdir(mode=mode, exist_ok=True)
