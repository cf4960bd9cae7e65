"""A provider of the program's own that calls LiteLLM in turn: what was used is counted once, where it was used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from litellm_helpers import HI, MINI, TOKENS, attributes, litellm, some

from support.spans import Recorded

ASKED = {"stream_options": {"include_usage": True}}
SPENT = (*TOKENS, "llmtrace.cost.usd", "operation.cost", "llmtrace.cost.breakdown.input")
ONCE = [
    ("chat gpt-5-mini", {**TOKENS, **dict.fromkeys(SPENT[2:4], 1.25e-05), SPENT[4]: 2.5e-06}),
    ("chat foo", dict.fromkeys(SPENT)),
]
MADE_UP = {"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10}


def piece(chunk: Any) -> dict[str, Any]:
    """A chunk as a provider of one's own gives it; the last one may have nothing but usage."""
    choice, usage = next(iter(chunk.choices), None), getattr(chunk, "usage", None)
    reason = choice.finish_reason if choice else None
    return {
        "text": (choice.delta.content if choice else None) or "",
        "finish_reason": reason or "",
        "is_finished": bool(reason),
        "index": 0,
        "tool_use": None,
        "usage": usage.model_dump() if usage is not None else None,
    }


class Routing(litellm.CustomLLM):
    """Leaves the call to another model."""

    def __init__(self, where: dict[str, Any]) -> None:
        super().__init__()
        self._call = {"model": MINI, "messages": HI, **where}

    def completion(self, *_: Any, **__: Any) -> Any:
        return litellm.completion(**self._call)

    async def acompletion(self, *_: Any, **__: Any) -> Any:
        return await litellm.acompletion(**self._call)

    def streaming(self, *_: Any, **__: Any) -> Iterator[Any]:
        yield from map(piece, litellm.completion(stream=True, **ASKED, **self._call))

    async def astreaming(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        async for chunk in await litellm.acompletion(stream=True, **ASKED, **self._call):
            yield piece(chunk)


class Alone(litellm.CustomLLM):
    """Answers by itself."""

    def completion(self, *_: Any, **__: Any) -> Any:
        return litellm.ModelResponse(model="foo", usage=litellm.Usage(**MADE_UP))


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch, openai: dict[str, Any]) -> None:
    """Two providers that LiteLLM has not heard of yet."""
    handlers = {"mine": Routing(openai), "alone": Alone()}
    providers = [{"provider": name, "custom_handler": handler} for name, handler in handlers.items()]
    monkeypatch.setattr(litellm, "custom_provider_map", providers)
    for names in ("_custom_providers", "provider_list"):
        monkeypatch.setattr(litellm, names, [*getattr(litellm, names)])


def spent(recorded: Recorded) -> list[tuple[str, dict[str, Any]]]:
    told = [(span.name, some(dict(span.attributes or {}), *SPENT)) for span in recorded.spans]
    return [
        (name, {key: pytest.approx(value) if value else value for key, value in found.items()}) for name, found in told
    ]


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_what_another_call_used_is_counted_there(either: Recorded, streamed: bool) -> None:
    answer = litellm.completion("mine/foo", HI, stream=streamed)
    assert list(answer) if streamed else answer.choices
    assert spent(either) == ONCE


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_so_it_is_with_asynchronous_calls(either: Recorded, streamed: bool) -> None:
    async def main() -> None:
        answer = await litellm.acompletion("mine/foo", HI, stream=streamed)
        if streamed:
            assert [chunk async for chunk in answer]

    asyncio.run(main())
    assert spent(either) == ONCE


@pytest.mark.usefixtures("mine")
def test_a_provider_that_answers_by_itself_is_believed(either: Recorded) -> None:
    litellm.completion("alone/foo", HI)
    assert attributes(either).items() >= {"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 7}.items()


@pytest.mark.usefixtures("mine")
def test_the_first_call_of_a_new_provider_names_the_model_like_the_next(either: Recorded) -> None:
    """LiteLLM learns of such providers with the first call."""
    for _ in range(2):
        litellm.completion("alone/foo", HI)
    names = ("gen_ai.request.model", "gen_ai.provider.name", "llmtrace.request.original_model")
    told = [some(dict(span.attributes or {}), *names) for span in either.spans]
    assert told == [dict(zip(names, ("foo", "alone", None), strict=True))] * 2
