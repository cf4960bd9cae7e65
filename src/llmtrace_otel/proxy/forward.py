"""A client that speaks HTTP with the proxy itself: `POST http://host/path`, or our relay's `POST /t/…/https/host/path`.

Each request goes to the server that it names, so its end and its answer's end must be known, and the next one waits for
them. The bytes still pass as they come: only a request's head is written anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import h11

from llmtrace_otel.proxy import heads, http1, replies
from llmtrace_otel.proxy.heads import Asked, Destination, Head
from llmtrace_otel.proxy.http1 import Message
from llmtrace_otel.proxy.tee import Side, Tap, Tee
from llmtrace_otel.proxy.upstream import Proxy, proxy_for

if TYPE_CHECKING:
    from llmtrace_otel.proxy.messages import Child
    from llmtrace_otel.proxy.server import Server

_log = logging.getLogger("llmtrace_otel")
_MOST_PENDING: Final = 1 << 18
"""Bytes of further requests that are held while one is answered."""


class _Client(Side):
    """The client's connection."""

    _tee: Forward

    def data_received(self, data: bytes) -> None:
        self._tee.take(data)


class Forward(Tee):
    """A client's connection, and the one to the server that it asked last."""

    def __init__(self, server: Server, first: bytes, over: Callable[[Tee], None]) -> None:
        super().__init__(over)
        self.client = _Client(self)
        self._join_sides()
        self._server = server
        self._pending = bytearray(first)
        self._connected: tuple[str, Destination] | None = None
        """For which child to where there is a connection."""
        self._request: Message | None = None
        self._response: Message | None = None
        self._starting: asyncio.Task[None] | None = None
        self._is_opaque = False
        """Whether what the client says goes to the server as it is."""

    def joined(self) -> None:
        """The client's connection is there."""
        self._advance()

    def tap(self, tap: Tap | None) -> None:
        """Has a tap read what goes by from now on; what is sent is shown to it as the server gets it."""
        self._tap = tap

    def untap(self, error: Exception) -> None:
        """The end of an answer cannot be told: what comes goes on to the client, and no request follows."""
        self.upstream.show = None
        super().untap(error)

    def ended_half(self, side: Side) -> bool:
        return False

    def ended(self, side: Side, error: Exception | None) -> None:
        if side in (self.client, self.upstream):  # and no server of an earlier request
            super().ended(side, error)
            if self._starting is not None:
                self._starting.cancel()

    def take(self, data: bytes) -> None:
        """The client has said something."""
        self._pending += data
        self._advance()

    def _advance(self) -> None:
        """Does with what the client has said all that can be done by now."""
        while self._pending and self._starting is None:
            if self._is_opaque:
                self._send(self._taken(len(self._pending)))
            elif self._request is not None:
                self._send_body(self._request)
            elif self._response is not None or not self._begin():
                break
        if len(self._pending) > _MOST_PENDING:
            self.client.transport.pause_reading()
        elif not self.upstream.is_full:
            self.client.transport.resume_reading()

    def _taken(self, count: int) -> bytes:
        taken = bytes(self._pending[:count])
        del self._pending[:count]
        return taken

    # A request

    def _begin(self) -> bool:
        """Begins with the next request, if its head is there."""
        end = self._pending.find(heads.END)
        if end >= 0:
            head = self._taken(end + len(heads.END))
            self._starting = asyncio.get_running_loop().create_task(self._start(head))
        elif len(self._pending) > heads.LARGEST:
            self._refuse(replies.reply_to(heads.BadHead("the request's head is too large")))
        return end >= 0

    async def _start(self, data: bytes) -> None:
        try:
            head = heads.read_head(data)
            asked, child = await self.read(head)
            if child is None:
                self._refuse(replies.unauthorised(stays=False))
                return
            await self.serve(head, asked, child)
        except Exception as error:
            _log.debug("llmtrace: a request could not be served: %s", type(error).__name__)
            self._refuse(replies.reply_to(error))
        else:
            self._starting = None
            self._advance()

    async def read(self, head: Head) -> tuple[Asked, Child | None]:
        """What a head asks for, and whose it is, if that is known. Raises BadHead."""
        asked = heads.read_asked(head)
        return asked, await self._server.authenticate(asked)

    async def serve(self, head: Head, asked: Asked, child: Child) -> None:
        """Begins to send a request to its server. Raises Unreachable, Denied and TLSFailed."""
        proxy = proxy_for(child, asked.destination)
        await self._reach(child, asked.destination, proxy)
        self._ask(head, asked, proxy if asked.destination.scheme == "http" else None)

    async def _reach(self, child: Child, destination: Destination, proxy: Proxy | None) -> None:
        """Sees to it that there is a connection."""
        if self._connected == (child.id, destination):
            return
        self._leave()
        waiting = await self._server.reach(child, destination, proxy)
        self.upstream = Side(self)
        self.upstream.show = self._answered
        self._join_sides()
        self._connected = (child.id, destination)
        self.tap(self._server.tap_of(child, destination))
        self.connect(waiting)
        super().joined()

    def _leave(self) -> None:
        """Ends the connection to the server that was asked before."""
        if self._connected is not None:
            before, self.upstream = self.upstream, Side(self)
            before.transport.close()
            self._connected = None

    def _ask(self, head: Head, asked: Asked, proxy: Proxy | None) -> None:
        added = proxy.authorization if proxy else None
        told = heads.onward(head, asked)
        self._request = http1.request()
        self._response = http1.response(to_head=head.method == "HEAD", to_upgrade=head.value(b"upgrade") is not None)
        try:
            self._request.feed(told)
        except h11.RemoteProtocolError:  # where it ends we cannot tell: no other is to follow it
            self._is_opaque, added = True, b"Connection: close" + (b"\r\n" + added if added else b"")
        self.upstream.transport.write(heads.onward(head, asked, absolute=proxy is not None, added=added))
        self._show_sent(told)
        if self._request.is_over:
            self._request = None

    def _send_body(self, request: Message) -> None:
        data = self._taken(len(self._pending))
        try:
            request.feed(data)
        except h11.RemoteProtocolError:
            self._is_opaque = True
        if request.is_over and (rest := request.rest):
            self._pending[:0] = rest
            data = data[: -len(rest)]
        if request.is_over:
            self._request = None
        self._send(data)

    def _send(self, data: bytes) -> None:
        self.upstream.transport.write(data)
        self._show_sent(data)

    def _show_sent(self, data: bytes) -> None:
        if self._tap is not None:
            try:
                self._tap.sent(data)
            except Exception as error:
                super().untap(error)

    # Its answer

    def _answered(self, data: bytes) -> None:
        """The server has said something, which the client has got."""
        if self._tap is not None:
            try:
                self._tap.received(data)
            except Exception as error:
                super().untap(error)
        if self._response is not None:
            self._response.feed(data)
            if self._response.is_over:
                self._is_opaque = self._is_opaque or self._response.is_switch
                self._response = None
                self._advance()

    def _refuse(self, reply: bytes | None) -> None:
        """Answers in the place of a server, for the last time."""
        if reply is not None:
            self.client.transport.write(reply)
        self.client.transport.close()
