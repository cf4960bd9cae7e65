"""LiteLLM's calls over a recording, by each transport that it has: marked, with their tokens, and free."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from litellm_helpers import ANTHROPIC_TOKENS, HAIKU, HI, MINI, TOKENS, litellm, some

from llmtrace_otel.instrument.litellm import LiteLLMInstrumentor
from provider import Provider
from provider.script import ANSWER

sys.path.append(str(Path(__file__).parent.parent.parent / "replay"))
from tapes import NOWHERE, Tape

FREE = {
    "llmtrace.cache.hit": True,
    "llmtrace.replay": True,
    "llmtrace.cost.usd": 0.0,
    "llmtrace.cost.status": "actual",
    "llmtrace.cost.source": "replay",
}
ASKED: dict[str, tuple[Callable[[str], dict[str, Any]], dict[str, int]]] = {
    "openai": (lambda url: {"model": MINI, "api_base": f"{url}/v1", "api_key": "local"}, TOKENS),
    "anthropic": (lambda url: {"model": HAIKU, "api_base": url, "api_key": "local"}, ANTHROPIC_TOKENS),
}


@pytest.fixture
def tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tape:
    return Tape(tmp_path / "cassettes", monkeypatch)


@contextmanager
def afresh() -> Iterator[None]:
    """LiteLLM keeps its clients, and with them the connections to a server that is gone."""
    litellm.in_memory_llm_clients_cache.flush_cache()
    yield


def both(provider: Provider, tape: Tape, ask: Callable[[str], Any]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """What it said from the recording, the attributes of that span, and those of the live one."""
    with afresh(), tape.record(LiteLLMInstrumentor()) as recorded:
        live = ask(provider.url)
        paid = dict(recorded.span.attributes or {})
    provider.requests.clear()
    with afresh(), tape.replay(LiteLLMInstrumentor()) as recorded:
        replayed = ask(NOWHERE)
        free = dict(recorded.span.attributes or {})
    assert replayed == live
    assert provider.requests == []
    return replayed, free, paid


@pytest.mark.parametrize("vendor", ASKED)
def test_a_call(vendor: str, provider: Provider, tape: Tape) -> None:
    where, tokens = ASKED[vendor]
    answer, free, paid = both(provider, tape, lambda url: said(litellm.completion(messages=HI, **where(url))))
    assert answer == ANSWER
    assert some(free, *FREE, *tokens) == FREE | tokens
    assert some(paid, "llmtrace.replay", *tokens) == {"llmtrace.replay": None} | tokens
    assert paid["llmtrace.cost.usd"] > 0
    assert [name for name in free if name.startswith("llmtrace.cost.breakdown")] == []


@pytest.mark.parametrize("vendor", ASKED)
@pytest.mark.parametrize("by_aiohttp", [True, False], ids=["aiohttp", "httpx"])
def test_an_asynchronous_stream(
    vendor: str, by_aiohttp: bool, provider: Provider, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litellm, "disable_aiohttp_transport", not by_aiohttp)
    where, tokens = ASKED[vendor]

    async def pieces(url: str) -> list[str]:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        stream = await litellm.acompletion(messages=HI, **options, **where(url))
        return [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]

    answer, free, _ = both(provider, tape, lambda url: asyncio.run(pieces(url)))
    assert "".join(answer) == ANSWER
    assert len(answer) > 3
    assert some(free, *FREE, *tokens) == FREE | tokens


def test_a_miss_is_an_error_of_the_call(provider: Provider, tape: Tape) -> None:
    where, _ = ASKED["openai"]
    with afresh(), tape.record(LiteLLMInstrumentor()):
        litellm.completion(messages=HI, **where(provider.url))
    why = pytest.raises(litellm.BadRequestError, match="recorded 'hi' asked 'ho'; record again by")
    with afresh(), tape.replay(LiteLLMInstrumentor()) as recorded, why:
        litellm.completion(messages=[{"role": "user", "content": "ho"}], **where(NOWHERE))
    assert (recorded.span.attributes or {})["error.type"].endswith("BadRequestError")
    assert len(tape.misses) == 1


def said(answer: Any) -> str:
    return answer.choices[0].message.content
