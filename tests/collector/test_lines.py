"""Lines written straight from protobuf: the official collector's, the reference's, and never an exception."""

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from llmtrace_collector.otlp import forms, json_form, lines
from llmtrace_collector.otlp.signals import LOGS, METRICS, SIGNALS, TRACES

OFFICIAL = json.loads((Path(__file__).parent / "data/official_lines.json").read_text())
TAKEN = [entry for entry in OFFICIAL if entry["status"] == 200]
REFUSED = [entry for entry in OFFICIAL if entry["status"] == 400]
LEFT_TO_THE_REFERENCE = {"negative kind"}


def named(entry):
    return f"{entry['signal']}: {entry['name']}"


def request_of(entry):
    return text_format.Parse(entry["request"], SIGNALS[entry["signal"]].request())


def reference(signal, message):
    return msgspec.json.encode(json_form.write(message)) + b"\n", signal.count(message)


def one_span(text):
    return text_format.Parse(f"resource_spans {{ scope_spans {{ spans {{ {text} }} }} }}", TRACES.request())


def delimited(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def raw_span(body):
    return delimited(1, delimited(2, delimited(2, body)))


# The official collector


def test_all_three_signals_were_recorded():
    assert {entry["signal"] for entry in TAKEN} == set(SIGNALS)


@pytest.mark.parametrize("entry", TAKEN, ids=named)
def test_the_reference_writes_what_the_official_collector_writes(entry):
    line, _ = reference(SIGNALS[entry["signal"]], request_of(entry))
    assert json.loads(line) == entry["line"]


@pytest.mark.parametrize("entry", TAKEN, ids=named)
def test_lines_are_those_of_the_reference(entry):
    signal, message = SIGNALS[entry["signal"]], request_of(entry)
    expected = None if entry["name"] in LEFT_TO_THE_REFERENCE else reference(signal, message)
    assert lines.line_and_count(signal, message.SerializeToString()) == expected


@pytest.mark.parametrize("entry", REFUSED, ids=named)
def test_what_the_official_collector_refuses_is_refused(entry):
    message = request_of(entry)
    assert lines.line(SIGNALS[entry["signal"]], message.SerializeToString()) is None
    with pytest.raises(ValueError, match="an id of"):
        json_form.write(message)


# What is unusual is left to the reference

SPAN_ID = bytes(range(8))
ATTRIBUTE = delimited(9, delimited(1, b"k") + delimited(2, delimited(1, b"v")))
NAME, STATUS, FLAGS = delimited(5, b"name"), delimited(15, delimited(2, b"m")), b"\x85\x01\x01\0\0\0"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(NAME + delimited(77, b"new"), id="unknown field"),
        pytest.param(b"\x28\x01", id="wrong wire type"),
        pytest.param(delimited(5, b"\xff"), id="not UTF-8"),
        pytest.param(delimited(5, b"\xed\xa0\x80"), id="a surrogate"),
        pytest.param(delimited(9, delimited(1, b"\xc0\x80") + delimited(2, b"\x10\1")), id="overlong UTF-8 in a key"),
        pytest.param(delimited(2, SPAN_ID[1:]), id="id of wrong length"),
        pytest.param(b"\x2a\x05name", id="field longer than its message"),
        pytest.param(b"\x30", id="no varint"),
        pytest.param(b"\x30" + b"\xff" * 11, id="endless varint"),
        pytest.param(b"\x39\0\0", id="short integer"),
        pytest.param(b"\xfd", id="half a tag"),
        pytest.param(b"\x0b\x0c", id="group"),
        pytest.param(delimited(9, delimited(2, b"\x10\1\x18\1")), id="two members of a oneof"),
    ],
)
def test_unusual_requests_are_left_to_the_reference(body):
    assert lines.line_and_count(TRACES, raw_span(body)) is None


def test_an_attribute_longer_than_its_span_is_left_to_the_reference():
    span = Span(
        trace_id=bytes([1] * 16), span_id=SPAN_ID, name="n", kind=1, start_time_unix_nano=1, end_time_unix_nano=1
    )
    span.attributes.add(key="k").value.string_value = "v" * 100
    body = span.SerializeToString()
    assert lines.line(TRACES, raw_span(body)) is not None
    assert lines.line(TRACES, raw_span(body[:-1])) is None


GAUGE = delimited(5, delimited(1, b""))


@pytest.mark.parametrize(
    ("signal", "body"),
    [
        pytest.param(TRACES, raw_span(NAME + NAME), id="field twice"),
        pytest.param(TRACES, raw_span(STATUS + STATUS), id="status twice"),
        pytest.param(TRACES, raw_span(ATTRIBUTE + STATUS + ATTRIBUTE), id="list in two pieces"),
        pytest.param(TRACES, raw_span(b"\x30\x81\x00"), id="varint longer than needed"),
        pytest.param(METRICS, delimited(1, delimited(2, delimited(2, GAUGE + GAUGE))), id="gauge twice"),
    ],
)
def test_what_comes_in_pieces_is_put_together_as_protobuf_does(signal, body):
    assert lines.line_and_count(signal, body) == reference(signal, signal.request.FromString(body))


def test_fields_may_come_in_any_order():
    body = raw_span(FLAGS + STATUS + ATTRIBUTE + NAME)
    assert lines.line_and_count(TRACES, body) == reference(TRACES, TRACES.request.FromString(body))


def nested(levels):
    value = AnyValue(int_value=1)
    for _ in range(levels):
        outer = AnyValue()
        outer.array_value.values.append(value)
        value = outer
    message = LOGS.request()
    message.resource_logs.add().scope_logs.add().log_records.add().body.CopyFrom(value)
    return message


def test_values_nest_a_few_levels():
    message = nested(forms.LEVELS)
    assert lines.line_and_count(LOGS, message.SerializeToString()) == reference(LOGS, message)


def test_deeper_values_are_left_to_the_reference():
    assert lines.line(LOGS, nested(forms.LEVELS + 1).SerializeToString()) is None


def test_values_nested_without_end_are_left_to_the_reference():
    value = b""
    for _ in range(20_000):
        value = delimited(5, delimited(1, value))
    assert lines.line(TRACES, raw_span(delimited(9, delimited(2, value)))) is None


def test_the_empty_request_is_an_empty_line():
    assert lines.line_and_count(TRACES, b"") == (b"{}\n", 0)


@pytest.mark.parametrize("size", [0, 1, *range(110, 135), *range(16365, 16395), 2**21])
def test_strings_of_any_size_are_written(size):
    message = LOGS.request()
    message.resource_logs.add().resource.attributes.add(key="k").value.string_value = "v" * size
    assert lines.line_and_count(LOGS, message.SerializeToString()) == reference(LOGS, message)


def attributed(names_and_values):
    message = one_span("")
    attributes = message.resource_spans[0].scope_spans[0].spans[0].attributes
    for name, value in names_and_values:
        attributes.add(key=name).value.int_value = value
    return message


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(attributed((f"k{number}", 0) for number in range(2 * forms.REMEMBERED)), id="many keys"),
        pytest.param(attributed(("k", number) for number in range(2 * forms.VALUES)), id="many values of a key"),
    ],
)
def test_what_is_remembered_is_bounded(message):
    memo = forms.attributes(forms.LEVELS)
    memo.forget()
    assert lines.line_and_count(TRACES, message.SerializeToString()) == reference(TRACES, message)
    assert len(memo) <= forms.REMEMBERED
    assert len(memo.names) <= forms.REMEMBERED
    assert max(Counter(raw[: raw[1] + 2] for raw in memo).values()) <= forms.VALUES


# Any message of any signal, from the descriptors

SCALARS = {
    FieldDescriptor.TYPE_STRING: st.text(max_size=5) | st.text(min_size=120, max_size=140),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=5) | st.binary(min_size=126, max_size=130),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_ENUM: st.integers(0, 200),
    FieldDescriptor.TYPE_INT32: st.integers(0, 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
}


def values(field, depth):
    if field.message_type is not None:
        return messages(field.message_type, depth - 1)
    if length := json_form.ID_BYTES.get(field.name):
        return st.sampled_from([b"", bytes(length)]) | st.binary(min_size=length, max_size=length)
    return SCALARS[field.type]


@st.composite
def messages(draw, descriptor, depth=9):
    """A message with some of its fields; lists are short, and values end `depth` messages below."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if (field.message_type is not None and depth == 0) or draw(st.integers(0, 9)) < 3:
            continue
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(values(field, depth), max_size=2)))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(values(field, depth)))
        else:
            setattr(message, field.name, draw(values(field, depth)))
    return message


@st.composite
def spans_of_sdks(draw):
    """A span with what every SDK sets: the layout for which there is a shortcut."""
    span = draw(messages(Span.DESCRIPTOR, depth=4))
    span.trace_id, span.span_id = draw(st.binary(min_size=16, max_size=16)), draw(st.binary(min_size=8, max_size=8))
    span.trace_state = ""
    span.name = draw(st.text(min_size=1, max_size=130))
    span.kind = draw(st.integers(1, 130))
    span.start_time_unix_nano, span.end_time_unix_nano = (
        draw(st.integers(1, 2**64 - 1)),
        draw(st.integers(1, 2**64 - 1)),
    )
    span.attributes.add(key="k", value=AnyValue(string_value=draw(st.text(min_size=60, max_size=200))))
    return span


@st.composite
def requests_of_sdks(draw):
    message = TRACES.request()
    message.resource_spans.add().scope_spans.add().spans.extend(draw(st.lists(spans_of_sdks(), min_size=1, max_size=3)))
    return TRACES, message


REQUESTS = requests_of_sdks() | st.sampled_from(list(SIGNALS.values())).flatmap(
    lambda signal: st.tuples(st.just(signal), messages(signal.request.DESCRIPTOR))
)


@settings(max_examples=150)
@given(REQUESTS)
def test_any_request_is_written_as_the_reference_writes_it(drawn):
    signal, message = drawn
    assert lines.line_and_count(signal, message.SerializeToString()) == reference(signal, message)


def wire_fields(body):
    """The fields of a serialised message: number, whole bytes, and the content of delimited ones."""
    pos = 0
    while pos < len(body):
        start = pos
        key, pos = read_varint(body, pos)
        content = None
        match key & 7:
            case 0:
                _, pos = read_varint(body, pos)
            case 1:
                pos += 8
            case 5:
                pos += 4
            case 2:
                size, pos = read_varint(body, pos)
                pos += size
                content = body[pos - size : pos]
        yield key >> 3, body[start:pos], content


def read_varint(body, pos):
    value = shift = 0
    while True:
        value |= (body[pos] & 127) << shift
        shift += 7
        pos += 1
        if body[pos - 1] < 128:
            return value, pos


def scrambled(body, descriptor, random):
    """The same as no serialiser writes it: fields in another order, twice, left out or unknown, at any depth."""
    pieces = []
    for number, raw, content in wire_fields(body):
        message = descriptor.fields_by_number[number].message_type
        if message is not None and random.random() < 0.9:
            raw = delimited(number, scrambled(content, message, random))
        pieces += [raw] * random.choices([1, 0, 2], [30, 1, 1])[0]
    if random.random() < 0.2:
        random.shuffle(pieces)
    if random.random() < 0.02:
        pieces.insert(random.randint(0, len(pieces)), delimited(random.randint(1, 40), b"\x08\1"))
    return b"".join(pieces)


def agrees_with_protobuf(signal, body):
    """Whether the body was answered; if so it must be valid and the answer the reference's."""
    answer = lines.line_and_count(signal, body)
    if answer is not None:
        assert answer == reference(signal, signal.request.FromString(body))
    return answer is not None


@settings(max_examples=150)
@given(REQUESTS, st.randoms(use_true_random=False))
def test_scrambled_requests_are_written_as_the_reference_writes_them_or_left_to_it(drawn, random):
    signal, message = drawn
    agrees_with_protobuf(signal, scrambled(message.SerializeToString(), signal.request.DESCRIPTOR, random))


def mutated(body, random):
    body = bytearray(body)
    for _ in range(random.randint(1, 3)):
        at = random.randint(0, len(body))
        match random.randint(0, 3):
            case 0:
                body[at : at + 1] = random.randbytes(1)
            case 1:
                body[at:at] = random.randbytes(random.randint(1, 3))
            case 2:
                del body[at : at + random.randint(1, 3)]
            case 3:
                body[at:at] = body[at : at + random.randint(1, 30)]
    return bytes(body)


@settings(max_examples=300)
@given(REQUESTS, st.randoms(use_true_random=False))
def test_damaged_requests_are_answered_only_if_they_are_valid(drawn, random):
    signal, message = drawn
    agrees_with_protobuf(signal, mutated(message.SerializeToString(), random))


@settings(max_examples=300)
@given(st.sampled_from(list(SIGNALS.values())), st.binary(max_size=60))
def test_random_bytes_are_answered_only_if_they_are_valid(signal, body):
    try:
        signal.request.FromString(body)
    except DecodeError:
        assert lines.line(signal, body) is None
    else:
        agrees_with_protobuf(signal, body)
