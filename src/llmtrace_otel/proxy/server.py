"""The proxy's port: who asks, for what, and whether what follows is read, or only passed on.

    CONNECT host that is opened       TLS to the server, TLS to the client, a tap between     Tee + HTTPTap
    CONNECT host of anybody else      bytes as they are; HTTP in clear text is read           Tee + FirstBytes
    POST http://host/path, relay      request by request                                      Forward + HTTPTap

A client that could not be served in the place of its host (HTTP/2 only, another server's name, no trust in our CA)
gets a tunnel. So does one whose server we do not trust: whether to trust it is its own decision, as it is without us.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Final, NamedTuple

from llmtrace_otel.proxy import heads, replies, sockets
from llmtrace_otel.proxy.authority import Authority
from llmtrace_otel.proxy.credentials import Credentials
from llmtrace_otel.proxy.forward import Forward
from llmtrace_otel.proxy.heads import Asked, Destination
from llmtrace_otel.proxy.hosts import is_opened
from llmtrace_otel.proxy.messages import Child
from llmtrace_otel.proxy.readings import Calls, Seen, Where
from llmtrace_otel.proxy.taps import FirstBytes, HTTPTap
from llmtrace_otel.proxy.tee import Tee
from llmtrace_otel.proxy.upstream import Proxy, TLSFailed, Waiting, dial, proxy_for, secure
from llmtrace_otel.wire.providers import Providers

_log = logging.getLogger("llmtrace_otel")
_PATIENCE_SECONDS: Final = 60.0
"""How long a client may take to say what it wants."""
_REST_SECONDS: Final = 0.1
_MOST_HOSTS: Final = 1_000
SSLProtocol.max_size = 1 << 16
"""Bytes of the buffer that every TLS connection reads into; asyncio's own of 256 KiB is more than all else about it."""
READ, UNREADABLE, PASSED_ON = "read", "unreadable", "passed on"


class _Plan(NamedTuple):
    """What is to serve a client."""

    tee: Tee
    child: Child
    host: str
    is_read: bool
    context: ssl.SSLContext | None = None
    """The TLS to serve it with."""


async def _nothing_to_read() -> None:
    await asyncio.sleep(0)


class Server:
    """Serves the children that `credentials` knows."""

    def __init__(
        self,
        *,
        authority: Authority,
        permitted: frozenset[str],
        credentials: Credentials,
        seen: Seen,
        providers: Providers,
        capture: bool,
        refresh: Callable[[], Awaitable[None]] = _nothing_to_read,
    ) -> None:
        """
        Args:
            authority: Signs for the hosts that are opened.
            permitted: Their names; see `hosts.py`.
            credentials: Who may use the proxy.
            seen: Is told of each finished call: the child's id, the call, the request's `traceparent`.
            providers: The table to recognise calls by.
            capture: Whether messages are wanted.
            refresh: Lets the owner of `credentials` hear what it has been told, before a child is called unknown.
        """
        self._authority = authority
        self._permitted = permitted
        self._credentials = credentials
        self._calls = Calls(seen, providers, capture=capture)
        self._is_taped = self._calls.tape is not None or self._calls.player is not None
        self._refresh = refresh
        self._meetings: set[asyncio.Task[None]] = set()
        self._open: dict[Tee, str] = {}
        """Connections that are open, and whose they are."""
        self._closed_one = asyncio.Event()
        self.hosts: dict[str, str] = {}
        """The hosts that children have connected to, and whether what was said there was `read`, `unreadable` by us, or
        `passed on` because it was none of our business.
        """
        self._distrustful: set[tuple[str, str]] = set()
        """Programs that do not trust our CA, and the hosts to which they connected."""

    async def serve(self, listener: socket.socket) -> None:
        """Serves for as long as it is awaited. Raises ValueError for a socket that other machines could reach."""
        address = listener.getsockname()[0]
        if not ip_address(address).is_loopback:
            raise ValueError(f"the proxy would listen on {address}: it serves 127.0.0.1 or ::1 and nothing else")
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:  # no descriptors are left, for now
                await asyncio.sleep(_REST_SECONDS)
                continue
            meeting = loop.create_task(self._meet(client))
            self._meetings.add(meeting)
            meeting.add_done_callback(self._meetings.discard)

    def close(self) -> None:
        """Ends what is open; the calls on it are told of as far as they came."""
        for meeting in self._meetings:
            meeting.cancel()
        for tee in list(self._open):
            tee.close()
        self._calls.attempts.tell_all()

    def busy(self) -> set[str]:
        """The ids of the children that have a connection."""
        return set(self._open.values())

    def let_go(self, child_id: str) -> None:
        """Nobody is a child any more: tells of what was held of it."""
        self._calls.attempts.tell_all(child_id)

    async def finished(self, child_id: str, seconds: float) -> None:
        """A child is over: waits until its connections are, at most so long, and tells of what was held of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while child_id in self._open.values():
                    self._closed_one.clear()
                    await self._closed_one.wait()
        self._calls.attempts.tell_all(child_id)

    # For those who serve a client

    async def authenticate(self, asked: Asked) -> Child | None:
        """The child that a request is of."""
        if asked.credentials is None:
            return None
        if not self._credentials.knows(asked.credentials[0]):
            await self._refresh()
        return self._credentials.child(*asked.credentials)

    async def reach(self, child: Child, destination: Destination, proxy: Proxy | None) -> Waiting:
        """A connection to a server, with TLS if it is to be `https`. Raises Unreachable, Denied and TLSFailed."""
        waiting = await dial(destination, proxy)
        return await secure(waiting, destination, child) if destination.scheme == "https" else waiting

    def tap_of(self, child: Child, destination: Destination) -> HTTPTap:
        """What reads a connection to a server."""
        return HTTPTap(self._calls, Where(child.id, destination.host, destination.port))

    # A client

    async def _meet(self, client: socket.socket) -> None:
        """Finds out what a client wants, and serves it."""
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio has it for sockets of its own making
            plan = await self._plan_for(client)
        except Exception as error:
            _log.debug("llmtrace: a connection ended early: %s", type(error).__name__)
            if (reply := replies.reply_to(error)) is not None:
                with suppress(OSError):
                    await asyncio.get_running_loop().sock_sendall(client, reply)
            client.close()
        except BaseException:
            client.close()
            raise
        else:
            await self._adopt(client, plan)

    async def _plan_for(self, client: socket.socket) -> _Plan:
        """What is to serve a client."""
        while True:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                data = await sockets.read_head(client)
            head = heads.read_head(data)
            asked = heads.read_asked(head)
            child = await self.authenticate(asked)
            if child is not None:
                break
            await asyncio.get_running_loop().sock_sendall(client, replies.unauthorised(stays=not head.has_body))
            if head.has_body:
                raise ConnectionAbortedError("a client without credentials")
        if head.method == "CONNECT":
            return await self._connect(client, child, asked.destination)
        return _Plan(self._forward(data), child, asked.destination.host, is_read=True)

    async def _connect(self, client: socket.socket, child: Child, destination: Destination) -> _Plan:
        """Connects a client with the server that it named."""
        if self._is_taped and self._is_to_be_read(child, destination):
            return await self._tape(client, child, destination)
        tunnel = partial(dial, destination, proxy_for(child, destination))
        waiting, is_read = await self._reach_for(child, destination, tunnel)
        try:
            await asyncio.get_running_loop().sock_sendall(client, replies.ESTABLISHED)
            if is_read and not await self._suits(client, destination):
                waiting.transport.abort()
                waiting, is_read = await tunnel(), False
            context = self._authority.context(destination.host) if is_read else None
        except BaseException as error:
            waiting.transport.abort()
            if isinstance(error, Exception):
                raise ConnectionAbortedError("who has been told of a tunnel gets no reply") from error
            raise
        tee, tap = Tee(self._forget), self.tap_of(child, destination)
        tee.connect(waiting)
        tee.tap(tap if is_read else FirstBytes(tee, tap))
        return _Plan(tee, child, destination.host, is_read, context)

    async def _tape(self, client: socket.socket, child: Child, destination: Destination) -> _Plan:
        """Serves a client whose calls are recorded or replayed: nobody is connected with before it asks something."""
        await asyncio.get_running_loop().sock_sendall(client, replies.ESTABLISHED)
        if await self._suits(client, destination):
            context = self._authority.context(destination.host)
            return _Plan(self._forward(b"", (child, destination)), child, destination.host, True, context)
        if self._calls.player is not None:
            self._refuse_to_pass(child, destination.host)
            raise ConnectionAbortedError("who has been told of a tunnel gets no reply")
        tee = Tee(self._forget)
        tee.connect(await dial(destination, proxy_for(child, destination)))
        return _Plan(tee, child, destination.host, is_read=False)

    def _refuse_to_pass(self, child: Child, host: str) -> None:
        """A client that cannot be answered from recordings is not let through to its model either."""
        from llmtrace_otel.replay.tape import refusal

        who = child.executable or "a child program"
        refusal(f"llmtrace replay: {who} cannot be answered in the place of {host}: it does not take our TLS")

    def _forward(self, first: bytes, tunnel: tuple[Child, Destination] | None = None) -> Forward:
        """Serves a client request by request, of which the first has come."""
        if not self._is_taped:
            return Forward(self, first, self._forget)
        from llmtrace_otel.proxy.taped import Taped

        return Taped(self, self._calls, first, self._forget, tunnel)

    async def _reach_for(
        self, child: Child, destination: Destination, tunnel: Callable[[], Awaitable[Waiting]]
    ) -> tuple[Waiting, bool]:
        """A connection for a client that is about to be told of it, and whether it is to be read."""
        waiting = await tunnel()
        if not self._is_to_be_read(child, destination):
            return waiting, False
        try:
            return await secure(waiting, destination, child), True
        except TLSFailed as failure:
            _log.info("llmtrace: calls go unread: %s", failure)
            return await tunnel(), False

    def _note(self, host: str, *, is_read: bool) -> None:
        if self.hosts.get(host) != READ and len(self.hosts) < _MOST_HOSTS:
            self.hosts[host] = READ if is_read else UNREADABLE if is_opened(host, self._permitted) else PASSED_ON

    def _is_to_be_read(self, child: Child, destination: Destination) -> bool:
        return is_opened(destination.host, self._permitted) and (
            (_program(child), destination.host) not in self._distrustful or self._calls.player is not None
        )

    async def _suits(self, client: socket.socket, destination: Destination) -> bool:
        found = await sockets.peek_hello(client)
        return found is not None and found.suits(destination.host)

    async def _adopt(self, client: socket.socket, plan: _Plan) -> None:
        """Hands a client's socket over."""
        tee, context = plan.tee, plan.context
        self._open[tee] = plan.child.id
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: tee.client, client, ssl=context, ssl_shutdown_timeout=5 if context else None
            )
        except OSError as error:
            if isinstance(error, ssl.SSLError) and "ALERT" in str(error.reason):
                self._distrustful.add((_program(plan.child), plan.host))
                if self._calls.player is not None:
                    self._refuse_to_pass(plan.child, plan.host)
                self._note(plan.host, is_read=False)
            tee.close()
        except BaseException:
            tee.close()
            raise
        else:
            self._note(plan.host, is_read=plan.is_read)

    def _forget(self, tee: Tee) -> None:
        self._open.pop(tee, None)
        self._closed_one.set()


def _program(child: Child) -> str:
    """What clients of one make have in common, as far as it is known."""
    return child.executable or child.id
