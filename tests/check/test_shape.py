"""Steps as text that is the same on every run that did the same."""

from textwrap import dedent

import pytest
from check_helpers import chain, spans, steps, trace
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from llmtrace_otel.check import RuleError
from llmtrace_otel.check.shape import shape
from llmtrace_otel.check.trace import forest
from llmtrace_otel.check.trees.expected import difference, parse_tree
from llmtrace_otel.telemetry import semconv

RESEARCH = """
agent planner
  llm gpt-5-mini-2026-01-31 in=1200 out=85 usd=0.0011
  tool weather {"day":"2026-11-21T15:49:03Z"} start=2 end=5
    http GET server.address=api.dev
  tool search {"q":"cats","n":3} start=3 end=4 error=Timeout
  llm gpt-5-mini-2026-01-31 in=2400 out=0 start=5
"""


def test_siblings_that_overlap_stand_in_order_of_their_text():
    assert trace(RESEARCH).shape() == dedent("""\
        agent planner
          llm gpt-5-mini-2026-01-31
          ||
            tool search {"n": 3, "q": "cats"} {error = Timeout}
            tool weather {"day": "<date>"}
              http GET api.dev
          llm gpt-5-mini-2026-01-31""")


def test_options_say_what_is_kept():
    assert shape(steps(RESEARCH), tokens="bucket", models="family", args="drop") == dedent("""\
        agent planner
          llm gpt-5-mini {tokens.input < 2000, tokens.output < 100}
          ||
            tool search {error = Timeout}
            tool weather
              http GET api.dev
          llm gpt-5-mini {tokens.input < 5000, tokens.output < 1}""")
    assert shape(steps("llm m in=12\nllm m"), tokens="exact") == "llm m {tokens.input = 12}\nllm m"


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-3.5-turbo-16k", "gpt-3.5-turbo-16k"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4"),
        ("anthropic.claude-sonnet-4-20250514-v1:0", "anthropic.claude-sonnet-4"),
        ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("o9-latest", "o9"),
        ("llama-3.1-405b", "llama-3.1-405b"),
    ],
)
def test_a_family_is_a_model_without_its_version(model, family):
    assert shape(steps(f"llm {model}"), models="family") == f"llm {family}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("id 1B4E28BA-2fa1-11d2-883f-0016d3cca427.", "id <uuid>."),
        ("2026-11-21", "<date>"),
        ("at 2026-11-21 15:49", "at <date>"),
        ("2026-11-21T15:49:03.123+01:00", "<date>"),
        ("/tmp/pytest-of-me/pytest-3/out.txt", "<tmp>"),
        ("see /var/folders/ab/c_1/T/x.", "see <tmp>"),
        ("/srv/tmp", "/srv/tmp"),
        ("http://127.0.0.1:49152/v1", "http://127.0.0.1:<port>/v1"),
        ("localhost:8000", "localhost:<port>"),
        ("at 0x7f3a91c2d4e5", "at <hex>"),
        ("trace 7f3a91c2d4e5f60718293a4b5c6d7e8f", "trace <hex>"),
        ("a deadbeef feedface", "a deadbeef feedface"),
        ("12:30, 2026, 4711", "12:30, 2026, 4711"),
    ],
)
def test_what_changes_with_every_run_has_a_placeholder(value, shown):
    recorded = spans("tool t")
    recorded[0].attributes[semconv.TOOL_CALL_ARGUMENTS] = {"value": value}
    assert shape(forest(recorded)[0]) == f'tool t {{"value": "{shown}"}}'


def test_ids_in_a_name_are_a_glob():
    assert shape(steps("span job 1b4e28ba-2fa1-11d2-883f-0016d3cca427 of 2026-11-21")) == "span job * of *"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tokens": "dorp"}, "tokens='dorp': did you mean 'drop'?"),
        ({"models": "none"}, "models='none': one of ('exact', 'family')"),
        ({"args": True}, "args=True: one of ('drop', 'keep')"),
    ],
)
def test_another_option_is_refused(options, error):
    with pytest.raises(RuleError) as mistake:
        trace(RESEARCH).shape(**options)
    assert str(mistake.value) == error


def test_depth_is_no_limit():
    lines = shape(chain(3000, innermost="tool deep")).splitlines()
    assert (len(lines), lines[-1]) == (3000, "  " * 2999 + "tool deep")


def test_many_steps_side_by_side():
    recorded = "agent a\n" + "\n".join(f"  tool t{number} start=0" for number in range(300))
    expected = shape(steps(recorded))
    assert expected.splitlines()[:3] == ["agent a", "  ||", "    tool t0"]
    assert difference(parse_tree(expected), steps(recorded)) is None


NAMES = st.one_of(st.sampled_from(["a", "x2", "two words", "[b]", "*", '"', "{", "a #b", "..."]), st.text(max_size=5))
TIMES = st.integers(0, 5)


@st.composite
def recorded(draw):
    """Spans of one trace, their times and parents any."""
    found = []
    for number in range(1, draw(st.integers(1, 8)) + 1):
        kind = draw(st.sampled_from(["tool", "llm", "agent", "span"]))
        (span,) = spans(f"{kind} name start={draw(TIMES)} end={draw(TIMES)}")
        name = draw(NAMES)
        attributes = {key: name if value == "name" else value for key, value in span.attributes.items()}
        if draw(st.booleans()):
            attributes[semconv.ERROR_TYPE] = draw(NAMES)
        parent = draw(st.integers(0, number - 1))
        parent_id = f"{parent:016x}" if parent else ""
        ids = {"span_id": f"{number:016x}", "parent_id": parent_id}
        found.append(structs.replace(span, name=name, attributes=attributes, **ids))
    return found


@given(recorded())
def test_a_shape_is_an_expectation_that_its_steps_meet(recorded):
    roots, _ = forest(recorded)
    assert difference(parse_tree(shape(roots)), roots) is None


@given(recorded(), st.randoms(use_true_random=False))
def test_a_shape_depends_on_neither_ids_nor_order_nor_the_clock(recorded, random):
    again = [moved(span) for span in recorded]
    random.shuffle(again)
    assert shape(forest(again)[0]) == shape(forest(recorded)[0])


def moved(span):
    """The same at another time, slower, under other ids."""
    ids = {"trace_id": "f" * 32, "span_id": other(span.span_id), "parent_id": other(span.parent_id)}
    return structs.replace(span, start=span.start * 3 + 7, end=span.end * 3 + 7, **ids)


def other(span_id):
    return f"{0xFEDC - int(span_id, 16):016x}" if span_id else ""
