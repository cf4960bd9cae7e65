"""Learns from the program's own waiting how a child has ended: `os.wait` and its like, and attributes `returncode`.

Who waits for any child does not find our proxy among them, which is one where this process adopts orphans.
"""

from __future__ import annotations

import errno
import functools
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from llmtrace_otel.instrument import children


def waitpid(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `os.waitpid` and `os.wait4`: of one process, unless its id is none."""

    @functools.wraps(original)
    def wait(pid: int, options: int) -> Any:
        child = None if options & os.WNOHANG else children.awaited(pid)
        try:
            result = _of_any(original, pid, options) if pid == _ANY else original(pid, options)
            if result[0]:
                _tell_status(result[0], result[1], options)
        except ChildProcessError:
            _tell(pid, None, options)  # over, and its exit code gone; or none of our children
            raise
        finally:
            if child is not None:
                children.not_awaited(child)
        return result

    return wait


def wait(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `os.wait` and `os.wait3`: of any process."""

    @functools.wraps(original)
    def wait(*args: int, **kwargs: int) -> Any:
        result = _of_any(original, *args, **kwargs)
        if result[0]:
            _tell_status(result[0], result[1], *args, *kwargs.values())
        return result

    return wait


def waitid(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `os.waitid`."""

    @functools.wraps(original)
    def wait(kind: int, number: int, options: int, /) -> Any:
        arguments = kind, number, options
        result = _of_any(original, *arguments) if kind == os.P_ALL else original(*arguments)
        if result is not None and result.si_code in _OVER:
            _tell(result.si_pid, children.code_of(result), options)
        return result

    return wait


_ANY: Final = -1
"""Any child. The proxy is in no process group that the program can name."""


def _of_any(original: Callable[..., Any], *args: int, **kwargs: int) -> Any:
    """What waits for any child waits for any but our proxy. Raises ChildProcessError if there is no other."""
    adopted = getattr(sys.modules.get("llmtrace_otel.proxy.link"), "adopted", None)  # it may be just being imported
    proxy = None if adopted is None else adopted()
    while proxy is None or _children() != {proxy}:
        result = original(*args, **kwargs)
        if proxy is None or result is None or result[0] != proxy:
            return result
        with suppress(ChildProcessError):  # what was only looked at would be found again
            _waitpid(proxy, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
    raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD))


def _children() -> set[int]:
    """The ids of this process's children, over or not; empty where the system does not tell (Linux)."""
    for _ in range(_TRIES):
        with suppress(OSError):  # a thread has ended meanwhile, and another one has its children
            return {int(pid) for thread in _THREADS.iterdir() for pid in (thread / "children").read_text().split()}
    return set()


_waitpid = os.waitpid  # the very function
_THREADS: Final = Path("/proc/self/task")
_TRIES: Final = 3

_OVER = {getattr(os, name, None) for name in ("CLD_EXITED", "CLD_KILLED", "CLD_DUMPED")}


def _tell_status(pid: int, status: int, options: int = 0) -> None:
    if os.WIFEXITED(status) or os.WIFSIGNALED(status):  # else stopped, or continued
        _tell(pid, os.waitstatus_to_exitcode(status), options)


def _tell(pid: int, code: int | None, options: int) -> None:
    (children.noted if options & os.WNOHANG else children.ended)(pid, code)


class ReturnCode:
    """The attribute `returncode` of a class that has a `pid`; kept where it would be without us.

    It is set by `poll`, which waits on its own, and so is it when a child is dropped unwaited for.
    """

    def __get__(self, owner: Any, kind: type) -> Any:
        if owner is not None:
            try:
                return vars(owner)["returncode"]
            except KeyError:
                pass
        raise AttributeError(f"{kind.__name__!r} object has no attribute 'returncode'")

    def __set__(self, owner: Any, code: int | None) -> None:
        vars(owner)["returncode"] = code
        if code is not None and (pid := getattr(owner, "pid", None)) is not None:
            children.noted(pid, _true(code))

    def __delete__(self, owner: Any) -> None:
        del vars(owner)["returncode"]


def _true(code: int) -> int | None:
    """The exit code; 0 also stands for the one that is lost where SIGCHLD is ignored."""
    return None if code == 0 and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN else code
