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

import logging
from collections.abc import Mapping
from contextlib import suppress
from time import time_ns
from typing import Any
from urllib.parse import parse_qs

from msgspec import Struct

from llmtrace_otel.wire.call import Call, Library
from llmtrace_otel.wire.decode import loads
from llmtrace_otel.wire.encoding import Decoder, UnknownCoding, decoder
from llmtrace_otel.wire.errors import named_by, read_error, read_error_in_success
from llmtrace_otel.wire.eventstream import PRELUDE, EventStream, starts_frame
from llmtrace_otel.wire.formats import Format, Request, StreamReader
from llmtrace_otel.wire.framing import NDJSON, SSE, Framing, JSONArray
from llmtrace_otel.wire.openai_responses import FETCH
from llmtrace_otel.wire.providers import DEFAULT, Match, Providers, told_by

_log = logging.getLogger("llmtrace_otel")
_LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of a JSON answer that are held; a larger one goes unread."""
_OPENAI = ("openai", "azure.ai.openai")
"""Whose services have an `openai.api.type`; others only speak the format."""
_JSON = (b"{", b"[")
_JSON_OR_STREAM = (*_JSON, b"d", b"e", b"i", b"r", b":")
_STREAM_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_LINE_TYPES = ("ndjson", "stream+json", "jsonl", "json-lines")
_BOM = b"\xef\xbb\xbf"
_NO_HEADERS: Mapping[str, str] = {}


class Exchange(Struct, eq=False):
    """Reads one exchange into `call`. See the module's text for the order of calls."""

    call: Call
    _format: Format
    _match: Match
    closed: bool = False
    _body: list[bytes] = []
    _size: int = 0
    _held_whole: bool = False
    _headers: Mapping[str, str] = _NO_HEADERS
    _request: Request | None = None
    _decoder: Decoder | None = None
    _stream: StreamReader | None = None
    _framing: Framing | None = None

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
        match = providers.find(method, host, port, path)
        if match is None:
            return None
        if body and body[:1] not in b'{ \n\r\t"[':
            body = _decoded(body, headers)
        found = match.format or told_by(path, body)
        call = Call(
            found.operation,
            match.provider or found.provider,
            host,
            port,
            path if match.model is None and ":" in path else None,
            request_model=match.model,
            stream=found.streams or None,
            capture=capture,
        )
        exchange = cls(call, found, match)
        if body:
            exchange._read_request(body)
        if match.response_id:
            exchange._read_fetch(match.response_id, query)
        elif not match.known and not exchange._looks_right(match, body):
            return None
        return exchange

    def response(self, status: int, headers: Mapping[str, str] = _NO_HEADERS, *, decoded: bool = False) -> None:
        """The head of the answer. `headers` are asked case-insensitively by the carrier's mapping.

        `decoded` says that the carrier undoes the content codings that it knows.
        """
        self.call.http_status = status
        self._headers = headers
        try:
            if not decoded and (coding := headers.get("content-encoding")):
                self._decoder = decoder(coding)
            match = self._match  # a vendor's own host is no gateway
            if (match.registered or not match.known) and (
                headers.get("x-litellm-call-id") or headers.get("x-litellm-version")
            ):
                self._read_gateway(headers)
        except Exception as error:
            self._give_up("a content coding that nothing here can undo", error)

    def _read_gateway(self, headers: Mapping[str, str]) -> None:
        """What a LiteLLM proxy adds: its own name on a host of nobody's, what it computes that the call costs, and
        the key of its cache where that had the answer.
        """
        if not self._match.known:
            self.call.provider, self.call.api_type = "litellm", None
        with suppress(ValueError):
            cost = float(headers.get("x-litellm-response-cost", ""))
            self.call.gateway_cost = cost if 0 <= cost < 1e12 else None
        if headers.get("x-litellm-cache-key"):
            self.call.library = Library(cache_hit=True, cost_source="gateway")

    def feed(self, chunk: bytes) -> None:
        """A piece of the body, as it came over the wire."""
        if self._framing is not None and self._decoder is None:  # all but the first pieces of most streams
            if self._framing.feed(chunk) > _LARGEST_BODY:
                self._drop_event()
            return
        if self.call.first_chunk_ns is None and chunk:
            self.call.first_chunk_ns = time_ns()
        self._take(chunk)

    def whole(self, body: bytes) -> None:
        """The whole body at once, decoded by the carrier. It has no first chunk."""
        if body[:1] == b"{" and self._format.framing is None and len(body) <= _LARGEST_BODY and not self.closed:
            self._close(body)
            if not self.call.complete:
                self._doubt()
        else:
            self._undo_left_coding(body)
            self._take(body)
            self.end()

    def _undo_left_coding(self, body: bytes) -> None:
        """A carrier without the coding's library leaves the body as it came."""
        if _first_character(body) not in _JSON_OR_STREAM and (coding := self._headers.get("content-encoding")):
            try:
                self._decoder = decoder(coding)
            except UnknownCoding as error:
                self._give_up("a content coding that nothing here can undo", error)

    def end(self) -> None:
        """The body is over, whole as far as the carrier can tell."""
        is_doubtful = not self.closed and self._framing is None
        self._close()
        if is_doubtful:
            self._doubt()

    def _doubt(self) -> None:
        """A whole body that is no stream should have told something."""
        call = self.call
        if not (call.complete or call.error_type or call.unreadable):
            call.unreadable = "it is not JSON of the format that its request has"

    def abandon(self) -> None:
        """The reader has stopped before the end, which is no error; what came counts."""
        self._close()

    def fail(self, error: BaseException) -> None:
        """The request or its answer broke."""
        call, was_closed = self.call, self.closed
        self._close()
        if not (was_closed and call.http_status) and not call.complete and call.error_type is None:
            call.error_type = type_name(error)
            call.error_message = str(error) or None

    def write_content(self, *, as_sent: bool = False) -> None:
        """Builds the request's messages on the call, once the call is over.

        `as_sent` says that input messages may be left as they were sent, where some can be built without others.
        """
        self.call.keeps_sent = as_sent
        if self._request is not None and self.call.input_messages is None:
            try:
                self._request.write(self.call)
            except Exception as error:
                _log.debug("llmtrace: unexpected content in a request to %s: %r", self.call.server_address, error)

    def _read_request(self, body: bytes) -> None:
        try:
            self._request = self._format.read_request(body, self.call)
        except Exception as error:  # the answer may still be read
            _log.debug("llmtrace: unexpected request to %s: %r", self.call.server_address, error)
        if self._format.streams:
            self.call.stream = True
        if self.call.provider not in _OPENAI:
            self.call.api_type = None

    def _looks_right(self, match: Match, body: bytes | None) -> bool:
        if body is None:
            return match.telling
        return self._request is not None and self._request.fits()

    def _read_fetch(self, response_id: str, query: str) -> None:
        call, asked = self.call, parse_qs(query)
        call.response_id = response_id
        call.api_type = "responses" if call.provider in _OPENAI else None
        call.stream_cursor = asked.get("starting_after", [None])[0]

    def _take(self, chunk: bytes) -> None:
        if self.closed:
            return
        if self._decoder is not None:
            try:
                chunk = self._decoder.decompress(chunk)
            except Exception as error:  # each library has an error of its own
                self._close()
                self._give_up("it cannot be decoded", error)
                return
        if self._framing is not None:
            if self._framing.feed(chunk) > _LARGEST_BODY:
                self._drop_event()
        elif chunk:
            self._hold(chunk)

    def _drop_event(self) -> None:
        self._close()
        self._give_up(f"it has an event over {_LARGEST_BODY >> 20} MiB")

    def _hold(self, chunk: bytes) -> None:
        self._body.append(chunk)
        self._size += len(chunk)
        if self._size > _LARGEST_BODY:
            self._give_up(f"it is over {_LARGEST_BODY >> 20} MiB")
        elif not self._held_whole:
            self._tell_framing()

    def _tell_framing(self) -> None:
        start = b"".join(self._body)
        if _BOM.startswith(start):
            return
        start = start.removeprefix(_BOM)
        text = start.lstrip()
        if start.startswith(b"\0") and (self.call.http_status or 200) < 400:
            if starts_frame(start[:PRELUDE]):
                self._read_stream(EventStream, start)
            elif len(start) >= PRELUDE:
                self._give_up("it is neither JSON nor a stream of events")
        elif text[:1] in _JSON or (self.call.http_status or 200) >= 400:
            self._tell_json(text[:1], start)
        elif text.startswith(_STREAM_STARTS):
            self._read_stream(SSE, start)
        elif text and not any(known.startswith(text) for known in _STREAM_STARTS):
            self._give_up("it is neither JSON nor a stream of events")

    def _tell_json(self, first: bytes, start: bytes) -> None:
        """Whether what starts like JSON is one document, or the first of a stream."""
        framing = self._format.framing
        if (self.call.http_status or 200) < 400 and (
            (framing is JSONArray and first == b"[") or (framing is NDJSON and first == b"{" and self._comes_in_lines())
        ):
            self._read_stream(framing, start)
        else:
            self._held_whole = True

    def _comes_in_lines(self) -> bool:
        kind = self._headers.get("content-type", "")
        return self.call.stream is True or any(known in kind for known in _LINE_TYPES)

    def _read_stream(self, framing: type[Framing], start: bytes) -> None:
        self._body.clear()
        self._stream = self._format.stream(self.call)
        self._framing = framing(self._stream)
        self._framing.feed(start)

    def _close(self, whole: bytes | None = None) -> None:
        """Nothing more comes of the answer; `whole` is all of its body, where nothing of that has been held."""
        if self.closed:
            return
        self.closed = True
        try:
            if self._framing is not None and self._stream is not None:
                self._framing.close()
                self._stream.close()
                self._read_headers()
                if self._framing.broken:
                    self.call.unreadable = self._framing.broken
            elif whole is not None:
                self._read_body(whole)
            elif self._body:
                self._read_body(b"".join(self._body).removeprefix(_BOM))
        except Exception as error:
            self._give_up("its shape is not what was expected", error)
        if whole is None:
            self._body.clear()
            self._framing = self._stream = None
        if (self.call.http_status or 200) >= 400:
            self._name_failure()

    def _read_body(self, body: bytes) -> None:
        call = self.call
        if (call.http_status or 200) >= 400:
            read_error(body, call)
            return
        self._format.read_response(body, call)
        if self._format.read_headers is not None:
            self._read_headers()
        if call.complete and call.usage is None and call.operation != FETCH:
            read_error_in_success(body, call)
            call.keys_seen = keys_of(body)

    def _read_headers(self) -> None:
        if self._format.read_headers is not None:
            self._format.read_headers(self._headers, self.call)

    def _name_failure(self) -> None:
        call = self.call
        if call.error_type is None and (call.http_status or 200) >= 400:
            call.error_type = named_by(self._headers) or str(call.http_status)

    def _give_up(self, what: str, error: Exception | None = None) -> None:
        self.closed = True
        self._body.clear()
        self.call.unreadable = f"{what}: {error}" if error else what
        self._name_failure()


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
