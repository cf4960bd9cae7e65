"""Who owns the span of a call: one logical call, one inference span, whatever else is installed.

Some libraries make a span for their own calls. Such a span is current while the library sends its request; we then add
to it what it lacks instead of making a second one.
"""

from __future__ import annotations

from opentelemetry.trace import Span

NATIVE_SCOPES = frozenset({"com.anthropic.sdk.python"})
"""Instrumentation scopes whose current span is the inference span of the request that is being sent."""


def owner_of(current: Span) -> Span | None:
    """`current`, if it already stands for the call that is about to be sent; otherwise `None`."""
    scope = getattr(current, "instrumentation_scope", None)
    if scope is not None and scope.name in NATIVE_SCOPES and current.is_recording():
        return current
    return None
