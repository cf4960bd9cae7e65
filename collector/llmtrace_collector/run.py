"""Runs a collector: opens what the configuration names, serves until SIGINT or SIGTERM, then flushes and sums up.

Started from the back to the front, exporters before receivers, and stopped in the other direction, so that whatever was
received has somewhere to go.
"""

from __future__ import annotations

import asyncio
import resource
import signal
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

from rich.console import Console

from llmtrace_collector.assembly import assemble
from llmtrace_collector.figures.live_view import LiveView
from llmtrace_collector.figures.summary import summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.assembly import Parts
    from llmtrace_collector.config.settings import Config

FLUSH_SECONDS = 5.0
FILES = 65536


def collect(config: Config, say: Callable[[str], None], *, allow_remote: bool = False, live: str | None = None) -> None:
    """Serves until a signal ends it. Raises ConfigError when it cannot start.

    `say` shows one line to the user. With `live` a few lines at the bottom of the terminal follow what comes in, and
    what is said appears above them, beginning with `live`.
    """
    _allow_many_connections()
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
    for exporter in parts.exporters:
        stack.push_async_callback(exporter.close, FLUSH_SECONDS)
    for exporter in parts.exporters:
        exporter.start()
    for service in (*parts.services, *parts.receivers):
        await service.start()
        stack.push_async_callback(service.stop, FLUSH_SECONDS)
    parts.refuse_loop()
    for health in parts.health:
        health.ready()
        stack.callback(health.not_ready)


def _on_signals(stopping: asyncio.Event, parts: Parts) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, parts.reopen)


def _allow_many_connections() -> None:
    """Every connection is a file descriptor, and many systems let a process have 1024 until it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has limits that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
