"""The wrappers around LiteLLM, loaded when the program loads it; see `litellm.py`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import sys
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from time import time_ns
from types import AsyncGeneratorType, GeneratorType, ModuleType, TracebackType
from typing import Any

from opentelemetry import context
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from llmtrace_otel.instrument import left_streams, peers
from llmtrace_otel.instrument.lazy import Wrappers
from llmtrace_otel.instrument.litellm_calls import (
    CHAT,
    EMBEDDING,
    IMAGE,
    MESSAGES,
    RESPONSES,
    TEXT,
    Operation,
    Outcome,
    begin,
    finish,
)
from llmtrace_otel.instrument.retries import LogicalCall
from llmtrace_otel.instrument.wrapping import Recording
from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry.owner import framed
from llmtrace_otel.telemetry.spans import CallSpan
from llmtrace_otel.telemetry.within import Frame
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.exchange import type_name

_log = logging.getLogger("llmtrace_otel")

FUNCTIONS: dict[str, Operation] = {
    "completion": CHAT,
    "acompletion": CHAT,
    "text_completion": TEXT,
    "atext_completion": TEXT,
    "responses": RESPONSES,
    "aresponses": RESPONSES,
    "embedding": EMBEDDING,
    "aembedding": EMBEDDING,
    "anthropic_messages": MESSAGES,
    "anthropic_messages_handler": MESSAGES,
    "image_generation": IMAGE,
    "aimage_generation": IMAGE,
}
"""LiteLLM's public functions that are one call of a model each."""
_LOOPS = ("completion_with_retries", "acompletion_with_retries", "responses_with_retries", "aresponses_with_retries")
"""Those that try one of the above several times."""
_ANTHROPIC = {"create": MESSAGES, "acreate": MESSAGES}
_HOMES = {
    "litellm": FUNCTIONS,
    "litellm.main": FUNCTIONS,
    "litellm.images.main": FUNCTIONS,
    "litellm.anthropic_interface.messages": _ANTHROPIC,
}
_ROUTES = {"chat_completions": CHAT, "responses": RESPONSES, "embeddings": EMBEDDING, "messages": MESSAGES}
"""The gate's routes that are such calls."""


class LiteLLMWrappers(Wrappers):
    """Wraps LiteLLM's public functions, the gate behind them, its router's attempts, its record of a call."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.recording = Recording(self)
        self.streams = _StreamWrappers(self)

    def wrap(self, module: ModuleType) -> None:
        """Wraps what LiteLLM has loaded by the time that it is imported."""
        if module.__name__ in peers.MODULES:
            peers.wrap(module, self)
            return
        for home, functions in _HOMES.items():
            for name, operation in functions.items():
                self._wrap_function(sys.modules.get(home), name, operation)
        for home in ("litellm", "litellm.main"):
            for name in _LOOPS:
                self._replace(sys.modules.get(home), name, _attempts)
        dispatch = getattr(sys.modules.get("litellm.rust_bridge.dispatch"), "PublicDispatch", None)
        self._replace(dispatch, "run", lambda run: _gate(self, run))
        self._replace(dispatch, "arun", lambda run: _gate_async(self, run))
        record = getattr(sys.modules.get("litellm.litellm_core_utils.litellm_logging"), "Logging", None)
        self._replace(record, "__init__", _kept)
        for home, name in (("litellm.router", "Router"), ("litellm.router_python_core", "PythonCore")):
            router = getattr(sys.modules.get(home), name, None)
            self._replace(router, "async_function_with_fallbacks", _attempts)

    def _wrap_function(self, home: ModuleType | None, name: str, operation: Operation) -> None:
        function = vars(home).get(name) if home is not None else None
        if home is None or not inspect.isfunction(function):
            return
        if not any(function is wrapper for *_, wrapper in self._replaced):
            observe = _observed_async if inspect.iscoroutinefunction(function) else _observed
            self.replace(home, name, lambda original: observe(self, operation, original))
            vars(home)[name].__module__ = home.__name__  # where pickle finds the very object

    def _replace(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        """Wraps what this release of LiteLLM has; another may have it elsewhere."""
        if owner is not None and name in vars(owner):
            self.replace(owner, name, wrap)

    def begin(self, operation: Operation, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Observation | None:
        """Starts observing a call, unless it is a part of one that is. Never raises."""
        running = _running.get()
        if self.retired or (running is not None and running.includes(kwargs)) or not is_instrumentation_enabled():
            return None
        try:
            return _Observation(self, operation, _by_name(operation, args, kwargs))
        except Exception:
            _log.debug("llmtrace: a call of LiteLLM could not be observed", exc_info=True)
            return None


# One call


_running: ContextVar[_Observation | None] = ContextVar("llmtrace_litellm", default=None)
"""The call that runs here: what LiteLLM calls for it is a part of it."""
_loop: ContextVar[LogicalCall | None] = ContextVar("llmtrace_litellm_loop", default=None)
"""The attempts that run here: a router's, or those of a function that tries again."""


def _by_name(operation: Operation, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict(zip(operation.positional, args, strict=False)), **kwargs}


def _nothing() -> None:
    return None


class _Observation:
    """A call that runs, `with` which it is current, and what comes of it. Nothing here raises."""

    def __init__(self, wrappers: LiteLLMWrappers, operation: Operation, given: Mapping[str, Any]) -> None:
        self._wrappers = wrappers
        self._operation = operation
        self._given = {name: value for name, value in given.items() if name != "litellm_logging_obj"}
        call = begin(operation, given, capture=content.mode() is not content.Mode.NO_CONTENT)
        self._attempts = _loop.get()
        earlier = self._attempts.take(call) if self._attempts is not None else None
        if isinstance(earlier, CallSpan):
            call.start_ns = earlier.call.start_ns
            attempts, earlier.call = earlier.call.attempts, call
        else:
            attempts = 0
        self._span = earlier if isinstance(earlier, CallSpan) else wrappers.recording.recorder.start_call(call)
        self._attempts_before = attempts
        self.frame = Frame(self._span)
        self._record: Callable[[], Any] = _nothing
        if (record := given.get("litellm_logging_obj")) is not None:
            self.keep(record)
        self._last: Any = None
        self.done = False
        self.awaits_first = True
        """Whether no piece of its stream has come yet."""
        self.is_read = False
        """Whether the next piece of its stream is just being read."""
        self.dropped: weakref.ref[Any] | None = None
        """Tells when nobody has the stream any more."""

    def __enter__(self) -> _Observation:
        peers.pass_by_openai_v2()
        self.frame.sending = True
        self._context = context.attach(framed(context.get_current(), self.frame))
        self._token = _running.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.frame.sending = False
        try:
            _running.reset(self._token)
        except ValueError:  # a coroutine that is closed from without its task
            pass
        else:
            context.detach(self._context)
        if error is not None and not isinstance(error, StopIteration | StopAsyncIteration):
            self.fail(error)

    def keep(self, record: Any) -> None:
        """LiteLLM has started its record of the call: the first one counts."""
        if self._record is _nothing:
            self._record = lambda: record

    def includes(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a call that starts here is a part of this one, and not one that the program makes from a hook.

        LiteLLM hands the id of the call on, once it has one. A task that is started meanwhile keeps our context.
        """
        return self.frame.sending and (self._record is _nothing or "litellm_call_id" in arguments)

    def let_go(self) -> None:
        """A stream is given back, which LiteLLM's record of the call holds: nothing here may hold either."""
        if (record := self._record()) is not None:
            self._record = weakref.ref(record)

    def returned(self, answer: Any) -> Any:
        """LiteLLM has answered: gives back the very answer, or the stream of it, which is then watched."""
        try:
            if inspect.isawaitable(answer):
                return self._awaited(answer)
            if hasattr(answer, "__next__") or hasattr(answer, "__anext__"):
                return self._wrappers.streams.watch(answer, self)
            self._end(Outcome(answer, record=self._record()), complete=True)
        except Exception:
            _log.debug("llmtrace: an answer of LiteLLM could not be read", exc_info=True)
            self._span.end()
        return answer

    async def _awaited(self, answer: Awaitable[Any]) -> Any:
        with self:
            result = await answer
        return self.returned(result)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A piece of a stream is asked for. LiteLLM may send the request only now, or close the stream."""
        self.is_read = True
        try:
            if self.awaits_first:
                with self:
                    yield
            else:
                yield
        finally:
            self.is_read = False

    def chunk(self, chunk: Any) -> None:
        """A piece of a stream has come."""
        self._last = chunk
        if self.awaits_first:
            self.awaits_first = False
            call = self._span.call
            call.first_chunk_ns = call.first_chunk_ns or time_ns()

    def end(self, stream: Any) -> None:
        """A stream has come to its end."""
        self._end(Outcome(stream=stream, last=self._last, record=self._record()), complete=True)

    def leave(self, stream: Any) -> None:
        """The reader has stopped before a stream's end; `None` for a stream that is no more."""
        self._end(Outcome(stream=stream, last=self._last, abandoned=True, record=self._record()))

    def abandon(self) -> None:
        """The stream was dropped without a word."""
        self.leave(None)

    def fail(self, error: BaseException) -> None:
        """The call broke; what only ends a task or a program is the caller's choice, and no error of the call."""
        if not isinstance(error, Exception) or isinstance(error, asyncio.CancelledError):
            self._end(Outcome(abandoned=True, record=self._record()))
            return
        call = self._span.call
        if not self.done:
            call.error_type, call.error_message = type_name(error), str(error) or None
        self._end(Outcome(error=error, record=self._record()))

    def _end(self, outcome: Outcome, *, complete: bool = False) -> None:
        if self.done:
            return
        self.done = True
        left_streams.forget(self)
        call = self._span.call
        try:
            call.complete = complete
            finish(self._operation, call, self._given, outcome, self.frame)
            call.attempts += self._attempts_before
        except Exception:
            _log.debug("llmtrace: a call of LiteLLM could not be read", exc_info=True)
        if call.error_type is not None and self._attempts is not None and self._attempts.hold(self._span):
            return  # it may be tried again
        self._span.end()


def _observed(wrappers: LiteLLMWrappers, operation: Operation, original: Any) -> Any:
    """Wraps one of LiteLLM's functions."""

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        observation = wrappers.begin(operation, args, kwargs)
        if observation is None:
            return original(*args, **kwargs)
        with observation:
            answer = original(*args, **kwargs)
        return observation.returned(answer)

    return call


def _observed_async(wrappers: LiteLLMWrappers, operation: Operation, original: Any) -> Any:
    """Wraps one of LiteLLM's asynchronous functions."""

    @functools.wraps(original)
    async def call(*args: Any, **kwargs: Any) -> Any:
        observation = wrappers.begin(operation, args, kwargs)
        if observation is None:
            return await original(*args, **kwargs)
        with observation:
            answer = await original(*args, **kwargs)
        return observation.returned(answer)

    return call


def _gate(wrappers: LiteLLMWrappers, run: Any) -> Any:
    """Wraps `PublicDispatch.run`, which functions that were imported before pass too."""

    @functools.wraps(run)
    def run_observed(gate: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *more: Any, **options: Any) -> Any:
        operation = _ROUTES.get(getattr(gate.route, "value", ""))
        observation = wrappers.begin(operation, args, kwargs) if operation is not None else None
        if observation is None:
            return run(gate, args, kwargs, *more, **options)
        with observation:
            answer = run(gate, args, kwargs, *more, **options)
        return observation.returned(answer)

    return run_observed


def _gate_async(wrappers: LiteLLMWrappers, run: Any) -> Any:
    """Wraps `PublicDispatch.arun`."""

    @functools.wraps(run)
    async def run_observed(
        gate: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *more: Any, **options: Any
    ) -> Any:
        operation = _ROUTES.get(getattr(gate.route, "value", ""))
        observation = wrappers.begin(operation, args, kwargs) if operation is not None else None
        if observation is None:
            return await run(gate, args, kwargs, *more, **options)
        with observation:
            answer = await run(gate, args, kwargs, *more, **options)
        return observation.returned(answer)

    return run_observed


def _kept(init: Any) -> Any:
    """Wraps the start of LiteLLM's record of a call, which holds what it costs: the running call keeps its first."""

    @functools.wraps(init)
    def start(record: Any, *args: Any, **kwargs: Any) -> None:
        init(record, *args, **kwargs)
        running = _running.get()
        if running is not None and running.frame.sending:
            running.keep(record)

    return start


def _is_same_model(one: Call, other: Call) -> bool:
    return (one.operation, one.request_model) == (other.operation, other.request_model)


def _attempts(run: Any) -> Any:
    """Wraps a loop of attempts. The router's, which may call itself for a fallback, is one with all that it calls."""

    @contextmanager
    def loop() -> Iterator[None]:
        logical = LogicalCall(_is_same_model)
        token = _loop.set(logical)
        try:
            yield
        finally:
            with suppress(ValueError):  # a coroutine that is closed from without its task
                _loop.reset(token)
            logical.close()

    @functools.wraps(run)
    def attempt(*args: Any, **kwargs: Any) -> Any:
        with nullcontext() if _loop.get() is not None else loop():
            return run(*args, **kwargs)

    @functools.wraps(run)
    async def attempt_async(*args: Any, **kwargs: Any) -> Any:
        with nullcontext() if _loop.get() is not None else loop():
            return await run(*args, **kwargs)

    return attempt_async if inspect.iscoroutinefunction(run) else attempt


# Streams


class _StreamWrappers:
    """Watches the streams that LiteLLM gives back: they stay the very objects, their classes' methods are wrapped."""

    def __init__(self, wrappers: LiteLLMWrappers) -> None:
        self._wrappers = wrappers
        self._wrapped: set[type] = set()

    def watch(self, stream: Any, observation: _Observation) -> Any:
        """Gives back the stream; of a generator, another one around it."""
        observation.let_go()
        left_streams.watch(observation)
        if isinstance(stream, AsyncGeneratorType | GeneratorType):
            around = _generated if isinstance(stream, GeneratorType) else _generated_async
            watched: Any = around(stream, observation)
            watched.__name__, watched.__qualname__ = stream.__name__, stream.__qualname__
            observation.dropped = weakref.ref(watched, lambda _: left_streams.end(observation))
            return watched
        vars(stream)["_llmtrace"] = observation
        if type(stream) not in self._wrapped:
            self._wrapped.add(type(stream))
            self._wrap(type(stream))
        observation.dropped = weakref.ref(stream, lambda _: left_streams.end(observation))
        return stream

    def _wrap(self, stream_type: type) -> None:
        for name, wrap in _METHODS.items():
            for kind in stream_type.__mro__:
                if name in vars(kind) and kind.__module__.partition(".")[0] not in sys.stdlib_module_names:
                    self._wrappers.replace(kind, name, wrap)


def _watched(stream: Any) -> _Observation | None:
    observation: _Observation | None = getattr(stream, "__dict__", {}).get("_llmtrace")
    return None if observation is None or observation.done else observation


def _next(original: Any) -> Any:
    @functools.wraps(original)
    def step(stream: Any) -> Any:
        observation = _watched(stream)
        if observation is None or observation.is_read:  # by a subclass's method, which has called this one
            return original(stream)
        try:
            if observation.awaits_first:
                with observation.reading():
                    chunk = original(stream)
            else:
                observation.is_read = True
                try:
                    chunk = original(stream)
                finally:
                    observation.is_read = False
        except StopIteration:
            observation.end(stream)
            raise
        except BaseException as error:
            observation.fail(error)
            raise
        observation.chunk(chunk)
        return chunk

    return step


def _next_async(original: Any) -> Any:
    @functools.wraps(original)
    async def step(stream: Any) -> Any:
        observation = _watched(stream)
        if observation is None or observation.is_read:  # by a subclass's method, which has called this one
            return await original(stream)
        try:
            if observation.awaits_first:
                with observation.reading():
                    chunk = await original(stream)
            else:
                observation.is_read = True
                try:
                    chunk = await original(stream)
                finally:
                    observation.is_read = False
        except StopAsyncIteration:
            observation.end(stream)
            raise
        except BaseException as error:
            observation.fail(error)
            raise
        observation.chunk(chunk)
        return chunk

    return step


def _close(original: Any) -> Any:
    @functools.wraps(original)
    def close(stream: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(stream, *args, **kwargs)
        finally:
            observation = _watched(stream)
            if observation is not None and not observation.is_read:
                observation.leave(stream)

    return close


def _close_async(original: Any) -> Any:
    @functools.wraps(original)
    async def close(stream: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(stream, *args, **kwargs)
        finally:
            observation = _watched(stream)
            if observation is not None and not observation.is_read:
                observation.leave(stream)

    return close


_METHODS = {"__next__": _next, "__anext__": _next_async, "close": _close, "aclose": _close_async}


def _generated(stream: Any, observation: _Observation) -> Generator[Any, Any, Any]:
    """A generator around one of LiteLLM's, which passes on all that is done to it."""
    resume = functools.partial(stream.send, None)
    try:
        while True:
            try:
                with observation.reading():
                    chunk = resume()
            except StopIteration as stop:
                observation.end(None)
                return stop.value
            observation.chunk(chunk)
            try:
                resume = functools.partial(stream.send, (yield chunk))
            except GeneratorExit:
                stream.close()
                raise
            except BaseException as error:
                resume = functools.partial(stream.throw, error)
    except GeneratorExit:
        left_streams.end(observation)
        raise
    except BaseException as error:
        observation.fail(error)
        raise


async def _generated_async(stream: Any, observation: _Observation) -> AsyncGenerator[Any, Any]:
    """The same around an asynchronous one."""
    resume = functools.partial(stream.asend, None)
    try:
        while True:
            try:
                with observation.reading():
                    chunk = await resume()
            except StopAsyncIteration:
                observation.end(None)
                return
            observation.chunk(chunk)
            try:
                resume = functools.partial(stream.asend, (yield chunk))
            except GeneratorExit:
                await stream.aclose()
                raise
            except BaseException as error:
                resume = functools.partial(stream.athrow, error)
    except GeneratorExit:
        left_streams.end(observation)
        raise
    except BaseException as error:
        observation.fail(error)
        raise
