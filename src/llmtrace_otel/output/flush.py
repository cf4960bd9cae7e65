"""Spans that wait in a batch survive the exits that skip `atexit`.

Stock batch processors lose their queue at `os._exit` (which also ends forked children and every `multiprocessing`
worker), at SIGTERM and at `os.exec*`. Each of these first gives the providers up to `SECONDS` to export what has ended.
An exec may fail, so that the program goes on; the other two end the LLM calls and children that are still open, too.
Nothing else about the exit changes: same status, same signal, same new program.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SECONDS: Final = 2.0
EXITS: Final = ("_exit", "execv", "execve")  # the other exec functions of `os` call one of these two
PROVIDERS: Final = (
    ("opentelemetry.trace", "get_tracer_provider"),
    ("opentelemetry.metrics", "get_meter_provider"),
    ("opentelemetry._logs", "get_logger_provider"),
)
OPEN: Final = ("llmtrace_otel.instrument.left_streams", "llmtrace_otel.instrument.children")
"""Modules whose `settle` ends the spans that are still open."""

_wrapped: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}  # name: (original, ours)
_flusher: threading.Thread | None = None
_deadline = 0.0  # of the flusher, on the monotonic clock
_on_timeout: Callable[[], None] | None = None


def install(on_timeout: Callable[[], None] | None = None) -> None:
    """Flush before `os._exit`, `os.exec*` and SIGTERM; `on_timeout()` is called when the time did not suffice.

    SIGTERM is taken only where it has its default action, and only from the main thread. Calling again changes nothing
    but a given `on_timeout`.
    """
    global _on_timeout
    _on_timeout = on_timeout or _on_timeout
    for name in EXITS:
        if name not in _wrapped:
            original = getattr(os, name)
            _wrapped[name] = original, flushing(original, ending=name == "_exit")
            setattr(os, name, _wrapped[name][1])
    if in_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, flush_and_terminate)


def uninstall() -> None:
    """Put back the very functions and the signal action that were there, except where somebody wrapped ours since."""
    global _on_timeout
    for name, (original, ours) in _wrapped.items():
        if getattr(os, name) is ours:
            setattr(os, name, original)
    _wrapped.clear()
    _on_timeout = None
    if in_main_thread() and signal.getsignal(signal.SIGTERM) is flush_and_terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def flush(seconds: float = SECONDS, *, ending: bool = False) -> bool:
    """Export what has ended, waiting `seconds` at most; True when all was exported. Never raises.

    `ending` says that the program ends now, so that what is still open has ended as well.

    The SDK's `force_flush` ignores its timeout, hence the thread. While one is at work no second one starts, and its
    time is not extended: `execvp` tries one directory after another, and each would wait anew.
    """
    global _flusher, _deadline
    if _flusher is None or not _flusher.is_alive():
        flusher = threading.Thread(target=flush_providers, args=(seconds, ending), name="llmtrace-flush", daemon=True)
        try:
            flusher.start()
        except RuntimeError:  # the interpreter is finalizing: the SDK's own exit handlers have run
            return False
        _flusher, _deadline = flusher, time.monotonic() + seconds
    _flusher.join(max(_deadline - time.monotonic(), 0))
    if _flusher.is_alive() and _on_timeout:
        _on_timeout()
    return not _flusher.is_alive()


def flush_providers(seconds: float, ending: bool = False) -> None:
    """Flush the SDK's providers, spans first; API-only providers have nothing to flush."""
    deadline = time.monotonic() + seconds
    for name in OPEN if ending else ():
        if (opener := sys.modules.get(name)) is not None:
            quietly(opener.settle)
    for module, getter in PROVIDERS:
        if module in sys.modules:
            get = getattr(sys.modules[module], getter, None)  # another thread may be importing it just now
            force_flush = getattr(get(), "force_flush", None) if get else None
            left = max(deadline - time.monotonic(), 0)
            if force_flush:
                quietly(force_flush, int(left * 1000))


def quietly(function: Callable[..., Any], *args: Any) -> None:
    """Call a foreign exporter's code; its errors are its own."""
    with contextlib.suppress(Exception):
        function(*args)


def flushing(function: Callable[..., Any], *, ending: bool) -> Callable[..., Any]:
    """`function`, preceded by a flush."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        quietly(functools.partial(flush, ending=ending))
        return function(*args, **kwargs)

    return wrapper


def flush_and_terminate(signum: int, frame: FrameType | None) -> None:
    """The SIGTERM handler: flush, then die of the same signal. A second SIGTERM kills at once."""
    signal.signal(signum, signal.SIG_DFL)
    quietly(functools.partial(flush, ending=True))
    os.kill(os.getpid(), signum)


def in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
