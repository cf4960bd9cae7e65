"""`multiprocessing`, by fork, spawn or fork server: a process runs in the context in which it was started.

The context travels in the process object, so an instrumented child attaches it, whichever way it comes to life.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, Final

from opentelemetry import baggage
from opentelemetry.context import attach, detach, get_current

from llmtrace_otel.instrument import children
from llmtrace_otel.instrument.child_start import Program, Start, Starter, leave
from llmtrace_otel.output.carrier import carrier_of, context_of

_CARRIER: Final = "llmtrace_carrier"
_settles_in: int | None = None
"""The process that ends the spans of its processes when `multiprocessing` has waited for them."""


def start(starter: Starter, original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wraps `BaseProcess.start`."""

    @functools.wraps(original)
    def begin(process: Any) -> None:
        start = starter.begin(_program)
        if start is None:
            return original(process)
        process._config[_CARRIER] = carrier_of(start.context)
        try:
            with start:
                original(process)
                _started(start, process)
        finally:
            process._config.pop(_CARRIER, None)
        return None

    return begin


def _program() -> Program:
    from multiprocessing.spawn import get_executable

    return Program.of(get_executable(), ())


def _started(start: Start, process: Any) -> None:
    start.child.own = process._popen.method != "forkserver"
    start.child.joined = True
    _settle_after_joining()
    start.started(process.pid)


def _settle_after_joining() -> None:
    global _settles_in
    if _settles_in != os.getpid():
        from multiprocessing.util import Finalize

        _settles_in = os.getpid()
        Finalize(None, children.settle, exitpriority=-1)  # those below 0 come after the processes were joined


def bootstrap(starter: Starter, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `BaseProcess._bootstrap`, which is what a child runs."""

    @functools.wraps(original)
    def run(process: Any, *args: Any, **kwargs: Any) -> Any:
        carrier = process._config.pop(_CARRIER, None)
        if carrier is None or starter.retired:
            return original(process, *args, **kwargs)
        leave()
        context = context_of(carrier, get_current())
        if baggage.get_all(context):
            from llmtrace_otel.attribution.stamping import stamp_spans

            stamp_spans()
        token = attach(context)
        try:
            return original(process, *args, **kwargs)
        finally:
            detach(token)

    return run
