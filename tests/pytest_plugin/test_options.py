"""The plugin's options and ini values: what they do, and what is said of a mistake in them."""

from __future__ import annotations

import pytest

TESTS = """
import os
import pytest
from asking import ask

def test_recorded(llmtrace):
    ask()
    assert llmtrace.llm.count == 1

@pytest.mark.llm_budget(calls=1)
def test_marked():
    ask(); ask()

def test_plain():
    ask()
"""
OVER_INI_BUDGET = """
LLM budget exceeded
  tokens  1,100 > 1,000  (+10%)
---------------------------------- LLM trace -----------------------------------
llm gpt-4o-mini  1000→100 tok  $0.00021
"""
OVER_BUDGET_OF_RUN = """
$0.00021  1,100 tokens  1 call  test_agent.py::test_recorded
$0.00021  1,100 tokens  1 call  in all
--llmtrace-budget exceeded
  cost  $0.00021 > $0.0002  (+5%)
"""
SUMMARY = """### LLM usage

| test | cost | tokens | calls |
|---|--:|--:|--:|
| `test_agent.py::test_marked` | $0.00042 | 2,200 | 2 |
| `test_agent.py::test_recorded` | $0.00021 | 1,100 | 1 |
| `in all` | $0.00063 | 3,300 | 3 |

```
--llmtrace-budget exceeded
  calls  3 > 2  (+50%)
```

"""


@pytest.fixture
def agents(suite):
    suite.write("test_agent.py", TESTS)
    return suite


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--llmtrace-budget=cst=1"], "--llmtrace-budget: there is no limit 'cst'; did you mean cost?"),
        (["-o", "llmtrace_budget=cost"], "llmtrace_budget: 'cost' is no limit; write name=value, such as cost=0.05"),
        (
            ["--llmtrace-tolerance=10%"],
            "--llmtrace-tolerance is that of a baseline; name one by --llmtrace-baseline FILE",
        ),
        (
            ["--llmtrace-baseline=asking.py", "--llmtrace-tolerance=ten"],
            "--llmtrace-tolerance: tolerance 'ten': write a share such as 10% or 0.1, 0 or more",
        ),
        (
            ["--llmtrace-baseline=none.json"],
            "--llmtrace-baseline: there is no {path}/none.json; --llmtrace-update writes it",
        ),
        (
            ["--llmtrace-baseline=pytest.ini"],
            "--llmtrace-baseline: {path}/pytest.ini, line 1: no JSON: Expecting value; "
            "restore it, or delete it and record it anew",
        ),
        (["--llmtrace-budget="], "--llmtrace-budget: a budget without a limit; write one such as cost=0.05 tokens=20k"),
        (["--llmtrace-baseline="], "--llmtrace-baseline: {path}: Is a directory"),
        (["--llmtrace-out=."], "--llmtrace-out '.' is where the tests are; name another, such as spans"),
        (["--llmtrace-out=pytest.ini"], "--llmtrace-out {path}/pytest.ini: File exists"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_before_any_test_runs(suite, options, message, monkeypatch, capfd):
    monkeypatch.chdir(suite.path)
    code = pytest.main(["-c", "pytest.ini", *options])
    assert (code, *capfd.readouterr()) == (4, "", f"ERROR: {message.format(path=suite.path)}\n\n")


def test_off_skips_tests_with_a_fixture_and_checks_no_budget(agents):
    ran = agents.run("--llmtrace=off", "--llmtrace-budget=nonsense")
    assert (ran.code, ran.outcomes) == (0, {"passed": 2, "skipped": 1})


def test_all_records_every_test_with_the_budget_and_the_content_that_ini_values_say(suite):
    suite.write(
        "test_agent.py",
        """
        from asking import ask
        def test_idle(): pass
        def test_plain(): ask()
        def test_content(llmtrace):
            ask(input=1)
            llmtrace.llm.one().input
        """,
    )
    ran = suite.run("--llmtrace=all", "-o", "llmtrace_budget=tokens=1k", "-o", "llmtrace_content=false")
    assert (ran.code, ran.outcomes) == (1, {"passed": 1, "failed": 2})
    assert ran.block("test_plain") == OVER_INI_BUDGET
    assert "the input messages of llm gpt-4o-mini are not recorded" in ran.block("test_content")


def test_the_budget_of_the_run_fails_it_though_all_tests_pass(agents):
    ran = agents.run("--llmtrace-budget=cost=0.0002 tokens=1M", "-k", "recorded")
    assert (ran.code, ran.outcomes) == (1, {"passed": 1, "deselected": 2})
    assert ran.block("LLM usage (costliest first)") == OVER_BUDGET_OF_RUN


def test_a_budget_of_a_run_without_calls_says_so(agents):
    ran = agents.run("--llmtrace-budget=cost=1", "-k", "plain")
    assert (ran.code, ran.out.splitlines()[1:-1]) == (
        0,
        ["--llmtrace-budget: no test that was recorded made an LLM call"],
    )


def test_github_is_told_of_failures_and_usage(agents):
    ran = agents.run(
        "--llmtrace-budget=calls=2",
        GITHUB_ACTIONS="true",
        GITHUB_WORKSPACE=str(agents.path.parent),
        GITHUB_STEP_SUMMARY=str(agents.path / "summary.md"),
    )
    (line,) = [line for line in ran.out.splitlines() if line.startswith("::")]
    path = f"{agents.path.name}/test_agent.py"
    assert (
        line
        == f"::error file={path},line=10,title=test_marked::Failed: LLM budget exceeded%0A  calls  2 > 1  (+100%25)"
    )
    assert agents.read("summary.md") == SUMMARY


def test_without_the_plugin_other_tests_run(suite):
    suite.write("test_agent.py", "def test_recorded(llmtrace): pass\ndef test_plain(): pass\n")
    ran = suite.run("-p", "no:llmtrace")
    assert (ran.code, ran.outcomes) == (1, {"passed": 1, "error": 1})
    assert "fixture 'llmtrace' not found" in ran.out


def test_tests_that_do_not_use_it_load_nothing_of_it(suite):
    suite.write(
        "test_plain.py",
        """
        import sys
        def test_plain():
            heavy = ("llmtrace_otel", "opentelemetry", "msgspec", "rich")
            loaded = {name for name in sys.modules if name.startswith(heavy)}
            assert loaded == {"llmtrace_otel", "llmtrace_otel.pytest_plugin"}
        """,
    )
    assert suite.run().outcomes == {"passed": 1}


def test_with_a_recording_each_test_is_answered_from_its_start(suite, provider):
    suite.write("test_agent.py", "from asking import ask\ndef test_one(): ask(), ask()\ndef test_two(): ask()\n")
    recorded = suite.run(LLMTRACE_RECORD="recording")
    replayed = suite.run(LLMTRACE_REPLAY="recording")
    assert (recorded.outcomes, replayed.outcomes, len(provider.requests)) == ({"passed": 2}, {"passed": 2}, 3)
