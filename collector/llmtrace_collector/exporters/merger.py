"""What is sent at once, by `sending_queue.batch`: several requests together, or one in pieces."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from llmtrace_collector.config.settings import QueueBatch
from llmtrace_collector.exporters.batching import split
from llmtrace_collector.exporters.queues import Request, weigh

if TYPE_CHECKING:
    from llmtrace_collector.config.settings import SendingQueue
    from llmtrace_collector.errors import RequestError
    from llmtrace_collector.exporters.queues import Queue
    from llmtrace_collector.otlp.signals import Signal


@dataclass(slots=True, eq=False)
class Piece:
    """A request, or the part of one that is sent by itself."""

    request: Request
    body: bytes
    items: int


class Merger:
    """Takes requests from a queue and makes of them what is sent at once, by `sending_queue.batch`."""

    def __init__(self, signal: Signal, queue: Queue, options: SendingQueue) -> None:
        batch = options.batch or QueueBatch(min_size=0)
        self._signal = signal
        self._queue = queue
        self._batch = batch
        self._sizer = batch.sizer or (options.sizer if options.sizer != "requests" else "items")
        self._pieces: deque[Piece] = deque()
        self._wait: float = batch.flush_timeout
        self._waiting: asyncio.Timeout | None = None
        self.taken: set[Request] = set()

    async def gather(self) -> list[Piece]:
        """What to send next: at least `min_size`, or what came within `flush_timeout`; at most `max_size`."""
        pieces = [await self._next()]
        size = self._weigh(pieces[0])
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait) as self._waiting:
                while size < self._batch.min_size:
                    piece = await self._next()
                    size += self._weigh(piece)
                    if 0 < self._batch.max_size < size:
                        self._pieces.appendleft(piece)
                        break
                    pieces.append(piece)
        return pieces

    def hurry(self) -> None:
        """From now on nothing is waited for."""
        self._wait = 0
        if self._waiting is not None:
            with suppress(RuntimeError):  # nothing was being waited for
                self._waiting.reschedule(asyncio.get_running_loop().time())

    def settle(self, piece: Piece, error: RequestError | None = None) -> None:
        """A piece has come to its end; with the last one, its request has."""
        request = piece.request
        request.error = request.error or error
        request.open -= 1
        if not request.open:
            self.taken.discard(request)
            self._queue.settle(request)

    async def _next(self) -> Piece:
        while not self._pieces:
            request = await self._queue.ready.get()
            if request.abandoned:
                self._queue.settle(request)
                continue
            self._pieces.extend(self._cut(request))
            request.open = len(self._pieces)
            self.taken.add(request)
        return self._pieces.popleft()

    def _cut(self, request: Request) -> list[Piece]:
        whole = Piece(request, request.body, request.items)
        if not 0 < self._batch.max_size < self._weigh(whole):
            return [whole]
        cut = split(self._signal, request.body, self._batch.max_size, by_bytes=self._sizer == "bytes")
        try:
            return [Piece(request, body, items) for body, items in cut] or [whole]
        except DecodeError:  # a disk that does not keep what it is given; the destination will say so
            return [whole]

    def _weigh(self, piece: Piece) -> int:
        return weigh(self._sizer, piece.body, piece.items)
