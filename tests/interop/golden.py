"""Requests that have everything OTLP can say, of all three signals, for two engines to write the same of.

Every kind of value and of metric, empty values, the largest and the least numbers, NaN and infinity, text that JSON
must escape and text that it need not, events, links, statuses, several resources and scopes in one request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    EntityRef,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

if TYPE_CHECKING:
    from google.protobuf.message import Message

START = 1_790_000_000_123_456_789  # nanoseconds since 1970
LARGEST_TIME = 2**64 - 1
NAN, INFINITY = float("nan"), float("inf")
SECRET = "sk-abcdefghijklmnopqrstuvwxyz0123"
"""Looks like a key of a provider, which otel-collector.yaml may mask."""

VALUES: dict[str, AnyValue] = {
    "nothing": AnyValue(),
    "text": AnyValue(string_value="Zürich, 東京, 🚀"),
    "text.empty": AnyValue(string_value=""),
    "text.escaped": AnyValue(string_value='"quoted" \\ / \b\f\n\r\t \x00 \x1f \x7f \u2028\u2029 <b>&amp;'),
    "text.json": AnyValue(string_value='[{"role":"user","parts":[{"type":"text","content":"Grüße"}]}]'),
    "bool": AnyValue(bool_value=True),
    "bool.false": AnyValue(bool_value=False),
    "int": AnyValue(int_value=2**53 + 1),
    "int.largest": AnyValue(int_value=2**63 - 1),
    "int.least": AnyValue(int_value=-(2**63)),
    "int.zero": AnyValue(int_value=0),
    "double": AnyValue(double_value=0.1 + 0.2),
    "double.whole": AnyValue(double_value=3.0),
    "double.zero": AnyValue(double_value=0.0),
    "double.minus_zero": AnyValue(double_value=-0.0),
    "double.tiny": AnyValue(double_value=5e-324),
    "double.small": AnyValue(double_value=1e-7),
    "double.large": AnyValue(double_value=1e21),
    "double.largest": AnyValue(double_value=1.7976931348623157e308),
    "double.nan": AnyValue(double_value=NAN),
    "double.infinity": AnyValue(double_value=INFINITY),
    "double.minus_infinity": AnyValue(double_value=-INFINITY),
    "bytes": AnyValue(bytes_value=b"\x00\xff\xfe>?"),
    "bytes.empty": AnyValue(bytes_value=b""),
    "array": AnyValue(
        array_value=ArrayValue(
            values=[
                AnyValue(string_value="a"),
                AnyValue(int_value=1),
                AnyValue(double_value=-INFINITY),
                AnyValue(),
                AnyValue(array_value=ArrayValue(values=[AnyValue(bool_value=False)])),
                AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="b", value=AnyValue(bytes_value=b"c"))])),
            ]
        )
    ),
    "array.empty": AnyValue(array_value=ArrayValue()),
    "map": AnyValue(
        kvlist_value=KeyValueList(
            values=[
                KeyValue(key="city", value=AnyValue(string_value="Zürich")),
                KeyValue(key="", value=AnyValue(kvlist_value=KeyValueList())),
                KeyValue(key="null", value=AnyValue()),
            ]
        )
    ),
    "map.empty": AnyValue(kvlist_value=KeyValueList()),
    "ключ 鍵 🔑": AnyValue(string_value="a key that is not ASCII"),
    "": AnyValue(string_value="a key that is empty"),
}


def attributes(**more: str) -> list[KeyValue]:
    """Every kind of value, and these texts."""
    texts = {name.replace("_", "."): AnyValue(string_value=text) for name, text in more.items()}
    return [KeyValue(key=key, value=value) for key, value in {**VALUES, **texts}.items()]


def one(key: str, text: str) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=text))]


def trace_id(number: int) -> bytes:
    """Looks random, which samplers need."""
    return (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(16, "big")


def span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


RESOURCE = Resource(
    attributes=attributes(service_name="agent", host_token=SECRET),
    dropped_attributes_count=3,
    entity_refs=[
        EntityRef(type="service", id_keys=["service.name"], description_keys=["text"], schema_url="https://e")
    ],
)
SCOPE = InstrumentationScope(name="golden", version="1.2.3", attributes=attributes(), dropped_attributes_count=4)
SCHEMA = "https://opentelemetry.io/schemas/1.38.0"

FULL_SPAN = Span(
    trace_id=trace_id(1),
    span_id=span_id(1),
    parent_span_id=span_id(2),
    trace_state="vendor=1,other=2",
    flags=0x301,
    name="chat gpt-5 「東京」",
    kind=Span.SPAN_KIND_CLIENT,
    start_time_unix_nano=START,
    end_time_unix_nano=START + 1_500_000_000,
    attributes=attributes(
        api_key=SECRET,
        user_email="anna@example.com",
        gen_ai_prompt=f"My key is {SECRET}, keep it.",
        text_long="Ein Satz mit Umlauten: äöü. " * 40_000,
    ),
    dropped_attributes_count=1,
    events=[
        Span.Event(
            name="first token",
            time_unix_nano=START + 1,
            attributes=attributes(exception_message=f"bad key {SECRET}"),
            dropped_attributes_count=2,
        ),
        Span.Event(),
    ],
    dropped_events_count=5,
    links=[
        Span.Link(
            trace_id=trace_id(2),
            span_id=span_id(9),
            trace_state="a=b",
            attributes=attributes(),
            dropped_attributes_count=6,
            flags=0x100,
        ),
        Span.Link(),
    ],
    dropped_links_count=7,
    status=Status(code=Status.STATUS_CODE_ERROR, message="überlastet"),
)


def resource_spans(resource: Resource | None, *spans: Span) -> ResourceSpans:
    """Spans of one scope, which is empty, of a resource, which may be absent."""
    return ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=InstrumentationScope(), spans=spans)])


TRACES = [
    ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=RESOURCE,
                scope_spans=[ScopeSpans(scope=SCOPE, spans=[FULL_SPAN], schema_url=SCHEMA)],
                schema_url=SCHEMA,
            )
        ]
    ),
    ExportTraceServiceRequest(
        resource_spans=[resource_spans(None, Span(), Span(span_id=span_id(1)), Span(end_time_unix_nano=LARGEST_TIME))]
    ),
    ExportTraceServiceRequest(
        resource_spans=[
            resource_spans(
                Resource(),
                *(
                    Span(trace_id=trace_id(3), span_id=span_id(kind + 1), kind=kind, status=Status(code=code))
                    for kind in (*Span.SpanKind.values(), 77)
                    for code in Status.StatusCode.values()
                ),
            )
        ]
    ),
    ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=one("service.name", service)),
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope(name=scope),
                        spans=[Span(trace_id=trace_id(4), span_id=span_id(number), name=f"{service}.{scope}.{number}")],
                    )
                    for number, scope in enumerate(("a", "", "ü"), 1)
                ],
            )
            for service in ("planner", "writer", "planner")
        ]
    ),
    ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(resource=Resource(attributes=one("service.name", "without scopes"))),
            ResourceSpans(scope_spans=[ScopeSpans(scope=InstrumentationScope(name="without spans"))]),
            resource_spans(None, Span(name="but one")),
        ]
    ),
    ExportTraceServiceRequest(
        resource_spans=[
            resource_spans(
                Resource(attributes=one("service.name", "many traces")),
                *(Span(trace_id=trace_id(number), span_id=span_id(number), name="chat") for number in range(5, 105)),
            )
        ]
    ),
]

EXEMPLARS = [
    Exemplar(
        filtered_attributes=attributes(),
        time_unix_nano=START,
        as_double=NAN,
        span_id=span_id(1),
        trace_id=trace_id(1),
    ),
    Exemplar(as_int=-5),
    Exemplar(),
]
POINT: dict[str, Any] = {
    "attributes": attributes(),
    "start_time_unix_nano": START,
    "time_unix_nano": LARGEST_TIME,
    "flags": 1,
}
NUMBERS = [
    NumberDataPoint(**POINT, as_int=-(2**63), exemplars=EXEMPLARS),
    NumberDataPoint(**POINT, as_double=-INFINITY),
    NumberDataPoint(as_double=0.0),
    NumberDataPoint(as_int=0),
    NumberDataPoint(),
]
BUCKETS = ExponentialHistogramDataPoint.Buckets
METRIC_KINDS = [
    Metric(name="no data"),
    Metric(),
    Metric(name="gauge", description="Grad", unit="Cel", metadata=attributes(), gauge=Gauge(data_points=NUMBERS)),
    Metric(name="gauge.empty", gauge=Gauge()),
    Metric(name="sum.delta", sum=Sum(data_points=NUMBERS, aggregation_temporality=1, is_monotonic=True)),
    Metric(name="sum.cumulative", sum=Sum(data_points=NUMBERS, aggregation_temporality=2)),
    Metric(name="sum.empty", sum=Sum()),
    Metric(
        name="histogram",
        histogram=Histogram(
            data_points=[
                HistogramDataPoint(
                    **POINT,
                    count=2**64 - 1,
                    sum=-1.5,
                    min=0.0,
                    max=INFINITY,
                    bucket_counts=[0, 1, 2**64 - 1],
                    explicit_bounds=[0.0, 1e21],
                    exemplars=EXEMPLARS,
                ),
                HistogramDataPoint(count=1, sum=NAN),
                HistogramDataPoint(),
            ],
            aggregation_temporality=1,
        ),
    ),
    Metric(name="histogram.empty", histogram=Histogram()),
    Metric(
        name="exponential",
        exponential_histogram=ExponentialHistogram(
            data_points=[
                ExponentialHistogramDataPoint(
                    **POINT,
                    count=7,
                    sum=3.5,
                    min=-1.0,
                    max=1.0,
                    scale=-11,
                    zero_count=1,
                    zero_threshold=1e-9,
                    positive=BUCKETS(offset=-3, bucket_counts=[1, 0, 2]),
                    negative=BUCKETS(offset=2, bucket_counts=[3]),
                    exemplars=EXEMPLARS,
                ),
                ExponentialHistogramDataPoint(),
            ],
            aggregation_temporality=2,
        ),
    ),
    Metric(name="exponential.empty", exponential_histogram=ExponentialHistogram()),
    Metric(
        name="summary",
        summary=Summary(
            data_points=[
                SummaryDataPoint(
                    **POINT,
                    count=9,
                    sum=4.5,
                    quantile_values=[
                        SummaryDataPoint.ValueAtQuantile(),
                        SummaryDataPoint.ValueAtQuantile(quantile=0.99, value=NAN),
                    ],
                ),
                SummaryDataPoint(),
            ]
        ),
    ),
    Metric(name="summary.empty", summary=Summary()),
]


def resource_metrics(*metrics: Metric) -> ResourceMetrics:
    return ResourceMetrics(
        resource=RESOURCE,
        scope_metrics=[ScopeMetrics(scope=SCOPE, metrics=metrics, schema_url=SCHEMA), ScopeMetrics()],
        schema_url=SCHEMA,
    )


METRICS = [
    *(ExportMetricsServiceRequest(resource_metrics=[resource_metrics(metric)]) for metric in METRIC_KINDS),
    ExportMetricsServiceRequest(resource_metrics=[resource_metrics(*METRIC_KINDS), ResourceMetrics()]),
]

LOGS = [
    ExportLogsServiceRequest(
        resource_logs=[
            ResourceLogs(
                resource=RESOURCE,
                scope_logs=[
                    ScopeLogs(
                        scope=SCOPE,
                        log_records=[
                            LogRecord(
                                time_unix_nano=START,
                                observed_time_unix_nano=LARGEST_TIME,
                                severity_number=17,
                                severity_text="ERROR — schlimm",
                                body=AnyValue(string_value=f"refused: {SECRET}"),
                                attributes=attributes(user_email="anna@example.com"),
                                dropped_attributes_count=1,
                                flags=1,
                                trace_id=trace_id(1),
                                span_id=span_id(1),
                                event_name="gen_ai.client.inference.operation.details",
                            ),
                            LogRecord(),
                        ],
                        schema_url=SCHEMA,
                    ),
                ],
                schema_url=SCHEMA,
            )
        ]
    ),
    ExportLogsServiceRequest(
        resource_logs=[
            ResourceLogs(
                scope_logs=[
                    ScopeLogs(
                        log_records=[
                            LogRecord(severity_number=number % 25, trace_id=trace_id(number), body=value)
                            for number, value in enumerate(VALUES.values(), 1)
                        ]
                    )
                ]
            ),
            ResourceLogs(resource=Resource(attributes=one("service.name", "without records"))),
        ]
    ),
]

GOLDEN: dict[str, list[Message]] = {"traces": [*TRACES], "metrics": [*METRICS], "logs": [*LOGS]}
"""The requests by signal."""
NOTHING: dict[str, Message] = {
    "traces": ExportTraceServiceRequest(),
    "metrics": ExportMetricsServiceRequest(),
    "logs": ExportLogsServiceRequest(),
}
"""A request of each signal without anything, which succeeds and leaves nothing."""
