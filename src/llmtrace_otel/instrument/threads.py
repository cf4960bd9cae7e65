"""Threads: carries the current OpenTelemetry context, and with it the session, into the threads that a program starts.

Propagation only; no telemetry of its own. `threading.Thread` (so `Timer` and every subclass, whatever `run` they
define) takes along the context in which it is started, `ThreadPoolExecutor.submit` (so `map` and
`loop.run_in_executor`) the context in which the work is submitted. `asyncio.to_thread` carries the context by itself.
Beside `opentelemetry-instrumentation-threading` nothing breaks: the same context is attached twice.

A background thread that a library starts once, inside a session, stays in that session. Threads of `_thread` and of
C extensions are not seen, and an interpreter pool's work is left alone, as a context cannot be pickled.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import wrapt
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

_log = logging.getLogger("llmtrace_otel")

Arguments = tuple[Any, ...]
Keywords = dict[str, Any]


class ThreadsInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Carries the context into threads; `uninstrument` restores the very functions that were there."""

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        self._wrapped: list[Patch] = []
        try:
            for target, name, wrapper in WRAPPERS:
                self._wrapped.append(Patch(target, name, wrapper))
        except Exception:
            _log.warning("llmtrace: threads will not carry the OpenTelemetry context", exc_info=True)

    def _uninstrument(self, **kwargs: Any) -> None:
        while self._wrapped:
            self._wrapped.pop().undo()


class Patch:
    """One wrapped function of a class."""

    def __init__(self, target: type, name: str, wrapper: Callable[..., Any]) -> None:
        self._target, self._name, self._enabled = target, name, True
        self._proxy = wrapt.FunctionWrapper(vars(target)[name], wrapper, lambda: self._enabled)
        setattr(target, name, self._proxy)

    def undo(self) -> None:
        """Put the original back; under someone else's later wrapper it can only be put out of action."""
        self._enabled = False
        if vars(self._target)[self._name] is self._proxy:
            setattr(self._target, self._name, self._proxy.__wrapped__)


def start_thread(start: Callable[..., None], thread: threading.Thread, args: Arguments, kwargs: Keywords) -> None:
    """Wraps `Thread.start`: this thread's `run` is another one until it begins, which covers subclasses' own `run`."""
    own = vars(thread).get("run")
    vars(thread)["run"] = functools.partial(run_thread, thread, own, get_current())
    try:
        start(*args, **kwargs)
    except BaseException:
        restore_run(thread, own)
        raise


def run_thread(thread: threading.Thread, own: Callable[[], None] | None, context: Context) -> None:
    restore_run(thread, own)
    run_in(context, thread.run)


def restore_run(thread: threading.Thread, own: Callable[[], None] | None) -> None:
    vars(thread).pop("run", None)
    if own is not None:
        vars(thread)["run"] = own


def submit_work(
    submit: Callable[..., Future[Any]], executor: ThreadPoolExecutor, args: Arguments, kwargs: Keywords
) -> Future[Any]:
    """Wraps `ThreadPoolExecutor.submit`. An empty context is carried too: the worker may have begun in a session."""
    if not args or any(kind.__name__ == "InterpreterPoolExecutor" for kind in type(executor).__mro__):
        return submit(*args, **kwargs)
    return submit(run_in, get_current(), *args, **kwargs)


def run_in(context: Context, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = attach(context)
    try:
        return function(*args, **kwargs)
    finally:
        detach(token)


WRAPPERS: tuple[tuple[type, str, Callable[..., Any]], ...] = (
    (threading.Thread, "start", start_thread),
    (ThreadPoolExecutor, "submit", submit_work),
)
