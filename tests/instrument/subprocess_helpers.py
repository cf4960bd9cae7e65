"""What the tests of child processes share: an instrumented test, programs of their own, what children see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from llmtrace_otel.instrument.subprocess import SubprocessInstrumentor
from support.spans import Recorded

OURS = ("TRACEPARENT", "TRACESTATE", "BAGGAGE", "LLMTRACE_CHILD_ARGS", "LLMTRACE_PROXY_UNDO")
SHOW = ["/bin/sh", "-c", 'echo "$TRACEPARENT $BAGGAGE"']
"""A command that prints whose child it is."""


@contextmanager
def instrumented(patch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """Traces this test's children, which are not led to a proxy, and takes nothing over from whoever runs the tests."""
    for name in OURS:
        patch.delenv(name, raising=False)
    patch.setenv("LLMTRACE_INTERCEPT", "never")
    recorded = Recorded()
    SubprocessInstrumentor().instrument(**recorded.providers)
    try:
        yield recorded
    finally:
        SubprocessInstrumentor().uninstrument()
        recorded.close()


def parent_of(span: ReadableSpan) -> str:
    """What TRACEPARENT is in the child of a span."""
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


def told(span: ReadableSpan) -> dict[str, Any]:
    """A span's attributes but for those that are never the same: its process id, which there must be."""
    attributes = dict(span.attributes or {})
    assert isinstance(attributes.pop("process.pid"), int)
    return attributes


def ended(name: str, path: str | None, code: int | None, error: str | None = None) -> dict[str, Any]:
    """What a span knows of a child that is over."""
    known = {
        "process.executable.name": name,
        "process.executable.path": path,
        "process.exit.code": code,
        "error.type": error,
    }
    return {name: value for name, value in known.items() if value is not None}


class Ran:
    """What a program of its own has left: what it printed, and its spans by name."""

    def __init__(self, done: subprocess.CompletedProcess[str], output: Path) -> None:
        self.returncode, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        lines = output.read_text("utf-8").splitlines() if output.exists() else []
        self.spans = [json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for line in lines]

    def named(self, name: str) -> dict[str, Any]:
        """The one span with this name."""
        (span,) = (span for span in self.spans if span["name"] == name)
        return span


def attributes_of(span: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a span in a file; integers are strings there."""
    return {entry["key"]: next(iter(entry["value"].values())) for entry in span["attributes"]}


PREAMBLE = """\
import os, signal, subprocess, sys, time
from opentelemetry import baggage, trace
from llmtrace_otel import session
from llmtrace_otel.output.startup import pre_instrument
pre_instrument()
from llmtrace_otel.instrument.subprocess import SubprocessInstrumentor
SubprocessInstrumentor().instrument()
tracer = trace.get_tracer("program")
"""


def run_program(directory: Path, program: str, **variables: str) -> Ran:
    """Runs a program that is instrumented as `opentelemetry-instrument` does it, to its end."""
    script, output = directory / "program.py", directory / "traces.jsonl"
    script.write_text(PREAMBLE + textwrap.dedent(program))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LLMTRACE_"))}
    environ = {name: value for name, value in environ.items() if name not in OURS}
    environ |= {"LLMTRACE_OUTPUT": str(output), "LLMTRACE_INTERCEPT": "never", "PYTHONUNBUFFERED": "1"} | variables
    command = [sys.executable, str(script)]
    done = subprocess.run(
        command, env=environ, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    return Ran(done, output)
