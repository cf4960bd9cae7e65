"""LLM calls over WebSockets: OpenAI Realtime and Responses, Gemini Live, through `websockets` or httpx2.

A connection is looked at once, when it is made. If its URL is none where a model is spoken with, nothing more is done;
if it is, this very connection's methods that send, receive and close are replaced by ones that show us the frames as
they go by. Each turn of the model leaves a span, started in the context in which the frame that began it was sent or
received; the connection itself leaves none.

`websockets`' connections for threads and for asyncio are seen; fragments that are sent or received one by one
(`recv_streaming`), its legacy and its trio connections are not.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from llmtrace_otel.instrument.lazy import LateWrappers, LazyInstrumentor, Wrappers
from llmtrace_otel.replay import CannotReplayError

if TYPE_CHECKING:
    from llmtrace_otel.instrument.websockets_wrappers import Connections

_log = logging.getLogger("llmtrace_otel")

_may_be_path = re.compile("realtime|responses|BidiGenerateContent").search
"""No endpoint where a model is spoken with is without one of these."""
_BROKEN = 1006
"""The code for a connection that nobody closed."""


class WebSocketsInstrumentor(LazyInstrumentor):
    """Traces LLM calls made over WebSockets; see `LazyInstrumentor` for the options."""

    modules = ("websockets.sync.client", "websockets.asyncio.client", "httpx2.websockets._api")

    def make_wrappers(self, options: Mapping[str, Any]) -> Wrappers:
        return WebSocketWrappers(options)


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


class WebSocketWrappers(LateWrappers["Connections"]):
    """Wraps the making of connections in `websockets` and httpx2."""

    def wrap(self, module: ModuleType) -> None:
        library = LIBRARIES[module.__name__.partition(".")[0]]
        for name in ("ClientConnection", "WebSocketSession", "AsyncWebSocketSession"):
            if (owner := getattr(module, name, None)) is not None:
                self.replace(owner, "__init__", functools.partial(self._making, library))

    def load(self) -> Connections:
        from llmtrace_otel.instrument.websockets_wrappers import Connections

        return Connections(self)

    def restore(self) -> None:
        """Lets go of the connections that are open, too."""
        super().restore()
        if self.loaded is not None:
            self.loaded.leave()

    def _making(self, library: Library, original: Any) -> Any:
        @functools.wraps(original)
        def init(connection: Any, *args: Any, **kwargs: Any) -> None:
            original(connection, *args, **kwargs)
            if not self.retired:
                self._look_at(connection, library)

        return init

    def _look_at(self, connection: Any, library: Library) -> None:
        """Has a new connection watched if a model may be spoken with on it.

        Raises CannotReplayError where that is to be answered from recordings, and nothing else.
        """
        try:
            if _may_be_path(library.url(connection).path) and (connections := self.part()) is not None:
                connections.look_at(connection, library)
        except CannotReplayError:
            raise
        except Exception:
            _log.debug("llmtrace: a WebSocket connection could not be observed", exc_info=True)
