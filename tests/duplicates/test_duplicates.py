"""One call, one inference span, whatever else is installed; `scripts/duplicates.py` makes the environments."""

from __future__ import annotations

from typing import Any

import pytest

from duplicates.environments import python_of
from duplicates.page import tree
from duplicates.peers import PEERS, Case, cases
from duplicates.runs import COST, Observed, problems, run, wrong, wrong_count
from provider import Provider

COUNTED = {"llm.token_count.prompt": 10, "gen_ai.usage.input_tokens": 10}
PRICED = {**COUNTED, COST: "known"}


@pytest.mark.duplicates
@pytest.mark.parametrize("case", [case for peer in PEERS for case in cases(peer)], ids=str)
def test_every_call_is_counted_once(case: Case, provider: Provider):
    python = python_of(case.peer)
    if not python.exists():
        pytest.skip("the peer's environment has not been made: python scripts/duplicates.py makes them")
    assert problems(case, run(python, case, provider.url)) == []


def span(name: str, parent: str | None, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "name": name, "scope": "theirs", "parent": parent, "start": 0, "attributes": attributes}


AGENT = span("agent", None, {})


def test_a_span_that_states_its_tokens_in_two_dialects_is_one():
    spans = [AGENT, span("chat", "agent", PRICED), span("POST", "chat", {})]
    assert wrong_count(spans) == []
    assert tree(spans) == "**chat** + cost > POST"


def test_a_call_that_is_counted_twice_is_found():
    spans = [AGENT, span("completion", "agent", PRICED), span("chat", "completion", COUNTED)]
    assert wrong_count(spans) == ["20 input tokens in place of 10: [('completion', 10), ('chat', 10)]"]


def test_our_attributes_on_another_span_than_the_one_that_counts_are_found():
    spans = [AGENT, span("chat", "agent", COUNTED), span("POST", "chat", {COST: "known"})]
    assert wrong_count(spans) == [f"{COST} is on ['POST'], which is not the span that counts"]


def test_our_attributes_are_found_where_they_are_said_to_come_too_late():
    assert wrong_count([AGENT, span("chat", "agent", COUNTED)], priced=False) == []
    assert wrong_count([AGENT, span("chat", "agent", PRICED)], priced=False) != []


def test_a_second_root_an_orphan_and_a_complaint_are_found():
    spans = [AGENT, span("chat", None, PRICED), span("POST", "lost", {})]
    assert wrong(Observed(None, spans, ["Setting attribute on ended span."])) == [
        "the roots are ['agent', 'chat']",
        "orphans: ['POST']",
        "logged: Setting attribute on ended span.",
    ]
