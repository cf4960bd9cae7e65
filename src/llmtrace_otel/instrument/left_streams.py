"""Streams that the program leaves: closed early, left in the middle of a loop, dropped without a word, open at its end.

The garbage collector may be the one to find them, at any moment and under any lock that the program holds; ending a
span there could wait for a lock of the very thread that is being interrupted. So while a collection runs, a stream is
only put in a queue, and a thread of ours, started with the first stream, ends it.

The end of the program ends what is still open, before the interpreter is taken apart: later no thread is left to serve
the queue, and a lock that one of them held stays locked. A forked child leaves its parent's streams to the parent.
"""

from __future__ import annotations

import atexit
import gc
import os
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol

from opentelemetry.context import Context, attach

_SECONDS = 5.0
"""How long the end of the program waits for what the thread is at; it may be waiting for the prices."""


class Stream(Protocol):
    """What watches a stream."""

    def abandon(self) -> None:
        """Ends its spans, and forgets it here. Never raises."""


class _Served(threading.Event):
    """Stands in the queue behind all that is to be ended first."""

    def abandon(self) -> None:
        self.set()


_open: set[Stream] = set()
_left: SimpleQueue[Stream] = SimpleQueue()
_thread: threading.Thread | None = None
_collecting: int | None = None
"""The thread that the garbage collector has interrupted, while it runs."""


def watch(stream: Stream) -> None:
    """Makes sure that the stream is ended, however the program leaves it. Cheap after the first time."""
    _open.add(stream)
    if _thread is None:
        _start()


def forget(stream: Stream) -> None:
    """The stream has ended."""
    _open.discard(stream)


def end(stream: Stream) -> None:
    """Ends a stream that was left: at once, or soon when the garbage collector is running."""
    if stream not in _open:
        return
    if _collecting == threading.get_ident():
        _left.put(stream)
    else:
        stream.abandon()


def settle() -> None:
    """Ends all that is open."""
    if _thread is not None:
        served = _Served()
        _left.put(served)
        served.wait(_SECONDS)
    for stream in list(_open):
        stream.abandon()


def _start() -> None:
    global _thread
    if _on_collection not in gc.callbacks:
        gc.callbacks.append(_on_collection)
        atexit.register(settle)  # this late, so that providers set up before are shut down after
    thread = threading.Thread(target=_end_forever, name="llmtrace-left-streams", daemon=True)
    with suppress(RuntimeError):  # the program is ending; `settle` will do
        thread.start()
        _thread = thread


def _on_collection(phase: str, _: dict[str, Any]) -> None:
    global _collecting
    _collecting = threading.get_ident() if phase == "start" else None


def _end_forever() -> None:
    attach(Context())  # not that of whoever opened the first stream
    while True:
        _left.get().abandon()


def _start_anew() -> None:
    global _thread, _left
    _thread, _left = None, SimpleQueue()  # threads do not live on in a forked child
    _open.clear()


os.register_at_fork(after_in_child=_start_anew)
