"""The current OpenTelemetry context, read and set where it is kept: the API's own way there is two functions longer.

    here = get_current()
    token = attach(context)
    ...
    detach(token)            # where it was attached: elsewhere it may raise ValueError

It is asked for with every call, and with every piece of work that is given to a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context as Variables
from contextvars import ContextVar, Token
from typing import NamedTuple

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext


class _Ways(NamedTuple):
    get_current: Callable[[], Context]
    attach: Callable[[Context], Token[Context]]
    detach: Callable[[Token[Context]], None]


def _shortest() -> _Ways:
    """The variable's own methods, if the API reads and sets that variable and does nothing else."""
    runtime = getattr(context, "_RUNTIME_CONTEXT", None)  # a program's own, by `OTEL_PYTHON_CONTEXT`
    kept = getattr(runtime, "_current_context", None)
    if type(runtime) is ContextVarsRuntimeContext and isinstance(kept, ContextVar) and Variables().run(_is_it, kept):
        return _Ways(kept.get, kept.set, kept.reset)
    return _Ways(context.get_current, context.attach, context.detach)


def _is_it(kept: ContextVar[Context]) -> bool:
    """Whether it is this variable that the API reads and sets."""
    try:
        agreed = [kept.get() is context.get_current()]
    except LookupError:
        return False
    token = context.attach(Context({"probe": 1}))
    agreed.append(kept.get() is context.get_current())
    kept.set(Context({"probe": 2}))
    agreed.append(kept.get() is context.get_current())
    context.detach(token)
    agreed.append(kept.get() is context.get_current() and not kept.get())
    return all(agreed)


get_current, attach, detach = _shortest()
