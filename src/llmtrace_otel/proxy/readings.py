"""From what a tap sees to finished calls: an `Exchange` for each request that is an LLM call, from its head on.

A request that cannot be an LLM call gets no reading. One that may be is told from its body, which is held until it is
whole, or until the answer comes; an answer is read piece by piece and nothing of it is held for others than LLM calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import time_ns
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import h11

from llmtrace_otel import replay
from llmtrace_otel.proxy.attempts import Attempts, Key
from llmtrace_otel.wire import agents
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.exchange import Exchange, type_name
from llmtrace_otel.wire.providers import Providers
from llmtrace_otel.wire.realtime import Conversation

if TYPE_CHECKING:
    from h11._headers import Headers

    from llmtrace_otel.proxy.frames import Frames
    from llmtrace_otel.replay.tape import Answer, Taking

LARGEST_BODY: Final = 64 * 1024 * 1024
"""Bytes of a request that are held; a larger one is read no further than its URL."""
LAYER: Final = "proxy"
Seen: TypeAlias = Callable[[str, Call, str | None], None]
"""Is told of a finished call: the child's id, the call, what the request's header `traceparent` says."""


class Where(NamedTuple):
    """Whose connection this is, and to which server."""

    child: str
    host: str
    port: int


class Calls:
    """Reads the calls of all connections."""

    def __init__(self, seen: Seen, providers: Providers, *, capture: bool) -> None:
        self.seen = seen
        self.providers = providers
        self.capture = capture
        self.attempts = Attempts(seen)
        self.tape = replay.recorder()
        self.player = replay.player()

    def reading(self, where: Where, request: h11.Request, path: str, query: str) -> Reading | None:
        """What reads a request and its answer; `None` when it is certainly no LLM call."""
        method = request.method.decode("ascii")
        if not self.providers.may_match(method, where.host, path):
            return None
        return Reading(self, where, method, path, query, mapping(request.headers))

    def frames(
        self, where: Where, request: h11.Request, response: h11.InformationalResponse, path: str, query: str
    ) -> Frames | None:
        """What reads a WebSocket; `None` when no model is spoken with on it."""
        from llmtrace_otel.proxy.frames import Frames  # wsproto, which most programs never need

        listener = _Turns(self, where, mapping(request.headers))
        conversation = Conversation.begin(
            where.host,
            where.port,
            path,
            query,
            began=listener.began,
            ended=listener.ended,
            providers=self.providers,
            capture=self.capture,
        )
        if conversation is None:
            return None
        return Frames(conversation, listener.about_to_send, mapping(response.headers).get("sec-websocket-extensions"))


class Reading:
    """One request that may be an LLM call, and its answer. Never raises for what they say."""

    def __init__(
        self, calls: Calls, where: Where, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> None:
        self._calls = calls
        self._where = where
        self._method = method
        self._path = path
        self._query = query
        self._headers = headers
        self._start_ns = time_ns()
        self._body: list[bytes] = []
        self._size = 0
        self._exchange: Exchange | None = None
        self._is_asked = False
        self._key: Key | None = None
        self._taking: Taking | None = None
        self._answer: Mapping[str, str] = {}
        """The headers of the answer."""

    def data(self, chunk: bytes) -> None:
        """A piece of the request's body."""
        if self._is_asked:
            return
        self._size += len(chunk)
        if self._size <= LARGEST_BODY:
            self._body.append(chunk)
        else:
            self._body.clear()

    def asked(self, *, is_whole: bool) -> None:
        """The request is over, or the answer comes before that."""
        if self._is_asked:
            return
        self._is_asked = True
        body = b"".join(self._body) if is_whole and self._size <= LARGEST_BODY else None
        self._body.clear()
        exchange = Exchange.begin(
            self._method,
            self._where.host,
            self._where.port,
            self._path,
            body,
            query=self._query,
            headers=self._headers,
            providers=self._calls.providers,
            capture=self._calls.capture,
        )
        if exchange is None:
            return
        self._exchange = exchange
        call = exchange.call
        call.layer, call.start_ns = LAYER, self._start_ns
        agents.identify(call, self._headers, body)
        self._key = self._calls.attempts.begin(self._where.child, self._path, self._headers, body, call)
        if self._calls.tape is not None:
            from llmtrace_otel.replay.asked import Asked

            _, host, port = self._where
            asked = Asked(self._method, host, port, self._path, self._query, self._headers, body)
            self._taking = self._calls.tape.begin(asked, self._where.child)

    def head(self, response: h11.Response) -> None:
        """The head of the answer."""
        self.asked(is_whole=False)
        if self._exchange is not None:
            self._answer = mapping(response.headers)
            self._exchange.response(response.status_code, self._answer)
            if self._taking is not None:
                self._taking.head(response.status_code, self._answer, decoded=False)

    def feed(self, chunk: bytes) -> None:
        """A piece of its body."""
        if self._exchange is not None:
            if self._taking is not None:
                self._taking.feed(chunk)
            self._exchange.feed(chunk)

    def end(self) -> None:
        """The answer is over."""
        if self._exchange is not None:
            self._exchange.end()
            self._finish(self._exchange)

    def abandon(self) -> None:
        """Nobody reads on."""
        self.asked(is_whole=False)
        if self._exchange is not None:
            self._exchange.abandon()
            self._finish(self._exchange, "its reader stopped there")

    def fail(self, error: Exception) -> None:
        """The answer broke, or there is none."""
        self.asked(is_whole=False)
        if self._exchange is not None:
            self._exchange.fail(error)
            self._finish(self._exchange, type_name(error))

    def replayed(self, answer: Answer) -> None:
        """The whole answer has been given, by a recording or by us."""
        if self._exchange is None:
            return
        self._exchange.call.replayed_seconds = answer.seconds
        self._answer = answer.headers
        self._exchange.response(answer.status, answer.headers)
        for chunk in answer.chunks:
            self._exchange.feed(chunk)
        if answer.cut is None:
            self.end()
        else:
            self.fail(ConnectionError(f"the recorded answer ends there: {answer.cut}"))

    def _finish(self, exchange: Exchange, cut: str | None = None) -> None:
        """`cut` says why the answer may not be whole."""
        self._exchange = None
        call = exchange.call
        if self._taking is not None:
            self._taking.end(None if call.complete else cut)
        call.end_ns = time_ns()
        if call.capture:
            exchange.write_content()
        traceparent = self._headers.get("traceparent")
        self._calls.attempts.end(self._key, self._where.child, call, self._answer, traceparent)


class _Turns:
    """The turns of one conversation over a WebSocket."""

    def __init__(self, calls: Calls, where: Where, headers: Mapping[str, str]) -> None:
        self._calls = calls
        self._where = where
        self._headers = headers
        self._frame: bytes | None = None

    def about_to_send(self, frame: bytes | None) -> None:
        """A turn that begins now begins with this frame of the client's."""
        self._frame = frame

    def began(self, call: Call) -> None:
        call.layer, call.start_ns = LAYER, time_ns()
        agents.identify(call, self._headers, self._frame)

    def ended(self, call: Call) -> None:
        call.end_ns = time_ns()
        self._calls.seen(self._where.child, call, self._headers.get("traceparent"))


def mapping(headers: Headers) -> dict[str, str]:
    """Headers by their lower-case names; of several of one name the last."""
    return {name.decode("ascii").lower(): value.decode("latin-1") for name, value in headers.raw_items()}
