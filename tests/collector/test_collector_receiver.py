"""The OTLP/HTTP receiver as an application: what it answers, byte for byte, and what it writes before."""

import asyncio
import gzip
import json
import tracemalloc
import zlib

import pytest
from collector_helpers import JSON, PROTOBUF, Answer, call, line_of, lines_in, request_of
from google.rpc.status_pb2 import Status

from llmtrace_collector.errors import UnavailableError
from llmtrace_collector.exporters.file import FileExporter
from llmtrace_collector.pipeline import Pipeline, Totals
from llmtrace_collector.receiver import Receiver

LIMIT = 64 * 1024
ONE = request_of("chat").SerializeToString()
ONE_AS_JSON = json.dumps(line_of("chat")).encode()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "traces.jsonl"


@pytest.fixture
def pipeline(path):
    exporter = FileExporter(str(path), print, append=True)
    yield Pipeline(files=[exporter])
    exporter.close()


@pytest.fixture
def receiver(pipeline):
    return Receiver(pipeline, LIMIT, said.append)


said: list[str] = []


@pytest.fixture(autouse=True)
def nothing_said_by_accident():
    said.clear()
    yield
    assert said == []


def refusal(status, code, message, media_type="application/x-protobuf", **headers):
    """The expected answer, with its Status in the request's encoding."""
    if media_type == "application/json":
        body = json.dumps({"code": code, "message": message}, separators=(",", ":")).encode()
    else:
        body = Status(code=code, message=message).SerializeToString()
    return Answer(status, {"content-type": media_type, **headers}, body)


def test_a_protobuf_request_is_written_and_answered_in_protobuf(receiver, path):
    assert call(receiver, body=ONE) == Answer(200, PROTOBUF, b"")
    assert lines_in(path) == [line_of("chat")]


def test_a_json_request_is_written_and_answered_in_json(receiver, path):
    assert call(receiver, headers=JSON, body=ONE_AS_JSON) == Answer(200, JSON, b"{}")
    assert lines_in(path) == [line_of("chat")]


def test_a_content_type_may_have_parameters_and_capitals(receiver):
    answer = call(receiver, headers={"content-type": "Application/JSON; charset=utf-8"}, body=ONE_AS_JSON)
    assert answer == Answer(200, JSON, b"{}")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(ONE)),
        ("GZIP", gzip.compress(ONE)),
        ("gzip", gzip.compress(ONE[:9]) + gzip.compress(ONE[9:])),
        ("deflate", zlib.compress(ONE)),
        ("identity", ONE),
        ("", ONE),
    ],
    ids=["gzip", "capitals", "gzip-in-two", "deflate", "identity", "none"],
)
def test_encoded_bodies_are_decoded_whatever_their_chunks(receiver, path, encoding, body):
    headers = {**PROTOBUF, "content-encoding": encoding}
    answer = call(receiver, headers=headers, chunks=[body[i : i + 1] for i in range(len(body))])
    assert answer == Answer(200, PROTOBUF, b"")
    assert lines_in(path) == [line_of("chat")]


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (PROTOBUF, b"", Answer(200, PROTOBUF, b"")),
        (JSON, b"{}", Answer(200, JSON, b"{}")),
        (JSON, b'{"resourceSpans":[{"resource":{}}]}', Answer(200, JSON, b"{}")),
    ],
)
def test_a_request_without_spans_succeeds_and_writes_nothing(receiver, path, headers, body, expected):
    assert call(receiver, headers=headers, body=body) == expected
    assert lines_in(path) == []


def test_requests_spans_and_bytes_are_summed(receiver, pipeline, path):
    call(receiver, body=ONE)
    call(receiver, body=request_of("a", "b").SerializeToString())
    call(receiver)
    call(receiver, body=b"garbage")
    assert pipeline.totals == Totals(requests=3, spans=3, written_bytes=path.stat().st_size)


GZIPPED = {**PROTOBUF, "content-encoding": "gzip"}
NOT_PROTOBUF = "the body is not a protobuf ExportTraceServiceRequest"


@pytest.mark.parametrize(
    ("headers", "body", "message"),
    [
        (PROTOBUF, b"garbage", NOT_PROTOBUF),
        (PROTOBUF, ONE[:-1], NOT_PROTOBUF),
        (JSON, b"{", "the body is not JSON: Input data was truncated"),
        (JSON, b"[]", "the body is not an ExportTraceServiceRequest: must be an object, not an array"),
        (GZIPPED, ONE, "the body is not valid gzip: Error -3 while decompressing data: incorrect header check"),
        (GZIPPED, gzip.compress(ONE)[:-1], "the gzip body is truncated"),
        (GZIPPED, b"", "the gzip body is truncated"),
        (
            {**JSON, "content-encoding": "br"},
            b"{}",
            "unsupported Content-Encoding 'br'; use gzip, deflate or none",
        ),
    ],
    ids=["garbage", "cut", "half-json", "array", "no-gzip", "cut-gzip", "empty-gzip", "unknown-coding"],
)
def test_a_bad_body_is_answered_400_with_a_status(receiver, path, headers, body, message):
    assert call(receiver, headers=headers, body=body) == refusal(400, 3, message, headers["content-type"])
    assert lines_in(path) == []


@pytest.mark.parametrize("media_type", ["application/x-protobuf", "application/json"])
@pytest.mark.parametrize("target", ["/v1/metrics", "/v1/logs", "/", "/v1/traces/"])
def test_an_unknown_path_is_answered_404_with_a_status(receiver, media_type, target):
    message = f"nothing is served at {target}; traces go to /v1/traces"
    assert call(receiver, path=target, headers={"content-type": media_type}) == refusal(404, 5, message, media_type)


def test_another_method_is_answered_405_with_a_status(receiver):
    expected = refusal(405, 12, "PUT is not served at /v1/traces; use POST", allow="POST")
    assert call(receiver, method="PUT", body=ONE) == expected


def test_a_request_that_names_no_encoding_is_refused_in_plain_text(receiver):
    assert call(receiver, method="GET", headers={}) == Answer(
        405,
        {"content-type": "text/plain; charset=utf-8", "allow": "POST"},
        b"GET is not served at /v1/traces; use POST\n",
    )


def test_another_content_type_is_answered_415(receiver):
    assert call(receiver, headers={"content-type": "text/xml"}, body=b"<a/>") == Answer(
        415,
        {"content-type": "text/plain; charset=utf-8"},
        b"unsupported Content-Type 'text/xml'; use application/x-protobuf or application/json\n",
    )


TOO_LARGE = refusal(413, 8, f"the body is larger than {LIMIT} bytes")


def sized(length):
    """A request of exactly so many bytes."""
    padding = length - len(request_of("x" * 1000).SerializeToString()) + 1000
    bodies = [request_of("x" * size).SerializeToString() for size in range(padding - 8, padding + 1)]
    return next(body for body in bodies if len(body) == length)


def test_a_body_of_exactly_the_limit_is_accepted(receiver):
    assert call(receiver, body=sized(LIMIT)) == Answer(200, PROTOBUF, b"")
    assert call(receiver, headers=GZIPPED, body=gzip.compress(sized(LIMIT))) == Answer(200, PROTOBUF, b"")


def test_one_byte_over_the_limit_is_answered_413(receiver, path):
    assert call(receiver, body=sized(LIMIT + 1)) == TOO_LARGE
    assert call(receiver, headers=GZIPPED, body=gzip.compress(sized(LIMIT + 1))) == TOO_LARGE
    assert lines_in(path) == []


def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_read(receiver):
    headers = {**PROTOBUF, "content-length": str(LIMIT + 1)}
    assert call(receiver, headers=headers, chunks=[]) == TOO_LARGE


def test_a_gzip_bomb_is_refused_without_being_inflated(receiver):
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    tracemalloc.start()
    try:
        answer = call(receiver, headers=GZIPPED, body=bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer == TOO_LARGE
    assert peak < 16 * LIMIT


class Failing:
    """A pipeline that fails in a given way."""

    def __init__(self, error):
        self.error = error

    async def accept(self, batch):
        raise self.error


def test_spans_that_cannot_be_written_now_are_answered_503_so_that_they_come_again():
    receiver = Receiver(Failing(UnavailableError("disk full", retry_after=1.2)), LIMIT, said.append)
    assert call(receiver, body=ONE) == refusal(503, 14, "disk full", **{"retry-after": "2"})


def test_a_request_that_a_shutdown_interrupts_is_answered_503():
    receiver = Receiver(Failing(asyncio.CancelledError()), LIMIT, said.append)
    assert call(receiver, body=ONE) == refusal(503, 14, "the collector is shutting down")


def test_a_defect_is_answered_500_and_said():
    receiver = Receiver(Failing(ZeroDivisionError("oops")), LIMIT, said.append)
    assert call(receiver, body=ONE) == refusal(500, 13, "internal error")
    assert said == ["internal error, a request was refused: ZeroDivisionError('oops')"]
    said.clear()
