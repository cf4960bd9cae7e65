"""Where a body becomes a batch: what both transports do with a request, and what they count of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from llmtrace_collector.errors import MalformedError, RequestError
from llmtrace_collector.otlp import limits
from llmtrace_collector.otlp.batch import Batch, parsed

if TYPE_CHECKING:
    from llmtrace_collector.figures.counts import Counts
    from llmtrace_collector.otlp.signals import Signal


class Consumer(Protocol):
    """What stands behind a receiver, for one signal."""

    wants_lines: bool
    """Whether a batch is written as a line first of all."""

    async def accept(self, batch: Batch) -> None:
        """Returns when the batch is safe. Raises RequestError when it is not."""


class Authenticator(Protocol):
    """What knows the tokens."""

    name: str
    """The header that carries a token."""
    challenge: str
    """The scheme to ask for."""

    def accepts(self, value: str | None) -> bool:
        """Whether this is the header of a client that may send."""


class Intake:
    """The way in for one signal over one transport. Its counters are there from the start, at zero."""

    def __init__(self, signal: Signal, consumer: Consumer, counts: Counts, receiver: str, transport: str) -> None:
        self.signal = signal
        self._consumer = consumer
        self._counts = counts
        self._labels = (("receiver", receiver), ("transport", transport))
        self._served = (*self._labels, ("outcome", "success"))
        for outcome in ("accepted", "refused", "failed"):
            self._count(outcome, 0)

    async def accept_protobuf(self, body: bytes) -> None:
        """Returns when what the body holds is safe. Raises RequestError."""
        limits.expect_few(self.signal, body)
        await self._accept(Batch.from_protobuf(self.signal, body, as_line=self._consumer.wants_lines))

    async def accept_json(self, body: bytes) -> None:
        """Returns when what the body holds is safe. Raises RequestError."""
        limits.expect_few_objects(body)
        batch = Batch.from_json(self.signal, body)
        limits.expect_few(self.signal, batch.protobuf)
        try:
            parsed(self.signal, batch.protobuf)
        except MalformedError as error:  # values of JSON may be nested deeper than a reader of protobuf goes
            raise MalformedError("the body is nested too deeply") from error
        await self._accept(batch)

    async def _accept(self, batch: Batch) -> None:
        try:
            await self._consumer.accept(batch)
        except (RequestError, asyncio.CancelledError):
            self._count("refused", batch.items)
            raise
        except Exception:
            self._count("failed", batch.items)
            raise
        self._count("accepted", batch.items)
        self._counts.add("otelcol_receiver_requests", 1, self._served)

    def _count(self, outcome: str, items: int) -> None:
        self._counts.add(f"otelcol_receiver_{outcome}_{self.signal.items}", items, self._labels)
