"""The public API, re-exported; nothing else lives here.

Nothing of it is needed to trace a program: `opentelemetry-instrument python agent.py` is enough. It says who a call
belongs to (`session`, `agent`, `tool`, `workflow`), names providers of one's own (`register_provider`) and cleans
content before it is exported (`set_redaction`).

A name is imported when it is asked for: this package is loaded into every Python process below an instrumented one, and
most of them use none.

PYTEST_DONT_REWRITE: a program that is traced has imported this package before pytest could, which would warn of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmtrace_otel.attribution.api import agent, session, tool, workflow
    from llmtrace_otel.instrument.botocore import BotocoreInstrumentor
    from llmtrace_otel.instrument.httpx import HTTPXInstrumentor
    from llmtrace_otel.instrument.litellm import LiteLLMInstrumentor
    from llmtrace_otel.instrument.litellm_callback import LLMTraceCallback
    from llmtrace_otel.instrument.subprocess import SubprocessInstrumentor
    from llmtrace_otel.instrument.threads import ThreadsInstrumentor
    from llmtrace_otel.instrument.websockets import WebSocketsInstrumentor
    from llmtrace_otel.telemetry.content import set_redaction
    from llmtrace_otel.wire.providers import register_provider

__all__ = [
    "BotocoreInstrumentor",
    "HTTPXInstrumentor",
    "LLMTraceCallback",
    "LiteLLMInstrumentor",
    "SubprocessInstrumentor",
    "ThreadsInstrumentor",
    "WebSocketsInstrumentor",
    "agent",
    "register_provider",
    "session",
    "set_redaction",
    "tool",
    "workflow",
]

_HOMES = {
    "BotocoreInstrumentor": "instrument.botocore",
    "HTTPXInstrumentor": "instrument.httpx",
    "LLMTraceCallback": "instrument.litellm_callback",
    "LiteLLMInstrumentor": "instrument.litellm",
    "SubprocessInstrumentor": "instrument.subprocess",
    "ThreadsInstrumentor": "instrument.threads",
    "WebSocketsInstrumentor": "instrument.websockets",
    "agent": "attribution.api",
    "register_provider": "wire.providers",
    "session": "attribution.api",
    "set_redaction": "telemetry.content",
    "tool": "attribution.api",
    "workflow": "attribution.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
