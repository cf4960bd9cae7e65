"""The memory limiter: refuses requests while the process has too much memory, so that clients keep them and try again.

Memory is the resident set, measured at a request and at most once each `check_interval`. From the soft limit on, which
is the limit less the expected spike, requests are refused; memory that nothing uses is then given back, at the hard
limit at every check, below it seldom.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from llmtrace_collector.errors import UnavailableError
from llmtrace_collector.figures import process
from llmtrace_collector.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.config.settings import MemoryLimiter
    from llmtrace_collector.figures.counts import Counts
    from llmtrace_collector.otlp.batch import Batch

MIB = 1024 * 1024
RETRY_SECONDS = 1.0
SELDOM_SECONDS = 10.0
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class MemoryLimiterProcessor:
    """Passes every batch on, or refuses it. One serves all pipelines that name it."""

    looks = False

    def __init__(  # the last three are for tests
        self,
        name: str,
        settings: MemoryLimiter,
        counts: Counts,
        say: Callable[[str], None],
        *,
        used: Callable[[], int] | None = None,
        give_back: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ValueError for limits that are none, and where the memory of the process cannot be read."""
        self.limit, self.soft_limit = limits(settings)
        self._interval = settings.check_interval
        self._labels = (("processor", name),)
        self._counts = counts
        self._outage = Outage(say)
        self._used = used or resident_bytes
        self._give_back = give_back or give_back_memory
        self._clock = clock
        self._checked = self._collected = float("-inf")
        self._refusing = False
        self._used()

    def process(self, batch: Batch) -> Batch:
        """The same batch. Raises UnavailableError."""
        now = self._clock()
        if now - self._checked >= self._interval:
            self._checked = now
            self._refusing = self._too_much(now)
        self._count("refused" if self._refusing else "accepted", batch)
        if self._refusing:
            raise UnavailableError("data refused due to high memory usage", RETRY_SECONDS)
        return batch

    def _too_much(self, now: float) -> bool:
        used = self._used()
        if used >= self.limit or (used >= self.soft_limit and now - self._collected >= SELDOM_SECONDS):
            self._collected = now
            self._give_back()
            used = self._used()
        shown = f"{used // MIB} MiB of memory in use, {self.soft_limit // MIB} MiB allowed"
        if used >= self.soft_limit:
            self._outage.begins(f"memory_limiter: {shown}: requests are refused until it is less, to be sent again")
            return True
        self._outage.ends(f"memory_limiter: {shown}: requests are accepted again")
        return False

    def _count(self, what: str, batch: Batch) -> None:
        name = f"otelcol_processor_memory_limiter_{what}_{batch.signal.items}"
        self._counts.add(name, batch.items, self._labels)


def limits(settings: MemoryLimiter) -> tuple[int, int]:
    """The hard and the soft limit in bytes. Without a spike limit it is a fifth. Raises ValueError."""
    _check(settings)
    if settings.limit_mib:
        limit, spike = settings.limit_mib * MIB, settings.spike_limit_mib * MIB
    else:
        total = total_bytes()
        limit, spike = (total * part // 100 for part in (settings.limit_percentage, settings.spike_limit_percentage))
    return limit, limit - (spike or limit // 5)


def _check(settings: MemoryLimiter) -> None:
    if settings.check_interval <= 0:
        raise ValueError("check_interval must be more than 0")
    if not settings.limit_mib and not settings.limit_percentage:
        raise ValueError("limit_mib or limit_percentage is missing")
    if max(settings.limit_percentage, settings.spike_limit_percentage) > 100:
        raise ValueError("limit_percentage and spike_limit_percentage are at most 100")
    for kind in ("mib", "percentage"):
        limit, spike = getattr(settings, f"limit_{kind}"), getattr(settings, f"spike_limit_{kind}")
        if min(limit, spike) < 0 or 0 < limit <= spike:
            raise ValueError(f"spike_limit_{kind} must be less than limit_{kind}, and neither below 0")


def resident_bytes() -> int:
    """The memory of this process. Raises ValueError on a system that does not tell."""
    try:
        return process.statm_bytes()
    except FileNotFoundError:
        return _resident_by_ps()


def _resident_by_ps() -> int:
    """What `ps` says, in KiB: on macOS and the BSDs there is no file to read."""
    asked = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    try:
        return int(subprocess.run(asked, capture_output=True, check=True, timeout=2).stdout) * 1024  # noqa: S603
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ValueError(f"this system does not tell how much memory the process uses: {error}") from error


def total_bytes() -> int:
    """The memory of the machine, or of the container. Raises ValueError on a system that does not tell."""
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError) as error:
        raise ValueError("this system does not tell how much memory it has: use limit_mib") from error
    return min([physical, *_container_limits()])


def _container_limits() -> list[int]:
    found = []
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # none, or "max"
            found.append(int(path.read_text()))
    return found


def give_back_memory() -> None:
    """Collects garbage, and returns to the system what the allocator has no use for."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
