"""What spans used, counted one at a time."""

import pytest
from check_helpers import spans, trace
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.check import NotEvaluableError
from llmtrace_otel.check.measure import Measure

RUN = """
agent planner usd=9 in=9999
  llm gpt-5 in=100 out=10 usd=0.1
  tool search
  tool search error=Timeout
  embed small in=7 usd=0.2
  process git
"""


def told(measure):
    return {
        "spans": measure.spans,
        "calls": measure.calls,
        "errors": measure.errors,
        "tokens": measure.tokens,
        "cost": measure.cost,
        "tools": dict(measure.tools),
        "duration": measure.duration,
        "costliest": measure.costliest,
    }


def test_calls_count_and_what_agents_repeat_of_them_does_not():
    assert told(Measure(spans(RUN))) == {
        "spans": 6,
        "calls": 2,
        "errors": 1,
        "tokens": 117,
        "cost": 0.3,
        "tools": {"search": 2},
        "duration": 5.0,
        "costliest": (0.2, "small"),
    }


def test_nothing():
    assert told(Measure()) == {
        "spans": 0,
        "calls": 0,
        "errors": 0,
        "tokens": 0,
        "cost": 0.0,
        "tools": {},
        "duration": 0.0,
        "costliest": (0.0, ""),
    }


def test_what_nobody_knows_cannot_be_compared():
    measure = Measure(spans("llm gpt-5 in=10 out=5 usd=0.5\nllm acme/foo in=3"))
    why = r"^the cost of 1 of 2 calls is unknown: no price, or no token counts, for 'acme/foo'; price it in "
    with pytest.raises(NotEvaluableError, match=why):
        assert measure.cost <= 1
    why = r"^the tokens of 1 of 2 calls are not known: 'acme/foo'; was the stream cut, or asked without usage\?$"
    with pytest.raises(NotEvaluableError, match=why):
        assert measure.tokens < 100
    assert (measure.cost.at_least, measure.tokens.at_least) == (0.5, 18)


def test_a_call_that_failed_without_using_tokens_costs_nothing():
    measure = Measure(spans("llm gpt-5 error=429"))
    assert (measure.cost, measure.tokens, measure.calls) == (0.0, 0, 1)


def test_a_replayed_call_costs_what_it_would_have_cost():
    replayed = "llm gpt-5 in=10 out=5 usd=0 llmtrace.replay=true llmtrace.cache.hit=true llmtrace.cost.saved_usd=0.25"
    assert Measure(spans(replayed)).cost == 0.25


CALLS = st.builds("llm m in={} out={} usd={}".format, st.integers(0, 999), st.integers(0, 999), st.integers(0, 99))


@given(st.lists(CALLS | st.sampled_from(["tool t", "agent a", "embed e in=3 usd=1", "http GET"]), min_size=1))
def test_it_counts_as_the_assertions_on_steps_do(texts):
    text = "\n".join(["llm m in=1 out=1 usd=1", *texts])
    measure, steps = Measure(spans(text)), trace(text)
    assert (measure.cost, measure.tokens) == (steps.cost, steps.tokens.total)
    assert measure.calls == steps.llm.count + steps.embeddings.count
    assert (measure.tool_calls, measure.duration) == (steps.tools.count, steps.duration)
