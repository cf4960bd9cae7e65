"""Requests that wait on disk for their destination: one SQLite file, read lazily and in order.

What is put is committed before the client is answered, and removed after the destination has it; a killed collector
finds it again, and sends again what was on its way. A rollback journal that is kept is used rather than a write-ahead
log: the pages of a new request are written once and not journaled, which halves the cost of a request, and a full disk
can always be emptied. Without `fsync` commits are in the kernel's hands (they outlive the process), with it on disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from llmtrace_collector.errors import ConfigError, UnavailableError
from llmtrace_collector.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.config.settings import FileStorage

PRIVATE = 0o600
PAGE = 32 * 1024  # bytes; small pages make long chains of a large request
CACHE = 2 * 1024  # KiB
JOURNAL = 4 * 1024 * 1024  # bytes that the journal keeps between commits
RESERVE = 2 * 1024 * 1024  # bytes that it has from the start: on a full disk it must not grow for what is removed
REMOVED = 32  # requests that are removed in one commit; each may journal a page of its own
SPARE = 16 * 1024 * 1024  # bytes that an empty file may keep
AT_ONCE = 4 * 1024 * 1024  # bytes that are read in one go
SECONDS = 1.0  # after which a client whose request found no place may come again
FAILURES = (sqlite3.Error, OSError, OverflowError)  # the last for a request over 2 GiB
WRONG_FILE = ("file is not a database", "malformed", "no such table", "no such column", "encrypted")


@dataclass(slots=True)
class Totals:
    """What waits: requests, their items (spans, log records, data points) and bytes."""

    requests: int = 0
    items: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """One request as it lies on disk. Keys grow."""

    key: int
    items: int
    body: bytes


@dataclass(slots=True)
class _Put:
    """A request that a client waits to see committed."""

    body: bytes
    items: int
    key: int = 0
    committed: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def directory(storage: FileStorage, name: str) -> Path:
    """Where the queues of a file_storage extension live. Raises ConfigError when that cannot be."""
    path = Path(storage.directory)
    try:
        if storage.create_directory:
            path.mkdir(mode=storage.directory_permissions, parents=True, exist_ok=True)
        if path.is_dir():
            return path
    except OSError as error:
        raise ConfigError(f"extensions.{name}.directory: cannot create {path}: {error.strerror}") from error
    if path.exists():
        raise ConfigError(f"extensions.{name}.directory: {path} is not a directory")
    raise ConfigError(f"extensions.{name}.directory: {path} does not exist; make it, or set create_directory: true")


class Spool:
    """The requests of one exporter and signal. All disk work is in one thread; commits are shared by who waits.

    `changed` is called after every commit.
    """

    def __init__(self, folder: Path, component: str, *, fsync: bool, say: Callable[[str], None]) -> None:
        """Opens, or makes, the file that is named after the component. Raises ConfigError."""
        self.path = folder / f"{quote(component, safe='')}.db"
        self.changed: Callable[[], None] = _nothing
        self.totals = Totals()
        self._fsync = fsync
        self._say = say
        self._outage = Outage(say)
        self._puts: list[_Put] = []
        self._gone: list[Stored] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._next = 1
        self._file: sqlite3.Connection | None = self._open_first()

    async def put(self, body: bytes, items: int) -> Stored:
        """Returns when the request is committed. Raises UnavailableError when the disk does not take it."""
        put = _Put(body, items)
        self._puts.append(put)
        self._write_soon()
        await put.committed
        return Stored(put.key, items, body)

    def remove(self, stored: Stored) -> None:
        """Takes out what is settled, with the next commit; killed before it, the collector sends it again."""
        self._gone.append(stored)
        self._write_soon()

    async def read(self, after: int) -> list[Stored]:
        """The next requests behind a key, in order, about 4 MiB of them; empty when there are none, or unreadable."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, after)
        except FAILURES as error:
            self._outage.begins(f"cannot read {self.path}: {error}; it is read again when it was written")
            return []

    async def close(self) -> None:
        """Writes what is to be written, and closes the file."""
        while self._writer is not None and not self._writer.done():
            await asyncio.wait({self._writer})
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    # In the event loop

    def _write_soon(self) -> None:
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        """Commits all that gathered while the last commit was being made, until nothing did."""
        loop = asyncio.get_running_loop()
        while self._puts or self._gone:
            gone, self._gone = self._gone[:REMOVED], self._gone[REMOVED:]
            puts = self._take_puts()
            try:
                await loop.run_in_executor(self._thread, self._commit, puts, gone)
            except FAILURES as error:
                self._gone = gone + self._gone
                self._refuse(puts + self._take_puts(), error)
                if not (puts and gone):  # with puts, what is gone is tried again alone; otherwise at the next occasion
                    return
            else:
                self._accept(puts)
                self.changed()

    def _take_puts(self) -> list[_Put]:
        puts, self._puts = self._puts, []
        return [put for put in puts if not put.committed.cancelled()]

    def _accept(self, puts: list[_Put]) -> None:
        if puts:
            self._outage.ends(f"{self.path} can be written again")
        for put in puts:
            if not put.committed.done():
                put.committed.set_result(None)

    def _refuse(self, puts: list[_Put], error: Exception) -> None:
        line = f"cannot write {self.path}: {error}"
        self._outage.begins(f"{line}; requests are refused until it can be written")
        for put in puts:
            if not put.committed.done():
                put.committed.set_exception(UnavailableError(line, SECONDS))

    # In the thread

    def _read(self, after: int) -> list[Stored]:
        found: list[Stored] = []
        size = 0
        try:
            for row in self._opened().execute(
                "SELECT key, items, body FROM requests WHERE key > ? ORDER BY key", (after,)
            ):
                found.append(Stored(*row))
                size += len(found[-1].body)
                if size >= AT_ONCE:
                    break
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside(error)
        return found

    def _commit(self, puts: list[_Put], gone: list[Stored]) -> None:
        try:
            self._transact(puts, gone)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside(error)
            self._transact(puts, gone)
        if not self.totals.requests:
            self._give_back()

    def _transact(self, puts: list[_Put], gone: list[Stored]) -> None:
        file = self._opened()
        after = Totals(*astuple(self.totals))
        with file:
            file.execute("BEGIN")
            for stored in gone:
                if file.execute("DELETE FROM requests WHERE key = ?", (stored.key,)).rowcount:
                    _add(after, -1, -stored.items, -len(stored.body))
            for key, put in enumerate(puts, self._next):
                put.key = key
                file.execute("INSERT INTO requests VALUES (?, ?, ?)", (key, put.items, put.body))
                _add(after, 1, put.items, len(put.body))
            file.execute("UPDATE totals SET requests = ?, items = ?, bytes = ?", astuple(after))
        self.totals = after
        self._next += len(puts)

    # The file

    def _open_first(self) -> sqlite3.Connection:
        try:
            return self._open()
        except OSError as error:
            raise ConfigError(f"cannot use {self.path}: {error.strerror}; make room or move it away") from error
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise ConfigError(
                    f"{self.path} is in use by another collector; give each its own file_storage directory"
                ) from error
            if not _is_damage(error):
                raise ConfigError(f"cannot use {self.path}: {error}; make it writable or move it away") from error
            _rename(self.path, self._say, error)
            return self._open()

    def _open(self) -> sqlite3.Connection:
        """Exclusive locking keeps a second collector out, for as long as this one runs."""
        with suppress(OSError):  # SQLite says so itself
            self.path.touch(PRIVATE)
        file = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            for pragma in (
                f"page_size = {PAGE}",
                f"cache_size = -{CACHE}",
                "locking_mode = EXCLUSIVE",
                "journal_mode = PERSIST",
                f"journal_size_limit = {JOURNAL}",
                f"synchronous = {'FULL' if self._fsync else 'OFF'}",
            ):
                file.execute(f"PRAGMA {pragma}").fetchall()
            with file:
                file.execute("BEGIN EXCLUSIVE")
                file.execute("CREATE TABLE IF NOT EXISTS requests (key INTEGER PRIMARY KEY, items INTEGER, body BLOB)")
                file.execute("CREATE TABLE IF NOT EXISTS totals (requests INTEGER, items INTEGER, bytes INTEGER)")
                file.execute("INSERT INTO totals SELECT 0, 0, 0 WHERE NOT EXISTS (SELECT * FROM totals)")
                self.totals = Totals(*file.execute("SELECT requests, items, bytes FROM totals").fetchone())
                (last,) = file.execute("SELECT coalesce(max(key), 0) FROM requests").fetchone()
            self._next = max(self._next, last + 1)
            self._reserve()
        except BaseException:
            file.close()
            raise
        return file

    def _reserve(self) -> None:
        """Makes the journal longer; what is behind its end is nothing to SQLite."""
        path = self.path.with_name(self.path.name + "-journal")
        path.touch(PRIVATE)
        with path.open("ab") as journal:
            journal.write(bytes(max(0, RESERVE - journal.tell())))

    def _opened(self) -> sqlite3.Connection:
        """The file; made anew when it is gone, also where that failed before."""
        if self._file is None:
            self._file = self._open()
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _give_back(self) -> None:
        """Removes an empty file that has become large."""
        with suppress(*FAILURES):
            if self.path.stat().st_size > SPARE:
                self._close()
                self.path.unlink()
                self._opened()

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        self._close()
        _rename(self.path, self._say, error)
        self._opened()


def _nothing() -> None:
    pass


def _add(totals: Totals, requests: int, items: int, size: int) -> None:
    totals.requests += requests
    totals.items += items
    totals.bytes += size


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is at fault, not the disk: then no later attempt will be better."""
    return any(words in str(error) for words in WRONG_FILE)


def _rename(path: Path, say: Callable[[str], None], error: sqlite3.DatabaseError) -> None:
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**9:09}")
    path.rename(aside)
    path.with_name(path.name + "-journal").unlink(missing_ok=True)
    say(f"{path} is damaged ({error}); it is now {aside.name}, and a new one is begun")
