"""What the proxy itself answers. No reply holds more of a request than the host and port that it named."""

from __future__ import annotations

from typing import Final

from llmtrace_otel.proxy.heads import BadHead
from llmtrace_otel.proxy.upstream import Denied, TLSFailed, Unreachable

ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_STATUS: Final = {
    BadHead: "400 Bad Request",
    Denied: "403 Forbidden",
    Unreachable: "502 Bad Gateway",
    TLSFailed: "502 Bad Gateway",
}
_CHALLENGE: Final = 'Proxy-Authenticate: Basic realm="llmtrace"\r\n'


def unauthorised(*, stays: bool) -> bytes:
    """The credentials are missing or do not hold; `stays` says that another try may follow on the same connection."""
    return _reply("407 Proxy Authentication Required", "llmtrace: no such child", _CHALLENGE, stays=stays)


def no_websocket() -> bytes:
    """What is spoken over a WebSocket can be neither recorded nor replayed."""
    return _reply("426 Upgrade Required", "llmtrace: WebSockets are not recorded; use plain HTTP")


def reply_to(error: Exception) -> bytes | None:
    """The answer when a request cannot be served; `None` for an error that is no condition of the request."""
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
    return _reply(status, f"llmtrace: {error}") if status else None


def _reply(status: str, text: str, headers: str = "", *, stays: bool = False) -> bytes:
    body = f"{text}\n".encode("utf-8", "replace")
    connection = "" if stays else "Connection: close\r\n"
    head = f"HTTP/1.1 {status}\r\n{headers}{connection}Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body
