"""Forwarding: what is behind every exporter that sends to another endpoint, whatever it speaks.

A `Sender` has a `Lane` for each signal. What an acknowledgement means:

- with a queue on disk, that the request is committed there;
- behind a file or another queue on disk, nothing of the destination: the request waits in memory, and what finds no
  room is dropped and counted;
- otherwise, that the destination has it. It is tried once, for the client comes again by itself; `wait_for_result`, or
  no `sending_queue`, leaves trying again to `retry_on_failure` for as long as the client waits.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from llmtrace_collector.config.settings import OTLPHTTPExporter
from llmtrace_collector.exporters.destination import Destination
from llmtrace_collector.exporters.lane import Lane
from llmtrace_collector.exporters.otlp_grpc import GRPCTransport
from llmtrace_collector.exporters.otlp_http import HTTPTransport
from llmtrace_collector.exporters.queues import DiskQueue, MemoryQueue
from llmtrace_collector.exporters.spool import Spool, directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmtrace_collector.config.settings import FileStorage, OTLPGRPCExporter, SendingQueue
    from llmtrace_collector.exporters.queues import Queue
    from llmtrace_collector.exporters.transport import Credential, Transport
    from llmtrace_collector.figures.counts import Counts
    from llmtrace_collector.otlp.batch import Batch
    from llmtrace_collector.otlp.signals import Signal

    Settings = OTLPHTTPExporter | OTLPGRPCExporter


class Sender:
    """An exporter that sends to another endpoint. One serves all signals of a component.

    It is `durable` when its queue is on disk: then what other exporters cannot take is nobody's reason to send again,
    for a request that comes again would be sent twice from here. `waiting` is, after `close`, what stays on disk.
    """

    wants_lines = False

    def __init__(
        self,
        name: str,
        settings: Settings,
        signals: Iterable[Signal],
        transport: Transport,
        say: Callable[[str], None],
        counts: Counts,
        storage: FileStorage | None = None,
    ) -> None:
        """`storage` belongs to `sending_queue.storage`. Raises ConfigError."""
        self._name = name
        self._say = say
        self._transport = transport
        self._destination = Destination(name, transport.url, settings.retry_on_failure.initial_interval, say, counts)
        self.durable = storage is not None and settings.sending_queue.enabled
        self.waiting = 0
        self._lanes: dict[str, Lane] = {}
        for signal in signals:
            queue = self._queue(settings.sending_queue, signal, storage)
            self._lanes[signal.name] = Lane(signal, settings, queue, transport, self._destination)
            labels = (("data_type", signal.name), ("exporter", name))
            counts.gauge("otelcol_exporter_queue_size", labels, partial(getattr, queue.room, "used"))
            counts.gauge("otelcol_exporter_queue_capacity", labels, partial(getattr, queue.room, "capacity"))

    @property
    def url(self) -> str:
        """Where it sends to, without secrets."""
        return self._destination.url

    @property
    def delivered(self) -> int:
        """Items that the destination took."""
        return self._destination.delivered

    @property
    def dropped(self) -> int:
        """Items that the destination did not get and will not get from here; clients know nothing of it."""
        return self._destination.dropped

    def down_since(self) -> float | None:
        """Since when the destination cannot be reached, in seconds since 1970; None while it can."""
        return self._destination.down_since

    def describe(self) -> str:
        """What it does, for the line at start."""
        return f"forwarding to {self.url}"

    def start(self) -> None:
        """See Exporter."""
        for lane in self._lanes.values():
            lane.start()

    async def export(self, batch: Batch, *, kept: bool) -> None:
        """See Exporter."""
        await self._lanes[batch.signal.name].put(batch, kept=kept)

    async def close(self, timeout: float) -> None:
        """See Exporter. What was in memory only is counted as dropped; what is on disk is sent after the next start."""
        self.waiting = sum(await asyncio.gather(*(lane.close(timeout) for lane in self._lanes.values())))
        await self._transport.close()
        if self.waiting:
            self._say(f"{self.waiting} items for {self.url} wait on disk until the next start")

    def _queue(self, options: SendingQueue, signal: Signal, storage: FileStorage | None) -> Queue:
        if storage is None or not options.enabled:
            return MemoryQueue(options)
        folder = directory(storage, options.storage)
        spool = Spool(folder, f"{self._name}-{signal.name}", fsync=storage.fsync, say=self._say)
        return DiskQueue(options, spool)


def sender_for(
    name: str,
    settings: Settings,
    signals: Iterable[Signal],
    say: Callable[[str], None],
    counts: Counts,
    *,
    storage: FileStorage | None = None,
    credential: Credential | None = None,
) -> Sender:
    """The exporter that an id of the configuration names, for the signals of the pipelines it is in.

    `storage` is the extension that `sending_queue.storage` names, `credential` asks the one that `auth` names.
    Raises ConfigError.
    """
    signals = tuple(signals)
    transport: Transport
    if isinstance(settings, OTLPHTTPExporter):
        transport = HTTPTransport(name, settings, signals, credential)
    else:
        transport = GRPCTransport(name, settings, signals, credential)
    return Sender(name, settings, signals, transport, say, counts, storage)
