"""Who owns the span of a call: one logical call, one inference span, whatever else is installed.

Some libraries make a span for their own calls. Such a span is current while the library sends its request; we then add
to it what it lacks instead of making a second one.
"""

from __future__ import annotations

from opentelemetry.trace import Span, SpanKind

from llmtrace_otel.telemetry import semconv

NATIVE_SCOPES = ("com.anthropic.sdk.python", "opentelemetry.instrumentation.botocore")
"""Instrumentation scopes, and the beginnings of theirs, that make the inference span of the request being sent."""
_INFERENCE = ("chat", "text_completion", "generate_content", "embeddings")


def owner_of(current: Span) -> Span | None:
    """`current`, if it already stands for the call that is about to be sent; otherwise `None`."""
    scope = getattr(current, "instrumentation_scope", None)
    if scope is None or not scope.name.startswith(NATIVE_SCOPES) or not current.is_recording():
        return None
    attributes = getattr(current, "attributes", None) or {}
    is_inference = getattr(current, "kind", None) is SpanKind.CLIENT and attributes.get(semconv.OPERATION) in _INFERENCE
    return current if is_inference else None  # their spans of agents and tools are only around a call
