"""One HTTP request and its response, told by whoever carries the bytes; it fills in a `Call`.

    exchange = Exchange.begin("POST", "api.openai.com", 443, "/v1/chat/completions", body)   # None: no LLM call
    exchange.response(200, headers)
    exchange.feed(chunk)          # as often as chunks come, as they came over the wire
    exchange.end()                # the body is over;  or  exchange.fail(exception);  or  exchange.abandon()
    exchange.call                 # what is known

An Exchange does no I/O, knows no sockets, threads or OpenTelemetry, and never raises: a body that it cannot read costs
attributes, not a request. It holds a stream's pieces until they make whole events, and a JSON body until its end.

The body tells how it is framed, whatever its Content-Type says: gateways answer a stream request with JSON, and
errors come as JSON everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time_ns
from typing import Any
from urllib.parse import parse_qs

from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.decode import loads
from llmtrace_otel.wire.encoding import Decoder, UnknownCoding, decoder
from llmtrace_otel.wire.errors import read_error
from llmtrace_otel.wire.formats import Content, StreamReader
from llmtrace_otel.wire.framing import SSE
from llmtrace_otel.wire.providers import DEFAULT, Match, Providers

_LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of a JSON answer that are held; a larger one goes unread."""
_OPENAI = ("openai", "azure.ai.openai")
"""Whose services have an `openai.api.type`; others only speak the format."""
_NO_HEADERS: Mapping[str, str] = {}


class Exchange:
    """Reads one exchange into `call`. See the module's text for the order of calls."""

    __slots__ = ("_body", "_content", "_decoder", "_match", "_size", "_sse", "_stream", "call", "closed")

    def __init__(self, match: Match, body: bytes | None, *, capture: bool = False) -> None:
        self._match = match
        self._body: list[bytes] = []
        self._size = 0
        self._content: Content | None = None
        self._decoder: Decoder | None = None
        self._stream: StreamReader | None = None
        self._sse: SSE | None = None
        self.closed = False
        self.call = Call(match.format.operation, match.provider, request_model=match.model, capture=capture)
        self.call.response_id = match.response_id
        if body:
            self._read_request(body)

    @classmethod
    def begin(
        cls,
        method: str,
        host: str,
        port: int | None,
        path: str,
        body: bytes | None,
        *,
        query: str = "",
        headers: Mapping[str, str] = _NO_HEADERS,
        providers: Providers = DEFAULT,
        capture: bool = False,
    ) -> Exchange | None:
        """Starts reading a request, or gives `None` when it is no LLM call.

        Args:
            method: In upper case.
            host: Without the port; `port` is the one connected to, default ports too.
            path: Decoded, without the query.
            body: As sent; `None` when it cannot be seen without consuming it.
            query: The URL's query, read when a stored response is fetched.
            headers: The request's; asked only for `content-encoding`, and only for a body that is not plain JSON.
            providers: The table to recognise by.
            capture: Whether messages are wanted.
        """
        if body and body[:1] not in b'{ \n\r\t"[':
            body = _decoded(body, headers)
        match = providers.find(method, host, port, path, body)
        if match is None:
            return None
        exchange = cls(match, body, capture=capture)
        call = exchange.call
        call.server_address, call.server_port = host, port
        if query and match.response_id:
            asked = parse_qs(query)
            call.stream = asked.get("stream") == ["true"] or None
            call.stream_cursor = asked.get("starting_after", [None])[0]
        return exchange

    def response(self, status: int, headers: Mapping[str, str] = _NO_HEADERS, *, decoded: bool = False) -> None:
        """The head of the answer. `headers` are asked case-insensitively by the carrier's mapping.

        `decoded` says that the carrier undoes the content coding itself.
        """
        self.call.http_status = status
        try:
            if not decoded and (coding := headers.get("content-encoding")):
                self._decoder = decoder(coding)
            if not self._match.known:
                self._told_by(headers)
        except UnknownCoding as missing:
            self._give_up("content coding that nothing here can undo", missing)

    def feed(self, chunk: bytes) -> None:
        """A piece of the body, as it came over the wire."""
        if self.call.first_chunk_ns is None:
            self.call.first_chunk_ns = time_ns()
        if self.closed:
            return
        if self._decoder is not None:
            try:
                chunk = self._decoder.decompress(chunk)
            except Exception as error:  # each library has an error of its own
                self._give_up("undecodable body", error)
                return
        if self._sse is not None:
            self._sse.feed(chunk)
        elif chunk:
            self._hold(chunk)

    def end(self) -> None:
        """The body is over, whole as far as the carrier can tell."""
        self._close()

    def abandon(self) -> None:
        """The reader has stopped before the end, which is no error; what came counts."""
        self._close()

    def fail(self, error: BaseException) -> None:
        """The request or its answer broke."""
        self._close()
        call = self.call
        if not call.complete and call.error_type is None:
            call.error_type = type_name(error)
            call.error_message = str(error) or None

    def write_content(self) -> None:
        """Builds the request's messages on the call, once the call is over."""
        if self._content is not None and self.call.input_messages is None:
            try:
                self._content.write(self.call)
            except Exception as error:
                self._give_up("unexpected request content", error)

    def _read_request(self, body: bytes) -> None:
        try:
            self._content = self._match.format.read_request(body, self.call)
            if self.call.provider not in _OPENAI:
                self.call.api_type = None
        except Exception as error:
            self._give_up("unexpected request", error)

    def _told_by(self, headers: Mapping[str, str]) -> None:
        if headers.get("x-litellm-call-id") or headers.get("x-litellm-version"):
            self.call.provider = "litellm"

    def _hold(self, chunk: bytes) -> None:
        if not self._body and self._is_stream(chunk):
            self._stream = self._match.format.stream(self.call)
            self._sse = SSE(self._stream)
            self._sse.feed(chunk)
            return
        self._size += len(chunk)
        if self._size <= _LARGEST_BODY:
            self._body.append(chunk)
        else:
            self._body.clear()
            self.closed = True
            self.call.unreadable = f"over {_LARGEST_BODY >> 20} MiB"

    def _is_stream(self, chunk: bytes) -> bool:
        status = self.call.http_status or 200
        return status < 400 and _first_character(chunk) not in b"{[<"

    def _close(self) -> None:
        if self.closed:
            return
        self.closed = True
        try:
            if self._sse is not None and self._stream is not None:
                self._sse.close()
                self._stream.close()
            elif self._body:
                self._read_body(self._body[0] if len(self._body) == 1 else b"".join(self._body))
        except Exception as error:
            self._give_up("unexpected answer", error)
        self._body.clear()

    def _read_body(self, body: bytes) -> None:
        call = self.call
        if (call.http_status or 200) >= 400:
            read_error(body, call)
            return
        self._match.format.read_response(body, call)
        if not call.complete:
            call.unreadable = "not JSON of the format that its request has"
        elif call.usage is None:
            call.keys_seen = keys_of(body)

    def _give_up(self, what: str, error: Exception) -> None:
        self.closed = True
        self.call.unreadable = f"{what}: {error}"


def _first_character(chunk: bytes) -> bytes:
    first = chunk[:1]
    return first if first > b" " else chunk.lstrip()[:1]


def type_name(error: BaseException) -> str:
    """`error.type` of an exception: `module.QualName`, a built-in bare."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def keys_of(body: bytes) -> list[str]:
    """The top-level keys of a JSON object, for messages to people."""
    document: Any = loads(body)
    return sorted(document) if isinstance(document, dict) else []


def _decoded(body: bytes, headers: Mapping[str, str]) -> bytes | None:
    try:
        coding = headers.get("content-encoding")
        undo = decoder(coding) if coding else None
        return undo.decompress(body) if undo is not None else body
    except Exception:
        return None
