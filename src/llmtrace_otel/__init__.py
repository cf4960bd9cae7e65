"""The public API, re-exported; nothing else lives here.

Nothing of it is needed to trace a program: `opentelemetry-instrument python agent.py` is enough. It says who a call belongs
to (`session`, `agent`, `tool`, `workflow`), names providers of one's own (`register_provider`) and cleans content before
it is exported (`set_redaction`).
"""

from llmtrace_otel.instrument.httpx import HTTPXInstrumentor
from llmtrace_otel.instrument.threads import ThreadsInstrumentor
from llmtrace_otel.session import agent, session, tool, workflow
from llmtrace_otel.telemetry.content import set_redaction
from llmtrace_otel.wire.providers import register_provider

__all__ = [
    "HTTPXInstrumentor",
    "ThreadsInstrumentor",
    "agent",
    "register_provider",
    "session",
    "set_redaction",
    "tool",
    "workflow",
]
