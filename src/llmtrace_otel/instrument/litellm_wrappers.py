"""The wrappers around LiteLLM, loaded when the program loads it; see `litellm.py`."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from llmtrace_otel.instrument import peers, retries
from llmtrace_otel.instrument.lazy import Wrappers
from llmtrace_otel.instrument.litellm_calls import CHAT, EMBEDDING, IMAGE, MESSAGES, RESPONSES, TEXT, Operation
from llmtrace_otel.instrument.litellm_observation import Observation, running
from llmtrace_otel.instrument.litellm_streams import StreamWrappers
from llmtrace_otel.instrument.wrapping import Recording
from llmtrace_otel.telemetry.current import get_current
from llmtrace_otel.telemetry.owner import is_suppressed

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
        self._recorder = Recording(self).recorder
        self._streams = StreamWrappers(self)

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
                self._replace(sys.modules.get(home), name, retries.attempts)
        dispatch = getattr(sys.modules.get("litellm.rust_bridge.dispatch"), "PublicDispatch", None)
        for name in ("run", "arun"):
            self._replace(dispatch, name, functools.partial(_observed, self._begin_at_gate))
        record = getattr(sys.modules.get("litellm.litellm_core_utils.litellm_logging"), "Logging", None)
        self._replace(record, "__init__", _kept)
        for home, name in (("litellm.router", "Router"), ("litellm.router_python_core", "PythonCore")):
            router = getattr(sys.modules.get(home), name, None)
            self._replace(router, "async_function_with_fallbacks", retries.attempts)

    def _wrap_function(self, home: ModuleType | None, name: str, operation: Operation) -> None:
        function = vars(home).get(name) if home is not None else None
        if home is None or not inspect.isfunction(function):
            return
        if not any(function is wrapper for *_, wrapper in self._replaced):
            self.replace(home, name, functools.partial(_observed, functools.partial(self.begin, operation)))
            vars(home)[name].__module__ = home.__name__  # where pickle finds the very object

    def _replace(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        """Wraps what this release of LiteLLM has; another may have it elsewhere."""
        if owner is not None and name in vars(owner):
            self.replace(owner, name, wrap)

    def begin(self, operation: Operation | None, /, *args: Any, **kwargs: Any) -> Observation | None:
        """Starts observing a call, unless it is a part of one that is, or none of a model. Never raises."""
        outer = running()
        if operation is None or self.retired or (outer is not None and outer.includes(kwargs)):
            return None
        if is_suppressed(get_current()):
            return None
        try:
            given = _by_name(operation, args, kwargs)
            return Observation(self._recorder, self._streams.watch, operation, given, outer)
        except Exception:
            _log.debug("llmtrace: a call of LiteLLM could not be observed", exc_info=True)
            return None

    def _begin_at_gate(
        self, gate: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *_: Any, **__: Any
    ) -> Observation | None:
        """The same for `PublicDispatch`, whose methods are given the arguments of the function behind it."""
        return self.begin(_ROUTES.get(gate.route), *args, **kwargs)


def _by_name(operation: Operation, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict(zip(operation.positional, args, strict=False)), **kwargs}


def _observed(begin: Callable[..., Observation | None], original: Any) -> Any:
    """Wraps a function, of either kind, around the calls of which `begin` starts an observation, if one is wanted."""

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        observation = begin(*args, **kwargs)
        if observation is None:
            return original(*args, **kwargs)
        with observation:
            answer = original(*args, **kwargs)
        return observation.returned(answer)

    @functools.wraps(original)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        observation = begin(*args, **kwargs)
        if observation is None:
            return await original(*args, **kwargs)
        with observation:
            answer = await original(*args, **kwargs)
        return observation.returned(answer)

    return call_async if inspect.iscoroutinefunction(original) else call


def _kept(init: Any) -> Any:
    """Wraps the start of LiteLLM's record of a call, which holds what it costs: the running call keeps its first."""

    @functools.wraps(init)
    def start(record: Any, *args: Any, **kwargs: Any) -> None:
        init(record, *args, **kwargs)
        if (outer := running()) is not None:
            outer.keep(record)

    return start
