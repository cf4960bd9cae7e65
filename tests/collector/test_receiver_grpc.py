"""The OTLP/gRPC receiver: what it answers in status and trailers, and that its limit holds for what is inflated."""

import asyncio
import tracemalloc

import grpc
import pytest
from collector_helpers import request_of
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import aio
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from receiver_helpers import LIMIT, Receivers, Sink, serving

from llmtrace_collector.errors import UnavailableError
from llmtrace_collector.otlp.signals import LOGS, METRICS, TRACES

ONE = request_of("chat").SerializeToString()
UNLIMITED = [("grpc.max_send_message_length", -1)]


@pytest.fixture
def receivers():
    made = Receivers()
    yield made
    assert made.said == []


async def export(server, body, path=TRACES.rpc, compression=None):
    """The answer to one request: its code, its message, its trailers; of a success, the body."""
    async with aio.insecure_channel(server.url.removeprefix("http://"), options=UNLIMITED) as channel:
        try:
            return await channel.unary_unary(path)(body, compression=compression, timeout=30)
        except aio.AioRpcError as error:
            return error.code(), error.details(), dict(error.trailing_metadata())


def answer_to(receivers, body, *, settings=None, **request):
    """What a receiver answers to one request."""

    async def ask():
        async with serving(receivers.grpc(**settings or {})) as server:
            return await export(server, body, **request)

    return asyncio.run(ask())


def refusal(code, message, *details, **trailers):
    """The expected answer, with its Status among the trailers."""
    status = Status(code=code.value[0], message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return code, message, {"grpc-status-details-bin": status.SerializeToString(), **trailers}


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_request_is_taken_and_answered_empty(receivers, compression):
    assert answer_to(receivers, ONE, compression=compression) == b""
    assert receivers.sink.messages == [request_of("chat")]


def test_an_empty_request_succeeds(receivers):
    assert answer_to(receivers, b"", path=LOGS.rpc) == b""


@pytest.mark.parametrize("path", [METRICS.rpc, "/foo.Bar/Export", f"{TRACES.rpc}s"], ids=["metrics", "foo", "exports"])
def test_a_service_without_pipeline_is_unimplemented(receivers, path):
    code, *_ = answer_to(receivers, b"", path=path)
    assert code == grpc.StatusCode.UNIMPLEMENTED


def test_garbage_is_an_invalid_argument(receivers):
    message = "the body is not a protobuf ExportTraceServiceRequest"
    detail = BadRequest(field_violations=[{"field": "body", "description": message}])
    assert answer_to(receivers, b"garbage") == refusal(grpc.StatusCode.INVALID_ARGUMENT, message, detail)


def test_items_that_cannot_be_written_now_are_unavailable_and_tell_when_to_come_again():
    receivers = Receivers(Sink(UnavailableError("disk full", retry_after=1.2)))
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(1200)
    trailer = {"google.rpc.retryinfo-bin": info.SerializeToString()}
    assert answer_to(receivers, ONE) == refusal(grpc.StatusCode.UNAVAILABLE, "disk full", info, **trailer)


def test_a_defect_is_internal_and_said():
    receivers = Receivers(Sink(ZeroDivisionError("oops")))
    assert answer_to(receivers, ONE) == refusal(grpc.StatusCode.INTERNAL, "internal error")
    assert receivers.said == ["internal error, a request was refused: ZeroDivisionError('oops')"]


def test_what_is_taken_is_counted(receivers):
    answer_to(receivers, request_of("a", "b").SerializeToString())
    assert receivers.counts.total("otelcol_receiver_accepted_spans", receiver="otlp", transport="grpc") == 2
    assert receivers.counts.total("otelcol_receiver_refused_spans") == 0


def test_a_message_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(receivers):
    largest = request_of("x" * (LIMIT - 50)).SerializeToString()
    largest = request_of("x" * (2 * LIMIT - 50 - len(largest))).SerializeToString()
    assert len(largest) == LIMIT
    for compression in (None, grpc.Compression.Gzip):
        assert answer_to(receivers, largest, compression=compression) == b""
        code, *_ = answer_to(receivers, largest + b"\n\x00", compression=compression)
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_gzip_bomb_is_refused_without_being_inflated(receivers):
    bomb = bytes(200 * LIMIT)
    tracemalloc.start()
    try:
        answer = answer_to(receivers, bomb, compression=grpc.Compression.Gzip)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer == refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, f"the body is larger than {LIMIT} bytes")
    assert peak < 8 * LIMIT


def test_another_compression_is_unimplemented(receivers):
    code, *_ = answer_to(receivers, ONE, compression=grpc.Compression.Deflate)
    assert code == grpc.StatusCode.UNIMPLEMENTED


def test_streams_can_be_limited(receivers):
    assert answer_to(receivers, ONE, settings={"max_concurrent_streams": 1}) == b""


def test_a_request_under_way_is_answered_before_the_server_stops(receivers):
    arrived, released = asyncio.Event(), asyncio.Event()

    class Slow(Sink):
        async def accept(self, batch):
            arrived.set()
            await released.wait()

    receivers.intakes = dict.fromkeys(receivers.intakes, Slow())

    async def stop_in_the_middle():
        async with serving(receivers.grpc()) as server:
            answer = asyncio.create_task(export(server, ONE))
            await arrived.wait()
            stopping = asyncio.create_task(server.stop(5))
            released.set()
            await stopping
            return await answer

    assert asyncio.run(stop_in_the_middle()) == b""


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_the_python_sdk_sends_here(receivers, compression):
    def send(url):
        provider = TracerProvider()
        exporter = OTLPSpanExporter(url, insecure=True, timeout=10, compression=compression)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        provider.get_tracer("test").start_span("chat").end()
        provider.shutdown()

    async def receive():
        async with serving(receivers.grpc()) as server:
            await asyncio.to_thread(send, server.url)

    asyncio.run(receive())
    (message,) = receivers.sink.messages
    assert message.resource_spans[0].scope_spans[0].spans[0].name == "chat"
