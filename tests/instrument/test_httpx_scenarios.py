"""What a call through httpx or httpx2 leaves, sync and async: one span each, and an exchange that is as without us."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from instrument_helpers import (
    CHAT,
    CHAT_STREAM,
    MESSAGE,
    OPENAI,
    STREAM,
    Coroutines,
    answer_of,
    attributes_of,
    message_of,
    request_of,
    seconds_of,
    status_of,
)
from opentelemetry import trace

from llmtrace_otel import session
from llmtrace_otel.instrument.httpx import HTTPXInstrumentor
from llmtrace_otel.telemetry import doubts
from llmtrace_otel.wire.decode import Reader
from llmtrace_otel.wire.providers import Providers
from provider import Provider
from provider.script import ANSWER
from support.clients import Client
from support.spans import Recorded

STREAMED = {"gen_ai.request.stream": True}
RESPONSE = {"model": "gpt-5-mini", "input": "Paris?"}
COUNTED = {"x-input-tokens": "3", "x-output-tokens": "2"}


@pytest.fixture(autouse=True)
def _no_doubt_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test may be warned anew."""
    monkeypatch.setattr(doubts, "_said", set())


@pytest.fixture
def chat(provider: Provider) -> str:
    return f"{provider.url}/v1/chat/completions"


def test_a_chat_call_is_one_span(recorded: Recorded, client: Client, provider: Provider, chat: str):
    answer = client.post(chat, json=CHAT, headers=COUNTED)
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == ANSWER
    assert attributes_of(recorded.span) == request_of(provider) | answer_of(tokens=(3, 2))
    assert (recorded.span.name, recorded.span.kind.name) == ("chat gpt-4o-mini", "CLIENT")
    assert status_of(recorded.span) == ("UNSET", None)
    assert recorded.span.parent is None
    assert seconds_of(recorded.span) > 0


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (500, "server_error", "The server had an error while processing your request."),
        (429, "requests", "Rate limit reached. Please try again in 1ms."),
    ],
)
def test_a_refused_call_has_an_error_and_no_usage(
    status: int, kind: str, message: str, recorded: Recorded, client: Client, provider: Provider, chat: str
):
    answer = client.post(chat, json=CHAT, headers={"x-mode": f"fail-{status}"})
    assert (answer.status, json.loads(answer.body)["error"]["message"]) == (status, message)
    told = {"http.response.status_code": status, "error.type": kind}
    assert attributes_of(recorded.span, cost=None) == request_of(provider) | told
    assert status_of(recorded.span) == ("ERROR", message)
    assert seconds_of(recorded.span) > 0


def test_an_error_without_a_name_is_named_by_its_status(recorded: Recorded, client: Client):
    transport = client.transport(lambda _: (502, {}, [b"<html>Bad gateway</html>"]))
    client.request("POST", OPENAI, json=CHAT, transport=transport)
    told = {"http.response.status_code": 502, "error.type": "502"}
    assert attributes_of(recorded.span, cost=None) == request_of() | told
    assert status_of(recorded.span) == ("ERROR", None)


def test_nobody_listening(recorded: Recorded, client: Client):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(client.library.ConnectError) as caught:
        client.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=CHAT)
    told = {"server.address": "127.0.0.1", "server.port": port, "error.type": f"{client.library.__name__}.ConnectError"}
    assert attributes_of(recorded.span, cost=None) == request_of(**told)
    assert status_of(recorded.span) == ("ERROR", str(caught.value))


def test_the_very_exception_reaches_the_caller(recorded: Recorded, client: Client):
    broken = ValueError("a transport of one's own")

    def fail(_: Any) -> Any:
        raise broken

    with pytest.raises(ValueError, match="one's own") as caught:
        client.request("POST", OPENAI, json=CHAT, transport=client.library.MockTransport(fail))
    assert caught.value is broken
    assert attributes_of(recorded.span, cost=None) == request_of(**{"error.type": "ValueError"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/v1/chat/completions", 404),
        ("POST", "/v1/messages/count_tokens", 200),
        ("POST", "/v1/completions/cancel", 404),
    ],
)
def test_what_is_no_inference_leaves_no_span(
    method: str, path: str, status: int, recorded: Recorded, client: Client, provider: Provider
):
    body = {"json": MESSAGE} if method == "POST" else {}
    assert client.request(method, provider.url + path, **body).status == status
    assert recorded.spans == ()


def test_a_path_of_ones_own_counts_once_it_is_registered(recorded: Recorded, client: Client):
    def send(providers: Providers) -> None:
        HTTPXInstrumentor().uninstrument()
        HTTPXInstrumentor().instrument(**recorded.providers, providers=providers)
        whole = b'{"id":"1","model":"m","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}'
        transport = client.transport(lambda _: (200, {}, [whole]))
        client.request("POST", "http://llm.corp/custom/llm/v9/respond", json=CHAT, transport=transport)

    own, other = Providers(), Providers()
    send(own)
    assert recorded.spans == ()
    own.register_provider("local", "http://llm.corp", ["/custom/llm/*/respond"])
    send(other)
    assert recorded.spans == ()
    send(own)
    assert attributes_of(recorded.span, cost="unknown") == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "local",
        "gen_ai.request.model": "gpt-4o-mini",
        "server.address": "llm.corp",
        "server.port": 80,
        "llmtrace.layer": "httpx",
        "http.response.status_code": 200,
        "gen_ai.response.id": "1",
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
    }


def test_a_stream_left_after_its_first_piece_is_incomplete(
    recorded: Recorded, client: Client, provider: Provider, chat: str
):
    client.request("POST", chat, json=CHAT_STREAM, headers={"x-chunk-delay": "0.05"}, stream=True, stop_after=1)
    answered = answer_of() | {"llmtrace.stream.incomplete": True}
    untold = ("gen_ai.response.finish_reasons", "gen_ai.usage")
    seen = {name: value for name, value in answered.items() if not name.startswith(untold)}
    assert attributes_of(recorded.span, cost="unknown") == request_of(provider, **STREAMED) | seen
    assert status_of(recorded.span) == ("UNSET", None)


def test_a_stream_that_was_not_asked_for_its_usage_has_none(
    recorded: Recorded, client: Client, provider: Provider, chat: str
):
    body = b'{"model": "gpt-4o-mini",  "messages": [], "stream": true}'
    client.request("POST", chat, content=body, stream=True)
    assert [request.body for request in provider.requests] == [body]
    answered = {name: value for name, value in answer_of().items() if not name.startswith("gen_ai.usage")}
    missing = {"llmtrace.usage.missing": True}
    assert attributes_of(recorded.span, cost="unknown") == request_of(provider, **STREAMED) | answered | missing


FRAMINGS = ({}, {"x-mode": "nosp"}, {"x-mode": "crlf"}, {"x-mode": "cr"}, {"x-mode": "comments"}, {"x-chunk-size": "1"})


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_a_stream_is_read_however_it_is_framed(
    framing: dict[str, str], recorded: Recorded, client: Client, provider: Provider, chat: str
):
    client.request("POST", chat, json=CHAT_STREAM, headers=framing, stream=True)
    assert attributes_of(recorded.span) == request_of(provider, **STREAMED) | answer_of()


@pytest.mark.parametrize("streamed", [False, True])
def test_responses(streamed: bool, recorded: Recorded, client: Client, provider: Provider):
    client.request("POST", f"{provider.url}/v1/responses", json={**RESPONSE, "stream": streamed}, stream=streamed)
    asked = {"gen_ai.request.model": "gpt-5-mini", "openai.api.type": "responses"} | (STREAMED if streamed else {})
    answered = {
        "http.response.status_code": 200,
        "gen_ai.response.id": f"resp_{1:024d}",
        "gen_ai.response.model": "gpt-5-mini-2025-08-07",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "openai.response.service_tier": "default",
    }
    assert attributes_of(recorded.span) == request_of(provider, **asked) | answered


GENERATED = {
    "candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 3, "thoughtsTokenCount": 2},
    "modelVersion": "gemini-2.5-flash",
    "responseId": "r1",
}
GENERATE = {"contents": [{"role": "user", "parts": [{"text": "Paris?"}]}]}
GENERATED_SPAN = {
    "gen_ai.operation.name": "generate_content",
    "gen_ai.provider.name": "gcp.gemini",
    "gen_ai.request.model": "gemini-2.5-flash",
    "server.address": "127.0.0.1",
    "server.port": 8765,
    "llmtrace.layer": "httpx",
    "http.response.status_code": 200,
    "gen_ai.response.id": "r1",
    "gen_ai.response.model": "gemini-2.5-flash",
    "gen_ai.response.finish_reasons": ("STOP",),
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.usage.reasoning.output_tokens": 2,
}


def as_sse(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("path", "request_body", "answer"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", GENERATE, json.dumps(GENERATED).encode()),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", GENERATE, as_sse(GENERATED)),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent", GENERATE, json.dumps([GENERATED]).encode()),
        (
            "/v1internal:generateContent",
            {"model": "gemini-2.5-flash", "request": GENERATE},
            json.dumps({"response": GENERATED}).encode(),
        ),
        (
            "/v1internal:streamGenerateContent?alt=sse",
            {"model": "gemini-2.5-flash", "request": GENERATE},
            as_sse({"response": GENERATED}),
        ),
    ],
    ids=["JSON", "SSE", "array", "wrapped JSON", "wrapped SSE"],
)
def test_gemini_counts_thoughts_as_output(
    recorded: Recorded, client: Client, path: str, request_body: Any, answer: bytes
):
    transport = client.transport(lambda _: (200, {}, [answer[:40], answer[40:]]))
    client.post(f"http://127.0.0.1:8765{path}", json=request_body, transport=transport, stream="stream" in path)
    expected = GENERATED_SPAN | (STREAMED if "stream" in path else {})
    if "internal" in path:  # names no model
        expected = expected | {"url.path": path.partition("?")[0]}
    assert attributes_of(recorded.span) == expected


@pytest.mark.parametrize("streamed", [False, True])
def test_anthropic_input_counts_what_the_cache_read_and_wrote(
    streamed: bool, recorded: Recorded, client: Client, provider: Provider
):
    client.request("POST", f"{provider.url}/v1/messages", json={**MESSAGE, "stream": streamed}, stream=streamed)
    assert attributes_of(recorded.span) == message_of(provider, **(STREAMED if streamed else {}))


def test_fetching_a_stored_response_counts_no_tokens(recorded: Recorded, client: Client, provider: Provider):
    client.request("GET", f"{provider.url}/v1/responses/resp_7")
    assert recorded.span.name == "fetch_response"
    assert attributes_of(recorded.span, cost=None) == {
        "gen_ai.operation.name": "fetch_response",
        "gen_ai.provider.name": "openai",
        "server.address": "127.0.0.1",
        "server.port": int(provider.url.rpartition(":")[2]),
        "llmtrace.layer": "httpx",
        "http.response.status_code": 200,
        "gen_ai.response.id": "resp_7",
        "gen_ai.response.model": "gpt-5-mini-2025-08-07",
        "gen_ai.response.status": "completed",
        "openai.api.type": "responses",
        "openai.response.service_tier": "default",
    }


CODINGS = [(coding, streamed) for coding in ("gzip", "deflate", "br", "zstd") for streamed in (False, True)]


@pytest.mark.parametrize(("coding", "streamed"), CODINGS)
def test_encoded_answers_are_read(
    coding: str, streamed: bool, recorded: Recorded, client: Client, provider: Provider, chat: str
):
    if not streamed and coding not in client.library._decoders.SUPPORTED_DECODERS:
        pytest.skip(f"{client.library.__name__} leaves {coding} to the caller: see the next test")
    body = CHAT_STREAM if streamed else CHAT
    client.request("POST", chat, json=body, headers={"x-encode": coding}, stream=streamed)
    assert attributes_of(recorded.span) == request_of(provider, **(STREAMED if streamed else {})) | answer_of()


def test_an_answer_is_read_whose_coding_the_library_leaves_to_the_caller(
    recorded: Recorded, client: Client, provider: Provider, chat: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(client.library._decoders.SUPPORTED_DECODERS, "gzip")
    answer = client.post(chat, json=CHAT, headers={"x-encode": "gzip"})
    assert json.loads(gzip.decompress(answer.body))["object"] == "chat.completion"
    assert attributes_of(recorded.span) == request_of(provider) | answer_of()


def test_a_generated_request_body_is_left_to_the_transport(
    with_content: Recorded, client: Client, provider: Provider, chat: str
):
    pieces = [b'{"model": "gpt-4o-mini", ', b'"messages": []}']

    def generated() -> Iterator[bytes]:
        yield from pieces

    async def generated_async() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    client.post(chat, content=generated_async() if client.asynchronous else generated())
    assert [request.body for request in provider.requests] == [b"".join(pieces)]
    attributes = attributes_of(with_content.span)
    assert json.loads(attributes.pop("gen_ai.output.messages"))[0]["parts"] == [{"type": "text", "content": ANSWER}]
    unseen = request_of(provider, **{"gen_ai.request.model": None, "openai.api.type": None})
    answered = {name: value for name, value in answer_of().items() if not name.startswith("openai.")}
    assert attributes == unseen | answered


def test_an_answer_without_usage_says_so_once_per_host(
    recorded: Recorded, client: Client, provider: Provider, chat: str, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, "llmtrace_otel"):
        for _ in range(2):
            client.post(chat, json=CHAT, headers={"x-mode": "no-usage"})
    (warning,) = caplog.messages
    assert "127.0.0.1 have no usage" in warning
    assert "it stated choices, created, id, model, object" in warning
    untold = {name: value for name, value in answer_of(2).items() if not name.startswith("gen_ai.usage")}
    assert attributes_of(recorded.spans[1], cost="unknown") == (
        request_of(provider) | untold | {"llmtrace.usage.missing": True}
    )
    assert [status_of(span) for span in recorded.spans] == [("UNSET", None)] * 2


def test_embeddings(recorded: Recorded, client: Client, provider: Provider):
    body = {"model": "text-embedding-3-small", "input": ["Paris"], "dimensions": 4, "encoding_format": "float"}
    client.post(f"{provider.url}/v1/embeddings", json=body, headers={"x-input-tokens": "7"})
    asked = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.request.model": "text-embedding-3-small",
        "gen_ai.request.encoding_formats": ("float",),
        "gen_ai.embeddings.dimension.count": 4,
        "openai.api.type": None,
    }
    answered = {
        "http.response.status_code": 200,
        "gen_ai.response.model": "text-embedding-3-small",
        "gen_ai.usage.input_tokens": 7,
    }
    assert attributes_of(recorded.span) == request_of(provider, **asked) | answered


def test_text_completions(recorded: Recorded, client: Client, provider: Provider):
    body = {"model": "gpt-4o-mini", "prompt": "Paris is", "stream": True, "stream_options": {"include_usage": True}}
    client.request("POST", f"{provider.url}/v1/completions", json=body, stream=True)
    asked = {"gen_ai.operation.name": "text_completion", "openai.api.type": None, **STREAMED}
    answered = answer_of() | {"gen_ai.response.id": f"cmpl-{1:024d}"}
    del answered["openai.response.service_tier"]
    assert attributes_of(recorded.span) == request_of(provider, **asked) | answered


EXCHANGES: list[tuple[str, dict[str, Any], bool, dict[str, str]]] = [
    ("/v1/chat/completions", CHAT, False, {}),
    ("/v1/chat/completions", CHAT_STREAM, True, {"x-mode": "crlf"}),
    ("/v1/chat/completions", CHAT_STREAM, True, {"x-encode": "gzip", "x-chunk-size": "7"}),
    ("/v1/chat/completions", CHAT_STREAM, True, {"x-mode": "error-in-stream"}),
    ("/v1/chat/completions", CHAT, False, {"x-mode": "fail-429"}),
    ("/v1/chat/completions", CHAT, False, {"x-mode": "html"}),
    ("/v1/responses", {**RESPONSE, "stream": True}, True, {}),
    ("/v1/messages", {**MESSAGE, "stream": True}, True, {"x-encode": "br"}),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Paris"}, False, {}),
]


@pytest.mark.parametrize(("path", "body", "streamed", "headers"), EXCHANGES)
def test_request_and_answer_are_those_of_a_program_without_us(
    path: str,
    body: dict[str, Any],
    streamed: bool,
    headers: dict[str, str],
    with_content: Recorded,
    client: Client,
    provider: Provider,
):
    def exchange() -> tuple[int, list[tuple[str, str]], bytes]:
        answer = client.request("POST", provider.url + path, json=body, headers=headers, stream=streamed)
        numbered = re.compile(rb"\d{6,}")  # ids and times of creation differ
        told = [(name, numbered.sub(b"N", value.encode()).decode()) for name, value in answer.headers.items()]
        of_the_body = ("date", "content-length") if "x-encode" in headers else ("date",)
        return answer.status, [pair for pair in told if pair[0] not in of_the_body], numbered.sub(b"N", answer.body)

    traced = exchange()
    HTTPXInstrumentor().uninstrument()
    assert exchange() == traced
    first, second = provider.requests
    assert first == second  # method, path, headers in order and spelling, body
    assert len(with_content.spans) == 1


def test_what_is_instrumented_twice_is_on_until_it_is_uninstrumented_twice(
    recorded: Recorded, client: Client, provider: Provider, chat: str
):
    HTTPXInstrumentor().instrument()  # the fixture was the first; its providers hold
    client.post(chat, json=CHAT)
    assert attributes_of(recorded.span) == request_of(provider) | answer_of()
    HTTPXInstrumentor().uninstrument()
    client.post(chat, json=CHAT)
    assert len(recorded.spans) == 2
    HTTPXInstrumentor().uninstrument()
    client.post(chat, json=CHAT)
    assert len(recorded.spans) == 2
    HTTPXInstrumentor().uninstrument()  # once too often is no error


def test_uninstrument_restores_the_very_functions(client: Client, monkeypatch: pytest.MonkeyPatch):
    kind = client.library.AsyncClient if client.asynchronous else client.library.Client
    original = kind.send
    for _ in range(2):
        HTTPXInstrumentor().instrument()
        assert kind.send is not original
        HTTPXInstrumentor().uninstrument()
        assert kind.send is original


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that are decoded."""
    bodies: list[bytes] = []
    decode = Reader.__call__

    def note(self: Any, body: Any) -> Any:
        bodies.append(bytes(body))
        return decode(self, body)

    monkeypatch.setattr(Reader, "__call__", note)
    return bodies


LONG = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "word " * 40_000}]}).encode()


def test_a_long_prompt_is_decoded_once(recorded: Recorded, client: Client, decoded: list[bytes]):
    transport = client.transport(lambda _: (200, {}, [b'{"id":"1","choices":[]}']))
    client.request("POST", OPENAI, content=LONG, transport=transport)
    assert decoded.count(LONG) == 1
    assert recorded.span.attributes["gen_ai.request.model"] == "gpt-4o-mini"


def test_a_long_prompt_to_an_unknown_host_is_decoded_once(recorded: Recorded, client: Client, decoded: list[bytes]):
    transport = client.transport(lambda _: (200, {}, [b'{"id":"1","choices":[]}']))
    client.request("POST", "http://llm.corp/v1/chat/completions", content=LONG, transport=transport)
    assert len(recorded.spans) == 1
    assert decoded.count(LONG) == 1


@pytest.fixture
def as_global(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """The recording tracer provider is the program's own, which sessions need."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", recorded.tracer_provider)
    return recorded


def test_a_call_in_another_thread_belongs_to_its_session(as_global: Recorded, client: Client, chat: str):
    async def call() -> None:
        with session("s-27"):
            await asyncio.to_thread(client.post, chat, json=CHAT)

    asyncio.run(call())
    assert as_global.span.attributes["session.id"] == "s-27"


def test_a_stream_that_ends_after_its_session_belongs_to_it(as_global: Recorded, client: Client):
    async def call() -> bytes:
        async with Coroutines(client, transport=client.transport(lambda _: (200, {}, STREAM))) as http:
            with session("s-29"):
                response = await http.send(OPENAI)
            return await http.read(response)

    assert asyncio.run(call()) == b"".join(STREAM)
    assert as_global.span.attributes["session.id"] == "s-29"
    assert as_global.span.attributes["gen_ai.response.finish_reasons"] == ("stop",)
