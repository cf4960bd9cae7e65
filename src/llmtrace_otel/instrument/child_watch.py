"""Notices when children end, however they are waited for: a thread that sleeps on their process descriptors (Linux).

It looks at a child's exit code without taking it from the program. If the program was faster, the code is on its way
here, or nobody will ever know it: what took it may be foreign C code, and no code is kept where SIGCHLD is ignored.

A child that the program is blocked waiting for is not watched meanwhile: to wake a thread would double what tracing
costs a short-lived child. The thread is there while children are open, and a little longer, so that a program which
starts one child after the other does not start a thread for each.

A program may close descriptors that it does not know, and then have files of its own by these numbers. So none is used
or closed but one known to be ours: the alarm by its inode, of which it alone is (an epoll or an eventfd shares its own
with all others), and the rest by the epoll object, which finds under a number only what was registered with it.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import sys
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context, attach

if TYPE_CHECKING:
    from llmtrace_otel.instrument.children import Child

_log = logging.getLogger("llmtrace_otel")

_LINGER: Final = 1.0
"""Seconds that the thread stays without anything to watch, and after which it looks whether that is so."""
_GRACE: Final = 1.0
"""Seconds in which whoever has taken an exit code tells it."""
_MANY: Final = 4096
"""More bytes than are in the alarm's pipe, if it can be."""
_lost: Final[list[select.epoll]] = []
"""Objects whose descriptor is a file of the program's, which they would close when they are collected."""
_LOWEST: Final = 3
"""The first descriptor that is not one of a program's standard streams."""


class Watcher:
    """Watches children, and ends each soon after it is over. It belongs to the process that has made it."""

    possible: Final = sys.platform == "linux" and hasattr(os, "pidfd_open")

    def __init__(self) -> None:
        self._epoll = _epoll()
        pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._alarm, self._button = map(_above_standard_streams, pipe)
        self._inode = _inode(self._alarm)
        self._epoll.register(self._alarm, select.EPOLLIN)
        self._watched: dict[int, Child] = {}
        self._awaited: dict[Child, float] = {}
        self._lock = threading.RLock()
        self._running = False

    def watch(self, child: Child, pid: int) -> None:
        """Looks out for the child's end. Raises ProcessLookupError if nothing is left of it, OSError if that fails."""
        with self._lock:
            self._check()
            descriptor = _above_standard_streams(os.pidfd_open(pid))
            self._watched[descriptor] = child
            child.descriptor = descriptor
            try:
                self._epoll.register(descriptor, select.EPOLLIN)
                self._run()
            except BaseException:
                del self._watched[descriptor]
                child.descriptor = None
                os.close(descriptor)
                raise

    def leave(self, child: Child) -> None:
        """Watches a child no longer; if it is over already, whoever is first ends it."""
        with self._lock:
            descriptor, child.descriptor = child.descriptor, None
            if descriptor is not None:
                del self._watched[descriptor]
                with suppress(OSError):  # the program has closed it
                    self._check()
                    self._epoll.unregister(descriptor)  # closing is not enough while a fork has it, too
                    os.close(descriptor)

    def wake(self) -> None:
        """Has what is awaited looked at again. Takes no lock."""
        with suppress(OSError):  # closed by the program; or full, and so awake
            if _inode(self._button) == self._inode:
                os.write(self._button, b"\0")

    def close(self) -> None:
        """In a forked child, which has no use for it."""
        try:
            self._check()
        except OSError:
            _lost.append(self._epoll)
            return
        for descriptor in (*filter(self._has, self._watched), self._alarm):
            os.close(descriptor)
        with suppress(OSError):
            if _inode(self._button) == self._inode:
                os.close(self._button)
        self._epoll.close()

    def _check(self) -> None:
        """Raises OSError if the program has closed the alarm or the epoll object."""
        if _inode(self._alarm) != self._inode:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._epoll.modify(self._alarm, select.EPOLLIN)  # which changes nothing

    def _has(self, descriptor: int) -> bool:
        """Whether a descriptor is still the one that was registered."""
        try:
            self._epoll.modify(descriptor, select.EPOLLIN)
        except OSError:
            return False
        return True

    def _run(self) -> None:
        if not self._running:
            threading.Thread(target=self._watch, name="llmtrace-children", daemon=True).start()
            self._running = True

    def _watch(self) -> None:
        attach(Context())  # not that of whoever started the first child
        try:
            while self._look():
                pass
        except (OSError, ValueError):  # the program has closed all descriptors, as daemons do
            _log.debug("llmtrace: children are no longer watched", exc_info=True)
            for child in (*self._watched.values(), *self._awaited):
                child.watched = False

    def _look(self) -> bool:
        """Waits for something to happen, and sees to it; whether there may be more."""
        events = self._epoll.poll(self._patience())
        self._check()
        for descriptor, _ in events:
            if descriptor == self._alarm:
                os.read(descriptor, _MANY)
            else:
                self._over(descriptor)
        self._end_awaited()
        with self._lock:
            self._running = bool(events or self._watched or self._awaited)
            return self._running

    def _patience(self) -> float:
        if self._awaited:
            return min(max(min(self._awaited.values()) - monotonic(), 0), _LINGER)
        return _LINGER

    def _over(self, descriptor: int) -> None:
        with self._lock:
            child = self._watched.get(descriptor)
            if child is None:  # left meanwhile
                return
            if not child.done:
                child.over()
                child.peek(os.P_PIDFD, descriptor)
            self.leave(child)
        self._end(child)

    def _end(self, child: Child) -> None:
        if child.known or child.done:
            child.end()
        elif child.own:
            child.awaited = True
            self._awaited[child] = monotonic() + _GRACE
        else:  # it ends when the program asks for its exit code, which it alone can
            child.watched = False

    def _end_awaited(self) -> None:
        now = monotonic()
        for child, until in list(self._awaited.items()):
            if child.known or child.done or until <= now:
                child.end()
                del self._awaited[child]


def _epoll() -> select.epoll:
    epoll = select.epoll()
    if epoll.fileno() >= _LOWEST:
        return epoll
    with epoll:
        return select.epoll.fromfd(_above_standard_streams(os.dup(epoll.fileno())))


def _inode(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _above_standard_streams(descriptor: int) -> int:
    """The descriptor, or a copy of it where a program has closed a standard stream and is about to open another."""
    if descriptor >= _LOWEST:
        return descriptor
    import fcntl

    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LOWEST)
    finally:
        os.close(descriptor)
