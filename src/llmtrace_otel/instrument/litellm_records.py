"""What LiteLLM hands to a callback, read into a conversation record.

`kwargs` is LiteLLM's own account of the call, with its `standard_logging_object` in it. The same call may be told twice
and in different shapes (a Responses answer of a model without that API comes as a chat answer, too): messages and
answers are read in the wire format that they are made after, so that the record is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import msgspec

from llmtrace_otel.conversations.record import (
    EventType,
    Record,
    clean,
    clean_messages,
    counted,
    finish_reason,
    iso,
)
from llmtrace_otel.instrument.litellm_calls import (
    CHAT,
    EMBEDDING,
    IMAGE,
    MESSAGES,
    RESPONSES,
    TEXT,
    Operation,
    amount,
    begin,
    encoded,
)
from llmtrace_otel.wire.call import Call, Usage

_OPERATIONS: Final[dict[str, Operation]] = {
    "completion": CHAT,
    "text_completion": TEXT,
    "responses": RESPONSES,
    "embedding": EMBEDDING,
    "anthropic_messages": MESSAGES,
    "image_generation": IMAGE,
}
"""By LiteLLM's `call_type`, which has an `a` before it for an asynchronous call."""

REDACTED_BY_LITELLM: Final = "redacted-by-litellm"
"""What LiteLLM has in place of messages where it is told not to log them."""
_NOT_THE_CALLERS: Final = frozenset(
    {
        *("session_key", "session_id", "litellm_session_id", "agent_type", "parent_session", "task_id", "turn_count"),
        *("api_base", "applied_guardrails", "attempted_fallbacks", "attempted_retries", "caching_groups"),
        *("cold_storage_object_key", "deployment", "deployment_model_name", "endpoint", "guardrail_information"),
        *("headers", "hidden_params", "kubernetes_pod_routing", "llm_api_timing_windows", "max_retries"),
        *("model_group", "model_group_alias", "model_group_size", "model_info", "original_model_group"),
        *("previous_models", "proxy_server_request", "raw_request", "request_retry_count"),
        *("requester_custom_headers", "requester_ip_address", "requester_metadata", "routing_decision"),
        *("routing_plugin_signals", "standard_logging_guardrail_information", "usage_object", "user_agent"),
    }
)
"""Keys of `metadata` that the record has elsewhere, or that LiteLLM puts there for itself."""


def record_of(event_type: EventType, kwargs: Mapping[str, Any], response: Any, start: Any, end: Any) -> Record:
    """The record of one call, from what LiteLLM gives to `log_success_event` and its like. May raise."""
    params = _mapping(kwargs.get("litellm_params"))
    told = {**_mapping(params.get("litellm_metadata")), **_mapping(params.get("metadata"))}
    operation = _operation(kwargs)
    call = begin(operation or CHAT, {name: kwargs.get(name) for name in ("model", "custom_llm_provider")}, capture=True)
    asked = _asked(operation or CHAT, kwargs)
    failed = event_type == "failure"
    answer = Call(call.operation, "") if failed else _answered(operation or CHAT, kwargs, response)
    record = Record(
        event_type=event_type,
        call_id=_text(kwargs.get("litellm_call_id")),
        operation=operation.name if operation else _text(kwargs.get("call_type")),
        provider=call.provider,
        model=call.request_model,
        session_key=_text(told.get("session_key")),
        session_id=_text(told.get("session_id")),
        litellm_session_id=_text(params.get("litellm_session_id")) or _text(told.get("litellm_session_id")),
        agent_type=_text(told.get("agent_type")),
        parent_session=_text(told.get("parent_session")),
        task_id=_text(told.get("task_id")),
        turn_count=_count(told.get("turn_count")),
        metadata=clean(_callers(told, kwargs.get("exception") if failed else None)),
        messages=clean_messages([*(asked.system_instructions or ()), *(asked.input_messages or ())]),
        response_messages=clean_messages(answer.output_messages or []),
        finish_reason=finish_reason(answer.finish_reasons, answer.output_messages or []),
        usage=counted(answer.usage),
    )
    _set_times(record, start, end)
    if failed:
        _set_error(record, kwargs)
    else:
        record.usage_estimated = _is_estimated(kwargs, answer.usage)
        _set_cost(record, kwargs)
    return record


def _operation(kwargs: Mapping[str, Any]) -> Operation | None:
    """None for a kind of call that is no conversation; what does not say what it is, is a chat."""
    kind = kwargs.get("call_type") or "completion"
    return _OPERATIONS.get(kind) or _OPERATIONS.get(kind.removeprefix("a"))


def _logged(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(kwargs.get("standard_logging_object"))


def _asked(operation: Operation, kwargs: Mapping[str, Any]) -> Call:
    """A call that holds the messages that were sent; instructions are one of the role `system`."""
    seen = Call(operation.name, "", capture=True)
    messages = _logged(kwargs).get("messages") or kwargs.get("messages")
    if operation not in (RESPONSES, MESSAGES):  # LiteLLM has made chat messages of prompts and inputs
        operation = CHAT
    name = "input" if operation is RESPONSES else "messages"
    body = encoded({"model": "", name: messages})
    request = operation.format.read_request(body, seen) if operation.format and body else None
    if request is not None:
        request.write(seen)
    instructions = None if operation is CHAT else _instructions(messages, kwargs)
    if instructions is not None:
        seen.system_instructions = [{"role": "system", "parts": [{"type": "text", "content": instructions}]}]
    return seen


def _instructions(messages: Any, kwargs: Mapping[str, Any]) -> str | None:
    """What was not among the messages: as it was given, or as the first message of the chat that LiteLLM made of it."""
    first = _mapping(messages[0]) if isinstance(messages, list) and messages else {}
    if first.get("role") == "system" or first.get("content") == REDACTED_BY_LITELLM:
        return None
    for given in (kwargs, _mapping(kwargs.get("optional_params"))):
        for name in ("instructions", "system"):
            if given.get(name):
                return _text(given[name])
    sent = kwargs.get("input")
    begins = _mapping(sent[0]) if isinstance(sent, list) and sent else {}
    return _text(begins.get("content")) if begins.get("role") == "system" else None


def _answered(operation: Operation, kwargs: Mapping[str, Any], response: Any) -> Call:
    """A call that holds what the answer shows."""
    seen = Call(operation.name, "", capture=True)
    shown = _shown(response) or dict(_mapping(_logged(kwargs).get("response")))
    counted = _mapping(_mapping(_logged(kwargs).get("metadata")).get("usage_object"))
    if counted:  # LiteLLM changes the answer's own until it is no longer what its class says
        shown["usage"] = counted
    if operation is not EMBEDDING:
        operation = RESPONSES if "output" in shown else CHAT if "choices" in shown else MESSAGES
    if operation.format:
        operation.format.read_response(encoded(shown) or b"", seen)
    seen.usage = _stated(seen.usage, _mapping(shown.get("usage")))
    return seen


def _shown(response: Any) -> dict[str, Any]:
    body = encoded(response)
    return dict(_mapping(msgspec.json.decode(body))) if body else {}


def _stated(usage: Usage | None, counts: Mapping[str, Any]) -> Usage | None:
    """The usage without the zeros that LiteLLM has where nothing was stated."""
    if usage is None or not (usage.input or usage.output):
        return None
    split = _mapping(counts.get("completion_tokens_details")).get("text_tokens")
    if usage.reasoning == 0 and split is not None:  # the whole output is text by its own reckoning
        usage.reasoning = None
    return usage


def _is_estimated(kwargs: Mapping[str, Any], usage: Usage | None) -> bool:
    """Whether LiteLLM counted a stream's tokens itself, as far as can be told: it does not say so.

    A provider states them if it is asked to, and those that do so unasked tell what of the input was cached.
    """
    options = kwargs.get("stream_options") or _mapping(kwargs.get("optional_params")).get("stream_options")
    asked_for = _mapping(options).get("include_usage") is True
    return usage is not None and kwargs.get("stream") is True and not asked_for and usage.cache_read is None


def _set_cost(record: Record, kwargs: Mapping[str, Any]) -> None:
    """LiteLLM's zero may mean that it has no price: it is a cost only where a cache has answered."""
    cost = amount(kwargs.get("response_cost"))
    record.cache_hit = kwargs.get("cache_hit") is True or _logged(kwargs).get("cache_hit") is True
    if record.cache_hit:
        record.cost_usd = 0.0
        record.saved_cost_usd = amount(_logged(kwargs).get("saved_cache_cost")) or cost
    else:
        record.cost_usd = cost


def _set_error(record: Record, kwargs: Mapping[str, Any]) -> None:
    error = kwargs.get("exception")
    told = _mapping(_logged(kwargs).get("error_information"))
    raised = isinstance(error, BaseException)
    record.error_type = type(error).__name__ if raised else _text(told.get("error_class")) or "Exception"
    record.error_message = clean(str(error) if raised else _text(told.get("error_message")) or _text(error))


def _set_times(record: Record, start: Any, end: Any) -> None:
    began, ended = _seconds(start), _seconds(end)
    record.start_time, record.end_time = iso(began), iso(ended)
    if began is not None and ended is not None and ended >= began:
        record.duration_s = round(ended - began, 6)


def _seconds(time: Any) -> float | None:
    """Seconds since 1970; a datetime without a zone is local time, as LiteLLM's are."""
    if isinstance(time, datetime):
        return time.timestamp()
    return float(time) if isinstance(time, int | float) and not isinstance(time, bool) else None


def _callers(told: Mapping[str, Any], error: Any) -> dict[str, Any]:
    """What else the caller said of the call, each key that JSON can hold."""
    headers = _mapping(getattr(error, "headers", None))  # LiteLLM adds them to the metadata
    found: dict[str, Any] = {}
    for name, value in told.items():
        if isinstance(name, str) and not name.startswith(("user_api_key", "_")) and name not in _NOT_THE_CALLERS:
            with suppress(Exception):
                if name not in headers:
                    found[name] = msgspec.json.decode(msgspec.json.encode(value))
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
