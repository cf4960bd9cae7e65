"""Who owns the span of a call: one logical call, one inference span, whatever else is installed.

A call may be seen at several heights: by a library such as LiteLLM, by an instrumentation of the SDK, by the SDK
itself, and by us where it is sent. The outermost that knows it owns its span; who comes later adds what that lacks.

- A call of ours that is recorded above the request is a `Frame`, found in the context (`frame_of`).
- Somebody else's span is told by what it says of itself, not by who made it (`owner_of`): a client's, it names an
  inference operation, or it has OpenInference's kind of one. It is the current span, or was just started as its child
  and never made current, as OpenLLMetry does for some libraries (`note_start`).
- What is to stay silent within a frame is told so in the ways that each of them listens to (`framed`).
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, create_key
from opentelemetry.trace import Span, SpanKind, get_current_span
from opentelemetry.trace.propagation import _SPAN_KEY

from llmtrace_otel.telemetry import semconv

if TYPE_CHECKING:
    from llmtrace_otel.telemetry.within import Frame

_INFERENCE = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
_OPENINFERENCE_KIND = "openinference.span.kind"
_OPENINFERENCE = frozenset({"LLM", "EMBEDDING"})

_FRAME = create_key("llmtrace-frame")
_SUPPRESS_OPENLLMETRY = "suppress_language_model_instrumentation"
_UTIL_GENAI = "opentelemetry.util.genai."
_UTIL_GENAI_SCOPE = "opentelemetry.util.genai.handler"
_HEED_ONLY_GENERAL_SUPPRESSION = frozenset(
    {
        "openinference.instrumentation.openai",
        "openinference.instrumentation.litellm",
        "logfire",
    }
)
_SUPPRESS_INSTRUMENTATION_PLAIN = "suppress_instrumentation"

_started: ContextVar[Any] = ContextVar("llmtrace_started_inference", default=None)


def owner_of(context: Context) -> Span | None:
    """The span of somebody else's that already stands for the call that is about to be sent, if there is one."""
    if _SPAN_KEY in context and is_inference(current := get_current_span(context)):
        return current
    started = _started.get()
    if started is None or not started.is_recording():
        return None
    parent, here = started.parent, get_current_span(context).get_span_context()
    is_child = parent.span_id == here.span_id if parent is not None else not here.is_valid
    return started if is_child else None


def is_inference(span: Any) -> bool:
    """Whether a span of somebody else's is open and says that it is a model's call. Agents and tools are around one."""
    attributes = getattr(span, "attributes", None)
    if attributes is None or not span.is_recording():
        return False
    scope = getattr(getattr(span, "instrumentation_scope", None), "name", None)
    if scope == semconv.SCOPE:
        return False
    if span.kind is SpanKind.CLIENT:
        operation = attributes.get(semconv.OPERATION)
        if scope == _UTIL_GENAI_SCOPE and operation is None:  # its first releases say it only at the end
            operation = span.name.partition(" ")[0]
        if operation in _INFERENCE:
            return True
    return _openinference_kind(span) in _OPENINFERENCE


def _openinference_kind(span: Any) -> Any:
    """OpenInference's spans hold some of what is set on them back until they end."""
    held_back = getattr(span, "_self_important_attributes", None) or {}
    return (getattr(span, "attributes", None) or {}).get(_OPENINFERENCE_KIND) or held_back.get(_OPENINFERENCE_KIND)


def speaks_openinference(span: Span) -> bool:
    """Whether a span states its tokens by OpenInference's names, beside which ours would be a second count."""
    return _openinference_kind(span) is not None


def note_start(span: Any) -> None:
    """A span was started here, current or not."""
    if is_inference(span):
        _started.set(span)


def frame_of(context: Context) -> Frame | None:
    """The call of ours, recorded above, whose request is about to be sent."""
    frame: Frame | None = context.get(_FRAME)  # type: ignore[assignment]
    return frame if frame is not None and frame.sending else None


def is_suppressed(context: Context) -> bool:
    """What `is_instrumentation_enabled` denies of the current context, of one that is at hand."""
    return bool(context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_SUPPRESS_INSTRUMENTATION_PLAIN))


def framed(context: Context, frame: Frame) -> Context:
    """A context in which requests belong to a call of ours, and other instrumentations leave it to us."""
    values: dict[str, object] = {**context, _SPAN_KEY: frame.span, _FRAME: frame, _SUPPRESS_OPENLLMETRY: True}
    if f"{_UTIL_GENAI}handler" in sys.modules:
        values |= _for_util_genai()
    if not sys.modules.keys().isdisjoint(_HEED_ONLY_GENERAL_SUPPRESSION):
        values[_SUPPRESS_INSTRUMENTATION_KEY] = True
    return Context(values)


def sending_context(context: Context, span: Span) -> Context:
    """The context of a request that is sent: what `framed` suppressed was meant for what is above it."""
    values: dict[str, object] = {**context, _SPAN_KEY: span}
    if _FRAME in values and values.get(_SUPPRESS_INSTRUMENTATION_KEY):
        values[_SUPPRESS_INSTRUMENTATION_KEY] = False
    return Context(values)


@lru_cache(maxsize=1)
def _for_util_genai() -> dict[str, object]:
    """Values of the context keys by which the official instrumentations learn that the call is already recorded.

    They look for instances of their own classes, into which they then merge what they know; we know it already.
    """
    values: dict[str, object] = {}
    for module, kind, key in (
        ("_inference_invocation", "InferenceData", "inference"),
        ("_embedding_invocation", "EmbeddingData", "embedding"),
    ):
        data = getattr(sys.modules.get(_UTIL_GENAI + module), kind, None)
        if data is not None:
            values[f"opentelemetry.genai.client.{key}.context"] = type(kind, (data,), {"merge": _ignore})()
    return values


def _ignore(*_: object, **__: object) -> None:
    pass
