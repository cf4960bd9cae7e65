"""The real `openai` SDK, version 2 on httpx and 3 on httpx2: one span for each of its calls, whatever is inside."""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pydantic
import pytest
from instrument_helpers import (
    CHAT,
    CHAT_STREAM,
    PARIS,
    answer_of,
    attributes_of,
    opened,
    pieces_of,
    request_of,
    settled,
    status_of,
)

from llmtrace_otel.instrument.httpx import HTTPXInstrumentor
from provider import Provider
from provider.script import ANSWER
from support.spans import Recorded

HTTP = "httpx" if int(openai.__version__.partition(".")[0]) < 3 else "httpx2"
STREAMED = {"gen_ai.request.stream": True}
USAGE = {"include_usage": True}


class Weather(pydantic.BaseModel):
    """A tool's arguments."""

    city: str


@dataclass(frozen=True)
class SDK:
    """The sync or the async client of one test."""

    url: str
    asynchronous: bool

    def run(self, steps: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
        """Runs the steps with a new client."""

        async def run() -> Any:
            kind = openai.AsyncOpenAI if self.asynchronous else openai.OpenAI
            async with opened(kind(**({"base_url": self.url, "api_key": "local"} | options))) as client:
                return await steps(client)

        return asyncio.run(run())

    def chat(self, **more: Any) -> Any:
        """One chat completion."""
        headers, options = more.pop("headers", {}), more.pop("options", {})
        return self.run(
            lambda client: settled(client.chat.completions.create(**CHAT, **more, extra_headers=headers)), **options
        )


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def sdk(request: pytest.FixtureRequest, provider: Provider) -> SDK:
    return SDK(f"{provider.url}/v1", request.param)


def test_a_chat_completion(recorded: Recorded, sdk: SDK, provider: Provider):
    completion = sdk.chat(temperature=0.5, max_completion_tokens=9, seed=4)
    assert type(completion) is openai.types.chat.ChatCompletion
    assert completion.choices[0].message.content == ANSWER
    asked = {
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 4,
    }
    assert attributes_of(recorded.span) == request_of(provider, **asked) | answer_of()
    assert (recorded.span.name, *status_of(recorded.span)) == ("chat gpt-4o-mini", "UNSET", None)


def test_a_chat_stream(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> str:
        stream = await settled(client.chat.completions.create(**CHAT_STREAM))
        chunks = [chunk async for chunk in pieces_of(stream)]
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    assert sdk.run(steps) == ANSWER
    assert attributes_of(recorded.span) == request_of(provider, **STREAMED) | answer_of()


def test_a_chat_stream_that_is_left(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> None:
        headers = {"x-chunk-delay": "0.02"}
        async with opened(
            await settled(client.chat.completions.create(**CHAT_STREAM, extra_headers=headers))
        ) as stream:
            async for _ in pieces_of(stream):
                break

    sdk.run(steps)
    untold = ("gen_ai.usage", "gen_ai.response.finish_reasons")
    seen = {name: value for name, value in answer_of().items() if not name.startswith(untold)}
    seen["llmtrace.stream.incomplete"] = True
    assert attributes_of(recorded.span, cost="unknown") == request_of(provider, **STREAMED) | seen
    assert status_of(recorded.span) == ("UNSET", None)


def test_the_chat_stream_helper(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> str:
        async with opened(client.chat.completions.stream(**CHAT, stream_options=USAGE)) as stream:
            return (await settled(stream.get_final_completion())).choices[0].message.content

    assert sdk.run(steps) == ANSWER
    assert attributes_of(recorded.span) == request_of(provider, **STREAMED) | answer_of()


def test_a_parsed_tool_call(recorded: Recorded, sdk: SDK, provider: Provider):
    tools = [openai.pydantic_function_tool(Weather)]
    completion = sdk.run(lambda client: settled(client.chat.completions.parse(**CHAT, tools=tools)))
    (call,) = completion.choices[0].message.tool_calls
    assert call.function.parsed_arguments == Weather(city="Paris")
    answered = answer_of() | {"gen_ai.response.finish_reasons": ("tool_calls",)}
    assert attributes_of(recorded.span) == request_of(provider) | answered


RESPONSE = {
    "http.response.status_code": 200,
    "gen_ai.response.id": f"resp_{1:024d}",
    "gen_ai.response.model": "gpt-5-mini-2025-08-07",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.usage.cache_read.input_tokens": 0,
    "gen_ai.usage.reasoning.output_tokens": 0,
    "openai.response.service_tier": "default",
}


async def create_response(client: Any) -> str:
    return (await settled(client.responses.create(model="gpt-5-mini", input="Paris?"))).output_text


async def parse_response(client: Any) -> str:
    return (await settled(client.responses.parse(model="gpt-5-mini", input="Paris?"))).output_text


async def create_response_stream(client: Any) -> str:
    stream = await settled(client.responses.create(model="gpt-5-mini", input="Paris?", stream=True))
    events = [event async for event in pieces_of(stream)]
    return events[-1].response.output_text


async def stream_response(client: Any) -> str:
    async with opened(client.responses.stream(model="gpt-5-mini", input="Paris?")) as stream:
        return (await settled(stream.get_final_response())).output_text


@pytest.mark.parametrize(
    ("steps", "streamed"),
    [(create_response, False), (parse_response, False), (create_response_stream, True), (stream_response, True)],
)
def test_responses(steps: Any, streamed: bool, recorded: Recorded, sdk: SDK, provider: Provider):
    assert sdk.run(steps) == ANSWER
    asked = {"gen_ai.request.model": "gpt-5-mini", "openai.api.type": "responses"} | (STREAMED if streamed else {})
    assert attributes_of(recorded.span) == request_of(provider, **asked) | RESPONSE


def test_retrieving_a_response_counts_no_tokens(recorded: Recorded, sdk: SDK):
    assert sdk.run(lambda client: settled(client.responses.retrieve("resp_7"))).usage.input_tokens == 10
    attributes = attributes_of(recorded.span, cost=None)
    assert attributes["gen_ai.operation.name"] == "fetch_response"
    assert attributes["gen_ai.response.id"] == "resp_7"
    assert not [name for name in attributes if name.startswith("gen_ai.usage")]


def test_embeddings(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> int:
        created = await settled(client.embeddings.create(model="text-embedding-3-small", input=["Paris"]))
        return len(created.data[0].embedding)

    assert sdk.run(steps) == 8
    asked = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.request.model": "text-embedding-3-small",
        "gen_ai.request.encoding_formats": ("base64",),  # the SDK's own choice
        "openai.api.type": None,
    }
    answered = {
        "http.response.status_code": 200,
        "gen_ai.response.model": "text-embedding-3-small",
        "gen_ai.usage.input_tokens": 10,
    }
    assert attributes_of(recorded.span) == request_of(provider, **asked) | answered


def test_text_completions(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> str:
        return (await settled(client.completions.create(model="gpt-4o-mini", prompt="Paris is"))).choices[0].text

    assert sdk.run(steps) == ANSWER
    asked = {"gen_ai.operation.name": "text_completion", "openai.api.type": None}
    answered = answer_of() | {"gen_ai.response.id": f"cmpl-{1:024d}"}
    del answered["openai.response.service_tier"]
    assert attributes_of(recorded.span) == request_of(provider, **asked) | answered


def test_a_raw_response_stays_as_it_is(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> None:
        raw = await settled(client.chat.completions.with_raw_response.create(**CHAT))
        assert raw.headers["x-request-id"] == f"req_{1:024d}"
        assert raw.status_code == 200
        assert (await settled(raw.parse())).choices[0].message.content == ANSWER

    sdk.run(steps)
    assert attributes_of(recorded.span) == request_of(provider) | answer_of()


def test_a_raw_response_of_a_stream_stays_as_it_is(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> int:
        raw = await settled(client.chat.completions.with_raw_response.create(**CHAT_STREAM))
        return len([chunk async for chunk in pieces_of(await settled(raw.parse()))])

    assert sdk.run(steps) == 7
    assert attributes_of(recorded.span) == request_of(provider, **STREAMED) | answer_of()


def test_a_streaming_response_stays_as_it_is(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> None:
        async with opened(client.chat.completions.with_streaming_response.create(**CHAT)) as response:
            assert response.headers["x-request-id"] == f"req_{1:024d}"
            assert recorded.spans == ()
            lines = [line async for line in pieces_of(response.iter_lines())]
        assert json.loads("".join(lines))["choices"][0]["message"]["content"] == ANSWER

    sdk.run(steps)
    assert attributes_of(recorded.span) == request_of(provider) | answer_of()


def test_the_server_sees_the_request_of_a_program_without_us(with_content: Recorded, sdk: SDK, provider: Provider):
    sdk.chat()
    HTTPXInstrumentor().uninstrument()
    sdk.chat()
    traced, untraced = provider.requests
    assert traced == untraced
    assert len(with_content.spans) == 1


def test_azure(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps() -> str:
        kind = openai.AsyncAzureOpenAI if sdk.asynchronous else openai.AzureOpenAI
        async with opened(kind(azure_endpoint=provider.url, api_key="local", api_version="2024-10-21")) as client:
            return (await settled(client.chat.completions.create(**CHAT))).choices[0].message.content

    assert asyncio.run(steps()) == ANSWER
    assert provider.requests[0].path.startswith("/openai/deployments/gpt-4o-mini/chat/completions?")
    assert attributes_of(recorded.span) == request_of(provider) | answer_of()


# Retries: the SDK's attempts are one call


def again(test: str, times: int = 2, status: int = 429) -> dict[str, str]:
    """Headers that make the first requests of a test fail."""
    return {"x-mode": f"fail-{status}-times-{times}", "x-test-id": f"openai {test}"}


def failed_of(provider: Provider, status: int = 500, kind: str = "server_error", **more: Any) -> dict[str, Any]:
    return request_of(provider, **{"http.response.status_code": status, "error.type": kind, **more})


def test_retries_are_one_call_without_an_error(recorded: Recorded, sdk: SDK, provider: Provider):
    completion = sdk.chat(headers=again(f"retries {sdk.asynchronous}"))
    assert completion.choices[0].message.content == ANSWER
    assert len(provider.requests) == 3
    assert attributes_of(recorded.span) == request_of(provider) | answer_of(3) | {"llmtrace.attempts": 3}
    assert status_of(recorded.span) == ("UNSET", None)


def test_retries_of_a_stream_are_one_call_without_an_error(recorded: Recorded, sdk: SDK, provider: Provider):
    async def steps(client: Any) -> None:
        headers = again(f"stream {sdk.asynchronous}")
        stream = await settled(client.chat.completions.create(**CHAT_STREAM, extra_headers=headers))
        assert [chunk async for chunk in pieces_of(stream)]

    sdk.run(steps)
    assert len(provider.requests) == 3
    asked = request_of(provider, **STREAMED)
    assert attributes_of(recorded.span) == asked | answer_of(3) | {"llmtrace.attempts": 3}


def test_retries_in_vain_are_one_error(recorded: Recorded, sdk: SDK, provider: Provider):
    with pytest.raises(openai.InternalServerError):
        sdk.chat(headers={"x-mode": "fail-500"})
    assert len(provider.requests) == 3
    assert attributes_of(recorded.span, cost=None) == failed_of(provider, **{"llmtrace.attempts": 3})
    assert status_of(recorded.span) == ("ERROR", "The server had an error while processing your request.")


def test_a_call_without_retries_fails_at_once(recorded: Recorded, sdk: SDK, provider: Provider):
    with pytest.raises(openai.InternalServerError):
        sdk.chat(headers={"x-mode": "fail-500"}, options={"max_retries": 0})
    assert attributes_of(recorded.span, cost=None) == failed_of(provider)


def test_an_error_that_is_not_retried_is_one_attempt(recorded: Recorded, sdk: SDK, provider: Provider):
    with pytest.raises(openai.BadRequestError):
        sdk.chat(headers={"x-mode": "fail-400"})
    assert attributes_of(recorded.span, cost=None) == failed_of(provider, 400, "invalid_request_error")


def test_a_failed_call_has_its_prompt(with_content: Recorded, sdk: SDK):
    with pytest.raises(openai.BadRequestError):
        sdk.chat(headers={"x-mode": "fail-400"})
    prompt = [{"role": "user", "parts": [{"type": "text", "content": PARIS[0]["content"]}]}]
    assert json.loads(with_content.span.attributes.get("gen_ai.input.messages", "null")) == prompt


def test_nobody_listening(recorded: Recorded, sdk: SDK):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(openai.APIConnectionError) as caught:
        sdk.chat(options={"base_url": f"http://127.0.0.1:{port}/v1", "max_retries": 1})
    told = {"server.address": "127.0.0.1", "server.port": port, "error.type": f"{HTTP}.ConnectError"}
    assert attributes_of(recorded.span, cost=None) == request_of(**told, **{"llmtrace.attempts": 2})
    assert status_of(recorded.span) == ("ERROR", str(caught.value.__cause__))


def test_a_timeout(recorded: Recorded, sdk: SDK, provider: Provider):
    patience = importlib.import_module(HTTP).Timeout(30, read=0.05)
    with pytest.raises(openai.APITimeoutError):
        sdk.chat(headers={"x-delay": "0.3"}, options={"timeout": patience, "max_retries": 0})
    told = {"error.type": f"{HTTP}.ReadTimeout"}
    assert attributes_of(recorded.span, cost=None) == request_of(provider, **told)


def test_calls_that_follow_each_other_do_not_share_attempts(recorded: Recorded, sdk: SDK):
    async def steps(client: Any) -> None:
        for headers in (again(f"shared {sdk.asynchronous}"), {}, {"x-mode": "fail-400"}, {}):
            with suppress(openai.BadRequestError):
                await settled(client.chat.completions.create(**CHAT, extra_headers=headers))

    sdk.run(steps)
    assert [span.attributes.get("llmtrace.attempts", 1) for span in recorded.spans] == [3, 1, 1, 1]
    assert [status_of(span)[0] for span in recorded.spans] == ["UNSET", "UNSET", "ERROR", "UNSET"]


def test_retries_of_concurrent_calls_do_not_mix(recorded: Recorded, provider: Provider):
    async def steps(client: Any) -> None:
        create = client.chat.completions.create
        attempts = [again(f"mixed {n}", n % 3) | {"x-input-tokens": str(n)} for n in range(1, 10)]
        await asyncio.gather(*(create(**CHAT, extra_headers=headers) for headers in attempts))

    SDK(f"{provider.url}/v1", asynchronous=True).run(steps)
    attempts = {
        span.attributes["gen_ai.usage.input_tokens"]: span.attributes.get("llmtrace.attempts", 1)
        for span in recorded.spans
    }
    assert attempts == {n: n % 3 + 1 for n in range(1, 10)}
    assert len(recorded.spans) == 9


# Other calls inside the SDK's own


def mocked(answer: Callable[[], tuple[int, dict[str, Any]]]) -> Any:
    """A client for the SDK that answers by itself."""
    library = importlib.import_module(HTTP)

    def handle(_: Any) -> Any:
        status, body = answer()
        return library.Response(status, json=body, headers={"retry-after-ms": "1"})

    return library.Client(transport=library.MockTransport(handle))


def ask_another(status: int, body: dict[str, Any]) -> None:
    """A call to another provider, past the SDK."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    with httpx.Client(transport=transport) as client:
        client.post("https://api.groq.com/openai/v1/chat/completions", json={**CHAT, "model": "other"})


def test_a_call_that_an_attempts_transport_makes_is_part_of_the_attempt(recorded: Recorded):
    def answer() -> tuple[int, dict[str, Any]]:
        ask_another(500, {"error": {"type": "inside"}})
        return 500, {"error": {"type": "outside"}}

    with pytest.raises(openai.InternalServerError), mocked(answer) as http:
        openai.OpenAI(api_key="local", http_client=http, max_retries=0).chat.completions.create(**CHAT)
    assert [span.attributes["error.type"] for span in recorded.spans] == ["outside"]


def test_another_call_between_two_attempts_is_none_of_them(recorded: Recorded):
    class Asking(openai.OpenAI):
        def _prepare_options(self, options: Any) -> Any:
            ask_another(200, {"id": "other", "choices": []})
            return options

    answers = iter([(500, {"error": {"type": "outside"}}), (200, {"id": "asked", "choices": []})])
    with mocked(lambda: next(answers)) as http:
        Asking(api_key="local", http_client=http).chat.completions.create(**CHAT)
    told = {span.attributes["gen_ai.response.id"]: span.attributes["gen_ai.request.model"] for span in recorded.spans}
    assert told == {"other": "other", "asked": "gpt-4o-mini"}
    assert [span.attributes.get("llmtrace.attempts") for span in recorded.spans] == [None, None, 2]
