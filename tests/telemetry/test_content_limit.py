"""`LLMTRACE_CONTENT_MAX_BYTES`: content is cut inside its JSON, never through it."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry.shorten import Shortened, shortened


@pytest.fixture(autouse=True)
def fresh():
    yield
    content.refresh()


def said(role: str, text: str) -> dict:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def size(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def test_what_fits_stays_as_it_is():
    messages = [said("user", "Capital of Peru?")]
    assert shortened(messages, size(messages)) == Shortened(messages)


def test_a_long_text_is_cut_and_says_by_how_much():
    messages = [said("user", "x" * 1_000), said("user", "short")]
    value, omitted = shortened(messages, 200)
    assert (value[1], omitted) == (said("user", "short"), 0)
    text = value[0]["parts"][0]["content"]
    kept = len(text) - len(text.lstrip("x"))
    assert text == "x" * kept + f"… [{1_000 - kept} more characters]"
    assert 190 <= size(value) <= 200


def test_strings_in_the_arguments_of_a_tool_are_cut_but_no_name_or_id():
    part = {"type": "tool_call", "id": "call_" + "1" * 60, "name": "n" * 60, "arguments": {"text": "y" * 900, "n": 7}}
    value, omitted = shortened([{"role": "assistant", "parts": [part]}], 320)
    found = value[0]["parts"][0]
    assert (found["id"], found["name"], found["arguments"]["n"], omitted) == (part["id"], part["name"], 7, 0)
    assert found["arguments"]["text"].endswith(" more characters]")


def test_where_cutting_is_not_enough_the_earliest_messages_go():
    messages = [said("user", f"{n}" * 100) for n in range(10)]
    value, omitted = shortened(messages, 200)
    assert omitted == 8
    assert [message["parts"][0]["content"] for message in value] == ["… [100 more characters]"] * 2


def test_a_limit_of_nothing_leaves_no_message():
    assert shortened([said("user", "Hi")], 0) == Shortened([], 1)


def test_a_list_of_numbers_that_is_too_long_becomes_a_note():
    assert shortened({"vector": list(range(100))}, 50) == Shortened(
        f"… [{size({'vector': list(range(100))})} more bytes]"
    )


texts = st.text(max_size=80)
values = st.recursive(
    texts | st.integers(-9, 9) | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(values, max_size=6), st.integers(2, 400))
def test_a_list_of_anything_fits_afterwards_and_is_json(value: list, limit: int):
    cut, omitted = shortened(value, limit)
    assert len(content.encoded(cut).encode()) <= limit
    assert len(cut) == len(value) - omitted


def test_the_variable_is_read_once_and_limits_what_is_recorded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(content.LIMIT_VARIABLE, "60")
    content.refresh()
    assert len(content.to_json({"text": "z" * 100}).encode()) <= 60


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ([said("user", "early"), said("user", "\ud800" * 100)], Shortened([], 2)),
        ({"text": "\ud800" * 100}, Shortened("… [612 more bytes]")),
        ([said("user", "\ud800")], Shortened([said("user", "\ud800")])),
    ],
    ids=["messages", "no messages", "a short one"],
)
def test_a_text_that_is_no_unicode_is_left_out_where_it_is_too_long(
    monkeypatch: pytest.MonkeyPatch, value: object, left: Shortened
):
    monkeypatch.setenv(content.LIMIT_VARIABLE, "90")
    content.refresh()
    assert content.limited(value) == left


@pytest.mark.parametrize("value", ["64kB", "-1", "1" * 5_000], ids=["a unit", "negative", "beyond all memory"])
def test_a_value_that_is_no_number_is_named_and_limits_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str
):
    monkeypatch.setenv(content.LIMIT_VARIABLE, value)
    content.refresh()
    with caplog.at_level(logging.WARNING):
        assert content.to_json("z" * 100) == json.dumps("z" * 100)
    assert caplog.messages == [
        f"llmtrace: LLMTRACE_CONTENT_MAX_BYTES={value} is no number of bytes, such as 65536; content is not limited"
    ]
