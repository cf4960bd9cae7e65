"""Malformed input to both receivers: whatever is sent, the answer is a success or the client's fault, never ours.

A few hundred requests by default; `LLMTRACE_FUZZ_SECONDS` says for how long each test goes on instead.
"""

import asyncio
import gzip
import json
import os
import time
import zlib
from itertools import pairwise

import pytest
import zstandard
from collector_helpers import call
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from receiver_helpers import Receivers

from llmtrace_collector.errors import RequestError
from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.otlp.signals import LOGS, METRICS, SIGNALS, TRACES

SECONDS = float(os.environ.get("LLMTRACE_FUZZ_SECONDS", "0"))
REQUESTS = 300
PROTOBUF, JSON = "application/x-protobuf", "application/json"


class Reading:
    """A pipeline that asks for every form of what it is given; all of them must be whole."""

    def __init__(self, wants_lines):
        self.wants_lines = wants_lines

    async def accept(self, batch):
        try:
            assert isinstance(json.loads(batch.line), dict)
            assert Batch.from_protobuf(batch.signal, batch.protobuf).items == batch.items
        except RequestError as error:
            raise AssertionError("what was taken cannot be handed on") from error


def receivers(*, wants_lines=False):
    made = Receivers(Reading(wants_lines))
    made.intakes = dict.fromkeys(SIGNALS.values(), made.sink)
    return made


# What is sent


def full_request(signal):
    """A request with every field that the signal has, and of attributes and metrics every kind."""
    request = signal.request()
    fill(request)
    return request


def fill(message, kind=0):
    for descriptor in message.DESCRIPTOR.fields:
        members = descriptor.containing_oneof and descriptor.containing_oneof.fields
        if members and descriptor is not members[kind % len(members)]:
            continue
        if descriptor.is_repeated and descriptor.message_type is not None:
            for each in range(KINDS.get(descriptor.name, 1)):
                fill(getattr(message, descriptor.name).add(), each)
        elif descriptor.message_type is not None:
            fill(getattr(message, descriptor.name), kind)
        elif descriptor.is_repeated:
            getattr(message, descriptor.name).append(scalar(descriptor))
        else:
            setattr(message, descriptor.name, scalar(descriptor))


KINDS = {"attributes": len(AnyValue.DESCRIPTOR.oneofs[0].fields), "metrics": 5}


def scalar(descriptor):
    lengths = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
    if descriptor.type == descriptor.TYPE_BYTES:
        return bytes(range(lengths.get(descriptor.name, 5)))
    if descriptor.type == descriptor.TYPE_STRING:
        return "né"
    return True if descriptor.type == descriptor.TYPE_BOOL else 1


WHOLE = {signal.name: full_request(signal).SerializeToString() for signal in SIGNALS.values()}
TEXTS = {
    signal.name: json.dumps(json.loads(Batch.from_protobuf(signal, WHOLE[signal.name]).line)).encode()
    for signal in SIGNALS.values()
}
TOKENS = [b"null", b"true", b"[]", b"{}", b"-1", b"1.5", b"1e999", b"9" * 30, b'"x"', b'"\\ud800"', b'"\xff"', b"",
          b'{"arrayValue":{"values":[' * 60, b"[" * 5000, b"\x00", b'"NaN"', b'"1_0"', b'"NOPE"', b","]  # fmt: skip


@st.composite
def damaged(draw, whole):
    """Bytes with some cut out, doubled, or replaced."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        data[start:end] = draw(st.one_of(st.binary(max_size=8), st.sampled_from(TOKENS), st.just(data[start:end] * 2)))
    return bytes(data)


@st.composite
def with_wrong_values(draw, text):
    """JSON with one or two values, at any depth, replaced by any other JSON."""
    document = json.loads(text)
    for parent, key in draw(st.lists(st.sampled_from(list(places(document))), min_size=1, max_size=2)):
        parent[key] = draw(ANY_JSON)
    return json.dumps(document).encode()


def places(node):
    """Every value inside a JSON value, as the object or array that holds it and the key."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield node, key
        if isinstance(value, dict | list):
            yield from places(value)


KEYS = st.sampled_from(sorted({word for text in TEXTS.values() for word in text.decode().split('"') if word.isalpha()}))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
VALUE = st.recursive(
    st.builds(AnyValue, string_value=st.text(max_size=5)) | st.builds(AnyValue, bytes_value=st.binary(max_size=5)),
    lambda inner: (
        st.builds(lambda values: AnyValue(array_value=ArrayValue(values=values)), st.lists(inner, max_size=2))
        | st.builds(
            lambda value: AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=value)])),
            inner,
        )
    ),
    max_leaves=20,
)


def spans_with(value, trace_id, span_id):
    request = TRACES.request()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=trace_id, span_id=span_id)
    span.attributes.add(key="k", value=value)
    return request.SerializeToString()


def bodies(signal):
    wholes = st.sampled_from([WHOLE[signal], TEXTS[signal]])
    return st.one_of(
        st.binary(max_size=200),
        wholes,
        damaged(WHOLE[signal]),
        damaged(TEXTS[signal]),
        with_wrong_values(TEXTS[signal]),
        ANY_JSON.map(lambda value: json.dumps(value).encode()),
        st.builds(spans_with, VALUE, st.binary(max_size=20), st.binary(max_size=10)),
    )


ENCODERS = {"": bytes, "gzip": lambda data: gzip.compress(data, 1), "deflate": zlib.compress, "zlib": zlib.compress,
            "zstd": zstandard.compress, "identity": bytes, "br": bytes}  # fmt: skip


@st.composite
def encoded(draw, body):
    """A content encoding and what is sent under it: mostly what it says, sometimes damaged or something else."""
    name, other = draw(st.sampled_from(sorted(ENCODERS))), draw(st.sampled_from(sorted(ENCODERS)))
    fate = draw(st.integers(0, 5))
    if fate == 0:
        return name, ENCODERS[other](body)
    sent = ENCODERS[name](body)
    return name, draw(damaged(sent)) if fate == 1 else sent


@st.composite
def requests(draw):
    signal = draw(st.sampled_from([TRACES, METRICS, LOGS]))
    encoding, body = draw(encoded(draw(bodies(signal.name))))
    media_type = draw(st.sampled_from([PROTOBUF, JSON, JSON, "text/plain", ""]))
    return signal, media_type, encoding, body, draw(st.lists(st.integers(0, len(body)), max_size=3))


# How it is sent


def exhaust(test):
    """Runs a hypothesis test once, or again and again for as long as was asked for."""
    deadline, rounds = time.monotonic() + SECONDS, 0
    while rounds == 0 or time.monotonic() < deadline:
        test()
        rounds += 1
    print(f"{rounds * REQUESTS} requests")


quick = settings(max_examples=REQUESTS, database=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("wants_lines", [False, True], ids=["messages", "lines"])
def test_http_answers_every_request_with_a_success_or_the_clients_fault(wants_lines):
    made = receivers(wants_lines=wants_lines)
    receiver = made.http()

    @quick
    @given(requests())
    def send(request):
        signal, media_type, encoding, body, cuts = request
        edges = [0, *sorted(cuts), len(body)]
        chunks = [body[start:end] for start, end in pairwise(edges)]
        headers = {"content-type": media_type, "content-encoding": encoding}
        answer = call(receiver, path=signal.path, headers=headers, chunks=chunks)
        said, made.said[:] = made.said[:], []
        assert said == []
        assert answer.status == 200 or 400 <= answer.status < 500
        if answer.status != 200 and media_type == PROTOBUF:
            assert Status.FromString(answer.body).code in (3, 8)
        if answer.status != 200 and media_type == JSON:
            assert json.loads(answer.body)["code"] in (3, 8)

    exhaust(send)


class Context:
    """Where a gRPC method leaves its refusal."""

    class AbortError(Exception):
        pass

    def __init__(self):
        self.code = None

    async def abort(self, code, details, trailers):
        self.code = code.name
        assert isinstance(details, str)
        assert Status.FromString(dict(trailers)["grpc-status-details-bin"]).code == code.value[0]
        raise self.AbortError


@pytest.mark.parametrize("wants_lines", [False, True], ids=["messages", "lines"])
def test_grpc_answers_every_request_with_a_success_or_the_clients_fault(wants_lines):
    made = receivers(wants_lines=wants_lines)
    services = made.grpc()._services

    @quick
    @given(requests())
    def send(request):
        signal, _, _, body, _ = request
        method = services._handlers[signal.rpc].unary_unary
        context = Context()
        try:
            assert asyncio.run(method(body, context)) == b""
        except Context.AbortError:
            assert context.code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")

    exhaust(send)


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
def test_what_is_damaged_was_whole_before(signal, media_type):
    body = WHOLE[signal.name] if media_type == PROTOBUF else TEXTS[signal.name]
    assert call(receivers().http(), path=signal.path, headers={"content-type": media_type}, body=body).status == 200
