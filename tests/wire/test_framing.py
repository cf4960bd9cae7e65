"""Cutting a stream into events: what arrives and how it is cut must not change what is read."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmtrace_otel.wire import framing
from llmtrace_otel.wire.framing import SSE
from wire.fuzzing import cut, fuzz

MARK = b"<here>"


class Listener:
    """Keeps the events that it is handed; wants `first` of them, then only the marked ones."""

    last = False

    def __init__(self, *, marks: tuple[bytes, ...] = (MARK,), first: int | None = None) -> None:
        self.marks = marks
        self.every = first != 0
        self.first = first
        self.events: list[bytes] = []

    def event(self, data: bytes) -> None:
        self.events.append(data)
        self.every = self.first is None or len(self.events) < self.first


def heard(pieces: list[bytes], listener: Listener | None = None) -> list[bytes]:
    listener = listener or Listener()
    stream = SSE(listener)
    for piece in pieces:
        stream.feed(piece)
    stream.close()
    return listener.events


def by_the_standard(text: bytes) -> list[bytes]:
    """The data of the events, read line by line as the HTML standard says; the end of the text ends an event too."""
    events: list[bytes] = []
    data: list[bytes] = []
    for line in [*re.split(rb"\r\n|\n|\r", text), b""]:
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line:
            events += [joined] if (joined := b"\n".join(data)) else []
            data = []
    return events


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("space", [b" ", b""], ids=["space", "no-space"])
def test_lines_may_end_in_any_way_and_the_space_is_optional(end: bytes, space: bytes):
    stream = b"".join(b"data:" + space + data + end + end for data in (b"one", b"two"))
    assert heard([stream]) == [b"one", b"two"]


def test_line_ends_may_be_mixed_in_one_stream():
    assert heard([b"data: 1\r\n\r\ndata: 2\n\ndata: 3\r\rdata: 4\r\n\ndata: 5\n\r\n"]) == [b"1", b"2", b"3", b"4", b"5"]


def test_comments_names_ids_retries_and_unknown_fields_are_skipped():
    stream = (
        b": keep-alive\n\nevent: delta\nid: 7\nretry: 100\nsurprise: x\ndata: one\n\n:\n\nevent: ping\n\ndata: two\n\n"
    )
    assert heard([stream]) == [b"one", b"two"]


def test_data_of_several_lines_is_joined_by_newlines():
    assert heard([b"data: {\nevent: x\ndata:  1\ndata: }\n\n"]) == [b"{\n 1\n}"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_the_last_event_counts_without_its_blank_line(end: bytes):
    assert heard([b"data: one\n\ndata: two" + end]) == [b"one", b"two"]


def test_extra_blank_lines_are_nothing():
    assert heard([b"\n\n\ndata: one\n\n\n\n\ndata: two\n\n\n"]) == [b"one", b"two"]


SMALL = "event: a\r\ndata: naïve ☀\r\n\r\n: note\r\rdata: 日本\rdata:\ndata: 🜁\n\ndata: end".encode()
SMALL_EVENTS = ["naïve ☀".encode(), "日本\n\n🜁".encode(), b"end"]


def test_every_cut_in_two_gives_the_same_events():
    assert [heard([SMALL[:at], SMALL[at:]]) for at in range(len(SMALL) + 1)] == [SMALL_EVENTS] * (len(SMALL) + 1)


def test_byte_by_byte_gives_the_same_events(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(framing, "_LOOK_AFTER", 1)  # a look at every byte
    assert heard([SMALL[at : at + 1] for at in range(len(SMALL))]) == SMALL_EVENTS


def test_every_cut_in_two_with_a_look_at_the_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(framing, "_LOOK_AFTER", 1)
    assert [heard([SMALL[:at], SMALL[at:]]) for at in range(len(SMALL) + 1)] == [SMALL_EVENTS] * (len(SMALL) + 1)


line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
values = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=8).map(str.encode)
prefixes = st.sampled_from([b"data: ", b"data:", b"data: ", b": ", b":", b"event: ", b"id: ", b"retry: ", b"other: "])
lines = st.tuples(prefixes, values, line_ends).map(b"".join)
# Padding makes some streams longer than one look, with events of any size between them.
padding = st.integers(0, 40_000).map(lambda size: b"data: " + b"p" * size + b"\n\n")
streams = st.lists(st.one_of(lines, lines, lines, line_ends, padding), max_size=12).map(b"".join)


@fuzz
@given(streams.flatmap(lambda stream: st.tuples(st.just(stream), cut(stream))))
@example((b"data: 1\r\n\r\n", [b"data: 1\r", b"\n\r", b"\n"]))
def test_any_stream_cut_anywhere_is_read_as_the_standard_says(stream_and_pieces: tuple[bytes, list[bytes]]):
    stream, pieces = stream_and_pieces
    assert heard(pieces) == by_the_standard(stream)


@pytest.mark.parametrize("look_after", [1, 7, 16 * 1024])
@fuzz
@given(streams.flatmap(cut))
def test_how_often_one_looks_changes_nothing(look_after: int, pieces: list[bytes]):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "_LOOK_AFTER", look_after)
        assert heard(pieces) == by_the_standard(b"".join(pieces))


def numbered(count: int, marked: set[int], size: int = 100) -> list[bytes]:
    return [b"%d %s%s" % (number, MARK if number in marked else b"", b"." * size) for number in range(count)]


def as_stream(events: list[bytes], end: bytes = b"\n") -> bytes:
    return b"".join(b"data: " + event + end + end for event in events)


def pieces_of(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


@pytest.mark.parametrize("size", [1, 100, 1_000, 16 * 1024, 1_000_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_marked_events_are_found_in_order_over_many_looks(size: int, end: bytes):
    events = numbered(600, marked={0, 1, 2, 158, 159, 300, 597, 599})
    assert heard(pieces_of(as_stream(events, end), size), Listener(first=0)) == [e for e in events if MARK in e]


@pytest.mark.parametrize("first", [1, 2, 160, 300, 600])
def test_every_event_is_wanted_until_the_reader_says_no_more(first: int):
    events = numbered(600, marked={0, 159, 161, 301, 599})
    expected = events[:first] + [event for event in events[first:] if MARK in event]
    assert heard(pieces_of(as_stream(events), 500), Listener(first=first)) == expected


def test_an_event_that_holds_several_marks_comes_once():
    marks = (b"alpha", b"beta")
    events = [b"alpha beta alpha", b"none", b"beta", b"alphabeta"]
    assert heard([as_stream(events)], Listener(marks=marks, first=0)) == [events[0], events[2], events[3]]


@pytest.mark.parametrize("where", [0, 50_000, 99_000])
def test_a_marked_event_larger_than_the_look_ahead_comes_whole(where: int):
    large = b"x" * where + MARK + b"y" * (100_000 - where)
    events = [b"small", large, b"small " + MARK, b"last"]
    assert heard(pieces_of(as_stream(events), 700), Listener(first=0)) == [large, b"small " + MARK]


@fuzz
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 20_000)), max_size=12).flatmap(
        lambda shapes: st.tuples(
            st.just([b"%d %s%s" % (n, MARK if mark else b"", b"." * size) for n, (mark, size) in enumerate(shapes)]),
            cut(as_stream([b"%d %s%s" % (n, MARK if m else b"", b"." * s) for n, (m, s) in enumerate(shapes)])),
        )
    ),
    st.integers(0, 6),
)
def test_any_marked_event_is_found_whatever_the_sizes_and_cuts(drawn: tuple[list[bytes], list[bytes]], first: int):
    events, pieces = drawn
    expected = events[:first] + [event for event in events[first:] if MARK in event]
    assert heard(pieces, Listener(first=first)) == expected


@pytest.mark.parametrize(("count", "size"), [(2_000, 200), (40, 50_000)], ids=["small-events", "large-events"])
def test_what_is_held_is_bounded_by_the_largest_event(count: int, size: int):
    stream = SSE(Listener(first=0))
    largest = 0
    for piece in pieces_of(as_stream([b"." * size] * count), 300):
        stream.feed(piece)
        largest = max(largest, sum(map(len, stream._pieces)))
    assert largest <= max(framing._LOOK_AFTER, 2 * (size + 10))


def test_a_reader_that_raises_loses_one_event():
    class Picky(Listener):
        def event(self, data: bytes) -> None:
            if data == b"2":
                raise KeyError(data)
            super().event(data)

    assert heard([b"data: 1\n\ndata: 2\n\ndata: 3\n\n"], Picky()) == [b"1", b"3"]
