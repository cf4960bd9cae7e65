"""JSON into structs: what does not fit loses itself, not the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

from llmtrace_otel.wire import (
    anthropic_messages,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from llmtrace_otel.wire.decode import Reader, Real, loads
from wire.fuzzing import fuzz, json_values


class Details(Struct):
    cached: int | None = None
    note: str | None = None


class Answer(Struct):
    id: str | None = None
    count: int | None = None
    share: Real | None = None
    stop: str | list[str] | None = None
    details: Details | None = None
    items: list[Details] | None = None
    rest: Raw = Raw()


read = Reader(Answer)


def test_a_field_of_the_wrong_type_loses_itself_only():
    assert read(b'{"id":7,"count":3,"share":"x","stop":{},"details":{"cached":1}}') == Answer(
        count=3, details=Details(cached=1)
    )


def test_a_nested_field_of_the_wrong_type_loses_itself_only():
    assert read(b'{"id":"a","details":{"cached":[],"note":"n"}}') == Answer(id="a", details=Details(note="n"))


def test_an_element_of_the_wrong_type_loses_itself_only():
    body = b'{"id":"a","stop":["x",1,"y"],"items":[1,{"cached":2},{"cached":"no","note":"n"},null]}'
    assert read(body) == Answer(id="a", stop=["x", "y"], items=[Details(cached=2), Details(note="n")])


def test_a_struct_where_something_else_stands_is_lost():
    assert read(b'{"id":"a","details":"none","items":"none"}') == Answer(id="a")


@pytest.mark.parametrize("count", [b"12", b"12.0", b'"12"', b"1.2e1"])
def test_whole_numbers_are_read_in_any_spelling(count: bytes):
    assert read(b'{"count":' + count + b"}") == Answer(count=12)


@pytest.mark.parametrize("count", [b"12.5", b'"twelve"', b"true", b"[]", b"{}"])
def test_what_is_no_whole_number_is_no_count(count: bytes):
    assert read(b'{"id":"a","count":' + count + b"}") == Answer(id="a")


def test_numbers_are_read_from_text():
    assert read(b'{"share":"0.5"}') == Answer(share=0.5)


def test_of_duplicate_keys_the_last_counts():
    assert read(b'{"id":"a","id":"b"}') == Answer(id="b")
    assert read(b'{"id":"a","share":"x","id":"b"}') == Answer(id="b")  # read field by field


def test_a_raw_value_survives_reading_field_by_field():
    found = read(b'{"id":7,"rest":{"deep":[1,2]}}')
    assert found is not None
    assert loads(found.rest) == {"deep": [1, 2]}


@pytest.mark.parametrize(
    "body", [b"", b" ", b"{", b"<html>", b"[]", b"1", b"null", b'"text"', b'{"id":"a"}}', b"\xff\xfe{}", b"\x00" * 8]
)
def test_what_is_no_json_object_gives_nothing(body: bytes):
    assert read(body) is None


@pytest.mark.parametrize("opening", [b"[", b'{"rest":'])
def test_deep_nesting_gives_nothing(opening: bytes):
    assert read(b'{"id":"a","rest":' + opening * 100_000) is None
    assert loads(opening * 100_000) is None


@pytest.mark.parametrize("escape", [rb"\ud83d", rb"\ude00"])
def test_half_a_surrogate_pair_in_a_field_is_replaced(escape: bytes):
    assert read(b'{"id":"a' + escape + b'","count":3}') == Answer(id="a\N{REPLACEMENT CHARACTER}", count=3)


def test_invalid_utf8_in_what_is_not_read_does_no_harm():
    assert read(b'{"id":"a","unread":"\xff\xfe"}') == Answer(id="a")


def test_invalid_utf8_in_a_field_is_replaced_as_lenient_parsers_do():
    assert read(b'{"id":"a\xff","count":3}') == Answer(id="a\N{REPLACEMENT CHARACTER}", count=3)


@pytest.mark.parametrize("escape", [rb"\ud83d", rb"\ude00", rb"\ud83d\u0041"])
def test_a_lone_surrogate_in_what_is_not_read_does_no_harm(escape: bytes):
    assert read(b'{"id":"a","unread":"' + escape + b'"}') == Answer(id="a")


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_a_number_that_is_none_does_no_harm(number: bytes):
    assert read(b'{"id":"a","unread":' + number + b"}") == Answer(id="a")


@pytest.mark.parametrize("field", ["count", "share"])
def test_a_number_out_of_range_loses_the_field(field: str):
    assert read(b'{"id":"a","%s":1e999}' % field.encode()) == Answer(id="a")


@pytest.mark.parametrize("share", ["NaN", "Infinity", "-Infinity", '"nan"', '"inf"'])
def test_what_is_no_number_is_no_share(share: str):
    assert read(b'{"id":"a","share":%s}' % share.encode()) == Answer(id="a")


READERS = {
    f"{module.__name__.rpartition('.')[2]}{name}": reader
    for module in (anthropic_messages, openai_chat, openai_completions, openai_embeddings, openai_responses)
    for name, reader in vars(module).items()
    if isinstance(reader, Reader)
}
FIELDS = sorted(
    {
        field
        for module in (anthropic_messages, openai_chat, openai_completions, openai_embeddings, openai_responses)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Struct)
        for field in kind.__struct_fields__
    }
)


@fuzz
@given(json_values(st.sampled_from(FIELDS)).map(lambda value: json.dumps(value).encode()))
def test_no_json_makes_a_reader_raise(body: bytes):
    for reader in READERS.values():
        found = reader(body)
        assert found is None or isinstance(found, reader._type)


@fuzz
@given(st.binary(max_size=200))
def test_no_bytes_make_a_reader_raise(body: bytes):
    for reader in READERS.values():
        assert reader(body) is None or loads(body) is not None


@fuzz
@given(st.sampled_from(sorted(READERS)), json_values(st.sampled_from(FIELDS)), st.sampled_from(FIELDS))
def test_a_surprising_neighbour_leaves_the_model_alone(name: str, surprise: Any, field: str):
    reader = READERS[name]
    if field == "model" or "model" not in reader._type.__struct_fields__:
        return
    found: Any = reader(json.dumps({field: surprise, "model": "m"}).encode())
    assert (found.model if isinstance(found.model, str) else loads(found.model)) == "m"
