"""The wrappers around httpx and httpx2, loaded when the program loads one of them; see `httpx.py`."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from llmtrace_otel import replay
from llmtrace_otel.instrument import left_streams, peers, retries
from llmtrace_otel.instrument.lazy import Wrappers
from llmtrace_otel.instrument.observation import Observation
from llmtrace_otel.instrument.wrapping import Requests, observed, observed_async
from llmtrace_otel.telemetry import content
from llmtrace_otel.wire.exchange import Exchange

if TYPE_CHECKING:
    from llmtrace_otel.replay.asked import Asked

_log = logging.getLogger("llmtrace_otel")


class HTTPXWrappers(Wrappers):
    """Wraps the clients of httpx and httpx2, and the request loops of the SDKs on them."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._requests = HTTPXRequests(self)

    def wrap(self, module: ModuleType) -> None:
        """Wraps the clients of `httpx` or `httpx2`, the request loop of an SDK, what else counts calls."""
        if module.__name__ in peers.HTTP_MODULES:
            peers.wrap(module, self)
        if module.__name__ in retries.SDKS:
            self.replace(module.SyncAPIClient, "request", retries.one_call)
            self.replace(module.AsyncAPIClient, "request", retries.one_call_async)
        elif module.__name__ not in peers.HTTP_MODULES:
            self._wrap_library(module)

    def _wrap_library(self, module: ModuleType) -> None:
        """Wraps the clients of `httpx` or `httpx2`."""
        watch = functools.partial(_observe, type("ObservedStream", (_SyncStream, module.SyncByteStream), {}))
        watch_async = functools.partial(_observe, type("ObservedStream", (_AsyncStream, module.AsyncByteStream), {}))
        self.replace(module.Client, "send", lambda send: observed(send, self._requests.begin, watch))
        self.replace(module.AsyncClient, "send", lambda send: observed_async(send, self._requests.begin, watch_async))
        if (player := replay.player()) is not None:
            from llmtrace_otel.instrument.httpx_replay import Replayed

            for client in (module.Client, module.AsyncClient):
                self.replace(client, "_transport_for_url", Replayed(module, self._requests, player).wrap)


class HTTPXRequests(Requests):
    """Reads the requests of httpx and httpx2."""

    layer = "httpx"

    def exchange(self, request: Any) -> Exchange | None:
        """Starts reading a request of httpx or httpx2."""
        url = request.url
        method, host, path = request.method, url.host, url.path
        if not self.may_be_call(method, host, path):
            return None
        return Exchange.begin(
            method,
            host,
            url.port or (443 if url.scheme == "https" else 80),
            path,
            _visible_body(request),
            query="" if method == "POST" else url.query.decode("ascii", "replace"),
            headers=request.headers,
            providers=self.providers,
            capture=content.mode() is not content.Mode.NO_CONTENT,
        )

    def asked(self, request: Any) -> Asked:
        """The request as a recording is to know it."""
        from llmtrace_otel.replay.asked import Asked

        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        query = url.query.decode("ascii", "replace")
        return Asked(request.method, url.host, port, url.path, query, request.headers, _visible_body(request))


def _observe(stream_type: type, response: Any, observation: Observation) -> None:
    """Reads a response that is here, or watches the stream of one that is still to come. Never raises."""
    try:
        if not response.is_closed:
            observation.head(response.status_code, response.headers)
            response.stream = stream_type(response.stream, observation)
            left_streams.watch(observation)
            return
        observation.head(response.status_code, response.headers, decoded=True)
        try:
            whole = response.content
        except Exception:  # closed before anybody read it
            observation.abandon()
        else:
            observation.body(whole)
    except Exception:
        _log.debug("llmtrace: a response could not be observed", exc_info=True)
        observation.abandon()


def _visible_body(request: Any) -> bytes | None:
    """The request's body, if it can be seen without consuming it."""
    try:
        return bytes(request.content)
    except Exception:  # a body that is streamed, which is the transport's to consume
        return None


class _Stream:
    """A response's stream, watched. Anything else that the inner stream offers, `elapsed` too, is passed on."""

    def __init__(self, stream: Any, observation: Observation) -> None:
        self._stream = stream
        self._observation = observation
        self.stream_observer = getattr(stream, "stream_observer", None)
        """Anthropic's SDK asks for it at every item, and to find that there is none takes longer than all of ours."""

    def __getattr__(self, name: str) -> Any:
        if name in ("_stream", "_observation"):  # a copy that is only being made has none yet
            raise AttributeError(name)
        return getattr(self._stream, name)

    def __del__(self) -> None:
        observation: Observation | None = self.__dict__.get("_observation")
        if observation is not None and not observation.done:
            left_streams.end(observation)


class _SyncStream(_Stream):
    def __iter__(self) -> Iterator[bytes]:
        observation = self._observation
        kept, wait = observation.kept, 1
        try:
            for chunk in self._stream:
                kept.append(chunk)
                wait -= 1
                if not wait:
                    wait = observation.read()
                yield chunk
        except GeneratorExit:
            left_streams.end(observation)
            raise
        except BaseException as error:
            observation.fail(error)
            raise
        observation.end()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            left_streams.end(self._observation)


class _AsyncStream(_Stream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        observation = self._observation
        kept, wait = observation.kept, 1
        try:
            async for chunk in self._stream:
                kept.append(chunk)
                wait -= 1
                if not wait:
                    wait = observation.read()
                yield chunk
        except GeneratorExit:
            left_streams.end(observation)
            raise
        except BaseException as error:
            observation.fail(error)
            raise
        observation.end()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            left_streams.end(self._observation)
