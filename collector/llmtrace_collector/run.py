"""Runs a collector: opens what the configuration names, serves until SIGINT or SIGTERM, then flushes and sums up.

Started from the back to the front, exporters before receivers, and stopped in the other direction, so that whatever was
received has somewhere to go. SIGINT during that ends it at once, as a kill would: what is on disk is safe.
"""

from __future__ import annotations

import asyncio
import ctypes
import resource
import signal
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

from rich.console import Console

from llmtrace_collector.assembly import assemble
from llmtrace_collector.figures.live_view import LiveView
from llmtrace_collector.figures.summary import summary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llmtrace_collector.assembly import Parts
    from llmtrace_collector.config.settings import Config

    Stop = Callable[[float], Awaitable[None]]

FLUSH_SECONDS = 5.0
FILES = 65536
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT = 128 << 20  # bytes; a request's buffers are smaller


def collect(config: Config, say: Callable[[str], None], *, allow_remote: bool = False, live: str | None = None) -> None:
    """Serves until a signal ends it. Raises ConfigError when it cannot start.

    `say` shows one line to the user. With `live` a few lines at the bottom of the terminal follow what comes in, and
    what is said appears above them, beginning with `live`.
    """
    _allow_many_connections()
    _keep_freed_memory()
    asyncio.run(_collect(config, say, allow_remote=allow_remote, live=live))


async def _collect(config: Config, say: Callable[[str], None], *, allow_remote: bool, live: str | None) -> None:
    voices = [say]
    parts = assemble(config, lambda line: voices[-1](line), allow_remote=allow_remote, watched=live is not None)
    stopping = asyncio.Event()
    _on_signals(stopping, parts)
    async with AsyncExitStack() as stack:
        await _start(parts, stack)
        for line in (*config.notes, parts.opening()):
            say(line)
        if live is not None:
            view = LiveView(parts.figures, Console(stderr=True), live)
            voices.append(view.say)
            stack.callback(view.close)
            view.start()
        await stopping.wait()
        voices[1:] = []
    say(summary(parts.figures))


async def _start(parts: Parts, stack: AsyncExitStack) -> None:
    """Starts everything; the stack stops it. Raises ConfigError, with what was started stopped again."""
    stack.push_async_callback(_all, [exporter.close for exporter in parts.exporters])
    for exporter in parts.exporters:
        exporter.start()
    stops: list[Stop] = []
    stack.push_async_callback(_all, stops)
    for service in (*parts.services, *parts.receivers):
        await service.start()
        stops.append(service.stop)
    parts.refuse_loop()
    for health in parts.health:
        health.ready()
        stack.callback(health.not_ready)


async def _all(stops: Sequence[Stop]) -> None:
    """Stops things at the same time, each to its end: whoever ends this process waits for ten seconds, or thirty."""
    outcomes = await asyncio.gather(*(stop(FLUSH_SECONDS) for stop in stops), return_exceptions=True)
    for failure in filter(None, outcomes):
        raise failure


def _on_signals(stopping: asyncio.Event, parts: Parts) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, parts.reopen)


def _keep_freed_memory() -> None:
    """Has malloc keep what a request has freed for the next one: taking it from the kernel anew costs page faults."""
    with suppress(OSError, AttributeError):  # not glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, KEPT // 2)
        mallopt(M_TRIM_THRESHOLD, KEPT)


def _allow_many_connections() -> None:
    """Every connection is a file descriptor, and many systems let a process have 1024 until it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has limits that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
