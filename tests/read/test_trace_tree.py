"""Spans as trees, whatever their links say, and what they add up to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import DATA

from llmtrace_otel.read import Span, Totals, Trace, Usage, group, read_traces
from llmtrace_otel.read.document import document
from llmtrace_otel.read.outline import rows


def link(span_id, parent="", start=0, **fields):
    return Span(trace_id="t", span_id=span_id, parent_id=parent, start=start, **fields)


def shape(trace):
    """The tree as text: a line per span, indented, orphans marked."""
    return ["  " * depth + node.span.span_id + "!" * node.orphan for depth, node in trace.walk()]


def test_children_stand_under_their_parent_by_start_whatever_the_order_of_the_file():
    spans = [link("c", "a", 3), link("d", "b", 4), link("b", "a", 2), link("a", start=1)]
    assert shape(Trace("t", spans)) == ["a", "  b", "    d", "  c"]


def test_a_span_whose_parent_is_missing_is_a_marked_root():
    assert shape(Trace("t", [link("a", start=1), link("b", "gone", 2), link("c", "b", 3)])) == ["a", "b!", "  c"]


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([("a", "a")], ["a!"]),
        ([("a", "b"), ("b", "a")], ["a!", "  b"]),
        ([("leaf", "a"), ("a", "b"), ("b", "c"), ("c", "a")], ["a!", "  leaf", "  c", "    b"]),
        ([("r", ""), ("a", "b"), ("b", "a"), ("x", "y"), ("y", "x")], ["r", "a!", "  b", "x!", "  y"]),
    ],
)
def test_a_circle_of_parents_is_cut_once(links, expected):
    assert shape(Trace("t", [link(name, parent) for name, parent in links])) == expected


def test_spans_of_several_traces_are_told_apart_and_the_earliest_trace_comes_first():
    spans = [Span(trace_id=trace, span_id="1", start=start) for trace, start in (("b", 5), ("a", 3), ("c", 4))]
    assert [trace.id for trace in group(spans)] == ["a", "c", "b"]


def test_a_span_exported_twice_counts_once_and_its_later_record_is_kept():
    [trace] = group([link("a", start=1), link("b", start=2), link("a", start=1, end=9)])
    assert trace.spans == [link("a", start=1, end=9), link("b", start=2)]


def test_a_trace_lasts_from_its_first_recorded_time_to_its_last():
    trace = Trace("t", [link("a", start=0), link("b", start=10**9, end=0), link("c", start=2 * 10**9, end=4 * 10**9)])
    assert (trace.start, trace.end, trace.duration) == (10**9, 4 * 10**9, 3.0)


def test_an_agents_own_usage_and_cost_are_not_added_to_those_of_its_calls():
    agent, other = read_traces(DATA / "agent.jsonl")
    assert agent.totals == Totals(
        llm=4,
        embed=1,
        tools=5,
        errors=2,
        usage=Usage(input=6707, output=815, cache_read=1104),
        cost_usd=0.02270014,
        estimated=4,
    )
    assert other.totals == Totals(
        llm=5,
        errors=1,
        usage=Usage(input=10512, output=133, cache_read=8910),
        cost_usd=0.0126,
        actual=1,
        estimated=1,
        unpriced=1,
    )


def test_a_failure_that_climbs_is_one_error():
    failing = [
        link(name, parent, status="error") for name, parent in (("agent", ""), ("tool", "agent"), ("llm", "tool"))
    ]
    assert Trace("t", failing).totals == Totals(errors=1)


def test_depth_is_no_limit():
    deep = [link("0")] + [link(str(depth), str(depth - 1), depth) for depth in range(1, 5000)]
    trace = Trace("t", deep)
    assert [depth for depth, _ in trace.walk()] == list(range(5000))
    assert sum(1 for _ in rows(trace)) == 5000
    assert document(trace).count('"children": [{') == 4999


names = st.sampled_from("abcdefgh")


@given(st.dictionaries(names, names | st.just("")))
def test_every_span_is_in_the_tree_exactly_once_whatever_the_links(links):
    trace = Trace("t", [link(name, parent) for name, parent in links.items()])
    assert sorted(node.span.span_id for _, node in trace.walk()) == sorted(links)
    assert sorted(node.span.span_id for row in rows(trace) for node in row.nodes) == sorted(links)
    assert all(node.orphan is (bool(node.span.parent_id) and depth == 0) for depth, node in trace.walk())


operations = st.sampled_from(["chat", "embeddings", "execute_tool", "invoke_agent", "invoke_workflow", None])


@given(st.lists(st.tuples(operations, st.none() | st.integers(0, 10**9), st.none() | st.integers(0, 10**9))))
def test_tokens_are_the_sum_over_inference_spans(calls):
    spans = [
        link(
            str(number),
            str(number // 2),
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.usage.input_tokens": into,
                "gen_ai.usage.output_tokens": out,
            },
        )
        for number, (operation, into, out) in enumerate(calls)
    ]
    inputs = [into for operation, into, _ in calls if operation in ("chat", "embeddings") and into is not None]
    outputs = [out for operation, _, out in calls if operation in ("chat", "embeddings") and out is not None]
    assert Trace("t", spans).totals.usage == Usage(
        input=sum(inputs) if inputs else None, output=sum(outputs) if outputs else None
    )
