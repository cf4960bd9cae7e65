"""Which tools were called, against those that were expected."""

from collections import Counter
from itertools import permutations
from textwrap import dedent

import pytest
from check_helpers import trace
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.check import RuleError
from llmtrace_otel.check.tools import difference

CALLED = "tool search\ntool search\ntool delete_file error=PermissionError\ntool answer"


def differs(expected, mode, called=CALLED, **options):
    return difference(expected, trace(called).tools, mode, **options)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("exact", ["search", "search", "answer"]),
        ("exact", ["s*", "search", "*"]),
        ("in_order", ["search", "answer"]),
        ("in_order", ["search"]),
        ("any_order", ["answer", "search", "search"]),
        ("any_order", ["*", "answer", "search"]),
        ("subset", ["answer", "search", "weather"]),
        ("subset", ["*"]),
    ],
)
def test_tools_that_are_as_expected_pass(mode, expected):
    trace(CALLED).assert_tools(*expected, mode=mode)


def test_a_sequence_that_differs_is_shown_beside_what_was_called():
    with pytest.raises(AssertionError) as failure:
        trace(CALLED).assert_tools("search", "weather", "answer")
    assert str(failure.value) == dedent("""\
        tools differ from those expected (exact) (1 failed call not counted)
          missing: weather
          unexpected: search
            expected  called
            search    search
          - weather
          +           search
            answer    answer""")


def test_a_tool_that_does_not_come_after_the_others_is_missing():
    assert differs(["answer", "search"], "in_order") == dedent("""\
        tools differ from those expected (in_order) (1 failed call not counted)
          missing: search
            expected  called
                      search
                      search
            answer    answer
          - search""")


def test_tools_in_any_order_are_counted():
    assert differs(["answer", "answer", "weather"], "any_order") == dedent("""\
        tools differ from those expected (any_order) (1 failed call not counted)
          missing: answer, weather
          unexpected: search ×2
            expected  called
          +           search
          +           search
            answer    answer
          - answer
          - weather""")


def test_a_tool_outside_of_the_subset_is_unexpected():
    assert differs(["search", "weather"], "subset", include_failed=True) == dedent("""\
        tools differ from those expected (subset)
          unexpected: delete_file, answer
            expected  called
            search    search
            search    search
          +           delete_file
          +           answer""")


def test_the_same_tools_in_another_order_are_told_as_such():
    assert differs(["b", "a"], "exact", "tool a\ntool b") == dedent("""\
        tools differ from those expected (exact)
          the same tools, in another order
            expected  called
          - b
            a         a
          +           b""")


@pytest.mark.parametrize("mode", ["exact", "in_order", "any_order", "subset"])
def test_no_tool_at_all_is_as_expected_only_where_none_was(mode):
    assert differs(["a", "b", "a"], mode, "llm m") == f"no tool was called, expected {mode}: a ×2, b"
    attempt = "tool a error=Timeout"
    assert differs(["a"], mode, attempt) == f"no tool was called (1 failed call not counted), expected {mode}: a"
    assert differs(["a"], mode, attempt, include_failed=True) is None
    if mode != "in_order":
        assert differs([], mode, "llm m") is None


def test_a_long_difference_is_shown_around_its_beginning():
    found = differs(["a"] * 50, "exact", "tool a\n" * 20 + "tool b\n" * 40).splitlines()
    assert len(found) == 20
    assert found[1:6] == [
        "  missing: a ×30",
        "  unexpected: b ×40",
        "    expected  called",
        "    … 17 before",
        "    a         a",
    ]
    assert found[-1] == "    … 59 more"


def test_names_cannot_move_the_terminals_cursor():
    assert "\x1b" not in differs(["a"], "exact", "tool \x1b[31mred")


@pytest.mark.parametrize(
    ("expected", "mode", "error"),
    [
        (["a"], "inorder", "there is no mode 'inorder'; did you mean in_order?"),
        (["a"], "zzz", "there is no mode 'zzz'; modes are exact, in_order, any_order, subset"),
        ([["a"]], "exact", "a tool's name is text, not ['a']; write assert_tools('search', 'answer')"),
        (
            [],
            "in_order",
            "in_order without a tool accepts everything; name one, or use exact to say that none is called",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(expected, mode, error):
    with pytest.raises(RuleError) as mistake:
        differs(expected, mode)
    assert str(mistake.value) == error


NAMES = st.lists(st.sampled_from("ab"), max_size=5)
PATTERNS = st.lists(st.sampled_from(["a", "b", "*", "[ab]"]), max_size=5)


def agree(patterns, names):
    return len(patterns) == len(names) and all(
        pattern in ("*", "[ab]", name) for pattern, name in zip(patterns, names, strict=True)
    )


@given(PATTERNS, NAMES)
def test_any_order_finds_an_order_if_there_is_one(patterns, names):
    tools = trace("llm m\n" + "\n".join(f"tool {name}" for name in names)).tools
    possible = any(agree(order, names) for order in permutations(patterns))
    assert (difference(patterns, tools, "any_order") is None) == possible


@given(PATTERNS, NAMES)
def test_exact_shows_each_tool_once_and_leaves_out_as_few_as_can_be(patterns, names):
    tools = trace("llm m\n" + "\n".join(f"tool {name}" for name in names)).tools
    found = difference(patterns, tools, "exact")
    assert (found is None) == agree(patterns, names)
    if found and names and patterns:
        rows = found[found.index("called\n") :].splitlines()[1:]
        marks = Counter(row[2] for row in rows)
        assert marks["-"] + marks[" "] == len(patterns)
        assert marks["+"] + marks[" "] == len(names)
        assert marks[" "] == longest(patterns, names)


def longest(patterns, names):
    """The length of the longest common subsequence, by trying everything."""
    if not patterns or not names:
        return 0
    if agree(patterns[:1], names[:1]):
        return 1 + longest(patterns[1:], names[1:])
    return max(longest(patterns[1:], names), longest(patterns, names[1:]))
