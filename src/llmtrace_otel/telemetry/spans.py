"""A call becomes a span, metrics and, if asked for, an event. The tables here are the only writers of attributes.

All that is known when a call starts is given to the span at its creation, where samplers can see it; all that is known
when it ends is set at once. Status stays unset on success. A span that somebody else made for the very same call is not
doubled: what it lacks is added to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber, get_logger
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from llmtrace_otel.telemetry import content, cost, doubts, semconv
from llmtrace_otel.telemetry.metrics import CallMetrics
from llmtrace_otel.telemetry.owner import owner_of
from llmtrace_otel.wire.call import Call

_log = logging.getLogger("llmtrace_otel")

REQUEST: dict[str, str] = {
    semconv.OPERATION: "operation",
    semconv.PROVIDER: "provider",
    semconv.REQUEST_MODEL: "request_model",
    semconv.SERVER_ADDRESS: "server_address",
    semconv.SERVER_PORT: "server_port",
    semconv.URL_PATH: "url_path",
    semconv.REQUEST_STREAM: "stream",
    semconv.OPENAI_API_TYPE: "api_type",  # set for OpenAI's own services only
    semconv.LAYER: "layer",
    semconv.REQUEST_CHOICE_COUNT: "choice_count",
    semconv.REQUEST_SEED: "seed",
    semconv.REQUEST_TOP_K: "top_k",
    semconv.REQUEST_TOP_P: "top_p",
    semconv.REQUEST_TEMPERATURE: "temperature",
    semconv.REQUEST_MAX_TOKENS: "max_tokens",
    semconv.REQUEST_FREQUENCY_PENALTY: "frequency_penalty",
    semconv.REQUEST_PRESENCE_PENALTY: "presence_penalty",
    semconv.REQUEST_STOP_SEQUENCES: "stop_sequences",
    semconv.REQUEST_REASONING_LEVEL: "reasoning_level",
    semconv.REQUEST_PREVIOUS_RESPONSE_ID: "previous_response_id",
    semconv.REQUEST_STREAM_CURSOR: "stream_cursor",
    semconv.REQUEST_ENCODING_FORMATS: "encoding_formats",
    semconv.EMBEDDINGS_DIMENSIONS: "dimensions",
    semconv.OUTPUT_TYPE: "output_type",
    semconv.CONVERSATION_ID: "conversation_id",
}
"""What a request tells: attribute → field of the call. Set when the span is created."""

RESPONSE: dict[str, str] = {
    semconv.HTTP_STATUS: "http_status",
    semconv.RESPONSE_ID: "response_id",
    semconv.RESPONSE_MODEL: "response_model",
    semconv.RESPONSE_FINISH_REASONS: "finish_reasons",
    semconv.CONVERSATION_ID: "conversation_id",
    semconv.ERROR_TYPE: "error_type",
}
"""What an answer tells. Set when the call has ended."""

USAGE: dict[str, str] = {
    semconv.USAGE_INPUT: "input",
    semconv.USAGE_OUTPUT: "output",
    semconv.USAGE_CACHE_READ: "cache_read",
    semconv.USAGE_CACHE_WRITE: "cache_write",
    semconv.USAGE_REASONING: "reasoning",
}

CONTENT: dict[str, str] = {
    semconv.SYSTEM_INSTRUCTIONS: "system_instructions",
    semconv.INPUT_MESSAGES: "input_messages",
    semconv.OUTPUT_MESSAGES: "output_messages",
    semconv.TOOL_DEFINITIONS: "tool_definitions",
}
"""Only with content on."""


def _reader(table: dict[str, str]) -> Callable[[Any], dict[str, Any]]:
    """A function that reads a table's fields off a call; absent values are left out.

    It is written out line by line, as `dataclasses` writes its methods: a loop over the table takes four times as long.
    """
    lines = ["def read(call):", " found = {}"]
    for attribute, field in table.items():
        lines += [f" value = call.{field}", " if value is not None:", f"  found[{attribute!r}] = value"]
    namespace: dict[str, Any] = {}
    exec("\n".join([*lines, " return found"]), namespace)  # noqa: S102 - of the constants above, nothing else
    reader: Callable[[Any], dict[str, Any]] = namespace["read"]
    return reader


starting_attributes = _reader(REQUEST)
"""All that a call's span is created with."""

_response = _reader(RESPONSE)
_response_with_usage = _reader(RESPONSE | {name: f"usage.{field}" for name, field in USAGE.items()})
_content = _reader(CONTENT)


class CallSpan:
    """The span of one call, from its start to its end."""

    __slots__ = ("_recorder", "call", "ended", "owned", "provider", "span")

    def __init__(self, recorder: Recorder, call: Call, span: Span, *, owned: bool) -> None:
        self._recorder = recorder
        self.call = call
        self.provider = call.provider
        self.span = span
        self.owned = owned
        """Whether the span is ours; otherwise we only add to it and never end it."""
        self.ended = False

    def end(self) -> None:
        """Writes what the call now knows and ends the span; a second time does nothing. Never raises."""
        if self.ended:
            return
        self.ended = True
        try:
            self._recorder.finish(self)
        except Exception:
            _log.debug("llmtrace: could not finish a span", exc_info=True)
            if self.owned:
                self.span.end()


class Recorder:
    """Writes calls through the given providers, or the global ones."""

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(semconv.SCOPE, semconv.VERSION, tracer_provider, semconv.SCHEMA_URL)
        self._metrics = CallMetrics(meter_provider)
        self._logger_provider = logger_provider

    def start(self, call: Call) -> CallSpan:
        """Starts the call's span, or finds the one that another instrumentation has already started for it."""
        call.start_ns = time_ns()
        owner = owner_of(trace.get_current_span())
        if owner is not None:
            cost.load()
            return CallSpan(self, call, owner, owned=False)
        name = f"{call.operation} {call.request_model}" if call.request_model else call.operation
        span = self._tracer.start_span(
            name, kind=SpanKind.CLIENT, attributes=starting_attributes(call), start_time=call.start_ns
        )
        if span.is_recording():
            cost.load()
        return CallSpan(self, call, span, owned=True)

    def finish(self, call_span: CallSpan) -> None:
        """Writes the span's last attributes, the metrics and the event."""
        call, span = call_span.call, call_span.span
        call.end_ns = call.end_ns or time_ns()
        if span.is_recording():
            attributes = ending_attributes(call)
            if call.provider != call_span.provider:  # the answer told more than the host did
                attributes[semconv.PROVIDER] = call.provider
            if content.on_spans():
                attributes |= _content_as_json(call)
            span.set_attributes(
                attributes if call_span.owned else _lacking(span, {**starting_attributes(call), **attributes})
            )
            if call_span.owned and call.error_type is not None:
                message = content.redacted(call.error_message) if call.error_message else None
                span.set_status(Status(StatusCode.ERROR, message))
        self._metrics.record(call, (call.end_ns - call.start_ns) / 1e9)
        if content.on_events():
            self._emit_event(call, span)
        if call_span.owned:
            span.end(call.end_ns)
        doubts.warn(call)

    def _emit_event(self, call: Call, span: Span) -> None:
        attributes = {**starting_attributes(call), **ending_attributes(call), **_recorded_content(call)}
        record = LogRecord(
            timestamp=call.end_ns,
            context=trace.set_span_in_context(span),
            severity_number=SeverityNumber.DEBUG,
            event_name=semconv.EVENT_INFERENCE_DETAILS,
            attributes=attributes,
        )
        get_logger(semconv.SCOPE, semconv.VERSION, self._logger_provider, semconv.SCHEMA_URL).emit(record)


def _recorded_content(call: Call) -> dict[str, Any]:
    """The call's messages as they may leave: redacted, and cut to the limit."""
    found: dict[str, Any] = {}
    omitted = 0
    for name, messages in _content(call).items():
        found[name], left_out = content.limited(content.redacted_messages(messages))
        omitted += left_out
    if omitted:
        found[semconv.CONTENT_OMITTED_MESSAGES] = omitted
    return found


def _content_as_json(call: Call) -> dict[str, Any]:
    recorded = _recorded_content(call)
    return {name: value if isinstance(value, int) else content.encoded(value) for name, value in recorded.items()}


def ending_attributes(call: Call) -> dict[str, Any]:
    """All that an ended call adds to its span, without content."""
    attributes = _response(call) if call.usage is None else _response_with_usage(call)
    if call.streamed and call.first_chunk_ns is not None:
        attributes[semconv.RESPONSE_TIME_TO_FIRST_CHUNK] = (call.first_chunk_ns - call.start_ns) / 1e9
    if call.operation == "fetch_response" and call.response_status is not None:
        attributes[semconv.RESPONSE_STATUS] = call.response_status
    if call.api_type is not None:
        _add_openai(call, attributes)
    if call.attempts > 1:
        attributes[semconv.ATTEMPTS] = call.attempts
    _add_doubts(call, attributes)
    _add_cost(call, attributes)
    return attributes


def _add_openai(call: Call, attributes: dict[str, Any]) -> None:
    if call.request_service_tier not in (None, "auto"):
        attributes[semconv.OPENAI_REQUEST_SERVICE_TIER] = call.request_service_tier
    if call.service_tier:
        attributes[semconv.OPENAI_RESPONSE_SERVICE_TIER] = call.service_tier
    if call.system_fingerprint:
        attributes[semconv.OPENAI_SYSTEM_FINGERPRINT] = call.system_fingerprint


def _add_doubts(call: Call, attributes: dict[str, Any]) -> None:
    if doubts.usage_is_missing(call):
        attributes[semconv.USAGE_MISSING] = True
    elif doubts.stream_is_incomplete(call):
        attributes[semconv.STREAM_INCOMPLETE] = True


def _add_cost(call: Call, attributes: dict[str, Any]) -> None:
    try:
        charged = cost.cost_of(call)
    except Exception:
        _log.debug("llmtrace: a cost could not be told", exc_info=True)
        charged = cost.NOT_KNOWN
    if charged is None:
        return
    usd, status, source, version_of_prices = charged
    attributes[semconv.COST_STATUS] = status
    if usd is not None:
        attributes[semconv.COST_USD] = attributes[semconv.COST_OPERATION] = usd
        attributes[semconv.COST_SOURCE] = source
    if version_of_prices is not None:
        attributes[semconv.COST_PRICING_VERSION] = version_of_prices


def _lacking(span: Span, attributes: dict[str, Any]) -> dict[str, Any]:
    """Those of `attributes` that a span of somebody else's does not have: the outer one wins, we fill the gaps."""
    present = getattr(span, "attributes", None) or {}
    return {name: value for name, value in attributes.items() if name not in present}
