"""The real `anthropic` SDK: our span where its own tracing is off; where it is on, its span, with what that lacks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx
import pytest
from instrument_helpers import CHAT, MESSAGE, attributes_of, message_of, opened, pieces_of, settled, status_of
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from provider import Provider
from provider.script import ANSWER
from support.spans import Recorded

NATIVE = "com.anthropic.sdk.python"
STREAMED = {"gen_ai.request.stream": True}


@dataclass(frozen=True)
class SDK:
    """The sync or the async client of one test."""

    url: str
    asynchronous: bool
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, steps: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
        """Runs the steps with a new client."""

        async def run() -> Any:
            kind = anthropic.AsyncAnthropic if self.asynchronous else anthropic.Anthropic
            given = {"base_url": self.url, "api_key": "local"} | self.options | options
            async with opened(kind(**given)) as client:
                return await steps(client)

        return asyncio.run(run())

    def message(self, headers: dict[str, str] | None = None, **options: Any) -> Any:
        return self.run(lambda client: settled(client.messages.create(**MESSAGE, extra_headers=headers)), **options)

    def stream(self, headers: dict[str, str] | None = None) -> list[str]:
        """The types of the events of a streamed message."""

        async def steps(client: Any) -> list[str]:
            stream = await settled(client.messages.create(**MESSAGE, stream=True, extra_headers=headers))
            return [event.type async for event in pieces_of(stream)]

        return self.run(steps)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def sdk(request: pytest.FixtureRequest, recorded: Recorded, provider: Provider) -> SDK:
    """A client whose own tracing is off."""
    return SDK(provider.url, request.param)


@pytest.fixture
def native(sdk: SDK, recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> SDK:
    """A client that traces itself, into the same provider."""
    monkeypatch.delenv("ANTHROPIC_OPEN_TELEMETRY")
    return SDK(sdk.url, sdk.asynchronous, {"open_telemetry": {"tracer_provider": recorded.tracer_provider}})


def again(test: str, times: int = 2) -> dict[str, str]:
    """Headers that make the first requests of a test fail."""
    return {"x-mode": f"fail-429-times-{times}", "x-test-id": f"anthropic {test}"}


def failed_of(provider: Provider, told: dict[str, Any]) -> dict[str, Any]:
    asked = message_of(provider)
    known = {name: value for name, value in asked.items() if not name.startswith(("gen_ai.response", "gen_ai.usage"))}
    del known["http.response.status_code"]
    return known | told


def test_a_message(recorded: Recorded, sdk: SDK, provider: Provider):
    message = sdk.message()
    assert type(message) is anthropic.types.Message
    assert message.content[0].text == ANSWER
    assert attributes_of(recorded.span) == message_of(provider)
    assert (recorded.span.name, *status_of(recorded.span)) == ("chat claude-haiku-4-5", "UNSET", None)


def test_a_stream(recorded: Recorded, sdk: SDK, provider: Provider):
    assert sdk.stream()[-1] == "message_stop"
    assert attributes_of(recorded.span) == message_of(provider, **STREAMED)


@pytest.mark.parametrize("api", ["messages", "beta.messages"])
def test_the_stream_helper(api: str, recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> str:
        resource = client.beta.messages if api == "beta.messages" else client.messages
        async with opened(resource.stream(**MESSAGE)) as stream:
            return await settled(stream.get_final_text()) if api == "messages" else await last_text(stream)

    assert sdk.run(steps) == ANSWER
    assert attributes_of(recorded.span) == message_of(provider, **STREAMED)


async def last_text(stream: Any) -> str:
    return (await settled(stream.get_final_message())).content[0].text


def test_a_cut_stream_does_not_count_output_that_was_never_stated(recorded: Recorded, sdk: SDK):
    async def steps(client: Any) -> None:
        headers = {"x-chunk-delay": "0.02"}
        stream = await settled(client.messages.create(**MESSAGE, stream=True, extra_headers=headers))
        async with opened(stream):
            async for _ in pieces_of(stream):
                break

    sdk.run(steps)
    assert recorded.span.attributes["llmtrace.stream.incomplete"] is True
    assert recorded.span.attributes["gen_ai.usage.input_tokens"] == 130
    assert "gen_ai.usage.output_tokens" not in recorded.span.attributes


def test_an_error_in_the_stream(recorded: Recorded, sdk: SDK):
    with pytest.raises(anthropic.APIStatusError):
        sdk.stream({"x-mode": "error-in-stream"})
    assert recorded.span.attributes["error.type"] == "overloaded_error"
    assert status_of(recorded.span) == ("ERROR", "Overloaded")


def test_a_raw_response_stays_as_it_is(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> None:
        raw = await settled(client.messages.with_raw_response.create(**MESSAGE))
        assert raw.headers["request-id"] == f"req_{1:024d}"
        assert (await settled(raw.parse())).content[0].text == ANSWER

    sdk.run(steps)
    assert attributes_of(recorded.span) == message_of(provider)


def test_a_streaming_response_stays_as_it_is(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> None:
        async with opened(client.messages.with_streaming_response.create(**MESSAGE)) as response:
            assert response.headers["request-id"] == f"req_{1:024d}"
            assert (await settled(response.parse())).content[0].text == ANSWER

    sdk.run(steps)
    assert attributes_of(recorded.span) == message_of(provider)


def test_counting_tokens_is_no_inference(recorded: Recorded, sdk: SDK):
    asked = {"model": MESSAGE["model"], "messages": MESSAGE["messages"]}
    assert sdk.run(lambda client: settled(client.messages.count_tokens(**asked))).input_tokens > 0
    assert recorded.spans == ()


def test_retries_are_one_call_without_an_error(recorded: Recorded, sdk: SDK, provider: Provider):
    assert sdk.message(again(f"retries {sdk.asynchronous}")).content[0].text == ANSWER
    assert len(provider.requests) == 3
    assert attributes_of(recorded.span) == message_of(provider, 3, **{"llmtrace.attempts": 3})
    assert status_of(recorded.span) == ("UNSET", None)


def test_retries_of_a_stream_are_one_call_without_an_error(recorded: Recorded, sdk: SDK, provider: Provider):
    assert sdk.stream(again(f"stream {sdk.asynchronous}"))[-1] == "message_stop"
    assert attributes_of(recorded.span) == message_of(provider, 3, **STREAMED, **{"llmtrace.attempts": 3})


def test_retries_in_vain_are_one_error(recorded: Recorded, sdk: SDK, provider: Provider):
    with pytest.raises(anthropic.InternalServerError):
        sdk.message({"x-mode": "fail-500"})
    told = {"http.response.status_code": 500, "error.type": "api_error", "llmtrace.attempts": 3}
    assert attributes_of(recorded.span, cost=None) == failed_of(provider, told)
    assert status_of(recorded.span) == ("ERROR", "Api")


def test_a_call_without_retries_fails_at_once(recorded: Recorded, sdk: SDK, provider: Provider):
    with pytest.raises(anthropic.APIStatusError):
        sdk.message({"x-mode": "fail-529"}, max_retries=0)
    told = {"http.response.status_code": 529, "error.type": "overloaded_error"}
    assert attributes_of(recorded.span, cost=None) == failed_of(provider, told)


def test_nobody_listening(recorded: Recorded, sdk: SDK, provider: Provider):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(anthropic.APIConnectionError) as caught:
        sdk.message(base_url=f"http://127.0.0.1:{port}", max_retries=1)
    told = {"server.port": port, "error.type": "httpx2.ConnectError", "llmtrace.attempts": 2}
    assert attributes_of(recorded.span, cost=None) == failed_of(provider, told)
    assert status_of(recorded.span) == ("ERROR", str(caught.value.__cause__))


# With the SDK's own tracing


OURS = {"llmtrace.layer": "httpx", "gen_ai.response.finish_reasons": ("end_turn",), "llmtrace.cost.status": "estimated"}


def owned_by_the_sdk(span: ReadableSpan) -> dict[str, Any]:
    """The attributes of the one span that the SDK made."""
    assert span.instrumentation_scope is not None
    assert (span.instrumentation_scope.name, span.name) == (NATIVE, "anthropic.messages.create")
    return dict(span.attributes or {})


def total_input(recorded: Recorded) -> int:
    return sum((span.attributes or {}).get("gen_ai.usage.input_tokens", 0) for span in recorded.spans)


def test_its_span_is_the_only_one_and_has_its_cost(recorded: Recorded, native: SDK):
    assert native.message().content[0].text == ANSWER
    attributes = owned_by_the_sdk(recorded.span)
    assert attributes.items() >= OURS.items()
    assert attributes["llmtrace.cost.usd"] == attributes["operation.cost"] == pytest.approx(7e-05)
    assert total_input(recorded) == 130
    assert status_of(recorded.span) == ("OK", None)


def test_its_span_is_the_only_one_when_the_provider_is_the_global_one(
    recorded: Recorded, sdk: SDK, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("ANTHROPIC_OPEN_TELEMETRY")
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", recorded.tracer_provider)
    sdk.message()
    assert owned_by_the_sdk(recorded.span).items() >= OURS.items()
    assert total_input(recorded) == 130


def test_its_span_of_a_stream_is_the_only_one(recorded: Recorded, native: SDK):
    assert native.stream()[-1] == "message_stop"
    assert owned_by_the_sdk(recorded.span).items() >= OURS.items()
    assert total_input(recorded) == 130
    assert status_of(recorded.span) == ("OK", None)


def test_its_span_of_retries_is_the_only_one(recorded: Recorded, native: SDK):
    native.message(again(f"native {native.asynchronous}"))
    attributes = owned_by_the_sdk(recorded.span)
    assert attributes.items() >= (OURS | {"llmtrace.attempts": 3}).items()
    assert attributes["http.response.status_code"] == 200
    assert "error.type" not in attributes
    assert total_input(recorded) == 130


def test_its_span_of_a_retried_stream_has_one_cost(recorded: Recorded, native: SDK):
    native.stream(again(f"native stream {native.asynchronous}"))
    attributes = owned_by_the_sdk(recorded.span)
    assert total_input(recorded) == 130
    assert attributes.items() >= (OURS | {"llmtrace.attempts": 3}).items()


def test_its_span_of_an_error_is_the_only_one(recorded: Recorded, native: SDK):
    with pytest.raises(anthropic.InternalServerError):
        native.message({"x-mode": "fail-500"}, max_retries=1)
    attributes = owned_by_the_sdk(recorded.span)
    assert (attributes["http.response.status_code"], attributes["error.type"]) == (500, "api_error")
    assert status_of(recorded.span)[0] == "ERROR"
    assert "llmtrace.cost.usd" not in attributes


@pytest.mark.xfail(reason="a held attempt is written after the SDK has ended its span, so nothing of ours gets there")
def test_its_span_of_an_error_has_the_attempts(recorded: Recorded, native: SDK):
    with pytest.raises(anthropic.InternalServerError):
        native.message({"x-mode": "fail-500"}, max_retries=1)
    assert owned_by_the_sdk(recorded.span).get("llmtrace.attempts") == 2


@pytest.mark.xfail(reason="the SDK ends its span before it closes the stream, and we write only then")
def test_its_span_of_a_stream_that_is_left_is_marked(recorded: Recorded, native: SDK):
    async def steps(client: Any) -> None:
        headers = {"x-chunk-delay": "0.02"}
        async with opened(
            await settled(client.messages.create(**MESSAGE, stream=True, extra_headers=headers))
        ) as stream:
            async for _ in pieces_of(stream):
                break

    native.run(steps)
    assert total_input(recorded) == 130
    assert owned_by_the_sdk(recorded.span).get("llmtrace.stream.incomplete") is True


def test_a_call_inside_a_tool_of_its_runner_has_a_span_of_its_own(
    recorded: Recorded, provider: Provider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("ANTHROPIC_OPEN_TELEMETRY")
    url = f"{provider.url}/v1/chat/completions"

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return httpx.post(url, json=CHAT).text and city

    options = {"tracer_provider": recorded.tracer_provider}
    with anthropic.Anthropic(base_url=provider.url, api_key="local", open_telemetry=options) as client:
        client.beta.messages.tool_runner(**MESSAGE, tools=[weather]).until_done()
    tool = next(span for span in recorded.spans if span.attributes["gen_ai.operation.name"] == "execute_tool")
    (call,) = (span for span in recorded.spans if span.parent == tool.context)
    assert call.attributes["gen_ai.request.model"] == "gpt-4o-mini"
    assert "gen_ai.usage.input_tokens" not in tool.attributes
