"""A conversation with a model over a WebSocket, frame by frame: OpenAI Realtime, OpenAI Responses, Gemini Live.

    conversation = Conversation.begin(host, port, path, query, began=…, ended=…)   # None: no such endpoint
    conversation.sent(frame)         # each frame before it goes out
    conversation.received(frame)     # each frame that has come in
    conversation.closed()            # the connection is over;  or  conversation.fail(exception)

Each turn of the model is one Call: `began` is given it when it begins, its request's fields filled in, and `ended` when
it is over and all is known, its messages too if they are wanted. The connection itself is no Call.

Like an Exchange, a Conversation does no I/O, knows no sockets, threads or OpenTelemetry, and never raises: a frame that
it cannot read costs attributes. Its carrier sees to it that it is not told of two frames at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import parse_qs

from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.exchange import type_name
from llmtrace_otel.wire.providers import DEFAULT, Match, Providers
from llmtrace_otel.wire.realtime_gemini import GeminiLive
from llmtrace_otel.wire.realtime_openai import OpenAIRealtime
from llmtrace_otel.wire.realtime_responses import ResponsesSocket
from llmtrace_otel.wire.realtime_turns import Listener, Turns

_log = logging.getLogger("llmtrace_otel")

Frame: TypeAlias = str | bytes | bytearray | memoryview

_DIALECTS: dict[str, type[Turns]] = {
    "realtime": OpenAIRealtime,
    "responses": ResponsesSocket,
    "BidiGenerateContent": GeminiLive,
    "BidiGenerateContentConstrained": GeminiLive,
}
"""By a path's last segment, or the method behind a full stop in it."""
_REALTIME_QUERY = ("model", "deployment", "call_id")
"""One of these is in the URL of a Realtime session; on a host of nobody's it has to be."""
_SWITCHING_PROTOCOLS = 101


class Conversation:
    """Reads one conversation. See the module's text for the order of calls."""

    __slots__ = ("_turns",)

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    @classmethod
    def begin(
        cls,
        host: str,
        port: int | None,
        path: str,
        query: str,
        *,
        began: Listener,
        ended: Listener,
        providers: Providers = DEFAULT,
        capture: bool = False,
    ) -> Conversation | None:
        """Starts reading a connection, or gives `None` when nothing that is read here is spoken at its URL.

        Args:
            host: Without the port; `port` is the one connected to, default ports too.
            path: Decoded, without the query.
            query: The URL's query, still encoded.
            began: Told of each turn that begins; its call's request is known.
            ended: Told of the same call when it is over.
            providers: The table to recognise by.
            capture: Whether messages are wanted.
        """
        segment = path[path.rfind("/") + 1 :]
        dialect = _DIALECTS.get(segment[segment.rfind(".") + 1 :])
        if dialect is None:
            return None
        match, asked = _match(providers, host, port, path), parse_qs(query)
        model = asked.get("model") or asked.get("deployment")
        if dialect is OpenAIRealtime and not match.known and not any(name in asked for name in _REALTIME_QUERY):
            return None
        template = Call(
            dialect.operation,
            match.provider or ("gcp.vertex_ai" if "aiplatform" in path else dialect.provider),
            server_address=host,
            server_port=port,
            request_model=model[0] if model else None,
            stream=True,
            http_status=_SWITCHING_PROTOCOLS,
            capture=capture,
        )
        return cls(dialect(template, began, ended))

    def sent(self, frame: Frame) -> None:
        """A frame is about to go out."""
        self._tell(self._turns.sent, frame)

    def received(self, frame: Frame) -> None:
        """A frame has come in."""
        self._tell(self._turns.received, frame)

    def closed(self) -> None:
        """The connection is over, or left; turns that are open end incomplete."""
        try:
            self._turns.close()
        except Exception as error:
            self._complain("end", error)

    def fail(self, error: BaseException) -> None:
        """The connection broke, and with it the turns that are open, unless the other side has said what was wrong."""
        if not self._turns.last_error:
            self._turns.last_error = {"type": type_name(error), "message": str(error)}
        self.closed()

    def _tell(self, listener: Callable[[bytes], None], frame: Frame) -> None:
        try:
            listener(frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else bytes(frame))
        except Exception as error:
            self._complain("frame", error)

    def _complain(self, what: str, error: Exception) -> None:
        host = self._turns.template.server_address
        _log.debug("llmtrace: unexpected %s of a conversation with %s: %r", what, host, error)


def _match(providers: Providers, host: str, port: int | None, path: str) -> Match:
    """Whose host this is: as the table says of this very path, or of the vendor's chat completions beside it."""
    beside = path[: path.rfind("/")] + "/chat/completions"
    found = providers.find("POST", host, port, path) or providers.find("POST", host, port, beside)
    return found or Match(None, None, known=False)
