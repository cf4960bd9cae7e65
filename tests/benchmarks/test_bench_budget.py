"""What fails continuous integration: a call that costs over a tenth more than its budget, by count."""

from __future__ import annotations

from compare import budget
from compare.budget import Excess, excesses
from compare.cases import Case

CHAT, STREAM = Case("openai"), Case("openai", "stream")


def test_a_tenth_more_is_within_the_budget_and_anything_over_is_not():
    assert excesses({CHAT: 1100.0, STREAM: 1101.0}, {CHAT: 1000.0, STREAM: 1000.0}) == [Excess(STREAM, 1000.0, 1101.0)]


def test_less_than_the_budget_is_right():
    assert excesses({CHAT: 500.0}, {CHAT: 1000.0}) == []


def test_a_case_without_a_budget_is_told():
    assert excesses({CHAT: 500.0}, {}) == [Excess(CHAT, 0.0, 500.0)]


def test_what_is_said_names_the_case_and_both_counts():
    said = str(Excess(CHAT, 1000.0, 1101.0))
    assert said == "openai plain sync, content off, 1kB: 1,101, which is over the 1,000 of budget.toml and a tenth"


def test_every_case_has_a_budget_in_functions_and_all_or_none_in_instructions():
    assert set(budget.recorded("functions")) == set(budget.CASES)
    assert set(budget.recorded("instructions")) in (set(budget.CASES), set())
