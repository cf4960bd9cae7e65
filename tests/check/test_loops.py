"""The same step again and again: what counts as the same, and where."""

import json

import pytest
from check_helpers import steps, trace

from llmtrace_otel.check import NotEvaluableError, RuleError
from llmtrace_otel.check.loops import loops

AGAIN = """
agent planner
  llm m in=1
  tool search {"q": "cats", "n": 1}
  llm m in=2
  tool search {"n": 1, "q": "cats"} error=Timeout
  llm m in=3
  tool search {"q": "dogs"}
  tool search {"q": "cats", "n": 1}
"""


def says(text):
    """A call's input messages as they are recorded."""
    return "input=" + json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}]).replace(" ", "")


def test_the_same_arguments_again_and_again_are_a_loop_also_between_calls_of_a_model():
    found = loops(steps(AGAIN))
    assert [str(loop) for loop in found] == ['tool search {"n": 1, "q": "cats"} ×3']
    assert repr(found) == '[tool search {"n": 1, "q": "cats"} ×3]'
    (loop,) = found
    assert (loop.kind, loop.name, loop.count) == ("tool", "search", 3)
    assert loop.args == {"q": "cats", "n": 1}
    assert [step.error for step in loop.steps] == [None, "Timeout", None]


def test_an_assertion_that_there_is_none_shows_it():
    with pytest.raises(AssertionError, match=r'tool search \{"n": 1, "q": "cats"\} ×3'):
        assert trace(AGAIN).loops() == []


def test_less_often_is_no_loop():
    assert loops(steps(AGAIN), min_repeat=4) == []
    assert [loop.count for loop in loops(steps(AGAIN), min_repeat=2)] == [3]


def test_the_same_messages_to_the_same_model_are_a_loop():
    calls = [f"llm m {says('hello')}", f"llm other {says('hello')}", f"llm m {says('bye')}"]
    found = loops(steps("agent a\n" + "\n".join(f"  {call}" for call in calls * 3)), min_repeat=3)
    assert [str(loop) for loop in found] == [
        "llm m with the same messages ×3",
        "llm other with the same messages ×3",
        "llm m with the same messages ×3",
    ]


def test_a_conversation_that_goes_on_is_no_loop():
    said = ["one", "two", "three", "four"]
    messages = [
        [{"role": "user", "parts": [{"type": "text", "content": word}]} for word in said[:n]] for n in (1, 2, 3)
    ]
    calls = [f"  llm m input={json.dumps(held).replace(' ', '')}" for held in messages]
    assert loops(steps("agent a\n" + "\n".join(calls))) == []


def test_each_agent_counts_for_itself():
    agent = '  tool search {"q": "cats"}\n  tool search {"q": "cats"}\n'
    assert loops(steps("agent a\n" + agent + "agent a\n" + agent)) == []
    assert [
        loop.count for loop in loops(steps("workflow w\n  span part\n    tool t {}\n    tool t {}\n  tool t {}"))
    ] == [3]
    assert loops(steps("tool t {} agent=a\ntool t {} agent=a\ntool t {} agent=b")) == []


def test_steps_without_an_agent_count_within_their_trace():
    assert [str(loop) for loop in loops(steps("tool t {}\ntool t {}\ntool t {}"))] == ["tool t {} ×3"]


def test_arguments_that_were_not_recorded_might_be_the_same():
    with pytest.raises(NotEvaluableError) as doubt:
        loops(steps("agent a\n  tool search\n  tool search\n  tool search {}"))
    assert str(doubt.value) == (
        "tool search was called 3 times, perhaps with the same arguments: they are not recorded; "
        "set OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only"
    )
    assert loops(steps("agent a\n  tool search\n  tool search\n  tool other")) == []


def test_a_loop_that_is_certain_is_told_whatever_is_in_doubt():
    known = "agent a\n" + "  tool t {}\n" * 3 + "  tool search\n" * 3
    assert [str(loop) for loop in loops(steps(known))] == ["tool t {} ×3"]


def test_calls_without_messages_are_in_doubt_unless_their_tokens_differ():
    assert loops(steps("agent a\n  llm m in=1\n  llm m in=2\n  llm m in=3")) == []
    with pytest.raises(NotEvaluableError, match=r"^llm m was called 3 times, perhaps with the same messages"):
        loops(steps("agent a\n  llm m in=7\n  llm m in=7\n  llm m in=7"))


@pytest.mark.parametrize("wrong", [1, 0, -3, "many", 2.5, True])
def test_a_repeat_is_at_least_two(wrong):
    with pytest.raises(RuleError, match=f"^min_repeat={wrong!r}: write a whole number, 2 or more$"):
        loops(steps(AGAIN), wrong)
