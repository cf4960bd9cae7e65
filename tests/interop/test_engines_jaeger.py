"""Our collector before Jaeger, alone and with the official one between: every attribute arrives, kills lose nothing."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, format_span_id, format_trace_id

from provider import Provider

from .engines import Jaeger, Otelcol, needs_jaeger, needs_otelcol, spans_of, wait_until, with_mapping
from .otlp import as_json
from .ours import Collect, lines_in
from .test_jaeger import ATTRIBUTES, over_grpc, over_http, run_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

pytestmark = [pytest.mark.interop, needs_otelcol, needs_jaeger]

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = [REPOSITORY / "otel-collector.yaml", REPOSITORY / "otel-collector-jaeger.yaml"]
FILE = """
receivers: {otlp: {protocols: {grpc: , http: }}}
exporters: {file: {path: traces.jsonl, append: true}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [file]}}}
"""
FORWARD = """
receivers: {otlp: {protocols: {grpc: , http: }}}
exporters: {otlp_grpc: {endpoint: "%s", tls: {insecure: true}}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc]}}}
"""
QUEUED = """
receivers: {otlp: {protocols: {grpc: , http: }}}
extensions: {file_storage: {directory: ./spool, create_directory: true}}
exporters:
  otlp_grpc:
    endpoint: "%s"
    tls: {insecure: true}
    retry_on_failure: {initial_interval: 100ms, max_interval: 200ms, max_elapsed_time: 0}
    sending_queue: {storage: file_storage}
service:
  extensions: [file_storage]
  pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc]}}
"""


@pytest.fixture(autouse=True)
def namespace() -> None:
    """In place of the package's: what runs here needs no network namespace."""


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory):
    with Jaeger(tmp_path_factory.mktemp("jaeger")) as jaeger:
        yield jaeger


@pytest.fixture(params=["otlp_http", "otlp_grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    """What we are told of where to send to: a URL, or `host:port` for gRPC."""
    return request.param


@pytest.fixture(params=["straight", "by way of theirs"])
def ours(request: pytest.FixtureRequest, protocol: str, jaeger: Jaeger, tmp_path: Path):
    """Our collector, which also sends to Jaeger, or to the official one, which sends to Jaeger."""
    with ExitStack() as stack:
        flag, destination = "--jaeger", jaeger
        if request.param == "by way of theirs":
            theirs = Otelcol(FORWARD % jaeger.otlp_grpc, directory(tmp_path, "official"))
            flag, destination = "--forward", stack.enter_context(theirs)
        arguments = [flag, getattr(destination, protocol)]
        yield stack.enter_context(Collect(FILE, directory(tmp_path, "ours"), arguments=arguments))


def test_what_the_sdk_sent_us_is_in_our_file_and_in_jaeger(ours: Collect, jaeger: Jaeger):
    sent = traces_of_the_sdk(ours)
    assert written(ours) == sent
    assert arrived(jaeger, sent) == sent


def test_what_the_demo_sent_us_is_in_our_file_and_in_jaeger(ours: Collect, jaeger: Jaeger, tmp_path: Path):
    sent = trace_of_the_demo(ours, tmp_path / "spans.jsonl")
    assert written(ours) == sent
    assert arrived(jaeger, sent) == sent


def test_so_it_is_with_the_configuration_that_we_ship(jaeger: Jaeger, tmp_path: Path):
    with Collect(CONFIGS, tmp_path, {"JAEGER_ENDPOINT": jaeger.otlp_grpc}) as ours:
        sent = traces_of_the_sdk(ours)
        assert written(ours) == sent
        assert arrived(jaeger, sent) == sent


@pytest.mark.parametrize("exporter", [over_http, over_grpc])
def test_what_the_sdk_was_told_we_have_is_in_jaeger_after_a_kill(tmp_path: Path, exporter: Callable[..., SpanExporter]):
    jaeger = Jaeger(directory(tmp_path, "jaeger"))
    with Collect(QUEUED % jaeger.otlp_grpc, directory(tmp_path, "ours")) as ours:
        trace_id, acknowledged = send_until_killed(ours, Acknowledged(exporter(ours)))
        ours.start()
        with jaeger:
            wait_until(lambda: acknowledged <= ids_of(jaeger, trace_id))
            assert acknowledged - ids_of(jaeger, trace_id) == set()


class Acknowledged(SpanExporter):
    """Another exporter, and the ids of the spans that it delivered."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.exporter = exporter
        self.ids: set[str] = set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self.exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.ids |= {format_span_id(span.context.span_id) for span in spans}
        return result

    def shutdown(self) -> None:
        self.exporter.shutdown()


def send_until_killed(collector: Collect, exporter: Acknowledged) -> tuple[str, set[str]]:
    """Sends spans one by one until a `kill -9` at any moment; their trace's id, and the ids that were acknowledged."""
    spans = random.randrange(20, 200)

    def kill() -> None:
        wait_until(lambda: len(exporter.ids) >= spans)
        collector.kill()
        exporter.shutdown()  # it would try again for 10 seconds

    killer = Thread(target=kill)
    killer.start()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("scope")
    with tracer.start_as_current_span("agent") as agent:
        while killer.is_alive():
            tracer.start_span("chat", attributes={"city": "Zürich"}).end()
    assert len(exporter.ids) >= spans
    return format_trace_id(agent.get_span_context().trace_id), exporter.ids


def traces_of_the_sdk(collector: Collect) -> dict[str, dict[str, Any]]:
    """Sends a trace with everything that a span may have over each protocol; its spans by id, as OTLP JSON."""
    spans: dict[str, dict[str, Any]] = {}
    for exporter in (over_http, over_grpc):
        sent = InMemorySpanExporter()
        provider = TracerProvider(resource=Resource({"service.name": exporter.__name__, "host.cpus": 2}))
        for destination in (sent, exporter(collector)):
            provider.add_span_processor(SimpleSpanProcessor(destination))
        tracer = provider.get_tracer("scope", "1.2.3")
        with tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=ATTRIBUTES) as span:
            tracer.start_span("child", links=[Link(span.get_span_context(), ATTRIBUTES)]).end()
            span.add_event("first token", ATTRIBUTES)
            span.set_status(Status(StatusCode.ERROR, "überlastet"))
        provider.shutdown()
        spans |= by_id([as_json(encode_spans(sent.get_finished_spans()))])
    return spans


def trace_of_the_demo(collector: Collect, output: Path) -> dict[str, dict[str, Any]]:
    """Runs the demo's agent; its spans by id, as the program itself wrote them to a file."""
    with Provider(realistic=True) as provider:
        run_agent(output, collector.otlp_http, provider.url)
    return by_id(lines_in(output))


def written(collector: Collect) -> dict[str, dict[str, Any]]:
    """The spans in a collector's file, by id."""
    return by_id(lines_in(collector.directory / "traces.jsonl"))


def arrived(jaeger: Jaeger, sent: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The spans that Jaeger has of the traces of these, once it has as many, by id."""
    spans = Counter(span["traceId"] for span in sent.values())
    return by_id(jaeger.wait_for_trace(trace_id, count) for trace_id, count in spans.items())


def by_id(lines: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The spans in lines of OTLP JSON by id. The order of attributes, those of links too, means nothing."""
    return {
        span["spanId"]: {**span, "links": [with_mapping(link) for link in span.get("links", [])]}
        for line in lines
        for span in spans_of(line)
    }


def ids_of(jaeger: Jaeger, trace_id: str) -> set[str]:
    return {span["spanId"] for span in spans_of(jaeger.trace(trace_id))}


def directory(parent: Path, name: str) -> Path:
    path = parent / name
    path.mkdir()
    return path
