"""Reads both directions of one HTTP/1.1 connection, and tells of each request and of the answer to it.

Requests and answers are matched by their order, so requests may be pipelined. After a `101` the frames of a WebSocket
are read in their place. What raises here costs the rest of a connection's spans: its tee then goes on without a tap.
"""

from __future__ import annotations

import re
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import h11

from llmtrace_otel.proxy import http1
from llmtrace_otel.proxy.http1 import Message
from llmtrace_otel.proxy.readings import Calls, Reading, Where

if TYPE_CHECKING:
    from llmtrace_otel.proxy.frames import Frames
    from llmtrace_otel.proxy.tee import Tee

_REQUEST = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /")


class _Asked:
    """A request, until it is answered."""

    __slots__ = ("is_head", "path", "query", "reading", "upgrade")

    def __init__(self, request: h11.Request, calls: Calls, where: Where) -> None:
        target, _, self.query = request.target.decode("latin-1").partition("?")
        self.path = unquote(target) if "%" in target else target
        self.is_head = request.method == b"HEAD"
        is_upgrade = request.method == b"GET" and http1.header(request, b"upgrade") is not None
        self.upgrade = request if is_upgrade else None
        self.reading: Reading | None = calls.reading(where, request, self.path, self.query)


class HTTPTap:
    """Reads one connection to one server."""

    def __init__(self, calls: Calls, where: Where) -> None:
        self._calls = calls
        self._where = where
        self._request: Message | None = None
        self._asking: Reading | None = None
        """What reads the request that is coming."""
        self._response: Message | None = None
        self._unanswered: deque[_Asked] = deque()
        self._held: bytearray | None = None
        """What follows a request that may switch to another protocol."""
        self._frames: Frames | None = None
        self._is_done = False

    def sent(self, data: bytes) -> None:
        """Bytes of the client's."""
        if self._frames is not None:
            self._frames.sent(data)
        elif self._held is not None:
            self._held += data
        elif not self._is_done:
            self._read_requests(data)

    def received(self, data: bytes) -> None:
        """Bytes of the server's."""
        if self._frames is not None:
            self._frames.received(data)
        elif not self._is_done:
            self._read_responses(data)

    def left(self) -> None:
        """The client is gone, or nothing more can be read."""
        self._is_done = True
        if self._frames is not None:
            self._frames.left()
        for reading in self._open():
            reading.abandon()

    def lost(self, error: Exception | None) -> None:
        """The server is gone, which may be how it ends an answer."""
        with suppress(h11.RemoteProtocolError):  # the end of the connection, and not of an answer
            if self._response is not None and error is None and not self._is_done:
                self._read_responses(b"")
        self._is_done = True
        if self._frames is not None:
            self._frames.lost(error)
        for reading in self._open():
            reading.fail(error or ConnectionError("the server closed the connection before its answer was whole"))

    def _open(self) -> list[Reading]:
        """The readings that are not over, each for the last time."""
        readings = [asked.reading for asked in self._unanswered if asked.reading is not None]
        self._unanswered.clear()
        return readings

    def _read_requests(self, data: bytes) -> None:
        while data:
            if self._request is None:
                self._request = http1.request()
            for event in self._request.feed(data):
                self._hear_request(event)
            if not self._request.is_over:
                return
            data, self._request = self._request.rest, None
            if self._unanswered and self._unanswered[-1].upgrade is not None:
                self._held = bytearray(data)
                return

    def _hear_request(self, event: Any) -> None:
        kind = type(event)
        if kind is h11.Request:
            asked = _Asked(event, self._calls, self._where)
            self._unanswered.append(asked)
            self._asking = asked.reading
        elif self._asking is not None:
            if kind is h11.Data:
                self._asking.data(event.data)
            elif kind is h11.EndOfMessage:
                self._asking.asked(is_whole=True)

    def _read_responses(self, data: bytes) -> None:
        while True:
            asked = self._unanswered[0]  # an answer that nobody asked for raises, and ends the reading
            if self._response is None:
                self._response = http1.response(to_head=asked.is_head, to_upgrade=asked.upgrade is not None)
            for event in self._response.feed(data):
                self._hear_response(event, asked)
            if not self._response.is_over:
                return
            message, self._response = self._response, None
            self._unanswered.popleft()
            if asked.upgrade is not None:
                self._stop_holding()
            if not (data := message.rest) or self._is_done:
                return
            if self._frames is not None:
                self._frames.received(data)
                return

    def _hear_response(self, event: Any, asked: _Asked) -> None:
        kind, reading = type(event), asked.reading
        if kind is h11.InformationalResponse:
            if event.status_code == 101 and asked.upgrade is not None:
                self._frames = self._calls.frames(self._where, asked.upgrade, event, asked.path, asked.query)
                self._is_done = self._frames is None
        elif reading is None:
            pass
        elif kind is h11.Data:
            reading.feed(bytes(event.data))
        elif kind is h11.Response:
            reading.head(event)
        elif kind is h11.EndOfMessage:
            reading.end()

    def _stop_holding(self) -> None:
        """The server has said whether it switches."""
        held, self._held = self._held, None
        if held:
            self.sent(bytes(held))


class FirstBytes:
    """Looks at how a tunnel begins: HTTP in clear text is read, anything else is let alone."""

    def __init__(self, tee: Tee, tap: HTTPTap) -> None:
        self._tee = tee
        self._tap = tap

    def sent(self, data: bytes) -> None:
        is_http = _REQUEST.match(data) is not None
        self._tee.tap(self._tap if is_http else None)
        if is_http:
            self._tap.sent(data)

    def received(self, data: bytes) -> None:
        self._tee.tap(None)  # the server speaks first

    def left(self) -> None: ...

    def lost(self, error: Exception | None) -> None: ...
