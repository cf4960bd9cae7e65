"""What a test asks of recorded spans: steps, selections of them, a whole trace."""

import json
import operator

import pytest
from check_helpers import spans, steps, trace
from msgspec import structs

from llmtrace_otel.check import NotEvaluableError, RuleError, Trace, Unknown
from llmtrace_otel.check.trace import forest
from llmtrace_otel.telemetry import semconv

RESEARCH = """
agent planner in=6700 out=815 usd=0.5 session=s-1
  llm gpt-5-mini in=1200 out=85 usd=0.1 provider=openai session=s-1
  tool search {"q":"cats"} result=["a","b"]
    http GET server.address=api.dev http.response.status_code=200
    embed text-embedding-3-small in=10 usd=0.2
  llm gpt-5 in=2400 out=310 cache=1200 reasoning=300 usd=0.0034
  tool delete_file error=PermissionError
process python
  llm claude in=100 out=1 usd=0 session=s-2 provider=anthropic
"""


def messages(text):
    return json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}]).replace(" ", "")


def one(text):
    (step,) = steps(text)
    return step


def test_a_step_tells_what_it_is():
    (agent, _) = steps(RESEARCH)
    call, search, *_ = agent.child_list
    assert (agent.kind, agent.name, agent.label) == ("agent", "planner", "agent planner")
    assert (call.kind, call.name, call.model, call.provider) == ("llm", "gpt-5-mini", "gpt-5-mini", "openai")
    assert (call.session, call.error, call.status, call.parent) == ("s-1", None, "unset", agent)
    assert (search.kind, search.name, search.model, search.status) == ("tool", "search", None, "unset")
    assert (search.args, search.result, search.agent) == ({"q": "cats"}, ["a", "b"], "planner")
    assert search.children.names == ["GET api.dev 200", "text-embedding-3-small"]
    assert (search.duration, agent.duration) == (2.0, 5.0)
    assert repr(call) == "<llm gpt-5-mini>"
    assert call.attributes[semconv.USAGE_INPUT] == 1200


def test_an_agent_is_the_nearest_above_or_the_one_that_the_step_names():
    recorded = trace("agent outer\n  agent inner\n    tool a\n  tool b agent=other\nllm m")
    assert [(step.name, step.agent) for step in recorded.spans] == [
        ("outer", "outer"),
        ("inner", "inner"),
        ("a", "inner"),
        ("b", "other"),
        ("m", None),
    ]


def test_messages_are_read_as_what_they_are():
    assert one(f"llm m input={messages('hello')}").input == json.loads(messages("hello"))
    cut = one("tool t")
    cut.attributes[semconv.TOOL_CALL_RESULT] = '{"cut off'
    assert cut.result == '{"cut off'
    cut.attributes[semconv.TOOL_CALL_ARGUMENTS] = "[" * 100_000
    assert cut.args == {"": "[" * 100_000}


@pytest.mark.parametrize(
    ("text", "question", "what"),
    [
        ("tool t", "args", "arguments of tool t"),
        ("tool t", "result", "result of tool t"),
        ("llm m", "input", "input messages of llm m"),
        ("llm m", "output", "output messages of llm m"),
    ],
)
def test_what_was_not_recorded_is_no_answer(text, question, what):
    with pytest.raises(NotEvaluableError) as refusal:
        getattr(one(text), question)
    assert str(refusal.value) == (
        f"the {what} are not recorded; set OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only"
    )


def test_a_step_that_never_ended_has_no_duration():
    unended = Trace(lambda: recorded, str)
    recorded = [structs.replace(spans("llm m")[0], end=0)]
    with pytest.raises(NotEvaluableError, match=r"^llm m has no duration: it never ended"):
        _ = unended.llm.first.duration


def test_the_views_of_a_trace():
    recorded = trace(RESEARCH)
    assert repr(recorded) == "<trace of 9 spans>"
    assert recorded.llm.names == ["gpt-5-mini", "gpt-5", "claude"]
    assert repr(recorded.llm) == "<3 llm calls: gpt-5-mini, gpt-5, claude>"
    assert repr(recorded.llm[:0]) == "<no llm calls>"
    assert recorded.embeddings.names == ["text-embedding-3-small"]
    assert recorded.tools.names == ["search", "delete_file"]
    assert recorded.agents.names == ["planner"]
    assert recorded.http.names == ["GET api.dev 200"]
    assert recorded.processes.names == ["python"]
    assert recorded.errors.names == ["delete_file"]
    assert recorded.sessions == ["s-1", "s-2"]
    assert [root.name for root in recorded.roots] == ["planner", "python"]
    assert (recorded.spans.count, recorded.duration, recorded.empty) == (9, 6.0, False)


def test_an_error_that_climbs_is_the_innermost_one():
    recorded = trace("agent a error=Timeout\n  tool t error=Timeout\n    llm m error=Timeout\n  llm n error=Other")
    assert [step.label for step in recorded.errors] == ["llm m", "llm n"]


def test_globs_look_into_a_selection():
    tools = trace(RESEARCH).tools
    assert "delete_*" in tools
    assert "Delete_*" not in tools
    assert tools.first in tools
    assert one("tool search") not in tools
    assert (tools.first.name, tools.last.name, tools[-1].name) == ("search", "delete_file", "delete_file")
    assert tools.one("search").args["q"] == "cats"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("*", "'*' matches 2 of the tools: 'search', 'delete_file'"),
        ("sum", "'sum' matches 0 of the tools: 'search', 'delete_file'"),
    ],
)
def test_one_is_neither_none_nor_several(name, told):
    with pytest.raises(NotEvaluableError) as refusal:
        trace(RESEARCH).tools.one(name)
    assert str(refusal.value) == told


def test_models_are_named_once():
    assert trace("llm a\nllm b\nllm a\ntool t").llm.models == ["a", "b"]


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ({"kind": "llm"}, ["gpt-5-mini", "gpt-5", "claude"]),
        ({"name": "*e*"}, ["planner", "search", "GET api.dev 200", "text-embedding-3-small", "delete_file", "claude"]),
        ({"model": "gpt-5*"}, ["gpt-5-mini", "gpt-5"]),
        ({"model": "GPT*"}, []),
        ({"kind": "llm", "provider": "anthropic"}, ["claude"]),
        ({"kind": "llm", "agent": "plan*"}, ["gpt-5-mini", "gpt-5"]),
        ({"kind": "llm", "agent": lambda agent: agent is None}, ["claude"]),
        ({"session": "s-?"}, ["planner", "gpt-5-mini", "claude"]),
        ({"error": "*"}, ["delete_file"]),
        ({"attributes": {semconv.USAGE_INPUT: 100}}, ["claude"]),
        ({"attributes": {semconv.USAGE_INPUT: lambda held: (held or 0) > 2000}}, ["planner", "gpt-5"]),
        ({"attributes": {semconv.SERVER_ADDRESS: "*.dev"}}, ["GET api.dev 200"]),
        ({"attributes": {"not.there": None}}, []),
    ],
)
def test_where_selects_what_meets_all_conditions(conditions, names):
    assert sorted(trace(RESEARCH).where(**conditions).names) == sorted(names)


def test_where_takes_a_function_of_the_step_and_says_what_it_selected():
    slow = trace(RESEARCH).llm.where(lambda step: step.span.usage.input > 1000, model="gpt-*")
    assert repr(slow) == "<2 llm calls of model gpt-*: gpt-5-mini, gpt-5>"
    assert repr(slow.where(kind="tool")) == "<no llm calls of model gpt-* of kind tool>"


def test_costs_and_tokens_are_those_of_calls_each_once():
    recorded = trace(RESEARCH)
    assert recorded.llm.cost == 0.1034
    assert recorded.cost == 0.3034
    assert recorded.agents.cost == 0.3034
    assert recorded.tools.one("search").cost == 0.2
    assert recorded.where(name="[ps]*").cost == 0.3034
    tokens = recorded.tokens
    assert (tokens.input, tokens.output, tokens.total) == (3710, 396, 4106)
    assert (tokens.cache_read, tokens.cache_write, tokens.reasoning) == (1200, 0, 300)
    assert repr(tokens) == "<tokens: 3710 input, 396 output>"
    assert (recorded.llm.first.tokens.total, recorded.llm.first.cost) == (1285, 0.1)


def test_decimal_amounts_add_up():
    assert trace("llm a usd=0.1 in=1 out=1\nllm b usd=0.2 in=1 out=1").llm.cost == 0.3


def test_the_cached_share_is_of_the_input():
    assert trace("llm a in=100 out=1 cache=30\nllm b in=100 out=1 cache=50").llm.cached_ratio == 0.4
    assert trace("llm a in=0 out=0").llm.cached_ratio == 0.0


def test_a_retry_inside_a_call_is_the_same_call():
    retried = trace("llm m in=1 out=1 usd=0.1 llmtrace.attempts=3\n  http POST error=429\n  http POST")
    assert (retried.llm.count, retried.cost, retried.tokens.total) == (1, 0.1, 2)


def test_a_span_that_was_exported_twice_counts_once():
    recorded = spans("llm m in=1 out=1 usd=0.1\ntool t")
    twice = Trace(lambda: both, str)
    both = [*recorded, *recorded]
    assert (twice.llm.count, twice.cost, twice.tools.count) == (1, 0.1, 1)


def test_a_failed_call_without_usage_costs_nothing():
    recorded = trace("llm m error=RateLimitError\nllm n in=1 out=2 usd=0.5")
    assert (recorded.cost, recorded.tokens.total) == (0.5, 3)


def test_an_answer_from_a_recording_costs_what_the_original_did():
    replayed = "usd=0 llmtrace.replay=true llmtrace.cache.hit=true"
    assert trace(f"llm m in=1 out=2 {replayed} llmtrace.cost.saved_usd=0.25").cost == 0.25
    assert trace(f"llm m in=1 out=2 {replayed.replace('llmtrace.replay=true ', '')}").cost == 0.0
    assert isinstance(trace(f"llm made-up in=1 out=2 {replayed}").cost, Unknown)


UNPRICED = "llm made-up in=1 out=2\nllm other in=3 out=4 usd=0.25"
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, operator.add, operator.sub]


@pytest.mark.parametrize("compare", COMPARISONS)
def test_an_unknown_cost_cannot_be_compared(compare):
    unknown = trace(UNPRICED).llm.cost
    for left, right in ((unknown, 1), (1, unknown)):
        with pytest.raises(NotEvaluableError) as refusal:
            compare(left, right)
        assert str(refusal.value) == (
            "the cost of 1 of 2 calls is unknown: no price, or no token counts, for 'made-up'; "
            "price it in LLMTRACE_PRICES, or assert on .tokens"
        )


@pytest.mark.parametrize("use", [bool, int, float, round, abs, operator.neg, format, lambda cost: f"{cost:.2f}", sum])
def test_an_unknown_cost_is_no_number(use):
    unknown = trace(UNPRICED).llm.cost
    with pytest.raises(NotEvaluableError):
        use([unknown] if use is sum else unknown)


def test_an_unknown_cost_says_what_is_known():
    unknown = trace(UNPRICED).llm.cost
    assert (repr(unknown), unknown.at_least) == ("unknown, at least 0.25", 0.25)


@pytest.mark.parametrize("count", ["input", "output", "total"])
def test_tokens_that_a_call_did_not_tell_are_unknown(count):
    with pytest.raises(NotEvaluableError, match="tokens of 1 of 2 calls are not known: 'm'; was the stream cut"):
        assert getattr(trace("llm m\nllm n in=1 out=1").tokens, count) < 10


def test_an_embedding_has_no_output_tokens():
    assert (trace("embed e in=5").tokens.output, trace("embed e in=5").tokens.total) == (0, 5)


@pytest.mark.parametrize(
    ("question", "refusal"),
    [
        (lambda tools: tools.cost, "there are no tools, so they have no cost"),
        (lambda tools: tools.tokens, "there are no tools, so they have no tokens"),
        (lambda tools: tools.cached_ratio, "there are no tools, so they have no tokens"),
        (lambda tools: tools.duration, "there are no tools, so they have no duration"),
        (lambda tools: tools.first, "there are no tools, so they have no step"),
        (lambda tools: tools.all(bool), "there are no tools, so they have no all()"),
        (lambda tools: tools.any(bool), "there are no tools, so they have no any()"),
        (lambda tools: tools.one(), "'*' matches 0 of the tools: none"),
    ],
)
def test_nothing_can_be_said_of_no_steps(question, refusal):
    with pytest.raises(NotEvaluableError) as refused:
        question(trace("llm m").tools)
    assert str(refused.value) == refusal


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        ("tools", "there is no kind 'tools'; did you mean tool?"),
        ("x*", "there is no kind 'x*'; agent, workflow, llm, tool, embed, fetch, process, http, span"),
    ],
)
def test_a_kind_that_there_is_not_selects_nothing_by_mistake(kind, refusal):
    with pytest.raises(RuleError) as refused:
        trace("llm m").where(kind=kind)
    assert str(refused.value) == refusal


def test_an_empty_selection_has_a_count_and_names():
    tools = trace("llm m").tools
    assert (tools.count, len(tools), tools.names, tools.models, list(tools), "x" in tools) == (0, 0, [], [], [], False)


def test_steps_without_a_call_have_no_cost():
    with pytest.raises(NotEvaluableError, match=r"^no LLM call is among the tools or below, so there is no cost$"):
        _ = trace("tool t").tools.cost


def test_any_and_all_ask_each_step():
    calls = trace(RESEARCH).llm
    assert calls.any(lambda call: call.model == "claude")
    assert not calls.all(lambda call: call.model == "claude")
    assert calls.all(lambda call: call.error is None)


def test_durations():
    slow = trace("\n".join(f"llm m start=0 end={seconds}" for seconds in (5, 1, 4, 2, 3))).llm.duration
    assert (slow.sum, slow.max, slow.p50, slow.p95) == (15.0, 5.0, 3.0, 5.0)
    assert [slow.percentile(percent) for percent in (0, 20, 21, 100)] == [1.0, 1.0, 2.0, 5.0]
    assert repr(slow) == "<15 s in 5 llm calls>"


def test_few_steps_have_no_percentile():
    with pytest.raises(NotEvaluableError) as refusal:
        _ = trace("llm m\n" * 4).llm.duration.p95
    assert str(refusal.value) == "4 llm calls are too few for a percentile; use .max, or 5"


def test_a_trace_without_spans_says_why():
    empty = Trace(list, lambda: "nothing ran")
    assert (empty.empty, repr(empty)) == (True, "<empty trace>")
    for question in ("roots", "spans", "llm", "tools", "errors", "cost", "tokens", "duration", "sessions"):
        with pytest.raises(NotEvaluableError, match=r"^no spans were recorded: nothing ran$"):
            getattr(empty, question)
    for question in (empty.loops, empty.shape, empty.assert_tools, lambda: empty.assert_tree("llm"), empty.where):
        with pytest.raises(NotEvaluableError, match=r"^no spans were recorded: nothing ran$"):
            question()


def test_a_trace_reads_its_source_again_when_it_has_grown():
    recorded = []
    growing = Trace(lambda: list(recorded), str)
    assert growing.empty
    recorded += spans("llm a")
    assert growing.llm.names == ["a"]
    recorded += spans("llm b", trace_id="f" * 32)
    assert growing.llm.names == ["a", "b"]


def test_steps_of_several_traces_stand_in_order_of_their_starts():
    both = [*spans("agent a start=1\n  llm late start=9", "1" * 32), *spans("agent b start=0\n  llm early", "2" * 32)]
    roots, every = forest(both)
    assert [root.name for root in roots] == ["b", "a"]
    assert [step.name for step in every] == ["b", "early", "a", "late"]
