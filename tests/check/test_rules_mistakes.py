"""What is said of a rule file that has a mistake: file, line, key, what to write instead."""

import contextlib

import pytest
from check_files import folder
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtrace_otel.check import RuleError
from llmtrace_otel.check.rules.keys import TABLES
from llmtrace_otel.check.rules.lines import positions
from llmtrace_otel.check.rules.load import load, loads

assert folder  # the fixture

KINDS = "agent, workflow, llm, tool, embed, fetch, process, http, span, *"
ASKED = "count, before, after, cost, tokens, cached_ratio, duration_max, duration_p95, errors, models, tools, loops"


def rule(text):
    return f'[[rule]]\nid = "r"\n{text}'


MISTAKES = {
    "version = 2": "1: version = 2: write 1, the only one there is",
    "version = true": "1: version = true: write 1, the only one there is",
    "[budgte]\ncost = 1": '1: there is no table "budgte"; did you mean budget?',
    "[zzz]": '1: there is no table "zzz"; there are version, defaults, budget, rule, tree, baseline, prices',
    "[budget]\ncots = 1": '2: [budget]: there is no key "cots"; did you mean cost?',
    '[budget]\ncost = "a lot"': '2: [budget]: cost = "a lot": write US dollars such as 0.05',
    "[budget]\ncost = nan": "2: [budget]: cost = nan: write US dollars such as 0.05",
    "[budget]\ntokens = 1.5": '2: [budget]: tokens = 1.5: write a whole number such as 20_000 or "20k"',
    "[budget]\ncalls = true": "2: [budget]: calls = true: write a whole number such as 10",
    "[budget]\ntools = -1": "2: [budget]: tools = -1: write a whole number such as 6",
    '[budget]\n\n# time\nduration = "3 parsecs"': (
        '4: [budget]: duration = "3 parsecs": write seconds, or text such as "30s" or "5m"'
    ),
    "budget = 3": "1: budget is a number, not a table: write [budget]",
    "rule = 2020-01-01": "1: rule is a date or time, not a list of tables: write [[rule]]",
    '[rule]\nid = "x"': "1: rule is a table, not a list of tables: write [[rule]]",
    '[[defaults]]\ngroup = "x"': "1: defaults is a list, not a table: write [defaults]",
    '[defaults]\ngroup = "spans"': '2: [defaults]: group = "spans": write one of trace, session, file, attr:KEY',
    "[defaults]\nfail_on = 3": "2: [defaults]: fail_on = 3: write one of error, warn",
    rule(""): f'1: [[rule]] "r": it asks for nothing; add one of {ASKED}',
    rule("conut = 0"): '3: [[rule]] "r": there is no key "conut"; did you mean count?',
    rule("count = 0"): '3: [[rule]] "r": count of what? Add match = "llm *", or another kind and name',
    rule('match = "tol x"\ncount = 0'): (
        '3: [[rule]] "r": match = "tol x": write a kind and a glob of the name, such as "tool delete_*"; '
        f"kinds are {KINDS}"
    ),
    rule('match = "llm"\ncount = "many"'): (
        '4: [[rule]] "r": count = "many": write a number, or a range such as ">=1" or "1..3"'
    ),
    rule('match = "llm"\ncount = "3..1"'): (
        '4: [[rule]] "r": count = "3..1": write a number, or a range such as ">=1" or "1..3"'
    ),
    rule('match = "llm"\ncost = 0.05'): (
        '4: [[rule]] "r": cost = 0.05: write a range such as "<=0.05" or "0.01..0.05"'
    ),
    rule('match = "llm"\ncached_ratio = ">=5"'): (
        '4: [[rule]] "r": cached_ratio = ">=5": write a range such as ">=0.5" or ">=50%"'
    ),
    rule('models = "gpt"'): '3: [[rule]] "r": models = "gpt": write a list of globs, such as ["gpt-5*", "claude-*"]',
    rule("loops = 1"): '3: [[rule]] "r": loops = 1: write how often the same step is a loop: 2 or more',
    rule('loops = 3\nmatch = "llm"'): '4: [[rule]] "r": loops are looked for everywhere; leave out match',
    rule('errors = 0\nwhere = { modle = "x" }'): (
        "4: [[rule]] \"r\": where = {'modle': 'x'}: 'modle' is neither agent, error, model, provider, session nor an "
        "attribute in quotes; did you mean model?"
    ),
    rule("errors = 0\nwhere = { model = 3 }"): "4: [[rule]] \"r\": where = {'model': 3}: model: write a glob",
    rule('errors = 0\nlevel = "fatal"'): '4: [[rule]] "r": level = "fatal": write one of error, warn',
    rule("errors = 0\nwhy = ''"): '4: [[rule]] "r": why = "": write text in quotes',
    rule('errors = 0\nallow_empty = "yes"'): '4: [[rule]] "r": allow_empty = "yes": write true or false',
    "[[rule]]\nloops = 3": '1: [[rule]]: id is missing; write id = "…"',
    rule("loops = 3\n\n") + rule("errors = 0"): '1: "r" names 2 rules; name each its own way',
    '[[rule]]\nid = "budget.cost"\nloops = 3': '1: "budget.cost" is the name of a limit; choose another',
    '[[tree]]\nname = "t"': '1: [[tree]] "t": shape is missing; write shape = "…"',
    '[[tree]]\nname = "t"\nshape = " "': '3: [[tree]] "t": shape = " ": write lines of text between """',
    "[baseline]\nfile = 3": "2: [baseline]: file = 3: write text in quotes",
    '[baseline]\nfile = "a"\ntolerance = "x"': '3: [baseline]: tolerance = "x": write a share such as "10%" or 0.1',
    "prices = 3": '1: prices: write [prices."model"] with input and output, USD per million tokens',
    '[prices."m"]\ninptu = 3': '1: prices."m": nothing is called `inptu`',
    "[budget]\ncost = ": "2: not TOML: Invalid value",
    "[budget\ncost = 1": "1:8: not TOML: Expected ']' at the end of a table declaration",
    '[budget]\ncost = "\\u001b[2J"': '2: [budget]: cost = "�[2J": write US dollars such as 0.05',
}


@pytest.mark.parametrize(("content", "message"), MISTAKES.items())
def test_a_mistake_is_told_with_its_place_and_its_remedy(content, message):
    with pytest.raises(RuleError) as raised:
        loads(content, "llmtrace.toml")
    assert str(raised.value) == f"llmtrace.toml:{message}"


def test_a_mistake_in_a_tree_names_the_line_of_the_key_and_that_of_the_tree():
    with pytest.raises(RuleError, match=r'^r\.toml:3: \[\[tree\]\] "t": shape = "agnet x ": line 1: .*mean agent'):
        loads('[[tree]]\nname = "t"\nshape = """\nagnet x\n"""', "r.toml")


@pytest.mark.parametrize("value", ["[" * 3000 + "]" * 3000, "9" * 5000])
def test_a_value_beyond_reason_is_refused(value):
    with pytest.raises(RuleError, match=r"^r\.toml: values are nested too deeply, or too long, for a rule file$"):
        loads(f"x = {value}", "r.toml")


def test_the_command_tells_a_mistake_in_one_line(folder):
    folder.write("llmtrace.toml", "[budget]\ncots = 1\n")
    message = 'llmtrace check: llmtrace.toml:2: [budget]: there is no key "cots"; did you mean cost?\n'
    assert folder.run("check", "t.jsonl") == (2, "", message)


def test_text_that_is_not_utf_8(folder):
    folder.write("r.toml", b"# caf\xe9\n")
    assert folder.run("check", "t.jsonl", "--rules", "r.toml")[2] == (
        "llmtrace check: r.toml: not UTF-8 text (byte 5)\n"
    )


def test_in_a_pyproject_the_lines_are_those_of_the_whole_file(folder):
    folder.write("pyproject.toml", '[project]\nname = "x"\n\n[tool.llmtrace.budget]\ncots = 1\n')
    message = 'llmtrace check: pyproject.toml:5: [budget]: there is no key "cots"; did you mean cost?\n'
    assert folder.run("check", "t.jsonl") == (2, "", message)


def test_lines_of_keys():
    content = '''\
version = 1
budget.cost = 1
[[rule]]
id = "a"
why = """
count = 3
"""
[[rule]]
"id" = 'b'
[rule.where]
"gen_ai.tool.type" = "x"
'''
    assert positions(content) == {
        ("version",): 1,
        ("budget", "cost"): 2,
        ("rule", 0): 3,
        ("rule", 0, "id"): 4,
        ("rule", 0, "why"): 5,
        ("rule", 1): 8,
        ("rule", 1, "id"): 9,
        ("rule", 1, "where"): 10,
        ("rule", 1, "where", "gen_ai.tool.type"): 11,
    }


NUMBERS = ["0", "-1", "1.5", "nan", "inf", "true", "1979-05-27", "07:32:00", "9" * 30]
TEXTS = ['""', '"x"', '">=1"', '"1..3"', '"<2s"', '"llm"', '"trace"', '"error"', '"agent\\n"']
NESTED = ["[]", '["a"]', "[[]]", "{}", '{ model = "x" }', '{ "a.b" = 1 }']
SCALARS = st.sampled_from(NUMBERS + TEXTS + NESTED) | st.text(max_size=8).map(
    lambda text: '"' + "".join(f"\\U{ord(char):08x}" for char in text) + '"'
)
NAMES = sorted({"version", "prices", '"a.b"', "x", *TABLES, *(key for keys in TABLES.values() for key in keys)})
HEADERS = [f"[{name}]" for name in NAMES] + [f"[[{name}]]" for name in NAMES] + ["[prices.m]", "[rule.where]", "[a.b]"]
LINES = st.sampled_from(HEADERS) | st.builds("{} = {}".format, st.sampled_from(NAMES), SCALARS)


@settings(max_examples=400)
@given(st.lists(LINES, max_size=10).map("\n".join))
def test_any_file_gives_rules_or_says_where_it_is_wrong(content):
    with contextlib.suppress(RuleError):
        loads(content, "r.toml")
        return
    with pytest.raises(RuleError, match=r"^r\.toml:\d+:"):
        loads(content, "r.toml")


@settings(max_examples=200)
@given(table=st.sampled_from(sorted(TABLES)), value=SCALARS, data=st.data())
def test_any_value_of_any_key_is_read_or_refused(table, value, data):
    key = data.draw(st.sampled_from(sorted(TABLES[table])))
    header = f"[[{table}]]" if table in ("rule", "tree") else f"[{table}]"
    others = {"rule": 'id = "r"\nmatch = "llm"\ncount = 1\n', "tree": 'name = "t"\nshape = "llm"\n'}.get(table, "")
    kept = "".join(line + "\n" for line in others.splitlines() if not line.startswith(f"{key} "))
    with contextlib.suppress(RuleError):
        assert loads(f"{header}\n{kept}{key} = {value}\n", "r.toml").file == "r.toml"


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("rules") / "r.toml"
    path.write_bytes(data)
    with contextlib.suppress(RuleError):
        assert load(str(path)).file == str(path)
