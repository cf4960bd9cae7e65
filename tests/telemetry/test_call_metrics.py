"""The metrics of calls: names, units, advised buckets, attributes and values, and none where nobody reads them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import tables
from opentelemetry.metrics import Meter, NoOpMeter, NoOpMeterProvider

from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.wire.call import Call, Usage
from provider import Provider
from support.spans import Recorded

MESSAGES = [{"role": "user", "content": "Will it rain?"}]
CHAT = {"model": "gpt-5-mini", "messages": MESSAGES}
STREAM = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}

DURATION = "gen_ai.client.inference.duration"
FIRST_CHUNK = "gen_ai.client.inference.time_to_first_chunk"
INPUT_SIZE = "gen_ai.client.inference.operation.input_tokens"
OUTPUT_SIZE = "gen_ai.client.inference.operation.output_tokens"
COUNTERS = {
    "gen_ai.client.inference.usage.input_tokens": 10,
    "gen_ai.client.inference.usage.output_tokens": 5,
    "gen_ai.client.inference.usage.cache_read.input_tokens": 4,
    "gen_ai.client.inference.usage.reasoning.output_tokens": 2,
}
COUNTED = {"x-cache-read-tokens": "4", "x-reasoning-tokens": "2"}


def ask(provider: Provider, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    """Makes a chat call, reads its answer as it comes, and returns the attributes that all of its metrics must have."""
    url = f"{provider.url}/v1/chat/completions"
    with httpx2.Client() as client, client.stream("POST", url, json=body, headers=headers) as response:
        response.read()
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.response.model": "gpt-5-mini-2025-08-07",
        "server.address": "127.0.0.1",
        "server.port": urlsplit(provider.url).port,
    }


def point(metric: Any) -> Any:
    """The one data point that there must be."""
    (found,) = metric.data.data_points
    return found


def kind(metric: Any) -> tuple[str, str, tuple[float, ...] | None]:
    return type(metric.data).__name__, metric.unit, getattr(point(metric), "explicit_bounds", None)


def seconds(recorded: Recorded) -> float:
    """How long the call's span took."""
    span = recorded.span
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_each_metric_has_its_kind_its_unit_and_its_buckets(recorded: Recorded, provider: Provider) -> None:
    ask(provider, STREAM, **COUNTED)
    assert {name: kind(metric) for name, metric in recorded.metrics.items()} == {
        DURATION: ("Histogram", "s", tables.DURATION_BUCKETS),
        FIRST_CHUNK: ("Histogram", "s", tables.DURATION_BUCKETS),
        INPUT_SIZE: ("Histogram", "{token}", tables.TOKEN_BUCKETS),
        OUTPUT_SIZE: ("Histogram", "{token}", tables.TOKEN_BUCKETS),
        **dict.fromkeys(COUNTERS, ("Sum", "{token}", None)),
    }


def test_a_plain_call_counts_its_tokens_and_its_time(recorded: Recorded, provider: Provider) -> None:
    common = ask(provider, CHAT, **COUNTED)
    points = {name: point(metric) for name, metric in recorded.metrics.items()}
    counted = {name: points.pop(name) for name in COUNTERS}
    assert {name: (dict(found.attributes), found.value) for name, found in counted.items()} == {
        name: ({**common, "gen_ai.token.modality": "unknown"}, count) for name, count in COUNTERS.items()
    }
    assert {name: (dict(found.attributes), found.count, found.sum) for name, found in points.items()} == {
        DURATION: (common, 1, seconds(recorded)),
        INPUT_SIZE: (common, 1, 10),
        OUTPUT_SIZE: (common, 1, 5),
    }


def test_a_streams_first_chunk_has_the_time_that_its_span_has(recorded: Recorded, provider: Provider) -> None:
    common = ask(provider, STREAM)
    first, span = point(recorded.metrics[FIRST_CHUNK]), recorded.span
    assert span.attributes is not None
    assert (dict(first.attributes), first.count) == (common, 1)
    assert first.sum == span.attributes["gen_ai.response.time_to_first_chunk"]
    assert first.sum < point(recorded.metrics[DURATION]).sum == seconds(recorded)


def test_an_error_has_a_duration_and_no_tokens(recorded: Recorded, provider: Provider) -> None:
    common = ask(provider, CHAT, **{"x-mode": "fail-500"})
    del common["gen_ai.response.model"]
    (duration,) = recorded.metrics.values()
    assert duration.name == DURATION
    assert dict(point(duration).attributes) == {**common, "error.type": "server_error"}


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["plain", "stream"])
def test_without_usage_no_zero_is_recorded(recorded: Recorded, provider: Provider, body: dict[str, Any]) -> None:
    ask(provider, body, **{"x-mode": "no-usage"})
    assert set(recorded.metrics) == ({DURATION, FIRST_CHUNK} if body is STREAM else {DURATION})


def test_a_stream_that_is_refused_or_read_whole_has_no_first_chunk(recorded: Recorded, provider: Provider) -> None:
    ask(provider, STREAM, **{"x-mode": "fail-500"})
    with httpx2.Client() as client:
        client.post(f"{provider.url}/v1/chat/completions", json=STREAM)
    assert point(recorded.metrics[INPUT_SIZE]).sum == 10
    assert FIRST_CHUNK not in recorded.metrics


def test_an_embedding_has_no_output_tokens(recorded: Recorded, provider: Provider) -> None:
    with httpx2.Client() as client:
        client.post(f"{provider.url}/v1/embeddings", json={"model": "text-embedding-3-small", "input": "rain"})
    assert OUTPUT_SIZE not in recorded.metrics
    assert point(recorded.metrics[INPUT_SIZE]).sum == 10


def test_tokens_of_several_calls_add_up(recorded: Recorded, provider: Provider) -> None:
    for _ in range(3):
        ask(provider, CHAT)
    sums = recorded.metrics
    assert point(sums["gen_ai.client.inference.usage.input_tokens"]).value == 30
    assert (point(sums[INPUT_SIZE]).count, point(sums[INPUT_SIZE]).sum) == (3, 30)


def test_the_scope_is_the_spans(recorded: Recorded, provider: Provider) -> None:
    ask(provider, CHAT)
    data = recorded._reader.get_metrics_data()
    assert data is not None
    ((scope,),) = ([found.scope for found in resource.scope_metrics] for resource in data.resource_metrics)
    assert recorded.span.instrumentation_scope is not None
    ours = recorded.span.instrumentation_scope
    assert (scope.name, scope.version, scope.schema_url) == (ours.name, version("llmtrace-otel"), ours.schema_url)
    assert scope.version == ours.version


def meters_made(monkeypatch: pytest.MonkeyPatch, provider: NoOpMeterProvider) -> int:
    """How many meters a recorded call asks a provider for."""
    made: list[str] = []

    def get_meter(name: str, *_: Any, **__: Any) -> Meter:
        made.append(name)
        return NoOpMeter(name)

    monkeypatch.setattr(provider, "get_meter", get_meter)
    call = Call("chat", "openai", request_model="gpt-5-mini", usage=Usage(input=10, output=5), complete=True)
    Recorder(meter_provider=provider).start(call).end()
    return len(made)


def test_nothing_is_made_for_the_apis_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert meters_made(monkeypatch, NoOpMeterProvider()) == 0


def test_instruments_are_made_for_a_provider_of_the_programs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(NoOpMeterProvider):
        """Not the API's."""

    assert meters_made(monkeypatch, Own()) == 1
