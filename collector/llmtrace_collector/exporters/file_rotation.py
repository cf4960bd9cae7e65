"""What `rotation` leaves behind: full files under names that tell when they were full, the oldest of them removed.

Names are those of the official exporter since it rotates with timberjack (`traces-2022-09-14T05-02-14.173-size.jsonl`);
the earlier ones, without the reason, are recognised. Moving takes no lock: a name is reserved by creating it, and the
full file is renamed onto the reservation, so that nothing is ever overwritten, nor away for a moment.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from llmtrace_collector.config.settings import Rotation

MIB = 1024 * 1024
STAMP = "%Y-%m-%dT%H-%M-%S.%f"
BACKUP = re.compile(r"-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3})(?:-[A-Za-z]\w*)?")


def now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


def stem_and_extension(name: str) -> tuple[str, str]:
    """A file name in two parts, as Go splits it: the extension is from the last dot on, even from the first letter."""
    stem, dot, extension = name.rpartition(".")
    return (stem, dot + extension) if dot else (name, "")


def is_backup_name(name: str) -> bool:
    """Whether a name is one that some other file could be given when it is full."""
    stem, _ = stem_and_extension(name)
    return re.search(f"{BACKUP.pattern}$", stem) is not None


class Backups:
    """The files that `path` was renamed to when it was full, which is at `max_bytes`."""

    def __init__(self, path: Path, rotation: Rotation) -> None:
        self.max_bytes = (rotation.max_megabytes or 100) * MIB  # 0 means the default, as it does officially
        self._path = path
        self._rotation = rotation
        self._stem, self._extension = stem_and_extension(path.name)

    def move(self) -> None:
        """Renames the full file. Raises OSError, with the file still in its place."""
        reserved = self._reserve()
        try:
            os.rename(self._path, reserved)
        except OSError:
            with suppress(OSError):
                reserved.unlink()
            raise

    def prune(self) -> None:
        """Removes what is older than `max_days` or more than `max_backups`. Raises OSError."""
        backups = self._newest_first()
        kept = self._rotation.max_backups or len(backups)
        days = self._rotation.max_days
        oldest = self._local(now() - timedelta(days=days)) if days else datetime.min
        for index, (moment, path) in enumerate(backups):
            if index >= kept or moment < oldest:
                path.unlink(missing_ok=True)

    def _reserve(self) -> Path:
        """A new name, created empty. A name that is taken makes way for the next millisecond's."""
        moment = self._local(now())
        while True:
            stamp = moment.strftime(STAMP)[:-3]
            path = self._path.with_name(f"{self._stem}-{stamp}-size{self._extension}")
            try:
                path.touch(0o600, exist_ok=False)
            except FileExistsError:
                moment += timedelta(milliseconds=1)
            else:
                return path

    def _newest_first(self) -> list[tuple[datetime, Path]]:
        name = re.compile(re.escape(self._stem) + BACKUP.pattern + re.escape(self._extension))
        found = []
        with os.scandir(self._path.parent) as entries:
            for entry in entries:
                if (match := name.fullmatch(entry.name)) and entry.is_file():
                    with suppress(ValueError):  # such as a month 13: not a backup
                        found.append((datetime.strptime(match[1], STAMP), self._path.with_name(entry.name)))
        return sorted(found, reverse=True)

    def _local(self, moment: datetime) -> datetime:
        """The time as backups are named by it, without its zone."""
        return (moment.astimezone() if self._rotation.localtime else moment).replace(tzinfo=None)
