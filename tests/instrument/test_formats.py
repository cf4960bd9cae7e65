"""A call in every wire format, through the clients: one span each, with what is known, and nothing invented.

The bodies are those of the benchmark. How they arrive must not matter; a stream that breaks, or is left, keeps what
came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bodies
import pytest

from llmtrace_otel.telemetry import semconv
from support.clients import CLIENTS, Client
from support.spans import Recorded

WHOLE = [name for name in bodies.FORMATS if not name.endswith("-stream")]
STREAMS = [name for name in bodies.FORMATS if name.endswith("-stream")]
PROVIDER = {"openai": "openai", "anthropic": "anthropic", "gemini": "gcp.gemini", "bedrock": "aws.bedrock"}
OTHERS = {"cohere": "cohere", "ollama": "ollama", "watsonx": "ibm.watsonx.ai"}
OPERATIONS = {
    "openai-completions": "text_completion",
    "openai-embeddings": "embeddings",
    "gemini": "generate_content",
    "gemini-stream": "generate_content",
    "gemini-array-stream": "generate_content",
    "watsonx-generation-stream": "text_completion",
}
REASONING = {"openai-chat", "openai-completions", "gemini"}
COUNTS = (semconv.USAGE_INPUT, semconv.USAGE_OUTPUT)

both = pytest.mark.parametrize("client", CLIENTS, ids=str)


def ask(client: Client, call: bodies.Exchanged, pieces: Any, **how: Any) -> bytes:
    headers = {"content-type": call.content_type}
    transport = client.transport(lambda _: (200, headers, pieces))
    return client.post(call.url, json=call.request, transport=transport, **how).body


def of(recorded: Recorded, *names: str) -> tuple[Any, ...]:
    attributes = recorded.span.attributes or {}
    return tuple(attributes.get(name) for name in names)


def counts(name: str) -> tuple[int, int | None]:
    """What every body of the benchmark states, by the conventions' counting."""
    output = 200 + (16 if name.startswith("gemini") else 0)
    return 120, None if name == "openai-embeddings" else output


@both
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_leaves_a_span(recorded: Recorded, client: Client, name: str):
    call = bodies.FORMATS[name]()
    assert ask(client, call, call.pieces) == b"".join(call.pieces)
    provider = (PROVIDER | OTHERS)[name.partition("-")[0]]
    assert of(recorded, semconv.PROVIDER, semconv.OPERATION) == (provider, OPERATIONS.get(name, "chat"))
    assert of(recorded, *COUNTS) == counts(name)
    assert of(recorded, semconv.USAGE_REASONING) == (16 if name in REASONING else None,)


@both
@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("how", ["as sent", "byte by byte", "all at once"])
def test_a_stream_leaves_one_span_however_it_arrives(recorded: Recorded, client: Client, name: str, how: str):
    call = bodies.FORMATS[name](200 if how == "as sent" else 20)
    body = b"".join(call.pieces)
    pieces = {
        "as sent": call.pieces,
        "byte by byte": [body[at : at + 1] for at in range(len(body))],
        "all at once": [body],
    }[how]
    assert ask(client, call, pieces, stream=True) == body
    provider = (PROVIDER | OTHERS)[name.partition("-")[0]]
    assert of(recorded, semconv.PROVIDER, semconv.OPERATION) == (provider, OPERATIONS.get(name, "chat"))
    assert of(recorded, semconv.USAGE_INPUT, semconv.REQUEST_STREAM) == (120, True)
    assert of(recorded, semconv.STREAM_INCOMPLETE, semconv.ERROR_TYPE) == (None, None)


def broken(client: Client, pieces: list[bytes]) -> Iterator[bytes]:
    yield from pieces
    raise client.library.RemoteProtocolError("peer closed connection")


@both
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_breaks_leaves_an_error_and_no_more_than_was_stated(
    recorded: Recorded, client: Client, name: str
):
    call = bodies.FORMATS[name](20)
    with pytest.raises(client.library.RemoteProtocolError):
        ask(client, call, broken(client, call.pieces[:10]), stream=True)
    error = f"{client.library.__name__}.RemoteProtocolError"
    assert of(recorded, semconv.ERROR_TYPE, semconv.RESPONSE_FINISH_REASONS) == (error, None)
    assert (recorded.span.attributes or {}).get(semconv.USAGE_OUTPUT, 0) < 200


@both
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_left_is_incomplete_and_no_error(recorded: Recorded, client: Client, name: str):
    call = bodies.FORMATS[name](20)
    ask(client, call, call.pieces, stream=True, stop_after=5)
    assert of(recorded, semconv.STREAM_INCOMPLETE, semconv.ERROR_TYPE) == (True, None)
    assert of(recorded, semconv.RESPONSE_FINISH_REASONS, semconv.COST_USD) == (None, None)
    assert (recorded.span.attributes or {}).get(semconv.USAGE_OUTPUT, 0) < 200
