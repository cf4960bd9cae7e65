"""`pty.fork` and `pty.spawn`: a child behind a terminal of its own. What it becomes by `exec` belongs to its span."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from llmtrace_otel.instrument import children
from llmtrace_otel.instrument.child_start import Program, Start, Starter, running


def fork(starter: Starter, original: Callable[[], tuple[int, int]]) -> Callable[[], tuple[int, int]]:
    """Wraps `pty.fork`, whose child is this same program until it says otherwise."""

    @functools.wraps(original)
    def forked() -> tuple[int, int]:
        if (outer := running()) is not None:
            return _forked(outer, original)
        start = starter.begin(lambda: Program(sys.executable, sys.orig_argv))
        if start is None:
            return original()
        with start:
            return _forked(start, original)

    return forked


def _forked(start: Start, original: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    pid, descriptor = original()
    if pid:
        start.started(pid)
    else:
        start.become()
    return pid, descriptor


def spawn(starter: Starter, original: Callable[..., int]) -> Callable[..., int]:
    """Wraps `pty.spawn`, which forks, runs the program in the child, and waits."""

    @functools.wraps(original)
    def spawned(argv: Any, *args: Any, **kwargs: Any) -> int:
        start = starter.begin(lambda: _program(argv))
        if start is None:
            return original(argv, *args, **kwargs)
        with start:
            status = original(argv, *args, **kwargs)
        if start.child.pid is not None:
            children.ended(start.child.pid, os.waitstatus_to_exitcode(status))
        return status

    return spawned


def _program(argv: Any) -> Program:
    arguments = (argv,) if isinstance(argv, str) else argv
    return Program.of(arguments[0], arguments)
