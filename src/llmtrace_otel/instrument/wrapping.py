"""What the wrappers of all HTTP libraries share: how a request is begun and watched.

A library's own module says how its requests are read (`Requests.exchange`) and how the body of an answer that is still
to come is watched; `observed` puts both around its function that sends.
"""

from __future__ import annotations

import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from opentelemetry.context import Context

from llmtrace_otel import replay
from llmtrace_otel.instrument.lazy import Wrappers
from llmtrace_otel.instrument.observation import Observation
from llmtrace_otel.telemetry.current import attach, detach, get_current
from llmtrace_otel.telemetry.owner import frame_of, is_suppressed, owner_of, sending_context
from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.wire.exchange import Exchange
from llmtrace_otel.wire.providers import DEFAULT, Providers

if TYPE_CHECKING:
    from llmtrace_otel.replay.asked import Asked

_log = logging.getLogger("llmtrace_otel")


class Recording:
    """What calls are recorded with: the providers of telemetry, and the table of those who are spoken to."""

    def __init__(self, wrappers: Wrappers) -> None:
        options = wrappers.options
        self.wrappers = wrappers
        self.recorder = Recorder(
            *(options.get(name) for name in ("tracer_provider", "meter_provider", "logger_provider"))
        )
        self.providers: Providers = options.get("providers") or DEFAULT


class Requests(Recording, ABC):
    """Reads the requests of one library."""

    layer: ClassVar[str]
    """What `llmtrace.layer` says of the calls that are seen here."""

    def __init__(self, wrappers: Wrappers) -> None:
        super().__init__(wrappers)
        self.tape = replay.recorder()

    @abstractmethod
    def exchange(self, request: Any) -> Exchange | None:
        """Starts reading a request of the library's, or gives `None` when it is no LLM call. May raise."""

    @abstractmethod
    def asked(self, request: Any) -> Asked:
        """The request as a recording is to know it. May raise."""

    def begin(self, request: Any) -> Observation | None:
        """Starts observing a request, or gives `None` when it is no LLM call. Never raises."""
        if self.wrappers.retired:
            return None
        try:
            exchange = self.exchange(request)
            if exchange is None:
                return None
            exchange.call.layer = self.layer
            taking = None if self.tape is None else self.tape.begin(self.asked(request))
            observation = Observation.start(self.recorder, exchange, get_current())
            if taking is not None:
                observation.record(taking)
            return observation
        except Exception:
            _log.debug("llmtrace: a request could not be observed", exc_info=True)
            return None

    def may_be_call(self, method: str, host: str, path: str) -> bool:
        """Whether a request is worth a closer look: the cheap question that most requests fail."""
        if not self.providers.may_match(method, host, path) or sending() is not None:
            return False
        here = get_current()
        return not here or _is_wanted(here)


def observed(
    original: Any, begin: Callable[[Any], Observation | None], observe: Callable[[Any, Observation], None]
) -> Any:
    """Wraps a method that takes a request and gives its response, which `observe` then watches."""

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
        observe(response, observation)
        return response

    return send


def observed_async(
    original: Any, begin: Callable[[Any], Observation | None], observe: Callable[[Any, Observation], None]
) -> Any:
    """Wraps an asynchronous method that takes a request and gives its response."""

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
        observe(response, observation)
        return response

    return send


_sending: ContextVar[Observation | None] = ContextVar("llmtrace_sending", default=None)
"""The call that is being sent here: what its transport sends for it is no call of its own."""


def _is_wanted(here: Context) -> bool:
    """Whether calls are recorded here. Who suppresses what is below may still own a span that lacks what we know."""
    return not is_suppressed(here) or frame_of(here) is not None or owner_of(here) is not None


def sending() -> Observation | None:
    """The call that is being sent here, if it is observed."""
    observation = _sending.get()  # a task that was started meanwhile has it for good
    return observation if observation is not None and observation.sending else None


_NOWHERE = Context()
_Tokens: TypeAlias = tuple[Observation, Token[Context], Token[Observation | None]]


def _enter(observation: Observation) -> _Tokens:
    observation.sending = True
    return observation, attach(sending_context(observation.here, observation.span)), _sending.set(observation)


def _leave(tokens: _Tokens) -> None:
    observation, attached, sending = tokens
    observation.sending = False
    observation.here = _NOWHERE  # what a program keeps there may be what keeps its streams alive
    try:
        _sending.reset(sending)
    except ValueError:  # a coroutine that is closed from without its task; what it set went with its context
        return
    detach(attached)
