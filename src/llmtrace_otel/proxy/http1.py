"""HTTP/1.1 messages one by one, as h11 reads them: where each begins and ends, and what it says.

An h11 connection is a party to a conversation; here nobody answers. So each message gets one of its own, which is told
what it has to know: of which request a response is.
"""

from __future__ import annotations

from typing import Any, Final

import h11

LARGEST_HEAD: Final = 1 << 20
"""Bytes; agents send large headers."""

_HOST = ("host", "_")
_ASKED = h11.Request(method="GET", target="/", headers=[_HOST])
_ASKED_HEAD = h11.Request(method="HEAD", target="/", headers=[_HOST])
_ASKED_UPGRADE = h11.Request(
    method="GET", target="/", headers=[_HOST, ("connection", "upgrade"), ("upgrade", "websocket")]
)


class Message:
    """A request or a response, fed with what comes."""

    __slots__ = ("_parser", "is_over", "is_switch")

    def __init__(self, parser: h11.Connection) -> None:
        self._parser = parser
        self.is_over = False
        self.is_switch = False
        """Whether it is a 101, after which something else than HTTP is spoken."""

    def feed(self, data: bytes) -> list[Any]:
        """The events that `data` makes whole, up to this message's end; no data is the connection's end.

        Raises:
            h11.RemoteProtocolError: this is not HTTP/1.1, or not all of the message.
        """
        parser = self._parser
        parser.receive_data(data)
        events: list[Any] = []
        event: Any
        while (event := parser.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
            events.append(event)
            kind = type(event)
            if kind is h11.EndOfMessage or kind is h11.ConnectionClosed:
                self.is_over = True
                break
            if kind is h11.InformationalResponse and event.status_code == 101:
                self.is_over = self.is_switch = True
                break
        return events

    @property
    def rest(self) -> bytes:
        """What came after the message's end."""
        return self._parser.trailing_data[0]


def request() -> Message:
    """A request that is about to come."""
    return Message(h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD))


def response(*, to_head: bool, to_upgrade: bool) -> Message:
    """The response to a request with the method HEAD, or with a wish to upgrade, or neither."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
    parser.send(_ASKED_HEAD if to_head else _ASKED_UPGRADE if to_upgrade else _ASKED)
    return Message(parser)


def header(event: Any, name: bytes) -> bytes | None:
    """The first header of that lower-case name in the head of a message."""
    return next((value for found, value in event.headers if found == name), None)
