"""One call of LiteLLM while it runs, and what comes of it.

    with observation:                      # it is current: what LiteLLM sends, and calls, belongs to it
        answer = completion(...)
    return observation.returned(answer)    # the very answer, or a stream that is watched until its end

Nothing here raises. A call that the program makes from within, from a hook or in a provider of its own, is not a part
of it: it has an observation, and a span, of its own.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from functools import lru_cache
from time import time_ns
from types import CoroutineType, TracebackType
from typing import Any

from llmtrace_otel.instrument import left_streams, peers, retries
from llmtrace_otel.instrument.litellm_calls import Operation, Outcome, begin, finish, is_custom
from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry.current import attach, detach, get_current
from llmtrace_otel.telemetry.owner import framed
from llmtrace_otel.telemetry.spans import CallSpan, Recorder
from llmtrace_otel.telemetry.within import Frame
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.exchange import type_name

_log = logging.getLogger("llmtrace_otel")

Watch = Callable[[Any, "Observation"], Any]
"""Watches a stream for an observation, and gives back what the program is to have of it."""

_running: ContextVar[Observation | None] = ContextVar("llmtrace_litellm", default=None)


def running() -> Observation | None:
    """The call that runs here: what LiteLLM calls for it is a part of it. A task that it started may outlive it."""
    found = _running.get()
    return found if found is not None and found.frame.sending else None


def _nothing() -> None:
    return None


@lru_cache(maxsize=256)
def _is_stream(kind: type) -> bool:
    """Whether answers of this class are streams; to ask pydantic's own, which most are, for what they lack is slow."""
    return hasattr(kind, "__next__") or hasattr(kind, "__anext__")


class Observation:
    """A call that runs, `with` which it is current, and what comes of it. `given` are its arguments by name."""

    def __init__(
        self, recorder: Recorder, watch: Watch, operation: Operation, given: dict[str, Any], outer: Observation | None
    ) -> None:
        self._watch = watch
        self._operation = operation
        self._record: Callable[[], Any] = _nothing
        if (record := given.pop("litellm_logging_obj", None)) is not None:
            self.keep(record)
        self._given: Mapping[str, Any] = given
        call = begin(operation, given, capture=content.mode() is not content.Mode.NO_CONTENT)
        self._attempts = retries.routed()
        self._attempts_before = 0
        self._span = (self._attempts and self._taken_over(call, self._attempts)) or recorder.start_call(call)
        self.frame = Frame(self._span)
        self._inner: list[Observation] = []
        self._is_within = outer is not None
        self.answer_id: str | None = None
        """The id of its answer, if it is a call from within another."""
        if outer is not None:
            outer._inner.append(self)
        self.last: Any = None
        """The last piece of its stream that has come."""
        self.done = False
        self.awaits_first = True
        """Whether no piece of its stream has come yet."""
        self.is_read = False
        """Whether the next piece of its stream is just being read."""
        self.dropped: weakref.ref[Any] | None = None
        """Tells when nobody has the stream any more."""

    def _taken_over(self, call: Call, attempts: retries.LogicalCall) -> CallSpan | None:
        """The span of the failed attempt that the call repeats, if it does."""
        span = attempts.take(call)
        if not isinstance(span, CallSpan):
            return None
        earlier, span.call = span.call, call
        call.start_ns, call.capture, self._attempts_before = earlier.start_ns, earlier.capture, earlier.attempts
        return span

    def __enter__(self) -> None:
        peers.pass_by_openai_v2()
        self.frame.sending = True
        self._attached = attach(framed(get_current(), self.frame))
        self._token = _running.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.frame.sending = False
        token, attached = self._token, self._attached
        del self._token, self._attached  # which hold what was current before
        try:
            _running.reset(token)
        except ValueError:  # a coroutine that is closed from without its task
            pass
        else:
            detach(attached)
        if error is not None and not isinstance(error, StopIteration | StopAsyncIteration):
            self.fail(error)

    def keep(self, record: Any) -> None:
        """LiteLLM has started its record of the call: the first one counts."""
        if self._record is _nothing:
            self._record = lambda: record

    def includes(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a call that starts while this one runs is a part of it, and not one that the program makes.

        LiteLLM hands the id of the call on, once it has one.
        """
        return self._record is _nothing or "litellm_call_id" in arguments

    def let_go(self) -> None:
        """A stream is given back, which LiteLLM's record of the call holds: nothing here may hold either."""
        if (record := self._record()) is not None:
            self._record = weakref.ref(record)

    def returned(self, answer: Any) -> Any:
        """LiteLLM has answered: gives back the very answer, or the stream of it, which is then watched."""
        try:
            if isinstance(answer, CoroutineType):  # and no task or future, which may be cancelled or asked for more
                return self._awaited(answer)
            if _is_stream(type(answer)):  # type: ignore[arg-type]
                return self._watch(answer, self)
            self._end(Outcome(answer, record=self._record()), complete=True)
        except Exception:
            _log.debug("llmtrace: an answer of LiteLLM could not be read", exc_info=True)
            self._span.end()
        return answer

    async def _awaited(self, answer: Coroutine[Any, Any, Any]) -> Any:
        with self:
            result = await answer
        return self.returned(result)

    def first_chunk(self) -> None:
        """The first piece of a stream has come."""
        self.awaits_first = False
        call = self._span.call
        call.first_chunk_ns = call.first_chunk_ns or time_ns()

    def end(self, stream: Any) -> None:
        """A stream has come to its end."""
        self._end(Outcome(stream=stream, last=self.last, record=self._record()), complete=True)

    def leave(self, stream: Any) -> None:
        """The reader has stopped before a stream's end; `None` for a stream that is no more."""
        self._end(Outcome(stream=stream, last=self.last, abandoned=True, record=self._record()))

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
        if self.dropped is not None:  # it is a stream's
            left_streams.forget(self)
        call = self._span.call
        try:
            call.complete = complete
            if self._is_within:
                self.answer_id = outcome.id
            outcome.passed_on = bool(self._inner) and self._passes_on(outcome)
            finish(self._operation, call, self._given, outcome, self.frame)
            call.attempts += self._attempts_before
        except Exception:
            _log.debug("llmtrace: a call of LiteLLM could not be read", exc_info=True)
        self._forget()
        if call.error_type is not None and self._attempts is not None and self._attempts.hold(self._span):
            return  # it may be tried again
        self._span.end()

    def _passes_on(self, outcome: Outcome) -> bool:
        """Whether the answer is that of a call from within: what that has used is counted there.

        It is, where that alone is seen to send a request; where nobody looks, a provider of the program's own tells it.
        """
        if self.frame.has_requests or outcome.cache_hit:
            return False
        return is_custom(outcome.provider) or any(
            inner.frame.has_requests or inner.answer_id == outcome.id is not None for inner in self._inner
        )

    def _forget(self) -> None:
        """Lets go of all that the end was told by: the stream may be kept for long."""
        self._given, self.last, self._record = {}, None, _nothing
        self._inner.clear()
