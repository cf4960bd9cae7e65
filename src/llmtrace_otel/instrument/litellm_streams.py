"""Streams that LiteLLM gives back, watched until they end, are closed, or are dropped.

They stay the very objects: their classes' methods are wrapped, and read nothing of a stream that is not watched. A
generator's cannot be: the program is given one around it, which passes on all that is done to it.
"""

from __future__ import annotations

import functools
import inspect
import sys
import weakref
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from llmtrace_otel.instrument import left_streams
from llmtrace_otel.instrument.lazy import Wrappers
from llmtrace_otel.instrument.litellm_observation import Observation


class StreamWrappers:
    """Watches streams. The wrappers of their classes' methods are among `wrappers`, which take them back in the end."""

    def __init__(self, wrappers: Wrappers) -> None:
        self._wrappers = wrappers
        self._wrapped: set[type] = set()

    def watch(self, stream: Any, observation: Observation) -> Any:
        """Gives back the stream; of a generator, another one around it. May raise, and then nothing is watched."""
        observation.let_go()
        if isinstance(stream, AsyncGeneratorType | GeneratorType):
            around = _generated if isinstance(stream, GeneratorType) else _generated_async
            watched: Any = around(stream, observation)
            watched.__name__, watched.__qualname__ = stream.__name__, stream.__qualname__
        else:
            vars(stream)["_llmtrace"] = observation  # or it raises, of a stream that takes no attribute
            self._wrap(type(stream))
            watched = stream
        observation.dropped = weakref.ref(watched, lambda _: left_streams.end(observation))
        left_streams.watch(observation)
        return watched

    def _wrap(self, stream_type: type) -> None:
        if stream_type in self._wrapped:
            return
        self._wrapped.add(stream_type)
        for name, wrap in _METHODS.items():
            for kind in stream_type.__mro__:
                if name in vars(kind) and kind.__module__.partition(".")[0] not in sys.stdlib_module_names:
                    self._wrappers.replace(kind, name, wrap)


def _watched(stream: Any) -> Observation | None:
    """What watches a stream, while it does. A stream may have no attributes at all."""
    try:
        observation: Observation = stream.__dict__["_llmtrace"]
    except Exception:
        return None
    return None if observation.done else observation


def _next(original: Any) -> Any:
    """Wraps what gives the next piece: called for each, so it calls nothing for most of them."""

    @functools.wraps(original)
    def step(stream: Any) -> Any:
        try:
            observation: Observation | None = stream.__dict__["_llmtrace"]
        except Exception:
            observation = None
        if observation is None or observation.done or observation.is_read:  # read by a subclass's, which calls this one
            return original(stream)
        observation.is_read = True
        try:
            if observation.awaits_first:  # LiteLLM may send the request only now
                with observation:
                    chunk = original(stream)
                observation.first_chunk()
            else:
                chunk = original(stream)
        except StopIteration:
            observation.end(stream)
            raise
        except BaseException as error:
            observation.fail(error)
            raise
        observation.is_read, observation.last = False, chunk
        return chunk

    return step


def _next_async(original: Any) -> Any:
    @functools.wraps(original)
    async def step(stream: Any) -> Any:
        try:
            observation: Observation | None = stream.__dict__["_llmtrace"]
        except Exception:
            observation = None
        if observation is None or observation.done or observation.is_read:
            return await original(stream)
        observation.is_read = True
        try:
            if observation.awaits_first:
                with observation:
                    chunk = await original(stream)
                observation.first_chunk()
            else:
                chunk = await original(stream)
        except StopAsyncIteration:
            observation.end(stream)
            raise
        except BaseException as error:
            observation.fail(error)
            raise
        observation.is_read, observation.last = False, chunk
        return chunk

    return step


def _close(original: Any) -> Any:
    """Wraps a method that closes a stream, of either kind."""

    @functools.wraps(original)
    def close(stream: Any, *args: Any, **kwargs: Any) -> Any:
        with _left(stream):
            return original(stream, *args, **kwargs)

    @functools.wraps(original)
    async def close_async(stream: Any, *args: Any, **kwargs: Any) -> Any:
        with _left(stream):
            return await original(stream, *args, **kwargs)

    return close_async if inspect.iscoroutinefunction(original) else close


@contextmanager
def _left(stream: Any) -> Iterator[None]:
    """Once a stream is closed by its reader, and not by itself at its end, it is left."""
    try:
        yield
    finally:
        observation = _watched(stream)
        if observation is not None and not observation.is_read:
            observation.leave(stream)


_METHODS = {"__next__": _next, "__anext__": _next_async, "close": _close, "aclose": _close}


def _generated(stream: Any, observation: Observation) -> Generator[Any, Any, Any]:
    """A generator around one of LiteLLM's, which passes on all that is done to it."""
    resume, given = stream.send, None
    try:
        while True:
            try:
                if observation.awaits_first:
                    with observation:
                        chunk = resume(given)
                    observation.first_chunk()
                else:
                    chunk = resume(given)
            except StopIteration as stop:
                observation.end(None)
                return stop.value
            observation.last = chunk
            try:
                resume, given = stream.send, (yield chunk)
            except GeneratorExit:
                stream.close()
                raise
            except BaseException as error:
                resume, given = stream.throw, error
    except GeneratorExit:
        left_streams.end(observation)
        raise
    except BaseException as error:
        observation.fail(error)
        raise


async def _generated_async(stream: Any, observation: Observation) -> AsyncGenerator[Any, Any]:
    """The same around an asynchronous one."""
    resume, given = stream.asend, None
    try:
        while True:
            try:
                if observation.awaits_first:
                    with observation:
                        chunk = await resume(given)
                    observation.first_chunk()
                else:
                    chunk = await resume(given)
            except StopAsyncIteration:
                observation.end(None)
                return
            observation.last = chunk
            try:
                resume, given = stream.asend, (yield chunk)
            except GeneratorExit:
                await stream.aclose()
                raise
            except BaseException as error:
                resume, given = stream.athrow, error
    except GeneratorExit:
        left_streams.end(observation)
        raise
    except BaseException as error:
        observation.fail(error)
        raise
