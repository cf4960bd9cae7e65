"""What watches WebSocket connections, loaded with the first that may be to a model; see `websockets.py`."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary, finalize

from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from llmtrace_otel import replay
from llmtrace_otel.instrument import left_streams
from llmtrace_otel.instrument.lazy import Wrappers
from llmtrace_otel.instrument.websockets import Library
from llmtrace_otel.instrument.wrapping import Recording
from llmtrace_otel.replay import CannotReplayError
from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry.spans import CallSpan, Recorder
from llmtrace_otel.telemetry.within import Part
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.realtime import Conversation

_NORMAL = (1000, 1001, 1005)
"""Close codes of RFC 6455 that tell of no failure: normal, going away, none given."""


class Connections(Recording):
    """Watches the connections on which a model is spoken with."""

    def __init__(self, wrappers: Wrappers) -> None:
        super().__init__(wrappers)
        self._replays = replay.player() is not None
        self._watched: WeakKeyDictionary[Any, Watched] = WeakKeyDictionary()

    def look_at(self, connection: Any, library: Library) -> None:
        """Watches a new connection if a model is spoken with on it. May raise; CannotReplayError is for the program."""
        turns = _TurnSpans(self.recorder, library.layer)
        url = library.url(connection)
        conversation = Conversation.begin(
            *url,
            began=turns.start,
            ended=turns.end,
            providers=self.providers,
            capture=content.mode() is not content.Mode.NO_CONTENT,
        )
        if conversation is not None and self._replays:
            _refuse(connection, url.host)
        if conversation is not None and is_instrumentation_enabled():
            self._watched[connection] = Watched(connection, library, conversation, turns)

    def leave(self) -> None:
        """Lets go of the connections that are open: their methods are again those of their class."""
        for connection, watched in list(self._watched.items()):
            watched.leave(connection)


def _refuse(connection: Any, host: str) -> None:
    """What is spoken over a WebSocket is not recorded, and does not go out where recordings are to answer."""
    from llmtrace_otel.replay.tape import refusal

    message = f"llmtrace replay: WebSockets are not recorded, and one to {host} is not opened; use plain HTTP"
    refusal(message)
    if (close_socket := getattr(connection, "close_socket", None)) is not None:
        close_socket()  # a thread is reading from it already
    raise CannotReplayError(message)


class _TurnSpans:
    """The spans of a conversation's open turns."""

    def __init__(self, recorder: Recorder, layer: str) -> None:
        self._recorder = recorder
        self._layer = layer
        self.open: dict[int, CallSpan | Part] = {}

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
        left_streams.watch(self)
        finalize(connection, left_streams.end, self).atexit = False

    def abandon(self) -> None:
        """The program has closed the connection, or dropped it."""
        left_streams.forget(self)
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
