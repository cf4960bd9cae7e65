"""Spans that are put away and read again are judged as those in memory: the same report, byte by byte."""

import gzip
import json

import pytest
from check_files import encoded, line
from check_helpers import spans
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from llmtrace_otel.check.formats import FORMATS
from llmtrace_otel.check.measure import Measure
from llmtrace_otel.check.rules.engine import check
from llmtrace_otel.check.rules.load import loads
from llmtrace_otel.check.rules.partition import partitioned
from llmtrace_otel.check.rules.recorded import Recorded
from llmtrace_otel.telemetry import semconv

RULES = """\
[defaults]
group = "{group}"
[budget]
cost = 1
tokens = 20
calls = 2
tools = 1
duration = 3
[[rule]]
id = "count"
match = "tool t*"
count = 0
[[rule]]
id = "order"
match = "tool *"
before = "llm *"
[[rule]]
id = "errors"
errors = 0
[[rule]]
id = "cost"
match = "llm *"
cost = "<1"
[[rule]]
id = "loops"
loops = 2
[[tree]]
name = "tree"
shape = "llm *"
[baseline]
file = "{baseline}"
"""

STEPS = st.sampled_from(
    [
        "llm m in=5 out=6 usd=0.7 session=s-1",
        "llm m in=5 out=6 usd=0.2 session=s-2 user.id=u",
        "llm other in=1 out=2",
        "tool t {}",
        "tool u error=Boom session=s-1",
        "agent a",
        "http GET",
    ]
)


@st.composite
def recordings(draw):
    """Lines of spans of a few traces, in any order, some of them twice."""
    found = []
    for trace in range(draw(st.integers(1, 5))):
        texts = draw(st.lists(STEPS, min_size=1, max_size=4))
        found += spans("\n".join(texts), f"{trace + 1:032x}")
    found += draw(st.lists(st.sampled_from(found), max_size=4))
    return [line(span) for span in draw(st.permutations(found))]


@pytest.mark.parametrize("group", ["trace", "session", "file", "attr:user.id"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=recordings(), held=st.integers(4, 24))
def test_put_away_or_in_memory_the_report_is_the_same(tmp_path, group, lines, held):
    files = [str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    for file, content in zip(files, (lines[::2], lines[1::2]), strict=True):
        with open(file, "w") as stream:
            stream.writelines(content)
    rules = loads(RULES.format(group=group, baseline=files[0]), "r.toml")
    in_memory, put_away = (check(rules, files, print, held=count) for count in (10_000, held))
    for name, write in FORMATS.items():
        assert write(put_away) == write(in_memory), name


def recorded(number, key):
    return Recorded(trace_id=key, span_id=str(number), attributes={"n": number}, file="f", line=number)


@given(st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(1, 10))
def test_parts_hold_everything_once_in_order_and_whole_keys(keys, held):
    found = [recorded(number, key) for number, key in enumerate(keys)]
    parts = [list(part) for part in partitioned(found, lambda span: span.trace_id, held)]
    assert sorted((span for part in parts for span in part), key=lambda span: span.line) == found
    for part in parts:
        for key in {span.trace_id for span in part}:
            assert [span for span in part if span.trace_id == key] == [span for span in found if span.trace_id == key]
        assert len(part) <= held or len({span.trace_id for span in part}) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([name for name in vars(semconv).values() if isinstance(name, str) and "." in name] + ["x"])
FIELDS = st.sampled_from(
    ["stringValue", "intValue", "doubleValue", "boolValue", "arrayValue", "kvlistValue", "bytesValue"]
)
ATTRIBUTES = st.lists(
    st.fixed_dictionaries({"key": NAMES, "value": st.dictionaries(FIELDS, VALUES, max_size=1)}), max_size=12
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ATTRIBUTES, min_size=1, max_size=6))
def test_any_attributes_are_read_put_away_and_judged(tmp_path, all_attributes):
    plain = spans("llm m\n" * len(all_attributes))
    written = [encoded(span) | {"attributes": held} for span, held in zip(plain, all_attributes, strict=True)]
    content = "".join(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}) + "\n" for span in written)
    file = tmp_path / "t.jsonl.gz"
    file.write_bytes(gzip.compress(content.encode()))
    rules = loads(RULES.format(group="session", baseline=file), "r.toml")
    problems = []
    in_memory, put_away = (
        check(rules, [str(file)], lambda *told: problems.append(told), held=count) for count in (10_000, 4)
    )
    assert FORMATS["json"](put_away) == FORMATS["json"](in_memory)


def test_the_later_record_of_a_span_is_the_one_that_counts(tmp_path):
    first, second = spans("llm m in=1 out=1 usd=5\nllm m in=1 out=1 usd=5")
    again = structs.replace(second, span_id=first.span_id, attributes={**second.attributes, semconv.COST_USD: 0.5})
    file = tmp_path / "t.jsonl"
    file.write_text(line(first) + line(again))
    report = check(loads("[budget]\ncost = 1\n", "r.toml"), [str(file)], print)
    assert (report.exit_code, report.spans, report.outcomes[0].most) == (0, 1, (0.5, "trace 7f3a91c2"))


def test_of_a_call_all_is_kept_that_its_price_depends_on(tmp_path):
    replayed = "llm gpt-5 in=1000 out=500 cache=200 gen_ai.provider.name=openai openai.response.service_tier={} "
    called = spans("\n".join(replayed.format(tier) + "llmtrace.replay=true" for tier in ("flex", "priority")))
    file = tmp_path / "t.jsonl"
    file.write_text("".join(map(line, called)))
    report = check(loads("[budget]\ncost = 1\n", "r.toml"), [str(file)], print)
    assert report.outcomes[0].most == (Measure(called).cost, "trace 7f3a91c2")
    assert Measure(called).cost > 0
