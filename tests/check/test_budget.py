"""Limits: how they are written, what exceeds them, how that is told."""

import contextlib
import math

import pytest
from check_helpers import spans
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.check import NotEvaluableError, RuleError
from llmtrace_otel.check.budget import Budget, Excess, limit, parse_budget, table
from llmtrace_otel.check.measure import Measure

RUN = """
llm gpt-5 in=1000 out=200 usd=0.0227
tool search
tool answer
"""


def over(text, run=RUN):
    return parse_budget(text).over(Measure(spans(run)))


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("cost=0.05", Budget(cost=0.05)),
        ("cost=$.05 tokens=20k", Budget(cost=0.05, tokens=20_000)),
        ("tokens=1.5M calls=1_000", Budget(tokens=1_500_000, calls=1000)),
        ("duration=30s", Budget(duration=30)),
        ("duration=1.5m tools=0", Budget(duration=90, tools=0)),
        ("duration=250ms", Budget(duration=0.25)),
        ("duration=2h", Budget(duration=7200)),
    ],
)
def test_limits_as_text(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a budget without a limit; write one such as cost=0.05 tokens=20k"),
        ("cost", "'cost' is no limit; write name=value, such as cost=0.05"),
        ("cots=1", "there is no limit 'cots'; did you mean cost?"),
        ("zzz=1", "there is no limit 'zzz'; limits are cost, tokens, calls, tools, duration"),
        ("cost=1 cost=2", "cost is limited twice: 'cost=1 cost=2'"),
        ("cost=much", "cost='much': write a number such as cost=0.05, 0 or more"),
        ("calls=1.5", "calls='1.5': write a whole number such as calls=10, 0 or more"),
        ("tokens=20q", "tokens='20q': write a whole number such as tokens=20k, 0 or more"),
        ("tools=-1", "tools='-1': write a whole number such as tools=6, 0 or more"),
        ("duration=3 parsecs", "'parsecs' is no limit; write name=value, such as cost=0.05"),
    ],
)
def test_a_limit_that_cannot_be_read(text, message):
    with pytest.raises(RuleError) as raised:
        parse_budget(text)
    assert str(raised.value) == message


@given(st.sampled_from(["cost", "tokens", "calls", "tools", "duration", "x"]), st.text() | st.floats() | st.integers())
def test_any_limit_is_a_number_of_its_unit_or_refused(name, value):
    with contextlib.suppress(RuleError):
        assert 0 <= limit(name, value) < math.inf


def test_a_limit_may_just_be_reached():
    assert over("cost=0.0227 tokens=1200 calls=1 tools=2 duration=3s") == []


def test_what_is_exceeded_is_told_with_how_much():
    found = over("cost=0.02 tokens=1k calls=1 tools=1 duration=1s")
    assert found == [
        Excess("cost", 0.0227, 0.02),
        Excess("tokens", 1200, 1000),
        Excess("tools", 2, 1),
        Excess("duration", 3.0, 1),
    ]
    assert table(found) == [
        "cost      $0.0227 > $0.02  (+14%)",
        "tokens      1,200 > 1,000  (+20%)",
        "tools           2 > 1      (+100%)",
        "duration     3.0s > 1.0s   (+200%)",
    ]
    assert table(over("tools=0")) == ["tools  2 > 0  (none allowed)"]


UNPRICED = RUN + "llm acme/foo in=1 out=1"


def test_an_unknown_cost_is_neither_kept_nor_exceeded_unless_the_known_part_is_too_much():
    with pytest.raises(NotEvaluableError, match=r"^the cost of 1 of 2 calls is unknown"):
        over("cost=0.05", UNPRICED)
    assert over("cost=0.05 calls=1", UNPRICED) == [Excess("calls", 2, 1)]
    found = over("cost=0.02", UNPRICED)
    assert table(found) == ["cost  ≥ $0.0227 > $0.02  (+14%)"]
