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

from msgspec import Struct
from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber, get_logger
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, Status, StatusCode, TracerProvider

from llmtrace_otel.telemetry import content, cost, delta, doubts, semconv
from llmtrace_otel.telemetry.current import get_current
from llmtrace_otel.telemetry.metrics import CallMetrics
from llmtrace_otel.telemetry.owner import frame_of, owner_of, speaks_openinference
from llmtrace_otel.telemetry.tracer import CallTracer
from llmtrace_otel.telemetry.within import Part
from llmtrace_otel.wire.call import Call, Library

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

LIBRARY_REQUEST: dict[str, str] = {
    semconv.SESSION_ID: "session_id",
    semconv.AGENT_NAME: "agent_name",
    semconv.AGENT_ID: "agent_id",
    semconv.AGENT_TYPE: "agent_type",
    semconv.AGENT_PARENT_ID: "parent_agent_id",
    semconv.AGENT_PARENT_SESSION: "parent_session",
    semconv.TASK_ID: "task_id",
    semconv.TURN_COUNT: "turn_count",
    semconv.ORIGINAL_MODEL: "original_model",
}
"""What the one who makes the request for the program was told, or says of itself."""

LIBRARY_RESPONSE: dict[str, str] = {
    semconv.ORIGINAL_MODEL: "original_model",
    semconv.CACHE_HIT: "cache_hit",
    semconv.COST_SAVED_USD: "saved_cost",
    semconv.USAGE_ESTIMATED: "usage_estimated",
}
"""What it knows of the answer."""

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


_request = _reader(REQUEST)
_library_request = _reader(LIBRARY_REQUEST)
_library_response = _reader(LIBRARY_RESPONSE)

_response = _reader(RESPONSE)
_response_with_usage = _reader(RESPONSE | {name: f"usage.{field}" for name, field in USAGE.items()})
_content = _reader(CONTENT)


def starting_attributes(call: Call) -> dict[str, Any]:
    """All that a call's span is created with."""
    attributes = _request(call)
    if call.library is not None:
        attributes |= _library_request(call.library)
    return attributes


class CallSpan(Struct, eq=False):
    """The span of one call, from its start to its end."""

    recorder: Recorder
    call: Call
    span: Span
    provider: str
    model: str | None
    started: dict[str, Any] = {}
    """What the span was started with, as `provider` and `model` are what the call had then."""
    owned: bool = True
    """Whether the span is ours; otherwise we only add to it and never end it."""
    ended: bool = False

    def end(self) -> None:
        """Writes what the call now knows and ends the span; a second time does nothing. Never raises."""
        if self.ended:
            return
        self.ended = True
        try:
            self.recorder.finish(self)
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
        self._tracer = CallTracer(tracer_provider)
        self._metrics = CallMetrics(meter_provider)
        self._logger_provider = logger_provider

    def start(self, call: Call, here: Context | None = None) -> CallSpan | Part:
        """Starts the call's span, or finds the one that has already been started for it above, in a context."""
        call.start_ns = time_ns()
        if here is None:
            here = get_current()
        frame = frame_of(here) if here else None
        return self.start_call(call, here) if frame is None else frame.part(call)

    def start_call(self, call: Call, here: Context | None = None) -> CallSpan:
        """Starts the span of a call that is no part of one of ours, in a context, the current one by default."""
        call.start_ns = call.start_ns or time_ns()
        if here is None:
            here = get_current()
        owner = owner_of(here)
        if owner is not None:
            cost.load()
            return CallSpan(self, call, owner, call.provider, call.request_model, owned=False)
        started = starting_attributes(call)
        span = self._tracer.start(name_of(call), started, call.start_ns, here)
        if span.is_recording():
            cost.load()
        elif call.capture:
            call.capture = content.on_events()  # of a span that is not sampled nothing else is kept
        return CallSpan(self, call, span, call.provider, call.request_model, started)

    def finish(self, call_span: CallSpan) -> None:
        """Writes the span's last attributes, the metrics and the event."""
        call, span = call_span.call, call_span.span
        call.end_ns = call.end_ns or time_ns()
        recorded: content.Recorded | None = None
        if span.is_recording():
            attributes = ending_attributes(call)
            if call.provider != call_span.provider:  # the answer told more than the host did
                attributes[semconv.PROVIDER] = call.provider
            if call.library is not None:
                attributes |= self._seen_below(call_span)
            if content.on_spans():
                recorded = _recorded_content(call, span)
                attributes |= _content_as_json(recorded)
            if call_span.owned:
                self._tracer.add(span, attributes)
            else:
                span.set_attributes(_lacking(span, call, attributes))
            if call_span.owned and call.error_type is not None:
                message = content.redacted(call.error_message) if call.error_message else None
                span.set_status(Status(StatusCode.ERROR, message))
        self._metrics.record(call, (call.end_ns - call.start_ns) / 1e9)
        if content.on_events():
            self._emit_event(call, span, recorded)
        if call_span.owned:
            span.end(call.end_ns)
        if call.usage is None or call.unreadable is not None:
            doubts.warn(call)

    def _seen_below(self, call_span: CallSpan) -> dict[str, Any]:
        """What only the requests within the call have told of it, since its span was started."""
        if call_span.owned and call_span.call.request_model != call_span.model:
            call_span.span.update_name(name_of(call_span.call))
        told, started = starting_attributes(call_span.call), call_span.started
        return {name: value for name, value in told.items() if name not in started or started[name] != value}

    def _emit_event(self, call: Call, span: Span, recorded: content.Recorded | None) -> None:
        said = _content_as_it_is(_recorded_content(call, span) if recorded is None else recorded)
        attributes = {**starting_attributes(call), **ending_attributes(call), **said}
        record = LogRecord(
            timestamp=call.end_ns,
            context=trace.set_span_in_context(span),
            severity_number=SeverityNumber.DEBUG,
            event_name=semconv.EVENT_INFERENCE_DETAILS,
            attributes=attributes,
        )
        get_logger(semconv.SCOPE, semconv.VERSION, self._logger_provider, semconv.SCHEMA_URL).emit(record)


def name_of(call: Call) -> str:
    """The name of a call's span."""
    return f"{call.operation} {call.request_model}" if call.request_model else call.operation


def _recorded_content(call: Call, span: Span) -> content.Recorded:
    """The call's messages as they may leave: redacted, cut to the limit and, if so asked, without what was said before.

    A span that has content of somebody else's already is given the whole: half of each would be neither.
    """
    given, sent = _content(call), call.sent if call.input_messages is None else None
    if content.as_delta() and (getattr(span, "attributes", None) or {}).keys().isdisjoint(CONTENT if sent else given):
        return delta.recorded(given, span, sent)
    if sent is not None:
        given[semconv.INPUT_MESSAGES] = sent.messages()
    return content.recorded(given)


def _content_as_json(recorded: content.Recorded) -> dict[str, Any]:
    return {name: found.to_json() if type(found) is content.Exported else found for name, found in recorded.items()}


def _content_as_it_is(recorded: content.Recorded) -> dict[str, Any]:
    return {name: found.value if isinstance(found, content.Exported) else found for name, found in recorded.items()}


def ending_attributes(call: Call) -> dict[str, Any]:
    """All that an ended call adds to its span, without content."""
    attributes = _response(call) if call.usage is None else _response_with_usage(call)
    if call.first_chunk_ns is not None and call.streamed:
        attributes[semconv.RESPONSE_TIME_TO_FIRST_CHUNK] = (call.first_chunk_ns - call.start_ns) / 1e9
    if call.operation == "fetch_response" and call.response_status is not None:
        attributes[semconv.RESPONSE_STATUS] = call.response_status
    if call.api_type is not None:
        _add_openai(call, attributes)
    if call.attempts > 1:
        attributes[semconv.ATTEMPTS] = call.attempts
    if call.usage is None or not call.complete:
        _add_doubts(call, attributes)
    _add_cost(call, attributes)
    if call.library is not None:
        _add_library(call.library, attributes)
    if call.replayed_seconds is not None:
        attributes[semconv.CACHE_HIT] = attributes[semconv.REPLAY] = True
        attributes[semconv.REPLAY_ORIGINAL_DURATION] = call.replayed_seconds
    return attributes


def _add_library(library: Library, attributes: dict[str, Any]) -> None:
    attributes |= _library_response(library)
    if attributes.get(semconv.COST_SOURCE) == library.cost_source:
        for name, usd in (library.cost_breakdown or {}).items():
            attributes[semconv.COST_BREAKDOWN + name] = usd


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
    attributes[semconv.COST_STATUS] = charged.status
    if charged.usd is not None:
        attributes[semconv.COST_USD] = attributes[semconv.COST_OPERATION] = charged.usd
        attributes[semconv.COST_SOURCE] = charged.source
    if charged.pricing_version is not None:
        attributes[semconv.COST_PRICING_VERSION] = charged.pricing_version


def _lacking(span: Span, call: Call, attributes: dict[str, Any]) -> dict[str, Any]:
    """What a span of somebody else's does not have of a call: the outer one wins, we fill the gaps."""
    present = getattr(span, "attributes", None) or {}
    if speaks_openinference(span):  # which states the tokens by other names
        present = {*present, *USAGE}
    return {name: value for name, value in {**starting_attributes(call), **attributes}.items() if name not in present}
