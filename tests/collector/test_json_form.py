"""OTLP JSON: written as the official collector writes it, read as liberally as the specification asks."""

import base64
import json

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, EntityRef, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from llmtrace_collector.errors import MalformedError
from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.otlp.signals import TRACES

TRACE_ID = bytes(range(0xA0, 0xB0))
SPAN_ID = bytes(range(0xC0, 0xC8))


def rich_request():
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add(schema_url="https://example.com/1")
    resource_spans.resource.attributes.add(key="service.name").value.string_value = "agent"
    resource_spans.resource.dropped_attributes_count = 2
    resource_spans.resource.entity_refs.append(EntityRef(type="service", id_keys=["service.name"]))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "llmtrace"
    scope_spans.scope.version = "1"
    scope_spans.spans.add(
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        trace_state="a=b",
        parent_span_id=SPAN_ID,
        flags=257,
        name='chat "é" <&> \u2028',
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=1_700_000_000_000_000_001,
        end_time_unix_nano=2**64 - 1,
        attributes=[
            KeyValue(key="text", value=AnyValue(string_value="")),
            KeyValue(key="yes", value=AnyValue(bool_value=True)),
            KeyValue(key="no", value=AnyValue(bool_value=False)),
            KeyValue(key="int", value=AnyValue(int_value=-(2**63))),
            KeyValue(key="zero", value=AnyValue(int_value=0)),
            KeyValue(key="double", value=AnyValue(double_value=1.5)),
            KeyValue(key="nan", value=AnyValue(double_value=float("nan"))),
            KeyValue(key="inf", value=AnyValue(double_value=float("inf"))),
            KeyValue(key="-inf", value=AnyValue(double_value=float("-inf"))),
            KeyValue(key="array", value=AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue()]))),
            KeyValue(key="empty array", value=AnyValue(array_value=ArrayValue())),
            KeyValue(
                key="map",
                value=AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(string_value="v"))])),
            ),
            KeyValue(key="empty map", value=AnyValue(kvlist_value=KeyValueList())),
            KeyValue(key="bytes", value=AnyValue(bytes_value=b"\xfb\xff")),
            KeyValue(key="unset", value=AnyValue()),
        ],
        dropped_attributes_count=1,
        events=[Span.Event(time_unix_nano=5, name="first token", dropped_attributes_count=3)],
        dropped_events_count=4,
        links=[Span.Link(trace_id=TRACE_ID, span_id=SPAN_ID, flags=1)],
        dropped_links_count=6,
        status=Status(code=Status.STATUS_CODE_ERROR, message="cut"),
    )
    return request


RICH = {
    "resourceSpans": [
        {
            "resource": {
                "attributes": [{"key": "service.name", "value": {"stringValue": "agent"}}],
                "droppedAttributesCount": 2,
                "entityRefs": [{"type": "service", "idKeys": ["service.name"]}],
            },
            "scopeSpans": [
                {
                    "scope": {"name": "llmtrace", "version": "1"},
                    "spans": [
                        {
                            "traceId": TRACE_ID.hex(),
                            "spanId": SPAN_ID.hex(),
                            "traceState": "a=b",
                            "parentSpanId": SPAN_ID.hex(),
                            "flags": 257,
                            "name": 'chat "é" <&> \u2028',
                            "kind": 3,
                            "startTimeUnixNano": "1700000000000000001",
                            "endTimeUnixNano": "18446744073709551615",
                            "attributes": [
                                {"key": "text", "value": {"stringValue": ""}},
                                {"key": "yes", "value": {"boolValue": True}},
                                {"key": "no", "value": {"boolValue": False}},
                                {"key": "int", "value": {"intValue": "-9223372036854775808"}},
                                {"key": "zero", "value": {"intValue": "0"}},
                                {"key": "double", "value": {"doubleValue": 1.5}},
                                {"key": "nan", "value": {"doubleValue": "NaN"}},
                                {"key": "inf", "value": {"doubleValue": "Infinity"}},
                                {"key": "-inf", "value": {"doubleValue": "-Infinity"}},
                                {"key": "array", "value": {"arrayValue": {"values": [{"intValue": "1"}, {}]}}},
                                {"key": "empty array", "value": {"arrayValue": {}}},
                                {
                                    "key": "map",
                                    "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
                                },
                                {"key": "empty map", "value": {"kvlistValue": {}}},
                                {"key": "bytes", "value": {"bytesValue": "+/8="}},
                                {"key": "unset", "value": {}},
                            ],
                            "droppedAttributesCount": 1,
                            "events": [{"timeUnixNano": "5", "name": "first token", "droppedAttributesCount": 3}],
                            "droppedEventsCount": 4,
                            "links": [{"traceId": TRACE_ID.hex(), "spanId": SPAN_ID.hex(), "flags": 1}],
                            "droppedLinksCount": 6,
                            "status": {"message": "cut", "code": 2},
                        }
                    ],
                }
            ],
            "schemaUrl": "https://example.com/1",
        }
    ]
}


def written(request):
    return json.loads(Batch.from_protobuf(TRACES, request.SerializeToString()).line)


def read(source):
    return json.loads(Batch.from_json(TRACES, json.dumps(source).encode()).line)


def one_span(**fields):
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": [{**fields, "status": {}}]}]}]}


def one_attribute(value):
    return one_span(attributes=[{"key": "a", "value": value}])


def test_every_field_of_a_protobuf_request_is_written():
    assert written(rich_request()) == RICH


def test_fields_stand_in_the_order_of_their_declaration_and_text_is_raw():
    line = Batch.from_protobuf(TRACES, rich_request().SerializeToString()).line
    assert line == json.dumps(RICH, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def test_a_json_request_becomes_the_same_line():
    line = Batch.from_protobuf(TRACES, rich_request().SerializeToString()).line
    assert Batch.from_json(TRACES, line).line == line


def test_a_json_request_is_forwarded_as_the_same_protobuf():
    request = rich_request()
    body = Batch.from_json(TRACES, json.dumps(RICH).encode()).protobuf
    assert body == request.SerializeToString()


def test_empty_envelopes_keep_their_empty_objects():
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add()
    assert written(request) == one_span()


def test_spans_are_counted_over_all_envelopes():
    request = ExportTraceServiceRequest()
    for _ in range(2):
        scope_spans = request.resource_spans.add().scope_spans.add()
        scope_spans.spans.extend([Span(), Span(), Span()])
    assert Batch.from_protobuf(TRACES, request.SerializeToString()).items == 6


@pytest.mark.parametrize("value", ["7", 7, 7.0])
def test_json_integers_may_be_strings_or_numbers(value):
    assert read(one_span(startTimeUnixNano=value, flags=value)) == one_span(startTimeUnixNano="7", flags=7)


def test_json_ids_may_be_upper_case():
    assert read(one_span(traceId="AB" * 16, spanId="CD" * 8)) == one_span(traceId="ab" * 16, spanId="cd" * 8)


def test_json_enums_may_be_names():
    assert read(one_span(kind="SPAN_KIND_SERVER")) == one_span(kind=2)


@pytest.mark.parametrize("text", ["+/8=", "+/8", "-_8=", "-_8"])
def test_json_bytes_may_be_url_safe_and_unpadded(text):
    assert read(one_attribute({"bytesValue": text})) == one_attribute({"bytesValue": "+/8="})


def test_unknown_and_null_json_fields_are_ignored():
    assert read({**one_span(name="x", color="red", parentSpanId=None), "new": [1]}) == one_span(name="x")


def test_snake_case_is_not_a_json_name():
    assert read(one_span(name="x", start_time_unix_nano="7")) == one_span(name="x")


SPAN = "the body is not an ExportTraceServiceRequest: resourceSpans.scopeSpans.spans"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "the body is not an ExportTraceServiceRequest: must be an object, not an array"),
        (
            {"resourceSpans": {}},
            "the body is not an ExportTraceServiceRequest: resourceSpans: must be an array, not an object",
        ),
        (
            {"resourceSpans": [7]},
            "the body is not an ExportTraceServiceRequest: resourceSpans: must be an object, not a number",
        ),
        (
            one_span(traceId="xyz"),
            f"{SPAN}.traceId: non-hexadecimal number found in fromhex() arg at position 0",
        ),
        (one_span(startTimeUnixNano=1.5), f"{SPAN}.startTimeUnixNano: 1.5 is not an integer"),
        (one_span(startTimeUnixNano=True), f"{SPAN}.startTimeUnixNano: True is not an integer"),
        (one_span(startTimeUnixNano=-1), f"{SPAN}.startTimeUnixNano: Value out of range: -1"),
        (one_attribute({"bytesValue": "?"}), f"{SPAN}.attributes.value.bytesValue: Only base64 data is allowed"),
        (one_span(traceId="abcd"), "the request holds an id that has not 16 bytes"),
    ],
)
def test_a_mistake_in_json_is_named_with_its_field(source, message):
    with pytest.raises(MalformedError) as refusal:
        read(source)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"resourceSpans":[{"schemaUrl":"\xff"}]}',
        b'{"resourceSpans":"\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_json_is_malformed(body):
    with pytest.raises(MalformedError):
        Batch.from_json(TRACES, body)


def test_endlessly_nested_values_are_malformed():
    deep = '{"arrayValue":{"values":[' * 5_000 + "{}" + "]}}" * 5_000
    body = json.dumps(one_attribute("DEEP")).replace('"DEEP"', deep)
    with pytest.raises(MalformedError):
        Batch.from_json(TRACES, body.encode())


@pytest.mark.parametrize("body", [b"garbage", b"\x0a\xff", b"\x0a\x04\x1a\x02\xff\xff"])
def test_what_is_not_protobuf_is_malformed(body):
    with pytest.raises(MalformedError) as refusal:
        Batch.from_protobuf(TRACES, body)
    assert str(refusal.value) == "the body is not a protobuf ExportTraceServiceRequest"


# The oracle: protobuf's own JSON mapping, corrected where OTLP's differs.

UINT64 = st.integers(0, 2**64 - 1)
UINT32 = st.integers(0, 2**32 - 1)
TEXT = st.text(max_size=8)
LEAVES = st.one_of(
    st.just(AnyValue()),
    st.builds(AnyValue, string_value=TEXT),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, double_value=st.floats()),
    st.builds(AnyValue, bytes_value=st.binary(max_size=8)),
)


def key_values(values):
    return st.lists(st.builds(KeyValue, key=TEXT, value=values), max_size=3)


VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(AnyValue, array_value=st.builds(ArrayValue, values=st.lists(inner, max_size=3))),
        st.builds(AnyValue, kvlist_value=st.builds(KeyValueList, values=key_values(inner))),
    ),
    max_leaves=6,
)
ATTRIBUTES = key_values(VALUES)


def ids(length):
    return st.one_of(st.just(b""), st.binary(min_size=length, max_size=length))


SPANS = st.builds(
    Span,
    trace_id=ids(16),
    span_id=ids(8),
    parent_span_id=ids(8),
    trace_state=TEXT,
    flags=UINT32,
    name=TEXT,
    kind=st.integers(0, 5),
    start_time_unix_nano=UINT64,
    end_time_unix_nano=UINT64,
    attributes=ATTRIBUTES,
    dropped_attributes_count=UINT32,
    events=st.lists(st.builds(Span.Event, time_unix_nano=UINT64, name=TEXT, attributes=ATTRIBUTES), max_size=2),
    links=st.lists(st.builds(Span.Link, trace_id=ids(16), span_id=ids(8), attributes=ATTRIBUTES), max_size=2),
    status=st.one_of(st.none(), st.builds(Status, message=TEXT, code=st.integers(0, 2))),
)


IDS = ("traceId", "spanId", "parentSpanId")


def corrected(value, key=None):
    """Hex ids, and the empty objects that OTLP writers always write; `key` is the field that holds `value`."""
    if isinstance(value, list):
        return [corrected(item, key) for item in value]
    if not isinstance(value, dict):
        return base64.b64decode(value).hex() if key in IDS else value
    value = {name: inner for name, inner in value.items() if name not in IDS or any(base64.b64decode(inner))}
    always = {"resourceSpans": "resource", "scopeSpans": "scope", "spans": "status"}.get(key)
    if key == "attributes" or (key == "values" and value.keys() <= {"key", "value"} and value):
        always = "value"
    return {**({always: {}} if always else {}), **{name: corrected(inner, name) for name, inner in value.items()}}


def oracle(request):
    return corrected(MessageToDict(request, use_integers_for_enums=True))


@settings(max_examples=150)
@given(spans=st.lists(SPANS, min_size=1, max_size=3))
def test_any_spans_agree_with_protobufs_own_json(spans):
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(spans)
    assert written(request) == oracle(request)


@settings(max_examples=100)
@given(spans=st.lists(SPANS, min_size=1, max_size=3))
def test_any_spans_survive_being_read_back(spans):
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(spans)
    line = Batch.from_protobuf(TRACES, request.SerializeToString()).line
    assert Batch.from_json(TRACES, line).line == line


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('"kind":"CLIENT"', "kind: 'CLIENT' is none of SPAN_KIND_UNSPECIFIED, "),
        ('"attributes":[{"value":{"doubleValue":1%s}}]' % ("0" * 400), "attributes.value.doubleValue: "),
        ('"attributes":[{"value":{"doubleValue":"1_0"}}]', "attributes.value.doubleValue: '1_0' is not a number"),
        ('"events":[null]', "events: must be an object, not null"),
    ],
    ids=["unknown name", "beyond doubles", "digits of Python's", "null"],
)
def test_what_no_field_can_hold_is_bad_data(field, message):
    with pytest.raises(MalformedError) as refused:
        Batch.from_json(TRACES, f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{field}}}]}}]}}]}}'.encode())
    start = f"the body is not an ExportTraceServiceRequest: resourceSpans.scopeSpans.spans.{message}"
    assert str(refused.value)[: len(start)] == start
