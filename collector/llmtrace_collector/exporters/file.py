"""The `file` exporter: a record per request, written before the request is answered.

No buffer of ours: what is written is in the kernel's hands, so killing the collector loses nothing acknowledged; with
`fsync` it is on disk, so a power cut does not either. `file_records` says what a record is, `file_open` keeps records
whole, `file_appender` follows and rotates a path, `file_groups` chooses among many, `file_commit` syncs.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from llmtrace_collector.errors import ConfigError, UnavailableError
from llmtrace_collector.exporters.file_appender import PRIVATE, RETRY_SECONDS, Appender, make_parents
from llmtrace_collector.exporters.file_commit import GroupCommit
from llmtrace_collector.exporters.file_groups import GroupPaths, folds_case, split
from llmtrace_collector.exporters.file_records import records
from llmtrace_collector.exporters.file_rotation import Backups
from llmtrace_collector.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmtrace_collector.config import settings as options
    from llmtrace_collector.otlp.batch import Batch


class FileExporter:
    """Appends every batch to the file that `settings` names, or to one per value of an attribute.

    Without `append` and `rotation` a single file is emptied at start, as the official exporter does; files of groups
    are always appended to. Everything is opened here, so that a mistake ends the start: raises ConfigError. What
    was made here and stayed empty is gone after `close`. `written_bytes` counts all that was written since.
    """

    durable = True

    def __init__(self, settings: options.FileExporter, say: Callable[[str], None]) -> None:
        if problem := check(settings):
            raise ConfigError(problem)
        self.path = settings.path
        self.wants_lines = settings.format == "json"
        self.written_bytes = 0
        self._made = False
        self._settings = settings
        self._say = say
        self._records = records(settings)
        self._commit = GroupCommit() if settings.fsync else None
        self._outage = Outage(say)
        self._appenders: OrderedDict[Path, Appender] = OrderedDict()  # the least recently used first
        self._paths: GroupPaths | None = None
        try:
            self._open()
        except OSError as error:
            what_to_do = "make it writable or choose another path"
            raise ConfigError(f"cannot write {settings.path}: {error.strerror}; {what_to_do}") from error

    def describe(self) -> str:
        """What it writes, for the line at start."""
        grouped = f", a file per {self._settings.group_by.resource_attribute}" if self._paths else ""
        return f"{self._settings.path}{grouped}"

    def start(self) -> None:
        """Nothing runs in the background before there is something to sync."""

    async def export(self, batch: Batch, *, kept: bool) -> None:
        """Returns when the batch is written, and with `fsync` on disk. Raises UnavailableError, MalformedError.

        Whether somebody else `kept` it makes no difference: an answer of 200 means that every file has the batch. When
        one group's file fails, those of other groups may have their part already, and get it again from the client.
        """
        for path, record in [(path, self._records.encode(part)) for path, part in self._targets(batch)]:
            self._at(path).write(record)
            self.written_bytes += len(record)
        if self._commit:
            await self._synced(self._commit)

    def reopen(self) -> None:
        """Opens what was moved away anew, for SIGHUP; what cannot be opened is said. Never raises."""
        for appender in self._appenders.values():
            try:
                appender.reopen()
            except UnavailableError:
                continue  # it is said, and tried again at every write

    async def close(self, timeout: float) -> None:
        """Gives a running sync `timeout` seconds, then closes the files."""
        if self._commit:
            await self._commit.close(timeout)
        while self._appenders:
            self._close_oldest()
        if self._made and not self.written_bytes:
            self._remove_if_empty()

    def _remove_if_empty(self) -> None:
        with suppress(OSError):
            if os.stat(self.path).st_size == 0:
                os.unlink(self.path)

    def _open(self) -> None:
        path = Path(self._settings.path)
        if not self._settings.group_by.enabled:
            self._made = not path.exists()
            self._at(path).open(empty=not (self._settings.append or self._settings.rotation))
            return
        directory = Path(self._settings.path.partition("*")[0] + "-").parent
        make_parents(directory / "-", self._directory_mode)
        rotated = self._settings.rotation is not None
        self._paths = GroupPaths(self._settings.path, folding=folds_case(directory), rotated=rotated)

    def _targets(self, batch: Batch) -> Iterable[tuple[Path, Batch]]:
        if self._paths is None:
            return [(Path(self._settings.path), batch)]
        groups = split(batch, self._settings.group_by.resource_attribute)
        return [(self._paths.of(value), part) for value, part in groups.items()]

    def _at(self, path: Path) -> Appender:
        """The appender for a path. Of too many the one that was not used for longest is closed."""
        if path not in self._appenders:
            if len(self._appenders) >= self._settings.group_by.max_open_files:
                self._close_oldest()
            self._appenders[path] = self._appender(path)
        self._appenders.move_to_end(path)
        return self._appenders[path]

    def _appender(self, path: Path) -> Appender:
        rotation = self._settings.rotation
        return Appender(
            path,
            self._records,
            self._say,
            directory_mode=self._directory_mode,
            backups=Backups(path, rotation) if rotation else None,
            written=self._commit.note if self._commit else None,
        )

    def _close_oldest(self) -> None:
        _, appender = self._appenders.popitem(last=False)
        appender.close()

    @property
    def _directory_mode(self) -> int:
        return self._settings.directory_permissions if self._settings.create_directory else PRIVATE

    async def _synced(self, commit: GroupCommit) -> None:
        try:
            await commit.wait()
        except OSError as error:
            message = f"cannot sync {self._settings.path} to disk: {error.strerror}"
            self._outage.begins(f"{message}; clients are asked to send again")
            raise UnavailableError(message, RETRY_SECONDS) from error
        self._outage.ends(f"{self._settings.path} is synced to disk again")


def check(settings: options.FileExporter) -> str | None:
    """What is wrong with a combination of settings, in the official exporter's order; None when nothing is."""
    rotation, group_by = settings.rotation, settings.group_by
    if not settings.path:
        return "path must not be empty"
    if settings.append and rotation:
        return "append and rotation exclude each other; rotation appends by itself, leave append out"
    if rotation and min(rotation.max_megabytes, rotation.max_days, rotation.max_backups) < 0:
        return "max_megabytes, max_days and max_backups of rotation must not be negative"
    return _check_groups(settings.path, group_by) if group_by.enabled else None


def _check_groups(path: str, group_by: options.GroupBy) -> str | None:
    if path.count("*") != 1:
        return f"path must contain exactly one * with group_by: {path}"
    if path.startswith("*"):
        return f"path must not start with * with group_by: write ./{path}"
    if not group_by.resource_attribute:
        return "resource_attribute of group_by must not be empty"
    if group_by.max_open_files < 1:
        return "max_open_files of group_by must be at least 1"
    return None
