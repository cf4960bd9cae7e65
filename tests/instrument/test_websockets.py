"""Conversations over WebSockets, through the SDKs and clients that programs use, with a server on this machine."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("websockets", reason="the websockets package is not installed")

import httpx2
import websockets.asyncio.client
import websockets.sync.client
from instrument_helpers import attributes_of, program, status_of, wait_until
from openai import AsyncOpenAI, OpenAI
from openai.resources.responses import responses
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from websocket_helpers import answers, created, delta, done, heard, say, serving
from websockets.exceptions import ConnectionClosedError
from websockets.sync.server import ServerConnection

from llmtrace_otel.instrument.websockets import WebSocketsInstrumentor
from llmtrace_otel.telemetry import content
from llmtrace_otel.wire.providers import Providers
from support.spans import Recorded

pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")

MODEL = "gpt-realtime"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """Instruments WebSocket connections with providers of the test's own."""
    monkeypatch.delenv(content.MODE_VARIABLE, raising=False)
    recorded = Recorded()
    instrumentor = WebSocketsInstrumentor()
    instrumentor.instrument(**recorded.providers)
    yield recorded
    while instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    recorded.close()
    content.refresh()


def request_of(address: str, **more: Any) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "text",
        "server.address": "127.0.0.1",
        "server.port": int(address.rpartition(":")[2]),
        "llmtrace.layer": "websockets",
        "http.response.status_code": 101,
        **more,
    }


def answer_of(number: int) -> dict[str, Any]:
    return {
        "gen_ai.response.id": f"resp_{number}",
        "gen_ai.response.model": "gpt-realtime-2025-08-28",
        "gen_ai.conversation.id": "conv_1",
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 16,
        "gen_ai.usage.reasoning.output_tokens": 2,
    }


@contextmanager
def realtime(address: str) -> Iterator[Any]:
    """A Realtime session of the OpenAI SDK."""
    client = OpenAI(api_key="k", websocket_base_url=f"ws://{address}/v1")
    with client, client.realtime.connect(model=MODEL) as connection:
        yield connection


def ask(address: str, times: int = 1) -> list[str]:
    """Asks a Realtime session; gives the types of the events that came back."""
    seen = []
    with realtime(address) as connection:
        seen.append(connection.recv().type)
        for _ in range(times):
            connection.response.create()
            seen += [connection.recv().type for _ in range(3)]
    return seen


async def ask_async(address: str, times: int = 1) -> list[str]:
    client, seen = AsyncOpenAI(api_key="k", websocket_base_url=f"ws://{address}/v1"), []
    async with client, client.realtime.connect(model=MODEL) as connection:
        seen.append((await connection.recv()).type)
        for _ in range(times):
            await connection.response.create()
            seen += [(await connection.recv()).type for _ in range(3)]
    return seen


def ask_somehow(kind: str, address: str, times: int = 1) -> list[str]:
    return ask(address, times) if kind == "sync" else asyncio.run(ask_async(address, times))


BOTH = pytest.mark.parametrize("kind", ["sync", "async"])


@BOTH
def test_each_response_of_a_realtime_session_is_a_span_and_the_session_is_none(recorded: Recorded, kind: str):
    with serving(answers) as address:
        seen = ask_somehow(kind, address, times=2)
    assert seen == ["session.created"] + ["response.created", "response.output_text.delta", "response.done"] * 2
    assert [attributes_of(span) for span in recorded.spans] == [
        request_of(address, **answer_of(1)),
        request_of(address, **answer_of(2)),
    ]
    assert [span.name for span in recorded.spans] == ["chat gpt-realtime"] * 2
    assert [FIRST_CHUNK in (span.attributes or {}) for span in recorded.spans] == [True, True]


@BOTH
def test_a_span_belongs_to_the_context_in_which_its_response_was_asked_for(recorded: Recorded, kind: str):
    tracer = recorded.tracer_provider.get_tracer("test")
    with serving(answers) as address, tracer.start_as_current_span("turn") as turn:
        ask_somehow(kind, address)
    response, _ = recorded.spans
    assert response.parent == turn.get_span_context()
    assert trace.get_current_span() is trace.INVALID_SPAN


@BOTH
def test_content_is_recorded_when_it_is_asked_for(recorded: Recorded, monkeypatch: pytest.MonkeyPatch, kind: str):
    monkeypatch.setenv(content.MODE_VARIABLE, "span_only")
    content.refresh()
    with serving(answers) as address:
        ask_somehow(kind, address)
    spoken = json.loads(attributes_of(recorded.span)["gen_ai.output.messages"])
    assert spoken == [{"role": "assistant", "parts": [{"type": "text", "content": "Hello"}], "finish_reason": "stop"}]


def test_a_response_that_the_server_starts_by_itself_is_a_span(recorded: Recorded):
    def hears_speech(connection: ServerConnection) -> None:
        heard(connection)
        say(connection, created(1), done(1))
        heard(connection)

    with serving(hears_speech) as address, realtime(address) as connection:
        connection.input_audio_buffer.append(audio="AAAA")
        assert [connection.recv().type for _ in range(2)] == ["response.created", "response.done"]
        connection.input_audio_buffer.commit()
    expected = request_of(address, **answer_of(1))
    for of_the_session in ("gen_ai.output.type", "gen_ai.response.model"):
        del expected[of_the_session]
    assert attributes_of(recorded.span) == expected


def finished(response_id: str, stream_id: str, tokens: int) -> dict[str, Any]:
    usage = {"input_tokens": tokens, "output_tokens": 1}
    response = {"id": response_id, "model": "gpt-5.6-mini", "status": "completed", "output": [], "usage": usage}
    return {"type": "response.completed", "stream_id": stream_id, "response": response}


def answers_two_streams(connection: ServerConnection) -> None:
    """Answers two requests of two streams, the second one first."""
    first, second = heard(connection), heard(connection)
    for request, name in ((first, "resp_1"), (second, "resp_2")):
        response = {"id": name, "model": "gpt-5.6-mini", "status": "in_progress"}
        say(connection, {"type": "response.created", "stream_id": request["stream_id"], "response": response})
    say(connection, finished("resp_2", second["stream_id"], 22), finished("resp_1", first["stream_id"], 11))
    heard(connection)


def tells_streams_apart() -> bool:
    """Whether this release of the SDK has several streams on one Responses connection."""
    resource = getattr(responses, "ResponsesResponseResource", None)
    return resource is not None and "stream_id" in inspect.signature(resource.create).parameters


@pytest.mark.skipif(not tells_streams_apart(), reason="this openai has one stream per connection")
def test_requests_of_two_streams_of_one_responses_connection_are_told_apart(recorded: Recorded):
    with (
        serving(answers_two_streams) as address,
        OpenAI(api_key="k", websocket_base_url=f"ws://{address}/v1") as client,
        client.responses.connect() as connection,
    ):
        connection.response.create(model="gpt-5.6", input="one", stream_id="a")
        connection.response.create(model="gpt-5.6", input="two", stream_id="b")
        seen = [connection.recv().type for _ in range(4)]
        connection.response.steer(input="three", previous_response_id="resp_1")
    assert seen == ["response.created"] * 2 + ["response.completed"] * 2
    shared = request_of(address, **{"gen_ai.request.model": "gpt-5.6", "openai.api.type": "responses"})
    del shared["gen_ai.output.type"]
    assert [attributes_of(span) for span in recorded.spans] == [
        shared
        | {
            "gen_ai.response.id": f"resp_{number}",
            "gen_ai.response.model": "gpt-5.6-mini",
            "gen_ai.usage.input_tokens": number * 11,
            "gen_ai.usage.output_tokens": 1,
        }
        for number in (2, 1)
    ]


def test_a_connection_that_the_server_breaks_off_fails_the_response_that_is_open(recorded: Recorded):
    def breaks_off(connection: ServerConnection) -> None:
        heard(connection)
        say(connection, created(1), delta(1))
        connection.close(1011, "out of order")

    with serving(breaks_off) as address, realtime(address) as connection:
        connection.response.create()
        connection.recv()
        connection.recv()
        with pytest.raises(ConnectionClosedError, match="out of order"):
            connection.recv()
    assert status_of(recorded.span) == (
        "ERROR",
        "received 1011 (internal error) out of order; then sent 1011 (internal error) out of order",
    )
    found = attributes_of(recorded.span, cost=None)
    assert found["error.type"] == "websockets.exceptions.ConnectionClosedError"
    assert found["llmtrace.stream.incomplete"] is True


def starts_to_answer(connection: ServerConnection) -> None:
    heard(connection)
    say(connection, created(1), delta(1))
    for _ in connection:
        pass


def test_a_response_that_the_program_leaves_is_incomplete_but_no_error(recorded: Recorded):
    with serving(starts_to_answer) as address, realtime(address) as connection:
        connection.response.create()
        connection.recv()
    assert attributes_of(recorded.span, cost="unknown")["llmtrace.stream.incomplete"] is True
    assert status_of(recorded.span) == ("UNSET", None)


def test_a_connection_that_is_dropped_ends_its_spans(recorded: Recorded):
    async def drop(address: str) -> None:
        connection = await websockets.asyncio.client.connect(f"ws://{address}/v1/realtime?model=m")
        await connection.send('{"type":"response.create"}')
        connection.transport.abort()
        await connection.wait_closed()

    with serving(starts_to_answer) as address:
        asyncio.run(drop(address))
        assert recorded.spans == ()
        gc.collect()
        wait_until(lambda: recorded.spans)
    assert attributes_of(recorded.span, cost="unknown")["llmtrace.stream.incomplete"] is True


def echoes(connection: ServerConnection) -> None:
    for frame in connection:
        connection.send(frame)


@pytest.mark.parametrize("path", ["/chat", "/realtime", "/v1/realtime/translations?model=m", "/v1/live/sessions"])
def test_other_connections_are_left_alone(recorded: Recorded, path: str):
    with serving(echoes) as address, websockets.sync.client.connect(f"ws://{address}{path}") as connection:
        assert vars(connection).keys() & {"send", "recv", "close"} == set()
        connection.send('{"type":"response.create"}')
        connection.recv()
    assert recorded.spans == ()


@pytest.mark.parametrize(("path", "loaded"), [("/chat", False), ("/v1/realtime?model=m", True)])
def test_what_reads_conversations_is_loaded_with_the_first_that_may_be_one(path: str, loaded: bool):
    with serving(echoes) as address:
        code = f"""
import sys
from llmtrace_otel.instrument.websockets import WebSocketsInstrumentor
WebSocketsInstrumentor().instrument()
from websockets.sync.client import connect
with connect("ws://{address}{path}") as connection:
    connection.send("Hi")
    assert connection.recv() == "Hi"
print([name in sys.modules for name in ("llmtrace_otel.wire.call", "llmtrace_otel.telemetry.spans")])
"""
        assert program(code) == str([loaded, loaded])


def test_a_registered_provider_is_named(recorded: Recorded):
    providers = Providers()
    instrumentor = WebSocketsInstrumentor()
    instrumentor.uninstrument()
    instrumentor.instrument(**recorded.providers, providers=providers)
    with serving(answers) as address:
        providers.register_provider("our-gateway", f"http://{address}/v1")
        ask(address)
    assert attributes_of(recorded.span, cost="unknown")["gen_ai.provider.name"] == "our-gateway"


def test_suppressed_instrumentation_suppresses_spans(recorded: Recorded):
    with serving(answers) as address, suppress_instrumentation():
        ask(address)
    assert recorded.spans == ()


def test_uninstrumenting_gives_back_the_very_same_objects(recorded: Recorded):
    classes = (websockets.sync.client.ClientConnection, websockets.asyncio.client.ClientConnection)
    ours = [owner.__init__ for owner in classes]
    with (
        serving(answers) as address,
        websockets.sync.client.connect(f"ws://{address}/v1/realtime?model=m") as connection,
    ):
        connection.send('{"type":"response.create"}')
        WebSocketsInstrumentor().uninstrument()
        assert vars(connection).keys() & {"send", "recv", "close"} == set()
        connection.send('{"type":"response.create"}')
        connection.recv()
    assert [owner.__init__ for owner in classes] == [inspect.unwrap(init) for init in ours]
    assert [owner.__init__ is init for owner, init in zip(classes, ours, strict=True)] == [False, False]
    assert attributes_of(recorded.span, cost="unknown")["llmtrace.stream.incomplete"] is True


@pytest.mark.skipif(
    not hasattr(websockets.sync.client.ClientConnection, "maybe_raise_legacy_warning"),
    reason="this release of websockets warns of nothing",
)
@pytest.mark.parametrize("first", ["send", "recv", "close"])
def test_the_librarys_own_warning_names_the_programs_line(recorded: Recorded, first: str):
    with serving(answers) as address:
        connection = websockets.sync.client.connect(f"ws://{address}/v1/realtime?model=m")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            getattr(connection, first)(*(['{"type":"ping"}'] if first == "send" else []))
            connection.close()
    assert [warning.filename for warning in caught] == [__file__]


def ask_httpx2(address: str) -> None:
    with httpx2.Client() as client, client.websocket(f"ws://{address}/v1/realtime", params={"model": MODEL}) as session:
        session.receive_text()
        session.send_json({"type": "response.create"})
        assert [session.receive_json()["type"] for _ in range(3)][-1] == "response.done"


async def ask_httpx2_async(address: str) -> None:
    url = f"ws://{address}/v1/realtime"
    async with httpx2.AsyncClient() as client, client.websocket(url, params={"model": MODEL}) as session:
        await session.receive_text()
        await session.send_json({"type": "response.create"})
        assert [(await session.receive_json())["type"] for _ in range(3)][-1] == "response.done"


@BOTH
def test_sessions_of_httpx2_are_seen(recorded: Recorded, kind: str):
    pytest.importorskip("wsproto", reason="httpx2 has no WebSockets without wsproto")
    with serving(answers) as address:
        if kind == "sync":
            ask_httpx2(address)
        else:
            asyncio.run(ask_httpx2_async(address))
    assert attributes_of(recorded.span) == request_of(address, **{"llmtrace.layer": "httpx"}, **answer_of(1))


def speaks_as_gemini(connection: ServerConnection) -> None:
    heard(connection)
    say(connection, {"setupComplete": {}})
    heard(connection)
    say(
        connection,
        {"serverContent": {"modelTurn": {"parts": [{"text": "Hello"}]}}},
        {"serverContent": {"turnComplete": True}, "usageMetadata": {"promptTokenCount": 9, "responseTokenCount": 3}},
    )
    for _ in connection:
        pass


def test_a_turn_of_a_gemini_live_session_is_a_span(recorded: Recorded):
    async def converse(address: str) -> None:
        url = f"ws://{address}/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
        turns = [{"role": "user", "parts": [{"text": "Hi"}]}]
        async with websockets.asyncio.client.connect(url) as connection:
            await connection.send('{"setup":{"model":"models/gemini-live"}}')
            await connection.recv(decode=False)
            await connection.send(json.dumps({"client_content": {"turns": turns, "turnComplete": True}}))
            await connection.recv(decode=False)
            await connection.recv(decode=False)

    with serving(speaks_as_gemini) as address:
        asyncio.run(converse(address))
    expected = request_of(
        address,
        **{
            "gen_ai.operation.name": "generate_content",
            "gen_ai.provider.name": "gcp.gemini",
            "gen_ai.request.model": "gemini-live",
            "gen_ai.usage.input_tokens": 9,
            "gen_ai.usage.output_tokens": 3,
        },
    )
    del expected["gen_ai.output.type"]
    assert attributes_of(recorded.span, cost="unknown") == expected
