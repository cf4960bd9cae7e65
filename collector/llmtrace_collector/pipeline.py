"""What happens to an accepted request, and in which order: processors, then files, then whoever else wants the items.

The rule of this room is "acknowledged means written". With a file, forwarding happens behind the acknowledgement;
without one, the destination's own acknowledgement, or a queue on disk, is awaited.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from llmtrace_collector.errors import RequestError

if TYPE_CHECKING:
    from llmtrace_collector.figures.counts import Counts
    from llmtrace_collector.otlp.batch import Batch


class Processor(Protocol):
    """Looks at a batch, or changes it."""

    looks: bool
    """Whether it looks into the message, and not only at how much comes."""

    def process(self, batch: Batch) -> Batch:
        """The batch to go on with; its own, changed in place, or another. Raises RequestError to refuse the request."""


class Exporter(Protocol):
    """Takes batches somewhere."""

    durable: bool
    """Whether a batch that was exported is on disk, so that nothing is lost when another exporter cannot follow."""
    wants_lines: bool
    """Whether it takes the line of a batch."""

    def start(self) -> None:
        """Starts background work, in the running event loop."""

    async def export(self, batch: Batch, *, kept: bool) -> None:
        """Returns when the batch is safe as far as this exporter goes.

        `kept` says that a durable exporter has it already: nobody has to wait, and what finds no room here is dropped
        and counted. Otherwise raises UnavailableError or RejectedError when the batch is not safe.
        """

    async def close(self, timeout: float) -> None:
        """Gives background work `timeout` seconds to finish, then lets go of everything."""

    def describe(self) -> str:
        """What it does, for the line at start."""


class CountedExporter:
    """An exporter that answers at once, and the official counts of what it took and what it could not."""

    def __init__(self, exporter: Exporter, name: str, counts: Counts) -> None:
        self.durable, self.wants_lines = exporter.durable, exporter.wants_lines
        self.start, self.close, self.describe = exporter.start, exporter.close, exporter.describe
        self._exporter, self._counts = exporter, counts
        self._labels = (("exporter", name),)

    async def export(self, batch: Batch, *, kept: bool) -> None:
        """See Exporter."""
        try:
            await self._exporter.export(batch, kept=kept)
        except RequestError:
            self._counts.add(f"otelcol_exporter_send_failed_{batch.signal.items}", batch.items, self._labels)
            raise
        self._counts.add(f"otelcol_exporter_sent_{batch.signal.items}", batch.items, self._labels)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Processors in their order, and the exporters behind them, durable ones first."""

    name: str
    processors: tuple[Processor, ...]
    exporters: tuple[Exporter, ...]

    @property
    def wants_lines(self) -> bool:
        """Whether a line is made of a batch as it came."""
        return any(each.wants_lines for each in self.exporters) and not any(each.looks for each in self.processors)

    def process(self, batch: Batch) -> Batch:
        """What processors leave of a batch. Raises RequestError when one refuses it."""
        for processor in self.processors:
            if batch.items:
                batch = processor.process(batch)
        return batch

    async def export(self, batch: Batch) -> None:
        """Returns when the batch is safe. Raises RequestError when it is not."""
        if not batch.items:
            return
        kept = False
        for exporter in self.exporters:
            await exporter.export(batch, kept=kept)
            kept = kept or exporter.durable


class Fanout:
    """The pipelines of one signal behind one receiver."""

    def __init__(self, pipelines: tuple[Pipeline, ...]) -> None:
        self.pipelines = pipelines
        self.wants_lines = any(pipeline.wants_lines for pipeline in pipelines)

    async def accept(self, batch: Batch) -> None:
        """Returns when every pipeline has the batch. Raises RequestError when one refuses it.

        All process before any exports: what is refused by one comes again, and would be exported by others twice.
        """
        if not batch.items:
            return
        for pipeline, left in [(each, each.process(self._own(batch, each))) for each in self.pipelines]:
            await pipeline.export(left)

    def _own(self, batch: Batch, pipeline: Pipeline) -> Batch:
        return batch.copy() if len(self.pipelines) > 1 and pipeline.processors else batch
