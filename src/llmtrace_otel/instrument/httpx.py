"""LLM calls of `httpx` and `httpx2` clients, and of every SDK that sits on them.

`Client.send` and `AsyncClient.send` are wrapped in whichever of the two libraries the program imports, when it imports
it; nothing is imported for its sake, and our own wrappers come no earlier. Mocked transports, recorded playback and
transports of one's own are under `send`, so they are seen too. The caller's request, response and exceptions pass
through untouched; only the response's stream is replaced by one that shows its pieces to us as they go by.

An SDK's retries are one logical call: the SDK's own request loop is wrapped as well (`retries.py`), and the attempts
that are sent within it share one span.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from types import ModuleType
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from llmtrace_otel.instrument import retries

if TYPE_CHECKING:
    from llmtrace_otel.instrument.wrappers import Wrappers

_log = logging.getLogger("llmtrace_otel")

LIBRARIES = ("httpx", "httpx2")


class HTTPXInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Traces LLM calls made through httpx and httpx2.

    `instrument` takes `tracer_provider`, `meter_provider`, `logger_provider` and `providers` (a
    `llmtrace_otel.wire.providers.Providers` table of one's own), all optional.

    Instrumenting is counted: a library that instruments and uninstruments for itself takes nothing away from a program
    that had done so before. The first one's arguments hold until the last one has uninstrumented.
    """

    _hooks: _Hooks | None = None
    _times = 0

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
            self._hooks = hooks = _Hooks(kwargs)
            for library in LIBRARIES:
                wrapt.register_post_import_hook(hooks.library, library)
            for package in retries.SDKS:
                wrapt.register_post_import_hook(hooks.sdk, package)
        except Exception:
            _log.exception("llmtrace: httpx and httpx2 could not be instrumented; the program runs on untraced")

    def _uninstrument(self, **kwargs: Any) -> None:
        if self._hooks is not None:
            self._hooks.retire()
            self._hooks = None


class _Hooks:
    """What is done when the program imports a library that is to be wrapped."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._wrappers: Wrappers | None = None
        self._retired = False
        self._lock = threading.Lock()  # two libraries may be imported at once

    def library(self, module: ModuleType) -> None:
        """A post-import hook for `httpx` and `httpx2`."""
        self._wrap(module, lambda wrappers: wrappers.wrap_library(module))

    def sdk(self, module: ModuleType) -> None:
        """A post-import hook for the SDKs whose retries are to be joined."""
        self._wrap(module, lambda wrappers: wrappers.wrap_sdk(module))

    def retire(self) -> None:
        """Restores what was wrapped; libraries that are imported later stay as they are."""
        self._retired = True
        if self._wrappers is not None:
            self._wrappers.restore()

    def _wrap(self, module: ModuleType, wrap: Callable[[Wrappers], None]) -> None:
        if self._retired:
            return
        try:
            from llmtrace_otel.instrument.wrappers import Wrappers

            with self._lock:
                if self._wrappers is None:
                    self._wrappers = Wrappers(self._options)
                wrap(self._wrappers)
        except Exception:
            _log.warning("llmtrace: %s could not be instrumented; it runs on untraced", module.__name__, exc_info=True)
