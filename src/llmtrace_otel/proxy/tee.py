"""Two connections joined: what one side receives goes to the other at once and unchanged, and then a copy to a tap.

Neither side is read faster than the other takes it, so a connection holds a bounded number of bytes whatever goes by.
A tap that raises is out: the connection goes on without one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from llmtrace_otel.proxy.upstream import Waiting

_log = logging.getLogger("llmtrace_otel")
_MOST_UNSENT: Final = 1 << 16
"""Bytes that wait for a side before the other is read no further."""


class Tap(Protocol):
    """Reads a copy of what goes by. May raise, and is then asked no more."""

    def sent(self, data: bytes) -> None:
        """The client has said something."""

    def received(self, data: bytes) -> None:
        """The server has said something."""

    def left(self) -> None:
        """The client is gone, or nobody reads on."""

    def lost(self, error: Exception | None) -> None:
        """The server is gone: of itself, or by an error."""


class Side(asyncio.Protocol):
    """One of the two connections."""

    transport: asyncio.Transport
    other: Side

    def __init__(self, tee: Tee) -> None:
        self._tee = tee
        self.show: Callable[[bytes], None] | None = None
        self.is_full = False
        """Whether it takes no more for now."""

    def connection_made(self, transport: Any) -> None:
        self.use(transport)
        self._tee.joined()

    def use(self, transport: asyncio.Transport) -> None:
        """Has the side use a transport that is there."""
        self.transport = transport
        transport.set_write_buffer_limits(_MOST_UNSENT)

    def data_received(self, data: bytes) -> None:
        self.other.transport.write(data)
        if self.show is not None:
            try:
                self.show(data)
            except Exception as error:
                self._tee.untap(error)

    def pause_writing(self) -> None:
        self.is_full = True
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_full = False
        self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        return self._tee.ended_half(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._tee.ended(self, error)


class Tee:
    """A client's connection and the one to its server."""

    def __init__(self, over: Callable[[Tee], None]) -> None:
        self._over = over
        self.client = Side(self)
        self.upstream = Side(self)
        self._join_sides()
        self._tap: Tap | None = None
        self._waiting: Waiting | None = None
        self._half: Side | None = None
        self.is_over = False

    def _join_sides(self) -> None:
        self.client.other, self.upstream.other = self.upstream, self.client

    def tap(self, tap: Tap | None) -> None:
        """Has a tap read what goes by from now on."""
        self._tap = tap
        self.client.show = tap.sent if tap else None
        self.upstream.show = tap.received if tap else None

    def connect(self, waiting: Waiting) -> None:
        """Takes over the server's connection, which is not read from before the client's is there."""
        self._waiting = waiting
        self.upstream.use(waiting.transport)
        waiting.transport.set_protocol(self.upstream)

    def joined(self) -> None:
        """The client's connection is there."""
        waiting = self._waiting
        assert waiting is not None
        if waiting.kept:
            self.upstream.data_received(bytes(waiting.kept))
        if waiting.is_over or self.is_over:
            self.client.transport.close()
        else:
            waiting.transport.resume_reading()

    def untap(self, error: Exception) -> None:
        """What goes by can no longer be read."""
        _log.debug("llmtrace: a connection could not be read on: %s", type(error).__name__)
        tap = self._tap
        self.tap(None)
        if tap is not None:
            _tell(tap.left)

    def ended_half(self, side: Side) -> bool:
        """One side says no more; says whether the other may go on.

        In a tunnel it may, if both can say so. A client that speaks HTTP and says no more has gone.
        """
        other = side.other.transport
        if self._tap is not None or self._half is not None or not side.transport.can_write_eof():
            return False
        if not other.can_write_eof() or other.is_closing():
            return False
        self._half = side
        other.write_eof()
        return True

    def ended(self, side: Side, error: Exception | None) -> None:
        """One of the connections is over: so is the other, as soon as it has got everything."""
        if self.is_over:
            return
        self.is_over = True
        tap = self._tap
        self.tap(None)
        if tap is not None:
            _tell(tap.left if side is self.client else lambda: tap.lost(error))
        self._end(side.other, error)
        self._over(self)

    def _end(self, side: Side, error: Exception | None) -> None:
        transport: asyncio.Transport | None = getattr(side, "transport", None)
        if transport is None:  # a client that is still to come
            return
        if error is None:
            transport.close()
        else:  # who sees an orderly end takes half an answer for a whole one
            transport.abort()

    def close(self) -> None:
        """Ends both connections."""
        self.ended(self.client, None)
        self._end(self.client, None)


def _tell(listener: Callable[[], None]) -> None:
    try:
        listener()
    except Exception as error:
        _log.debug("llmtrace: the end of a connection could not be read: %s", type(error).__name__)
