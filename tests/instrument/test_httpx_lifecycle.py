"""How a traced call lives and ends: streams in every state, failures on every side, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import pickle
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest
from instrument_helpers import (
    CHAT,
    CHAT_STREAM,
    CHUNK,
    DONE,
    OPENAI,
    STREAM,
    Coroutines,
    answer_of,
    attributes_of,
    opened,
    program,
    request_of,
    status_of,
    wait_until,
)
from opentelemetry import context, trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from llmtrace_otel.instrument import left_streams, retries
from llmtrace_otel.instrument.httpx import HTTPXInstrumentor
from llmtrace_otel.instrument.httpx_wrappers import _AsyncStream, _SyncStream
from llmtrace_otel.telemetry import cost
from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.wire.openai_chat import OPENAI_CHAT, ChatStream
from llmtrace_otel.wire.providers import Providers
from provider import Provider
from support.clients import Client
from support.spans import Recorded

STREAMED = request_of(**{"gen_ai.request.stream": True})
HEAD = {"http.response.status_code": 200}
SEEN = HEAD | {"gen_ai.response.id": "chatcmpl-1", "gen_ai.response.model": "gpt-4o-mini"}
INCOMPLETE = {"llmtrace.stream.incomplete": True}
COMPLETE = SEEN | {
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 5,
}
WHOLE = b'{"id":"chatcmpl-1","model":"gpt-4o-mini","choices":[{"index":0,"finish_reason":"stop"}],'
WHOLE += b'"usage":{"prompt_tokens":10,"completion_tokens":5}}'
EXCHANGED = request_of() | COMPLETE

libraries = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)


def streaming(client: Client, pieces: Callable[[], Iterator[bytes]] = lambda: iter(STREAM)) -> Any:
    """A mocked transport that answers with a stream."""
    return client.transport(lambda _: (200, {"content-type": "text/event-stream"}, pieces()))


def answering(library: ModuleType, status: int = 200, body: bytes = WHOLE, **headers: str) -> Any:
    return library.MockTransport(lambda _: library.Response(status, content=body, headers=headers))


def flow(client: Client, steps: Callable[[Coroutines], Awaitable[Any]], **options: Any) -> Any:
    """Runs the steps with a new client."""

    async def run() -> Any:
        async with Coroutines(client, **({"transport": streaming(client)} | options)) as http:
            return await steps(http)

    return asyncio.run(run())


# Streams, in every state that a reader may leave them in


def test_a_stream_read_to_its_end(recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> list[bytes]:
        response = await http.send(OPENAI)
        assert recorded.spans == ()  # ends with its answer, not with its head
        return [piece async for piece in http.pieces(response)]

    assert flow(client, steps) == STREAM
    assert attributes_of(recorded.span) == STREAMED | COMPLETE
    assert status_of(recorded.span) == ("UNSET", None)


def test_a_stream_closed_after_its_first_piece(recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> None:
        response = await http.send(OPENAI)
        async for _ in http.pieces(response):
            break
        await http.close(response)

    flow(client, steps)
    assert attributes_of(recorded.span, cost="unknown") == STREAMED | SEEN | INCOMPLETE
    assert status_of(recorded.span) == ("UNSET", None)


def test_a_stream_that_is_never_read(recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> None:
        await http.close(await http.send(OPENAI))

    flow(client, steps)
    assert attributes_of(recorded.span, cost="unknown") == STREAMED | HEAD | INCOMPLETE
    assert status_of(recorded.span) == ("UNSET", None)


def test_a_stream_that_is_dropped_without_being_closed(recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> None:
        await http.send(OPENAI)
        gc.collect()

    flow(client, steps)
    wait_until(lambda: recorded.spans)
    assert attributes_of(recorded.span, cost="unknown") == STREAMED | HEAD | INCOMPLETE


def test_a_stream_closed_after_done_is_complete(recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> None:
        response = await http.send(OPENAI)
        async for piece in http.pieces(response):
            if piece == DONE:
                break
        await http.close(response)

    flow(client, steps, transport=streaming(client, lambda: iter([*STREAM, b": never read\n\n"])))
    assert attributes_of(recorded.span) == STREAMED | COMPLETE


def test_a_stream_cut_by_the_server(recorded: Recorded, client: Client, provider: Provider):
    async def steps(http: Coroutines) -> BaseException:
        response = await http.send(f"{provider.url}/v1/chat/completions", headers={"x-mode": "cut"})
        with pytest.raises(client.library.RemoteProtocolError) as caught:
            await http.read(response)
        return caught.value

    error = flow(client, steps, transport=None)
    attributes = attributes_of(recorded.span, cost=None)
    kind = f"{client.library.__name__}.RemoteProtocolError"
    seen = {name: answer_of()[name] for name in ("gen_ai.response.id", "gen_ai.response.model")} | HEAD
    seen["openai.response.service_tier"] = "default"
    asked = request_of(provider, **{"gen_ai.request.stream": True})
    assert attributes == asked | seen | {"error.type": kind} | INCOMPLETE
    assert status_of(recorded.span) == ("ERROR", str(error))


def test_an_error_told_in_the_stream(recorded: Recorded, client: Client, provider: Provider):
    headers = {"x-mode": "error-in-stream"}
    client.request("POST", f"{provider.url}/v1/chat/completions", json=CHAT_STREAM, headers=headers, stream=True)
    assert recorded.span.attributes["error.type"] == "server_error"
    assert status_of(recorded.span) == ("ERROR", "The server had an error while processing your request.")


def test_the_callers_own_exception_is_no_error_of_the_call(recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> None:
        async with opened(http.http.stream("POST", OPENAI, json=CHAT_STREAM)):
            raise LookupError

    with pytest.raises(LookupError):
        flow(client, steps)
    assert attributes_of(recorded.span, cost="unknown") == STREAMED | HEAD | INCOMPLETE
    assert status_of(recorded.span) == ("UNSET", None)


@pytest.mark.parametrize("read", [True, False])
def test_an_error_status_is_an_error_without_its_body(read: bool, recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> None:
        response = await http.send(OPENAI, json=CHAT)
        if read:
            await http.read(response)
        await http.close(response)

    body = [] if read else [b'{"error":{"message":"never read"}}']
    flow(client, steps, transport=client.transport(lambda _: (503, {}, iter(body))))
    assert attributes_of(recorded.span, cost=None) == (
        request_of() | {"http.response.status_code": 503, "error.type": "503"}
    )
    assert status_of(recorded.span) == ("ERROR", None)


def test_a_stream_that_the_client_reads_whole_has_no_time_to_its_first_chunk(recorded: Recorded, client: Client):
    client.request("POST", OPENAI, json=CHAT_STREAM, transport=streaming(client))
    assert recorded.span.attributes["gen_ai.usage.input_tokens"] == 10
    assert "gen_ai.response.time_to_first_chunk" not in recorded.span.attributes


@libraries
@pytest.mark.parametrize("reading", [False, True])
def test_a_cancelled_task_ends_its_span_without_an_error(reading: bool, recorded: Recorded, library: ModuleType):
    class Endless(library.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield CHUNK
            waiting.set()
            await asyncio.Event().wait()

    async def handle(_: Any) -> Any:
        if reading:
            return library.Response(200, stream=Endless())
        waiting.set()
        return await asyncio.Event().wait()

    async def call() -> None:
        async with library.AsyncClient(transport=library.MockTransport(handle)) as http:
            request = http.build_request("POST", OPENAI, json=CHAT_STREAM)
            await (await http.send(request, stream=True)).aread()

    async def cancel() -> None:
        task = asyncio.create_task(call())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    waiting = asyncio.Event()
    asyncio.run(cancel())
    seen, paid = (SEEN | INCOMPLETE, "unknown") if reading else ({}, None)
    assert attributes_of(recorded.span, paid) == STREAMED | seen
    assert status_of(recorded.span) == ("UNSET", None)


@libraries
@pytest.mark.parametrize("reading", [False, True])
def test_a_keyboard_interrupt_ends_the_span_without_an_error(reading: bool, recorded: Recorded, library: ModuleType):
    def pieces() -> Iterator[bytes]:
        yield CHUNK
        raise KeyboardInterrupt

    def interrupt(_: Any) -> Any:
        raise KeyboardInterrupt

    client = Client(library, asynchronous=False)
    transport = streaming(client, pieces) if reading else library.MockTransport(interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.request("POST", OPENAI, json=CHAT_STREAM, transport=transport, stream=True)
    seen, paid = (SEEN | INCOMPLETE, "unknown") if reading else ({}, None)
    assert attributes_of(recorded.span, paid) == STREAMED | seen
    assert status_of(recorded.span) == ("UNSET", None)


# What the caller holds is what the library made


def test_the_response_stays_the_librarys(recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> None:
        response = await http.send(OPENAI)
        library = client.library
        assert type(response) is library.Response
        assert isinstance(response.stream, library.AsyncByteStream if client.asynchronous else library.SyncByteStream)
        assert await http.read(response) == b"".join(STREAM)
        await http.close(response)
        assert isinstance(response.elapsed, timedelta)
        assert response.num_bytes_downloaded == sum(map(len, STREAM))
        assert (response.is_closed, response.is_stream_consumed) == (True, True)
        again = pickle.loads(pickle.dumps(response))
        assert (again.status_code, again.content) == (200, response.content)

    flow(client, steps)
    assert len(recorded.spans) == 1


@pytest.mark.parametrize("kind", [_SyncStream, _AsyncStream])
def test_a_stream_has_the_attributes_of_the_one_within(kind: Any):
    over: Any = SimpleNamespace(done=True)
    watched = kind(SimpleNamespace(elapsed=timedelta(1), stream_observer="theirs"), over)
    assert (watched.elapsed, watched.stream_observer) == (timedelta(1), "theirs")
    assert kind(SimpleNamespace(), over).stream_observer is None
    with pytest.raises(AttributeError):
        _ = kind(SimpleNamespace(), over).elapsed


@pytest.mark.parametrize("kind", ["raw", "bytes", "text", "lines"])
def test_every_way_to_iterate_gives_what_it_gave(kind: str, recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> list[Any]:
        return [piece async for piece in http.pieces(await http.send(OPENAI), kind)]

    traced = flow(client, steps)
    HTTPXInstrumentor().uninstrument()
    assert flow(client, steps) == traced
    assert attributes_of(recorded.span) == STREAMED | COMPLETE


def test_reading_twice_fails_as_it_did(recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> None:
        response = await http.send(OPENAI)
        _ = [piece async for piece in http.pieces(response)]
        with pytest.raises(client.library.StreamConsumed):
            _ = [piece async for piece in http.pieces(response)]

    flow(client, steps)
    assert attributes_of(recorded.span) == STREAMED | COMPLETE


@pytest.mark.parametrize(
    ("kind", "pieces"),
    [
        (memoryview, [WHOLE]),
        (memoryview, [WHOLE[:50], WHOLE[50:]]),
        (memoryview, STREAM),
        (bytearray, [WHOLE]),
        (bytearray, STREAM),
    ],
)
def test_pieces_of_any_bytes_like_type_pass(kind: Any, pieces: list[bytes], recorded: Recorded, client: Client):
    body, told = (CHAT_STREAM, STREAMED | COMPLETE) if pieces is STREAM else (CHAT, EXCHANGED)
    transport = client.transport(lambda _: (200, {}, map(kind, pieces)))
    assert client.request("POST", OPENAI, json=body, transport=transport, stream=True).body == b"".join(pieces)
    assert attributes_of(recorded.span) == told


def test_events_of_httpx2(recorded: Recorded):
    transport = streaming(Client(httpx2, asynchronous=False))
    with (
        httpx2.Client(transport=transport) as http,
        http.sse(OPENAI, method="POST", json=CHAT_STREAM) as source,
    ):
        assert [event.data for event in source][-1] == "[DONE]"
    assert attributes_of(recorded.span) == STREAMED | COMPLETE


def test_asynchronous_events_of_httpx2(recorded: Recorded):
    async def read() -> list[str]:
        transport = streaming(Client(httpx2, asynchronous=True))
        async with (
            httpx2.AsyncClient(transport=transport) as http,
            http.sse(OPENAI, method="POST", json=CHAT_STREAM) as source,
        ):
            return [event.data async for event in source]

    assert asyncio.run(read())[-1] == "[DONE]"
    assert attributes_of(recorded.span) == STREAMED | COMPLETE


def test_an_authentication_in_two_steps_is_one_call(recorded: Recorded, client: Client):
    challenge = 'Digest realm="llm", nonce="n", qop="auth", algorithm=MD5'

    def answer(request: Any) -> tuple[int, dict[str, str], list[bytes]]:
        if "authorization" not in request.headers:
            return 401, {"www-authenticate": challenge}, [b'{"error":{"type":"who_are_you"}}']
        return 200, {}, [WHOLE]

    auth = client.library.DigestAuth("user", "secret")
    assert client.request("POST", OPENAI, json=CHAT, auth=auth, transport=client.transport(answer)).body == WHOLE
    assert attributes_of(recorded.span) == EXCHANGED


def test_a_redirected_call_is_one_call(recorded: Recorded, client: Client):
    def answer(request: Any) -> tuple[int, dict[str, str], list[bytes]]:
        if request.url.host == "api.openai.com":
            return 307, {"location": "https://elsewhere.example/v1/chat/completions"}, []
        return 200, {}, [WHOLE]

    transport = client.transport(answer)
    assert client.request("POST", OPENAI, json=CHAT, follow_redirects=True, transport=transport).body == WHOLE
    assert attributes_of(recorded.span) == EXCHANGED


@pytest.mark.parametrize("streamed", [False, True])
def test_event_hooks_that_read_the_answer_may(streamed: bool, recorded: Recorded, client: Client):
    async def read_async(response: Any) -> None:
        await response.aread()

    async def steps(http: Coroutines) -> bytes:
        return await http.read(await http.send(OPENAI, json=CHAT, stream=streamed))

    hook = read_async if client.asynchronous else lambda response: response.read()
    hooks, transport = {"response": [hook]}, client.transport(lambda _: (200, {}, [WHOLE]))
    assert flow(client, steps, event_hooks=hooks, transport=transport) == WHOLE
    assert attributes_of(recorded.span) == EXCHANGED


def test_an_event_hook_that_closes_the_answer_makes_no_error(recorded: Recorded, client: Client):
    async def close_async(response: Any) -> None:
        await response.aclose()

    async def steps(http: Coroutines) -> None:
        await http.send(OPENAI)

    hook = close_async if client.asynchronous else lambda response: response.close()
    flow(client, steps, event_hooks={"response": [hook]})
    assert attributes_of(recorded.span, cost="unknown") == STREAMED | HEAD | INCOMPLETE
    assert status_of(recorded.span) == ("UNSET", None)


@libraries
def test_applications_under_the_client(recorded: Recorded, library: ModuleType):
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [("content-type", "application/json")])
        return [WHOLE]

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": WHOLE})

    for asynchronous, transport in ((False, library.WSGITransport(wsgi)), (True, library.ASGITransport(asgi))):
        answer = Client(library, asynchronous).request("POST", OPENAI, json=CHAT, transport=transport)
        assert answer.body == WHOLE
    assert [attributes_of(span) for span in recorded.spans] == [EXCHANGED] * 2


def test_a_transport_that_sends_with_another_client_is_one_call(recorded: Recorded, provider: Provider):
    def forward(request: httpx2.Request) -> httpx2.Response:
        with httpx.Client() as http:
            inner = http.request(request.method, str(request.url), content=request.content)
        return httpx2.Response(inner.status_code, content=inner.content)

    url = f"{provider.url}/v1/chat/completions"
    Client(httpx2, asynchronous=False).request("POST", url, json=CHAT, transport=httpx2.MockTransport(forward))
    assert len(provider.requests) == 1
    assert attributes_of(recorded.span) == request_of(provider) | answer_of()


@libraries
def test_a_task_that_was_started_while_a_call_was_sent_makes_calls_of_its_own(recorded: Recorded, library: ModuleType):
    async def later(sent: asyncio.Event) -> None:
        await sent.wait()
        async with library.AsyncClient(transport=answering(library)) as http:
            await http.post(OPENAI, json={**CHAT, "model": "gpt-4o"})

    async def calls() -> None:
        sent, tasks = asyncio.Event(), []

        async def start_task(_: Any) -> None:
            tasks.append(asyncio.create_task(later(sent)))

        hooks = {"response": [start_task]}
        async with library.AsyncClient(transport=answering(library), event_hooks=hooks) as http:
            await http.post(OPENAI, json=CHAT)
        sent.set()
        await asyncio.gather(*tasks)

    asyncio.run(calls())
    assert [span.attributes["gen_ai.request.model"] for span in recorded.spans] == ["gpt-4o-mini", "gpt-4o"]


# The context


def test_the_calls_span_is_current_while_it_is_sent(recorded: Recorded, client: Client):
    tracer = recorded.tracer_provider.get_tracer("transport")

    def answer(_: Any) -> tuple[int, dict[str, str], list[bytes]]:
        tracer.start_span("connect").end()
        return 200, {}, [WHOLE]

    with tracer.start_as_current_span("caller") as caller:
        client.request("POST", OPENAI, json=CHAT, transport=client.transport(answer))
    connect, call, _ = recorded.spans
    assert (connect.name, connect.parent) == ("connect", call.context)
    assert call.parent == caller.get_span_context()


def test_nothing_stays_attached_while_a_stream_is_pending(recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> None:
        before = context.get_current()
        response = await http.send(OPENAI)
        assert context.get_current() is before
        async for _ in http.pieces(response):
            assert context.get_current() is before
        assert context.get_current() is before

    with recorded.tracer_provider.get_tracer("caller").start_as_current_span("caller") as caller:
        flow(client, steps)
        assert trace.get_current_span() is caller
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_nothing_stays_attached_after_a_failure(recorded: Recorded, client: Client):
    def fail(_: Any) -> Any:
        raise ValueError

    before = context.get_current()
    with pytest.raises(ValueError):  # noqa: PT011 - a bare one
        client.request("POST", OPENAI, json=CHAT, transport=client.library.MockTransport(fail))
    assert context.get_current() is before


def test_context_variables_pass_as_they_did(recorded: Recorded, client: Client):
    seen = contextvars.ContextVar("seen", default=0)

    async def note(request: Any) -> None:
        seen.set(seen.get() + 1)

    async def steps(http: Coroutines) -> int:
        seen.set(1)
        await http.read(await http.send(OPENAI))
        return seen.get()

    def note_at_once(request: Any) -> None:
        seen.set(seen.get() + 1)

    hooks = {"request": [note if client.asynchronous else note_at_once]}
    assert flow(client, steps, event_hooks=hooks) == 2
    assert attributes_of(recorded.span) == STREAMED | COMPLETE


def test_suppressed_instrumentation_records_nothing(recorded: Recorded, client: Client):
    with suppress_instrumentation():
        client.request("POST", OPENAI, json=CHAT, transport=answering(client.library))
    assert recorded.spans == ()
    client.request("POST", OPENAI, json=CHAT, transport=answering(client.library))
    assert len(recorded.spans) == 1


def test_eight_threads_do_not_mix(recorded: Recorded, client: Client, provider: Provider):
    tracer = recorded.tracer_provider.get_tracer("caller")
    together = threading.Barrier(8)

    def call(number: int) -> int:
        with tracer.start_as_current_span(f"caller {number}") as caller:
            together.wait()
            headers = {"x-input-tokens": str(number)}
            client.post(f"{provider.url}/v1/chat/completions", json=CHAT, headers=headers)
            return caller.get_span_context().span_id

    with ThreadPoolExecutor(8) as pool:
        callers = list(pool.map(call, range(1, 9)))
    assert usage_by_parent(recorded) == dict(zip(callers, ([n] for n in range(1, 9)), strict=True))


@libraries
def test_twenty_concurrent_calls_are_children_of_their_caller(
    recorded: Recorded, library: ModuleType, provider: Provider
):
    async def call(http: Any, number: int) -> None:
        headers = {"x-input-tokens": str(number), "x-delay": str((20 - number) / 1000)}
        async with http.stream(
            "POST", f"{provider.url}/v1/chat/completions", json=CHAT_STREAM, headers=headers
        ) as response:
            await response.aread()

    async def calls() -> int:
        tracer = recorded.tracer_provider.get_tracer("caller")
        async with library.AsyncClient() as http:
            with tracer.start_as_current_span("caller") as caller:
                await asyncio.gather(*(call(http, number) for number in range(1, 21)))
                return caller.get_span_context().span_id

    caller = asyncio.run(calls())
    assert usage_by_parent(recorded) == {caller: list(range(1, 21))}


def usage_by_parent(recorded: Recorded) -> dict[int, list[int]]:
    """The sorted input tokens of the calls, by the span id of their parents."""
    found: dict[int, list[int]] = {}
    for span in recorded.spans:
        if "gen_ai.usage.input_tokens" in span.attributes:
            found.setdefault(span.parent.span_id, []).append(span.attributes["gen_ai.usage.input_tokens"])
    return {parent: sorted(counts) for parent, counts in found.items()}


# On, off, and what is imported


def test_a_stream_pending_when_instrumentation_is_removed_still_ends(recorded: Recorded, client: Client):
    async def steps(http: Coroutines) -> bytes:
        response = await http.send(OPENAI)
        HTTPXInstrumentor().uninstrument()
        return await http.read(response)

    assert flow(client, steps) == b"".join(STREAM)
    assert attributes_of(recorded.span) == STREAMED | COMPLETE


def test_someone_elses_later_wrapper_stays(recorded: Recorded, client: Client, monkeypatch: pytest.MonkeyPatch):
    kind = client.library.AsyncClient if client.asynchronous else client.library.Client
    ours = kind.send

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ours(self, *args, **kwargs)

    monkeypatch.setattr(kind, "send", theirs)
    HTTPXInstrumentor().uninstrument()
    assert kind.send is theirs
    client.request("POST", OPENAI, json=CHAT, transport=answering(client.library))
    assert recorded.spans == ()


IN_A_PROGRAM = """
import sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from llmtrace_otel.instrument.httpx import HTTPXInstrumentor

spans, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
HTTPXInstrumentor().instrument(tracer_provider=provider)

def call(library):
    whole = b'{"usage":{"prompt_tokens":10,"completion_tokens":5}}'
    with library.Client(transport=library.MockTransport(lambda _: library.Response(200, content=whole))) as client:
        client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o-mini", "messages": []})
    return [span.attributes["gen_ai.usage.input_tokens"] for span in spans.get_finished_spans()]
"""


def test_nothing_is_imported_for_instrumentations_sake():
    watched = ("openai", "anthropic", "httpx", "httpx2", "litellm", "groq", "genai_prices", "pydantic")
    assert program(f"{IN_A_PROGRAM}\nprint([name for name in {watched} if name in sys.modules])") == "[]"


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_library_that_is_imported_later_is_instrumented(library: str):
    code = (
        f"{IN_A_PROGRAM}\nassert not {{'httpx', 'httpx2'}} & set(sys.modules)\nimport {library}\nprint(call({library}))"
    )
    assert program(code) == "[10]"


@pytest.mark.skipif(not hasattr(httpx2, "alias_httpx"), reason="this httpx2 cannot stand in for httpx")
@pytest.mark.parametrize("first", ["before", "after"])
def test_an_alias_of_httpx_is_traced_once(first: str):
    alias = "import httpx2\nhttpx2.alias_httpx()\nimport httpx\nassert httpx.Client is httpx2.Client"
    parts = [alias, IN_A_PROGRAM] if first == "before" else [IN_A_PROGRAM, alias]
    assert program("\n".join([*parts, "print(call(httpx))"])) == "[10]"


# A coroutine that is closed from without its task, as the garbage collector closes what an event loop has left


class Forever:
    def __await__(self) -> Iterator[None]:
        yield


@libraries
def test_a_call_that_is_closed_from_another_context_fails_as_without_us(
    recorded: Recorded, library: ModuleType, caplog: pytest.LogCaptureFixture
):
    async def never(_: Any) -> Any:
        try:
            await Forever()
        except GeneratorExit:  # as anyio has it
            raise RuntimeError("no running event loop") from None

    async def loop() -> None:
        http = library.AsyncClient(transport=library.MockTransport(never))
        await http.send(http.build_request("POST", OPENAI, json=CHAT))

    request = retries.one_call_async(loop)()
    contextvars.copy_context().run(request.send, None)
    with pytest.raises(RuntimeError, match="no running event loop"):
        request.close()
    assert caplog.messages == []
    assert attributes_of(recorded.span, cost=None) == request_of() | {"error.type": "RuntimeError"}


# Our own failures


def test_a_parser_that_breaks_costs_attributes_only(
    recorded: Recorded, client: Client, monkeypatch: pytest.MonkeyPatch
):
    broken_format(monkeypatch, read_response=broken)
    assert client.request("POST", OPENAI, json=CHAT, transport=answering(client.library)).body == WHOLE
    assert attributes_of(recorded.span, cost="unknown") == request_of() | HEAD


def test_a_request_parser_that_breaks_costs_attributes_only(
    recorded: Recorded, client: Client, monkeypatch: pytest.MonkeyPatch
):
    broken_format(monkeypatch, read_request=broken)
    assert client.request("POST", OPENAI, json=CHAT, transport=answering(client.library)).body == WHOLE
    unasked = {"gen_ai.request.model": None, "openai.api.type": None}
    assert attributes_of(recorded.span) == request_of(**unasked) | COMPLETE


def test_an_event_that_breaks_its_reader_costs_attributes_only(
    recorded: Recorded, client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ChatStream, "event", broken)
    assert client.request("POST", OPENAI, json=CHAT_STREAM, transport=streaming(client), stream=True).body == b"".join(
        STREAM
    )
    assert attributes_of(recorded.span, cost="unknown") == STREAMED | HEAD | INCOMPLETE


def test_a_stream_reader_that_breaks_costs_attributes_only(
    recorded: Recorded, client: Client, monkeypatch: pytest.MonkeyPatch
):
    broken_format(monkeypatch, stream=broken)
    assert client.request("POST", OPENAI, json=CHAT_STREAM, transport=streaming(client), stream=True).body == b"".join(
        STREAM
    )
    assert len(recorded.spans) == 1


def test_a_recorder_that_breaks_leaves_the_call_alone(
    recorded: Recorded, client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Recorder, "start", broken)
    assert client.request("POST", OPENAI, json=CHAT, transport=answering(client.library)).body == WHOLE
    assert recorded.spans == ()


def test_a_cost_that_breaks_costs_no_other_attribute(
    recorded: Recorded, client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cost, "cost_of", broken)
    assert client.request("POST", OPENAI, json=CHAT, transport=answering(client.library)).body == WHOLE
    assert attributes_of(recorded.span, cost="unknown") == EXCHANGED


# A thread cannot be started at the end of a program since Python 3.12, nor where the system has no more of them.


def test_prices_that_no_thread_can_load_cost_no_call(
    recorded: Recorded, client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cost, "_loading", threading.Event())
    monkeypatch.setattr(threading.Thread, "start", broken)
    client.request("POST", OPENAI, json=CHAT, transport=answering(client.library))
    assert attributes_of(recorded.span) == EXCHANGED


def test_dropped_streams_that_no_thread_can_watch_cost_no_other_stream(
    recorded: Recorded, client: Client, monkeypatch: pytest.MonkeyPatch
):
    cost.load()
    monkeypatch.setattr(left_streams, "_thread", None)
    monkeypatch.setattr(threading.Thread, "start", broken)
    client.request("POST", OPENAI, json=CHAT_STREAM, transport=streaming(client), stream=True)
    assert attributes_of(recorded.span) == STREAMED | COMPLETE


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a bug of ours")


def broken_format(monkeypatch: pytest.MonkeyPatch, **parts: Any) -> None:
    """Makes chat completions a format whose `parts` raise."""
    find = Providers.find

    def found(self: Providers, *args: Any) -> Any:
        match = find(self, *args)
        return match and match._replace(format=OPENAI_CHAT._replace(**parts))

    monkeypatch.setattr(Providers, "find", found)


class BusyProcessor(SpanProcessor):
    """Holds a lock while it works, as exporters and metrics do; tells whether a span ended in the middle of that."""

    def __init__(self) -> None:
        self.worker: threading.Thread | None = None
        self.interrupted = False
        self.ended: list[ReadableSpan] = []

    def work(self) -> None:
        self.worker = threading.current_thread()
        gc.collect()  # the collector may run at any allocation
        self.worker = None

    def on_end(self, span: ReadableSpan) -> None:
        if threading.current_thread() is self.worker:
            self.interrupted = True  # with a lock it would wait for itself
        self.ended.append(span)


@libraries
@pytest.mark.parametrize(
    "pieces_read",
    [
        0,
        pytest.param(1),
    ],
)
def test_the_garbage_collector_ends_no_span_in_the_middle_of_other_work(
    pieces_read: int, recorded: Recorded, library: ModuleType
):
    processor, provider = BusyProcessor(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    HTTPXInstrumentor().uninstrument()
    HTTPXInstrumentor().instrument(tracer_provider=provider)
    client = Client(library, asynchronous=False)
    with library.Client(transport=streaming(client)) as http:
        gc.disable()
        try:
            response = http.send(http.build_request("POST", OPENAI, json=CHAT_STREAM), stream=True)
            pieces = response.iter_raw()
            assert list(islice(pieces, pieces_read)) == STREAM[:pieces_read]
            response.extensions["cycle"] = (response, pieces)  # as SDKs' streams and httpx's own have
            del response, pieces
            processor.work()
        finally:
            gc.enable()
    wait_until(lambda: processor.ended)
    assert not processor.interrupted
    assert attributes_of(processor.ended[0], cost="unknown") == STREAMED | INCOMPLETE | (SEEN if pieces_read else HEAD)


FORKING = """
import os, signal, threading, time, warnings
import httpx

warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads
importing = threading.Event()

class SlowPrices:
    def find_spec(self, name, path=None, target=None):
        if name == "genai_prices.types":
            importing.set()
            time.sleep(0.3)

sys.meta_path.insert(0, SlowPrices())
thread = threading.Thread(target=call, args=[httpx])
thread.start()
importing.wait()
child = os.fork()
if child == 0:
    signal.alarm(3)
    call(httpx)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""


def test_a_child_forked_during_the_first_call_can_call_too():
    assert program(IN_A_PROGRAM + FORKING) == "0"
