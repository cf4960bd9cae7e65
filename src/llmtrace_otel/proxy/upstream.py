"""The way to the server: directly, or through the proxy that the child itself would have used.

What a child may not reach through us: link-local addresses, where clouds keep their metadata. A name counts as the
address that it leads to.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from llmtrace_otel.proxy import heads, trust
from llmtrace_otel.proxy.heads import Destination
from llmtrace_otel.proxy.messages import Child

CONNECT_SECONDS: Final = 60.0
_STAGGER_SECONDS: Final = 0.25
"""Between one address of a host and the next, as RFC 8305 has it."""
_DENIED: Final = tuple(map(ipaddress.ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")))


class Unreachable(Exception):  # noqa: N818 - a condition of the network
    """The server cannot be reached. The text is fit to be shown: it names host and port, and no secret."""


class Denied(Exception):  # noqa: N818 - a decision
    """The server is one that nobody reaches through this proxy. The text is fit to be shown."""


class TLSFailed(Exception):  # noqa: N818 - a condition of the network
    """There is a server, but no TLS that we would trust. The text is fit to be shown."""


class Proxy(NamedTuple):
    """An HTTP proxy between us and the server."""

    host: str
    port: int
    authorization: bytes | None
    """The header line that it wants."""


def proxy_for(child: Child, destination: Destination) -> Proxy | None:
    """The proxy that the child would have used. Raises Unreachable for one of a kind that we cannot use."""
    scheme = "http" if destination.scheme == "http" else "https"
    url = child.proxies.get(scheme) or child.proxies.get("all")
    if not url or is_exempt(child.proxies, destination):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if parts.scheme != "http" or not host:
        raise Unreachable(f"{destination.authority} is behind a proxy that is not an http:// one")
    return Proxy(host, port, _authorization(parts.username, parts.password))


def is_exempt(proxies: Mapping[str, str], destination: Destination) -> bool:
    """Whether the child's list of hosts that need no proxy has this one: as curl reads it."""
    for entry in proxies.get("no", "").lower().replace(",", " ").split():
        if entry == "*":
            return True
        try:
            name, port = heads.authority(_bracketed(entry.removeprefix("*").lstrip(".")), destination.port)
        except heads.BadHead:
            continue
        host = destination.host.lower().rstrip(".")
        if port == destination.port and (host == name or host.endswith("." + name)):
            return True
    return False


def check(host: str) -> None:
    """Raises Denied for an address that nobody is to reach through us."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in network for network in _DENIED):
        raise Denied("this proxy does not serve link-local addresses")


class Waiting(asyncio.Protocol):
    """Stands at the far end until somebody takes it over: what comes by then is kept, and then nothing more is read."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.kept = bytearray()
        self.changed = asyncio.Event()
        self.is_over = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.kept += data
        self.changed.set()

    def eof_received(self) -> None:
        self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_over = True
        self.changed.set()


async def dial(destination: Destination, proxy: Proxy | None) -> Waiting:
    """A TCP connection on which the server itself speaks; hardly anything is read from it yet.

    A request in clear text that goes through a proxy is the proxy's to connect: then the connection is to that.

    Raises:
        Unreachable: nobody answers there.
        Denied: nobody is to reach it through us.
    """
    check(destination.host)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if proxy is None:
                waiting = await _connect(destination.host, destination.port)
                _check_peer(waiting.transport)
            else:
                waiting = await _connect(proxy.host, proxy.port)
                if destination.scheme != "http":
                    await _ask(waiting, destination, proxy)
    except OSError as error:  # a timeout too
        reason = error.strerror if isinstance(error.strerror, str) else "it does not answer"
        raise Unreachable(f"cannot reach {destination.authority}: {reason}") from None
    waiting.transport.pause_reading()
    return waiting


async def secure(connection: Waiting, destination: Destination, child: Child) -> Waiting:
    """TLS on a connection, verified by what the child trusts; nothing is read from it yet. Raises TLSFailed.

    We offer HTTP/1.1 whatever the client is going to offer: it is what we are about to speak, a server that knows no
    ALPN ignores it, and so a server that we do not trust is known before the client is told that it has a connection.
    """
    context = trust.upstream_context(child.trust, child.only)
    waiting = Waiting()
    try:
        secured = await asyncio.get_running_loop().start_tls(
            connection.transport, waiting, context, server_hostname=destination.host, ssl_shutdown_timeout=5
        )
    except (OSError, ssl.SSLError):
        secured = None
    if secured is None:
        raise TLSFailed(f"the certificate of {destination.authority} cannot be trusted, or it speaks no TLS")
    secured.pause_reading()
    waiting.transport = secured
    return waiting


async def _connect(host: str, port: int) -> Waiting:
    loop = asyncio.get_running_loop()
    _, waiting = await loop.create_connection(Waiting, host, port, happy_eyeballs_delay=_STAGGER_SECONDS)
    return waiting


def _check_peer(transport: asyncio.Transport) -> None:
    try:
        check(transport.get_extra_info("peername")[0])
    except Denied:
        transport.abort()
        raise


async def _ask(waiting: Waiting, destination: Destination, proxy: Proxy) -> None:
    """Has a proxy connect us."""
    lines = [f"CONNECT {destination.authority} HTTP/1.1", f"Host: {destination.authority}"]
    asked = "\r\n".join(lines).encode("latin-1")
    waiting.transport.write(asked + (b"\r\n" + proxy.authorization if proxy.authorization else b"") + heads.END)
    while heads.END not in waiting.kept and not waiting.is_over and len(waiting.kept) < heads.LARGEST:
        waiting.changed.clear()
        await waiting.changed.wait()
    status = bytes(waiting.kept[:12]).partition(b" ")[2]
    if heads.END not in waiting.kept or status[:1] != b"2":
        waiting.transport.abort()
        said = status.decode("ascii", "replace") if status.isdigit() else "nothing"
        raise Unreachable(f"cannot reach {destination.authority}: the proxy {proxy.host}:{proxy.port} answers {said}")
    del waiting.kept[: waiting.kept.index(heads.END) + len(heads.END)]


def _authorization(name: str | None, password: str | None) -> bytes | None:
    if name is None:
        return None
    told = f"{unquote(name)}:{unquote(password or '')}".encode()
    return b"Proxy-Authorization: Basic " + b64encode(told)


def _bracketed(entry: str) -> str:
    return f"[{entry}]" if entry.count(":") > 1 and not entry.startswith("[") else entry
