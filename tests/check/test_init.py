"""`llmtrace init`: a rule file from a good run, which that run keeps to."""

import contextlib
import tomllib

from check_files import AGENT, folder, lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmtrace_otel.check import NotEvaluableError
from llmtrace_otel.check.rules.engine import check
from llmtrace_otel.check.rules.first import first_rules
from llmtrace_otel.check.rules.load import loads

assert folder  # the fixture


def test_budgets_allow_lists_and_loops_from_a_good_run(folder):
    folder.write("good.jsonl", lines(AGENT, "llm gpt-5 in=100 out=1 usd=0.001 end=2.3"))
    written = "llmtrace.toml written. Check a recording with: llmtrace check FILE\n"
    assert folder.run("init", "--from", "good.jsonl") == (0, "", written)
    assert (
        (folder.path / "llmtrace.toml").read_text()
        == """\
# Rules of `llmtrace check`, from 2 traces in good.jsonl.
# Lower what is too generous; run it with: llmtrace check FILE
version = 1

[defaults]
group = "trace"            # budgets and rules are about each: trace, session, file, or attr:KEY

[budget]                   # what one used at most, and a quarter more
cost = 0.029
tokens = 9_400
calls = 4
tools = 3
# duration = "7s", if no machine of yours is slower

[[rule]]
id = "models"
models = ["gpt-5", "gpt-5-mini"]
why = "another model costs and answers otherwise"

[[rule]]
id = "tools"
tools = ["delete_file", "search"]
why = "it was not called when all was well"

[[rule]]
id = "errors"
errors = "<=1"

[[rule]]
id = "loops"
loops = 3                  # the same step, given the same so often, is one
"""
    )
    names = "budget.cost, budget.tokens, budget.calls, budget.tools, models, tools, errors, loops"
    assert folder.run("check", "good.jsonl")[1].splitlines()[0] == f"ok   {names}"


def test_it_does_not_overwrite(folder):
    folder.write("good.jsonl", lines(AGENT))
    folder.write("llmtrace.toml", "mine")
    message = "llmtrace init: llmtrace.toml is there already; name another file with --output, or remove it\n"
    assert folder.run("init", "--from", "good.jsonl") == (2, "", message)
    assert (folder.path / "llmtrace.toml").read_text() == "mine"
    assert folder.run("init", "--from", "good.jsonl", "--output", "other.toml")[0] == 0


def test_what_nothing_can_be_learnt_from(folder):
    folder.write("good.jsonl", lines("process git"))
    message = "llmtrace init: good.jsonl: no LLM call is in it, so there is nothing to make rules of\n"
    assert folder.run("init", "--from", "good.jsonl") == (3, "", message)
    message = "llmtrace init: gone.jsonl: No such file or directory. Name files of OTLP-JSON lines\n"
    assert folder.run("init", "--from", "gone.jsonl") == (3, "", message)
    message = "llmtrace init: the recording is read more than once: name a file in place of -\n"
    assert folder.run("init", "--from", "-") == (2, "", message)
    folder.write("good.jsonl", lines(AGENT))
    message = "llmtrace init: no/r.toml: cannot be written: No such file or directory\n"
    assert folder.run("init", "--from", "good.jsonl", "--output", "no/r.toml") == (2, "", message)


def test_what_is_not_known_is_a_comment(folder):
    folder.write("good.jsonl", lines("llm acme/foo in=10 out=20"))
    assert folder.run("init", "--from", "good.jsonl")[0] == 0
    assert "# cost is not known: the cost of 1 of 1 call is unknown" in (folder.path / "llmtrace.toml").read_text()
    assert folder.run("check", "good.jsonl")[0] == 0


CALLS = st.builds(
    "llm {} in={} out={} usd={}".format,
    st.sampled_from(["m", "a*b", "[x]", 'q"u\\o', "ü\N{GRINNING FACE}"]),
    st.integers(0, 10**7),
    st.integers(0, 10**5),
    st.floats(0, 100).map(lambda usd: round(usd, 9)),
)
TOOLS = st.sampled_from(["tool t", 'tool t {"a": 1}', "tool s*[!] {} error=Boom", "agent a", "http GET error=500"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CALLS | TOOLS, min_size=1, max_size=6).map("\n".join), min_size=1, max_size=3))
def test_any_run_keeps_to_its_own_rules(tmp_path, texts):
    file = tmp_path / "good.jsonl"
    file.write_text(lines(*texts))
    problems = []
    with contextlib.suppress(NotEvaluableError):
        text = first_rules([str(file)], lambda *problem: problems.append(problem))
        assert tomllib.loads(text)["version"] == 1
        report = check(loads(text, "r.toml"), [str(file)], lambda *problem: problems.append(problem))
        assert [outcome.id for outcome in report.outcomes if outcome.status != "pass"] == []
    assert problems == []
