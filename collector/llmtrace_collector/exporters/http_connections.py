"""POST over HTTP/1.1 connections that are kept: asyncio streams and h11, straight or through a proxy.

A general HTTP client costs four times the processor time of what is needed here, and most of what forwarding costs.
A connection serves one exchange at a time; after a clean exchange it waits for the next one.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

import h11

Headers = Sequence[tuple[str, str]]

KEPT_BODY = 64 * 1024  # bytes of an answer that are looked at
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Response:
    """The destination's answer. Header names are lower-case; `body` holds its first 64 KiB."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection, and where it is in HTTP."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: h11.Connection

    @property
    def usable(self) -> bool:
        """Whether the other side has it open, as far as is known here."""
        return not self.reader.at_eof() and not self.writer.is_closing()

    async def exchange(self, request: h11.Request, body: bytes) -> Response:
        """Sends and reads the answer, which may come before everything is sent. Raises OSError, h11.ProtocolError."""
        for part in (request, h11.Data(data=body), h11.EndOfMessage()):
            self.writer.write(self.protocol.send(part) or b"")
        status, headers, kept = 0, dict[str, str](), bytearray()
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                kept += event.data[: KEPT_BODY - len(kept)]
        return Response(status, headers, bytes(kept))

    async def tunnel(self, target: str, headers: list[tuple[str, str]]) -> None:
        """Asks a proxy for a way to `host:port`. Raises ConnectionError when it does not give one."""
        self.writer.write(
            self.protocol.send(h11.Request(method="CONNECT", target=target, headers=[("Host", target), *headers]))
            or b""
        )
        event = await self._event()
        if not isinstance(event, h11.Response) or not 200 <= event.status_code < 300:
            raise ConnectionRefusedError(f"the proxy does not connect to {target}")

    async def _event(self) -> h11.Event:
        while True:
            event = self.protocol.next_event()
            if event is h11.NEED_DATA:
                self.protocol.receive_data(await self.reader.read(KEPT_BODY))
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionResetError("the connection was closed without an answer")
            elif isinstance(event, h11.Event) and not isinstance(event, h11.InformationalResponse):
                return event

    def renew(self) -> bool:
        """Whether the exchange ended so that another may follow; makes ready for it."""
        protocol = self.protocol
        clean = protocol.our_state is h11.DONE and protocol.their_state is h11.DONE
        if not clean or self.writer.transport.get_write_buffer_size():
            return False
        protocol.start_next_cycle()
        return True

    def drop(self) -> None:
        """Closes at once."""
        self.writer.transport.abort()


class Poster:
    """Posts to one URL, over as many connections as there are posts at a time.

    `proxy` is an http URL, or empty for the one that the environment names (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`);
    this machine itself is always reached straight.
    """

    def __init__(self, url: str, context: ssl.SSLContext | None, *, proxy: str = "", server_name: str = "") -> None:
        self._parts = urlsplit(url)
        self._context = context if self._parts.scheme == "https" else None
        self._server_name = server_name or self._parts.hostname or ""
        found = proxy or proxy_of_environment(self._parts)
        self._proxy = urlsplit(found) if found else None
        self._idle: list[Connection] = []
        self._fixed = [("Host", authority(self._parts)), *credentials("Authorization", self._parts)]
        self._target = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        if self._proxy and not self._context:
            self._target = f"{self._parts.scheme}://{authority(self._parts)}{self._target}"
            self._fixed += credentials("Proxy-Authorization", self._proxy)

    def request(self, headers: Headers, length: int) -> h11.Request:
        """The head of a post of `length` bytes. Raises h11.ProtocolError for headers that HTTP cannot carry."""
        given = {name.lower() for name, _ in headers}
        fixed = [(name, value) for name, value in self._fixed if name.lower() not in given]
        return h11.Request(
            method="POST", target=self._target, headers=[*fixed, ("Content-Length", str(length)), *headers]
        )

    async def post(self, headers: Headers, body: bytes, timeout: float) -> Response:
        """Posts, within `timeout` seconds. Raises OSError (TimeoutError, TLS errors) or h11.ProtocolError."""
        request = self.request(headers, len(body))
        async with asyncio.timeout(timeout):
            connection = self._kept() or await self._connect()
            try:
                response = await connection.exchange(request, body)
            except BaseException:
                connection.drop()
                raise
        if connection.renew():
            self._idle.append(connection)
        else:
            connection.drop()
        return response

    async def close(self) -> None:
        """Closes what is idle."""
        while self._idle:
            self._idle.pop().drop()
        await asyncio.sleep(0)  # lets the transports take note

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.drop()
        return None

    async def _connect(self) -> Connection:
        if self._proxy and self._context:
            return await self._connect_through(self._proxy, self._context)
        at = self._proxy or self._parts
        return _connection(
            await asyncio.open_connection(
                at.hostname,
                port_of(at),
                ssl=self._context,
                server_hostname=self._server_name if self._context else None,
            )
        )

    async def _connect_through(self, proxy: SplitResult, context: ssl.SSLContext) -> Connection:
        connection = _connection(await asyncio.open_connection(proxy.hostname, port_of(proxy)))
        try:
            target = f"{_bracketed(self._parts)}:{port_of(self._parts)}"
            await connection.tunnel(target, credentials("Proxy-Authorization", proxy))
            await connection.writer.start_tls(context, server_hostname=self._server_name)
        except BaseException:
            connection.drop()
            raise
        return _connection((connection.reader, connection.writer))


def _connection(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> Connection:
    return Connection(*streams, h11.Connection(h11.CLIENT))


def port_of(parts: SplitResult) -> int:
    """The port of an http or https URL."""
    return parts.port or PORTS[parts.scheme]


def authority(parts: SplitResult) -> str:
    """`host` or `host:port` as the URL has it, without user and password."""
    return parts.netloc.rpartition("@")[2]


def _bracketed(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host


def credentials(header: str, parts: SplitResult) -> list[tuple[str, str]]:
    """A header with the user and password that a URL has, if it has them."""
    if parts.username is None:
        return []
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return [(header, "Basic " + base64.b64encode(pair.encode()).decode())]


def proxy_of_environment(parts: SplitResult) -> str:
    """The proxy that the environment wants for a URL, or an empty text."""
    host = parts.hostname or ""
    if is_loopback(host) or urllib.request.proxy_bypass_environment(host):  # type: ignore[attr-defined]
        return ""
    return urllib.request.getproxies_environment().get(parts.scheme, "")


def is_loopback(host: str) -> bool:
    """Whether a host name or IP address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
