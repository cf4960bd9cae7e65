"""Where requests wait for their destination: in memory or on disk, with the same limits and the same face.

A request keeps its room until it is settled, also while it is being sent. Consumers take requests from `ready`; a queue
on disk keeps only a few of them there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from llmtrace_collector.errors import RejectedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.config.settings import SendingQueue
    from llmtrace_collector.errors import RequestError
    from llmtrace_collector.exporters.spool import Spool, Stored

SECONDS = 1.0  # after which a client that found no room may come again


class FullError(UnavailableError):
    """The queue has no room for a request now."""


@dataclass(slots=True, eq=False)
class Request:
    """A serialised export request that waits to be sent.

    `answer` is what a client waits for, None when nobody does. `open` counts the pieces that are not settled yet;
    `error` is the first that befell one of them.
    """

    body: bytes
    items: int
    answer: asyncio.Future[None] | None = None
    stored: Stored | None = None
    open: int = 1
    error: RequestError | None = None

    @property
    def abandoned(self) -> bool:
        """Whether a client waited, and left: it will come again, so the request need not be sent."""
        return self.answer is not None and self.answer.cancelled()


def weigh(sizer: str, body: bytes, items: int) -> int:
    """The size of a request in requests, items or bytes."""
    return {"requests": 1, "items": items, "bytes": len(body)}[sizer]


class Queue(Protocol):
    """What the machinery that sends needs of a queue. Its room is in the unit of `sending_queue.sizer`."""

    durable: bool
    """Whether it is on disk."""
    room: Room
    ready: asyncio.Queue[Request]

    def start(self) -> None:
        """Makes what is there ready, in the running event loop."""

    async def put(self, body: bytes, items: int, *, block: bool, answered: bool) -> asyncio.Future[None] | None:
        """Returns when the request is in the queue. In memory, if `answered`, with what tells when it was settled.

        Without `block` a full queue raises FullError; a disk that cannot be written, UnavailableError; a request
        that never fits, RejectedError.
        """

    def settle(self, request: Request) -> None:
        """Lets go of a request."""

    async def close(self) -> int:
        """Ends. The items that are on disk still."""


class Room:
    """The capacity of a queue. Who waits for room gets it in turn.

    `stored` tells what takes room without having been reserved here.
    """

    def __init__(self, capacity: int, stored: Callable[[], int] = int) -> None:
        self.capacity = capacity
        self.empty = asyncio.Event()
        self._stored = stored
        self._reserved = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.look()

    @property
    def used(self) -> int:
        """What is taken."""
        return self._stored() + self._reserved

    async def take(self, size: int, *, block: bool) -> None:
        """Raises RejectedError for what never fits, and without `block` FullError for what does not fit now."""
        if size > self.capacity:
            raise RejectedError("the request is larger than the sending queue")
        if not self._waiting and self._fits(size):
            self._reserve(size)
        elif block:
            await self._wait(size)
        else:
            raise FullError("the sending queue is full", SECONDS)

    def give(self, size: int) -> None:
        """Gives room back."""
        self._reserved -= size
        self.look()

    def look(self) -> None:
        """Gives what room there is to those who wait first."""
        while self._waiting and (self._waiting[0][1].done() or self._fits(self._waiting[0][0])):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._reserve(size)
                turn.set_result(None)
        if not self.used:
            self.empty.set()

    def refuse(self) -> None:
        """Sends away who waits."""
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(UnavailableError("the collector is stopping", SECONDS))

    def _fits(self, size: int) -> bool:
        return self.used + size <= self.capacity

    def _reserve(self, size: int) -> None:
        self._reserved += size
        self.empty.clear()

    async def _wait(self, size: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # its turn had come
                self.give(size)
            raise


class MemoryQueue:
    """Requests in memory. `sending_queue: {enabled: false}` is one with room for what is being sent, and no more."""

    durable = False

    def __init__(self, settings: SendingQueue) -> None:
        self._sizer = settings.sizer if settings.enabled else "requests"
        self.room = Room(settings.queue_size if settings.enabled else settings.num_consumers)
        self.ready: asyncio.Queue[Request] = asyncio.Queue()

    def start(self) -> None:
        """See Queue."""

    async def put(self, body: bytes, items: int, *, block: bool, answered: bool) -> asyncio.Future[None] | None:
        """See Queue."""
        await self.room.take(weigh(self._sizer, body, items), block=block)
        answer = asyncio.get_running_loop().create_future() if answered else None
        self.ready.put_nowait(Request(body, items, answer))
        return answer

    def settle(self, request: Request) -> None:
        """See Queue."""
        self.room.give(weigh(self._sizer, request.body, request.items))
        if request.answer is None or request.answer.done():
            return
        if request.error is None:
            request.answer.set_result(None)
        else:
            request.answer.set_exception(request.error)

    async def close(self) -> int:
        """See Queue."""
        self.room.refuse()
        return 0


class DiskQueue:
    """Requests in a spool, of which a few are read ahead.

    Who has read everything is handed the next request as it comes, and need not read it from disk.
    """

    durable = True

    def __init__(self, settings: SendingQueue, spool: Spool) -> None:
        self._sizer = settings.sizer
        self._spool = spool
        self.room = Room(settings.queue_size, lambda: int(getattr(spool.totals, settings.sizer)))
        self.ready: asyncio.Queue[Request] = asyncio.Queue(settings.num_consumers)
        self._last = 0  # the key of the last request that was made ready
        self._has_all = False
        self._grown = asyncio.Event()
        self._loader: asyncio.Task[None] | None = None
        spool.changed = self.room.look

    def start(self) -> None:
        """See Queue."""
        self._loader = asyncio.create_task(self._load())

    async def put(self, body: bytes, items: int, *, block: bool, answered: bool) -> None:
        """See Queue."""
        size = weigh(self._sizer, body, items)
        await self.room.take(size, block=block)
        await asyncio.shield(self._store(body, items, size))  # a client that leaves does not leave half of it behind

    def settle(self, request: Request) -> None:
        """See Queue."""
        if request.stored is not None:
            self._spool.remove(request.stored)

    async def close(self) -> int:
        """See Queue."""
        self.room.refuse()
        if self._loader is not None:
            self._loader.cancel()
            await asyncio.wait({self._loader})
        await self._spool.close()
        return self._spool.totals.items

    async def _store(self, body: bytes, items: int, size: int) -> None:
        try:
            stored = await self._spool.put(body, items)
        finally:
            self.room.give(size)  # the spool counts it from now on
        if self._has_all and stored.key == self._last + 1 and not self.ready.full():
            self._last = stored.key
            self.ready.put_nowait(_request(stored))
        else:
            self._grown.set()

    async def _load(self) -> None:
        while True:
            self._grown.clear()
            found = await self._spool.read(self._last)
            for stored in found:
                await self.ready.put(_request(stored))
                self._last = stored.key
            self._has_all = not found
            if not found:
                await self._grown.wait()
                self._has_all = False


def _request(stored: Stored) -> Request:
    return Request(stored.body, stored.items, stored=stored)
