"""The OTLP/HTTP receiver: what it answers, byte for byte, what it hands on, and what holds nothing for ever."""

import asyncio
import gzip
import json
import zlib

import httpx
import pytest
import zstandard
from collector_helpers import JSON, PROTOBUF, Answer, call, request_of
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from receiver_helpers import LIMIT, Receivers, Sink, exchange, serving

from llmtrace_collector.errors import UnavailableError
from llmtrace_collector.otlp import limits
from llmtrace_collector.receivers import http
from llmtrace_collector.receivers import serving as web

ONE = request_of("chat").SerializeToString()
SPAN = {"traceId": f"{1:032x}", "spanId": f"{1:016x}", "name": "chat"}
ONE_AS_JSON = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}).encode()
GZIPPED = {**PROTOBUF, "content-encoding": "gzip"}
TAKEN = Answer(200, PROTOBUF, b"")


@pytest.fixture
def receivers():
    made = Receivers()
    yield made
    assert made.said == []


@pytest.fixture
def receiver(receivers):
    return receivers.http()


def status(code, message, *details):
    """A `google.rpc.Status` with its details packed."""
    expected = Status(code=code, message=message)
    for detail in details:
        expected.details.add().Pack(detail)
    return expected


def bad_request(message):
    return status(3, message, BadRequest(field_violations=[{"field": "body", "description": message}]))


def refusal(number, expected, **headers):
    """The answer to a protobuf request that is refused."""
    return Answer(number, {**PROTOBUF, **headers}, expected.SerializeToString())


def test_a_protobuf_request_is_taken_and_answered_in_protobuf(receiver, receivers):
    assert call(receiver, body=ONE) == TAKEN
    assert receivers.sink.messages == [request_of("chat")]


def test_a_json_request_is_taken_and_answered_in_json(receiver, receivers):
    assert call(receiver, headers=JSON, body=ONE_AS_JSON) == Answer(200, JSON, b"{}")
    assert receivers.sink.messages == [request_of("chat")]


def test_logs_have_a_path_of_their_own(receiver, receivers):
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(severity_text="INFO")
    assert call(receiver, path="/v1/logs", body=logs.SerializeToString()) == TAKEN
    assert receivers.sink.messages == [logs]


def test_paths_can_be_chosen(receivers):
    receiver = receivers.http(traces_url_path="/elsewhere")
    assert call(receiver, path="/elsewhere", body=ONE) == TAKEN
    assert call(receiver, path="/v1/traces", body=ONE).status == 404


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(ONE)),
        ("GZIP", gzip.compress(ONE)),
        ("gzip", gzip.compress(ONE[:9]) + gzip.compress(ONE[9:])),
        ("deflate", zlib.compress(ONE)),
        ("zlib", zlib.compress(ONE)),
        ("zstd", zstandard.compress(ONE)),
        ("zstd", zstandard.compress(ONE[:9]) + zstandard.compress(ONE[9:])),
        ("identity", ONE),
        ("", ONE),
    ],
    ids=["gzip", "capitals", "gzip-in-two", "deflate", "zlib", "zstd", "zstd-in-two", "identity", "none"],
)
def test_encoded_bodies_are_decoded_whatever_their_chunks(receiver, receivers, encoding, body):
    headers = {**PROTOBUF, "content-encoding": encoding}
    assert call(receiver, headers=headers, chunks=[body[i : i + 1] for i in range(len(body))]) == TAKEN
    assert call(receiver, headers=headers, body=body) == TAKEN
    assert receivers.sink.messages == [request_of("chat")] * 2


def test_what_is_taken_refused_and_failed_is_counted(receivers):
    labels = (("receiver", "otlp"), ("transport", "http"))
    receiver = receivers.http()
    zeros = {(f"otelcol_receiver_{how}_{what}", labels): 0
             for how in ("accepted", "refused", "failed") for what in ("spans", "log_records")}  # fmt: skip
    assert receivers.counts.totals == zeros
    call(receiver, body=request_of("a", "b").SerializeToString())
    receivers.sink.error = UnavailableError("later")
    call(receiver, body=ONE)
    receivers.sink.error = ZeroDivisionError()
    call(receiver, body=ONE)
    receivers.said.clear()
    counted = {"accepted": 2, "refused": 1, "failed": 1}
    expected = {**zeros, **{(f"otelcol_receiver_{how}_spans", labels): items for how, items in counted.items()}}
    answered = {("otelcol_receiver_requests", (*labels, ("outcome", "success"))): 1}
    assert receivers.counts.totals == {**expected, **answered}


def test_a_bad_body_is_answered_with_a_bad_request_detail(receiver):
    expected = bad_request("the body is not a protobuf ExportTraceServiceRequest")
    assert call(receiver, body=b"garbage") == refusal(400, expected)


def test_a_refusal_of_json_is_json(receiver):
    answer = call(receiver, headers=JSON, body=b"[]")
    message = "the body is not an ExportTraceServiceRequest: must be an object, not an array"
    violation = {"field": "body", "description": message}
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
    assert (answer.status, answer.headers) == (400, JSON)
    assert json.loads(answer.body) == {"code": 3, "message": message, "details": [detail]}


def test_values_nested_deeper_than_protobuf_goes_are_bad_data(receiver, receivers):
    value = '{"arrayValue":{"values":[' * 60 + "{}" + "]}}" * 60
    attribute = f'{{"key":"k","value":{value}}}'
    body = f'{{"resourceSpans":[{{"resource":{{"attributes":[{attribute}]}}}}]}}'.encode()
    assert call(receiver, headers=JSON, body=body).status == 400
    assert receivers.sink.messages == []


def test_a_message_does_not_send_everything_back(receiver):
    answer = call(receiver, path="/" + "x" * 5000, headers={})
    assert len(answer.body) == 1001


def test_items_that_cannot_be_written_now_are_answered_503_so_that_they_come_again():
    receiver = Receivers(Sink(UnavailableError("disk full", retry_after=1.2))).http()
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(1200)
    assert call(receiver, body=ONE) == refusal(503, status(14, "disk full", info), **{"retry-after": "2"})


def test_a_request_that_a_shutdown_interrupts_is_answered_503():
    receiver = Receivers(Sink(asyncio.CancelledError())).http()
    assert call(receiver, body=ONE) == refusal(503, status(14, "the collector is shutting down"))


def test_a_defect_is_answered_500_and_said():
    receivers = Receivers(Sink(ZeroDivisionError("oops")))
    assert call(receivers.http(), body=ONE) == refusal(500, status(13, "internal error"))
    assert receivers.said == ["internal error, a request was refused: ZeroDivisionError('oops')"]


def sized(length):
    """A request of exactly so many bytes."""
    padding = length - len(request_of("x" * 100_000).SerializeToString()) + 100_000
    bodies = [request_of("x" * size).SerializeToString() for size in range(padding - 8, padding + 1)]
    return next(body for body in bodies if len(body) == length)


TOO_LARGE = refusal(413, status(8, f"the body is larger than {LIMIT} bytes"))


def test_a_body_of_exactly_the_limit_is_taken(receiver):
    assert call(receiver, body=sized(LIMIT)) == TAKEN
    assert call(receiver, headers=GZIPPED, body=gzip.compress(sized(LIMIT))) == TAKEN


def test_one_byte_over_the_limit_is_answered_413(receiver, receivers):
    assert call(receiver, body=sized(LIMIT + 1)) == TOO_LARGE
    assert call(receiver, headers=GZIPPED, body=gzip.compress(sized(LIMIT + 1))) == TOO_LARGE
    assert receivers.sink.messages == []


def length_delimited(tag, content):
    size, shown = len(content), b""
    while size > 127:
        size, shown = size >> 7, shown + bytes([size & 127 | 128])
    return bytes([tag]) + shown + bytes([size]) + content


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x00" * (limits.MOST + 1),
        length_delimited(0x0A, b"\x12\x00" * limits.MOST),
        length_delimited(0x0A, length_delimited(0x12, b"\x12\x00" * limits.MOST)),
        b"\x0b" + b"\x0a\x00" * (limits.MOST + 1) + b"\x0c",
    ],
    ids=["resources", "scopes", "spans", "in a group"],
)
def test_millions_of_empty_messages_are_refused_before_they_are_made(receivers, body):
    receiver = receivers.http(max_request_body_size=8 * LIMIT)
    message = "the request is made of more than 500000 messages; send fewer at a time"
    assert call(receiver, body=body) == refusal(413, status(8, message))
    assert receivers.sink.messages == []


def test_millions_of_empty_objects_are_refused_before_they_are_made(receivers):
    receiver = receivers.http(max_request_body_size=64 * LIMIT)
    answer = call(receiver, headers=JSON, body=b'{"resourceSpans":[' + b"{}," * limits.MOST_OBJECTS + b"{}]}")
    assert (answer.status, receivers.sink.messages) == (413, [])


def test_many_spans_that_hold_something_are_taken(receivers):
    receiver = receivers.http(max_request_body_size=64 * LIMIT)
    body = request_of(*["a name of some length, as spans have"] * 50_000).SerializeToString()
    assert len(body) > 2 * limits.MOST
    assert call(receiver, body=body) == TAKEN


def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_read(receiver):
    headers = {**PROTOBUF, "content-length": str(LIMIT + 1)}
    assert call(receiver, headers=headers, chunks=[]) == TOO_LARGE


def test_a_body_that_does_not_come_is_answered_408(receiver, monkeypatch):
    monkeypatch.setattr(http, "BODY_SECONDS", 0.01)
    sent = []

    async def send(event):
        sent.append(event)

    headers = [(b"content-type", b"application/x-protobuf")]
    scope = {"type": "http", "method": "POST", "path": "/v1/traces", "headers": headers}
    asyncio.run(receiver(scope, asyncio.Event().wait, send))
    assert sent[0]["status"] == 408
    assert Status.FromString(sent[1]["body"]) == status(4, "the body did not come within 0.01 s")


# On sockets


def post(body, *headers, path="/v1/traces"):
    """A request as bytes, after which the client wants the connection closed."""
    lines = [f"POST {path} HTTP/1.1", "host: test", "connection: close", "content-type: application/json", *headers]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


def test_requests_share_a_connection(receivers):
    async def two_requests():
        async with serving(receivers.http()) as server, httpx.AsyncClient() as client:
            for _ in range(2):
                answer = await client.post(f"{server.url}/v1/traces", content=ONE, headers=PROTOBUF)
                assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-protobuf")
            return len(server._web._server.server_state.connections)

    assert asyncio.run(two_requests()) == 1
    assert receivers.sink.messages == [request_of("chat")] * 2


def test_three_hundred_connections_are_served_at_once(receivers):
    async def requests():
        async with serving(receivers.http()) as server:
            answers = await asyncio.gather(*(exchange(server, post(ONE_AS_JSON)) for _ in range(300)))
            return {answer.split(b"\r\n")[0] for answer in answers}

    assert asyncio.run(requests()) == {b"HTTP/1.1 200 OK"}
    assert len(receivers.sink.messages) == 300


@pytest.mark.parametrize(
    "request_line",
    [b"GARBAGE", b"POST /\xff HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"PRI * HTTP/2.0", b"POST http:// HTTP/1.1"],
)
def test_what_is_not_http_is_answered_400(receivers, request_line):
    async def answer():
        async with serving(receivers.http()) as server:
            return await exchange(server, request_line + b"\r\nhost: a\r\nconnection: close\r\n\r\n")

    assert asyncio.run(answer()).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_offers_http_2_is_served_in_http_1(receivers):
    upgrade = post(ONE_AS_JSON, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAE")

    async def answer():
        async with serving(receivers.http()) as server:
            return await exchange(server, upgrade)

    assert asyncio.run(answer()).startswith(b"HTTP/1.1 200 ")
    assert receivers.sink.messages == [request_of("chat")]


@pytest.mark.parametrize("sent", [b"", b"POST /v1/traces HTTP/1.1\r\nhost"])
def test_a_request_head_that_never_ends_is_cut_off(receivers, monkeypatch, sent):
    monkeypatch.setattr(web, "KEEP_ALIVE_SECONDS", 0.05)

    async def silence():
        async with serving(receivers.http()) as server:
            return await exchange(server, sent)

    assert asyncio.run(silence()) == b""


@pytest.mark.parametrize("filler", [b"x" * 1000, b"a: b\r\n" * 100], ids=["one-header", "many-headers"])
def test_an_endless_head_is_cut_off(receivers, filler):
    async def flood():
        async with serving(receivers.http()) as server:
            with pytest.raises(ConnectionError):
                await exchange(server, b"POST /v1/traces HTTP/1.1\r\nx: " + filler * 5000)

    asyncio.run(flood())


def test_a_request_under_way_is_answered_before_the_server_stops(receivers):
    arrived, released = asyncio.Event(), asyncio.Event()

    class Slow(Sink):
        async def accept(self, batch):
            arrived.set()
            await released.wait()

    receivers.intakes = dict.fromkeys(receivers.intakes, Slow())

    async def stop_in_the_middle():
        async with serving(receivers.http()) as server:
            answer = asyncio.create_task(exchange(server, post(ONE_AS_JSON)))
            await arrived.wait()
            stopping = asyncio.create_task(server.stop(5))
            released.set()
            await stopping
            return await answer

    assert asyncio.run(stop_in_the_middle()).startswith(b"HTTP/1.1 200 ")


def test_a_request_that_takes_longer_than_the_grace_is_answered_503(receivers):
    arrived = asyncio.Event()

    class Stuck(Sink):
        async def accept(self, batch):
            arrived.set()
            await asyncio.Event().wait()

    receivers.intakes = dict.fromkeys(receivers.intakes, Stuck())

    async def stop_in_the_middle():
        async with serving(receivers.http(), grace_seconds=0) as server:
            answer = asyncio.create_task(exchange(server, post(ONE_AS_JSON)))
            await arrived.wait()
            await server.stop(0.05)
            return await answer

    assert asyncio.run(stop_in_the_middle()).startswith(b"HTTP/1.1 503 ")


def test_the_python_sdk_sends_here(receivers):
    def export(url):
        with_exporter = SimpleSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces", timeout=10))
        provider = TracerProvider()
        provider.add_span_processor(with_exporter)
        provider.get_tracer("test").start_span("chat").end()
        provider.shutdown()

    async def receive():
        async with serving(receivers.http()) as server:
            await asyncio.to_thread(export, server.url)

    asyncio.run(receive())
    (message,) = receivers.sink.messages
    assert message.resource_spans[0].scope_spans[0].spans[0].name == "chat"


def test_a_client_that_leaves_takes_its_request_along(receivers):
    """It sends it again: what is still done for the first one would be doubled."""
    began, ended = asyncio.Event(), asyncio.Event()

    class Waiting:
        wants_lines = False

        async def accept(self, batch):
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    receivers.intakes = dict.fromkeys(receivers.intakes, Waiting())

    async def run():
        async with serving(receivers.http()) as server:
            _, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"))
            head = f"POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: {PROTOBUF['content-type']}\r\n"
            writer.write(f"{head}Content-Length: {len(ONE)}\r\n\r\n".encode() + ONE)
            await asyncio.wait_for(began.wait(), 20)
            writer.close()
            await asyncio.wait_for(ended.wait(), 20)

    asyncio.run(run())
