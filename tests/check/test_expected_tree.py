"""Which trees are as expected, and what is said of one that is not."""

import contextlib
from textwrap import dedent

import pytest
from check_helpers import chain, spans, steps, trace
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.check import NotEvaluableError, RuleError
from llmtrace_otel.check.trace import forest
from llmtrace_otel.check.trees.expected import difference, parse_tree
from llmtrace_otel.check.trees.language import Block, Line, Rest
from llmtrace_otel.telemetry import semconv

RESEARCH = """
agent planner
  llm gpt-5-mini in=1200 out=85 usd=0.0011
  tool search {"q": "cats"}
    http GET
  tool search {"q": "dogs"}
  llm gpt-5-mini in=2400 out=310 cache=1100 usd=0.0034
  tool delete_file error=PermissionError
  llm gpt-5 in=3100 out=420 usd=0.0182
"""


def matches(expected, recorded):
    return difference(parse_tree(expected), steps(recorded)) is None


def told(expected, recorded):
    """The lines that are said of a mismatch, without the recorded tree."""
    lines = difference(parse_tree(expected), steps(recorded)).splitlines()
    return lines[1 : next(place for place, line in enumerate(lines) if line.startswith("  recorded tree"))]


def test_a_trace_that_is_as_expected_passes():
    trace(RESEARCH).assert_tree("""
        agent planner
          llm gpt-5-mini x1..3
          tool search {args.q ~ cats}    # the first one
          ...
          llm gpt-5*
    """)


def test_a_missing_and_two_unexpected_steps_are_shown_in_the_recorded_tree():
    with pytest.raises(AssertionError) as failure:
        trace(RESEARCH).assert_tree("""
            agent planner
              llm gpt-5-mini
              tool search {args.q ~ cats}
              llm gpt-5-mini
              tool write_file
              llm gpt-5
        """)
    assert str(failure.value) == dedent("""\
        span tree differs from the expected shape
          expected but missing (-):
          -     tool write_file
          recorded tree (+ = not in the expectation):
            agent planner
            ├─ llm gpt-5-mini                       1200→85 tok              $0.0011
            ├─ tool search
            │  └─ http GET
          + ├─ tool search
            ├─ llm gpt-5-mini                      2400→310 tok  cache 1100  $0.0034
          + ├─ tool delete_file ✗ PermissionError
            └─ llm gpt-5                           3100→420 tok              $0.0182""")


def test_conditions_that_fail_and_counts_that_differ_are_named():
    expected = """
        agent planner
          llm gpt-5-mini
          tool search x3 {args.q ~ cats}
          llm gpt-5-mini {tokens.input < 2k}
          tool delete_file {!error}
          llm gpt-5
    """
    assert difference(parse_tree(expected), steps(RESEARCH)) == dedent("""\
        span tree differs from the expected shape
          not as expected (!):
          ! tool search: 2 times, expected x3
          ! tool search: args.q is "dogs", expected ~ cats
          ! llm gpt-5-mini: tokens.input is 2400, expected < 2k
          ! tool delete_file: error is "PermissionError", expected none
          recorded tree:
          agent planner
          ├─ llm gpt-5-mini                       1200→85 tok              $0.0011
          ├─ tool search ×2
          ├─ llm gpt-5-mini                      2400→310 tok  cache 1100  $0.0034
          ├─ tool delete_file ✗ PermissionError
          └─ llm gpt-5                           3100→420 tok              $0.0182""")


def test_a_line_stands_for_one_step_or_as_many_as_it_says():
    recorded = "tool a\ntool a\ntool a"
    counts = {"x3", "x1..3", "x3..", "x*", "x0..5"}
    assert {count for count in [*counts, "x2", "x4..", "x0..2", ""] if matches(f"tool a {count}", recorded)} == counts


def test_more_than_a_count_allows_is_marked_and_counted():
    assert difference(parse_tree("llm m x1..3\ntool a"), steps("llm m\nllm m\nllm m\nllm m\ntool a")) == dedent("""\
        span tree differs from the expected shape
          not as expected (!):
          ! llm m: 4 times, expected x1..3
          recorded tree (+ = not in the expectation):
            llm m   ?
            llm m   ?
            llm m   ?
          + llm m   ?
            tool a""")


def test_a_line_without_lines_below_it_has_no_steps_below_but_plumbing():
    assert matches("tool a", "tool a\n  http GET")
    assert not matches("tool a", "tool a\n  llm m")
    assert matches("tool a\n  ...", "tool a\n  llm m")


def test_plumbing_is_looked_through_unless_the_expectation_names_its_kind():
    recorded = "span test\n  agent a\n    span wrapper\n      llm m\n        http POST\n    span idle"
    assert matches("agent a\n  llm m", recorded)
    assert matches("span test\n  agent a\n    span wrapper\n      llm m\n    span idle", recorded)
    assert not matches("agent a\n  llm m\n  span idle", recorded)
    assert not matches("agent a\n  llm m\n    http", recorded + "\n      http GET")


def test_steps_below_plumbing_stand_in_order_of_their_starts():
    recorded = (
        "agent a\n  span left start=1 end=9\n    tool x start=5 end=6\n  span right start=2 end=9\n    tool y start=3"
    )
    assert matches("agent a\n  tool y\n  tool x", recorded)


def test_dots_stand_for_any_steps_also_none():
    assert matches("...\ntool b\n...", "tool a\ntool b\ntool a")
    assert matches("...\ntool b\n...", "tool b")
    assert told("...\ntool c\n...", "tool a\ntool b") == ["  expected but missing (-):", "  -   tool c"]


def test_the_steps_below_bars_come_in_any_order():
    expected = "llm m\n||\n  tool a\n    llm inner\n  tool b x2\nllm m"
    assert matches(expected, "llm m\ntool b\ntool a\n  llm inner\ntool b\nllm m")
    assert told(expected, "llm m\ntool b\ntool a\n  llm other\ntool c\nllm m") == [
        "  expected but missing (-):",
        "  -       llm inner",
        "  not as expected (!):",
        "  ! tool b: 1 time, expected x2",
    ]


def test_among_steps_in_any_order_dots_stand_for_others():
    expected = "||\n  tool a\n  ...\n  tool b\ntool end"
    assert matches(expected, "tool b\ntool x\ntool a\ntool y\ntool end")
    assert told(expected, "tool b\ntool x\ntool end") == ["  expected but missing (-):", "  -     tool a"]


def test_a_step_in_any_order_goes_where_it_is_needed():
    assert matches("||\n  tool *\n  tool a", "tool a\ntool b")
    assert matches("||\n  tool a* x2\n  tool * x0..1", "tool a1\ntool b\ntool a2")
    assert not matches("||\n  tool *\n  tool a", "tool b\ntool c")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("args.q ~ CAT", True),
        ("args.q ~ dog", False),
        ("args.q = cats", True),
        ("args.q = Cats", False),
        ("args.q != dogs", True),
        ("args.q *= c?ts", True),
        ('args.q = "cats"', True),
        ('args.list = "a, {b}", args.q = cats', True),
        ("args.n = 3", True),
        ("args.n = 3.0", True),
        ("args.n >= 3, args.n < 4", True),
        ("args.n > 3", False),
        ("args.q > 3", False),
        ("args.filter.0.lang = en", True),
        ("args.filter.1.lang = en", False),
        ("args.filter ~ lang", True),
        ("args.deep = true", True),
        ("args.deep > 0", False),
        ("args.none = null", True),
        ("args.absent != x", True),
        ("args.absent = x", False),
        ("args.absent ~ x", False),
        ("args ~ cats", True),
        ("error", True),
        ("!error", False),
        ("error *= Time*", True),
        ("duration <= 1s", True),
        ("duration < 900ms", False),
        ("custom.text ~ ello", True),
        ("custom.number = 7", True),
        ("custom.other != 7", True),
    ],
)
def test_a_condition_compares(condition, holds):
    args = '{"q": "cats", "n": 3, "filter": [{"lang": "en"}], "deep": true, "none": null, "list": "a, {b}"}'
    recorded = f"tool search {args} error=Timeout custom.text=hello custom.number=7"
    assert matches(f"tool search {{{condition}}}", recorded) is holds


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("model *= gpt-5*", True),
        ("model != gpt-5", True),
        ("tokens.input = 1200", True),
        ("tokens.total <= 1.285k", True),
        ("tokens.cache_read > 0", False),
        ("cost <= $0.0011", True),
        ("cost < 0.0011", False),
    ],
)
def test_a_condition_compares_what_a_call_used(condition, holds):
    assert matches(f"llm {{{condition}}}", "llm gpt-5-mini in=1200 out=85 usd=0.0011") is holds


def test_what_was_not_recorded_cannot_be_compared():
    with pytest.raises(NotEvaluableError, match="arguments of tool search are not recorded"):
        matches("tool search {args.q ~ cats}", "tool search")
    with pytest.raises(NotEvaluableError, match="cost of 1 of 1 call is unknown"):
        matches("llm {cost < 1}", "llm made-up in=1 out=1")


def test_conditions_of_other_steps_are_not_asked():
    assert matches("tool a\ntool b {args.x = 1}", 'tool a\ntool b {"x": 1}')


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "an expected tree without a line; write a step such as `llm gpt-5*`"),
        ("# only a comment", "an expected tree without a line; write a step such as `llm gpt-5*`"),
        ("...\n...", "`...` alone accepts every tree; write a step that has to be there"),
        ("\ntol search", "line 2: 'tol' is no kind of step; did you mean tool?: 'tol search'"),
        (
            "xyz",
            "line 1: 'xyz' is no kind of step; kinds are agent, workflow, llm, tool, embed, fetch, process, http, "
            "span: 'xyz'",
        ),
        ("retrieval docs", "line 1: 'retrieval' is no kind of step; write `span retrieval*`: 'retrieval docs'"),
        (
            "agent a\n    llm\n  tool b",
            "line 3: indented by 2, as no line above; the nearest is indented by 0: 'tool b'",
        ),
        ("  agent a\nllm", "line 2: indented by 0, as no line above; the nearest is indented by 2: 'llm'"),
        ("agent a\n\tllm", "line 2: indent with spaces alone: 'llm'"),
        (
            "agent a\n  ...\n    llm",
            "line 3: indented below `...`, which already stands for whatever is below: 'llm'",
        ),
        ("||\ntool a", "line 1: `||` without a step below it says nothing"),
        ("||\n  ||\n    tool a", "line 2: `||` stands below `||`; write their lines below one: '||'"),
        ("|| tool a", "line 1: `||` stands alone on its line: '|| tool a'"),
        ("... x2", "line 1: `...` stands alone on its line: '... x2'"),
        ("tool a x3..1", "line 1: 'x3..1' asks for at least 3 and at most 1: 'tool a x3..1'"),
        ("tool a x1...3", "line 1: 'x1...3' is no count; write xN, xN..M, xN.. or x*: 'tool a x1...3'"),
        ("tool a x0", "line 1: x0 says nothing: a step that is not written is not expected anyway: 'tool a x0'"),
        ("tool a {args.q", "line 1: the brace `{` is not closed at the end of the line: 'tool a {args.q'"),
        (
            "tool a {args.q}",
            "line 1: 'args.q' alone asks nothing; write an operator and a value: ~ = != < <= > >= *=: "
            "'tool a {args.q}'",
        ),
        ("tool a {}", "line 1: cannot read the condition ''; write it as args.q ~ cats: 'tool a {}'"),
        (
            "llm {modle = x}",
            "line 1: there is no 'modle' to ask for; did you mean model?: 'llm {modle = x}'",
        ),
        (
            "llm {tokens < 3}",
            "line 1: there is no 'tokens' to ask for; there are tokens.input, tokens.output, tokens.total, "
            "tokens.cache_read, tokens.cache_write, tokens.reasoning: 'llm {tokens < 3}'",
        ),
        ("tool {args.n < many}", "line 1: `<` compares with a number, not 'many': 'tool {args.n < many}'"),
        (
            "llm {cost < cheap}",
            "line 1: cost='cheap': write a number such as cost=0.05, 0 or more: 'llm {cost < cheap}'",
        ),
        (
            "tool {!args.q = x}",
            "line 1: `!` stands before `error` alone; write args.q != x: 'tool {!args.q = x}'",
        ),
        (
            "tool {args.q = }",
            "line 1: 'args.q' is compared with nothing; write a value, or \"\" for empty text: 'tool {args.q = }'",
        ),
        ('tool "a" b', "line 1: after a name in double quotes only a count such as x2 may stand: 'tool \"a\" b'"),
        ('tool a"b', "line 1: a name with a double quote stands in double quotes, as JSON has it: 'tool a\"b'"),
        ("\n".join(" " * depth + "agent a" for depth in range(51)), "line 51: more than 50 levels deep: 'agent a'"),
    ],
)
def test_a_mistake_is_told_with_its_line(text, error):
    with pytest.raises(RuleError) as mistake:
        parse_tree(text)
    assert str(mistake.value) == error


def test_names_may_have_spaces_and_stand_in_quotes():
    assert matches("agent Research Team # the one", "agent Research Team")
    assert matches('tool "x2" x2', "tool x2\ntool x2")
    assert matches("http GET api*\nspan a#b", "http GET server.address=api.dev\nspan a#b")


@given(st.text(alphabet='agent tol lm.x*|#{}!=<>~",\\\t\n 0123'))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(RuleError):
        parse_tree(text)


@given(st.lists(st.text(), max_size=5))
def test_any_lines_are_read_or_refused(lines):
    with contextlib.suppress(RuleError):
        parse_tree("\n".join(f"tool {line}" for line in lines))


def test_thousands_of_siblings_in_every_form():
    recorded = "agent a\n" + "  tool a\n  tool b\n" * 2000 + "  llm m"
    assert matches("agent a\n  tool a x1..\n  ...\n  llm m", recorded)
    assert matches("agent a\n  ||\n    tool a x*\n    tool b x1000..\n  llm m", recorded)
    assert matches("agent a\n  ||\n    tool a x2000\n    tool b x2000\n  llm m", recorded)
    assert not matches("agent a\n  ...\n  ||\n    tool a\n    tool b x3\n  ...\n  llm m", recorded)


def test_many_more_steps_than_expected_are_counted_and_the_first_are_marked():
    found = difference(
        parse_tree("agent a\n  tool t x2\n  llm m"), steps("agent a\n" + "  tool t\n" * 99 + "  llm m usd=1")
    )
    assert found == dedent("""\
        span tree differs from the expected shape
          not as expected (!):
          ! tool t: 99 times, expected x2
          recorded tree (+ = not in the expectation):
            agent a
            ├─ tool t ×2
          + ├─ tool t ×97
            └─ llm m       $1.00""")
    assert told("agent a\n  tool t x30", "agent a\n" + "  tool t\n" * 99) == [
        "  not as expected (!):",
        "  ! tool t: 99 times, expected x30",
    ]


def test_an_expectation_as_deep_as_may_be():
    levels = 50
    nested = [f"{'  ' * level}agent a{level}" for level in range(levels)]
    assert matches("\n".join(nested), "\n".join(nested))
    assert told("\n".join(nested), "\n".join(nested[:-1])) == ["  expected but missing (-):", f"  -   {nested[-1]}"]


def test_a_condition_that_cannot_be_told_does_not_hide_another_difference():
    assert told("tool a\ntool b {args.x = 1}", "tool b") == [
        "  expected but missing (-):",
        "  -   tool a",
        "  not as expected (!):",
        "  ! tool b: the arguments of tool b are not recorded; "
        "set OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only",
    ]


def test_a_trace_of_any_depth():
    roots = chain(10_000, innermost="tool s")
    assert difference(parse_tree("tool s"), roots) is None
    assert "expected but missing" in difference(parse_tree("tool t"), roots)


# A matcher that tries everything, to compare with

NAMES = st.sampled_from(["tool a", "tool b", "span c"])
TREES = st.recursive(
    st.lists(st.tuples(NAMES, st.just([])), max_size=4),
    lambda below: st.lists(st.tuples(NAMES, below), min_size=1, max_size=4),
    max_leaves=8,
)
COUNTS = st.sampled_from(["", "", "", " x2", " x1..2", " x*", " x1..", " x25", " x0..30"])
PATTERNS = st.sampled_from(["tool a", "tool b", "tool", "span"])
REST = st.just(("...", "", []))
SHARED = st.lists(st.one_of(st.tuples(PATTERNS, COUNTS, st.just([])), REST), min_size=1, max_size=4)
LINES = st.recursive(
    st.lists(st.tuples(PATTERNS, COUNTS, st.just([])), max_size=3),
    lambda below: st.lists(
        st.one_of(
            st.tuples(PATTERNS, COUNTS, below),
            REST,
            st.tuples(st.just("||"), st.just(""), SHARED),
        ),
        max_size=4,
    ),
    max_leaves=6,
)


def written(items, depth=0):
    for head, *count, below in items:
        yield "  " * depth + head + "".join(count)
        yield from written(below, depth + 1)


def visible(expected, siblings):
    for step in siblings:
        if step.kind in expected.plumbing:
            yield from visible(expected, step.child_list)
        else:
            yield step


def tried(expected, items, siblings):
    """Whether any way of giving the first steps to the first item leaves steps that the other items match."""
    if not items:
        return not siblings
    item, *others = items
    return any(
        taken(expected, item, siblings[:end]) and tried(expected, others, siblings[end:])
        for end in range(len(siblings) + 1)
    )


def taken(expected, item, siblings):
    if isinstance(item, Rest):
        return True
    if isinstance(item, Block):
        return shared(expected, item, siblings, [0] * len(item.lines))
    enough = item.least <= len(siblings) and (item.most is None or len(siblings) <= item.most)
    return enough and all(same(expected, item, step) for step in siblings)


def shared(expected, block, siblings, counts):
    if not siblings:
        return all(line.least <= count for line, count in zip(block.lines, counts, strict=True))
    first, *others = siblings
    return (block.rest and shared(expected, block, others, counts)) or any(
        (line.most is None or counts[place] < line.most)
        and same(expected, line, first)
        and shared(expected, block, others, [*counts[:place], counts[place] + 1, *counts[place + 1 :]])
        for place, line in enumerate(block.lines)
    )


def same(expected, line: Line, step):
    named = step.kind == line.kind and line.name in ("*", step.name)
    return named and tried(expected, line.items, list(visible(expected, step.child_list)))


@given(TREES, LINES)
def test_the_matcher_agrees_with_one_that_tries_everything_and_says_what_differs(tree, lines):
    try:
        expected = parse_tree("\n".join(written(lines)))
    except RuleError:
        return
    roots = steps("\n".join(written(tree)))
    found = difference(expected, roots)
    assert (found is None) == tried(expected, expected.items, list(visible(expected, roots)))
    assert found is None or any(sign in found for sign in ("  - ", "  ! ", "  + "))


def test_arguments_as_structured_attributes_are_compared_too():
    recorded = spans("tool a")
    recorded[0].attributes[semconv.TOOL_CALL_ARGUMENTS] = {"q": "cats"}
    assert difference(parse_tree("tool a {args.q = cats}"), forest(recorded)[0]) is None
