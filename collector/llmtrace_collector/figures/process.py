"""What the operating system knows of this process: memory, processor time, age."""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

STATM = Path("/proc/self/statm")
STARTED = time.monotonic()


def statm_bytes() -> int:
    """Physical memory in use now, on Linux. Raises OSError elsewhere."""
    return int(STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Physical memory in use now; where only its peak can be had, that."""
    with suppress(OSError):
        return statm_bytes()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cpu_seconds() -> float:
    """User and system time of all threads."""
    return time.process_time()


def uptime_seconds() -> float:
    """Since the collector was loaded."""
    return time.monotonic() - STARTED
