"""What watches botocore's requests, loaded with the first one that may be an LLM call; see `botocore.py`.

A response whose body is still to come stays the very object that urllib3 made; only its class becomes a subclass of
the one it had. So all that reads it is seen, be it `stream`, `read`, iteration over lines or what `io` adds to it,
`isinstance` holds, and it is collected when it was.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from llmtrace_otel import replay
from llmtrace_otel.instrument import left_streams
from llmtrace_otel.instrument.observation import Observation
from llmtrace_otel.instrument.wrapping import Requests, observed
from llmtrace_otel.telemetry import content
from llmtrace_otel.wire.exchange import Exchange

if TYPE_CHECKING:
    from llmtrace_otel.replay.asked import Asked

_log = logging.getLogger("llmtrace_otel")


class BotocoreRequests(Requests):
    """Reads what botocore sends, and what is answered."""

    layer = "botocore"

    def observed(self, send: Any) -> Any:
        """Wraps `URLLib3Session.send`."""
        if (player := replay.player()) is not None:
            from llmtrace_otel.instrument.botocore_replay import replayed

            send = replayed(send, self, player)
        return observed(send, self.begin, _observe)

    def exchange(self, request: Any) -> Exchange | None:
        """Starts reading an `AWSPreparedRequest`. AWS has no LLM call that is not a POST."""
        if request.method != "POST":
            return None
        url = urlsplit(request.url)
        host, path = url.hostname or "", url.path
        if not self.may_be_call("POST", host, path):
            return None
        return Exchange.begin(
            "POST",
            host,
            url.port or (443 if url.scheme == "https" else 80),
            unquote(path),  # a model may be an ARN, whose colons and slashes are escaped
            _visible_body(request.body),
            headers=request.headers,
            providers=self.providers,
            capture=content.mode() is not content.Mode.NO_CONTENT,
        )

    def asked(self, request: Any) -> Asked:
        """The request as a recording is to know it."""
        from llmtrace_otel.replay.asked import Asked

        url = urlsplit(request.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        body = _visible_body(request.body)
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        return Asked(request.method, url.hostname or "", port, unquote(url.path), url.query, headers, body)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _visible_body(body: Any) -> bytes | None:
    """The request's body, unless it is a file, which is the transport's to consume."""
    if isinstance(body, str):
        return body.encode()
    return bytes(body) if isinstance(body, (bytes, bytearray)) else None


def _observe(response: Any, observation: Observation) -> None:
    """Reads an `AWSResponse` whose body is here, or watches one that is still to come. Never raises."""
    try:
        whole = response.raw.isclosed()
        observation.head(response.status_code, response.headers, decoded=whole)
        if whole:
            observation.body(response.content)
        else:
            _watch(response.raw, observation)
    except Exception:
        _log.debug("llmtrace: a response could not be observed", exc_info=True)
        observation.abandon()


class _Watched:
    """Who watches a body, and whether it is being read this moment."""

    __slots__ = ("observation", "reading")

    def __init__(self, observation: Observation) -> None:
        self.observation = observation
        self.reading = False

    def feed(self, chunk: bytes) -> None:
        self.reading = False
        if chunk:
            try:
                self.observation.feed(chunk)
            except Exception as error:
                self.observation.stop_reading(error)

    def fail(self, error: BaseException) -> None:
        self.reading = False
        self.observation.fail(error)


def _watch(raw: Any, observation: Observation) -> None:
    vars(raw)["_llmtrace"] = _Watched(observation)
    raw.__class__ = _watched_class(raw.__class__)
    left_streams.watch(observation)


@functools.cache
def _watched_class(kind: type) -> type:
    """A class like `kind`, urllib3's `HTTPResponse`, whose objects show what is read of them."""
    wrappers: dict[str, Callable[[Any], Any]] = {
        "read": _show,
        "read1": _show,
        "read_chunked": _show_chunks,
        "close": _show_close,
        "__del__": _show_end,
    }
    methods = {name: wrap(getattr(kind, name)) for name, wrap in wrappers.items() if hasattr(kind, name)}
    return type(kind.__name__, (kind,), {"__slots__": (), "__module__": kind.__module__, **methods})


def _show(read: Callable[..., bytes]) -> Callable[..., bytes]:
    """Wraps `read` and `read1`."""

    @functools.wraps(read)
    def shown(raw: Any, *args: Any, **kwargs: Any) -> bytes:
        watched: _Watched = raw._llmtrace
        watched.reading = True
        try:
            chunk = read(raw, *args, **kwargs)
        except BaseException as error:
            watched.fail(error)
            raise
        watched.feed(chunk)
        if raw.isclosed():
            watched.observation.end()
        return chunk

    return shown


def _show_chunks(read_chunked: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
    """Wraps `read_chunked`, by which a body in HTTP chunks is streamed."""

    @functools.wraps(read_chunked)
    def shown(raw: Any, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        watched: _Watched = raw._llmtrace
        try:
            watched.reading = True
            for chunk in read_chunked(raw, *args, **kwargs):
                watched.feed(chunk)
                yield chunk
                watched.reading = True
        except GeneratorExit:
            left_streams.end(watched.observation)
            raise
        except BaseException as error:
            watched.fail(error)
            raise
        watched.reading = False
        if raw.isclosed():
            watched.observation.end()

    return shown


def _show_close(close: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wraps `close`. A read that closes because it failed tells so itself."""

    @functools.wraps(close)
    def shown(raw: Any) -> None:
        try:
            close(raw)
        finally:
            watched: _Watched = raw._llmtrace
            if not watched.reading:
                left_streams.end(watched.observation)

    return shown


def _show_end(finalize: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wraps `__del__`, which does not call `close` where the garbage collector has taken the connection first."""

    @functools.wraps(finalize)
    def shown(raw: Any) -> None:
        observation = raw._llmtrace.observation
        if not observation.done:
            left_streams.end(observation)
        finalize(raw)

    return shown
