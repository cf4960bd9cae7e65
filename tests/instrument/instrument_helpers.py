"""What the tests of the HTTP clients and of the SDKs share: whole attribute dictionaries, and both kinds of client."""

from __future__ import annotations

import inspect
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from provider import Provider
from support.clients import Client

PARIS = [{"role": "user", "content": "Paris?"}]
CHAT = {"model": "gpt-4o-mini", "messages": PARIS}
CHAT_STREAM = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
MESSAGE = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": PARIS}
OPENAI = "https://api.openai.com/v1/chat/completions"

CHUNK = b'data: {"id":"chatcmpl-1","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
FINISH = (
    b'data: {"id":"chatcmpl-1","model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
)
USAGE = b'data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAM = [CHUNK, FINISH, USAGE, DONE]
"""A chat stream of four pieces."""


def request_of(server: Provider | None = None, **more: Any) -> dict[str, Any]:
    """What a span knows of a chat request to the local provider, or to OpenAI."""
    known: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "server.address": "127.0.0.1" if server else "api.openai.com",
        "server.port": int(server.url.rpartition(":")[2]) if server else 443,
        "openai.api.type": "chat_completions",
        "llmtrace.layer": "httpx",
    }
    return {name: value for name, value in {**known, **more}.items() if value is not None}


def answer_of(number: int = 1, *, tokens: tuple[int, int] = (10, 5)) -> dict[str, Any]:
    """What a span knows of the local provider's chat answer, the `number`th of the test."""
    return {
        "http.response.status_code": 200,
        "gen_ai.response.id": f"chatcmpl-{number:024d}",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": tokens[0],
        "gen_ai.usage.output_tokens": tokens[1],
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "openai.response.service_tier": "default",
    }


def message_of(server: Provider, number: int = 1, **more: Any) -> dict[str, Any]:
    """What a span knows of a whole Anthropic message of the local provider."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-haiku-4-5",
        "gen_ai.request.max_tokens": 64,
        "server.address": "127.0.0.1",
        "server.port": int(server.url.rpartition(":")[2]),
        "llmtrace.layer": "httpx",
        "http.response.status_code": 200,
        "gen_ai.response.id": f"msg_{number:024d}",
        "gen_ai.response.model": "claude-haiku-4-5-20251001",
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.input_tokens": 130,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "gen_ai.usage.cache_write.input_tokens": 20,
        **more,
    }


def attributes_of(span: ReadableSpan, cost: str | None = "estimated") -> dict[str, Any]:
    """All attributes of a span, but for its cost, whose status is checked, and its time to the first chunk."""
    attributes = dict(span.attributes or {})
    assert attributes.pop("llmtrace.cost.status", None) == cost
    usd = attributes.pop("llmtrace.cost.usd", None)
    assert attributes.pop("operation.cost", None) == usd
    assert attributes.pop("llmtrace.cost.source", None) == ("genai-prices" if cost == "estimated" else None)
    assert (attributes.pop("llmtrace.cost.pricing_version", None) is not None) == (cost == "estimated")
    assert (usd is not None and usd > 0) == (cost == "estimated")
    first_chunk = attributes.pop("gen_ai.response.time_to_first_chunk", None)
    if first_chunk is not None:
        assert attributes["gen_ai.request.stream"] is True
        assert 0 <= first_chunk <= seconds_of(span)
    return attributes


def seconds_of(span: ReadableSpan) -> float:
    assert span.end_time is not None
    assert span.start_time is not None
    return (span.end_time - span.start_time) / 1e9


def status_of(span: ReadableSpan) -> tuple[str, str | None]:
    return span.status.status_code.name, span.status.description


class Coroutines:
    """One client of either kind behind coroutines, so that a flow is written once for both."""

    def __init__(self, client: Client, **options: Any) -> None:
        library = client.library
        self.asynchronous = client.asynchronous
        self.http = (library.AsyncClient if client.asynchronous else library.Client)(**options)

    async def __aenter__(self) -> Coroutines:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close(self.http)

    async def send(self, url: str, *, stream: bool = True, **kwargs: Any) -> Any:
        """Sends a chat request, and gives the response with its body still to come."""
        request = self.http.build_request("POST", url, **({"json": CHAT_STREAM} | kwargs))
        return await settled(self.http.send(request, stream=stream))

    def pieces(self, response: Any, kind: str = "raw") -> AsyncIterator[Any]:
        """Iterates over `iter_raw`, `iter_bytes`, `iter_text` or `iter_lines`."""
        return pieces_of(getattr(response, f"aiter_{kind}" if self.asynchronous else f"iter_{kind}")())

    async def read(self, response: Any) -> bytes:
        return await settled(response.aread() if self.asynchronous else response.read())

    async def close(self, closable: Any) -> None:
        await settled(closable.aclose() if self.asynchronous else closable.close())


async def settled(value: Any) -> Any:
    """What a synchronous call gave, or what an asynchronous one gives once it is awaited."""
    return await value if inspect.isawaitable(value) else value


async def pieces_of(stream: Any) -> AsyncIterator[Any]:
    """Iterates over a stream of either kind."""
    if hasattr(stream, "__aiter__"):
        async for piece in stream:
            yield piece
    else:
        for piece in stream:
            yield piece


@asynccontextmanager
async def opened(manager: Any) -> AsyncIterator[Any]:
    """Enters a context manager of either kind."""
    if hasattr(manager, "__aenter__"):
        async with manager as entered:
            yield entered
    else:
        with manager as entered:
            yield entered


def wait_until(condition: Callable[[], object]) -> None:
    """Waits for what another thread is about to do: at most 10 seconds, then the test fails."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


def program(code: str, status: int = 0) -> str:
    """What a Python program of its own prints; it must end with that status, and say nothing else."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (status, "")
    return run.stdout.strip()
