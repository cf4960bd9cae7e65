"""Agents, tools and workflows: the standard INTERNAL span around the work, and its duration metric.

A tool's span may hold content, its arguments and its result. Names, attributes and bucket boundaries are those of the
OpenTelemetry GenAI conventions, agent spans (autumn 2026).
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode

from llmtrace_otel.attribution.entry import Entered
from llmtrace_otel.attribution.identity import text_of
from llmtrace_otel.attribution.once import per_provider
from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry import semconv as sc
from llmtrace_otel.telemetry.metrics import DURATION_BUCKETS


class Kind(NamedTuple):
    """A row of the conventions: the operation, the attribute that names its subject, its duration metric in seconds."""

    operation: str
    name_attribute: str
    metric: str
    buckets: tuple[float, ...]


INVOKE_AGENT: Final = Kind(
    "invoke_agent",
    sc.AGENT_NAME,
    sc.METRIC_AGENT_DURATION,
    (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6),
)
EXECUTE_TOOL: Final = Kind("execute_tool", sc.TOOL_NAME, sc.METRIC_TOOL_DURATION, DURATION_BUCKETS)
INVOKE_WORKFLOW: Final = Kind(
    "invoke_workflow",
    sc.WORKFLOW_NAME,
    sc.METRIC_WORKFLOW_DURATION,
    (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200),
)
_METRIC_ATTRIBUTES: Final = frozenset({sc.AGENT_NAME, sc.TOOL_NAME, sc.TOOL_TYPE, sc.WORKFLOW_NAME, sc.ERROR_TYPE})


class Operation(Entered):
    """An entry with a span around it, and a point of its duration metric at the end."""

    def __init__(self, kind: Kind, name: str, attributes: Mapping[str, str | None], context: Context) -> None:
        given = {sc.OPERATION: kind.operation, kind.name_attribute: name, **attributes}
        self._kind, self._started = kind, time.time_ns()
        self._attributes = {key: value for key, value in given.items() if value is not None}
        self.handle = self.span = _tracer(trace.get_tracer_provider()).start_span(
            f"{kind.operation} {name}", context, attributes=self._attributes, start_time=self._started
        )
        super().__init__(trace.set_span_in_context(self.span, context))

    def end(self, error: BaseException | None) -> None:
        ended = time.time_ns()
        if error is not None and not _is_expected(error):
            self._attributes[sc.ERROR_TYPE] = error_type = _error_type(error)
            self.span.set_attribute(sc.ERROR_TYPE, error_type)
            self.span.set_status(Status(StatusCode.ERROR, content.redacted(text_of(error)) or None))
        self.span.end(ended)
        attributes = {key: value for key, value in self._attributes.items() if key in _METRIC_ATTRIBUTES}
        histogram = _histograms(metrics.get_meter_provider())[self._kind.metric]
        histogram.record(max(0.0, (ended - self._started) / 1e9), attributes, self.context)


class ToolCall:
    """What `tool()` yields: its `span`, and the `result` to record when content capture is on (None: no result)."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.result: object = None


class ToolOperation(Operation):
    """A tool's entry, which may hold content."""

    handle: ToolCall

    def __init__(self, name: str, attributes: Mapping[str, str | None], context: Context, arguments: object) -> None:
        super().__init__(EXECUTE_TOOL, name, attributes, context)
        self.handle = ToolCall(self.span)
        self._captures = self.span.is_recording() and content.on_spans()
        self._has_arguments = arguments is not None
        self._record(sc.TOOL_CALL_ARGUMENTS, _parsed(arguments) if self._captures else None)

    def called_with(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._captures and not self._has_arguments:
            self._record(sc.TOOL_CALL_ARGUMENTS, _bound(function, args, kwargs))

    def returned(self, value: Any) -> Any:
        self.handle.result = value
        return value

    def end(self, error: BaseException | None) -> None:
        self._record(sc.TOOL_CALL_RESULT, self.handle.result)
        super().end(error)

    def _record(self, key: str, value: object) -> None:
        if self._captures and value is not None:
            self.span.set_attribute(key, content.to_json(value))


def _parsed(arguments: object) -> object:
    if isinstance(arguments, str):
        with suppress(Exception):  # not JSON, so text
            return msgspec.json.decode(arguments)
    return arguments


def _bound(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """The call's arguments by name, without the object that a method is called on; None where the call cannot work."""
    try:
        arguments = inspect.signature(function).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return None
    return {name: value for name, value in arguments.items() if name not in ("self", "cls")}


def _is_expected(error: BaseException) -> bool:
    """Whether the work ended as it was asked to: a generator that was not read to its end, a plain `sys.exit()`.

    A cancelled or interrupted operation did not do its work: it is an error, and its type tells it from a failure.
    """
    return isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and not error.code)


def _error_type(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


@per_provider
def _tracer(provider: trace.TracerProvider) -> trace.Tracer:
    return provider.get_tracer(sc.SCOPE, sc.VERSION, sc.SCHEMA_URL)


@per_provider
def _histograms(provider: metrics.MeterProvider) -> dict[str, metrics.Histogram]:
    meter = provider.get_meter(sc.SCOPE, schema_url=sc.SCHEMA_URL)
    return {
        kind.metric: meter.create_histogram(
            kind.metric,
            unit="s",
            description=f"Duration of {kind.operation} operations",
            explicit_bucket_boundaries_advisory=kind.buckets,
        )
        for kind in (INVOKE_AGENT, EXECUTE_TOOL, INVOKE_WORKFLOW)
    }
