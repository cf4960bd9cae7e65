"""The wrappers around httpx and httpx2, loaded when the program loads one of them; see `httpx.py`."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextvars import ContextVar, Token
from types import ModuleType
from typing import Any, TypeAlias

from opentelemetry import context, trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from llmtrace_otel.instrument import left_streams, retries
from llmtrace_otel.instrument.observation import Observation
from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.wire.exchange import Exchange
from llmtrace_otel.wire.providers import DEFAULT, Providers

_log = logging.getLogger("llmtrace_otel")


class Wrappers:
    """What was put in whose place, and back."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        content.refresh()
        self._recorder = Recorder(
            *(options.get(name) for name in ("tracer_provider", "meter_provider", "logger_provider"))
        )
        self._providers: Providers = options.get("providers") or DEFAULT
        self._replaced: list[tuple[type, str, Any, Any]] = []
        self._retired = False

    def wrap_library(self, module: ModuleType) -> None:
        """Wraps the clients of `httpx` or `httpx2`."""
        library = _Library(module, self._begin)
        self._replace(module.Client, "send", library.sync)
        self._replace(module.AsyncClient, "send", library.asynchronous)

    def wrap_sdk(self, module: ModuleType) -> None:
        """Wraps the request loop of an SDK."""
        self._replace(module.SyncAPIClient, "request", retries.one_call)
        self._replace(module.AsyncAPIClient, "request", retries.one_call_async)

    def restore(self) -> None:
        """Puts back the very objects that were there; a wrapper that somebody has wrapped stays, and does nothing."""
        self._retired = True
        for owner, name, original, wrapper in reversed(self._replaced):
            if owner.__dict__.get(name) is wrapper:
                setattr(owner, name, original)
        self._replaced.clear()

    def _replace(self, owner: type, name: str, wrap: Callable[[Any], Any]) -> None:
        if any((owner, name) == replaced[:2] for replaced in self._replaced):
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
            if not self._providers.may_match(method, host, path) or _is_sending() or not is_instrumentation_enabled():
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
            tokens = _enter(observation)
            try:
                response = original(client, request, *args, **kwargs)
            except BaseException as error:
                observation.fail(error)
                raise
            finally:
                _leave(tokens)
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
            tokens = _enter(observation)
            try:
                response = await original(client, request, *args, **kwargs)
            except BaseException as error:
                observation.fail(error)
                raise
            finally:
                _leave(tokens)
            _observe(response, observation, stream_type)
            return response

        return send


_sending: ContextVar[Observation | None] = ContextVar("llmtrace_sending", default=None)
"""The call that is being sent here: what its transport sends for it is no call of its own."""

_Tokens: TypeAlias = tuple[Observation, Token[context.Context], Token[Observation | None]]


def _is_sending() -> bool:
    sending = _sending.get()
    return sending is not None and sending.sending  # a task that was started meanwhile has it for good


def _enter(observation: Observation) -> _Tokens:
    observation.sending = True
    return observation, context.attach(trace.set_span_in_context(observation.span)), _sending.set(observation)


def _leave(tokens: _Tokens) -> None:
    observation, attached, sending = tokens
    observation.sending = False
    context.detach(attached)
    _sending.reset(sending)


def _observe(response: Any, observation: Observation, stream_type: type) -> None:
    """Reads a response that is here, or watches the stream of one that is still to come. Never raises."""
    try:
        if not response.is_closed:
            observation.head(response.status_code, response.headers)
            response.stream = stream_type(response.stream, observation)
            left_streams.watch()
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

    def __getattr__(self, name: str) -> Any:
        if name in ("_stream", "_observation"):  # a copy that is only being made has none yet
            raise AttributeError(name)
        return getattr(self._stream, name)

    def __del__(self) -> None:
        observation: Observation | None = self.__dict__.get("_observation")
        if observation is not None:
            left_streams.end(observation)


class _SyncStream(_Stream):
    def __iter__(self) -> Iterator[bytes]:
        observation = self._observation
        try:
            for chunk in self._stream:
                try:
                    observation.feed(chunk)
                except Exception as error:
                    observation.stop_reading(error)
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
        try:
            async for chunk in self._stream:
                try:
                    observation.feed(chunk)
                except Exception as error:
                    observation.stop_reading(error)
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
