"""A call without a recording: the caller is told which one is nearest and what differs, and nothing is sent."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from tapes import NOWHERE, Tape

from llmtrace_otel import replay
from provider import Provider
from support.clients import CLIENTS, Client

PATH = "/v1/chat/completions"
HTTPX = CLIENTS[0]


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


@pytest.fixture
def cats(provider: Provider, tape: Tape) -> Tape:
    """A directory with one question in it."""
    with tape.record():
        HTTPX.post(provider.url + PATH, json=chat("cats"))
    provider.requests.clear()
    return tape


def missed(tape: Tape, text: str, **more: Any) -> str:
    with tape.replay():
        answer = HTTPX.post(NOWHERE + PATH, json=chat(text, **more))
    assert (answer.status, answer.headers["x-should-retry"]) == (400, "false")
    return json.loads(answer.body)["error"]["message"]


def test_it_names_the_nearest_and_what_differs(cats: Tape, client: Client, provider: Provider, capsys: Any) -> None:
    message = (
        f"llmtrace replay: no recording of POST localhost{PATH}; nearest is {cats.files[0]}: messages[0].content "
        f"differs: recorded 'cats' asked 'dogs'; record again by: llmtrace run --record {cats.directory} -- …"
    )
    with cats.replay() as recorded:
        answer = client.post(provider.url + PATH, json=chat("dogs"))
    assert json.loads(answer.body)["error"] == {
        "message": message,
        "type": "replay_miss",
        "code": 400,
        "status": "REPLAY_MISS",
        "param": None,
    }
    attributes = recorded.span.attributes or {}
    assert (attributes["error.type"], recorded.span.status.description) == ("replay_miss", message)
    assert "llmtrace.replay" not in attributes
    assert provider.requests == []
    assert cats.misses == [message]
    assert capsys.readouterr().err == f"llmtrace: {message.removeprefix('llmtrace ')}\n"


def test_the_sdks_show_it(cats: Tape) -> None:
    openai_s = openai.OpenAI(base_url=f"{NOWHERE}/v1", api_key="local")
    anthropic_s = anthropic.Anthropic(base_url=NOWHERE, api_key="local")
    with cats.replay(), openai_s, anthropic_s:
        with pytest.raises(openai.BadRequestError, match="recorded 'cats' asked 'dogs'"):
            openai_s.chat.completions.create(**chat("dogs"))
        with pytest.raises(anthropic.BadRequestError, match="none of its 1 recordings is of that path"):
            anthropic_s.messages.create(**chat("dogs", max_tokens=9))
    assert len(cats.misses) == 2


@pytest.mark.parametrize(
    ("text", "more", "difference"),
    [
        ("cats", {"temperature": 0.2}, "temperature differs: recorded nothing asked 0.2"),
        ("cats", {"tools": [{"a": [1]}]}, "tools[0].a[0] differs: recorded nothing asked 1"),
        ("dogs", {"seed": 1}, "messages[0].content differs: recorded 'cats' asked 'dogs' (and 1 more)"),
        (
            "x" * 90 + "\ny",
            {},
            f"messages[0].content differs: recorded 'cats' asked '{'x' * 60}…'",
        ),
    ],
)
def test_a_difference_is_shown_briefly(cats: Tape, text: str, more: dict[str, Any], difference: str) -> None:
    assert f".json: {difference}; record again" in missed(cats, text, **more)


def test_of_long_texts_what_differs_is_shown(provider: Provider, tape: Tape) -> None:
    with tape.record():
        HTTPX.post(provider.url + PATH, json=chat("word " * 50 + "cats" + " word" * 50))
    assert (
        "recorded '…word word word word cats word word word word word word word …' "
        "asked '…word word word word dogs word word word word word word word …'"
    ) in missed(tape, "word " * 50 + "dogs" + " word" * 50)


def test_of_several_the_one_that_differs_least_is_named(provider: Provider, tape: Tape) -> None:
    with tape.record():
        for text in ("Do cats purr?", "Do dogs purr?", "Do cows moo?"):
            HTTPX.post(provider.url + PATH, json=chat(text))
    assert "recorded 'Do dogs purr?' asked 'Do dogs bark?'" in missed(tape, "Do dogs bark?")


def test_it_names_the_test(cats: Tape) -> None:
    with cats.replay():
        replay.new_scope("tests/test_pets.py::test_dogs")
        HTTPX.post(NOWHERE + PATH, json=chat("dogs"))
    assert f"no recording of POST localhost{PATH} (in tests/test_pets.py::test_dogs); nearest" in cats.misses[0]


def test_without_a_directory_it_says_so(tape: Tape) -> None:
    assert f"; there is no directory {tape.directory}; record again by" in missed(tape, "dogs")


def test_a_renamed_file_is_found_by_what_it_says(cats: Tape) -> None:
    (name,) = cats.files
    (cats.directory / name).rename(cats.directory / "localhost.v1-chat-completions.of-cats.1.json")
    with cats.replay():
        assert HTTPX.post(NOWHERE + PATH, json=chat("cats")).status == 200


def test_nothing_is_sent_even_where_tracing_is_suppressed(cats: Tape, provider: Provider) -> None:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    with cats.replay() as recorded, suppress_instrumentation():
        answers = [HTTPX.post(provider.url + PATH, json=chat(text)).status for text in ("cats", "dogs")]
    assert (answers, recorded.spans, provider.requests) == ([200, 400], (), [])
