"""Streams that the program drops without closing.

The garbage collector finds them, at any moment and under any lock that the program holds; ending a span there could
wait for a lock of the very thread that is being interrupted. So the collector only puts the observation in a queue, and
a thread of ours, started with the first stream, ends it.
"""

from __future__ import annotations

import atexit
import os
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmtrace_otel.instrument.observation import Observation

_dropped: SimpleQueue[Observation] = SimpleQueue()
_thread: threading.Thread | None = None


def drop(observation: Observation) -> None:
    """Takes a dropped stream's observation; safe inside the garbage collector."""
    _dropped.put(observation)


def watch() -> None:
    """Makes sure that somebody ends what is dropped. Cheap after the first time."""
    global _thread
    if _thread is None:
        _thread = threading.Thread(target=_end_forever, name="llmtrace-dropped-streams", daemon=True)
        _thread.start()


def settle() -> None:
    """Ends all that has been dropped so far."""
    while True:
        try:
            _dropped.get_nowait().abandon()
        except Empty:
            return


def _end_forever() -> None:
    while True:
        _dropped.get().abandon()


def _forget_thread() -> None:
    global _thread
    _thread = None  # threads do not live on in a forked child


os.register_at_fork(after_in_child=_forget_thread)
atexit.register(settle)
