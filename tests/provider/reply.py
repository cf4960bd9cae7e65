"""An answer on its way out: status, headers and the pieces that are written one after the other. No sockets here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .encodings import encode
from .sse import Event, compact, frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .ask import Ask

HTML = b"<!doctype html><html><head><title>Welcome</title></head><body>You have reached a gateway.</body></html>"


@dataclass(frozen=True)
class Reply:
    """`length` is the size in bytes that the head announces; None for a body in HTTP chunks, a piece each.

    `cut` says that the connection closes before the announced end."""

    status: int
    headers: dict[str, str]
    pieces: list[bytes]
    length: int | None = field(default=None, kw_only=True)
    cut: bool = field(default=False, kw_only=True)


def json_reply(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return plain(compact(value).encode(), "application/json", status, headers)


def plain(body: bytes, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, {"content-type": kind, **(headers or {})}, [body], length=len(body))


def stream_reply(events: Iterable[Event], ask: Ask, headers: dict[str, str]) -> Reply:
    pieces = [frame(event, ask.modes) for event in events]
    return Reply(200, {"content-type": "text/event-stream; charset=utf-8", **headers}, pieces)


def travel(reply: Reply, ask: Ask) -> Reply:
    """The same answer as the request's headers want it carried: encoded, then cut, then split."""
    if encoding := ask.headers.get("x-encode"):
        reply = encoded(reply, encoding)
    if "cut" in ask.modes:
        reply = replace(reply, pieces=first_half(reply.pieces), cut=True)
    if size := ask.count("x-chunk-size"):
        reply = replace(reply, pieces=split(b"".join(reply.pieces), size), length=None)
    return reply


def encoded(reply: Reply, encoding: str) -> Reply:
    pieces = list(encode(reply.pieces, encoding))
    length = None if reply.length is None else sum(map(len, pieces))
    return replace(reply, headers={**reply.headers, "content-encoding": encoding}, pieces=pieces, length=length)


def first_half(pieces: list[bytes]) -> list[bytes]:
    """The pieces up to half of all bytes; one of them is usually torn."""
    left = sum(map(len, pieces)) // 2
    kept = []
    for piece in pieces:
        kept.append(piece[:left])
        left -= len(kept[-1])
    return kept


def split(body: bytes, size: int) -> list[bytes]:
    return [body[i : i + size] for i in range(0, len(body), size)]
