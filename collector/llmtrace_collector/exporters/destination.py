"""How the other side is doing: what is counted of it, and what the user is told of it, once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from llmtrace_collector.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.errors import UnavailableError
    from llmtrace_collector.exporters.transport import Delivered
    from llmtrace_collector.figures.counts import Counts
    from llmtrace_collector.otlp.signals import Signal


class Destination:
    """Where an exporter sends to. `delivered` and `dropped` count items of all signals."""

    def __init__(self, name: str, url: str, settle: float, say: Callable[[str], None], counts: Counts) -> None:
        """It is back when it took requests for `settle` seconds without an attempt failing."""
        self.url = url
        self.delivered = 0
        self.dropped = 0
        self.down_since: float | None = None
        self._settle = settle
        self._last_failure = 0.0
        self._settling: asyncio.TimerHandle | None = None
        self._labels = (("exporter", name),)
        self._counts = counts
        self.say = say
        self._outage = Outage(say)
        self._told: set[str] = set()

    def worked(self, signal: Signal, items: int, answer: Delivered) -> None:
        """An attempt came through."""
        self.count("sent", signal, items - answer.rejected)
        self.delivered += items - answer.rejected
        if answer.rejected:
            self.count("send_failed", signal, answer.rejected)
            self.drop(signal, answer.rejected)
            self.tell_once("refused", f"did not take {answer.rejected} {signal.items}: {answer.message}")
        elif answer.message:
            self.tell_once("warned", f"warns: {answer.message}")
        self.answered()

    def answered(self) -> None:
        """It is there, whatever it said."""
        left = self._last_failure + self._settle - time.monotonic()
        if left <= 0:
            self._settled()
        elif self.down_since is not None and self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(left, self._settled)

    def failed(self, error: UnavailableError) -> None:
        """An attempt did not come through, but another one may."""
        self._disarm()
        self._last_failure = time.monotonic()
        self.down_since = self.down_since or time.time()
        self._outage.begins(f"{self.url} is unreachable ({error})")

    def _settled(self) -> None:
        self._disarm()
        self.down_since = None
        self._outage.ends(f"{self.url} is back")

    def _disarm(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    def drop(self, signal: Signal, items: int) -> None:
        """Items are lost to this destination."""
        self.dropped += items
        self._counts.add(f"llmtrace_exporter_dropped_{signal.items}", items, self._labels)

    def count(self, what: str, signal: Signal, items: int) -> None:
        """`what` is sent, send_failed or enqueue_failed."""
        self._counts.add(f"otelcol_exporter_{what}_{signal.items}", items, self._labels)

    def tell_once(self, kind: str, line: str) -> None:
        """Says what kind of thing happens, the first time that it does."""
        if kind not in self._told:
            self._told.add(kind)
            self.say(f"{self.url} {line}")
