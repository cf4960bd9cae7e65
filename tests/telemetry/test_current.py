"""The current context, asked for in the shorter way."""

from __future__ import annotations

import subprocess
import sys
from contextvars import ContextVar

from opentelemetry import baggage, context
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

from llmtrace_otel.telemetry import current


def test_it_is_what_the_api_says():
    assert current.get_current is not context.get_current
    assert current.get_current() is context.get_current()
    here = baggage.set_baggage("a", "b")
    token = context.attach(here)
    try:
        assert current.get_current() is here
    finally:
        context.detach(token)
    assert current.get_current() is context.get_current()


def test_nothing_is_left_attached_by_its_import():
    code = "from opentelemetry import context; import llmtrace_otel.telemetry.current; print(context.get_current())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "{}\n"


API = (context.get_current, context.attach, context.detach)


def test_what_is_attached_is_what_the_api_has_attached():
    before, here = context.get_current(), Context({"a": "b"})
    token = current.attach(here)
    assert context.get_current() is here
    context.detach(token)
    assert context.get_current() is before
    token = context.attach(here)
    current.detach(token)
    assert context.get_current() is before


class Other(ContextVarsRuntimeContext):
    """A program's own, as `OTEL_PYTHON_CONTEXT` may name."""

    def get_current(self) -> Context:
        return Context({"own": True})


def test_a_programs_own_kind_of_context_is_asked_by_the_api(monkeypatch):
    monkeypatch.setattr(context, "_RUNTIME_CONTEXT", Other())
    assert current._shortest() == API


def test_a_variable_that_the_api_does_not_read_is_not_asked(monkeypatch):
    runtime = ContextVarsRuntimeContext()
    runtime.get_current = lambda: Context({"own": True})
    monkeypatch.setattr(context, "_RUNTIME_CONTEXT", runtime)
    assert current._shortest() == API


def test_a_variable_without_a_default_is_not_asked(monkeypatch):
    runtime = ContextVarsRuntimeContext()
    runtime._current_context = ContextVar("without")
    monkeypatch.setattr(context, "_RUNTIME_CONTEXT", runtime)
    assert current._shortest() == API


def test_a_release_that_keeps_it_elsewhere_is_asked_by_the_api(monkeypatch):
    monkeypatch.delattr(context, "_RUNTIME_CONTEXT")
    assert current._shortest() == API
