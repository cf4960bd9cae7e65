"""What happens to an accepted request, and in which order: files first, then whoever else wants the spans.

The rule of this room is "acknowledged means written". With a file, forwarding happens behind the acknowledgement;
without one, the destination's own acknowledgement is awaited.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmtrace_collector.exporters.debug import DebugExporter
    from llmtrace_collector.exporters.file import FileExporter
    from llmtrace_collector.exporters.otlp_http import Forwarder
    from llmtrace_collector.otlp import Batch


@dataclass(slots=True)
class Totals:
    """What was acknowledged, and how many bytes of lines that made in the files."""

    requests: int = 0
    spans: int = 0
    written_bytes: int = 0


@dataclass(slots=True)
class Pipeline:
    """The exporters that every batch goes to."""

    files: list[FileExporter] = field(default_factory=list)
    forwarders: list[Forwarder] = field(default_factory=list)
    debuggers: list[DebugExporter] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)

    def start(self) -> None:
        """Starts background work, in the running event loop."""
        for forwarder in self.forwarders:
            forwarder.start()

    async def accept(self, batch: Batch) -> None:
        """Returns when the batch is safe. Raises UnavailableError or RejectedError when it is not."""
        if batch.spans:
            await self._export(batch)
        self.totals.requests += 1
        self.totals.spans += batch.spans

    async def close(self, timeout: float) -> None:
        """Gives background work `timeout` seconds to finish, then lets go of everything."""
        for forwarder in self.forwarders:
            await forwarder.close(timeout)
        for file in self.files:
            file.close()

    async def _export(self, batch: Batch) -> None:
        for file in self.files:
            file.write(batch.line)
            self.totals.written_bytes += len(batch.line)
        for forwarder in self.forwarders:
            if self.files:
                forwarder.offer(batch)
            else:
                await forwarder.deliver(batch)
        for debugger in self.debuggers:
            debugger.show(batch)

    def summary(self) -> str:
        """The totals in one line."""
        totals = self.totals
        parts = [f"{totals.requests} requests, {totals.spans} spans, {totals.written_bytes} bytes written"]
        for each in self.forwarders:
            parts += [f"{each.delivered} spans forwarded to {each.url}, {each.dropped} dropped"]
        return "; ".join(parts)
