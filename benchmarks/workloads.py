"""One measured process: a workload, with one kind of instrumentation, so many times. See `overhead.py`.

The transport answers from memory, the exporter behind the batch processor drops what it gets.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import bodies
import httpx2
import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

MODEL = "gpt-5-mini"
MESSAGES: Any = [
    {"role": "system", "content": "You are a helpful assistant. " * 10},
    {"role": "user", "content": "What is the weather in Paris, and what should I wear? " * 12},
]
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 200,
    "total_tokens": 320,
    "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 16, "audio_tokens": 0},
}
ATTRIBUTES = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": MODEL,
    "server.address": "api.openai.com",
    "server.port": 443,
    "openai.api.type": "chat_completions",
    "llmtrace.layer": "httpx",
}
ENDING = {
    "http.response.status_code": 200,
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.model": "gpt-5-mini-2025-08-07",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 200,
    "gen_ai.usage.cache_read.input_tokens": 64,
    "gen_ai.usage.reasoning.output_tokens": 16,
    "openai.response.service_tier": "default",
    "openai.response.system_fingerprint": "fp_1",
    "llmtrace.cost.status": "estimated",
    "llmtrace.cost.usd": 0.000416,
    "operation.cost": 0.000416,
    "llmtrace.cost.source": "genai-prices",
    "llmtrace.cost.pricing_version": "0.2.3",
}
"""What our span carries; the bare span carries the same."""


class Dropped(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def answer() -> bytes:
    message = {"role": "assistant", "content": "It is sunny in Paris. " * 20, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return json.dumps({**_head("chat.completion"), "choices": [choice], "usage": USAGE}).encode()


def chunks(count: int) -> list[bytes]:
    """The pieces of a streamed answer, one event each, as they come from a real server."""
    found = []
    for number in range(count):
        reason = "stop" if number == count - 1 else None
        delta = {"content": f" word{number}"} if number else {"role": "assistant", "content": ""}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        found.append({**_head("chat.completion.chunk"), "choices": [choice], "usage": None, "obfuscation": "x" * 16})
    found.append({**_head("chat.completion.chunk"), "choices": [], "usage": USAGE, "obfuscation": "x" * 16})
    return [b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n" for chunk in found] + [
        b"data: [DONE]\n\n"
    ]


def _head(kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": kind,
        "created": 1790000000,
        "model": "gpt-5-mini-2025-08-07",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


class Pieces(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    async def __aiter__(self):
        for piece in self._pieces:
            yield piece


class Memory(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers from memory, below the client's `send` as a real transport is."""

    def __init__(self, headers: dict[str, str], pieces: list[bytes]) -> None:
        self._headers, self._pieces = headers, pieces

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=self._headers, stream=Pieces(self._pieces))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.handle_request(request)


def plain() -> Callable[[], None]:
    client = openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=_json(answer())))
    return lambda: client.chat.completions.create(model=MODEL, messages=MESSAGES)


def plain_async() -> Callable[[], Any]:
    client = openai.AsyncOpenAI(api_key="x", http_client=httpx2.AsyncClient(transport=_json(answer())))
    return lambda: client.chat.completions.create(model=MODEL, messages=MESSAGES)


def stream(count: int = 200) -> Callable[[], None]:
    transport = Memory({"content-type": "text/event-stream"}, chunks(count))
    client = openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=transport))

    def call() -> None:
        for _ in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
            pass

    return call


def stream_async(count: int = 200) -> Callable[[], Any]:
    transport = Memory({"content-type": "text/event-stream"}, chunks(count))
    client = openai.AsyncOpenAI(api_key="x", http_client=httpx2.AsyncClient(transport=transport))

    async def call() -> None:
        async for _ in await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
            pass

    return call


def other_request() -> Callable[[], None]:
    """A request that is no LLM call."""
    client = httpx2.Client(transport=_json(b'{"ok": true}'))
    return lambda: client.post("https://example.com/api/orders", json={"n": 1})


def one_format(name: str) -> Callable[[], None]:
    """A call in one wire format, by a bare client, so that no SDK's own work is in the way."""
    exchanged = bodies.FORMATS[name]()
    memory = Memory({"content-type": exchanged.content_type}, exchanged.pieces)
    client, url, body = httpx2.Client(transport=memory), exchanged.url, json.dumps(exchanged.request).encode()

    def call() -> None:
        client.post(url, content=body)

    def stream() -> None:
        with client.stream("POST", url, content=body) as response:
            for _ in response.iter_raw():
                pass

    return stream if name.endswith("-stream") else call


def _json(body: bytes) -> Memory:
    return Memory({"content-type": "application/json"}, [body])


WORKLOADS = {
    "plain": plain,
    "plain-async": plain_async,
    "stream": stream,
    "stream-async": stream_async,
    "other": other_request,
    **{name: partial(one_format, name) for name in bodies.FORMATS},
}


def nothing(call: Callable[[], Any]) -> Callable[[], Any]:
    return call


def bare(call: Callable[[], Any]) -> Callable[[], Any]:
    """One SDK span that carries the same attributes, around the call."""
    tracer = trace.get_tracer("bare")

    def traced() -> Any:
        with tracer.start_as_current_span(f"chat {MODEL}", kind=trace.SpanKind.CLIENT, attributes=ATTRIBUTES) as span:
            result = call()
            span.set_attributes(ENDING)
            return result

    async def traced_async() -> Any:
        with tracer.start_as_current_span(f"chat {MODEL}", kind=trace.SpanKind.CLIENT, attributes=ATTRIBUTES) as span:
            result = await call()
            span.set_attributes(ENDING)
            return result

    return traced_async if sys.argv[1].endswith("async") else traced


def ours(call: Callable[[], Any]) -> Callable[[], Any]:
    from llmtrace_otel import HTTPXInstrumentor

    HTTPXInstrumentor().instrument()
    return call


VARIANTS = {"none": nothing, "bare": bare, "llmtrace": ours}


def main() -> None:
    workload, variant, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropped()))
    trace.set_tracer_provider(provider)
    call = VARIANTS[variant](WORKLOADS[workload]())
    started = asyncio.run(_repeat_async(call, calls)) if workload.endswith("async") else _repeat(call, calls)
    print((time.process_time() - started) / calls)


def start_counting() -> float:
    """Where valgrind runs us, it counts from here on."""
    if "CALLGRIND" in os.environ:
        subprocess.run(["callgrind_control", "--instr=on", str(os.getpid())], check=True, capture_output=True)
    return time.process_time()


def settle() -> None:
    """Lets what the first calls started in the background come to its end."""
    for thread in threading.enumerate():
        if thread.name == "llmtrace-prices":
            thread.join()


def _repeat(call: Callable[[], Any], calls: int) -> float:
    for _ in range(20):
        call()
    settle()
    started = start_counting()
    for _ in range(calls):
        call()
    return started


async def _repeat_async(call: Callable[[], Any], calls: int) -> float:
    for _ in range(20):
        await call()
    settle()
    started = start_counting()
    for _ in range(calls):
        await call()
    return started


if __name__ == "__main__":
    main()
