"""An ASGI application on uvicorn, inside the caller's event loop.

Uvicorn bounds neither the size of a request's head nor the time that it takes to come, so `Connection` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator

KEEP_ALIVE_SECONDS = 75  # longer than any SDK's export interval, so that a connection is not closed under a new batch
LARGEST_HEAD = 256 * 1024
"""In bytes: what a request may have besides its body, chunk sizes and trailers included."""
UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)
CANCELLED_SECONDS = 1  # for what a shutdown interrupts to say so


class Connection(HttpToolsProtocol):
    """A connection on which a whole request head must come within `KEEP_ALIVE_SECONDS` of the last answer."""

    _deadline: asyncio.TimerHandle
    _head_size = 0
    _idle = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went."""
        self._deadline.cancel()
        super().connection_lost(exc)
        unanswered = self.cycle is not None and not self.cycle.response_complete
        if unanswered and isinstance(task := self.scope.get("task"), asyncio.Task):
            task.cancel()  # nobody waits for what it does, and the client sends it again

    def data_received(self, data: bytes) -> None:
        """Parses, then looks whether this was too much besides bodies."""
        if self._idle:
            data = without_upgrade(data)
        self._head_size += len(data)
        super().data_received(data)
        if self._head_size > LARGEST_HEAD:
            self.transport.abort()
        if self.cycle is not None and not self.cycle.response_complete:  # the application bounds the rest
            self._deadline.cancel()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head_size = 0
        self._idle = False
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._head_size -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request ends."""
        self._idle = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The next request's time begins."""
        super().on_response_complete()
        self._deadline.cancel()
        self._await_head()

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(KEEP_ALIVE_SECONDS, self.transport.abort)


def without_upgrade(data: bytes) -> bytes:
    """The beginning of a request that asks for no other protocol.

    Java's client asks for HTTP/2 so. It may be answered in HTTP/1.1 (RFC 9110, 7.8); the parser would drop the body.
    """
    end = data.find(b"\r\n\r\n")
    if data.find(b"pgrade", 0, end) < 0:
        return data
    return UPGRADE.sub(b"", data[:end]) + data[end:]


class Web:
    """Serves an application on a listening socket."""

    def __init__(self, application: Any, listener: socket.socket, context: ssl.SSLContext | None = None) -> None:
        settings = uvicorn.Config(
            application,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        settings.load()
        settings.ssl = context
        self._listener = listener
        self._server = _Server(settings)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when requests are taken."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        await self._server.ready.wait()

    async def stop(self, grace_seconds: float) -> None:
        """Takes no more connections, and gives requests so much time to be answered before they are cancelled."""
        if self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = grace_seconds  # type: ignore[assignment]
        self._server.should_exit = True
        await self._serving
        if interrupted := set(self._server.server_state.tasks):
            await asyncio.wait(interrupted, timeout=CANCELLED_SECONDS)


class _Server(uvicorn.Server):
    """Uvicorn's server, which leaves signals to the process and tells when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Does nothing: uvicorn's own would take the process's signals."""
        yield
