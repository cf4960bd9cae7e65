"""The `otlp_http` exporter: passes spans on to another OTLP/HTTP endpoint, such as Jaeger.

Beside a file it works in the background: spans, which are on disk already, wait in a bounded queue in memory and are
tried until the destination takes them. As the only exporter it delivers while the client waits, so that an answer of
200 still means that somebody has the spans. The destination's going and coming back are told once each.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import h11

from llmtrace_collector import otlp
from llmtrace_collector.errors import RejectedError, UnavailableError
from llmtrace_collector.http_client import Response, post
from llmtrace_collector.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmtrace_collector.config import OTLPHTTPExporter
    from llmtrace_collector.otlp import Batch

QUEUE_BYTES = 64 * 1024 * 1024
RETRYABLE = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds between attempts: `first`, then longer by `factor`, up to `longest`."""

    first: float = 1.0
    factor: float = 1.5
    longest: float = 30.0

    def delays(self) -> Iterator[float]:
        """The endless row of pauses."""
        delay = self.first
        while True:
            yield delay
            delay = min(delay * self.factor, self.longest)


class Forwarder:
    """Delivers batches to one destination. At most `queue_bytes` wait for it; what is over is dropped and counted."""

    def __init__(
        self,
        destination: OTLPHTTPExporter,
        say: Callable[[str], None],
        *,
        backoff: Backoff | None = None,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self.url = destination.traces_url
        self.delivered = 0
        self.dropped = 0
        self._destination = destination
        self._backoff = backoff or Backoff()
        self._room = queue_bytes
        self._waiting: asyncio.Queue[Batch] = asyncio.Queue()
        self._waiting_spans = 0
        self._outage = Outage(say)
        self._refusals = Outage(say)
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the background delivery, in the running event loop."""
        self._worker = asyncio.create_task(self._work())

    def offer(self, batch: Batch) -> None:
        """Leaves a batch for background delivery, or drops it when too much waits already. Never raises."""
        if len(batch.protobuf) > self._room:
            self.dropped += batch.spans
            return
        self._room -= len(batch.protobuf)
        self._waiting_spans += batch.spans
        self._waiting.put_nowait(batch)

    async def deliver(self, batch: Batch) -> None:
        """Sends a batch once. Raises UnavailableError if it may be tried again, RejectedError if that is of no use."""
        response = await self._post(batch.protobuf)
        if response.status in RETRYABLE:
            self._tell_down(f"answered {response.status}")
            raise UnavailableError(f"{self.url} answered {response.status}", retry_after(response))
        self._outage.ends(f"{self.url} is back")
        if not 200 <= response.status < 300:
            self._tell_refusal(f"answered {response.status}")
            raise RejectedError(f"{self.url} answered {response.status}")
        rejected, reason = otlp.rejected_spans(response.body)
        if rejected:
            self._tell_refusal(f"did not take {rejected} spans: {reason}")
        self.dropped += rejected
        self.delivered += batch.spans - rejected

    async def close(self, timeout: float) -> None:
        """Delivers what waits, for at most `timeout` seconds; what is left is counted as dropped."""
        if self._worker is None:
            return
        if not self._outage.present:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._waiting.join(), timeout)
        self._worker.cancel()
        await asyncio.wait({self._worker})
        self.dropped += self._waiting_spans

    async def _work(self) -> None:
        while True:
            batch = await self._waiting.get()
            await self._until_settled(batch)
            self._room += len(batch.protobuf)
            self._waiting_spans -= batch.spans
            self._waiting.task_done()

    async def _until_settled(self, batch: Batch) -> None:
        for delay in self._backoff.delays():
            try:
                return await self.deliver(batch)
            except RejectedError:
                self.dropped += batch.spans
                return None
            except UnavailableError as error:
                await asyncio.sleep(max(delay, error.retry_after or 0))
        return None

    async def _post(self, body: bytes) -> Response:
        headers = {**self._destination.headers, "Content-Type": otlp.PROTOBUF}
        if self._destination.compression == "gzip":
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        try:
            return await post(self.url, body, headers, self._destination.timeout)
        except (OSError, h11.ProtocolError) as error:
            reason = str(error) or "no answer in time"
            self._tell_down(reason)
            raise UnavailableError(f"{self.url}: {reason}") from error

    def _tell_down(self, reason: str) -> None:
        self._outage.begins(f"{self.url} is unreachable ({reason})")

    def _tell_refusal(self, what: str) -> None:
        self._refusals.begins(f"{self.url} {what}; refused spans are not sent again")


def retry_after(response: Response) -> float | None:
    """Seconds that the destination asks to wait: `Retry-After` is a number of seconds or an HTTP date."""
    value = response.headers.get("retry-after", "")
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
