"""What a TLS client says first: the name of the server it wants, and the protocols that it could speak there.

RFC 8446, section 4.1.2. The proxy reads this without taking it from the socket, to leave alone what it could not serve:
a client that speaks HTTP/2 only, or one that wants another server than it told us.
"""

from __future__ import annotations

from typing import NamedTuple

LARGEST = 1 << 16
"""Bytes; no client says more."""
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_ALPN = 16
_HTTP = b"http/1.1"


class Hello(NamedTuple):
    """A ClientHello, as far as it matters here."""

    server_name: str | None
    protocols: tuple[bytes, ...]
    """In the client's order; empty when it names none."""

    def suits(self, host: str) -> bool:
        """Whether the proxy can answer in the place of `host`."""
        is_same = self.server_name is None or self.server_name.lower() == host.lower().rstrip(".")
        return is_same and (not self.protocols or _HTTP in self.protocols)


def read_hello(data: bytes) -> Hello | None:
    """Reads the bytes that a client began with; `None` as long as they are too few.

    Raises:
        ValueError: this is no ClientHello.
    """
    message = _handshake(data)
    if message is None or len(message) < 4:
        return None
    if message[0] != _CLIENT_HELLO:
        raise ValueError("not a ClientHello")
    length = int.from_bytes(message[1:4], "big")
    if length > LARGEST:
        raise ValueError("a ClientHello of an impossible length")
    return _hello(_Fields(message[4 : 4 + length])) if len(message) >= 4 + length else None


def _handshake(data: bytes) -> bytes | None:
    """What the records carry, the last one perhaps cut; `None` when not even one begins."""
    message, at = b"", 0
    while len(data) - at >= 5:
        if data[at] != _HANDSHAKE or data[at + 1] != 3:
            raise ValueError("not a TLS handshake")
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        message += data[at + 5 : at + 5 + length]
        at += 5 + length
    if data[:1] not in (b"", b"\x16"):
        raise ValueError("not a TLS handshake")
    return message or None


class _Fields:
    """Reads fields that have their length before them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        self._at += count
        if len(taken) < count:
            raise ValueError("a ClientHello that is cut")
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def field(self, size: int) -> bytes:
        """A field whose length is a number of `size` bytes."""
        return self.take(self.number(size))


def _hello(fields: _Fields) -> Hello:
    fields.take(2 + 32)  # version, random
    fields.field(1)  # session
    fields.field(2)  # cipher suites
    fields.field(1)  # compression methods
    server_name: str | None = None
    protocols: tuple[bytes, ...] = ()
    extensions = _Fields(fields.field(2) if fields else b"")
    while extensions:
        kind, content = extensions.number(2), _Fields(extensions.field(2))
        if kind == _SERVER_NAME:
            server_name = _name(content)
        elif kind == _ALPN:
            protocols = _protocols(content)
    return Hello(server_name, protocols)


def _name(content: _Fields) -> str | None:
    names = _Fields(content.field(2))
    while names:
        is_host, name = names.number(1) == 0, names.field(2)
        if is_host:
            return name.decode("ascii", "replace")
    return None


def _protocols(content: _Fields) -> tuple[bytes, ...]:
    names, found = _Fields(content.field(2)), []
    while names:
        found.append(names.field(1))
    return tuple(found)
