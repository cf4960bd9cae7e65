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

from opentelemetry.context import Context
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from llmtrace_otel.telemetry.current import attach, detach, get_current

_log = logging.getLogger("llmtrace_otel")


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
    """One wrapped function of a class. `wrap` makes the wrapper, which asks whether the patch is still `enabled`."""

    def __init__(self, target: type, name: str, wrap: Callable[[Any, Patch], Any]) -> None:
        self._target, self._name, self.enabled = target, name, True
        self._original = vars(target)[name]
        self._wrapper = functools.wraps(self._original)(wrap(self._original, self))
        setattr(target, name, self._wrapper)

    def undo(self) -> None:
        """Put the original back; under someone else's later wrapper it can only be put out of action."""
        self.enabled = False
        if vars(self._target)[self._name] is self._wrapper:
            setattr(self._target, self._name, self._original)


def start_thread(start: Callable[..., None], patch: Patch) -> Callable[..., None]:
    """Wraps `Thread.start`: this thread's `run` is another one until it begins, which covers subclasses' own `run`."""

    def start_here(thread: threading.Thread, /, *args: Any, **kwargs: Any) -> None:
        if not patch.enabled:
            return start(thread, *args, **kwargs)
        own = vars(thread).get("run")
        vars(thread)["run"] = functools.partial(run_thread, thread, own, get_current())
        try:
            start(thread, *args, **kwargs)
        except BaseException:
            restore_run(thread, own)
            raise

    return start_here


def run_thread(thread: threading.Thread, own: Callable[[], None] | None, context: Context) -> None:
    restore_run(thread, own)
    run_in(context, thread.run)


def restore_run(thread: threading.Thread, own: Callable[[], None] | None) -> None:
    vars(thread).pop("run", None)
    if own is not None:
        vars(thread)["run"] = own


def submit_work(submit: Callable[..., Future[Any]], patch: Patch) -> Callable[..., Future[Any]]:
    """Wraps `ThreadPoolExecutor.submit`. An empty context is carried too: earlier work may have left one behind."""

    def submit_here(executor: ThreadPoolExecutor, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if args and patch.enabled and is_carried(type(executor)):  # type: ignore[arg-type]
            return submit(executor, run_in, get_current(), *args, **kwargs)
        return submit(executor, *args, **kwargs)

    return submit_here


@functools.lru_cache(maxsize=64)
def is_carried(pool: type) -> bool:
    """Whether a context can be carried to such a pool's workers."""
    return not any(kind.__name__ == "InterpreterPoolExecutor" for kind in pool.__mro__)


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
