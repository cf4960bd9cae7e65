"""The real SDKs: what a program gets from a recording is what it got from the provider, streams and retries too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
import pytest
from tapes import NOWHERE, Tape

from provider import Provider
from provider.script import ANSWER

PARIS = [{"role": "user", "content": "Paris?"}]
CHAT = {"model": "gpt-4o-mini", "messages": PARIS}
MESSAGE = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": PARIS}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}}}


def both(provider: Provider, tape: Tape, ask: Callable[[str], Any]) -> tuple[Any, Any]:
    """What the same program gets live, and from what was then recorded."""
    with tape.record():
        live = ask(provider.url)
    provider.requests.clear()
    with tape.replay() as recorded:
        replayed = ask(NOWHERE)
    assert provider.requests == []
    assert all((span.attributes or {})["llmtrace.replay"] is True for span in recorded.spans)
    assert tape.misses == []
    return live, replayed


def openai_at(url: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="local", **options)


def anthropic_at(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="local")


def run(client: Any, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    async def asked() -> Any:
        async with client:
            return await ask(client)

    return asyncio.run(asked())


def test_openai_chat(provider: Provider, tape: Tape) -> None:
    def ask(url: str) -> Any:
        with openai_at(url) as client:
            return client.chat.completions.create(**CHAT).model_dump()

    live, replayed = both(provider, tape, ask)
    assert replayed == live
    assert replayed["choices"][0]["message"]["content"] == ANSWER


def test_openai_chat_stream_async(provider: Provider, tape: Tape) -> None:
    async def read(client: Any) -> list[Any]:
        stream = await client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
        return [chunk.model_dump() async for chunk in stream]

    def ask(url: str) -> Any:
        return run(openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="local"), read)

    live, replayed = both(provider, tape, ask)
    assert replayed == live
    assert len(replayed) > 3


def test_openai_responses_that_follow_one_another(provider: Provider, tape: Tape) -> None:
    def ask(url: str) -> list[Any]:
        with openai_at(url) as client:
            first = client.responses.create(model="gpt-5-mini", input="Paris?")
            with client.responses.stream(model="gpt-5-mini", input="why?", previous_response_id=first.id) as stream:
                return [first.model_dump(), *(event.model_dump(warnings=False) for event in stream)]

    live, replayed = both(provider, tape, ask)
    assert replayed == live


def test_openai_tools_whose_ids_are_sent_back(provider: Provider, tape: Tape) -> None:
    def ask(url: str) -> Any:
        with openai_at(url) as client:
            asked = client.chat.completions.create(**CHAT, tools=[TOOL]).choices[0].message
            assert asked.tool_calls is not None
            result = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "sunny"}
            history = [*PARIS, asked.model_dump(exclude_none=True), result]
            return client.chat.completions.create(model="gpt-4o-mini", messages=history, tools=[TOOL]).model_dump()

    live, replayed = both(provider, tape, ask)
    assert replayed == live


def test_a_retry_gets_the_second_answer_and_shares_the_span(provider: Provider, tape: Tape) -> None:
    headers = {"x-mode": "fail-429-times-1", "x-test-id": "replayed"}
    with tape.record(), openai_at(provider.url, max_retries=2) as client:
        client.chat.completions.create(**CHAT, extra_headers=headers)
    with tape.replay() as recorded, openai_at(NOWHERE, max_retries=2) as client:
        answer = client.chat.completions.create(**CHAT)
    assert answer.choices[0].message.content == ANSWER
    assert [found["response"]["status"] for found in tape.recordings] == [429, 200]
    attributes = recorded.span.attributes or {}
    assert (attributes["llmtrace.attempts"], attributes["llmtrace.cost.usd"]) == (2, 0.0)


def test_anthropic_message(provider: Provider, tape: Tape) -> None:
    def ask(url: str) -> Any:
        with anthropic_at(url) as client:
            return client.messages.create(**MESSAGE).model_dump()

    live, replayed = both(provider, tape, ask)
    assert replayed == live


def test_anthropic_stream(provider: Provider, tape: Tape) -> None:
    def ask(url: str) -> Any:
        with anthropic_at(url) as client, client.messages.stream(**MESSAGE) as stream:
            return [event.model_dump() for event in stream]

    live, replayed = both(provider, tape, ask)
    assert replayed == live


def test_anthropic_async(provider: Provider, tape: Tape) -> None:
    async def create(client: Any) -> Any:
        return (await client.messages.create(**MESSAGE)).model_dump()

    def ask(url: str) -> Any:
        return run(anthropic.AsyncAnthropic(base_url=url, api_key="local"), create)

    live, replayed = both(provider, tape, ask)
    assert replayed == live


def test_google_genai(provider: Provider, tape: Tape) -> None:
    genai: Any = pytest.importorskip("google.genai", reason="google-genai is not installed")

    def ask(url: str) -> Any:
        with genai.Client(api_key="local", http_options={"base_url": url}) as client:
            whole = client.models.generate_content(model="gemini-2.5-flash", contents="Paris?").text
            pieces = client.models.generate_content_stream(model="gemini-2.5-flash", contents="Paris?")
            return [whole, *(piece.text for piece in pieces)]

    live, replayed = both(provider, tape, ask)
    assert replayed == live
    client = genai.Client(api_key="local", http_options={"base_url": NOWHERE})
    with tape.replay(), client, pytest.raises(genai.errors.ClientError, match=r"recorded 'Paris\?' asked 'Rome\?'"):
        client.models.generate_content(model="gemini-2.5-flash", contents="Rome?")
