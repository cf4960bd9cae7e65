"""What a client asks a proxy for: where to, with whose credentials, and the head as the next one is to get it.

Three forms are understood (RFC 9112, section 3.2): `CONNECT host:port`, the absolute form `GET http://host/path`, and
our own relay for clients that know no proxies, `GET /t/<id>:<token>/<scheme>/<host:port>/path`. A head that goes on
keeps every line that it came with, but for its first and those that were meant for the proxy.
"""

from __future__ import annotations

from base64 import b64decode
from typing import NamedTuple
from urllib.parse import urlsplit

LARGEST = 1 << 16
"""Bytes of a head."""
END = b"\r\n\r\n"
_RELAY = "/t/"
_PORTS = {"http": 80, "https": 443}
_OURS = (b"proxy-authorization", b"proxy-connection")


class BadHead(ValueError):  # noqa: N818 - a condition of the data
    """This is no request that a proxy could serve. The text is fit to be shown, and holds no secret."""


class Destination(NamedTuple):
    """Where a request is to go."""

    scheme: str
    """`http`, `https`, or `tunnel` for whatever the client speaks with it."""
    host: str
    """In lower case, an IPv6 address without brackets."""
    port: int

    @property
    def authority(self) -> str:
        """`host:port`, as it is named to people and to proxies."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Head(NamedTuple):
    """The head of a request."""

    method: str
    target: str
    version: str
    lines: list[bytes]
    """The header lines as they came, without their ends."""

    def value(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name."""
        for line in self.lines:
            found, _, value = line.partition(b":")
            if found.lower() == name:
                return value.strip()
        return None

    @property
    def has_body(self) -> bool:
        return self.value(b"content-length") not in (None, b"0") or self.value(b"transfer-encoding") is not None

    @property
    def is_relay(self) -> bool:
        return self.target.startswith(_RELAY)


class Asked(NamedTuple):
    """What the head of a request asks of a proxy."""

    destination: Destination
    credentials: tuple[str, str] | None
    """An id and a token."""
    target: str
    """In origin form; empty for a tunnel."""


def read_head(data: bytes) -> Head:
    """Reads a head, its empty last line included. Raises BadHead."""
    first, *lines = data[: -len(END)].lstrip(b"\r\n").split(b"\r\n")
    words = first.decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadHead("this is a proxy for HTTP/1.1")
    return Head(words[0], words[1], words[2], lines)


def read_asked(head: Head) -> Asked:
    """What a head asks for. Raises BadHead."""
    if head.method == "CONNECT":
        return Asked(_destination("tunnel", head.target, None), _basic(head), "")
    if head.is_relay:
        return _relayed(head.target)
    scheme, separator, rest = head.target.partition("://")
    if not separator or scheme.lower() not in _PORTS:
        raise BadHead("this is a proxy: it serves CONNECT and absolute http:// URLs")
    authority, path = _split(rest)
    return Asked(_destination(scheme.lower(), authority, _PORTS[scheme.lower()]), _basic(head), path)


def onward(head: Head, asked: Asked, *, absolute: bool = False, added: bytes | None = None) -> bytes:
    """The head as the server, or with `absolute` the next proxy, is to get it.

    Args:
        head: As it came.
        asked: What `read_asked` made of it.
        absolute: Whether the URL is still to be absolute.
        added: A header line for the next proxy.
    """
    destination = asked.destination
    target = f"{destination.scheme}://{_host(destination)}{asked.target}" if absolute else asked.target
    lines = [line for line in head.lines if line.partition(b":")[0].strip().lower() not in _OURS]
    if head.is_relay:
        host = b"Host: " + _host(destination).encode("latin-1")
        lines = [host if line[:5].lower() == b"host:" else line for line in lines]
    if added is not None:
        lines.append(added)
    return b"\r\n".join([f"{head.method} {target} {head.version}".encode("latin-1"), *lines]) + END


def authority(text: str, default: int | None) -> tuple[str, int]:
    """Host and port of `host`, `host:port` or `[address]:port`. Raises BadHead."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port or default
    except ValueError:
        raise BadHead("the request's host or port cannot be read") from None
    if not host or not port:
        raise BadHead("the request names no host and port")
    return host, port


def _host(destination: Destination) -> str:
    """As a Host header has it: a scheme's own port goes without saying."""
    if destination.port != _PORTS[destination.scheme]:
        return destination.authority
    return f"[{destination.host}]" if ":" in destination.host else destination.host


def _destination(scheme: str, text: str, default: int | None) -> Destination:
    return Destination(scheme, *authority(text, default))


def _split(rest: str) -> tuple[str, str]:
    """Authority and origin form of what follows a URL's `://`."""
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    path = rest[end:]
    return rest[:end].rpartition("@")[2], path if path.startswith("/") else "/" + path


def _relayed(target: str) -> Asked:
    parts = target.removeprefix(_RELAY).split("/", 3)
    child, separator, token = parts[0].partition(":")
    if len(parts) < 3 or not separator or parts[1] not in _PORTS:
        raise BadHead("a relayed URL is /t/<id>:<token>/<http or https>/<host:port>/<path>")
    host, _, query = parts[2].partition("?")
    path = "/" + (parts[3] if len(parts) > 3 else "") + ("?" + query if query else "")
    return Asked(_destination(parts[1], host, _PORTS[parts[1]]), (child, token), path)


def _basic(head: Head) -> tuple[str, str] | None:
    scheme, _, encoded = (head.value(b"proxy-authorization") or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, _, password = b64decode(encoded).decode("utf-8", "surrogateescape").partition(":")
    except ValueError:
        return None
    return name, password
