"""`llmtrace check` as people run it: where rules come from, what is read, exit codes."""

import errno
import gzip
import io
import json
import os
import sys
from functools import partial

import pytest
from check_files import AGENT, folder, lines

from llmtrace_otel.check.rules.engine import check
from llmtrace_otel.check.rules.keys import TABLES
from llmtrace_otel.check.rules.schema import FILE, schema_text

assert folder  # the fixture

CALL = "llm m in=10 out=20 usd=0.5"
KEPT = "ok   budget.calls\n1 passed · 1 trace\n"


def test_limits_need_no_rule_file(folder):
    folder.write("t.jsonl", lines(AGENT))
    limits = (
        "--max-cost",
        "0.05",
        "--max-tokens",
        "20k",
        "--max-calls",
        "10",
        "--max-tools",
        "6",
        "--max-duration",
        "30s",
    )
    names = "budget.cost, budget.tokens, budget.calls, budget.tools, budget.duration"
    assert folder.run("check", "t.jsonl", *limits) == (
        0,
        f"ok   {names}\n5 passed · 1 trace · prices 2026-11-18a\n",
        "",
    )


def test_an_option_replaces_the_limit_of_the_file(folder):
    assert folder.check("[budget]\ncalls = 0\n", CALL)[0] == 1
    assert folder.check("[budget]\ncalls = 0\n", CALL, options=["--max-calls", "1"]) == (0, KEPT)


def test_rules_of_a_pyproject(folder):
    folder.write("t.jsonl", lines(CALL))
    folder.write("pyproject.toml", "[tool.llmtrace.budget]\ncalls = 1\n")
    assert folder.run("check", "t.jsonl") == (0, KEPT, "")


@pytest.mark.parametrize("project", ['[project]\nname = "x"\n', "not toml", "tool = 3", "[tool]\nllmtrace = 3\n"])
def test_a_project_without_rules_is_no_rule_file(folder, project):
    folder.write("t.jsonl", lines(CALL))
    folder.write("pyproject.toml", project)
    code, out, err = folder.run("check", "t.jsonl")
    assert (code, out) == (2, "")
    assert err.startswith("llmtrace check: ")


def test_neither_rules_nor_limits(folder):
    folder.write("t.jsonl", lines(CALL))
    told = "give limits such as --max-cost 0.05, or write some with: llmtrace init --from FILE\n"
    assert folder.run("check", "t.jsonl") == (2, "", f"llmtrace check: there are no rules: {told}")
    folder.write("llmtrace.toml", "version = 1\n")
    assert folder.run("check", "t.jsonl") == (2, "", f"llmtrace check: llmtrace.toml has no rules: {told}")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "name a file of recorded spans, or - for standard input"),
        (("-", "-"), 2, "standard input can be read once: name - once"),
        (("gone.jsonl",), 3, "gone.jsonl: No such file or directory. Name files of OTLP-JSON lines"),
        (("t.jsonl", "--tolerance", "10%"), 2, "--tolerance is about a baseline: name one with --baseline FILE"),
        (("t.jsonl", "--baseline", "gone"), 3, "gone: No such file or directory. Name files of OTLP-JSON lines"),
        (("t.jsonl", "--explain", "budget.call"), 2, "there is no rule 'budget.call'; did you mean budget.calls?"),
        (
            ("t.jsonl", "--format", "json,text"),
            2,
            "json cannot share standard output; give it a file: --format json=FILE",
        ),
        (
            ("t.jsonl", "--format", "junit=no/where.xml"),
            2,
            "no/where.xml: cannot be written: No such file or directory",
        ),
    ],
)
def test_wrong_usage_is_told_in_a_line(folder, arguments, code, message):
    folder.write("t.jsonl", lines(CALL))
    assert folder.run("check", *arguments, "--max-calls", "1") == (code, "", f"llmtrace check: {message}\n")


def test_a_rule_file_that_is_not_there(folder):
    message = "llmtrace check: r.toml: No such file or directory. `llmtrace init --from FILE` writes rules\n"
    assert folder.run("check", "t.jsonl", "--rules", "r.toml") == (2, "", message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-cost", "much"), "argument --max-cost: cost='much': write a number such as cost=0.05, 0 or more"),
        (("--group", "spans"), "argument --group: write one of trace, session, file, attr:KEY"),
        (
            ("--format", "html"),
            "argument --format: 'html': write text, github, junit, json, markdown, or such as junit=re",
        ),
        (("--tolerance", "x"), "argument --tolerance: tolerance 'x': write a share such as 10% or 0.1, 0 or more"),
    ],
)
def test_a_wrong_value_of_an_option(folder, options, message):
    code, out, err = folder.run("check", "t.jsonl", *options)
    assert (code, out) == (2, "")
    assert message in err


def test_standard_input(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines(CALL).encode())))
    assert folder.run("check", "-", "--max-calls", "1") == (0, KEPT, "")


def test_a_trace_may_be_in_several_files_also_compressed_ones(folder):
    first, second = lines("agent a\n  " + CALL).splitlines(keepends=True)
    folder.write("a.jsonl", first)
    folder.write("b.jsonl.gz", gzip.compress(second.encode()))
    assert folder.run("check", "a.jsonl", "b.jsonl.gz", "--max-calls", "1") == (0, KEPT, "")


def test_a_file_whose_name_is_not_utf_8(folder, monkeypatch):
    name = os.fsdecode(b"caf\xe9.jsonl")
    folder.write(name, lines(*[CALL] * 9))
    monkeypatch.setattr("llmtrace_otel.cli.check.check", partial(check, held=4))
    told = folder.run("check", name, "--max-calls", "0", "--group", "file", "--format", "text,json=r.json")
    assert told == (1, "FAIL budget.calls   file caf�.jsonl   9 > 0 (none allowed)\n1 failed · 1 file\n", "")


def test_a_full_disk_is_told(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    folder.write("t.jsonl", lines(CALL))
    monkeypatch.setattr("llmtrace_otel.cli.check.check", full)
    message = (
        "llmtrace check: spans could not be read or put away: No space left on device. Free space for temporary files, "
        "or name another place in TMPDIR\n"
    )
    assert folder.run("check", "t.jsonl", "--max-calls", "1") == (3, "", message)


def test_what_cannot_be_read_is_told_and_the_rest_judged(folder):
    folder.write("t.jsonl", "{damaged\n" * 7 + lines(CALL))
    code, out, err = folder.run("check", "t.jsonl", "--max-calls", "1")
    assert (code, out) == (3, "ok   budget.calls\n1 passed · 1 trace · 7 lines could not be read\n")
    assert err.splitlines()[0] == (
        "llmtrace check: t.jsonl: line 1: not JSON (JSON is malformed: object keys must be strings (byte 1))"
    )
    assert err.splitlines()[5:] == ["llmtrace check: and 2 more"]


@pytest.mark.parametrize(("most", "code", "result"), [("1", 3, "error"), ("0", 1, "fail")])
def test_lines_that_cannot_be_read_are_no_pass_and_no_excuse(folder, most, code, result):
    folder.write("t.jsonl", lines(CALL) + lines(CALL)[:50])
    told, out, _ = folder.run("check", "t.jsonl", "--max-calls", most, "--format", "json")
    report = json.loads(out)
    assert (told, report["result"], report["unread"]) == (code, result, 1)


def test_nothing_readable_cannot_be_told(folder):
    folder.write("t.jsonl", "damaged\n")
    code, _, err = folder.run("check", "t.jsonl", "--max-calls", "1")
    assert code == 3
    assert err.splitlines()[-1] == (
        "llmtrace check: no spans in t.jsonl: none of its lines is a readable line of OTLP-JSON traces"
    )


def test_no_spans_are_no_pass_unless_they_are_said_to_be(folder):
    folder.write("t.jsonl", "")
    code, _, err = folder.run("check", "t.jsonl", "--max-calls", "1")
    assert (code, err) == (3, "llmtrace check: no spans in t.jsonl: it is empty\n")
    folder.write("llmtrace.toml", '[defaults]\non_no_spans = "pass"\n')
    assert folder.run("check", "t.jsonl", "--max-calls", "1") == (0, "ok   budget.calls\n1 passed · 0 traces\n", "")
    folder.write("t.jsonl", "damaged\n")
    assert folder.run("check", "t.jsonl", "--max-calls", "1")[0] == 3


NO_CALLS = 'no LLM call is in it; if that is right, set on_no_spans = "pass" in [defaults]'


def test_a_budget_of_nothing_is_no_pass(folder):
    told = f"???? budget.cost   {NO_CALLS}\n1 not evaluable · 1 trace\n"
    assert folder.check("[budget]\ncost = 1\n", "process git") == (3, told)


def test_no_destructive_tools_among_no_tools_and_no_calls_is_no_pass(folder):
    rules = '[[rule]]\nid = "r"\nmatch = "tool delete_*"\ncount = 0\n'
    assert folder.check(rules, "process git") == (3, f"???? r   {NO_CALLS}\n1 not evaluable · 1 trace\n")
    assert folder.check(rules, "tool delete_all")[0] == 1


def test_what_is_broken_for_sure_goes_before_what_cannot_be_told(folder):
    rules = '[budget]\ncalls = 0\n[[rule]]\nid = "r"\nmatch = "tool t"\nerrors = 0\n'
    assert folder.check(rules, CALL)[0] == 1


def test_a_baseline_that_is_kept_and_one_that_is_not(folder):
    folder.write("old.jsonl", lines("llm gpt-5 in=100 out=20 provider=openai usd=0.5"))
    folder.write("t.jsonl", lines("llm gpt-5 in=200 out=20 provider=openai usd=0.5"))
    code, out, err = folder.run("check", "t.jsonl", "--baseline", "old.jsonl")
    assert (code, err) == (1, "")
    assert out.splitlines()[0] == "FAIL baseline   all   tokens  120 → 220 (+83.3%, 10% allowed)"
    assert out.splitlines()[-1] == "1 failed · 1 trace"
    same = folder.run("check", "t.jsonl", "--baseline", "old.jsonl", "--tolerance", "100%")
    assert same == (0, "ok   baseline\n1 passed · 1 trace\n", "")


def test_a_baseline_of_the_rules_warns_unless_it_is_to_fail(folder):
    folder.write("old.jsonl", lines("llm m in=10 out=10 usd=0.5"))
    text = "llm m in=20 out=10 usd=0.5"
    rules = '[baseline]\nfile = "old.jsonl"\n'
    assert folder.check(rules, text)[0] == 0
    assert folder.check(rules + 'level = "error"\n', text)[0] == 1


def test_explain_says_what_a_rule_asks_for(folder):
    rules = """\
[budget]
cost = 0.05
[[rule]]
id = "r"
match = "llm gpt-5*"
where = { agent = "planner" }
tokens = "<=20k"
level = "warn"
why = "long prompts are slow"
[[tree]]
name = "t"
shape = "agent *"
"""
    folder.write("llmtrace.toml", rules)
    assert (
        folder.run("check", "--explain", "r")[1]
        == """\
r (llmtrace.toml:3)
  of the steps that match llm gpt-5*
  with agent = planner
  tokens <=20k: Input and output tokens of those calls.
  level warn – long prompts are slow
  judged for each trace
"""
    )
    assert (
        folder.run("check", "--explain", "budget.cost")[1]
        == """\
budget.cost (llmtrace.toml:2)
  at most $0.05: USD.
  judged for each trace
"""
    )
    assert (
        folder.run("check", "--explain", "t")[1]
        == """\
t (llmtrace.toml:10)
  tree: The steps of every group, indented; `...` for any others.
  level error
  judged for each trace
"""
    )


def test_the_schema_that_is_shipped_is_the_one_that_is_printed(folder):
    assert folder.run("check", "--schema") == (0, schema_text(), "")
    assert FILE.read_text("utf-8") == schema_text()


RULES = """\
version = 1
[defaults]
group = "attr:user.id"
[budget]
cost = 0.05
tokens = "20k"
[[rule]]
id = "r"
match = "llm *"
count = 3
errors = "<=1"
models = ["gpt-*"]
[[tree]]
name = "t"
shape = "agent *"
[prices."acme/foo"]
input = 1
"""


def test_the_schema_takes_what_the_loader_takes_and_refuses_what_it_refuses():
    import tomllib

    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(json.loads(schema_text()))
    Draft202012Validator.check_schema(json.loads(schema_text()))
    assert list(validator.iter_errors(tomllib.loads(RULES))) == []
    for wrong in (
        "version = 2",
        "[budgte]",
        "[budget]\ncots = 1",
        '[[rule]]\nid = "r"\nmodels = "x"',
        '[defaults]\ngroup = "x"',
    ):
        assert list(validator.iter_errors(tomllib.loads(wrong))) != [], wrong


def test_the_reference_has_every_key():
    reference = (FILE.parents[3] / "docs" / "rules.md").read_text("utf-8")
    rows = [f"| `{name}` | {key.doc} |" for keys in TABLES.values() for name, key in keys.items()]
    assert [row for row in rows if row not in reference] == []
