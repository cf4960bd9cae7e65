"""Fixtures for tests that call LiteLLM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llmtrace_otel.instrument.litellm import LiteLLMInstrumentor
from provider import Provider
from support.spans import Recorded


@pytest.fixture
def traced(recorded: Recorded) -> Iterator[Recorded]:
    """LiteLLM's functions and the HTTP clients below them, as `opentelemetry-instrument` has them."""
    yield from _instrumented(recorded)


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """LiteLLM's functions alone: nothing reads its requests."""
    recorded = Recorded()
    yield from _instrumented(recorded)
    recorded.close()


@pytest.fixture(params=["traced", "unwatched"])
def either(request: pytest.FixtureRequest) -> Recorded:
    """With and without the requests read."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def openai(provider: Provider) -> dict[str, Any]:
    """Where OpenAI's models are."""
    return {"api_base": f"{provider.url}/v1", "api_key": "local"}


@pytest.fixture
def anthropic(provider: Provider) -> dict[str, Any]:
    """Where Anthropic's models are."""
    return {"api_base": provider.url, "api_key": "local"}


def _instrumented(recorded: Recorded) -> Iterator[Recorded]:
    instrumentor = LiteLLMInstrumentor()
    instrumentor.instrument(**recorded.providers)
    yield recorded
    while instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
