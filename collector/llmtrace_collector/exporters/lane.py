"""The way of one signal to its destination: a queue, and consumers that send until a request is settled.

A request is settled when the destination has it or never will, when its client comes again or has left, or when it was
tried for long enough; on disk no age ends the attempts, only an answer or `retry_on_failure: {enabled: false}`.
One that may have arrived though no answer came is sent again: at least once, not exactly once.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmtrace_collector.errors import RejectedError, RequestError, UnavailableError
from llmtrace_collector.exporters.batching import merge
from llmtrace_collector.exporters.merger import Merger, Piece
from llmtrace_collector.exporters.queues import FullError
from llmtrace_collector.exporters.retry import pauses
from llmtrace_collector.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmtrace_collector.config.settings import OTLPGRPCExporter, OTLPHTTPExporter
    from llmtrace_collector.exporters.destination import Destination
    from llmtrace_collector.exporters.queues import Queue
    from llmtrace_collector.exporters.transport import Transport
    from llmtrace_collector.otlp.batch import Batch
    from llmtrace_collector.otlp.signals import Signal

SECONDS = 2.0  # the longest that a client, whose own time is short, is told to wait
LAST_PAUSE = 0.5  # seconds between attempts while the collector is stopping


class Lane:
    """The way of one signal to the destination."""

    def __init__(
        self,
        signal: Signal,
        settings: OTLPHTTPExporter | OTLPGRPCExporter,
        queue: Queue,
        transport: Transport,
        destination: Destination,
    ) -> None:
        self.queue = queue
        self._signal = signal
        self._options = settings.sending_queue
        self._retry = settings.retry_on_failure
        self._patient = self._options.wait_for_result or not self._options.enabled
        self._transport = transport
        self._destination = destination
        self._merger = Merger(signal, queue, self._options)
        self._sending: set[asyncio.Task[None]] = set()
        self._dispatcher: asyncio.Task[None] | None = None
        self._full = Outage(destination.say)
        self._closing = asyncio.Event()
        self._stuck = asyncio.Event()
        self._was_down = False

    def start(self) -> None:
        """Starts the consumers, in the running event loop."""
        self.queue.start()
        self._dispatcher = asyncio.create_task(self._dispatch())

    async def put(self, batch: Batch, *, kept: bool) -> None:
        """See Exporter.export."""
        try:
            answer = await self._enqueue(batch, kept=kept)
        except RequestError as error:
            self._destination.count("enqueue_failed", self._signal, batch.items)
            if isinstance(error, FullError):  # a disk tells by itself what it lacks
                self._full.begins(f"{error} ({self._destination.url}); {self._signal.items} are {_fate(kept=kept)}")
            if not kept:
                raise
            if isinstance(error, RejectedError):
                self._destination.tell_once(
                    "too large",
                    f"is not sent what is larger than the sending queue; such {self._signal.items} are dropped",
                )
            self._destination.drop(self._signal, batch.items)
            return
        if self.queue.room.used <= self.queue.room.capacity / 2:
            self._full.ends(f"the sending queue has room again ({self._destination.url})")
        if answer is not None:
            await answer

    async def close(self, timeout: float) -> int:
        """Sends what can be sent in `timeout` seconds. The items that are on disk still."""
        self._closing.set()
        self._was_down = self._destination.down_since is not None
        self._merger.hurry()
        if self._dispatcher is not None:
            await self._drain(self._dispatcher, timeout)
        on_disk = await self.queue.close()
        if not self.queue.durable:
            self._abandon()
        return on_disk

    # Consumers

    async def _dispatch(self) -> None:
        consumers = asyncio.Semaphore(self._options.num_consumers)
        while True:
            await consumers.acquire()
            task = asyncio.create_task(self._deliver(await self._merger.gather()))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            task.add_done_callback(lambda _: consumers.release())

    async def _deliver(self, pieces: list[Piece]) -> None:
        """Sends until every piece is settled, or the collector stops."""
        began = time.monotonic()
        for pause in pauses(self._retry):
            error = await self._attempt(pieces)
            if error is None:
                return
            wait = max(pause, error.retry_after or 0)
            pieces = self._remaining(pieces, error)
            if not pieces or self._stops() or self._gives_up(pieces, error, time.monotonic() - began + wait):
                return
            await self._pause(wait)
            pieces = [piece for piece in pieces if not self._left(piece)]

    async def _attempt(self, pieces: list[Piece]) -> UnavailableError | None:
        try:
            answer = await self._transport.send(self._signal, merge(piece.body for piece in pieces))
        except UnavailableError as error:
            self._destination.failed(error)
            return error
        except RejectedError as error:
            self._reject(pieces, error)
            return None
        except Exception as error:  # a mistake of ours: nobody may wait for ever because of it
            self._reject(pieces, RejectedError(f"could not be sent to: {error!r}"))
            return None
        self._destination.worked(self._signal, sum(piece.items for piece in pieces), answer)
        for piece in pieces:
            self._merger.settle(piece)
        return None

    def _reject(self, pieces: list[Piece], error: RejectedError) -> None:
        self._destination.tell_once("refused", f"{error}; refused {self._signal.items} are not sent again")
        self._destination.answered()
        self._lose(pieces, RejectedError(f"{self._destination.url} {error}"))

    def _remaining(self, pieces: list[Piece], error: UnavailableError) -> list[Piece]:
        """Those to try again here: clients that wait come again by themselves, and take theirs with them."""
        told = UnavailableError(f"{self._destination.url}: {error}", min(error.retry_after or SECONDS / 2, SECONDS))
        self._lose([piece for piece in pieces if not self._tries_again(piece)], told)
        return [piece for piece in pieces if self._tries_again(piece) and not self._left(piece)]

    def _tries_again(self, piece: Piece) -> bool:
        return piece.request.answer is None or self._patient

    def _left(self, piece: Piece) -> bool:
        if piece.request.abandoned:
            self._merger.settle(piece)
            return True
        return False

    def _gives_up(self, pieces: list[Piece], error: UnavailableError, elapsed: float) -> bool:
        limit = self._retry.max_elapsed_time
        too_old = 0 < limit < elapsed and not self.queue.durable
        if self._retry.enabled and not too_old:
            return False
        self._destination.tell_once(
            "gave up", f"was not reached in time ({error}); such {self._signal.items} are dropped"
        )
        self._lose(pieces, UnavailableError(f"{self._destination.url}: {error}", SECONDS))
        return True

    def _lose(self, pieces: list[Piece], error: RequestError) -> None:
        for piece in pieces:
            self._destination.count("send_failed", self._signal, piece.items)
            if piece.request.answer is None:
                self._destination.drop(self._signal, piece.items)
            self._merger.settle(piece, error)

    # The end

    def _stops(self) -> bool:
        """Whether to leave it at that: the collector is stopping, and the destination was gone before."""
        if self._closing.is_set() and self._was_down:
            self._stuck.set()
        return self._stuck.is_set()

    async def _pause(self, seconds: float) -> None:
        if self._closing.is_set():
            await asyncio.sleep(min(seconds, LAST_PAUSE))
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    async def _drain(self, dispatcher: asyncio.Task[None], timeout: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        waits: set[asyncio.Task[Any]] = {
            asyncio.create_task(event.wait()) for event in (self.queue.room.empty, self._stuck)
        }
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        await _cancel({dispatcher, *waits})
        if self._sending:
            await asyncio.wait(self._sending, timeout=max(0, end - loop.time()))
        await _cancel(self._sending)

    def _abandon(self) -> None:
        """What was in memory is lost; clients that still wait are told."""
        ready = self.queue.ready
        left = self._merger.taken | {ready.get_nowait() for _ in range(ready.qsize())}
        for request in left:
            request.error = UnavailableError("the collector is stopping", SECONDS)
            if request.answer is None:
                self._destination.drop(self._signal, request.items)
            self.queue.settle(request)

    async def _enqueue(self, batch: Batch, *, kept: bool) -> asyncio.Future[None] | None:
        if self._closing.is_set():
            raise UnavailableError("the collector is stopping", SECONDS)
        block = self._options.block_on_overflow and not kept
        return await self.queue.put(batch.protobuf, batch.items, block=block, answered=not kept)


def _fate(*, kept: bool) -> str:
    return "dropped, not forwarded" if kept else "refused"


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in (waited := set(tasks)):
        task.cancel()
    if waited:
        await asyncio.wait(waited)
