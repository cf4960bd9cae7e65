"""Jaeger itself: what an OpenTelemetry SDK sends it, and what the demo sends it, it gives back as it was."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GRPCSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HTTPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from llmtrace_otel.telemetry import content, semconv
from provider import Provider

from .engines import Jaeger, needs_jaeger, spans_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

pytestmark = [pytest.mark.interop, needs_jaeger]

REPOSITORY = Path(__file__).resolve().parents[2]
MESSAGES = [
    {"role": "user", "parts": [{"type": "text", "content": 'Wie spät ist es in "東京"?\n\t\\ 🚀'}]},
    {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "clock", "arguments": {"city": "東京"}}]},
]
ATTRIBUTES: dict[str, Any] = {
    "text": 'Zürich, 東京, 🚀, \u2028, \x00, "quoted" and \\ and <b>&',
    "text.empty": "",
    "text.long": "Ein Satz mit Umlauten: äöü. " * 4_000,
    "int": 2**53 + 1,
    "int.largest": 2**63 - 1,
    "int.least": -(2**63),
    "int.zero": 0,
    "double": 0.1 + 0.2,
    "double.whole": 3.0,
    "double.tiny": 5e-324,
    "bool": True,
    "bool.false": False,
    "texts": ["a", "ü", ""],
    "ints": [0, -1, 2**63 - 1],
    "doubles": [0.1, 2.0],
    "bools": [True, False],
    "mixed": [1, "a", 0.5, False, ["b"], None],
    "nothing": [],
    "null": None,
    "bytes": b"\x00\xff",
    "map": {"city": "Zürich", "inner": {"deep": [1, 2]}, "empty": {}},
    semconv.INPUT_MESSAGES: json.dumps(MESSAGES, ensure_ascii=False),
}


@pytest.fixture(autouse=True)
def namespace() -> None:
    """In place of the package's: what runs here needs no network namespace."""


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory):
    with Jaeger(tmp_path_factory.mktemp("jaeger")) as jaeger:
        yield jaeger


def over_grpc(jaeger: Jaeger) -> SpanExporter:
    return GRPCSpanExporter(endpoint=jaeger.otlp_grpc, insecure=True)


def over_http(jaeger: Jaeger) -> SpanExporter:
    return HTTPSpanExporter(endpoint=f"{jaeger.otlp_http}/v1/traces")


@pytest.mark.parametrize("exporter", [over_grpc, over_http])
def test_every_kind_of_attribute_comes_back_as_the_sdk_sent_it(jaeger: Jaeger, exporter: Any):
    sent = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": exporter.__name__, "host.cpus": 2}))
    for destination in (sent, exporter(jaeger)):
        provider.add_span_processor(SimpleSpanProcessor(destination))
    tracer = provider.get_tracer("scope", "1.2.3")
    with tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=ATTRIBUTES) as span:
        tracer.start_span("child").end()
        span.add_event("first token", ATTRIBUTES)
        span.set_status(Status(StatusCode.ERROR, "überlastet"))
    provider.shutdown()

    trace_id = format(span.get_span_context().trace_id, "032x")
    assert by_id(spans_of(jaeger.trace(trace_id))) == by_id(encoded(sent.get_finished_spans()))
    assert exporter.__name__ in jaeger.services()


def test_the_trace_of_the_demo_is_in_jaeger_as_it_is_in_the_file(jaeger: Jaeger, tmp_path: Path):
    with Provider(realistic=True) as provider:
        run_agent(tmp_path / "spans.jsonl", jaeger.otlp_http, provider.url)
    written = [
        span
        for line in (tmp_path / "spans.jsonl").read_text(encoding="utf-8").splitlines()
        for span in spans_of(json.loads(line))
    ]
    trace_ids = {span["traceId"] for span in written}
    arrived = [span for trace_id in trace_ids for span in spans_of(jaeger.trace(trace_id))]
    assert by_id(arrived) == by_id(written)
    assert "demo-agent" in jaeger.services()


def test_a_trace_that_nobody_sent_is_empty(jaeger: Jaeger):
    assert jaeger.trace("0" * 31 + "1") == {"resourceSpans": []}


def run_agent(output: Path, endpoint: str, provider: str) -> None:
    """Runs the demo's agent, its spans sent to `endpoint` by the SDK and written to the file `output` by us."""
    environ = {
        **os.environ,
        "NO_PROXY": "127.0.0.1",
        "OTEL_SERVICE_NAME": "demo-agent",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "LLMTRACE_OUTPUT": str(output),
        content.MODE_VARIABLE: "span_only",
        "OPENAI_BASE_URL": f"{provider}/v1",
        "OPENAI_API_KEY": "local",
        "ANTHROPIC_BASE_URL": provider,
        "ANTHROPIC_API_KEY": "local",
    }
    command = [str(Path(sys.executable).parent / "opentelemetry-instrument"), sys.executable, "examples/agent.py"]
    ran = subprocess.run(command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def encoded(spans: Sequence[ReadableSpan]) -> list[dict[str, Any]]:
    """The spans as the SDK's own encoder puts them on the wire, as OTLP JSON, whose ids are hexadecimal."""
    ids = ("traceId", "spanId", "parentSpanId")
    return [
        {name: base64.b64decode(value).hex() if name in ids else value for name, value in span.items()}
        for span in spans_of(MessageToDict(encode_spans(spans), use_integers_for_enums=True))
    ]


def by_id(spans: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {span["spanId"]: span for span in spans}
