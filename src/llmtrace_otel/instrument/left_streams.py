"""Streams that the program leaves: closed early, left in the middle of a loop, or dropped without a word.

The garbage collector may be the one to find them, at any moment and under any lock that the program holds; ending a
span there could wait for a lock of the very thread that is being interrupted. So while a collection runs, an
observation is only put in a queue, and a thread of ours, started with the first stream, ends it.
"""

from __future__ import annotations

import atexit
import gc
import os
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, attach

if TYPE_CHECKING:
    from llmtrace_otel.instrument.observation import Observation

_left: SimpleQueue[Observation] = SimpleQueue()
_thread: threading.Thread | None = None
_collecting: int | None = None
"""The thread that the garbage collector has interrupted, while it runs."""


def end(observation: Observation) -> None:
    """Ends the observation of a stream that was left: at once, or soon when the garbage collector is running."""
    if observation.done:
        return
    if _collecting == threading.get_ident():
        _left.put(observation)
    else:
        observation.abandon()


def watch() -> None:
    """Makes ready for streams that are left. Cheap after the first time."""
    global _thread
    if _thread is None:
        if _on_collection not in gc.callbacks:
            gc.callbacks.append(_on_collection)
        thread = threading.Thread(target=_end_forever, name="llmtrace-left-streams", daemon=True)
        with suppress(RuntimeError):  # the program is ending; `settle` will do
            thread.start()
            _thread = thread


def settle() -> None:
    """Ends all that has been left so far."""
    while True:
        try:
            _left.get_nowait().abandon()
        except Empty:
            return


def _on_collection(phase: str, _: dict[str, Any]) -> None:
    global _collecting
    _collecting = threading.get_ident() if phase == "start" else None


def _end_forever() -> None:
    attach(Context())  # not that of whoever opened the first stream
    while True:
        _left.get().abandon()


def _forget_thread() -> None:
    global _thread
    _thread = None  # threads do not live on in a forked child


os.register_at_fork(after_in_child=_forget_thread)
atexit.register(settle)
