"""`os.execv` and `os.execve`, by which all others are made: the new program continues the context of this one.

It has no span of its own, being this process. The spans of this process's children end here.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.context import get_current

from llmtrace_otel.instrument import children
from llmtrace_otel.instrument.child_environment import Environment, environment
from llmtrace_otel.instrument.child_start import Starter, admitted, dressed, fork
from llmtrace_otel.output.carrier import carrier_of

_log = logging.getLogger("llmtrace_otel")


def execv(starter: Starter, original: Callable[..., Any], execve: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `os.execv`; the program gets its environment by the other, original function."""

    @functools.wraps(original)
    def execute(path: Any, argv: Any, /) -> Any:
        with _succeeding(starter, path) as environ:
            return original(path, argv) if environ is None else execve(path, argv, environ)

    return execute


def execve(starter: Starter, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `os.execve`."""

    @functools.wraps(original)
    def execute(path: Any, argv: Any, env: Any) -> Any:
        if env is None:  # which is no environment
            return original(path, argv, env)
        with _succeeding(starter, path, env) as environ:
            return original(path, argv, env if environ is None else environ)

    return execute


@contextmanager
def _succeeding(starter: Starter, path: Any, given: Any = None) -> Iterator[Environment | None]:
    """The new program's environment, or `None` to leave the call alone; what is left of it if the call fails."""
    environ, withdraw = None, None
    try:
        if starter.wanted() and os.access(path, os.X_OK):  # else the next directory of PATH may have it
            environ, withdraw = _environment(path, environment(given))
    except Exception:
        _log.debug("llmtrace: a program that follows could not be traced", exc_info=True)
    try:
        yield environ
    except BaseException:
        if withdraw is not None:
            withdraw()
        raise


def _environment(path: Any, environ: Environment) -> tuple[Environment, Callable[[], None] | None]:
    """What the program finds, and how to take back what it was promised beside."""
    if (start := fork()) is not None:  # its parent has prepared all
        return start.dressed(environ), None
    children.settle()
    context = get_current()
    admission = admitted(os.fsdecode(path), context, environ)
    environ = dressed(environ, carrier_of(context), admission)
    if admission is None:
        return environ, None
    admission.started(os.getpid())
    return environ, admission.ended
