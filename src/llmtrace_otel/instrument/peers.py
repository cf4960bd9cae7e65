"""Other instrumentations, where one call would be counted twice and nothing that they listen to would stop it.

Each is dealt with when the program imports it, and not at all otherwise. Their spans stay as they are wherever one of
them owns the call (`telemetry/owner.py`).

- OpenLLMetry starts its spans for Anthropic and LiteLLM without making them current: a span processor notes them. Its
  span for OpenAI's Responses is made up after the call, so it is asked to make none where we see the request.
- OpenInference's and Logfire's wrappers of the SDKs, and Anthropic's SDK itself, start a span within whatever span
  there is: within one that stands for the call already they start none.
- OpenTelemetry's old `openai-v2` heeds nothing: within a call that is recorded above, its wrappers are passed by.
- LiteLLM's `otel` callback writes its numbers, after the call, on whatever span was current, ended or not, or starts
  another with the same numbers: it is given a span that records nothing.
"""

from __future__ import annotations

import functools
import logging
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_current
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from llmtrace_otel.attribution.once import per_provider
from llmtrace_otel.telemetry.owner import frame_of, note_start, owner_of

if TYPE_CHECKING:
    from llmtrace_otel.instrument.lazy import Wrappers

_log = logging.getLogger("llmtrace_otel")

_ANTHROPIC = "anthropic._base_client"
_LITELLM_OTEL = "litellm.integrations.opentelemetry"
_OPENINFERENCE_OPENAI = "openinference.instrumentation.openai._request"
_LOGFIRE = "logfire._internal.integrations.llm_providers.llm_provider"
_OPENLLMETRY_ANTHROPIC = "opentelemetry.instrumentation.anthropic"
_OPENLLMETRY_LITELLM = "opentelemetry.instrumentation.litellm"
_OPENLLMETRY_RESPONSES = "opentelemetry.instrumentation.openai.v1.responses_wrappers"

MODULES = (
    _ANTHROPIC,
    _LITELLM_OTEL,
    _OPENINFERENCE_OPENAI,
    _LOGFIRE,
    _OPENLLMETRY_ANTHROPIC,
    _OPENLLMETRY_LITELLM,
)
"""The modules at whose import `wrap` has something to do."""
HTTP_MODULES = (*MODULES, _OPENLLMETRY_RESPONSES)
"""Those of them, and more, where requests are read."""

_OPENAI_V2 = "opentelemetry.instrumentation.openai_v2"
_OPENAI_V2_WRAPS = (
    ("openai.resources.chat.completions", ("Completions", "AsyncCompletions")),
    ("openai.resources.embeddings", ("Embeddings", "AsyncEmbeddings")),
)


def wrap(module: ModuleType, wrappers: Wrappers) -> None:
    """Deals with a module of the above that has just been imported. What another release has elsewhere stays."""
    name = module.__name__
    if name in (_OPENLLMETRY_ANTHROPIC, _OPENLLMETRY_LITELLM):
        _watch_starts(wrappers.options.get("tracer_provider") or trace.get_tracer_provider())
    elif name == _ANTHROPIC and hasattr(module, "start_api_call_span"):
        wrappers.replace(module, "start_api_call_span", _none_if_owned)
    elif name == _OPENINFERENCE_OPENAI:
        for kind in ("_Request", "_AsyncRequest"):
            if "__call__" in vars(getattr(module, kind, object)):
                wrappers.replace(getattr(module, kind), "__call__", _passed_by_if_owned)
    elif name == _LOGFIRE and hasattr(module, "is_instrumentation_suppressed"):
        wrappers.replace(module, "is_instrumentation_suppressed", lambda asked: lambda: asked() or _is_owned())
    elif name == _LITELLM_OTEL and hasattr(module.OpenTelemetry, "_get_span_context"):
        wrappers.replace(module.OpenTelemetry, "_get_span_context", functools.partial(_unrecorded, module))
    elif name == _OPENLLMETRY_RESPONSES and hasattr(module, "context_api"):
        wrappers.replace(module, "context_api", _Suppressing)


def _is_owned() -> bool:
    """Whether the call that is about to be made has a span that stands for it."""
    here = get_current()
    return frame_of(here) is not None or owner_of(here) is not None


def _none_if_owned(start: Any) -> Any:
    """Wraps Anthropic's function that starts the span of an API call; `None` is its own way to have none."""

    @functools.wraps(start)
    def start_api_call_span(*args: Any, **kwargs: Any) -> Any:
        return None if _is_owned() else start(*args, **kwargs)

    return start_api_call_span


def _passed_by_if_owned(original: Any) -> Any:
    """Wraps a wrapper of OpenInference's; the asynchronous one gives the same awaitable as what it wraps."""

    @functools.wraps(original)
    def call(wrapper: Any, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs) if _is_owned() else original(wrapper, wrapped, instance, args, kwargs)

    return call


def _unrecorded(module: Any, original: Any) -> Any:
    """Wraps what tells LiteLLM's callback the span to write on. Products that are built on it keep theirs."""

    @functools.wraps(original)
    def get_span_context(callback: Any, *args: Any, **kwargs: Any) -> Any:
        if type(callback) is not module.OpenTelemetry:
            return original(callback, *args, **kwargs)
        here = trace.get_current_span().get_span_context()
        flags = TraceFlags.get_default()
        span = NonRecordingSpan(SpanContext(here.trace_id or 1, here.span_id or 1, is_remote=False, trace_flags=flags))
        return trace.set_span_in_context(span), span

    return get_span_context


class _Suppressing:
    """OpenTelemetry's context module, for one reader of it, to whom instrumentation is suppressed."""

    def __init__(self, context_api: Any) -> None:
        self._context_api = context_api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context_api, name)

    def get_value(self, key: str, *args: Any, **kwargs: Any) -> Any:
        return key == _SUPPRESS_INSTRUMENTATION_KEY or self._context_api.get_value(key, *args, **kwargs)


@per_provider
def _watch_starts(provider: trace.TracerProvider) -> None:
    """Has the spans noted that are started by a provider, current or not."""
    add: Any = getattr(provider, "add_span_processor", None)
    if add is not None:
        from opentelemetry.sdk.trace import SpanProcessor

        class Starts(SpanProcessor):
            """Notes every span that is started."""

            def on_start(self, span: Any, parent_context: Any = None) -> None:
                note_start(span)

        add(Starts())


def pass_by_openai_v2() -> None:
    """Has the wrappers of OpenTelemetry's `openai-v2`, if loaded, do nothing within a call that is recorded above."""
    if _OPENAI_V2 not in sys.modules:
        return
    try:
        for name, kinds in _OPENAI_V2_WRAPS:
            for kind in kinds:
                _pass_by(getattr(sys.modules.get(name), kind, object))
    except Exception:
        _log.debug("llmtrace: the wrappers of openai-v2 are not as they were", exc_info=True)


def _pass_by(owner: Any) -> None:
    create = vars(owner).get("create")
    wrapper: Any = getattr(create, "_self_wrapper", None)
    if create is None or not str(getattr(wrapper, "__module__", "")).startswith(_OPENAI_V2):
        return

    def passed_by(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if frame_of(get_current()) is not None:
            return wrapped(*args, **kwargs)
        return wrapper(wrapped, instance, args, kwargs)

    owner.create = wrapt.FunctionWrapper(create.__wrapped__, passed_by)
