"""What was said in a call, put together from spans that have all of it, a part of it, or none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import TRACE, line, span

from llmtrace_otel.read import Conversations, Gap
from llmtrace_otel.read.otlp import parse
from llmtrace_otel.read.text import size
from llmtrace_otel.read.transcript import news, whole

OTHER = "c0ffee00d4e5f60718293a4b5c6d7e8f"


def said(role, text):
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def call(span_id, given=(), answer=None, before=None, omitted=None, **fields):
    """A span of an LLM call; the texts that it was given are a user's and a model's alternately, beginning with `u`."""
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    attributes["gen_ai.input.messages"] = json.dumps([message(text) for text in given])
    if answer is not None:
        attributes["gen_ai.output.messages"] = json.dumps([{**said("assistant", answer), "finish_reason": "stop"}])
    attributes |= {"llmtrace.content.previous_span_id": before} if before else {}
    attributes |= {"llmtrace.content.omitted_messages": omitted} if omitted is not None else {}
    attributes |= fields.pop("attributes", {})
    return span(span_id, attributes=attributes, **fields)


def message(text):
    return said("user" if text.startswith("u") else "assistant", text)


def turns(*spans):
    """The spans' turns by their ids."""
    found = parse(line(*spans))
    conversations = Conversations(found)
    return {span.span_id: conversations.turn(span) for span in found}


def texts(messages):
    return [item if isinstance(item, Gap) else item["parts"][0]["content"] for item in messages]


A, B, C, D = (digit * 16 for digit in "abcd")


def test_a_reference_is_followed_through_answers_to_the_beginning():
    found = turns(
        call(A, ["u1"], "a1"), call(B, ["u2"], "a2", before=A, omitted=2), call(C, ["u3"], "a3", before=B, omitted=4)
    )
    assert found[C].input() == [message(text) for text in ("u1", "a1", "u2", "a2", "u3")]
    assert [texts(turn.new) for turn in found.values()] == [["u1"], ["u2"], ["u3"]]
    assert texts(found[C].answers) == ["a3"]


def test_spans_that_were_recorded_whole_are_known_to_go_on_from_each_other():
    found = turns(call(A, ["u1"], "a1", start=1), call(B, ["u1", "a1", "u2"], "a2", start=2))
    assert (found[B].before, found[B].shared, texts(found[B].new)) == (found[A], 2, ["u2"])
    assert texts(found[B].input()) == ["u1", "a1", "u2"]


def test_whole_spans_and_deltas_go_on_from_each_other():
    found = turns(
        call(A, ["u1"], "a1", start=1),
        call(B, ["u2"], "a2", before=A, omitted=2, start=2),
        call(C, ["u1", "a1", "u2", "a2", "u3"], "a3", start=3),
    )
    assert (found[C].before, texts(found[C].new)) == (found[B], ["u3"])


def test_a_reference_into_the_middle_takes_the_beginning_only():
    found = turns(call(A, ["u1", "a1", "u2"], "a2"), call(B, ["a", "u"], before=A, omitted=1))
    assert texts(found[B].input()) == ["u1", "a", "u"]


def test_the_order_in_the_file_and_in_time_does_not_matter():
    spans = [call(A, ["u1"], "a1", start=3), call(B, ["u2"], "a2", before=A, omitted=2, start=2)]
    assert texts(turns(*spans)[B].input()) == texts(turns(*spans[::-1])[B].input()) == ["u1", "a1", "u2"]


def test_a_reference_to_another_trace():
    found = turns(
        call(A, ["u1"], "a1", trace=OTHER),
        call(B, ["u2"], before=A, omitted=2, attributes={"llmtrace.content.previous_trace_id": OTHER}),
        call(C, ["u2"], before=A, omitted=2),  # no such span in its own trace
    )
    assert texts(found[B].input()) == ["u1", "a1", "u2"]
    assert texts(found[C].input()) == [Gap(2, "not in this file", "", A), "u2"]


def test_a_span_that_is_not_in_the_file_leaves_a_gap():
    found = turns(call(B, ["u20"], "a20", before="1a2b3c4d5e6f7788", omitted=38))
    gap, new = found[B].input()
    assert str(gap) == "… 38 earlier messages in span 1a2b3c4d5e6f7788, not in this file"
    assert new == message("u20")
    assert (found[B].system_instructions, found[B].tool_definitions) == (None, None)


def test_a_span_of_another_trace_that_is_not_in_the_file_is_named_with_its_trace():
    found = turns(call(B, [], before=A, omitted=1, attributes={"llmtrace.content.previous_trace_id": OTHER}))
    assert list(map(str, found[B].input())) == [f"… 1 earlier message in span {A} of trace {OTHER}, not in this file"]


def test_a_gap_is_passed_on_to_those_who_refer_to_what_follows_it():
    found = turns(call(B, ["u3"], "a3", before=A, omitted=4), call(C, ["u4"], before=B, omitted=6))
    assert texts(found[C].input()) == [Gap(4, "not in this file", "", A), "u3", "a3", "u4"]


def test_a_reference_into_a_gap_has_a_part_of_it():
    found = turns(call(B, ["u3"], "a3", before=A, omitted=4), call(C, ["u4"], before=B, omitted=3))
    assert texts(found[C].input()) == [Gap(3, "not in this file", "", A), "u4"]


def test_two_spans_after_the_same_gap_go_on_from_each_other():
    found = turns(
        call(B, ["u3"], "a3", before=A, omitted=4, start=1), call(C, ["u3", "a3", "u4"], before=A, omitted=4, start=2)
    )
    assert (found[C].before, texts(found[C].new)) == (found[B], ["u4"])


def test_messages_that_were_left_out_are_a_gap_without_a_place():
    found = turns(call(A, ["u3"], omitted=2))
    assert texts(found[A].input()) == [Gap(2, "left out when this was recorded"), "u3"]
    assert str(found[A].input()[0]) == "… 2 earlier messages, left out when this was recorded"


def test_more_messages_than_the_other_span_has_leave_a_gap():
    found = turns(call(A, ["u1"], "a1"), call(B, ["u2"], before=A, omitted=5))
    assert texts(found[B].input()) == ["u1", "a1", Gap(3, "which has fewer", "", A), "u2"]


def test_spans_that_refer_to_each_other_in_a_circle_are_read_once():
    found = turns(
        call(A, ["u1"], before=C, omitted=3), call(B, ["u2"], before=A, omitted=2), call(C, ["u3"], before=B, omitted=3)
    )
    gaps = [gap for turn in found.values() for gap in [turn.gap] if gap is not None]
    assert "which refers back to this one" in {gap.why for gap in gaps}
    assert [texts(turn.new) for turn in found.values()] == [["u1"], ["u2"], ["u3"]]


def test_a_span_that_refers_to_itself():
    found = turns(call(A, ["u1"], before=A, omitted=1))
    assert texts(found[A].input()) == [Gap(1, "which refers back to this one", "", A), "u1"]


def test_instructions_and_tools_are_those_of_the_span_referred_to_unless_told_anew():
    system, tools = [{"type": "text", "content": "Be brief."}], [{"type": "function", "name": "find"}]
    told = {"gen_ai.system_instructions": json.dumps(system), "gen_ai.tool.definitions": json.dumps(tools)}
    found = turns(
        call(A, ["u1"], "a1", attributes=told),
        call(B, ["u2"], "a2", before=A, omitted=2),
        call(C, ["u3"], "a3", before=B, omitted=4, attributes={"gen_ai.tool.definitions": "[]"}),
        call(D, ["v"]),
    )
    settings = [(turn.system_instructions, turn.tool_definitions) for turn in found.values()]
    assert settings == [(system, tools), (system, tools), (system, []), ([], [])]


@pytest.mark.parametrize("text", ['[{"role":"user","parts":[{"ty', '{"role": 1}', "7", "[7]"])
def test_what_is_no_list_of_messages_is_told_as_it_stands(text):
    found = turns(call(A, attributes={"gen_ai.input.messages": text}))
    assert found[A].input() == [{"role": "?", "parts": [{"type": "text", "content": text}]}]


def test_a_cut_prompt_and_cut_definitions_are_told_as_they_stand():
    cut = {"gen_ai.system_instructions": '[{"type":"te', "gen_ai.tool.definitions": '[{"type":"fu'}
    turn = turns(call(A, ["u1"], attributes=cut))[A]
    assert [(said.role, said.text) for said in whole(turn)] == [
        ("system", '[{"type":"te'),
        ("tools", '[{"type":"fu'),
        ("user", "u1"),
    ]


def test_structured_messages_are_read_too():
    structured = {"key": "gen_ai.input.messages", "value": {"arrayValue": {"values": [any_value(message("u1"))]}}}
    recorded = call(A)
    recorded["attributes"] = [structured]
    assert turns(recorded)[A].input() == [message("u1")]


def any_value(value):
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": key, "value": any_value(item)} for key, item in value.items()]}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    return {"stringValue": value}


def test_a_span_without_content_has_no_turn():
    (found,) = parse(line(span(A, attributes={"gen_ai.operation.name": "chat"})))
    assert Conversations([found]).turn(found) is None


def test_of_a_span_that_was_exported_twice_the_later_record_counts():
    found = turns(call(A, ["u1"]), call(A, ["u2"]))
    assert texts(found[A].input()) == ["u2"]


def test_a_long_conversation_is_no_deep_recursion():
    ids = [f"{number:016x}" for number in range(1, 3_001)]
    spans = [
        call(each, [f"u{number}"], before=ids[number - 1] if number else None, omitted=number or None)
        for number, each in enumerate(ids)
    ]
    found = turns(*spans[::-1])
    assert texts(found[ids[-1]].input()) == [f"u{number}" for number in range(3_000)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "parts", "type", "content", "name", "arguments"]), inner, max_size=4)
    ),
    max_leaves=12,
)
kinds = st.sampled_from(
    ["text", "reasoning", "tool_call", "tool_call_response", "server_tool_call", "blob", "uri", "?"]
)
parts = st.dictionaries(
    st.sampled_from(["content", "name", "arguments", "response", "server_tool_call", "size", "sha256", "modality"]),
    json_values,
).flatmap(lambda part: kinds.map(lambda kind: {"type": kind, **part}))
hostile = st.lists(
    st.fixed_dictionaries({"role": json_values, "parts": st.lists(parts | json_values, max_size=3)})
).map(json.dumps) | st.one_of(json_values.map(json.dumps), st.text(max_size=20))
spans = st.lists(
    st.builds(
        call,
        st.sampled_from([A, B, C]),
        before=st.sampled_from([None, A, B, C, "x"]),
        omitted=st.sampled_from([None, 0, 1, 2, 7, 2**62]),
        trace=st.sampled_from([TRACE, OTHER]),
        attributes=st.dictionaries(
            st.sampled_from(["gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions"]), hostile
        ),
    ),
    max_size=6,
)


@given(spans)
def test_nothing_in_a_file_makes_it_raise_and_the_counts_are_kept(recorded):
    found = turns(*recorded)
    for turn in found.values():
        counted = sum(item.messages if isinstance(item, Gap) else 1 for item in turn.input())
        assert counted == turn.known + len(turn.new)
        assert all(isinstance(said.text, str) for said in [*whole(turn), *news(turn)])


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (999_949, "999.9 kB"), (4_000_000, "4.0 MB")]
)
def test_bytes(count, text):
    assert size(count) == text
