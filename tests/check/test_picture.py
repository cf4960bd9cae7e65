"""A trace as plain rows."""

from textwrap import dedent

from check_helpers import chain, steps
from rich.cells import cell_len

from llmtrace_otel.check.picture import picture

RESEARCH = """
agent planner
  llm gpt-5-mini in=1200 out=85 usd=0.0011
  tool search {"q": "secret cats"}
  tool search {"q": "secret dogs"}
  llm gpt-5-mini in=2400 out=310 cache=1100 usd=0.0034
  tool delete_file error=builtins.PermissionError
  llm made-up in=7
  llm gpt-5 llmtrace.cost.status=included in=1 out=2
  embed e usd=0
"""


def drawn(text, **options):
    return "\n".join(picture(steps(text), **options))


def lines(text):
    return dedent(text).strip("\n")


def test_numbers_stand_in_columns_and_repeated_tools_share_a_row():
    assert drawn(RESEARCH) == lines("""
        agent planner
        ├─ llm gpt-5-mini                       1200→85 tok              $0.0011
        ├─ tool search ×2
        ├─ llm gpt-5-mini                      2400→310 tok  cache 1100  $0.0034
        ├─ tool delete_file ✗ PermissionError
        ├─ llm made-up                              7→– tok                    ?
        ├─ llm gpt-5                                1→2 tok                incl.
        └─ embed e                                                         $0.00
    """)


def test_marks_stand_before_the_steps_and_keep_them_from_sharing_a_row():
    (agent,) = roots = steps("agent a\n  tool t\n  tool t\n  tool t")
    assert picture(roots, marked=[agent.child_list[0]]) == ["  agent a", "+ ├─ tool t", "  └─ tool t ×2"]
    assert picture(roots, marked=[agent], mark="►") == ["► agent a", "  └─ tool t ×3"]


def test_several_roots_stand_below_each_other():
    assert drawn("agent a\n  tool t\nllm m") == "agent a\n└─ tool t\nllm m      ?"


def test_a_long_tree_is_cut_after_the_marked_steps_and_those_above_them():
    text = "agent a\n" + "  llm m usd=1\n" * 10 + "  tool x\n    llm deep usd=1\n" + "  llm m usd=1\n" * 10
    roots = steps(text)
    deep = next(step for step in roots[0].walk() if step.name == "deep")
    assert picture(roots, max_rows=5, marked=[deep]) == [
        "  agent a",
        "  ├─ llm m        $1.00",
        "  ├─ llm m        $1.00",
        "… 8 more",
        "  ├─ tool x",
        "+ │  └─ llm deep  $1.00",
        "… 10 more",
    ]
    assert picture(roots, max_rows=2) == ["agent a", "├─ llm m  $1.00", "… 21 more"]


def test_no_line_is_wider_than_asked_and_notes_are_kept():
    text = f"agent {'very ' * 30}long\n  llm {'m' * 90} in=1000 out=1000 usd=0.5\n  tool {'長' * 60} error=Timeout"
    drawn = picture(steps(text), width=60)
    assert max(map(cell_len, drawn)) <= 60
    assert drawn[2].endswith("… ✗ Timeout")


def test_what_was_said_does_not_appear():
    assert "secret" not in drawn(RESEARCH)


def test_names_cannot_move_the_terminals_cursor():
    assert drawn("tool a\x1b[2Jb") == "tool a�[2Jb"


def test_a_replayed_call_has_the_cost_that_budgets_are_held_to():
    replayed = "llm m in=1 out=2 usd=0 llmtrace.replay=true llmtrace.cache.hit=true llmtrace.cost.saved_usd=0.25"
    assert drawn(replayed) == "llm m replayed  1→2 tok  $0.25"


def test_depth_is_no_limit():
    drawn = picture(chain(10_000, innermost="tool deep"))
    assert (len(drawn), drawn[-1]) == (61, "… 9940 more")
