"""Streams of JSON documents, line by line or as one array: how they are cut must not change what is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.wire import framing
from llmtrace_otel.wire.framing import NDJSON, Framing, JSONArray
from wire.fuzzing import cut, fuzz, json_values


class Listener:
    """Keeps the events that it is handed."""

    def __init__(self, *, every: bool = True, last: bool = False, marks: tuple[bytes, ...] = (b"<here>",)) -> None:
        self.every = every
        self.last = last
        self.marks = marks
        self.events: list[bytes] = []

    def event(self, data: bytes) -> None:
        self.events.append(data)


def heard(kind: type[Framing], pieces: list[bytes], **wants: Any) -> list[Any]:
    listener = Listener(**wants)
    stream = kind(listener)
    for piece in pieces:
        stream.feed(piece)
    stream.close()
    return [json.loads(event) for event in listener.events]


def bytewise(text: bytes) -> list[bytes]:
    return [text[at : at + 1] for at in range(len(text))]


EVENTS = [{"n": 1, "text": 'a "quoted" ] } [ { \\ thing'}, {"n": 2, "deep": {"in": [{"side": ["☀"]}]}}, {}, {"n": 4}]

MARKED = [{"n": 1}, {"n": 2, "x": "<here>"}, {"n": 3}, {"n": 4}]


def lines(events: list[Any], end: str = "\n") -> bytes:
    return "".join(json.dumps(event, ensure_ascii=False) + end for event in events).encode()


def array(events: list[Any], comma: str = ",\n", indent: int | None = None) -> bytes:
    return ("[" + comma.join(json.dumps(event, ensure_ascii=False, indent=indent) for event in events) + "]\n").encode()


def telling(events: list[Any]) -> list[Any]:
    """Those that say anything: `{}` in an indented array is skipped."""
    return [event for event in events if event]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_lines_are_events_whatever_ends_them(end: str):
    assert heard(NDJSON, [lines(EVENTS, end)]) == EVENTS


def test_the_last_line_counts_without_its_end():
    assert heard(NDJSON, [lines(EVENTS).rstrip()]) == EVENTS


@pytest.mark.parametrize("comma", [",", ",\n", "\n,\r\n"])
@pytest.mark.parametrize("indent", [None, 2])
def test_the_objects_of_an_array_are_events_whatever_is_between_them(comma: str, indent: int | None):
    assert telling(heard(JSONArray, [array(EVENTS, comma, indent)])) == telling(EVENTS)


def test_an_indented_element_that_is_cut_off_is_no_event():
    assert heard(JSONArray, [array(MARKED, indent=2)[:-14]]) == MARKED[:-1]


@pytest.mark.parametrize("indent", [1, 2, "\t"])
def test_an_array_whose_elements_are_indented_too(indent: int | str):
    assert heard(JSONArray, [json.dumps(EVENTS, indent=indent).encode()]) == EVENTS


def test_what_is_no_object_in_an_array_is_no_event():
    assert heard(JSONArray, [b'["{", 1, [{"inner": 1}], {"n": 1}, null]']) == [{"n": 1}]


def test_an_object_that_is_cut_off_is_no_event_and_those_before_it_are():
    assert heard(JSONArray, [array(EVENTS)[:-12]]) == EVENTS[:-1]


@pytest.mark.parametrize("kind", [NDJSON, JSONArray])
def test_byte_by_byte_gives_the_same_events(monkeypatch: pytest.MonkeyPatch, kind: type[Framing]):
    monkeypatch.setattr(framing, "_LOOK_AFTER", 1)  # a look at every byte
    text = lines(EVENTS) if kind is NDJSON else array(EVENTS, indent=1)
    assert telling(heard(kind, bytewise(text))) == telling(EVENTS)


@pytest.mark.parametrize("look_after", [1, 20, 16_384])
@pytest.mark.parametrize("kind", [NDJSON, JSONArray])
def test_marked_events_and_the_last_one_are_handed_over(
    monkeypatch: pytest.MonkeyPatch, kind: type[Framing], look_after: int
):
    monkeypatch.setattr(framing, "_LOOK_AFTER", look_after)
    for text in [lines(MARKED)] if kind is NDJSON else [array(MARKED), array(MARKED, indent=2)]:
        assert heard(kind, bytewise(text), every=False) == [MARKED[1]]
        assert heard(kind, bytewise(text), every=False, last=True) == [MARKED[1], MARKED[3]]


@pytest.mark.parametrize("kind", [NDJSON, JSONArray])
def test_the_last_whole_event_counts_where_the_stream_is_cut_inside_the_next(kind: type[Framing]):
    text = lines(MARKED) if kind is NDJSON else array(MARKED)
    heard_events = Listener(every=False, last=True)
    stream = kind(heard_events)
    stream.feed(text[: text.rindex(b'"n"')])
    stream.close()
    assert json.loads(heard_events.events[1]) == MARKED[2]


@pytest.mark.parametrize("look_after", [1, 20, 16_384])
@pytest.mark.parametrize("kind", [NDJSON, JSONArray])
def test_a_last_event_that_is_marked_is_handed_over_once(
    monkeypatch: pytest.MonkeyPatch, kind: type[Framing], look_after: int
):
    monkeypatch.setattr(framing, "_LOOK_AFTER", look_after)
    text = lines(MARKED[:2]) if kind is NDJSON else array(MARKED[:2])
    assert heard(kind, bytewise(text), every=False, last=True) == [MARKED[1]]


@pytest.mark.parametrize("kind", [NDJSON, JSONArray])
def test_no_more_is_held_than_the_largest_event(kind: type[Framing]):
    event = {"text": "x" * 1_000}
    stream, most = kind(Listener(every=False)), 0
    text = (lines if kind is NDJSON else array)([event] * 400)
    for at in range(0, len(text), 700):
        most = max(most, stream.feed(text[at : at + 700]))
    assert most <= framing._LOOK_AFTER


objects = st.dictionaries(st.text(max_size=4), json_values(st.text(max_size=4)), max_size=4)


@fuzz
@given(st.lists(objects, max_size=6), st.sampled_from([None, 1]), st.integers(1, 60), st.data())
def test_any_array_gives_its_objects_however_it_is_cut(
    events: list[Any], indent: int | None, look_after: int, data: st.DataObject
):
    pieces = data.draw(cut(array(events, indent=indent)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "_LOOK_AFTER", look_after)
        assert telling(heard(JSONArray, pieces)) == telling(events)


@fuzz
@given(st.lists(st.binary(max_size=60), max_size=6), st.integers(1, 60))
def test_no_bytes_make_an_array_fail_or_hold_more_than_there_was(pieces: list[bytes], look_after: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "_LOOK_AFTER", look_after)
        stream = JSONArray(Listener())
        for piece in [b"[", *pieces]:
            assert stream.feed(piece) <= 1 + sum(map(len, pieces))
        stream.close()
