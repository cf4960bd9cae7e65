"""Every kind of rule, kept and broken, as people see it."""

import json

import pytest
from check_files import AGENT, folder

assert folder  # the fixture

HERE = "trace 7f3a91c2 (session s-42)"
ROWS = """\
agent planner
├─ llm gpt-5-mini                       1200→85 tok              $0.0011
├─ tool search
├─ llm gpt-5-mini                      2400→310 tok  cache 1200  $0.0034
├─ tool delete_file ✗ PermissionError
└─ llm gpt-5                           3100→420 tok              $0.0182
""".splitlines()
SUMS = " · 1 trace · prices 2026-11-18a\n"
KEPT = "ok   r\n1 passed" + SUMS


def broken(what, *marked, word="FAIL", sums="1 failed"):
    """The whole output of a rule that is broken: what it says, and the tree with those rows marked."""
    rows = [f"       {'►' if number in marked else ' '} {row}\n" for number, row in enumerate(ROWS, 1)]
    places = f"       line{'s' * (len(marked) > 1)} {', '.join(map(str, marked))} of t.jsonl\n"
    return f"{word} r   {HERE}   {what}\n{''.join(rows)}{places}{sums}{SUMS}"


def rule(text):
    return f'[[rule]]\nid = "r"\n{text}\n'


@pytest.mark.parametrize(
    "text",
    [
        'match = "tool *"\ncount = 2',
        'match = "tool nothing"\ncount = 0',
        'match = "llm gpt-5*"\ncount = "1..3"',
        'match = "llm"\ncount = ">2"',
        'match = "tool search"\nbefore = "llm gpt-5"',
        'match = "tool search"\nbefore = "llm nobody"',
        'match = "tool search"\nafter = "llm gpt-5-mini"',
        'match = "llm *"\ncost = "<=0.0227"',
        'match = "agent planner"\ncost = "<0.03"',
        'match = "llm gpt-5"\ntokens = "3k..4k"',
        'match = "llm gpt-5-mini"\ncached_ratio = ">=33%"',
        'match = "llm *"\nduration_max = "<=1s"',
        'match = "*"\nduration_p95 = "<=5s"',
        'match = "tool search"\nerrors = 0',
        "errors = 1",
        'models = ["gpt-5", "gpt-*-mini"]',
        'tools = ["search", "delete_*"]',
        'where = { model = "gpt-5" }\nmodels = ["gpt-5"]',
        "loops = 2",
        'match = "tool *"\nwhere = { error = "Perm*" }\ncount = 1',
        'match = "llm *"\nwhere = { agent = "planner", "gen_ai.usage.input_tokens" = 3100 }\ncount = 1',
        'match = "tool typo"\nerrors = 0\nallow_empty = true',
    ],
)
def test_a_rule_that_is_kept(folder, text):
    assert folder.check(rule(text)) == (0, KEPT)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ('match = "tool delete_*"\ncount = 0', broken("tool delete_* ×1, expected 0", 5)),
        ('match = "llm gpt-5*"\ncount = "<=2"', broken("llm gpt-5* ×3, expected <=2", 2, 4, 6)),
        ('match = "tool search"\nbefore = "llm *"', broken("llm * without tool search before it", 2)),
        ('match = "tool nothing"\nbefore = "llm gpt-5"', broken("llm gpt-5 without tool nothing before it", 6)),
        ('match = "tool delete_*"\nafter = "llm gpt-5"', broken("tool delete_* without llm gpt-5 before it", 5)),
        ('match = "llm *"\ncost = "<=0.02"', broken("llm *: cost $0.0227, expected <=0.02", 2, 4, 6)),
        ('match = "agent *"\ntokens = "<7k"', broken("agent *: tokens 7,515, expected <7k", 1)),
        (
            'match = "llm gpt-5-mini"\ncached_ratio = ">=0.5"',
            broken("llm gpt-5-mini: 33% of the input cached, expected >=0.5", 2, 4),
        ),
        ('match = "llm gpt-5"\nduration_max = "<500ms"', broken("llm gpt-5 took 1.0s, expected <500ms", 6)),
        ('match = "*"\nduration_p95 = "<2s"', broken("*: p95 5.0s, expected <2s (n=6)", 1)),
        ("errors = 0", broken("errors ×1, expected 0: tool delete_file PermissionError", 5)),
        ('models = ["gpt-5-*"]', broken("model not allowed: 'gpt-5'", 6)),
        ('tools = ["search"]', broken("tool not allowed: 'delete_file'", 5)),
        (
            'match = "tool delete_*"\ncount = 0\nwhy = "agents may not delete files"',
            broken("tool delete_* ×1, expected 0 – agents may not delete files", 5),
        ),
        (
            'match = "llm *"\ncount = 1\ntokens = "<1k"',
            broken("llm * ×3, expected 1; llm *: tokens 7,515, expected <1k", 2, 4, 6),
        ),
        (
            'tools = ["search"]\nlevel = "warn"',
            broken("tool not allowed: 'delete_file'", 5, word="warn", sums="1 warning"),
        ),
    ],
)
def test_a_rule_that_is_broken(folder, text, output):
    assert folder.check(rule(text)) == (0 if 'level = "warn"' in text else 1, output)


def test_a_step_taken_again_and_again_is_a_loop(folder):
    again = """
agent a
  tool search {"q": "cats"}
  tool search {"q": "cats"}
"""
    assert folder.check(rule("loops = 2"), again) == (
        1,
        """\
FAIL r   trace 7f3a91c2   loop: tool search {"q": "cats"} ×2
         agent a
       ► └─ tool search ×2
       lines 2, 3 of t.jsonl
1 failed · 1 trace
""",
    )


def test_a_failure_is_told_once_where_it_happened(folder):
    deep = "agent a error=Boom\n  tool t error=Boom\n    llm m in=1 out=1 usd=1 error=Boom"
    assert folder.check(rule("errors = 1"), deep) == (0, "ok   r\n1 passed · 1 trace\n")


def test_a_tree_that_is_as_expected_and_one_that_is_not(folder):
    tree = '[[tree]]\nname = "happy path"\nshape = """\nagent planner\n  llm *\n  ...\n"""\n'
    assert folder.check(tree) == (0, "ok   happy path\n1 passed" + SUMS)
    code, out = folder.check(tree, "agent other\n  llm m in=1 out=1 usd=1")
    assert code == 1
    assert out.splitlines()[0] == "FAIL happy path   trace 7f3a91c2   span tree differs from the expected shape"
    assert out.splitlines()[-1] == "1 failed · 1 trace"


def test_a_percentile_of_few_steps_is_no_pass_but_a_warning(folder):
    text = 'match = "llm *"\nduration_p95 = "<2s"'
    assert folder.check(rule(text)) == (0, "warn r   n=3 < 5, percentile unreliable\n1 warning" + SUMS)
    strict = '[defaults]\nfail_on = "warn"\n'
    assert folder.check(strict + rule(text))[0] == 1


@pytest.mark.parametrize(
    "text", ['match = "tool serach"\nerrors = 0', 'match = "llm *"\nwhere = { agent = "plan" }\ncost = "<1"']
)
def test_a_rule_that_matches_nothing_anywhere_cannot_be_told(folder, text):
    told = "it matches no step of the whole recording; correct it, or set allow_empty = true"
    assert folder.check(rule(text)) == (3, f"???? r   {told}\n1 not evaluable{SUMS}")


def test_a_rule_is_asked_of_the_groups_that_have_such_steps(folder):
    text = 'match = "tool search"\nduration_max = "<=1s"'
    assert folder.check(rule(text), AGENT, "llm m in=1 out=1 usd=1")[0] == 0


UNPRICED = "llm acme/foo in=10 out=20"
NO_PRICE = "the cost of 1 of 1 call is unknown: no price, or no token counts, for 'acme/foo'"


@pytest.mark.parametrize(
    ("policy", "code", "output"),
    [
        ("error", 3, f'???? budget.cost   {NO_PRICE}; price it in the rules: [prices."model"]\n1 not evaluable'),
        ("warn", 0, f'warn budget.cost   {NO_PRICE}; price it in the rules: [prices."model"]\n1 warning'),
        ("ignore", 0, "ok   budget.cost\n1 passed"),
    ],
)
def test_a_cost_that_nobody_knows_is_neither_kept_nor_exceeded(folder, policy, code, output):
    rules = f'[defaults]\nunknown_cost = "{policy}"\n[budget]\ncost = 1\n'
    assert folder.check(rules, UNPRICED) == (code, f"{output} · 1 trace\n")


def test_a_rule_on_costs_follows_the_same_policy(folder):
    limits = rule('match = "llm *"\ncost = "<1"')
    assert folder.check(limits, UNPRICED)[0] == 3
    assert folder.check('[defaults]\nunknown_cost = "ignore"\n' + limits, UNPRICED)[0] == 0


def test_prices_of_the_rules_price_what_was_recorded_without(folder):
    rules = '[budget]\ncost = 0.00005\n[prices."acme/*"]\ninput = 1\noutput = 2\n'
    assert folder.check(rules, UNPRICED) == (0, "ok   budget.cost\n1 passed · 1 trace\n")
    assert folder.check(rules.replace("0.00005", "0.00004"), UNPRICED) == (
        1,
        "FAIL budget.cost   trace 7f3a91c2   $0.00005 > $0.00004 (+25%)\n1 failed · 1 trace\n",
    )


def test_what_is_exceeded_for_sure_fails_whatever_else_is_not_known(folder):
    known = "llm gpt-5 in=10 out=10 usd=2\n" + UNPRICED
    code, out = folder.check("[budget]\ncost = 1\n", known)
    assert (code, out.splitlines()[0]) == (1, "FAIL budget.cost   trace 7f3a91c2   at least $2.00 > $1.00 (+100%)")


def test_every_limit_of_a_budget(folder):
    rules = "[budget]\ncost = 0.02\ntokens = '7k'\ncalls = 2\ntools = 1\nduration = '4s'\n"
    assert folder.check(rules) == (
        1,
        f"""\
FAIL budget.cost       {HERE}   $0.0227 > $0.02 (+14%)
       costliest: llm gpt-5 $0.0182 (80%)
FAIL budget.tokens     {HERE}   7,515 > 7,000 (+7%)
FAIL budget.calls      {HERE}   3 > 2 (+50%)
FAIL budget.tools      {HERE}   2 > 1 (+100%)
FAIL budget.duration   {HERE}   5.0s > 4.0s (+25%)
5 failed{SUMS}""",
    )


@pytest.mark.parametrize(
    ("group", "output"),
    [
        ("trace", "ok   budget.calls\n1 passed · 3 traces\n"),
        ("session", "FAIL budget.calls   session s-1   2 > 1 (+100%)\n1 failed · 2 sessions\n"),
        ("file", "FAIL budget.calls   file t.jsonl   3 > 1 (+200%)\n1 failed · 1 file\n"),
        ("attr:user.id", "FAIL budget.calls   user.id u-1   2 > 1 (+100%)\n1 failed · 2 groups\n"),
    ],
)
def test_budgets_are_about_groups(folder, group, output):
    call = "llm m in=1 out=1 usd=1 session={} user.id={}"
    texts = [call.format("s-1", "u-1"), call.format("s-1", "u-2"), call.format("s-2", "u-1")]
    rules = f'[defaults]\ngroup = "{group}"\n[budget]\ncalls = 1\n'
    assert folder.check(rules, *texts)[1] == output


def test_a_step_without_a_session_is_of_its_traces(folder):
    text = "agent a\n  tool t\n  llm m in=1 out=1 usd=1 session=s-1"
    assert folder.check("[budget]\ntools = 0\n", text, options=["--group", "session"]) == (
        1,
        "FAIL budget.tools   session s-1   1 > 0 (none allowed)\n1 failed · 1 session\n",
    )


def test_many_groups_that_fail_are_told_in_order_and_then_counted(folder):
    texts = [f"llm m in=1 out=1 usd=1 start={30 - number}" for number in range(30)]
    out = folder.check("[budget]\ncalls = 0\n", *texts)[1].splitlines()
    assert len(out) == 22
    assert out[0] == "FAIL budget.calls   trace 00000000   1 > 0 (none allowed)"
    assert out[-2:] == ["       … and 10 more", "1 failed · 30 traces"]


def test_a_span_that_was_exported_twice_counts_once(folder):
    folder.check("[budget]\ncalls = 3\n")
    twice = (folder.path / "t.jsonl").read_text() * 2
    folder.write("t.jsonl", twice)
    assert folder.run("check", "t.jsonl")[0] == 0


def test_sessions_and_traces_are_named_without_what_could_move_a_cursor(folder):
    code, out = folder.check("[budget]\ncalls = 0\n", "llm m in=1 out=1 usd=1 session=\u001b[2J")
    assert (code, out.splitlines()[0]) == (
        1,
        "FAIL budget.calls   trace 7f3a91c2 (session �[2J)   1 > 0 (none allowed)",
    )


def otlp(attributes, resource=(), **fields):
    """A line of one call, with whatever a resource and a span may have."""
    pairs = [{"key": key, "value": {"stringValue": held}} for key, held in attributes.items()]
    named = [{"key": key, "value": {"stringValue": held}} for key, held in dict(resource).items()]
    span = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "x", "attributes": pairs, **fields}
    scope = {"spans": [span]}
    return json.dumps({"resourceSpans": [{"resource": {"attributes": named}, "scopeSpans": [scope]}]}) + "\n"


CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}


def test_a_group_may_be_named_by_the_resource(folder):
    folder.write("t.jsonl", otlp(CHAT, {"service.name": "api"}))
    assert folder.run("check", "t.jsonl", "--max-calls", "0", "--group", "attr:service.name")[1] == (
        "FAIL budget.calls   service.name api   1 > 0 (none allowed)\n1 failed · 1 group\n"
    )


def test_an_error_that_only_an_event_names(folder):
    raised = {"name": "exception", "attributes": [{"key": "exception.type", "value": {"stringValue": "a.Boom"}}]}
    folder.write("t.jsonl", otlp(CHAT, events=[raised], status={"code": 2}))
    folder.write("llmtrace.toml", rule("errors = 0"))
    assert (
        folder.run("check", "t.jsonl")[1].splitlines()[0]
        == "FAIL r   trace aaaaaaaa   errors ×1, expected 0: llm m Boom"
    )
