"""Instructions as the kernel counts them, of a process and all threads that it starts: no slower than an ordinary run.

Linux alone has such counters, and not in every virtual machine; perf_event_open(2) tells what the numbers mean.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from contextlib import suppress
from pathlib import Path

INSTRUCTIONS = (0, 1)
"""PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS"""
_CALL = {"x86_64": 298, "aarch64": 241}
_ATTRIBUTES, _SIZE = "=IIQQQQQ16x", 64
_INHERIT, _USER_ALONE = 1 << 1, 1 << 5 | 1 << 6
_TIMES = 1 | 2
"""PERF_FORMAT_TOTAL_TIME_ENABLED and _RUNNING"""


class Counter:
    """Counts from now on, this thread and those that it starts. Raises OSError where nothing can be counted."""

    def __init__(self, event: tuple[int, int] = INSTRUCTIONS) -> None:
        if sys.platform != "linux" or (number := _CALL.get(platform.machine())) is None:
            raise OSError("there is no counter")
        kind, which = event
        attributes = struct.pack(_ATTRIBUTES, kind, _SIZE, which, 0, 0, _TIMES, _INHERIT | _USER_ALONE)
        library = ctypes.CDLL(None, use_errno=True)
        self._file = library.syscall(number, attributes, 0, -1, -1, ctypes.c_ulong(0))
        if self._file < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def read(self) -> int:
        """What was counted so far. Raises OSError if the counter was not on all the time."""
        counted, enabled, running = struct.unpack("=QQQ", os.read(self._file, 24))
        if running < enabled:
            raise OSError("others use the counter, too")
        return int(counted)

    def close(self) -> None:
        os.close(self._file)


def works(event: tuple[int, int] = INSTRUCTIONS) -> bool:
    """Whether a process can count, wherever it runs: where cores are of several kinds, a counter belongs to one."""
    kinds = list(Path("/sys/bus/event_source/devices").glob("*/cpus"))
    with suppress(OSError):
        counter = Counter(event)
        try:
            return len(kinds) < 2 and counter.read() < counter.read()
        finally:
            counter.close()
    return False
