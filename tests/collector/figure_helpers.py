"""What the tests of figures share: spans with attributes in a batch, and figures that do not change."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmtrace_collector.figures.counts import Counts
from llmtrace_collector.figures.summary import Destination, Figures, File
from llmtrace_collector.figures.tally import Tally, calls_in
from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.otlp.signals import TRACES

KINDS = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
OTLP = (("receiver", "otlp"), ("transport", "grpc"))
JAEGER = ("exporter", "otlp_http/jaeger")


def spans(*attributes, failed=False):
    """A batch as a client sends it: a span per mapping of attributes."""
    request = ExportTraceServiceRequest()
    held = request.resource_spans.add().scope_spans.add().spans
    for number, mapping in enumerate(attributes, 1):
        span = held.add(trace_id=bytes(15) + b"\x01", span_id=number.to_bytes(8, "big"), name="a span")
        span.status.code = 2 if failed else 0
        for name, value in mapping.items():
            setattr(span.attributes.add(key=name).value, KINDS[type(value)], value)
    return Batch.from_protobuf(TRACES, request.SerializeToString())


def chat(model="gpt-5-mini", **more):
    """The attributes of a call; `input_tokens` and so on stand for the long names."""
    names = {
        "input_tokens": "gen_ai.usage.input_tokens",
        "output_tokens": "gen_ai.usage.output_tokens",
        "usd": "llmtrace.cost.usd",
        "status": "llmtrace.cost.status",
        "cache_hit": "llmtrace.cache.hit",
        "error": "error.type",
    }
    return {
        "http.request.method": "POST",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        **{names[name]: value for name, value in more.items()},
    }


def busy_figures(path="traces.jsonl", down_since=None):
    """Spans and log records came in, some were refused; three models were called; a queue waits for Jaeger."""
    counts = Counts()
    counts.add("otelcol_receiver_requests", 7, (*OTLP, ("outcome", "success")))
    counts.add("otelcol_receiver_requests", 1, (*OTLP, ("outcome", "refused")))
    counts.add("otelcol_receiver_accepted_spans", 3412, OTLP)
    counts.add("otelcol_receiver_accepted_log_records", 1, OTLP)
    counts.add("otelcol_receiver_refused_spans", 12, OTLP)
    counts.add("otelcol_exporter_sent_spans", 3400, (JAEGER,))
    counts.add("otelcol_exporter_sent_spans", 3412, (("exporter", "file"),))
    counts.add("otelcol_exporter_enqueue_failed_spans", 9, (JAEGER,))
    counts.add("llmtrace_exporter_dropped_spans", 4, (JAEGER,))
    counts.add("llmtrace_exporter_dropped_log_records", 1, (JAEGER,))
    counts.gauge("otelcol_exporter_queue_size", (("data_type", "traces"), JAEGER), lambda: 5)
    counts.gauge("otelcol_exporter_queue_size", (("data_type", "logs"), JAEGER), lambda: 1)
    counts.gauge("otelcol_exporter_queue_capacity", (("data_type", "traces"), JAEGER), lambda: 1000)
    counts.gauge("otelcol_exporter_queue_capacity", (("data_type", "logs"), JAEGER), lambda: 1000)
    tally = Tally()
    tally.add(calls_in(spans(*[chat(input_tokens=1000, output_tokens=50, usd=0.01)] * 3)))
    tally.add(calls_in(spans(*[chat("claude-sonnet-5", input_tokens=200, output_tokens=9)] * 2)))
    tally.add(calls_in(spans(chat("o9", error="RateLimitError"), failed=True)))
    jaeger = Destination("otlp_http/jaeger", "http://127.0.0.1:4318", lambda: down_since)
    return Figures(counts, tally, (jaeger,), (File(str(path), lambda: 1_234_000),))
