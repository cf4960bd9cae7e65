"""Group commit: requests that were written about the same time wait for one and the same sync to disk.

While one sync runs in a thread, the files that are written meanwhile gather for the next. Descriptors are duplicated,
so that a file may be rotated away or closed before its turn.
"""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import dataclass, field

sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


@dataclass(slots=True)
class _Round:
    """What is synced together: a descriptor for each file, and whoever waits for it."""

    descriptors: dict[tuple[int, int], int] = field(default_factory=dict)
    done: asyncio.Future[OSError | None] | None = None

    def sync(self) -> OSError | None:
        """Syncs every file. The first failure is returned; none keeps another file from being synced."""
        failure = None
        for descriptor in self.descriptors.values():
            try:
                sync_data(descriptor)
            except OSError as error:
                failure = failure or error
        return failure

    def settle(self, failure: OSError | None) -> None:
        """Lets go of the files and answers those who wait."""
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors.clear()
        if self.done:
            self.done.set_result(failure)


class GroupCommit:
    """Notes what was written, and syncs it when somebody waits for that."""

    def __init__(self) -> None:
        self._gathering = _Round()
        self._worker: asyncio.Task[None] | None = None

    def note(self, descriptor: int) -> None:
        """Something is written to this file, or created in this directory. Raises OSError."""
        status = os.fstat(descriptor)
        identity = (status.st_dev, status.st_ino)
        if identity not in self._gathering.descriptors:
            self._gathering.descriptors[identity] = os.dup(descriptor)

    async def wait(self) -> None:
        """Returns when everything that was noted before is on disk. Raises OSError when some of it may not be."""
        done = self._gathering.done = self._gathering.done or asyncio.get_running_loop().create_future()
        self._worker = self._worker or asyncio.create_task(self._work())
        if failure := await asyncio.shield(done):
            raise OSError(failure.errno, failure.strerror)

    async def close(self, timeout: float) -> None:
        """Gives a running sync `timeout` seconds, then lets go of the files."""
        if self._worker:
            await asyncio.wait({self._worker}, timeout=timeout)
        self._take().settle(OSError(errno.ECANCELED, "the collector is stopping"))

    async def _work(self) -> None:
        while self._gathering.done:
            current = self._take()
            failure = await asyncio.to_thread(current.sync)
            current.settle(failure)
            if failure:  # the kernel reports it once: what was written meanwhile may be lost with it, unreported
                self._take().settle(failure)
        self._worker = None

    def _take(self) -> _Round:
        current, self._gathering = self._gathering, _Round()
        return current
