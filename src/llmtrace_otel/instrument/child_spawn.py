"""The functions of `os` that start a child: `posix_spawn`, `spawnv` with its variants, and `system`."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llmtrace_otel.instrument import children
from llmtrace_otel.instrument.child_start import Program, Start, Starter, shell

_waitpid = os.waitpid  # the very function


def posix_spawn(starter: Starter, original: Callable[..., int], *, searched: bool) -> Callable[..., int]:
    """Wraps `os.posix_spawn`, or `os.posix_spawnp` which searches PATH."""

    @functools.wraps(original)
    def spawn(path: Any, argv: Any, env: Any, /, **kwargs: Any) -> int:
        start = starter.begin(lambda: _program(path, argv, searched, env), env)
        if start is None:
            return original(path, argv, env, **kwargs)
        with start:
            pid = original(path, argv, start.environ, **kwargs)
            start.started(pid)
        return pid

    return spawn


def _program(file: Any, args: Any, searched: bool, env: Any) -> Program | None:
    """What runs in a given environment, which `None` is not one of."""
    return None if env is None else Program.of(file, args, searched=searched)


def spawnv(
    starter: Starter, original: Callable[..., int], with_environment: Callable[..., int], *, searched: bool
) -> Callable[..., int]:
    """Wraps `os.spawnv` or `os.spawnvp`; the child gets its environment by the other, original function."""

    @functools.wraps(original)
    def spawn(mode: int, file: Any, args: Any) -> int:
        start = starter.begin(lambda: Program.of(file, args, searched=searched))
        if start is None:
            return original(mode, file, args)
        return _spawned(start, with_environment, mode, file, args)

    return spawn


def spawnve(starter: Starter, original: Callable[..., int], *, searched: bool) -> Callable[..., int]:
    """Wraps `os.spawnve` or `os.spawnvpe`."""

    @functools.wraps(original)
    def spawn(mode: int, file: Any, args: Any, env: Any) -> int:
        start = starter.begin(lambda: _program(file, args, searched, env), env)
        if start is None:
            return original(mode, file, args, env)
        return _spawned(start, original, mode, file, args)

    return spawn


def _spawned(start: Start, spawn: Callable[..., int], mode: int, file: Any, args: Any) -> int:
    """Starts the child without waiting for it, as its id would not be known, and then waits as the function does."""
    with start:
        pid = spawn(os.P_NOWAIT, file, args, start.environ)
        start.started(pid)
    return pid if mode == os.P_NOWAIT else _exit_code(pid)


def _exit_code(pid: int) -> int:
    while True:
        _, status = _waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            code = os.waitstatus_to_exitcode(status)
            children.ended(pid, code)
            return code


def system(starter: Starter, original: Callable[..., int], spawn: Callable[..., int]) -> Callable[..., int]:
    """Wraps `os.system` by what C's function of that name does, whose child cannot be given an environment.

    SIGINT and SIGQUIT are the command's alone while it runs. Only the main thread can see to that: from another one
    this process gets them as well. To audit hooks `os.posix_spawn` is seen after `os.system`.
    """

    @functools.wraps(original)
    def run(command: Any) -> int:
        start = starter.begin(lambda: shell([os.fsdecode(command)])) if b"\0" not in _bytes(command) else None
        if start is None:
            return original(command)
        with start:
            sys.audit("os.system", os.fsencode(command))
            with _signals_are_the_childs() as signals:
                return _system(start, spawn, command, signals)

    return run


def _bytes(command: Any) -> bytes:
    """The command, or what the original will refuse."""
    return os.fsencode(command) if isinstance(command, str | bytes | os.PathLike) else b"\0"


def _system(start: Start, spawn: Callable[..., int], command: Any, signals: dict[str, Any]) -> int:
    try:
        pid = spawn("/bin/sh", ["sh", "-c", command], start.environ, **signals)
    except OSError as error:
        start.child.fail(error)
        return _NO_SHELL
    start.started(pid)
    return _status(pid)


_NO_SHELL = 127 << 8


def _status(pid: int) -> int:
    """Waits for the child. What a signal handler raises is raised when the child is over, as C's function has it."""
    raised: BaseException | None = None
    while True:
        try:
            _, status = _waitpid(pid, 0)
            code: int | None = os.waitstatus_to_exitcode(status)
            break
        except ChildProcessError:
            status, code = -1, None
            break
        except BaseException as error:
            raised = error
    children.ended(pid, code)
    if raised is not None:
        raise raised
    return status


@contextmanager
def _signals_are_the_childs() -> Iterator[dict[str, Any]]:
    """Leaves the terminal's signals to the child; gives the arguments that tell `posix_spawn` so."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    ignored = _ignore_terminal() if threading.current_thread() is threading.main_thread() else {}
    try:
        taken = [number for number, handler in ignored.items() if handler is not signal.SIG_IGN]
        yield {"setsigmask": mask, "setsigdef": taken}
    finally:
        for number, handler in ignored.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _ignore_terminal() -> dict[signal.Signals, Any]:
    """Ignores the terminal's signals; what handled them, but for handlers of C code, which could not be put back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGQUIT)}
    for number, handler in handlers.items():
        if handler is not None:
            signal.signal(number, signal.SIG_IGN)
    return {number: handler for number, handler in handlers.items() if handler is not None}
