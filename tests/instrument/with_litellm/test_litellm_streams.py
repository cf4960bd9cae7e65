"""Streams of LiteLLM: they stay the very objects, and their calls end when they do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from litellm_helpers import ANTHROPIC_TOKENS, HAIKU, HI, MINI, TOKENS, attributes, litellm, some, soon
from opentelemetry.trace import StatusCode

from support.spans import Recorded

SLOWLY = {"x-chunk-delay": "0.2"}
ASKED = {"stream_options": {"include_usage": True}}


def read(asynchronous: bool, name: str, **arguments: Any) -> Any:
    """Calls a function for a stream, reads all of it, and gives it back."""
    if not asynchronous:
        stream = getattr(litellm, name)(stream=True, **arguments)
        for _ in stream:
            pass
        return stream

    async def main() -> Any:
        stream = await getattr(litellm, f"a{name}")(stream=True, **arguments)
        async for _ in stream:
            pass
        return stream

    return asyncio.run(main())


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@both
def test_a_stream_that_states_its_tokens(either: Recorded, openai: Any, asynchronous: bool) -> None:
    stream = read(asynchronous, "completion", model=MINI, messages=HI, **ASKED, **openai)
    assert type(stream) is litellm.CustomStreamWrapper
    found = attributes(either)
    assert found.items() >= {**TOKENS, "gen_ai.request.stream": True, "llmtrace.cost.source": "litellm"}.items()
    assert found["gen_ai.response.finish_reasons"] == ("stop",)
    assert found["gen_ai.response.time_to_first_chunk"] > 0
    assert "llmtrace.usage.estimated" not in found


@both
def test_tokens_that_litellm_counted_by_itself_are_marked(either: Recorded, openai: Any, asynchronous: bool) -> None:
    """Nobody asked for usage, so the provider states none, and LiteLLM counts words."""
    read(asynchronous, "completion", model=MINI, messages=HI, **openai)
    found = attributes(either)
    counted = {name: value for name, value in found.items() if name.startswith(("gen_ai.usage", "llmtrace.usage"))}
    if litellm_counts(found):
        assert counted["llmtrace.usage.estimated"] is True
        assert counted["gen_ai.usage.input_tokens"] not in (0, 10)
    else:  # it is known to be missing only where somebody has looked
        assert counted == ({"llmtrace.usage.missing": True} if "http.response.status_code" in found else {})


def litellm_counts(found: dict[str, Any]) -> bool:
    """Some releases give up where they have no tokenizer at hand, and then say zero."""
    return "gen_ai.usage.input_tokens" in found


@both
def test_anthropics_stream(either: Recorded, anthropic: Any, asynchronous: bool) -> None:
    read(asynchronous, "completion", model=HAIKU, messages=HI, **anthropic)
    found = attributes(either)
    assert found.items() >= ANTHROPIC_TOKENS.items()
    assert found["llmtrace.cost.usd"] == pytest.approx(7e-05)
    assert "llmtrace.usage.estimated" not in found


@both
def test_a_stream_of_responses(either: Recorded, openai: Any, asynchronous: bool) -> None:
    read(asynchronous, "responses", model=MINI, input="hi", **openai)
    assert attributes(either).items() >= {**TOKENS, "gen_ai.request.stream": True}.items()


@both
def test_a_stream_of_text(either: Recorded, openai: Any, asynchronous: bool) -> None:
    read(asynchronous, "text_completion", model="openai/gpt-3.5-turbo-instruct", prompt="hi", **ASKED, **openai)
    found = attributes(either)
    assert found.items() >= {**TOKENS, "gen_ai.operation.name": "text_completion"}.items()


def test_a_stream_of_anthropics_own_interface(traced: Recorded, anthropic: Any) -> None:
    async def main() -> None:
        stream = await litellm.anthropic.messages.acreate(
            max_tokens=64, messages=HI, model=HAIKU, stream=True, **anthropic
        )
        async for _ in stream:
            pass

    asyncio.run(main())
    assert attributes(traced).items() >= ANTHROPIC_TOKENS.items()


def test_nothing_is_current_between_the_chunks(traced: Recorded, openai: Any) -> None:
    """A call that the program makes while it reads is its own."""
    for number, _ in enumerate(litellm.completion(MINI, HI, stream=True, **ASKED, **openai)):
        if number == 1:
            litellm.completion(MINI, HI, **openai)
    assert [(span.parent, (span.attributes or {})["gen_ai.usage.input_tokens"]) for span in traced.spans] == [
        (None, 10),
        (None, 10),
    ]


@both
def test_a_stream_that_is_dropped_is_incomplete(either: Recorded, openai: Any, asynchronous: bool) -> None:
    async def main() -> None:
        stream = await litellm.acompletion(MINI, HI, stream=True, extra_headers=SLOWLY, **ASKED, **openai)
        await anext(stream)

    if asynchronous:
        asyncio.run(main())
    else:
        next(litellm.completion(MINI, HI, stream=True, extra_headers=SLOWLY, **ASKED, **openai))
    assert soon(lambda: len(either.spans) == 1)
    found = attributes(either)
    assert either.span.status.status_code is StatusCode.UNSET
    assert some(found, "gen_ai.usage.input_tokens", "llmtrace.cost.usd") == {
        "gen_ai.usage.input_tokens": None,
        "llmtrace.cost.usd": None,
    }


def test_a_dropped_stream_that_was_seen_on_its_way_says_so(traced: Recorded, openai: Any) -> None:
    next(litellm.completion(MINI, HI, stream=True, extra_headers=SLOWLY, **openai))
    assert soon(lambda: len(traced.spans) == 1)
    assert attributes(traced)["llmtrace.stream.incomplete"] is True


@both
def test_a_stream_that_is_closed_ends_its_call(traced: Recorded, openai: Any, asynchronous: bool) -> None:
    async def main() -> None:
        stream = await litellm.acompletion(MINI, HI, stream=True, extra_headers=SLOWLY, **openai)
        await anext(stream)
        await stream.aclose()

    if asynchronous:
        asyncio.run(main())
    else:
        stream = litellm.completion(MINI, HI, stream=True, extra_headers=SLOWLY, **openai)
        next(stream)
        if not hasattr(stream, "close"):
            pytest.skip("this release's sync streams cannot be closed")
        stream.close()
    assert attributes(traced)["llmtrace.stream.incomplete"] is True


@both
def test_a_stream_that_breaks_is_an_error(traced: Recorded, openai: Any, asynchronous: bool) -> None:
    headers = {"x-mode": "cut"}
    with pytest.raises(Exception, match=r"litellm\.") as raised:
        read(asynchronous, "completion", model=MINI, messages=HI, extra_headers=headers, **openai)
    span = traced.span
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == f"{raised.type.__module__}.{raised.type.__qualname__}"
