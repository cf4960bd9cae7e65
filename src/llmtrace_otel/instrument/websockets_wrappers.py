"""The wrappers around WebSocket connections, loaded when the program loads a library of them; see `websockets.py`."""

from __future__ import annotations

import atexit
import functools
import logging
import threading
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import unquote
from weakref import WeakKeyDictionary, WeakValueDictionary, finalize

from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from llmtrace_otel.instrument import left_streams
from llmtrace_otel.instrument.wrapping import BaseWrappers
from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry.spans import CallSpan, Recorder
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.realtime import Conversation

_log = logging.getLogger("llmtrace_otel")

_NORMAL = (1000, 1001, 1005)
"""Close codes of RFC 6455 that tell of no failure: normal, going away, none given."""
_BROKEN = 1006
"""The code for a connection that nobody closed."""


class URL(NamedTuple):
    """Where a connection goes: `path` decoded, `query` not."""

    host: str
    port: int
    path: str
    query: str


class Library(NamedTuple):
    """What is to be known of a library's connections, whose methods `send` and `close` have these names everywhere."""

    layer: str
    receive: str
    """The name of the method that receives."""
    url: Callable[[Any], URL]
    """May raise."""
    frame: Callable[[Any], Any]
    """The text or bytes of what is sent or received; anything else of what is no frame of data."""
    close_code: Callable[[Exception], int | None]
    """The code with which an exception says that the connection is over; `None` if it does not say so."""


def _url_of_websockets(connection: Any) -> URL:
    protocol = connection.protocol
    uri = getattr(protocol, "uri", None) or protocol.wsuri  # its name before release 15
    return URL(uri.host, uri.port, unquote(uri.path), uri.query)


def _url_of_httpx2(session: Any) -> URL:
    url = session.response.request.url
    return URL(
        url.host,
        url.port or (443 if url.scheme in ("https", "wss") else 80),
        url.path,
        url.query.decode("ascii", "replace"),
    )


def _close_code_of_websockets(error: Exception) -> int | None:
    if not hasattr(error, "rcvd_then_sent"):  # what only its ConnectionClosed has
        return None
    return error.rcvd.code if error.rcvd else _BROKEN  # type: ignore[attr-defined]


def _close_code_of_httpx2(error: Exception) -> int | None:
    if type(error).__name__ == "WebSocketNetworkError":
        return _BROKEN
    return error.code if type(error).__name__ == "WebSocketDisconnect" else None  # type: ignore[attr-defined]


LIBRARIES = {
    "websockets": Library("websockets", "recv", _url_of_websockets, lambda message: message, _close_code_of_websockets),
    "httpx2": Library(
        "httpx", "receive", _url_of_httpx2, lambda event: getattr(event, "data", None), _close_code_of_httpx2
    ),
}


class WebSocketWrappers(BaseWrappers):
    """Watches the connections of `websockets` and httpx2 on which a model is spoken with."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._watched: WeakKeyDictionary[Any, Watched] = WeakKeyDictionary()
        atexit.register(self._end_turns)

    def wrap(self, module: ModuleType) -> None:
        """Wraps the making of a library's connections."""
        library = LIBRARIES[module.__name__.partition(".")[0]]
        for name in ("ClientConnection", "WebSocketSession", "AsyncWebSocketSession"):
            if (owner := getattr(module, name, None)) is not None:
                self.replace(owner, "__init__", functools.partial(self._making, library))

    def restore(self) -> None:
        """Lets go of the connections that are open, too: their methods are again those of their class."""
        super().restore()
        atexit.unregister(self._end_turns)
        for connection, watched in list(self._watched.items()):
            watched.leave(connection)

    def _making(self, library: Library, original: Any) -> Any:
        @functools.wraps(original)
        def init(connection: Any, *args: Any, **kwargs: Any) -> None:
            original(connection, *args, **kwargs)
            self._look_at(connection, library)

        return init

    def _look_at(self, connection: Any, library: Library) -> None:
        """Watches a new connection if a model is spoken with on it. Never raises."""
        if self._retired:
            return
        try:
            turns = _TurnSpans(self._recorder, library.layer)
            conversation = Conversation.begin(
                *library.url(connection),
                began=turns.start,
                ended=turns.end,
                providers=self._providers,
                capture=content.mode() is not content.Mode.NO_CONTENT,
            )
            if conversation is not None and is_instrumentation_enabled():
                self._watched[connection] = Watched(connection, library, conversation, turns)
        except Exception:
            _log.debug("llmtrace: a WebSocket connection could not be observed", exc_info=True)

    def _end_turns(self) -> None:
        for watched in list(self._watched.values()):
            watched.abandon()


class _TurnSpans:
    """The spans of a conversation's open turns."""

    def __init__(self, recorder: Recorder, layer: str) -> None:
        self._recorder = recorder
        self._layer = layer
        self.open: dict[int, CallSpan] = {}

    def start(self, call: Call) -> None:
        call.layer = self._layer
        self.open[id(call)] = self._recorder.start(call)

    def end(self, call: Call) -> None:
        span = self.open.pop(id(call), None)
        if span is not None:
            span.end()


class Watched:
    """One connection whose frames are shown to a conversation, by as many threads as the program likes.

    Its methods are replaced on the object itself. Nothing here raises; once the connection is over, nothing is read.
    """

    def __init__(self, connection: Any, library: Library, conversation: Conversation, turns: _TurnSpans) -> None:
        self._library = library
        self._conversation = conversation
        self._turns = turns
        self._over = False
        self._lock = threading.RLock()
        receive = library.receive
        methods = {
            "send": _showing(connection, "send", before=self._sent, failed=self._failed),
            receive: _showing(connection, receive, after=self._received, failed=self._failed),
            "close": _showing(connection, "close", before=self._closing),
        }
        vars(connection).update(methods)
        self._methods = WeakValueDictionary(methods)
        left_streams.watch()
        finalize(connection, left_streams.end, self).atexit = False  # type: ignore[arg-type]

    @property
    def done(self) -> bool:
        """Whether no turn is open."""
        return not self._turns.open

    def abandon(self) -> None:
        """The program has closed the connection, or dropped it."""
        with self._lock:
            self._over = True
            self._conversation.closed()

    def leave(self, connection: Any) -> None:
        """Gives the connection its own methods back."""
        self.abandon()
        for name, method in list(self._methods.items()):
            if vars(connection).get(name) is method:
                del vars(connection)[name]

    def _sent(self, message: Any = None, *_: Any, **named: Any) -> None:
        frame = self._library.frame(named.get("event") if message is None else message)
        if isinstance(frame, str | bytes | bytearray | memoryview):
            self._tell(self._conversation.sent, frame)

    def _received(self, message: Any) -> None:
        frame = self._library.frame(message)
        if isinstance(frame, str | bytes | bytearray):
            self._tell(self._conversation.received, frame)

    def _tell(self, listener: Callable[[Any], None], told: Any) -> None:
        with self._lock:
            if not self._over:
                listener(told)

    def _failed(self, error: Exception) -> None:
        code = self._library.close_code(error)
        if code in _NORMAL:
            self.abandon()
        elif code is not None:
            self._tell(self._conversation.fail, error)
            self.abandon()

    def _closing(self, *_: Any, **__: Any) -> None:
        self.abandon()


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _showing(
    connection: Any,
    name: str,
    *,
    before: Callable[..., None] = _nothing,
    after: Callable[[Any], None] = _nothing,
    failed: Callable[[Exception], None] = _nothing,
) -> Any:
    """A connection's method that tells of its arguments, its result and its failure."""
    original = getattr(connection, name)
    if iscoroutinefunction(original):

        @functools.wraps(original)
        async def method(*args: Any, **kwargs: Any) -> Any:
            before(*args, **kwargs)
            try:
                result = await original(*args, **kwargs)
            except Exception as error:
                failed(error)
                raise
            after(result)
            return result

    else:
        # A warning of the library's that names whoever calls it is to name our caller; it is only given once.
        warn = getattr(connection, "maybe_raise_legacy_warning", _nothing)

        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            warn()
            before(*args, **kwargs)
            try:
                result = original(*args, **kwargs)
            except Exception as error:
                failed(error)
                raise
            after(result)
            return result

    return method
