"""With the official console exporter as a witness, a span holds exactly the attributes that the tables name."""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import genai_prices
import httpx2
import pytest
import tables
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from printed import Printed

from llmtrace_otel.instrument.httpx import HTTPXInstrumentor
from provider import Provider

MESSAGES = [{"role": "user", "content": "Will it rain?"}]
FIRST = "000000000000000000000001"
"""The provider numbers its answers, and every test's first is 1."""


def priced(provider: str, model: str, tier: str | None, **counts: int) -> dict[str, Any]:
    """What a span says of a cost that was estimated."""
    usage = genai_prices.Usage(**counts)
    context = {"service_tier": tier} if tier else None
    now = datetime.now(UTC)
    price = genai_prices.calc_price(
        usage, model, provider_id=provider, genai_request_timestamp=now, price_context=context
    )
    usd = float(price.total_price)
    return {
        "llmtrace.cost.usd": usd,
        "operation.cost": usd,
        "llmtrace.cost.status": "estimated",
        "llmtrace.cost.source": "genai-prices",
        "llmtrace.cost.pricing_version": version("genai-prices"),
    }


UNSET: Mapping[str, Any] = MappingProxyType({"status_code": "UNSET"})


class Example(NamedTuple):
    """A request to the local provider, and the span that it must leave."""

    path: str
    body: dict[str, Any] | None
    span_name: str
    attributes: Callable[[], dict[str, Any]]
    headers: Mapping[str, str] = MappingProxyType({})
    status: Mapping[str, Any] = UNSET
    streamed: bool = False


EXAMPLES = {
    "chat with every parameter": Example(
        "/v1/chat/completions",
        {
            "model": "gpt-5-mini",
            "messages": MESSAGES,
            "n": 2,
            "seed": 7,
            "top_k": 40,
            "top_p": 0.9,
            "temperature": 1,
            "max_completion_tokens": 64,
            "frequency_penalty": 0.1,
            "presence_penalty": 0,
            "stop": "END",
            "reasoning_effort": "low",
            "service_tier": "flex",
            "response_format": {"type": "json_object"},
        },
        "chat gpt-5-mini",
        lambda: {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5-mini",
            "gen_ai.request.choice.count": 2,
            "gen_ai.request.seed": 7,
            "gen_ai.request.top_k": 40,
            "gen_ai.request.top_p": 0.9,
            "gen_ai.request.temperature": 1.0,
            "gen_ai.request.max_tokens": 64,
            "gen_ai.request.frequency_penalty": 0.1,
            "gen_ai.request.presence_penalty": 0.0,
            "gen_ai.request.stop_sequences": ["END"],
            "gen_ai.request.reasoning.level": "low",
            "gen_ai.output.type": "json",
            "gen_ai.response.id": f"chatcmpl-{FIRST}",
            "gen_ai.response.model": "gpt-5-mini-2025-08-07",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.reasoning.output_tokens": 2,
            "openai.api.type": "chat_completions",
            "openai.request.service_tier": "flex",
            "openai.response.service_tier": "default",
            "http.response.status_code": 200,
            **priced("openai", "gpt-5-mini", "default", input_tokens=10, output_tokens=5, cache_read_tokens=4),
        },
        headers={"x-cache-read-tokens": "4", "x-reasoning-tokens": "2"},
    ),
    "chat stream": Example(
        "/v1/chat/completions",
        {
            "model": "gpt-5-mini",
            "messages": MESSAGES,
            "n": 1,
            "service_tier": "auto",
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        "chat gpt-5-mini",
        lambda: {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5-mini",
            "gen_ai.request.stream": True,
            "gen_ai.response.id": f"chatcmpl-{FIRST}",
            "gen_ai.response.model": "gpt-5-mini-2025-08-07",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 0,
            "gen_ai.usage.reasoning.output_tokens": 0,
            "openai.api.type": "chat_completions",
            "openai.response.service_tier": "default",
            "http.response.status_code": 200,
            **priced("openai", "gpt-5-mini", "default", input_tokens=10, output_tokens=5),
        },
        streamed=True,
    ),
    "chat stream without usage": Example(
        "/v1/chat/completions",
        {"model": "gpt-5-mini", "messages": MESSAGES, "stream": True},
        "chat gpt-5-mini",
        lambda: {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5-mini",
            "gen_ai.request.stream": True,
            "gen_ai.response.id": f"chatcmpl-{FIRST}",
            "gen_ai.response.model": "gpt-5-mini-2025-08-07",
            "gen_ai.response.finish_reasons": ["stop"],
            "openai.api.type": "chat_completions",
            "openai.response.service_tier": "default",
            "http.response.status_code": 200,
            "llmtrace.usage.missing": True,
            "llmtrace.cost.status": "unknown",
        },
        streamed=True,
    ),
    "Responses": Example(
        "/v1/responses",
        {
            "model": "gpt-5-mini",
            "input": "Will it rain?",
            "conversation": {"id": "conv_7"},
            "previous_response_id": "resp_6",
            "max_output_tokens": 64,
            "temperature": 0,
            "reasoning": {"effort": "minimal"},
            "text": {"format": {"type": "json_schema", "name": "rain", "schema": {}}},
        },
        "chat gpt-5-mini",
        lambda: {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5-mini",
            "gen_ai.request.max_tokens": 64,
            "gen_ai.request.temperature": 0.0,
            "gen_ai.request.reasoning.level": "minimal",
            "gen_ai.request.previous_response.id": "resp_6",
            "gen_ai.conversation.id": "conv_7",
            "gen_ai.output.type": "json",
            "gen_ai.response.id": f"resp_{FIRST}",
            "gen_ai.response.model": "gpt-5-mini-2025-08-07",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 0,
            "gen_ai.usage.reasoning.output_tokens": 0,
            "openai.api.type": "responses",
            "openai.response.service_tier": "default",
            "http.response.status_code": 200,
            **priced("openai", "gpt-5-mini", "default", input_tokens=10, output_tokens=5),
        },
    ),
    "Anthropic with its cache": Example(
        "/v1/messages",
        {
            "model": "claude-haiku-4-5",
            "messages": MESSAGES,
            "max_tokens": 64,
            "temperature": 0.5,
            "top_k": 3,
            "top_p": 0.8,
            "stop_sequences": ["END", "STOP"],
            "output_config": {"effort": "high"},
        },
        "chat claude-haiku-4-5",
        lambda: {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-haiku-4-5",
            "gen_ai.request.max_tokens": 64,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.top_k": 3,
            "gen_ai.request.top_p": 0.8,
            "gen_ai.request.stop_sequences": ["END", "STOP"],
            "gen_ai.request.reasoning.level": "high",
            "gen_ai.response.id": f"msg_{FIRST}",
            "gen_ai.response.model": "claude-haiku-4-5-20251001",
            "gen_ai.response.finish_reasons": ["end_turn"],
            "gen_ai.usage.input_tokens": 130,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 100,
            "gen_ai.usage.cache_write.input_tokens": 20,
            "http.response.status_code": 200,
            **priced(
                "anthropic",
                "claude-haiku-4-5",
                None,
                input_tokens=130,
                output_tokens=5,
                cache_read_tokens=100,
                cache_write_tokens=20,
            ),
        },
    ),
    "embeddings": Example(
        "/v1/embeddings",
        {"model": "text-embedding-3-small", "input": "rain", "dimensions": 16, "encoding_format": "base64"},
        "embeddings text-embedding-3-small",
        lambda: {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "text-embedding-3-small",
            "gen_ai.embeddings.dimension.count": 16,
            "gen_ai.request.encoding_formats": ["base64"],
            "gen_ai.response.model": "text-embedding-3-small",
            "gen_ai.usage.input_tokens": 10,
            "http.response.status_code": 200,
            **priced("openai", "text-embedding-3-small", None, input_tokens=10),
        },
    ),
    "completions": Example(
        "/v1/completions",
        {"model": "gpt-3.5-turbo-instruct", "prompt": "Rain is", "max_tokens": 9, "stop": ["\n"]},
        "text_completion gpt-3.5-turbo-instruct",
        lambda: {
            "gen_ai.operation.name": "text_completion",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-3.5-turbo-instruct",
            "gen_ai.request.max_tokens": 9,
            "gen_ai.request.stop_sequences": ["\n"],
            "gen_ai.response.id": f"cmpl-{FIRST}",
            "gen_ai.response.model": "gpt-3.5-turbo-instruct",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 0,
            "gen_ai.usage.reasoning.output_tokens": 0,
            "http.response.status_code": 200,
            **priced("openai", "gpt-3.5-turbo-instruct", None, input_tokens=10, output_tokens=5),
        },
    ),
    "error 429": Example(
        "/v1/messages",
        {"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 64},
        "chat claude-haiku-4-5",
        lambda: {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-haiku-4-5",
            "gen_ai.request.max_tokens": 64,
            "error.type": "rate_limit_error",
            "http.response.status_code": 429,
        },
        headers={"x-mode": "fail-429"},
        status={"status_code": "ERROR", "description": "Rate limit"},
    ),
}


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client() as client:
        yield client


def where(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {"server.address": parts.hostname, "server.port": parts.port, "llmtrace.layer": "httpx"}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=list(EXAMPLES))
def test_a_call_leaves_exactly_these_attributes(
    printed: Printed, provider: Provider, http: httpx2.Client, example: Example
) -> None:
    with http.stream("POST", provider.url + example.path, json=example.body, headers=example.headers) as response:
        response.read()
    span = printed.span
    attributes = span["attributes"]
    if example.streamed:
        assert 0 < attributes.pop("gen_ai.response.time_to_first_chunk") < seconds(span)
    assert (span["name"], span["kind"], span["status"]) == (example.span_name, "SpanKind.CLIENT", example.status)
    assert attributes == {**example.attributes(), **where(provider.url)}
    assert tables.violations(attributes) == []


def seconds(span: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(span[key]) for key in ("start_time", "end_time"))
    return (end - start).total_seconds() + 1e-6  # printed in microseconds


def test_a_fetched_response_has_no_usage_and_no_cost(printed: Printed, provider: Provider, http: httpx2.Client) -> None:
    http.get(f"{provider.url}/v1/responses/resp_7", params={"starting_after": "42"})
    span = printed.span
    expected = {
        "gen_ai.operation.name": "fetch_response",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.stream_cursor": "42",
        "gen_ai.response.id": "resp_7",
        "gen_ai.response.model": "gpt-5-mini-2025-08-07",
        "gen_ai.response.status": "completed",
        "openai.api.type": "responses",
        "openai.response.service_tier": "default",
        "http.response.status_code": 200,
        **where(provider.url),
    }
    assert (span["name"], span["kind"], span["status"]) == (
        "fetch_response",
        "SpanKind.CLIENT",
        UNSET,
    )
    assert span["attributes"] == expected
    assert tables.violations(span["attributes"]) == []


def test_a_conversation_that_only_the_answer_names_is_on_the_span(printed: Printed) -> None:
    answer = {"id": "resp_7", "model": "gpt-5-mini", "status": "completed", "conversation": {"id": "conv_7"}}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=answer))
    with httpx2.Client(transport=transport) as http:
        http.post("https://api.openai.com/v1/responses", json={"model": "gpt-5-mini", "input": "hi"})
    assert printed.span["attributes"]["gen_ai.conversation.id"] == "conv_7"


def test_a_refused_connection_is_the_calls_error(printed: Printed, http: httpx2.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(httpx2.ConnectError) as refused:
        http.post(f"{url}/v1/chat/completions", json={"model": "gpt-5-mini", "messages": MESSAGES})
    span = printed.span
    assert span["status"] == {"status_code": "ERROR", "description": str(refused.value)}
    assert span["attributes"] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "openai.api.type": "chat_completions",
        "error.type": "httpx2.ConnectError",
        **where(url),
    }


def test_a_refused_stream_has_no_first_chunk(printed: Printed, provider: Provider, http: httpx2.Client) -> None:
    request = {"model": "gpt-5-mini", "messages": MESSAGES, "stream": True}
    http.post(f"{provider.url}/v1/chat/completions", json=request, headers={"x-mode": "fail-429"})
    assert "gen_ai.response.time_to_first_chunk" not in printed.span["attributes"]


@functools.cache
def program(semconv: str) -> dict[str, Any]:
    """What `semconv_program.py` prints with a version of the names."""
    command = [sys.executable, str(Path(__file__).with_name("semconv_program.py"))]
    environment = {**os.environ, "LLMTRACE_SEMCONV": semconv}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    printed: dict[str, Any] = json.loads(output)
    return printed


@pytest.mark.parametrize(
    ("semconv", "name"),
    [
        ("", "gen_ai.usage.cache_write.input_tokens"),
        ("2026-08", "gen_ai.usage.cache_creation.input_tokens"),
    ],
)
def test_the_cache_write_has_the_name_of_the_chosen_conventions(semconv: str, name: str) -> None:
    attributes = program(semconv)["attributes"]
    assert {key: value for key, value in attributes.items() if key.startswith("gen_ai.usage.")} == {
        "gen_ai.usage.input_tokens": 130,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 100,
        name: 20,
    }


NEWER_METRICS = {
    "gen_ai.client.inference.duration": ["s", None],
    "gen_ai.client.inference.operation.input_tokens": ["{token}", {"": 130}],
    "gen_ai.client.inference.operation.output_tokens": ["{token}", {"": 5}],
    "gen_ai.client.inference.time_to_first_chunk": ["s", None],
    "gen_ai.client.inference.usage.cache_read.input_tokens": ["{token}", {"": 100}],
    "gen_ai.client.inference.usage.cache_write.input_tokens": ["{token}", {"": 20}],
    "gen_ai.client.inference.usage.input_tokens": ["{token}", {"": 130}],
    "gen_ai.client.inference.usage.output_tokens": ["{token}", {"": 5}],
}
OLDER_METRICS = {
    "gen_ai.client.operation.duration": ["s", None],
    "gen_ai.client.operation.time_to_first_chunk": ["s", None],
    "gen_ai.client.token.usage": ["{token}", {"input": 130, "output": 5}],
}


@pytest.mark.parametrize(("semconv", "metrics"), [("", NEWER_METRICS), ("2026-08", OLDER_METRICS)])
def test_the_metrics_are_those_of_the_chosen_conventions(semconv: str, metrics: dict[str, Any]) -> None:
    assert program(semconv)["metrics"] == metrics


class Witness(Sampler):
    """Keeps the attributes that it is asked about and samples everything."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def should_sample(self, parent_context: Any, trace_id: int, name: str, *args: Any, **kwargs: Any) -> SamplingResult:
        attributes = kwargs.get("attributes") or args[1]
        self.seen.append(dict(attributes))
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self) -> str:
        return "witness"


class Starts(SpanProcessor):
    """Counts the spans that start."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.names.append(span.name)


class Traced:
    """httpx2 instrumented with a sampler of one's own."""

    def __init__(self, sampler: Sampler) -> None:
        self.starts, self._spans = Starts(), InMemorySpanExporter()
        self._provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self._provider.add_span_processor(self.starts)
        self._provider.add_span_processor(SimpleSpanProcessor(self._spans))

    def post(self, url: str, **kwargs: Any) -> httpx2.Response:
        instrumentor = HTTPXInstrumentor()
        instrumentor.instrument(tracer_provider=self._provider)
        try:
            with httpx2.Client() as http:
                return http.post(url, **kwargs)
        finally:
            instrumentor.uninstrument()
            self._provider.shutdown()

    @property
    def spans(self) -> list[str]:
        return [span.name for span in self._spans.get_finished_spans()]


CHAT = {"model": "gpt-5-mini", "messages": MESSAGES, "temperature": 0.5}


def test_a_sampler_sees_what_the_request_tells(provider: Provider) -> None:
    sampler = Witness()
    traced = Traced(sampler)
    traced.post(f"{provider.url}/v1/chat/completions", json=CHAT)
    (seen,) = sampler.seen
    assert {name: seen[name] for name in tables.SAMPLING_RELEVANT} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "server.address": "127.0.0.1",
        "server.port": urlsplit(provider.url).port,
    }
    assert (traced.starts.names, traced.spans) == (["chat gpt-5-mini"], ["chat gpt-5-mini"])


def test_a_sampler_that_drops_the_span_costs_the_call_nothing(provider: Provider) -> None:
    traced = Traced(ALWAYS_OFF)
    answer = traced.post(f"{provider.url}/v1/chat/completions", json=CHAT)
    assert answer.json()["usage"]["total_tokens"] == 15
    assert (traced.starts.names, traced.spans) == ([], [])
