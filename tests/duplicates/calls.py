"""The calls: one each of what programs do with the SDKs and LiteLLM, against the local provider.

Every answer counts `INPUT` input tokens, cached ones none, so that whoever counts has the same number.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

INPUT = 10
MODEL, CLAUDE = "gpt-4o-mini", "claude-haiku-4-5"
MESSAGES: Any = [{"role": "user", "content": "Which way is north?"}]
UNCACHED = {"x-cache-read-tokens": "0", "x-cache-write-tokens": "0"}
WITH_USAGE: Any = {"stream": True, "stream_options": {"include_usage": True}}


class Call(NamedTuple):
    """A call, to be run with the provider's URL; `layer` is who sees it first, an SDK or LiteLLM."""

    layer: str
    run: Callable[[str], Awaitable[None] | None]


def openai_client(url: str, name: str = "OpenAI") -> Any:
    import openai

    return getattr(openai, name)(base_url=f"{url}/v1", api_key="local", max_retries=0)


def openai_chat(url: str) -> None:
    openai_client(url).chat.completions.create(model=MODEL, messages=MESSAGES)


def openai_stream(url: str) -> None:
    for _ in openai_client(url).chat.completions.create(model=MODEL, messages=MESSAGES, **WITH_USAGE):
        pass


async def openai_async(url: str) -> None:
    async with openai_client(url, "AsyncOpenAI") as client:
        await client.chat.completions.create(model=MODEL, messages=MESSAGES)


def openai_responses(url: str) -> None:
    openai_client(url).responses.create(model=MODEL, input="Which way is north?")


def anthropic_messages(url: str) -> None:
    import anthropic

    client = anthropic.Anthropic(base_url=url, api_key="local", max_retries=0, default_headers=UNCACHED)
    client.messages.create(model=CLAUDE, max_tokens=64, messages=MESSAGES)


def openai_route(url: str) -> dict[str, Any]:
    return {"model": f"openai/{MODEL}", "api_base": f"{url}/v1", "api_key": "local"}


def litellm_completion(url: str) -> None:
    import litellm

    litellm.completion(messages=MESSAGES, **openai_route(url))


def litellm_stream(url: str) -> None:
    import litellm

    for _ in litellm.completion(messages=MESSAGES, **openai_route(url), **WITH_USAGE):
        pass


async def litellm_async(url: str) -> None:
    import litellm

    await litellm.acompletion(messages=MESSAGES, **openai_route(url))


async def litellm_async_stream(url: str) -> None:
    import litellm

    async for _ in await litellm.acompletion(messages=MESSAGES, **openai_route(url), **WITH_USAGE):
        pass


def litellm_anthropic(url: str) -> None:
    import litellm

    route = {"model": f"anthropic/{CLAUDE}", "api_base": url, "api_key": "local"}
    litellm.completion(messages=MESSAGES, max_tokens=64, extra_headers=UNCACHED, **route)


def litellm_responses(url: str) -> None:
    import litellm

    litellm.responses(input="Which way is north?", **openai_route(url))


CALLS = {
    "OpenAI SDK": Call("sdk", openai_chat),
    "OpenAI SDK streamed": Call("sdk", openai_stream),
    "OpenAI SDK async": Call("sdk", openai_async),
    "OpenAI SDK Responses": Call("sdk", openai_responses),
    "Anthropic SDK": Call("sdk", anthropic_messages),
    "LiteLLM": Call("litellm", litellm_completion),
    "LiteLLM streamed": Call("litellm", litellm_stream),
    "LiteLLM async": Call("litellm", litellm_async),
    "LiteLLM async streamed": Call("litellm", litellm_async_stream),
    "LiteLLM to Anthropic": Call("litellm", litellm_anthropic),
    "LiteLLM Responses": Call("litellm", litellm_responses),
}
