"""What the wrappers of all HTTP libraries share: how a request is begun and watched, what was put in whose place.

A library's own module says how its requests are read (`RequestWrappers.exchange`) and how the body of an answer that is
still to come is watched; `observed` puts both around its function that sends.
"""

from __future__ import annotations

import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import ModuleType
from typing import Any, ClassVar, TypeAlias

from opentelemetry import context, trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from llmtrace_otel.instrument.observation import Observation
from llmtrace_otel.telemetry import content, cost
from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.wire.exchange import Exchange
from llmtrace_otel.wire.providers import DEFAULT, Providers

_log = logging.getLogger("llmtrace_otel")


class BaseWrappers(ABC):
    """What was put in whose place, and back.

    `options` are those of the instrumentor: `tracer_provider`, `meter_provider`, `logger_provider`, `providers`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        content.refresh()
        cost.refresh()
        self._recorder = Recorder(
            *(options.get(name) for name in ("tracer_provider", "meter_provider", "logger_provider"))
        )
        self._providers: Providers = options.get("providers") or DEFAULT
        self._replaced: list[tuple[type, str, Any, Any]] = []
        self._retired = False

    @abstractmethod
    def wrap(self, module: ModuleType) -> None:
        """Wraps what is to be wrapped in a module that the program has just imported."""

    def replace(self, owner: type, name: str, wrap: Callable[[Any], Any]) -> None:
        """Puts a wrapper in the place of a method, once."""
        if any((owner, name) == replaced[:2] for replaced in self._replaced):
            return  # one library may be the other's alias
        original = owner.__dict__[name]
        wrapper = wrap(original)
        setattr(owner, name, wrapper)
        self._replaced.append((owner, name, original, wrapper))

    def restore(self) -> None:
        """Puts back the very objects that were there; a wrapper that somebody has wrapped stays, and does nothing."""
        self._retired = True
        for owner, name, original, wrapper in reversed(self._replaced):
            if owner.__dict__.get(name) is wrapper:
                setattr(owner, name, original)
        self._replaced.clear()


class RequestWrappers(BaseWrappers):
    """Those of a library that sends requests."""

    layer: ClassVar[str]
    """What `llmtrace.layer` says of the calls that are seen here."""

    @abstractmethod
    def exchange(self, request: Any) -> Exchange | None:
        """Starts reading a request of the library's, or gives `None` when it is no LLM call. May raise."""

    def begin(self, request: Any) -> Observation | None:
        """Starts observing a request, or gives `None` when it is no LLM call. Never raises."""
        if self._retired:
            return None
        try:
            exchange = self.exchange(request)
            if exchange is None:
                return None
            exchange.call.layer = self.layer
            return Observation.start(self._recorder, exchange)
        except Exception:
            _log.debug("llmtrace: a request could not be observed", exc_info=True)
            return None

    def may_be_call(self, method: str, host: str, path: str) -> bool:
        """Whether a request is worth a closer look: the cheap question that most requests fail."""
        return self._providers.may_match(method, host, path) and not _is_sending() and is_instrumentation_enabled()


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
