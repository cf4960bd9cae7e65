"""AWS's frames: read as botocore reads them, cut anywhere, damaged anyhow."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.wire import framing
from llmtrace_otel.wire.eventstream import EventStream
from wire.aws import Value, event, exception, frame, framed, header, prelude
from wire.fuzzing import cut, fuzz
from wire.talk import Endpoint, played, told
from wire.test_framing import Listener

HEADERS = 128 * 1024
PAYLOAD = 24 * 1024 * 1024
"""The most bytes that botocore takes."""


class Heard:
    """What a stream has handed over, and why it stopped reading, if it did."""

    def __init__(self, pieces: list[bytes], listener: Listener | None = None) -> None:
        self.listener = listener or Listener()
        self.stream = EventStream(self.listener)
        self.most_held = 0
        for piece in pieces:
            self.stream.feed(piece)
            self.most_held = max(self.most_held, sum(map(len, self.stream._pieces)))
        self.stream.close()
        self.broken = self.stream.broken

    @property
    def events(self) -> list[Any]:
        return [json.loads(data) for data in self.listener.events]


def heard(pieces: list[bytes]) -> list[Any]:
    found = Heard(pieces)
    assert found.broken is None
    return found.events


def test_an_event_is_an_object_whose_key_is_its_type():
    stream = event("messageStart", {"role": "assistant"}) + event("messageStop", {"stopReason": "end_turn"})
    assert heard([stream]) == [{"messageStart": {"role": "assistant"}}, {"messageStop": {"stopReason": "end_turn"}}]


def test_an_event_without_payload_is_null():
    assert heard([frame({":event-type": "ping", ":message-type": "event"})]) == [{"ping": None}]


def test_a_frame_that_does_not_say_what_it_is_counts_as_an_event():
    assert heard([frame({}, b'{"a": 1}')]) == [{"event": {"a": 1}}]


def test_an_exception_is_an_error_with_its_type_and_message():
    stream = exception("throttlingException", "Slow down")
    assert heard([stream]) == [{"error": {"type": "throttlingException", "message": "Slow down"}}]


@pytest.mark.parametrize(
    ("headers", "payload", "error"),
    [
        ({":error-code": "500", ":error-message": "Oops"}, b"", {"type": "500", "message": "Oops"}),
        ({":exception-type": "e"}, b"no JSON", {"type": "e", "message": None}),
        ({":exception-type": "e"}, b'{"message": 7}', {"type": "e", "message": None}),
        ({}, b"", {"type": None, "message": None}),
    ],
    ids=["in headers", "no JSON", "surprising", "bare"],
)
def test_an_error_of_any_make_is_one(headers: dict[str, Value], payload: bytes, error: dict[str, Any]):
    assert heard([frame({":message-type": "error", **headers}, payload)]) == [{"error": error}]


def test_with_content_off_only_marked_events_and_all_errors_are_handed_over():
    stream = event("chunk", "no") + event("chunk", "<here>") + event("chunk", "no") + exception("e", "m")
    found = Heard([stream], Listener(first=0))
    assert found.events == [{"chunk": "<here>"}, {"error": {"type": "e", "message": "m"}}]


OTHER_HEADERS: dict[str, Value] = {
    "true": (0, b""),
    "false": (1, b""),
    "byte": (2, b"\xff"),
    "short": (3, bytes(2)),
    "integer": (4, bytes(4)),
    "long": (5, bytes(8)),
    "bytes": (6, struct.pack(">H", 3) + b"abc"),
    "time": (8, bytes(8)),
    "uuid": (9, bytes(16)),
}


def test_headers_of_every_type_are_passed_over():
    headers = OTHER_HEADERS | {":event-type": "last"}
    assert heard([frame(headers, b"1")]) == [{"last": 1}]


STREAM = (
    event("messageStart", {"role": "assistant"})
    + frame(OTHER_HEADERS | {":event-type": "contentBlockDelta"}, '{"text": "naïve ☀"}'.encode())
    + frame({":event-type": "ping"})
    + exception("modelStreamErrorException", "gone")
)
EVENTS = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"text": "naïve ☀"}},
    {"ping": None},
    {"error": {"type": "modelStreamErrorException", "message": "gone"}},
]


@pytest.mark.parametrize("look_after", [1, 16 * 1024])
def test_every_cut_in_two_gives_the_same_events(look_after: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(framing, "_LOOK_AFTER", look_after)
    assert [heard([STREAM[:at], STREAM[at:]]) for at in range(len(STREAM) + 1)] == [EVENTS] * (len(STREAM) + 1)


@pytest.mark.parametrize("look_after", [1, 16 * 1024])
def test_byte_by_byte_gives_the_same_events(look_after: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(framing, "_LOOK_AFTER", look_after)
    assert heard([STREAM[at : at + 1] for at in range(len(STREAM))]) == EVENTS


def by_botocore(pieces: list[bytes]) -> list[Any]:
    """The same stream read by AWS's own code."""
    buffer, found = EventStreamBuffer(), []
    for piece in pieces:
        buffer.add_data(piece)
        found += [{message.headers[":event-type"]: json.loads(message.payload or b"null")} for message in buffer]
    return found


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
values: st.SearchStrategy[Value] = names | st.sampled_from([value for value in OTHER_HEADERS.values() if value])
payloads = st.dictionaries(names, names, max_size=3).map(lambda document: json.dumps(document).encode())
large = st.integers(0, 40_000).map(lambda size: json.dumps("p" * size).encode())
frames = st.builds(
    lambda headers, kind, payload: frame(headers | {":event-type": kind}, payload),
    st.dictionaries(names.filter(lambda name: name[:1] != ":"), values, max_size=4),
    names,
    st.just(b"") | payloads | payloads | large,
)
streams = st.lists(frames, max_size=8)


@pytest.mark.parametrize("look_after", [1, 500, 16 * 1024])
@fuzz
@given(streams.map(b"".join).flatmap(cut))
def test_any_stream_cut_anywhere_is_read_as_botocore_reads_it(look_after: int, pieces: list[bytes]):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "_LOOK_AFTER", look_after)
        assert heard(pieces) == by_botocore(pieces)


@fuzz
@given(streams, st.data())
def test_one_wrong_bit_ends_the_reading_at_its_frame(stream: list[bytes], data: st.DataObject):
    number = data.draw(st.integers(0, len(stream)), "frame")
    damaged = bytearray(frame({":event-type": "damaged"}, b"{}"))
    bit = data.draw(st.integers(0, 8 * len(damaged) - 1), "bit")
    damaged[bit // 8] ^= 1 << bit % 8
    found = Heard(data.draw(cut(b"".join([*stream[:number], bytes(damaged), *stream[number:]])), "pieces"))
    assert found.events == heard([b"".join(stream[:number])])
    assert found.broken in ("the head of a frame is damaged", "a frame's checksum is wrong")


@fuzz
@given(st.lists(st.binary(max_size=60) | frames | st.builds(framed, st.binary(max_size=40), st.binary(max_size=9))))
def test_no_bytes_at_all_raise_or_are_kept_once_broken(pieces: list[bytes]):
    found = Heard(pieces)
    assert not (found.broken and found.stream._pieces)


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("cut in its name", b"\x09:event"),
        ("cut before its type", b"\x01a"),
        ("cut in its length", b"\x01a\x07\x00"),
        ("cut in its value", b"\x01a\x07\x00\x09text"),
        ("cut in a number", b"\x01a\x05\x00"),
        ("of a type that there is not", b"\x01a\x0a"),
    ],
)
def test_headers_that_cannot_be_read_end_the_reading(name: str, headers: bytes):
    found = Heard([event("one", 1) + framed(headers, b"{}") + event("two", 2)])
    assert (found.events, found.broken) == ([{"one": 1}], "a frame's headers are damaged")


def test_a_name_that_is_no_utf_8_is_still_read():
    headers = b"\x01\xff\x00" + header(":event-type", "ping")
    assert heard([framed(headers, b"1")]) == [{"ping": 1}]


@pytest.mark.parametrize(
    ("size", "headers_size"),
    [
        (0, 0),
        (15, 0),
        (16, 1),
        (100, 85),
        (2**32 - 1, 0),
        (16 + HEADERS + 1, HEADERS + 1),
        (16 + PAYLOAD + 1, 0),
    ],
)
def test_lengths_that_cannot_be_are_refused_before_anything_is_held(size: int, headers_size: int):
    found = Heard([prelude(size, headers_size) + bytes(16 * 1024), bytes(100_000)])
    assert (found.broken, found.stream._pieces) == ("the head of a frame is damaged", [])


def test_the_largest_frame_that_botocore_takes_is_read():
    payload = json.dumps("p" * (PAYLOAD - 2)).encode()
    headers = header(":event-type", "large") + header("filler", (6, struct.pack(">H", 60_000) + bytes(60_000)))
    assert heard([framed(headers, payload)]) == [{"large": "p" * (PAYLOAD - 2)}]


@pytest.mark.parametrize(("count", "size"), [(2_000, 200), (10, 100_000)], ids=["small frames", "large frames"])
def test_what_is_held_is_bounded_by_the_largest_frame(count: int, size: int):
    one = event("chunk", "." * size)
    stream = one * count
    found = Heard([stream[at : at + 300] for at in range(0, len(stream), 300)], Listener(first=0))
    assert found.most_held <= max(framing._LOOK_AFTER, len(one)) + 300


CONVERSE = Endpoint(
    "bedrock-runtime.us-east-1.amazonaws.com",
    "/model/amazon.nova-lite-v1:0/converse-stream",
    {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
)
STOP = event("messageStop", {"stopReason": "end_turn"})


def test_what_came_before_the_damage_counts_and_the_call_says_what_is_wrong():
    damaged = STOP + b"\0" + STOP[1:-1] + b"?"
    assert told(played(CONVERSE, damaged)) == {
        "finish_reasons": ["end_turn"],
        "complete": True,
        "unreadable": "a frame's checksum is wrong",
    }


def test_a_stream_that_ends_inside_a_frame_is_incomplete():
    assert told(played(CONVERSE, STOP[:-1])) == {}
