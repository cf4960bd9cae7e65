"""LLM calls of `httpx` and `httpx2` clients, and of every SDK that sits on them.

`Client.send` and `AsyncClient.send` are wrapped in whichever of the two libraries the program imports, when it imports
it; nothing is imported for its sake. Mocked transports, recorded playback and transports of one's own are under
`send`, so they are seen too. The caller's request, response and exceptions pass through untouched; only the response's
stream is replaced by one that shows its pieces to us as they go by.

An SDK's retries are one logical call: the SDK's own request loop is wrapped as well (`instrument/retries.py`), and the
attempts that are sent within it share one span.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from types import ModuleType
from typing import Any

import wrapt
from opentelemetry import context, trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from llmtrace_otel.instrument import retries
from llmtrace_otel.instrument.observation import Observation
from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.wire.exchange import Exchange
from llmtrace_otel.wire.providers import DEFAULT, Providers

_log = logging.getLogger("llmtrace_otel")

LIBRARIES = ("httpx", "httpx2")


class HTTPXInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Traces LLM calls made through httpx and httpx2.

    `instrument` takes `tracer_provider`, `meter_provider`, `logger_provider` and `providers` (a
    `llmtrace_otel.wire.providers.Providers` table of one's own), all optional.
    """

    _active: _Wrappers | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        try:
            content.refresh()
            recorder = Recorder(
                kwargs.get("tracer_provider"), kwargs.get("meter_provider"), kwargs.get("logger_provider")
            )
            self._active = wrappers = _Wrappers(recorder, kwargs.get("providers") or DEFAULT)
            for library in LIBRARIES:
                wrapt.register_post_import_hook(wrappers.wrap_library, library)
            for package in retries.SDKS:
                wrapt.register_post_import_hook(wrappers.wrap_sdk, package)
        except Exception:
            _log.exception("llmtrace: httpx and httpx2 could not be instrumented; the program runs on untraced")

    def _uninstrument(self, **kwargs: Any) -> None:
        if self._active is not None:
            self._active.restore()
            self._active = None


class _Wrappers:
    """What was put in whose place, and back."""

    def __init__(self, recorder: Recorder, providers: Providers) -> None:
        self._recorder = recorder
        self._providers = providers
        self._replaced: list[tuple[type, str, Any, Any]] = []
        self._retired = False

    def wrap_library(self, module: ModuleType) -> None:
        """A post-import hook: wraps the clients of `httpx` or `httpx2`."""
        try:
            library = _Library(module, self._begin)
            self._replace(module.Client, "send", library.sync)
            self._replace(module.AsyncClient, "send", library.asynchronous)
        except Exception:
            _log.warning("llmtrace: %s could not be instrumented", module.__name__, exc_info=True)

    def wrap_sdk(self, module: ModuleType) -> None:
        """A post-import hook: wraps the request loop of an SDK."""
        try:
            self._replace(module.SyncAPIClient, "request", retries.one_call)
            self._replace(module.AsyncAPIClient, "request", retries.one_call_async)
        except Exception:
            _log.debug("llmtrace: the retries of %s are not joined", module.__name__, exc_info=True)

    def restore(self) -> None:
        self._retired = True  # hooks of libraries that are imported later find nothing to do
        for owner, name, original, wrapper in reversed(self._replaced):
            if owner.__dict__.get(name) is wrapper:
                setattr(owner, name, original)
        self._replaced.clear()

    def _replace(self, owner: type, name: str, wrap: Callable[[Any], Any]) -> None:
        if self._retired or any((owner, name) == replaced[:2] for replaced in self._replaced):
            return  # one library may be the other's alias
        original = owner.__dict__[name]
        wrapper = wrap(original)
        setattr(owner, name, wrapper)
        self._replaced.append((owner, name, original, wrapper))

    def _begin(self, request: Any) -> Observation | None:
        """Starts observing a request, or gives `None` when it is no LLM call. Never raises."""
        if self._retired:
            return None
        try:
            url = request.url
            method, host, path = request.method, url.host, url.path
            if not self._providers.may_match(method, host, path) or not is_instrumentation_enabled():
                return None
            port = url.port or (443 if url.scheme == "https" else 80)
            exchange = Exchange.begin(
                method,
                host,
                port,
                path,
                _visible_body(request),
                query="" if method == "POST" else url.query.decode("ascii", "replace"),
                headers=request.headers,
                providers=self._providers,
                capture=content.mode() is not content.Mode.NO_CONTENT,
            )
            if exchange is None:
                return None
            exchange.call.layer = "httpx"
            return Observation.start(self._recorder, exchange)
        except Exception:
            _log.debug("llmtrace: a request could not be observed", exc_info=True)
            return None


class _Library:
    """The wrappers for one of the two libraries, whose stream classes a response's stream must derive from."""

    def __init__(self, module: ModuleType, begin: Callable[[Any], Observation | None]) -> None:
        self._begin = begin
        self._sync_stream = type("ObservedStream", (_SyncStream, module.SyncByteStream), {})
        self._async_stream = type("ObservedStream", (_AsyncStream, module.AsyncByteStream), {})

    def sync(self, original: Any) -> Any:
        begin, stream_type = self._begin, self._sync_stream

        @functools.wraps(original)
        def send(client: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            observation = begin(request)
            if observation is None:
                return original(client, request, *args, **kwargs)
            token = context.attach(trace.set_span_in_context(observation.span))
            try:
                response = original(client, request, *args, **kwargs)
            except BaseException as error:
                observation.fail(error)
                raise
            finally:
                context.detach(token)
            _observe(response, observation, stream_type)
            return response

        return send

    def asynchronous(self, original: Any) -> Any:
        begin, stream_type = self._begin, self._async_stream

        @functools.wraps(original)
        async def send(client: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            observation = begin(request)
            if observation is None:
                return await original(client, request, *args, **kwargs)
            token = context.attach(trace.set_span_in_context(observation.span))
            try:
                response = await original(client, request, *args, **kwargs)
            except BaseException as error:
                observation.fail(error)
                raise
            finally:
                context.detach(token)
            _observe(response, observation, stream_type)
            return response

        return send


def _observe(response: Any, observation: Observation, stream_type: type) -> None:
    """Reads a response that is here, or watches the stream of one that is still to come. Never raises."""
    try:
        if response.is_closed:
            observation.head(response.status_code, response.headers, decoded=True)
            observation.body(response.content)
        else:
            observation.head(response.status_code, response.headers)
            response.stream = stream_type(response.stream, observation)
    except Exception as error:
        _log.debug("llmtrace: a response could not be observed", exc_info=True)
        observation.fail(error)


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

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_stream"], name)

    def __del__(self) -> None:
        self._observation.abandon()  # dropped without being closed


class _SyncStream(_Stream):
    def __iter__(self) -> Iterator[bytes]:
        observation = self._observation
        feed = observation.feed
        try:
            for chunk in self._stream:
                feed(chunk)
                yield chunk
        except BaseException as error:
            observation.fail(error)
            raise
        observation.end()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._observation.abandon()


class _AsyncStream(_Stream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        observation = self._observation
        feed = observation.feed
        try:
            async for chunk in self._stream:
                feed(chunk)
                yield chunk
        except BaseException as error:
            observation.fail(error)
            raise
        observation.end()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._observation.abandon()
