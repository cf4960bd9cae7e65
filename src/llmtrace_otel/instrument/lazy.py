"""An instrumentor that wraps a library only when the program imports it, and counts how often it was asked to."""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import wrapt
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from llmtrace_otel.instrument.wrapping import BaseWrappers

_log = logging.getLogger("llmtrace_otel")


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
    def make_wrappers(self, options: Mapping[str, Any]) -> BaseWrappers:
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


class _Hook:
    """What is done when the program imports a module of which something is to be wrapped."""

    def __init__(self, instrumentor: LazyInstrumentor, options: Mapping[str, Any]) -> None:
        self._instrumentor = instrumentor
        self._options = options
        self._wrappers: BaseWrappers | None = None
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
