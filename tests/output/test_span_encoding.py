"""The encoder against the official one: the same span, as a tree, from both."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from llmtrace_otel.output.encoding import encode

TRACE_ID, SPAN_ID, PARENT_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0x0000000000000001, 0xB7AD6B7169203331
RESOURCE = Resource({"service.name": "agent", "process.pid": 7}, "https://example.com/resource")
SCOPE = InstrumentationScope("llmtrace_otel", "1.0", "https://example.com/scope", {"kind": "test"})


def mappings(inner):
    return st.dictionaries(st.text(min_size=1, max_size=10), inner, max_size=3)


int64s = st.integers(-(2**63), 2**63 - 1)
scalars = st.one_of(st.text(), st.booleans(), int64s, st.floats(), st.binary(), st.none())
values = scalars | st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | mappings(inner), max_leaves=4)
attributes = mappings(values)
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.just(TraceFlags(1)),
)
states = st.sampled_from([None, TraceState(), TraceState([("vendor", "1"), ("other", "2")])])
times = st.integers(0, 2**63)
spans = st.builds(
    ReadableSpan,
    name=st.text(),
    context=st.builds(lambda context, state: with_state(context, state), contexts, states),
    parent=st.none() | contexts,
    resource=st.builds(Resource, attributes, st.sampled_from(["", "https://example.com/resource"])),
    attributes=attributes,
    events=st.lists(st.builds(Event, st.text(), attributes, times), max_size=2),
    links=st.lists(st.builds(Link, contexts, attributes), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=st.sampled_from([Status(), Status(StatusCode.OK), Status(StatusCode.ERROR, "no ö")]),
    start_time=times,
    end_time=times,
    instrumentation_scope=st.none()
    | st.builds(InstrumentationScope, st.text(), st.none() | st.text(), st.text(), attributes),
)


def with_state(context: SpanContext, state: TraceState | None) -> SpanContext:
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags, state)


def make_span(**fields) -> ReadableSpan:
    context = SpanContext(TRACE_ID, SPAN_ID, is_remote=False)
    return ReadableSpan("chat", context, resource=RESOURCE, instrumentation_scope=SCOPE, **fields)


def ours(span: ReadableSpan) -> dict:
    line = encode(span)
    assert line.index(b"\n") == len(line) - 1
    return normal(json.loads(line))


def official(span: ReadableSpan) -> dict:
    """The official protobuf message as OTLP/JSON: its bytes ids in hex, its enumerations as numbers."""
    return normal(hex_ids(MessageToDict(encode_spans([span]), use_integers_for_enums=True)))


def hex_ids(tree):
    if isinstance(tree, list):
        return [hex_ids(item) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        name: base64.b64decode(value).hex() if name in ids and isinstance(value, str) else hex_ids(value)
        for name, value in tree.items()
    }


def normal(tree):
    """What the file format writes and protobuf's JSON leaves out (empty messages), made equal; floats by their repr."""
    if isinstance(tree, list):
        return [normal(item) for item in tree]
    if isinstance(tree, float):
        return repr(tree)
    if not isinstance(tree, Mapping):
        return tree
    return {name: normal(value) for name, value in tree.items() if name not in OPTIONAL or value != {}}


OPTIONAL = ("resource", "scope", "status", "value")


@settings(max_examples=60, database=None)
@given(spans)
def test_every_span_is_encoded_as_the_official_encoder_does(span):
    assert ours(span) == official(span)


def test_a_full_span_as_text():
    remote = SpanContext(TRACE_ID, PARENT_ID, True, TraceFlags(1), TraceState([("vendor", "1")]))
    span = make_span(
        parent=remote,
        attributes={"model": "gpt-5", "tokens": 2**53 + 1, "cost": 0.5, "none": (), "deep": {"a": [True, None, b"\0"]}},
        events=[Event("choice", {"text": "ö\u2028<"}, 3)],
        links=[Link(remote, {"n": float("-inf")})],
        kind=SpanKind.CLIENT,
        status=Status(StatusCode.ERROR, "no"),
        start_time=1,
        end_time=2,
    )
    assert encode(span).decode() == (
        '{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"agent"}},'
        '{"key":"process.pid","value":{"intValue":"7"}}]},"scopeSpans":[{"scope":{"name":"llmtrace_otel",'
        '"version":"1.0","attributes":[{"key":"kind","value":{"stringValue":"test"}}]},"spans":[{'
        '"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"0000000000000001","parentSpanId":"b7ad6b7169203331",'
        '"flags":768,"name":"chat","kind":3,"startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":['
        '{"key":"model","value":{"stringValue":"gpt-5"}},{"key":"tokens","value":{"intValue":"9007199254740993"}},'
        '{"key":"cost","value":{"doubleValue":0.5}},{"key":"none","value":{"arrayValue":{}}},'
        '{"key":"deep","value":{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{"values":['
        '{"boolValue":true},{},{"bytesValue":"AA=="}]}}}]}}}],"events":[{"timeUnixNano":"3","name":"choice",'
        '"attributes":[{"key":"text","value":{"stringValue":"ö\u2028<"}}]}],'
        '"links":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","traceState":"vendor=1",'
        '"attributes":[{"key":"n","value":{"doubleValue":"-Infinity"}}],"flags":768}],'
        '"status":{"message":"no","code":2}}],"schemaUrl":"https://example.com/scope"}],'
        '"schemaUrl":"https://example.com/resource"}]}\n'
    )


def test_an_empty_span_still_has_resource_scope_and_status():
    span = ReadableSpan("", SpanContext(TRACE_ID, SPAN_ID, is_remote=False), resource=Resource.get_empty())
    assert json.loads(encode(span)) == {
        "resourceSpans": [
            {
                "resource": {},
                "scopeSpans": [
                    {
                        "scope": {},
                        "spans": [
                            {
                                "traceId": f"{TRACE_ID:032x}",
                                "spanId": f"{SPAN_ID:016x}",
                                "flags": 0x100,
                                "kind": 1,
                                "status": {},
                            }
                        ],
                    }
                ],
            }
        ]
    }


@pytest.mark.parametrize("value", [object(), 2**63, [1, {2}], {"deep": 1j}])
def test_a_value_that_otlp_lacks_loses_itself_only(value):
    span = make_span(attributes={"bad": value, "good": 1})
    [resource_spans] = json.loads(encode(span))["resourceSpans"]
    assert resource_spans["scopeSpans"][0]["spans"][0]["attributes"] == [{"key": "good", "value": {"intValue": "1"}}]


def test_half_an_emoji_becomes_the_replacement_character():
    span = make_span(attributes={"text": "cut \ud83d", "key \udc00": "whole \U0001f600"})
    [resource_spans] = json.loads(encode(span))["resourceSpans"]
    assert resource_spans["scopeSpans"][0]["spans"][0]["attributes"] == [
        {"key": "text", "value": {"stringValue": "cut \ufffd"}},
        {"key": "key \ufffd", "value": {"stringValue": "whole \U0001f600"}},
    ]


def test_dropped_counts_are_written(provider_with_limits):
    tracer, finished = provider_with_limits
    with tracer.start_as_current_span("s", attributes={"a": 1, "b": 2}) as span:
        span.add_event("one")
        span.add_event("two")
    assert ours(finished[0]) == official(finished[0])
    assert b'"droppedAttributesCount":1' in encode(finished[0])
    assert b'"droppedEventsCount":1' in encode(finished[0])


@pytest.fixture
def provider_with_limits(caplog):
    from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider

    finished = []

    class Keep(SpanProcessor):
        def on_end(self, span):
            finished.append(span)

    limits = SpanLimits(max_span_attributes=1, max_events=1)
    provider = TracerProvider(span_limits=limits, resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(Keep())
    return provider.get_tracer("test"), finished
