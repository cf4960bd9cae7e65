"""The current OpenTelemetry context, read where it is kept: the API's own way there is two functions longer.

It is asked for with every call, and with every piece of work that is given to a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context as Variables
from contextvars import ContextVar

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext


def _shortest() -> Callable[[], Context]:
    """The variable's own method, if the API reads that variable and does nothing else (`OTEL_PYTHON_CONTEXT`)."""
    runtime = getattr(context, "_RUNTIME_CONTEXT", None)
    kept = getattr(runtime, "_current_context", None)
    if type(runtime) is ContextVarsRuntimeContext and isinstance(kept, ContextVar) and Variables().run(_is_read, kept):
        return kept.get
    return context.get_current


def _is_read(kept: ContextVar[Context]) -> bool:
    """Whether it is this variable that the API reads, set or not."""
    agreed = kept.get(None) is context.get_current()
    context.attach(Context({"probe": True}))
    return agreed and kept.get() is context.get_current()


get_current: Callable[[], Context] = _shortest()
