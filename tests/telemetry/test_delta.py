"""`LLMTRACE_CONTENT=delta`: what an earlier span has is referred to, and nothing else is."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from itertools import repeat
from typing import Any

import pytest
from delta_helpers import Program, assistant, said, user
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from llmtrace_otel.telemetry import as_sent, content, delta
from llmtrace_otel.telemetry.latest import Latest

SYSTEM = [{"type": "text", "content": "Be brief."}]
TOOLS = [{"type": "function", "name": "find", "description": "Finds."}]


@pytest.fixture(autouse=True)
def nothing_said_before(monkeypatch: pytest.MonkeyPatch):
    """Delta content on spans, in a process that has exported nothing yet."""
    monkeypatch.setattr(delta, "PLACES", delta.Places())
    monkeypatch.setattr(as_sent, "KNOWN", Latest())
    monkeypatch.setenv(content.MODE_VARIABLE, "span_only")
    monkeypatch.setenv(content.EXTENT_VARIABLE, "delta")
    monkeypatch.delenv(content.LIMIT_VARIABLE, raising=False)
    content.refresh()
    yield
    content.set_redaction(None)
    monkeypatch.undo()
    content.refresh()


@pytest.fixture
def program() -> Program:
    return Program()


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def id_of(program: Program, number: int) -> str:
    return program.spans[number].span_id


def messages(program: Program) -> list[list[str]]:
    """The texts of the input messages that each span has itself."""
    return [
        [message["parts"][0]["content"] for message in json.loads(found["input.messages"])] for found in program.content
    ]


def references(program: Program) -> list[tuple[int, int] | None]:
    """For each span: which span, by its number, it refers to, and how many messages it leaves out."""
    numbers = {span.span_id: number for number, span in enumerate(program.spans)}
    return [
        (numbers[found["previous_span_id"]], found["omitted_messages"]) if "previous_span_id" in found else None
        for found in program.content
    ]


def test_the_next_turn_has_what_is_new_and_says_where_the_rest_is(program: Program):
    program.call([user("Rain?")], "No.", system_instructions=SYSTEM, tool_definitions=TOOLS)
    program.call(
        [user("Rain?"), assistant("No."), user("Snow?")], "No!", system_instructions=SYSTEM, tool_definitions=TOOLS
    )
    first, second = program.spans
    assert program.content == [
        {
            "input.messages": compact([user("Rain?")]),
            "output.messages": compact([{**assistant("No."), "finish_reason": "stop"}]),
            "system_instructions": compact(SYSTEM),
            "tool.definitions": compact(TOOLS),
        },
        {
            "input.messages": compact([user("Snow?")]),
            "output.messages": compact([{**assistant("No!"), "finish_reason": "stop"}]),
            "previous_span_id": first.span_id,
            "previous_trace_id": first.trace_id,
            "omitted_messages": 2,
        },
    ]
    assert first.trace_id != second.trace_id


def test_in_one_trace_no_trace_id_is_needed(program: Program):
    tracer = program.recorded.tracer_provider.get_tracer("test")
    with tracer.start_as_current_span("turns"):
        program.call([user("Rain?")])
        program.call([user("Rain?"), assistant("Yes."), user("Snow?")])
    assert program.content[1] == {
        "input.messages": compact([user("Snow?")]),
        "output.messages": compact([{**assistant("Yes."), "finish_reason": "stop"}]),
        "previous_span_id": id_of(program, 0),
        "omitted_messages": 2,
    }


def test_an_answer_that_comes_back_changed_is_repeated_once(program: Program):
    told = [user("Rain?")]
    for number in range(3):
        program.call(list(told), "No.")
        told += [assistant(f"No ({number})."), user(f"And {number}?")]
    assert messages(program) == [["Rain?"], ["No (0).", "And 0?"], ["No (1).", "And 1?"]]
    assert references(program) == [None, (0, 1), (1, 3)]


def test_two_ways_on_from_one_point_both_refer_to_the_span_that_has_it(program: Program):
    begun = [user("Rain?"), assistant("Yes.")]
    program.call([user("Rain?")])
    program.call([*begun, user("Snow?")])
    program.call([*begun, user("Hail?")])
    program.call([*begun, user("Snow?"), assistant("Yes."), user("Much?")])
    program.call([*begun, user("Hail?"), assistant("Yes."), user("Much?")])
    assert references(program) == [None, (0, 2), (0, 2), (1, 4), (2, 4)]
    assert messages(program)[3:] == [["Much?"], ["Much?"]]


def test_a_call_that_is_tried_again_repeats_nothing(program: Program):
    program.call([user("Rain?")], None, error_type="500")
    program.call([user("Rain?")])
    assert messages(program) == [["Rain?"], []]
    assert references(program) == [None, (0, 1)]


def test_calls_that_have_only_the_system_message_in_common_are_no_conversation(program: Program):
    program.call([said("system", "Be brief."), user("Rain?")])
    program.call([said("system", "Be brief."), user("Snow?")])
    program.call([said("system", "Be brief.")])
    assert references(program) == [None, None, None]


def test_equal_words_in_two_sessions_are_two_conversations(program: Program):
    for session in ("a", "b", "a"):
        program.call([user("Rain?")], attributes={"session.id": session})
    assert references(program) == [None, None, (0, 1)]


def test_instructions_and_tools_are_told_again_where_they_change_and_as_none_where_they_end(program: Program):
    program.call([user("1")], system_instructions=SYSTEM, tool_definitions=TOOLS)
    program.call([user("1"), assistant("Yes."), user("2")], system_instructions=SYSTEM)
    program.call([user("1"), assistant("Yes."), user("2"), assistant("Yes."), user("3")])
    told = [
        {name: found[name] for name in ("system_instructions", "tool.definitions") if name in found}
        for found in program.content
    ]
    assert told == [
        {"system_instructions": compact(SYSTEM), "tool.definitions": compact(TOOLS)},
        {"tool.definitions": "[]"},
        {"system_instructions": "[]"},
    ]
    assert [(turn.system_instructions, turn.tool_definitions) for turn in program.turns] == [
        (SYSTEM, TOOLS),
        (SYSTEM, []),
        ([], []),
    ]


class Deciding(Sampler):
    """Decides on spans as it is told, one after the other."""

    def __init__(self, *decisions: Decision) -> None:
        self._decisions = iter(decisions)

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        return SamplingResult(next(self._decisions))

    def get_description(self) -> str:
        return "Deciding"


@pytest.mark.parametrize("second", [Decision.DROP, Decision.RECORD_ONLY])
def test_nothing_refers_to_a_span_that_is_not_exported(second: Decision):
    program = Program(Deciding(Decision.RECORD_AND_SAMPLE, second, Decision.RECORD_AND_SAMPLE))
    told = [user("1")]
    for number in range(2, 5):
        program.call(list(told))
        told += [assistant("Yes."), user(str(number))]
    assert messages(program) == [["1"], ["2", "Yes.", "3"]]
    assert references(program) == [None, (0, 2)]


def test_content_of_somebody_elses_stays_whole(program: Program):
    program.call([user("1")])
    theirs = compact([user("1"), assistant("Yes."), user("two")])
    program.call([user("1"), assistant("Yes."), user("2")], attributes={"gen_ai.input.messages": theirs})
    assert references(program) == [None, None]


def test_conversations_in_threads_do_not_mix():
    program, turns = Program(), 20
    meet = threading.Barrier(2)

    def talk(name: str) -> None:
        told = [user(f"{name} 0")]
        for number in range(1, turns + 1):
            meet.wait()
            program.call(list(told), name)
            told += [assistant(name), user(f"{name} {number}")]

    threads = [threading.Thread(target=talk, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in "ab":
        mine = [turn for turn in program.turns if turn.answers[0]["parts"][0]["content"] == name]
        whole = [user(f"{name} 0")]
        for number in range(1, turns):
            whole += [assistant(name), user(f"{name} {number}")]
        assert mine[-1].input() == whole
    assert sorted(map(len, messages(program))) == [1] * 2 * turns


FORKING = """
import os, sys
sys.path[:0] = ["tests", "tests/telemetry"]
from delta_helpers import Program, assistant, user

program = Program()
program.call([user("Rain?")])
before = program.spans[0].span_id
if (child := os.fork()) == 0:
    program.call([user("Rain?"), assistant("Yes."), user("Snow?")])
    print(program.content[1]["previous_span_id"] == before, program.content[1]["omitted_messages"], flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_forked_child_goes_on_where_its_parent_was(request: pytest.FixtureRequest):
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, cwd=request.config.rootpath)
    assert (done.stdout, done.stderr) == ("True 2\n", "")


def limit(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setenv(content.LIMIT_VARIABLE, str(most))
    content.refresh()


def test_what_was_exported_cut_is_referred_to_as_it_is(program: Program, monkeypatch: pytest.MonkeyPatch):
    limit(monkeypatch, 120)
    program.call([user("x" * 500)])
    program.call([user("x" * 500), assistant("Yes."), user("Snow?")])
    assert references(program) == [None, (0, 2)]
    (cut, _, _) = program.turns[1].input()
    assert cut["parts"][0]["content"].endswith(" more characters]")


def test_nothing_refers_to_messages_that_the_limit_has_left_out(program: Program, monkeypatch: pytest.MonkeyPatch):
    limit(monkeypatch, 120)
    many = [user(str(number)) for number in range(10)]
    program.call([user("0")])
    program.call(many)
    program.call([*many, assistant("Yes."), user("10")])
    assert messages(program) == [["0"], ["8", "9"], ["10"]]
    assert [found.get("omitted_messages") for found in program.content] == [None, 8, 11]
    assert references(program) == [None, None, None]


def test_only_what_is_new_is_redacted_and_its_fingerprint_is_that_of_the_secret(program: Program):
    seen = []

    def redact(text: str) -> str:
        seen.append(text)
        return "***"

    content.set_redaction(redact)
    program.call([user("Rain?")], "No.")
    program.call([user("Rain?"), assistant("No."), user("Snow?")], "No!")
    program.call([user("Hail?"), assistant("No."), user("Snow?")], "No?")
    assert seen == ["Rain?", "No.", "Snow?", "No!", "Hail?", "No.", "Snow?", "No?"]
    assert messages(program) == [["***"], ["***"], ["***"] * 3]


def test_the_oldest_places_are_forgotten_first(program: Program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(delta, "PLACES", delta.Places(4))
    for text in ("1", "2", "1", "3", "1", "2"):  # two places each: of the question and of the answer
        program.call([user(text)])
    assert references(program) == [None, None, (0, 1), None, (0, 1), None]


def test_places_know_the_longest_beginning():
    places = delta.Places()
    first, second = delta.Place(1, 1, ()), delta.Place(1, 2, ())
    places.add([b"a", b"b"], repeat(first))
    places.add([b"c"], repeat(second))
    assert places.longest([b"a", b"b", b"c", b"d"], 1) == (3, second)
    assert places.longest([b"a", b"b", b"x"], 1) == (2, first)
    assert places.longest([b"a", b"b", b"x"], 3) == (0, None)
    assert places.longest([], 1) == (0, None)


@pytest.mark.parametrize("mode", ["EVENT_ONLY", "SPAN_AND_EVENT"])
def test_events_refer_to_earlier_spans_like_the_spans_themselves(
    program: Program, monkeypatch: pytest.MonkeyPatch, mode: str
):
    monkeypatch.setenv(content.MODE_VARIABLE, mode)
    content.refresh()
    program.call([user("Rain?")], system_instructions=SYSTEM)
    program.call([user("Rain?"), assistant("Yes."), user("Snow?")], system_instructions=SYSTEM)
    first, second = [json.loads(compact(dict(event.attributes))) for event in program.recorded.events]
    assert (first["gen_ai.input.messages"], first["gen_ai.system_instructions"]) == ([user("Rain?")], SYSTEM)
    assert second["gen_ai.input.messages"] == [user("Snow?")]
    assert second["llmtrace.content.omitted_messages"] == 2
    assert second["llmtrace.content.previous_span_id"] == id_of(program, 0)
    assert "gen_ai.system_instructions" not in second
    assert references(program) == ([None, (0, 2)] if mode == "SPAN_AND_EVENT" else [None, None])


@pytest.mark.parametrize("extent", ["", "full", "FULL", "everything"])
def test_anything_but_delta_means_all_and_what_is_not_known_is_said_once(
    program: Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, extent: str
):
    monkeypatch.setenv(content.EXTENT_VARIABLE, extent)
    content.refresh()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            program.call([user("Rain?")])
    assert messages(program) == [["Rain?"], ["Rain?"]]
    warning = "llmtrace: LLMTRACE_CONTENT=everything is neither full nor delta; content is recorded in full"
    assert caplog.messages == ([warning] if extent == "everything" else [])


def test_the_variable_alone_captures_nothing(program: Program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(content.MODE_VARIABLE)
    content.refresh()
    program.call([user("Rain?")])
    assert program.content == [{}]


@pytest.mark.parametrize("given", [None, []], ids=["none", "an empty list"])
def test_a_call_without_input_messages_has_its_answer(program: Program, given: list[Any] | None):
    program.call(given)
    assert program.content[0]["output.messages"] == compact([{**assistant("Yes."), "finish_reason": "stop"}])
    assert "previous_span_id" not in program.content[0]


def test_messages_that_are_no_unicode_are_known_again(program: Program):
    program.call([user("\ud800")])
    program.call([user("\ud800"), assistant("Yes."), user("\udc00")])
    assert references(program) == [None, (0, 2)]
