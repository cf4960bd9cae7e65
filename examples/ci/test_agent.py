"""What the agent must do, and what it may spend: plain pytest. The calls are answered from `cassettes/`."""

import pytest
from agent import answer

QUESTION = "What should I wear in Paris today?"


def test_it_looks_before_it_answers(llmtrace):
    assert "21 °C" in answer(QUESTION)

    llmtrace.assert_tree("""
        agent weather
          llm gpt-5-mini
          tool get_weather {args.city = Paris}
          llm gpt-5-mini
    """)
    assert not llmtrace.errors
    assert not llmtrace.loops()


@pytest.mark.llm_budget(cost=0.0005, tokens=1_000, calls=2, tools=1)
def test_it_stays_within_its_budget():
    answer(QUESTION)
