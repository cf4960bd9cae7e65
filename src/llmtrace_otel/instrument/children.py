"""The children of this process: from the start of each to its end, however the program waits for it.

Its exit code comes from whoever learns it first: a function of `os` that waits (`ended`), `Popen.returncode`
(`noted`), or, on Linux, the thread of `child_watch.py`, which also knows the true time of the end when the program
waits late or never. What is not over when this process ends is ended then (`settle`), with its code if it has one.

A call that does not wait, such as `poll`, may come from a signal handler or from the garbage collector, which have
interrupted a thread that may hold any lock. It only makes a note; the watching thread ends the span.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span, Status, StatusCode

from llmtrace_otel.instrument.child_watch import Watcher
from llmtrace_otel.telemetry import semconv as sc

if TYPE_CHECKING:
    from llmtrace_otel.proxy.link import Admission

_log = logging.getLogger("llmtrace_otel")


class Child:
    """One child and its span, which is ended once. Nothing here raises."""

    admission: Admission | None = None
    pid: int | None = None
    own = True
    """Whether this process is its parent: a fork server's children are not ours, and only the server may wait."""
    joined = False
    """Whether `multiprocessing` waits for it when the program ends."""
    watched = False
    """Whether the watching thread will end it."""
    descriptor: int | None = None
    """By which the watching thread knows it."""
    awaited = False
    """Whether the watching thread knows that it is over, and waits for whoever has taken its exit code."""
    known = False
    """Whether it is over, and as much of its exit code is known as can be."""
    done = False
    """Whether its span has ended, is about to, or is the parent's."""
    _code: int | None = None
    _error: BaseException | None = None
    _end_ns: int | None = None

    def __init__(self, span: Span) -> None:
        self.span = span
        self._lock = threading.RLock()

    def note(self, code: int | None) -> None:
        """It is over, with an exit code as `subprocess` gives it: negative for a signal, `None` if nobody knows."""
        if not self.known:
            self.over()
            self._code = code
            self.known = True

    def over(self) -> None:
        """It is over as of now."""
        self._end_ns = self._end_ns or time_ns()

    def peek(self, kind: int, number: int) -> None:
        """Learns its exit code if it is over, and leaves it for the program to wait for; see `os.waitid`."""
        if _waitid is not None:
            with suppress(OSError):
                if (found := _waitid(kind, number, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                    self.note(code_of(found))

    def end(self) -> None:
        """Ends the span. Who comes second comes back when it has ended."""
        with self._lock:
            if self.done:
                return
            self.done = True
            try:
                self._end()
            except Exception:
                _log.debug("llmtrace: a child's span could not be ended", exc_info=True)
            forget(self)  # this late, so that who comes second finds it

    def fail(self, error: BaseException) -> None:
        """It could not be started."""
        self._error = error
        self.note(None)
        self.end()

    def _end(self) -> None:
        self.span.set_attributes(self._told())
        if self._error is not None:
            self.span.set_status(Status(StatusCode.ERROR, str(self._error)))
        elif self._code:
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end(self._end_ns)
        if self.admission is not None and (self.known or self.awaited):  # else it outlives us, and needs its proxy
            self.admission.ended()

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if self.pid is not None:
            told[sc.PROCESS_PID] = self.pid
        if self._code is not None:
            told[sc.PROCESS_EXIT_CODE] = self._code
        if self._error is not None:
            told[sc.ERROR_TYPE] = type(self._error).__qualname__
        elif self._code:
            told[sc.ERROR_TYPE] = _error_type(self._code)
        return told


def _error_type(code: int) -> str:
    with suppress(ValueError):
        return str(code) if code > 0 else signal.Signals(-code).name
    return str(code)


_open: dict[int, Child] = {}
"""By process id."""
_watcher: Watcher | None = None
_settles_at_exit = False


def started(child: Child, pid: int) -> None:
    """The child has this process id; from now on its end is looked out for."""
    global _settles_at_exit
    if (earlier := _open.get(pid)) is not None:  # somebody has waited for it behind our backs: the id is free again
        earlier.note(None)
        earlier.end()
    child.pid = pid
    _open[pid] = child
    if not _settles_at_exit:
        _settles_at_exit = True
        atexit.register(settle, joined=False)  # this late, so that providers set up before are shut down after
    _watch(child, pid)


def _watch(child: Child, pid: int) -> None:
    global _watcher
    if Watcher.possible:
        try:
            if _watcher is None:
                _watcher = Watcher()
            child.watched = True
            _watcher.watch(child, pid)
        except ProcessLookupError:  # over already, and somebody has waited for it
            child.watched = False
            if child.own:
                child.note(None)
                child.end()
        except Exception:  # no descriptor left, or a sandbox: the program's own waiting will do
            child.watched = False


def ended(pid: int, code: int | None) -> None:
    """The program has waited for a process, which may be a child of these."""
    if (child := _told_of(pid, code)) is not None:
        child.end()


def _told_of(pid: int, code: int | None) -> Child | None:
    """The child with this process id, which is over; who is not its parent cannot tell that."""
    child = _open.get(pid)
    if child is None or (code is None and not child.own):
        return None
    child.note(code)
    return child


def awaited(pid: int) -> Child | None:
    """The program is about to be blocked until a process ends; its child, which is not watched meanwhile."""
    child = _open.get(pid)
    if child is not None and child.watched and _watcher is not None:
        child.watched = False
        _watcher.leave(child)
        return child
    return None


def not_awaited(child: Child) -> None:
    """The program has stopped waiting before the child was over."""
    if not child.known and child.pid is not None:
        _watch(child, child.pid)


def noted(pid: int, code: int | None) -> None:
    """The program has looked whether a process is over, and it is. Takes no lock."""
    child = _told_of(pid, code)
    if child is None or child.done:  # another thread may be at it, for which nobody is to wait here
        return
    if not child.watched:
        child.end()
    elif child.awaited and _watcher is not None:
        _watcher.wake()


def forget(child: Child) -> None:
    """It is not open any more."""
    if child.pid is not None and _open.get(child.pid) is child:
        del _open[child.pid]


def end_known() -> None:
    """Ends what is known to be over, for a reader of spans who does not wait until this process ends."""
    for child in list(_open.values()):
        if child.known:
            child.end()


def settle(*, joined: bool = True) -> None:
    """Ends what is open, as this process is ending; without what `multiprocessing` has yet to wait for, if asked."""
    for child in list(_open.values()):
        if joined or not child.joined:
            if child.own and child.pid is not None:
                child.peek(os.P_PID, child.pid)
            child.end()
    if (link := sys.modules.get("llmtrace_otel.proxy.link")) is not None:  # nobody listens to the proxy after this
        link.drain()


def code_of(found: os.waitid_result) -> int:
    """The exit code in what `os.waitid` gave for a child that is over."""
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def _leave_to_parent() -> None:
    """In a forked child: the open children are the parent's."""
    global _watcher
    _open.clear()
    if _watcher is not None:
        _watcher.close()
        _watcher = None


_waitid = getattr(os, "waitid", None)  # the very function, not a wrapper that will tell us
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
