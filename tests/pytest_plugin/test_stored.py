"""What is stored beside the tests: the shapes of traces, and the baseline of what tests used."""

from __future__ import annotations

import pytest

TESTS = """
import os
import pytest
from asking import ask
from llmtrace_otel import agent

def work():
    with agent("planner"):
        for _ in range(int(os.environ.get("CALLS", 1))):
            ask()

def test_used(llmtrace):
    work()

@pytest.mark.parametrize("name", ["a/b"])
def test_shape(llmtrace, llmtrace_snapshot, name):
    work()
    llmtrace_snapshot()
    llmtrace_snapshot(tokens="exact")

def test_later(llmtrace, llmtrace_snapshot):
    work()
    llmtrace_snapshot()

def test_nothing(llmtrace_snapshot):
    with pytest.raises(Exception, match="no spans were recorded"):
        llmtrace_snapshot()
"""
BASELINE = "--llmtrace-baseline=used.json"
FILE = "__llmtrace__/test_agent/test_shape[a_b]-cab8842b.txt"
LATER = "__llmtrace__/test_agent/test_later.txt"
MISSING = f"""
test_agent.py:23: in test_later
    llmtrace_snapshot()
E   AssertionError: there is no {LATER}; review this shape and run with --llmtrace-update to store it:
E   agent planner
E     llm gpt-4o-mini
E     llm gpt-4o-mini
---------------------------------- LLM trace -----------------------------------
agent planner
├─ llm gpt-4o-mini  1000→100 tok  $0.00021
└─ llm gpt-4o-mini  1000→100 tok  $0.00021
"""
CHANGED = f"""
test_agent.py:18: in test_shape
    llmtrace_snapshot()
E   AssertionError: the shape of the trace is not the stored one; --llmtrace-update stores this run's
E   --- {FILE}
E   +++ this run
E   @@ -1,2 +1,3 @@
E    agent planner
E      llm gpt-4o-mini
E   +  llm gpt-4o-mini
---------------------------------- LLM trace -----------------------------------
agent planner
├─ llm gpt-4o-mini  1000→100 tok  $0.00021
└─ llm gpt-4o-mini  1000→100 tok  $0.00021
"""
WRITTEN = """
$0.00021  1,100 tokens   1 call  test_agent.py::test_shape[a/b]
$0.00021  1,100 tokens   1 call  test_agent.py::test_used
$0.00042  2,200 tokens  2 calls  in all
LLM baseline: 2 tests written to used.json
"""
MORE = """
$0.00042  2,200 tokens  2 calls  test_agent.py::test_later
$0.00042  2,200 tokens  2 calls  test_agent.py::test_shape[a/b]
$0.00042  2,200 tokens  2 calls  test_agent.py::test_used
$0.00126  6,600 tokens  6 calls  in all
LLM baseline exceeded
  test_agent.py::test_used  tokens  1,100 → 2,200 (+100%, 50% allowed)
  test_agent.py::test_used  calls  1 → 2 (+100%, 50% allowed)
  test_agent.py::test_used  cost  $0.00021 → $0.00042 (+100%, 50% allowed)
"""


@pytest.fixture(scope="module")
def agents(module_suite):
    module_suite.write("test_agent.py", TESTS)
    return module_suite


@pytest.fixture(scope="module")
def stored(agents):
    return agents.run(BASELINE, "--llmtrace-update", "-k", "not later")


@pytest.fixture(scope="module")
def changed(agents, stored):
    return agents.run(BASELINE, "--llmtrace-tolerance=50%", CALLS="2")


def test_update_stores_shapes_and_what_tests_used(agents, stored):
    assert (stored.code, stored.block("LLM usage (costliest first)")) == (0, WRITTEN)
    assert agents.read(FILE) == "agent planner\n  llm gpt-4o-mini\n"
    assert [path.name for path in (agents.path / FILE).parent.iterdir() if path != agents.path / FILE] == [
        "test_shape[a_b]-cab8842b-2.txt"
    ]


def test_the_same_again_passes(agents, stored):
    ran = agents.run(BASELINE, "-k", "not later")
    assert (ran.code, ran.outcomes) == (0, {"passed": 3, "deselected": 1})


def test_a_shape_that_is_not_stored_fails_and_says_how_to_store_it(changed):
    assert changed.block("test_later") == MISSING


def test_another_shape_fails_with_the_difference(changed):
    assert changed.block("test_shape[a/b]") == CHANGED


def test_more_than_the_baseline_allows_fails_the_run(changed):
    assert (changed.code, changed.block("LLM usage (costliest first)")) == (1, MORE)
