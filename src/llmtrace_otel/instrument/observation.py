"""One HTTP attempt of a logical call, and the span that its attempts share.

    observation = Observation.start(recorder, exchange, context)
    observation.head(status, headers)
    observation.feed(chunk) … observation.end()        or  .body(whole)  or  .fail(error)  or  .abandon()

Nothing here raises. Whoever carries the bytes (httpx, later a proxy) drives it; the first of `end`, `body`, `fail` and
`abandon` counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from opentelemetry.context import Context
from opentelemetry.trace import Span

from llmtrace_otel.instrument import left_streams, retries
from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry.spans import CallSpan, Recorder
from llmtrace_otel.telemetry.within import Part
from llmtrace_otel.wire.exchange import Exchange, type_name

if TYPE_CHECKING:
    from llmtrace_otel.replay.tape import Taking

_log = logging.getLogger("llmtrace_otel")

_MOST = 64
_MUCH = 16 * 1024
"""How many pieces of a stream, and about how many bytes, are kept before they are read."""


def _unread(_: bytes) -> None:
    pass


class Observation(Struct, eq=False):
    """Tells an exchange what happens, and ends the call's span when nothing more can happen."""

    _exchange: Exchange
    _span: CallSpan | Part
    _logical: retries.LogicalCall | None
    span: Span
    here: Context
    """Where the request was begun."""
    feed: Callable[[bytes], None]
    """Takes a piece of the body, as it came over the wire."""
    kept: list[bytes] = []
    """Pieces that have come, and wait to be read together: to read each for itself costs more than all it finds."""
    done: bool = False
    sending: bool = False
    _taking: Taking | None = None

    @classmethod
    def start(cls, recorder: Recorder, exchange: Exchange, here: Context) -> Observation:
        """Starts a span for the exchange, or joins it to the failed attempt before it. `here` is the current one."""
        logical, call = retries.current(), exchange.call
        span: CallSpan | Part
        if logical is not None and logical.held is not None and (earlier := logical.take(call)) is not None:
            call.start_ns = earlier.call.start_ns
            call.attempts = earlier.call.attempts + 1
            earlier.call = call
            span = earlier
        else:
            span = recorder.start(call, here)
        started = cls(exchange, span, logical, span.span, here, exchange.feed)
        if type(span) is Part:
            span.settle = started.abandon
        return started

    def record(self, taking: Taking) -> None:
        """Has the answer recorded as well."""
        self._taking = taking
        self.feed = self._feed_both

    def replayed(self, seconds: float) -> None:
        """The answer is a recorded one, which took so long."""
        self._exchange.call.replayed_seconds = seconds

    def head(self, status: int, headers: Mapping[str, str], *, decoded: bool = False) -> None:
        """The head of the answer has come."""
        self._exchange.response(status, headers, decoded=decoded)
        if self._taking is not None:
            self._taking.head(status, headers, decoded=decoded)

    def body(self, whole: bytes) -> None:
        """The whole body has come at once."""
        if not self.done:
            if self._taking is not None:
                self._taking.feed(whole)
            self._exchange.whole(whole)
            self._finish()

    def read(self) -> int:
        """Reads what was kept; gives how many pieces to keep before the next time. Never raises."""
        kept, call = self.kept, self._exchange.call
        pieces = len(kept)
        try:
            chunk = b"".join(kept)
            kept.clear()
            self.feed(chunk)
        except Exception as error:
            kept.clear()
            self.stop_reading(error)
            return _MOST
        if self._taking is not None or call.first_chunk_ns is None:
            return 1  # when each of them came matters
        wait = _MUCH * pieces // (len(chunk) or 1)
        return _MOST if wait > _MOST else wait or 1

    def stop_reading(self, error: Exception) -> None:
        """Reading has failed: what follows goes by unread."""
        _log.debug("llmtrace: an answer could not be read on: %r", error)
        self.feed = _unread if self._taking is None else self._taking.feed

    def end(self) -> None:
        """The body has come to its end."""
        if not self.done:
            self._read_rest()
            self._exchange.end()
            self._finish()

    def abandon(self) -> None:
        """The reader has stopped, or never started, to read the body."""
        if not self.done:
            self._read_rest()
            self._exchange.abandon()
            self._finish("its reader stopped there")

    def fail(self, error: BaseException) -> None:
        """The attempt broke; what only ends a task or a program is the caller's choice, and no error of the call."""
        if self.done:
            return
        self._read_rest()
        if isinstance(error, Exception):
            self._exchange.fail(error)
        else:
            self._exchange.abandon()
        self._finish(type_name(error))

    def _read_rest(self) -> None:
        left_streams.forget(self)
        if self.kept:
            self.read()

    def _feed_both(self, chunk: bytes) -> None:
        assert self._taking is not None
        self._taking.feed(chunk)
        self._exchange.feed(chunk)

    def _finish(self, cut: str | None = None) -> None:
        """`cut` says why the answer may not be whole."""
        self.done = True
        call = self._exchange.call
        if self._taking is not None:
            self._taking.end(None if call.complete else cut)
        if call.capture:
            self._exchange.write_content(as_sent=content.as_delta())
        if call.error_type is not None and self._logical is not None and self._logical.hold(self._span):
            return  # the SDK may try again
        self._span.end()
