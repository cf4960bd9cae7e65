"""What stands on each row, and which siblings share one."""

import pytest

from llmtrace_otel.read import Node, Span, Trace
from llmtrace_otel.read.outline import label, notes, rows


def step(span_id, parent="root", start=0, **attributes):
    return Span(
        trace_id="t",
        span_id=span_id,
        parent_id=parent,
        name=f"name of {span_id}",
        start=int(span_id) if span_id.isdecimal() else start,
        end=99,
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
    )


def tool(span_id, name="search", **attributes):
    return step(span_id, gen_ai__operation__name="execute_tool", gen_ai__tool__name=name, **attributes)


def outline(*spans, fold=True):
    trace = Trace("t", [step("root", ""), *spans])
    return [" ".join([row.branches + row.label, *row.notes]) for row in rows(trace, fold=fold)][1:]


def test_consecutive_calls_of_one_tool_share_a_row_unless_asked_not_to():
    calls = [tool("1"), tool("2"), tool("3", "write"), tool("4")]
    assert outline(*calls) == ["├─ tool search ×2", "├─ tool write", "└─ tool search"]
    assert outline(*calls, fold=False) == ["├─ tool search", "├─ tool search", "├─ tool write", "└─ tool search"]


def test_calls_that_ended_differently_do_not_share_a_row():
    calls = [tool("1", error__type="Timeout"), tool("2", error__type="Timeout"), tool("3")]
    assert outline(*calls) == ["├─ tool search ×2 ✗ Timeout", "└─ tool search"]


def test_a_tool_is_folded_with_its_requests_but_never_with_a_model_call():
    requests = [step("5", "1", http__request__method="GET"), step("6", "2", http__request__method="GET")]
    assert outline(tool("1"), tool("2"), *requests) == ["└─ tool search ×2"]
    call = step("7", "2", gen_ai__operation__name="chat", gen_ai__request__model="m")
    assert outline(tool("1"), tool("2"), call) == ["├─ tool search", "└─ tool search", "   └─ llm m"]


def test_equal_steps_that_are_not_tools_keep_their_rows():
    calls = [step(number, gen_ai__operation__name="chat", gen_ai__request__model="m") for number in "12"]
    assert outline(*calls) == ["├─ llm m", "└─ llm m"]


def test_indentation_stops_before_it_fills_the_line():
    deep = [step("0"), *(step(str(depth), str(depth - 1)) for depth in range(1, 40))]
    assert outline(*deep)[-1] == " " * 30 + "└─ name of 39"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai__operation__name": "invoke_agent", "gen_ai__agent__name": "planner"}, "agent planner"),
        ({"gen_ai__operation__name": "invoke_workflow", "gen_ai__workflow__name": "w"}, "workflow w"),
        ({"gen_ai__operation__name": "embeddings", "gen_ai__request__model": "e"}, "embed e"),
        ({"gen_ai__operation__name": "execute_tool"}, "tool name of x"),
        ({"process__executable__name": "git"}, "process git"),
        (
            {"http__request__method": "GET", "server__address": "h", "http__response__status_code": 200},
            "http GET h 200",
        ),
        ({"gen_ai__operation__name": "invoke_agent", "gen_ai__agent__name": "\x1b]0;owned\x07"}, "agent �]0;owned�"),
        ({}, "name of x"),
    ],
)
def test_a_label_is_the_kind_and_the_name(attributes, expected):
    assert label(step("x", **attributes)) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"gen_ai.agent.id": "a7", "gen_ai.agent.name": "general-purpose"}, ["by general-purpose"]),
        ({"gen_ai.agent.id": "a7"}, ["by a sub-agent"]),
        ({"gen_ai.agent.name": "researcher"}, []),  # an agent of the program's has a span of its own
    ],
)
def test_a_call_of_an_agents_sub_agent_says_whose_it_is(told, expected):
    attributes = {"gen_ai.operation.name": "chat", "llmtrace.agent.type": "subagent", **told}
    assert notes(Node(Span(trace_id="t", span_id="s", start=1, end=2, attributes=attributes))) == expected


def test_everything_unusual_is_noted():
    attributes = {
        "error.type": "openai.\x1bRateLimitError",
        "llmtrace.stream.incomplete": True,
        "llmtrace.cache.hit": True,
    }
    span = Span(trace_id="t", span_id="s", attributes=attributes)
    expected = ["✗ �RateLimitError", "✂ incomplete", "cache hit", "… unfinished", "(parent missing)"]
    assert notes(Node(span, orphan=True)) == expected
