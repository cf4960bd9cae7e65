"""Calls of httpx and httpx2, sync and async: recorded from a server, answered where there is none."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from tapes import KEY, NOWHERE, Tape

from provider import Provider
from provider.script import ANSWER
from support.clients import Client

PATH = "/v1/chat/completions"
CATS = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "cats"}]}
STREAM = {**CATS, "stream": True, "stream_options": {"include_usage": True}}
HEADERS = {"authorization": f"Bearer {KEY}"}


def said(answer: Any) -> str:
    return json.loads(answer.body)["choices"][0]["message"]["content"]


def test_an_answer_is_given_again_where_there_is_no_server(client: Client, provider: Provider, tape: Tape) -> None:
    with tape.record():
        live = client.post(provider.url + PATH, json=CATS, headers=HEADERS)
    with tape.replay():
        replayed = client.post(NOWHERE + PATH, json=CATS, headers={"authorization": "Bearer another-key-of-mine"})
    assert (replayed.status, json.loads(replayed.body)) == (live.status, json.loads(live.body))
    assert replayed.headers["x-request-id"] == live.headers["x-request-id"]
    assert replayed.headers["x-llmtrace-replay"] == tape.files[0]


def test_its_span_is_that_of_a_cached_answer(client: Client, provider: Provider, tape: Tape) -> None:
    with tape.record():
        client.post(provider.url + PATH, json=CATS)
    with tape.replay() as recorded:
        client.post(NOWHERE + PATH, json=CATS)
        metrics = recorded.metrics
    attributes = dict(recorded.span.attributes or {})
    assert attributes.pop("gen_ai.response.id").startswith("chatcmpl-")
    assert attributes.pop("llmtrace.replay.original_duration") == tape.recording["seconds"]
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "http.response.status_code": 200,
        "llmtrace.cache.hit": True,
        "llmtrace.cost.source": "replay",
        "llmtrace.cost.status": "actual",
        "llmtrace.cost.usd": 0.0,
        "llmtrace.layer": "httpx",
        "llmtrace.replay": True,
        "openai.api.type": "chat_completions",
        "openai.response.service_tier": "default",
        "operation.cost": 0.0,
        "server.address": "127.0.0.1",
        "server.port": 9,
    }
    assert "gen_ai.client.inference.usage.input_tokens" not in metrics


@pytest.mark.parametrize("coding", [None, "gzip", "br"])
def test_a_stream_is_given_again_in_its_pieces(
    client: Client, provider: Provider, tape: Tape, coding: str | None
) -> None:
    with tape.record():
        asked = {"x-encode": coding, "x-chunks": "3"} if coding else {"x-chunks": "3"}
        live = client.post(provider.url + PATH, json=STREAM, headers=asked, stream=True)
    with tape.replay() as recorded:
        replayed = client.post(NOWHERE + PATH, json=STREAM, stream=True)
    assert replayed.body == live.body
    assert "content-encoding" not in replayed.headers
    assert (recorded.span.attributes or {})["gen_ai.usage.output_tokens"] == 5
    events = [event for chunk in tape.recording["response"]["chunks"] for event in chunk]
    assert "".join(events).encode() == live.body
    assert all(event.endswith("\n\n") for event in events)


def test_pieces_are_those_of_the_recording(client: Client, provider: Provider, tape: Tape) -> None:
    sun = "☀".encode()
    pieces = [b'data: {"choices":[{"delta":{"content":"' + sun[:1], sun[1:], b'"}}]}\n\n']
    transport = client.transport(lambda _: (200, {"content-type": "text/event-stream"}, pieces))
    seen: list[bytes] = []
    with tape.record():
        client.post("https://api.openai.com" + PATH, json=STREAM, transport=transport, stream=True)

    async def pieces_of(http: Any) -> None:
        async with http.stream("POST", "https://api.openai.com" + PATH, json=STREAM) as response:
            seen.extend([piece async for piece in response.aiter_raw()])

    with tape.replay():
        if client.asynchronous:
            asyncio.run(pieces_of(client.library.AsyncClient()))
        else:
            with client.library.stream("POST", "https://api.openai.com" + PATH, json=STREAM) as response:
                seen.extend(response.iter_raw())
    assert seen == pieces


def test_a_transport_of_ones_own_is_recorded_and_not_asked_again(client: Client, tape: Tape) -> None:
    asked: list[str] = []

    def answer(request: Any) -> tuple[int, dict[str, str], list[bytes]]:
        asked.append(str(request.url))
        return 200, {"content-type": "application/json"}, [b'{"choices":[],"usage":{"prompt_tokens":1}}']

    for mode in (tape.record, tape.replay):
        with mode():
            got = client.post("https://api.openai.com" + PATH, json=CATS, transport=client.transport(answer))
            assert json.loads(got.body)["usage"] == {"prompt_tokens": 1}
    assert asked == ["https://api.openai.com" + PATH]


def test_what_is_no_llm_call_is_neither_recorded_nor_answered(client: Client, tape: Tape) -> None:
    transport = client.transport(lambda _: (200, {}, [b"a page"]))
    for mode in (tape.record, tape.replay):
        with mode() as recorded:
            assert client.request("GET", "https://example.com/", transport=transport).body == b"a page"
    assert (tape.files, recorded.spans) == ([], ())


def test_repeated_questions_get_their_own_answers_and_then_the_last(
    client: Client, provider: Provider, tape: Tape
) -> None:
    with tape.record():
        client.post(provider.url + PATH, json=CATS, headers={"x-mode": "fail-429"})
        client.post(provider.url + PATH, json=CATS)
    with tape.replay():
        answers = [client.post(NOWHERE + PATH, json=CATS) for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 200, 200]
    assert answers[0].headers["retry-after-ms"] == "1"
    assert [name.rpartition(".json")[0][-2:] for name in tape.files] == [".1", ".2"]


def test_event_hooks_cookies_and_elapsed_are_as_they_are_live(provider: Provider, tape: Tape, client: Client) -> None:
    heard: list[int] = []

    async def hear_async(response: Any) -> None:
        heard.append(response.status_code)

    async def ask() -> Any:
        async with client.library.AsyncClient(event_hooks={"response": [hear_async]}) as http:
            return await http.post(NOWHERE + PATH, json=CATS)

    with tape.record():
        client.post(provider.url + PATH, json=CATS)
    with tape.replay():
        if client.asynchronous:
            response = asyncio.run(ask())
        else:
            hooks = {"response": [lambda response: heard.append(response.status_code)]}
            with client.library.Client(event_hooks=hooks) as http:
                response = http.post(NOWHERE + PATH, json=CATS)
    assert heard == [200]
    assert (response.request.method, response.is_closed) == ("POST", True)
    assert response.elapsed > timedelta(0)
    assert response.raise_for_status().json()["choices"][0]["message"]["content"] == ANSWER


def test_an_answer_that_broke_off_breaks_off_again(client: Client, provider: Provider, tape: Tape) -> None:
    broken = client.library.RemoteProtocolError
    with tape.record(), pytest.raises(broken):
        client.post(provider.url + PATH, json=STREAM, headers={"x-mode": "cut"}, stream=True)
    with tape.replay() as recorded, pytest.raises(broken, match="llmtrace replay: the recorded answer ends here: "):
        client.post(NOWHERE + PATH, json=STREAM, stream=True)
    assert tape.recording["response"]["cut"] == f"{client.library.__name__}.RemoteProtocolError"
    assert (recorded.span.attributes or {})["error.type"] == f"{client.library.__name__}.RemoteProtocolError"


def test_a_stream_that_was_left_is_there_as_far_as_it_was_read(client: Client, provider: Provider, tape: Tape) -> None:
    with tape.record():
        live = client.post(provider.url + PATH, json=STREAM, stream=True, stop_after=2)
    with tape.replay():
        replayed = client.post(NOWHERE + PATH, json=STREAM, stream=True, stop_after=2)
    assert replayed.body == live.body
    assert tape.recording["response"]["cut"] == "its reader stopped there"


def test_nothing_is_wrapped_for_it_when_it_is_off(client: Client, recorded: Any) -> None:
    kind = client.library.AsyncClient if client.asynchronous else client.library.Client
    assert not hasattr(kind._transport_for_url, "__wrapped__")


def test_a_client_has_its_own_transports_again_afterwards(client: Client, provider: Provider, tape: Tape) -> None:
    kind = client.library.AsyncClient if client.asynchronous else client.library.Client
    before = kind.__dict__["_transport_for_url"]
    with tape.replay():
        assert kind.__dict__["_transport_for_url"] is not before
    assert kind.__dict__["_transport_for_url"] is before
    assert said(client.post(provider.url + PATH, json=CATS)) == ANSWER
