"""How a call is made: each SDK's own client, over a real transport whose connections answer from memory.

Imports an SDK only when its calls are asked for.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

from bodies import FORMATS

from compare.cases import CHUNKS, LONG, Case

TEXT = "What is the weather in Paris, and what should I wear? "
MARK = "quokka"
"""A word of every prompt, by which a span is known to carry content."""
TOKENS = {"120", "200"}
"""Input and output of every answer, by which a span is known to carry usage."""
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 200,
    "total_tokens": 320,
    "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 16, "audio_tokens": 0},
}

Message = dict[str, Any]
Call = Callable[[], Any]
"""Makes a call; an asynchronous one gives an awaitable."""


# What goes over the wire


class Answer(NamedTuple):
    content_type: str
    pieces: Iterable[bytes]


def whole(answer: Message) -> Answer:
    return Answer("application/json", [json.dumps(answer).encode()])


def _head(kind: str) -> Message:
    return {
        "id": "chatcmpl-1",
        "object": kind,
        "created": 1790000000,
        "model": "gpt-5-mini-2025-08-07",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


def openai_answer() -> Answer:
    message: Message = {
        "role": "assistant",
        "content": "It is sunny in Paris. " * 20,
        "refusal": None,
        "annotations": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return whole({**_head("chat.completion"), "choices": [choice], "usage": USAGE})


def openai_chunks(count: int = CHUNKS) -> Iterator[bytes]:
    """The pieces of a streamed answer, one event each, as they come from a real server; made as they are read."""
    head = {**_head("chat.completion.chunk"), "obfuscation": "x" * 16}
    for number in range(count):
        delta = {"content": f" word{number}"} if number else {"role": "assistant", "content": ""}
        reason = "stop" if number == count - 1 else None
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        yield _event({**head, "choices": [choice], "usage": None})
    yield _event({**head, "choices": [], "usage": USAGE})
    yield b"data: [DONE]\n\n"


def _event(event: Message) -> bytes:
    return b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"


class Long:
    """A stream that is never in memory as a whole."""

    def __iter__(self) -> Iterator[bytes]:
        return openai_chunks(LONG)


def recorded(name: str) -> Answer:
    exchanged = FORMATS[name]()
    return Answer(exchanged.content_type, exchanged.pieces)


ANSWERS: dict[tuple[str, str], Callable[[], Answer]] = {
    ("openai", "plain"): openai_answer,
    ("openai", "stream"): lambda: Answer("text/event-stream", list(openai_chunks())),
    ("openai", "memory"): lambda: Answer("text/event-stream", Long()),
    ("anthropic", "plain"): lambda: recorded("anthropic-messages"),
    ("anthropic", "stream"): lambda: recorded("anthropic-messages-stream"),
    ("google-genai", "plain"): lambda: recorded("gemini"),
    ("google-genai", "stream"): lambda: recorded("gemini-stream"),
    ("httpx2", "other"): lambda: whole({"ok": True}),
}


def answer_of(case: Case) -> Answer:
    if case.sdk == "formats":
        return recorded(case.shape)
    sdk = "openai" if case.sdk == "litellm" else case.sdk
    return ANSWERS[sdk, "plain" if case.shape == "concurrent" else case.shape]()


class Stream:
    """A body as a connection gives it: once, whoever reads on."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Pool:
    """In the place of a connection pool: gives the same answer to every request."""

    def __init__(self, answer: Answer) -> None:
        self._headers, self._pieces = [(b"content-type", answer.content_type.encode())], answer.pieces

    def handle_request(self, request: Any) -> Any:
        return SimpleNamespace(status=200, headers=self._headers, stream=Stream(self._pieces), extensions={})

    async def handle_async_request(self, request: Any) -> Any:
        await asyncio.sleep(0)  # as a network would, so that calls made at once are under way at once
        return self.handle_request(request)


def http_client(default: type, case: Case) -> Any:
    """A client of the library that an SDK's default client belongs to, its real transport over a pool in memory."""
    base = next(base for base in default.__mro__ if base.__name__ == "Client")
    library = importlib.import_module(base.__module__.partition(".")[0])
    asynchronous = case.mode == "async"
    transport = (library.AsyncHTTPTransport if asynchronous else library.HTTPTransport)(verify=False)
    transport._pool = Pool(answer_of(case))
    return (library.AsyncClient if asynchronous else library.Client)(transport=transport)


# What is said


def prompts(case: Case) -> Callable[[], Any]:
    """Gives the messages of one call: the same history every time, and where there is one, new words after it."""
    last = (f"{MARK} " + TEXT * (case.prompt // len(TEXT) + 1))[: case.prompt]
    history = [{"role": ("user", "assistant")[n % 2], "content": f"{n}: {TEXT * 3}"} for n in range(case.turns)]
    if not history:
        messages = [{"role": "user", "content": last}]
        return lambda: messages
    numbers = itertools.count()
    return lambda: [*history, {"role": "user", "content": f"{next(numbers)}: {last}"}]


def drained(call: Call, mode: str) -> Call:
    """Reads a stream to its end."""

    def read() -> None:
        for _ in call():
            pass

    async def read_async() -> None:
        async for _ in await call():
            pass

    return read_async if mode == "async" else read


# The SDKs


def openai(case: Case) -> Call:
    import openai

    client = (openai.AsyncOpenAI if case.mode == "async" else openai.OpenAI)(
        api_key="x", http_client=http_client(openai.DefaultHttpxClient, case)
    )
    create, said = client.chat.completions.create, prompts(case)
    if case.shape in ("stream", "memory"):
        options: Any = {"stream": True, "stream_options": {"include_usage": True}}
        return drained(lambda: create(model="gpt-5-mini", messages=said(), **options), case.mode)
    return lambda: create(model="gpt-5-mini", messages=said())


def anthropic(case: Case) -> Call:
    import anthropic

    client = (anthropic.AsyncAnthropic if case.mode == "async" else anthropic.Anthropic)(
        api_key="x", http_client=http_client(anthropic.DefaultHttpxClient, case)
    )
    create, said = client.messages.create, prompts(case)
    options: Any = {"model": "claude-sonnet-4-5", "max_tokens": 1024}
    if case.shape == "stream":
        return drained(lambda: create(messages=said(), stream=True, **options), case.mode)
    return lambda: create(messages=said(), **options)


def google_genai(case: Case) -> Call:
    from google import genai
    from google.genai._api_client import SyncHttpxClient

    over = "httpx_async_client" if case.mode == "async" else "httpx_client"
    client = genai.Client(api_key="x", http_options={over: http_client(SyncHttpxClient, case)})
    models = client.aio.models if case.mode == "async" else client.models
    said = prompts(case)()[0]["content"]
    if case.shape == "stream":
        return drained(lambda: models.generate_content_stream(model="gemini-2.5-flash", contents=said), case.mode)
    return lambda: models.generate_content(model="gemini-2.5-flash", contents=said)


def litellm(case: Case) -> Call:
    import httpx
    import litellm

    client = http_client(httpx.Client, case)
    create: Any
    if case.mode == "async":
        litellm.aclient_session, create = client, litellm.acompletion
    else:
        litellm.client_session, create = client, litellm.completion
    # LiteLLM keeps one client for each key, with the session that there was when it made it.
    said, options = prompts(case), dict[str, Any](model="openai/gpt-5-mini", api_key=f"{case.shape}-{case.mode}")
    if case.shape == "stream":
        options |= {"stream": True, "stream_options": {"include_usage": True}}
        return drained(lambda: create(messages=said(), **options), case.mode)
    return lambda: create(messages=said(), **options)


def other(case: Case) -> Call:
    import httpx2

    client = http_client(httpx2.Client, case)
    return lambda: client.post("https://example.com/api/orders", json={"n": 1})


def one_format(case: Case) -> Call:
    import httpx2

    exchanged, client = FORMATS[case.shape](), http_client(httpx2.Client, case)
    url, body = exchanged.url, json.dumps(exchanged.request).encode()

    def stream() -> None:
        with client.stream("POST", url, content=body) as response:
            for _ in response.iter_raw():
                pass

    return stream if case.shape.endswith("-stream") else lambda: client.post(url, content=body)


def child(_: Case) -> Call:
    return lambda: subprocess.run(["true"], check=True)


CALLS: dict[str, Callable[[Case], Call]] = {
    "openai": openai,
    "anthropic": anthropic,
    "google-genai": google_genai,
    "litellm": litellm,
    "formats": one_format,
    "httpx2": other,
    "subprocess": child,
}


def call_of(case: Case) -> Call:
    return CALLS[case.sdk](case)


def gathered(call: Callable[[], Awaitable[Any]], count: int) -> Coroutine[Any, Any, None]:
    """As many calls at once."""

    async def all_of_them() -> None:
        await asyncio.gather(*(call() for _ in range(count)))

    return all_of_them()
