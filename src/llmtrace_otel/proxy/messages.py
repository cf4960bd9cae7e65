"""What this process and its proxy say to each other over a socket pair: typed messages, each with its length before it.

Order: `Settings`, then `Ready` or `Failed` as the answer; from then on each side speaks when it has something to say.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

import msgspec
from msgspec import Struct

from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.vendors import Registration

_LENGTH = struct.Struct("!I")


class Settings(Struct, tag=True):
    """What the proxy is to do, said first."""

    registrations: list[Registration] = []
    capture: bool = False
    """Whether messages are wanted."""


class Ready(Struct, tag=True):
    """The proxy listens on 127.0.0.1."""

    port: int
    directory: str
    """A directory that others may look into but not list, with `ca.pem` in it; removed when the proxy ends."""
    pid: int


class Failed(Struct, tag=True):
    """The proxy cannot serve."""

    reason: str


class Child(Struct, tag=True):
    """A child is about to be started."""

    id: str
    """The user name of its credentials: its span's id, in hexadecimal."""
    token: str
    """Their password, which is secret."""
    carrier: dict[str, str]
    """`traceparent`, `tracestate` and `baggage` of its span."""
    proxies: dict[str, str] = {}
    """What it would use without us, by `https`, `http` and `all`, and by `no` the hosts for which it uses none."""
    trust: list[str] = []
    """Files of CA certificates that it trusts beside, or instead of, the system's; see `trust.py`."""
    only: bool = False
    """Whether `trust` is all that it trusts."""
    executable: str = ""
    """What it runs, as the program named it."""


class Started(Struct, tag=True):
    """The child has this process id."""

    id: str
    pid: int


class Ended(Struct, tag=True):
    """The child is over; its credentials end when nobody holds them any more."""

    id: str


class Taken(Struct, tag=True):
    """The program has the next call of those that were seen, and records it now."""


class Sync(Struct, tag=True):
    """Asks for an answer with the same number, after all calls of the children that have ended."""

    number: int


class Synced(Struct, tag=True):
    """The answer to `Sync`."""

    number: int
    hosts: dict[str, str]
    """The hosts that children have connected to so far, and what became of that: see `Server.hosts`."""


class Seen(Struct, tag=True):
    """A call is over."""

    child: str
    call: Call
    traceparent: str | None = None
    """What its request's header of that name said."""


class Gone(Struct, tag=True):
    """A child is over, and so is everybody who had its credentials; there will be no more calls of it."""

    child: str


ToProxy: TypeAlias = Settings | Child | Started | Ended | Sync | Taken
FromProxy: TypeAlias = Ready | Failed | Seen | Synced | Gone

_encoder = msgspec.msgpack.Encoder()
_to_proxy = msgspec.msgpack.Decoder(ToProxy)
_from_proxy = msgspec.msgpack.Decoder(FromProxy)


def encode(message: ToProxy | FromProxy) -> bytes:
    """A message as it goes over the socket."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


class Inbox:
    """Makes messages of the bytes that have come; `feed` gives those that are now whole.

    Raises msgspec.DecodeError for what the other side, which is of the same version, cannot have said.
    """

    def __init__(self, *, of_proxy: bool) -> None:
        self._decoder = _to_proxy if of_proxy else _from_proxy
        self._held = bytearray()

    def feed(self, data: bytes) -> list[ToProxy | FromProxy]:
        self._held += data
        messages: list[ToProxy | FromProxy] = []
        while len(self._held) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._held)[0]
            if len(self._held) < end:
                break
            messages.append(self._decoder.decode(bytes(self._held[_LENGTH.size : end])))
            del self._held[:end]
        return messages
