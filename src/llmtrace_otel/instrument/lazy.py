"""Wraps a library only when the program imports it, and loads what it takes only when it is needed.

`LazyInstrumentor` waits for the library and counts how often it was asked to instrument; `Wrappers` are what it then
puts in whose place. What reads requests takes tens of milliseconds to import. A library that is mostly used to speak
with models loads it at once; one that seldom is has `LateWrappers`, which wait for a request that looks like it.
"""

from __future__ import annotations

import logging
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

import wrapt
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

_log = logging.getLogger("llmtrace_otel")

Part = TypeVar("Part")


class Wrappers(ABC):
    """What was put in whose place, and back.

    `options` are those of the instrumentor: `tracer_provider`, `meter_provider`, `logger_provider`, `providers`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.retired = False
        """Whether wrappers that are still called are to do nothing."""
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    @abstractmethod
    def wrap(self, module: ModuleType) -> None:
        """Wraps what is to be wrapped in a module that the program has just imported."""

    def replace(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        """Puts a wrapper in the place of a class's method or a module's function, once."""
        if any(owner is replaced[0] and name == replaced[1] for replaced in self._replaced):
            return  # one library may be the other's alias
        original = owner.__dict__[name]
        wrapper = wrap(original)
        setattr(owner, name, wrapper)
        self._replaced.append((owner, name, original, wrapper))

    def restore(self) -> None:
        """Puts back the very objects that were there; a wrapper that somebody has wrapped stays, and does nothing."""
        self.retired = True
        for owner, name, original, wrapper in reversed(self._replaced):
            if owner.__dict__.get(name) is wrapper:
                setattr(owner, name, original)
        self._replaced.clear()


class LateWrappers(Wrappers, Generic[Part]):
    """Wrappers that leave the work to a part of theirs, loaded with the first request that may be an LLM call."""

    loaded: Part | None = None

    @abstractmethod
    def load(self) -> Part:
        """Imports the part and makes it. May raise."""

    def part(self) -> Part | None:
        """The part, or `None` when it cannot be loaded, which is said once. Never raises."""
        if self.loaded is None and not self.retired:
            try:
                vars(self).setdefault("loaded", self.load())  # another thread may have been faster
            except Exception:
                self.retired = True
                _log.warning("llmtrace: LLM calls cannot be read; the program runs on untraced", exc_info=True)
        return self.loaded


class LazyInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Traces the LLM calls of libraries that the program imports; nothing is imported for their sake.

    `instrument` takes `tracer_provider`, `meter_provider`, `logger_provider` and `providers` (a
    `llmtrace_otel.wire.providers.Providers` table of one's own), all optional.

    Instrumenting is counted: a library that instruments and uninstruments for itself takes nothing away from a program
    that had done so before. The first one's arguments hold until the last one has uninstrumented.
    """

    modules: ClassVar[tuple[str, ...]]
    """The modules of which something is wrapped, each when it is imported."""

    _hook: _Hook | None = None
    _times = 0

    @abstractmethod
    def make_wrappers(self, options: Mapping[str, Any]) -> Wrappers:
        """The wrappers, whose module is not to be imported before this is called."""

    def instrument(self, **kwargs: Any) -> None:
        self._times += 1
        if self._times == 1:
            super().instrument(**kwargs)

    def uninstrument(self, **kwargs: Any) -> None:
        self._times = max(self._times - 1, 0)
        if self._times == 0 and self.is_instrumented_by_opentelemetry:
            super().uninstrument(**kwargs)

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        try:
            _ask_environment_anew()
            self._hook = hook = _Hook(self, kwargs)
            for module in self.modules:
                wrapt.register_post_import_hook(hook, module)
        except Exception:
            names = ", ".join(self.modules)
            _log.exception("llmtrace: %s could not be instrumented; the program runs on untraced", names)

    def _uninstrument(self, **kwargs: Any) -> None:
        if self._hook is not None:
            self._hook.retire()
            self._hook = None


def _ask_environment_anew() -> None:
    """Has what was read of it forgotten. What has not been imported yet has read nothing."""
    for name in ("content", "cost"):
        if (module := sys.modules.get(f"llmtrace_otel.telemetry.{name}")) is not None:
            module.refresh()


class _Hook:
    """What is done when the program imports a module of which something is to be wrapped."""

    def __init__(self, instrumentor: LazyInstrumentor, options: Mapping[str, Any]) -> None:
        self._instrumentor = instrumentor
        self._options = options
        self._wrappers: Wrappers | None = None
        self._retired = False
        self._lock = threading.Lock()  # two modules may be imported at once

    def __call__(self, module: ModuleType) -> None:
        if self._retired:
            return
        try:
            with self._lock:
                if self._wrappers is None:
                    self._wrappers = self._instrumentor.make_wrappers(self._options)
                self._wrappers.wrap(module)
        except Exception:
            _log.warning("llmtrace: %s could not be instrumented; it runs on untraced", module.__name__, exc_info=True)

    def retire(self) -> None:
        """Restores what was wrapped; modules that are imported later stay as they are."""
        self._retired = True
        if self._wrappers is not None:
            self._wrappers.restore()
