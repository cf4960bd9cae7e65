"""Listening addresses: which may be taken, and what to say when one cannot be."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING, NamedTuple

from llmtrace_collector.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.config.settings import GRPCServer, HTTPServer
    from llmtrace_collector.config.values import Address

BACKLOG = 512


class Place(NamedTuple):
    """A resolved address: an IP address and a port, 0 for any free one."""

    family: socket.AddressFamily
    host: str
    port: int

    @property
    def text(self) -> str:
        """`host:port`, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if self.family == socket.AF_INET6 else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.host).is_loopback


def resolve(address: Address, *, allow_remote: bool) -> Place:
    """Where to listen: `localhost` is 127.0.0.1, an empty host every interface.

    Raises ConfigError, also for an address that other machines reach unless `allow_remote`.
    """
    try:
        found = socket.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _refusal(address, error) from error
    family, _, _, _, target = min(found, key=lambda entry: entry[0] != socket.AF_INET)  # IPv4 before IPv6
    place = Place(family, str(target[0]), address.port)
    if not allow_remote and not place.is_loopback:
        shown = f"{address.host}:{address.port}"
        raise ConfigError(f"{shown} can be reached from other machines; use 127.0.0.1, or say --allow-remote")
    return place


def bind(address: Address, *, allow_remote: bool) -> socket.socket:
    """A listening socket. Raises ConfigError, also for an address that other machines reach unless `allow_remote`."""
    place = resolve(address, allow_remote=allow_remote)
    try:
        return socket.create_server((place.host, place.port), family=place.family, backlog=BACKLOG)
    except OSError as error:
        raise _refusal(address, error) from error


def _refusal(address: Address, error: OSError) -> ConfigError:
    shown = f"{address.host}:{address.port}"
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"{shown} is in use already; stop what listens there, or choose another port with --endpoint"
        )
    return ConfigError(f"cannot listen on {shown}: {error.strerror}")


def place_of(listener: socket.socket) -> Place:
    """Where a socket listens, with the port that was really taken."""
    host, port = listener.getsockname()[:2]
    return Place(listener.family, host, port)


def warn_if_exposed(place: Place, settings: HTTPServer | GRPCServer, say: Callable[[str], None]) -> None:
    """Says once that other machines reach an address with nothing in between."""
    missing = [word for word, there in (("TLS", settings.tls), ("authentication", settings.auth)) if there is None]
    if missing and not place.is_loopback:
        say(f"warning: {place.text} can be reached from other machines without {' and without '.join(missing)}")
