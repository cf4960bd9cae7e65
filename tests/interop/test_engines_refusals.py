"""What the official collector refuses, ours refuses: bombs, requests above the limit, garbage."""

from __future__ import annotations

import gzip

import pytest
from grpc import Compression, StatusCode
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .engines import Otelcol, needs_otelcol
from .golden import TRACES, resource_spans
from .otlp import call, over_grpc, over_http, post
from .ours import both, files_of

pytestmark = [pytest.mark.interop, needs_otelcol]

MIB = 1024 * 1024
CONFIG = """
receivers: {otlp: {protocols: {grpc: {max_recv_msg_size_mib: 1}, http: {max_request_body_size: 1048576}}}}
exporters: {file: {path: traces.jsonl, append: true}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [file]}}}
"""
GARBAGE = b"\xff garbage"


@pytest.fixture(autouse=True)
def namespace() -> None:
    """In place of the package's: what runs here needs no network namespace."""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory):
    """The official collector and ours with limits of 1 MiB. Whatever they refuse, what is good they still take."""
    with both(CONFIG, tmp_path_factory.mktemp("limited")) as engines:
        yield engines
        for engine in engines:
            assert over_http(engine, "traces", TRACES[1])
            assert over_grpc(engine, "traces", TRACES[1])
    official, ours = map(files_of, engines)
    assert ours == official
    assert len(ours["traces.jsonl"]) == 2


def request_of(size: int) -> bytes:
    """A valid request a little larger than so many bytes."""
    return ExportTraceServiceRequest(resource_spans=[resource_spans(None, Span(name="0" * size))]).SerializeToString()


def test_what_is_refused_over_http(engines: tuple[Otelcol, Otelcol]):
    large = request_of(MIB)
    bodies = {
        "bomb": (gzip.compress(request_of(64 * MIB)), "gzip"),
        "too large": (large, "identity"),
        "too large when inflated": (gzip.compress(large), "gzip"),
        "garbage": (GARBAGE, "identity"),
        "cut": (large[:1000], "identity"),
        "not gzip": (GARBAGE, "gzip"),
    }
    answers = {
        name: tuple(post(engine, "traces", body, encoding=encoding) for engine in engines)
        for name, (body, encoding) in bodies.items()
    }
    assert answers == {
        "bomb": (400, 413),  # theirs and ours: the specification says 413 since its 1.11
        "too large": (400, 413),
        "too large when inflated": (400, 413),
        "garbage": (400, 400),
        "cut": (400, 400),
        "not gzip": (400, 400),
    }


def test_what_is_refused_over_grpc(engines: tuple[Otelcol, Otelcol]):
    large = request_of(MIB)
    messages = {
        "bomb": (request_of(64 * MIB), Compression.Gzip),
        "too large": (large, Compression.NoCompression),
        "garbage": (GARBAGE, Compression.NoCompression),
        "cut": (large[:1000], Compression.Gzip),
    }
    answers = {
        name: tuple(call(engine, "traces", body, compression) for engine in engines)
        for name, (body, compression) in messages.items()
    }
    assert answers == {
        "bomb": (StatusCode.RESOURCE_EXHAUSTED, StatusCode.RESOURCE_EXHAUSTED),
        "too large": (StatusCode.RESOURCE_EXHAUSTED, StatusCode.RESOURCE_EXHAUSTED),
        "garbage": (StatusCode.INTERNAL, StatusCode.INVALID_ARGUMENT),  # the specification's code for bad data
        "cut": (StatusCode.INTERNAL, StatusCode.INVALID_ARGUMENT),
    }
