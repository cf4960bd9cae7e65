"""What a failing test shows, in the terminal, under pytest-xdist, and in JUnit's XML."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

TESTS = """
import atexit, os, subprocess, sys, unittest
import httpx, pytest
from asking import ask
from llmtrace_otel import agent

def test_plain_assert(llmtrace):
    ask(output=1000)
    assert llmtrace.llm.cost <= 0.0001

def test_that_fails_for_another_reason(llmtrace):
    with agent("planner"):
        ask()
    assert 41 == 42

def test_tree(llmtrace):
    ask()
    llmtrace.assert_tree("llm gpt-5*")

def test_without_spans(llmtrace):
    assert llmtrace.llm.count == 0

def test_without_price(llmtrace):
    ask("acme-1")
    assert llmtrace.cost < 1

@pytest.mark.llm_budget(cost=0.001, tokens=2_000, calls=1)
def test_budget():
    ask(); ask()

@pytest.mark.llm_budget(calls=1)
def test_that_fails_over_budget():
    ask(); ask()
    assert 1 == 2

@pytest.mark.llm_budget(cost=1)
def test_budget_without_price():
    ask("acme-1")

@pytest.mark.llm_budget(cost=1)
def test_budget_of_nothing():
    pass

@pytest.mark.llm_budget(tokns=2_000)
def test_unknown_limit():
    ask()

@pytest.mark.llm_budget(0.05)
def test_limit_without_name():
    ask()

@pytest.fixture
def broken():
    ask()
    raise ValueError("broken")

def test_setup(llmtrace, broken):
    pass

@pytest.fixture
def left_broken():
    yield
    ask()
    raise ValueError("left broken")

def test_teardown(llmtrace, left_broken):
    pass

class TestOld(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _given(self, llmtrace):
        self.llmtrace = llmtrace

    def test_case(self):
        ask()
        self.assertEqual(self.llmtrace.llm.count, 2)

    def test_empty_case(self):
        self.assertEqual(self.llmtrace.llm.count, 0)

def test_command(llmtrace_run):
    ran = llmtrace_run([sys.executable, "asking.py"])
    assert ran.returncode == 1

def test_long_command(llmtrace_run):
    llmtrace_run("sleep 60", timeout=0.1)

def test_unknown_kind(llmtrace):
    ask()
    assert llmtrace.where(kind="tools").count == 0

def test_unreadable_tree(llmtrace):
    ask()
    llmtrace.assert_tree("lm gpt-4o-mini")

def test_stream_left_open(llmtrace):
    left_open()
    assert llmtrace.llm.count == 0

@pytest.mark.llm_budget(calls=0)
def test_budget_with_a_stream_left_open():
    left_open()

def left_open():
    client = httpx.Client()
    body = {"model": "gpt-4o-mini", "messages": [], "stream": True}
    request = client.build_request("POST", os.environ["OPENAI_BASE_URL"] + "/chat/completions", json=body)
    answer = client.send(request, stream=True)
    atexit.register(client.close)
    atexit.register(answer.close)
"""
WHY_NOTHING = (
    "the test, its threads and its child processes made no LLM call by httpx, httpx2, LiteLLM, boto3 or websockets; "
    "is the client mocked, or does it use another library?"
)
NOT_ENDED = "1 call not ended: 'chat gpt-4o-mini'; read the stream to its end, or close it"
NO_PRICE = "the cost of 1 of 1 call is unknown: no price, or no token counts, for 'acme-1'; price it in LLMTRACE_PRICES"
ONE_CALL = """---------------------------------- LLM trace -----------------------------------
llm gpt-4o-mini  1000→100 tok  $0.00021
"""
BLOCKS = {
    "test_plain_assert": """
test_agent.py:9: in test_plain_assert
    assert llmtrace.llm.cost <= 0.0001
E   assert 0.00075 <= 0.0001
E    +  where 0.00075 = <1 llm calls: gpt-4o-mini>.cost
E    +    where <1 llm calls: gpt-4o-mini> = <trace of 1 span>.llm
---------------------------------- LLM trace -----------------------------------
llm gpt-4o-mini  1000→1000 tok  $0.00075
""",
    "test_that_fails_for_another_reason": """
test_agent.py:14: in test_that_fails_for_another_reason
    assert 41 == 42
E   assert 41 == 42
---------------------------------- LLM trace -----------------------------------
agent planner
└─ llm gpt-4o-mini  1000→100 tok  $0.00021
""",
    "test_without_spans": f"""
test_agent.py:21: in test_without_spans
    assert llmtrace.llm.count == 0
E   llmtrace_otel.check.errors.NotEvaluableError: no spans were recorded: {WHY_NOTHING}
""",
    "test_without_price": f"""
test_agent.py:25: in test_without_price
    assert llmtrace.cost < 1
E   llmtrace_otel.check.errors.NotEvaluableError: {NO_PRICE}, or assert on .tokens
---------------------------------- LLM trace -----------------------------------
llm acme-1  1000→100 tok  ?
""",
    "test_budget": """
LLM budget exceeded
  tokens  2,200 > 2,000  (+10%)
  calls       2 > 1      (+100%)
---------------------------------- LLM trace -----------------------------------
llm gpt-4o-mini  1000→100 tok  $0.00021
llm gpt-4o-mini  1000→100 tok  $0.00021
""",
    "test_that_fails_over_budget": """
test_agent.py:34: in test_that_fails_over_budget
    assert 1 == 2
E   assert 1 == 2
---------------------------------- LLM trace -----------------------------------
llm gpt-4o-mini  1000→100 tok  $0.00021
llm gpt-4o-mini  1000→100 tok  $0.00021
----------------------------- LLM budget exceeded ------------------------------
calls  2 > 1  (+100%)
""",
    "test_budget_without_price": f"""
LLM budget cannot be evaluated
  {NO_PRICE}
---------------------------------- LLM trace -----------------------------------
llm acme-1  1000→100 tok  ?
""",
    "test_budget_of_nothing": f"""
LLM budget cannot be evaluated
  no LLM call was recorded; llm_budget(calls=0) is how to say that there must be none
  {WHY_NOTHING}
""",
    "ERROR at setup of test_unknown_limit": """
llm_budget: there is no limit 'tokns'; did you mean tokens?
""",
    "ERROR at setup of test_limit_without_name": """
llm_budget: limits go by name, such as llm_budget(cost=0.05, tokens=20_000)
""",
    "ERROR at setup of test_setup": f"""
test_agent.py:55: in broken
    raise ValueError("broken")
E   ValueError: broken
{ONE_CALL}""",
    "ERROR at teardown of test_teardown": f"""
test_agent.py:64: in left_broken
    raise ValueError("left broken")
E   ValueError: left broken
{ONE_CALL}""",
    "TestOld.test_case": f"""
test_agent.py:76: in test_case
    self.assertEqual(self.llmtrace.llm.count, 2)
E   AssertionError: 1 != 2
{ONE_CALL}""",
    "TestOld.test_empty_case": f"""
test_agent.py:79: in test_empty_case
    self.assertEqual(self.llmtrace.llm.count, 0)
E   llmtrace_otel.check.errors.NotEvaluableError: no spans were recorded: {WHY_NOTHING}
""",
    "test_command": f"""
test_agent.py:83: in test_command
    assert ran.returncode == 1
E   assert 0 == 1
E    +  where 0 = <ran {sys.executable} asking.py: exit code 0>.returncode
---------------------------------- LLM trace -----------------------------------
process {Path(sys.executable).name}
└─ llm gpt-4o-mini  1000→100 tok  $0.00021
""",
    "test_long_command": """
test_agent.py:86: in test_long_command
    llmtrace_run("sleep 60", timeout=0.1)
E   subprocess.TimeoutExpired: Command 'sleep 60' timed out after 0.1 seconds
---------------------------------- LLM trace -----------------------------------
process sh ✗ SIGKILL
""",
    "test_unknown_kind": f"""
test_agent.py:90: in test_unknown_kind
    assert llmtrace.where(kind="tools").count == 0
E   llmtrace_otel.check.errors.RuleError: there is no kind 'tools'; did you mean tool?
{ONE_CALL}""",
    "test_unreadable_tree": f"""
test_agent.py:94: in test_unreadable_tree
    llmtrace.assert_tree("lm gpt-4o-mini")
E   llmtrace_otel.check.errors.RuleError: line 1: 'lm' is no kind of step; did you mean llm?: 'lm gpt-4o-mini'
{ONE_CALL}""",
    "test_stream_left_open": f"""
test_agent.py:98: in test_stream_left_open
    assert llmtrace.llm.count == 0
E   llmtrace_otel.check.errors.NotEvaluableError: no spans were recorded: {NOT_ENDED}
""",
    "test_budget_with_a_stream_left_open": f"""
LLM budget cannot be evaluated
  {NOT_ENDED}
""",
}
USAGE = """
    $0.00075   2,000 tokens    1 call  test_agent.py::test_plain_assert
    $0.00042   2,200 tokens   2 calls  test_agent.py::test_budget
    $0.00042   2,200 tokens   2 calls  test_agent.py::test_that_fails_over_budget
    $0.00021   1,100 tokens    1 call  test_agent.py::TestOld::test_case
    $0.00021   1,100 tokens    1 call  test_agent.py::test_command
    $0.00021   1,100 tokens    1 call  test_agent.py::test_setup
    $0.00021   1,100 tokens    1 call  test_agent.py::test_teardown
    $0.00021   1,100 tokens    1 call  test_agent.py::test_that_fails_for_another_reason
    $0.00021   1,100 tokens    1 call  test_agent.py::test_tree
    $0.00021   1,100 tokens    1 call  test_agent.py::test_unknown_kind
    $0.00021   1,100 tokens    1 call  test_agent.py::test_unreadable_tree
   $0.00 + ?   1,100 tokens    1 call  test_agent.py::test_budget_without_price
   $0.00 + ?   1,100 tokens    1 call  test_agent.py::test_without_price
$0.00327 + ?  17,400 tokens  15 calls  in all
--llmtrace-budget exceeded
  calls  15 > 14  (+7%)
"""


@pytest.fixture(scope="module", params=[(), ("-p", "xdist", "-n2")], ids=["alone", "-n2"])
def ran(request, module_suite):
    module_suite.write("test_agent.py", TESTS)
    (module_suite.path / "tmp").mkdir(exist_ok=True)
    return module_suite.run(
        "--junitxml=junit.xml", "--llmtrace-budget=calls=14", *request.param, TMPDIR=str(module_suite.path / "tmp")
    )


@pytest.fixture
def junit(ran, module_suite):
    """JUnit's test cases by name."""
    tree = ElementTree.parse(module_suite.path / "junit.xml")
    return {case.get("name"): case for case in tree.iter("testcase")}


def test_every_failure_fails(ran):
    assert (ran.code, ran.outcomes) == (1, {"failed": 17, "passed": 1, "errors": 4})


def test_no_span_is_left_behind_even_if_it_ends_after_the_last_test(ran, module_suite):
    assert list((module_suite.path / "tmp").rglob("*.jsonl")) == []


@pytest.mark.parametrize("test", BLOCKS)
def test_a_failure_shows_what_was_asked_and_what_was_done(ran, test):
    assert ran.block(test) == BLOCKS[test]


def test_a_trace_that_the_failure_shows_already_is_not_shown_again(ran):
    shown = ran.block("test_tree")
    assert (shown.count("llm gpt-4o-mini"), "LLM trace" in shown) == (1, False)


def test_the_run_ends_with_what_its_tests_used(ran):
    assert ran.block("LLM usage (costliest first)") == USAGE


def test_junit_has_what_a_test_used_and_what_it_did(junit):
    told = {entry.get("name"): entry.get("value") for entry in junit["test_budget"].iter("property")}
    assert told == {"llmtrace.calls": "2", "llmtrace.tokens": "2200", "llmtrace.cost_usd": "0.00042"}
    assert junit["test_budget"].find("failure").text + "\n" == BLOCKS["test_budget"][1:]
    assert ONE_CALL[:-1] in junit["test_setup"].find("error").text


def test_junit_leaves_out_what_is_not_known(junit):
    told = {entry.get("name"): entry.get("value") for entry in junit["test_without_price"].iter("property")}
    assert told == {"llmtrace.calls": "1", "llmtrace.tokens": "1100"}
