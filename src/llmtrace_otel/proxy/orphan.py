"""Recording in the proxy's own process, once the program that started it is gone: by the same environment variables."""

from __future__ import annotations

import logging

from opentelemetry import trace
from opentelemetry.context import Context

from llmtrace_otel.attribution.stamping import stamp_spans
from llmtrace_otel.output import startup
from llmtrace_otel.output.carrier import context_of
from llmtrace_otel.proxy.messages import Child, Seen
from llmtrace_otel.proxy.recording import record
from llmtrace_otel.telemetry.spans import Recorder

_log = logging.getLogger("llmtrace_otel")


class Orphan:
    """Tracing as the program's environment asks for it."""

    def __init__(self) -> None:
        startup.attempt("set up OpenTelemetry", startup.configure_sdk)
        startup.attempt(f"write {startup.OUTPUT}", startup.add_file)
        stamp_spans()
        self._recorder = Recorder()

    def record(self, child: Child, seen: Seen) -> None:
        """Records a call under the span that its child had. Never raises."""
        try:
            record(self._recorder, seen.call, context_of(child.carrier, Context()), seen.traceparent)
        except Exception:
            _log.debug("llmtrace: a call could not be recorded", exc_info=True)

    def close(self) -> None:
        """Exports what has not been exported."""
        shutdown = getattr(trace.get_tracer_provider(), "shutdown", None)
        if shutdown is not None:
            shutdown()
