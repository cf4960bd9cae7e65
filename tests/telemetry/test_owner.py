"""A span that an SDK makes for its own call is added to, never doubled, overwritten or ended by us."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import Span, SpanKind, StatusCode

from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.wire.call import Call
from provider import Provider
from support.spans import Recorded

NATIVE = "com.anthropic.sdk.python"
MESSAGES = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
CHAT = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}


def native(
    recorded: Recorded,
    name: str = "anthropic.messages.create",
    scope: str = NATIVE,
    kind: SpanKind = SpanKind.CLIENT,
    **attributes: Any,
) -> Span:
    """A span as the SDK starts it."""
    given = {"gen_ai.operation.name": "chat", **attributes}
    return recorded.tracer_provider.get_tracer(scope).start_span(name, kind=kind, attributes=given)


def within(span: Span, url: str, body: dict[str, Any], **headers: str) -> None:
    """Sends a request while `span` is current, and leaves it open."""
    with trace.use_span(span, end_on_exit=False), httpx2.Client() as client:
        client.post(url, json=body, headers=headers)


def attributes(span: Any) -> dict[str, Any]:
    return dict(span.attributes)


def test_the_sdks_own_span_is_filled_up_and_left_open(recorded: Recorded, provider: Provider) -> None:
    span = native(recorded)
    within(span, f"{provider.url}/v1/messages", MESSAGES)
    assert recorded.spans == ()
    assert span.is_recording()
    found = attributes(span)
    assert (
        found.items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-haiku-4-5",
            "gen_ai.response.model": "claude-haiku-4-5-20251001",
            "gen_ai.usage.input_tokens": 130,
            "gen_ai.usage.cache_write.input_tokens": 20,
            "llmtrace.cost.status": "estimated",
            "llmtrace.layer": "httpx",
            "server.address": "127.0.0.1",
        }.items()
    )
    span.end()
    assert recorded.span.name == "anthropic.messages.create"


def test_what_the_sdk_has_said_stays(recorded: Recorded, provider: Provider) -> None:
    said: dict[str, Any] = {
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": "alias",
        "gen_ai.usage.input_tokens": 7,
    }
    span = native(recorded, **said)
    within(span, f"{provider.url}/v1/messages", MESSAGES)
    assert {name: attributes(span)[name] for name in said} == said


def test_the_status_of_the_sdks_span_is_the_sdks_to_set(recorded: Recorded, provider: Provider) -> None:
    span = native(recorded)
    within(span, f"{provider.url}/v1/messages", MESSAGES, **{"x-mode": "fail-429"})
    assert attributes(span)["error.type"] == "rate_limit_error"
    span.end()
    assert recorded.span.status.status_code is StatusCode.UNSET


def test_a_span_of_the_sdk_that_nobody_records_is_no_owner(recorded: Recorded, provider: Provider) -> None:
    """Ours then decides for itself: the SDK may send its spans elsewhere, or nowhere."""
    elsewhere = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    unrecorded = elsewhere.get_tracer(NATIVE).start_span("anthropic.messages.create")
    always = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    spans = InMemorySpanExporter()
    always.add_span_processor(SimpleSpanProcessor(spans))
    with trace.use_span(unrecorded):
        Recorder(always).start(Call("chat", "anthropic", request_model="claude-haiku-4-5")).end()
    assert [span.name for span in spans.get_finished_spans()] == ["chat claude-haiku-4-5"]


def test_a_span_of_the_sdk_that_has_ended_is_no_owner(recorded: Recorded, provider: Provider) -> None:
    ended = native(recorded)
    ended.end()
    within(ended, f"{provider.url}/v1/messages", MESSAGES)
    assert [span.name for span in recorded.spans] == ["anthropic.messages.create", "chat claude-haiku-4-5"]


def test_an_inference_span_is_filled_up_whoever_made_it(recorded: Recorded, provider: Provider) -> None:
    span = native(recorded, scope="somebody.else")
    within(span, f"{provider.url}/v1/messages", MESSAGES)
    assert recorded.spans == ()
    assert attributes(span)["gen_ai.usage.input_tokens"] == 130


def test_a_span_that_states_tokens_by_openinferences_names_is_given_none_by_ours(
    recorded: Recorded, provider: Provider
) -> None:
    attribute = {"openinference.span.kind": "LLM"}
    span = recorded.tracer_provider.get_tracer("openinference").start_span("ChatCompletion", attributes=attribute)
    within(span, f"{provider.url}/v1/messages", MESSAGES)
    assert recorded.spans == ()
    found = attributes(span)
    assert found["llmtrace.cost.status"] == "estimated"
    assert not any(name.startswith("gen_ai.usage.") for name in found)


def test_any_other_span_is_a_parent(recorded: Recorded, provider: Provider) -> None:
    span = recorded.tracer_provider.get_tracer("somebody.else").start_span("work", kind=SpanKind.CLIENT)
    within(span, f"{provider.url}/v1/messages", MESSAGES)
    ours = recorded.span
    assert ours.name == "chat claude-haiku-4-5"
    assert ours.parent is not None
    assert ours.parent.span_id == span.get_span_context().span_id
    assert attributes(span) == {}


@pytest.mark.parametrize("operation", ["execute_tool", "invoke_agent", "chat"])
def test_a_call_inside_a_tool_or_an_agent_has_a_span_of_its_own(
    recorded: Recorded, provider: Provider, operation: str
) -> None:
    """The SDK's tool runner runs tools inside current, internal spans of the same scope."""
    attribute: dict[str, Any] = {"gen_ai.operation.name": operation}
    around = native(recorded, "anthropic.around", kind=SpanKind.INTERNAL, **attribute)
    within(around, f"{provider.url}/v1/chat/completions", CHAT)
    assert [span.name for span in recorded.spans] == ["chat gpt-5-mini"]
    assert attributes(around) == attribute


def test_a_call_inside_a_client_span_of_another_operation_has_a_span_of_its_own(
    recorded: Recorded, provider: Provider
) -> None:
    attribute: dict[str, Any] = {"gen_ai.operation.name": "create_agent"}
    creating = native(recorded, "anthropic.sessions.create", **attribute)
    within(creating, f"{provider.url}/v1/messages", MESSAGES)
    assert [span.name for span in recorded.spans] == ["chat claude-haiku-4-5"]
    assert attributes(creating) == attribute


@pytest.mark.parametrize("platform", ["bedrock", "vertex"])
def test_the_span_of_a_platforms_client_is_its_calls_span_too(
    recorded: Recorded, provider: Provider, platform: str
) -> None:
    """The SDK appends the platform of its cloud clients to the scope's name."""
    span = native(recorded, scope=f"{NATIVE}.{platform}")
    within(span, f"{provider.url}/v1/messages", MESSAGES)
    assert recorded.spans == ()
    assert attributes(span)["gen_ai.usage.input_tokens"] == 130
