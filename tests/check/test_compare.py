import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profiled import any_spans, call, prices, step, tool

from llmtrace_otel.check import pricing
from llmtrace_otel.check.amounts import Unknown
from llmtrace_otel.check.compare import (
    Change,
    Profile,
    compare,
    parse_tolerance,
    profile,
    read_profiles,
    write_profiles,
)
from llmtrace_otel.check.errors import RuleError
from llmtrace_otel.check.measure import Measure
from llmtrace_otel.check.once import once
from llmtrace_otel.check.profile import Used
from llmtrace_otel.telemetry import cost, semconv

assert prices  # the fixture, for every test here

NOW = 1_800_000_000_000_000_000
generous = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def texts(old, new, tolerance=0.1):
    return [change.text for change in compare(profile(old), profile(new), tolerance)]


def worse(old, new, tolerance=0.1):
    return [change.name for change in compare(profile(old), profile(new), tolerance) if change.worse]


# What a profile holds


def test_a_profile_holds_calls_by_model_and_tools_by_name():
    spans = [call(100, 10, cached=40), call(200, 20), call(5, 1, "long"), tool("search"), tool("search"), step({})]
    assert profile(spans) == Profile(
        calls=3,
        errors=0,
        tools={"search": 2},
        models=[
            Used(provider="acme", model="long", calls=1, input=5, output=1),
            Used(provider="acme", model="small", calls=2, input=300, output=30, cache_read=40),
        ],
    )


def test_calls_that_a_price_table_may_charge_otherwise_are_held_apart():
    flex = {semconv.OPENAI_RESPONSE_SERVICE_TIER: "flex"}
    dated = {semconv.RESPONSE_MODEL: "small-2026"}
    spans = [call(1, 1), call(1, 1, **flex), call(1, 1, **dated), call(200_001, 1), call(1, 1, x="y")]
    assert profile(spans).models == [
        Used(provider="acme", model="small", calls=2, input=2, output=2),
        Used(provider="acme", model="small", above=200_000, calls=1, input=200_001, output=1),
        Used(provider="acme", model="small", tier="flex", calls=1, input=1, output=1),
        Used(provider="acme", model="small", answered="small-2026", calls=1, input=1, output=1),
    ]


def test_a_span_that_was_exported_twice_counts_once():
    first, second = call(10, 1), call(20, 2)
    assert profile([first, second, first, second]) == profile([first, second])


def test_a_span_is_known_again_among_the_last_ones_only():
    spans = [call(1, 1) for _ in range(9)]
    assert list(once([*spans[:4], spans[0]], window=4)) == spans[:4]
    assert list(once([*spans, spans[0]], window=4)) == [*spans, spans[0]]


@generous
@given(any_spans())
def test_a_profile_counts_like_a_measure(spans):
    found, measure = profile(spans), Measure(spans)
    assert (found.calls, found.errors, found.tools) == (measure.calls, measure.errors, measure.tools)
    assert isinstance(found.tokens, Unknown) == isinstance(measure.tokens, Unknown)
    assert known(found.tokens) == known(measure.tokens)


@generous
@given(any_spans().flatmap(lambda spans: st.tuples(st.just(spans), st.permutations(spans))))
def test_the_order_of_the_spans_does_not_matter(both):
    spans, shuffled = both
    assert profile(spans) == profile(shuffled)


def known(amount):
    return amount.at_least if isinstance(amount, Unknown) else amount


# Prices


def test_a_cost_is_the_sum_of_what_each_call_costs():
    spans = [call(1_000_000 // 8, 10, "long"), call(250_000, 10, "long"), call(1000, 7, cached=500), call(3, 1)]
    each = [profile([span]).cost(NOW) for span in spans]
    assert each == [0.1251, 0.5001, 0.00062, 0.000013]
    assert profile(spans).cost(NOW) == 0.625833


def priced_calls():
    """Calls that tell their tokens, of which no more are cached than there are."""
    tokens = st.tuples(st.integers(0, 600_000), st.integers(0, 600_000)).map(sorted)
    models = st.sampled_from(["small", "long"])
    return st.builds(lambda told, out, model: call(told[1], out, model, cached=told[0]), tokens, st.integers(0), models)


@generous
@given(st.lists(priced_calls(), max_size=8))
def test_the_sum_of_tokens_costs_what_the_calls_cost(spans):
    each = [pricing.repriced(span) for span in spans]
    assert profile(spans).cost(NOW) == pytest.approx(sum(each), rel=1e-12)


def test_cached_answers_subscriptions_and_calls_that_failed_at_once_cost_nothing():
    included = call(9, 9, **{semconv.COST_STATUS: "included"})
    assert profile([call(9, 9, **{semconv.CACHE_HIT: True}), included, call(failed="timeout")]).cost(NOW) == 0


def test_a_replayed_call_costs_what_it_would_have_cost():
    replayed = {semconv.REPLAY: True, semconv.CACHE_HIT: True}
    assert profile([call(1000, 100, **replayed)]) == profile([call(1000, 100)])


def test_a_cost_without_a_price_is_unknown():
    found = profile([call(1000, 0), call(5, 5, "foo")]).cost(NOW)
    assert (found.at_least, found.why) == (0.001, "no price for 'acme/foo'; give one in LLMTRACE_PRICES")


@pytest.mark.parametrize("cut", [call(9), call(None, 9), call(9, 9, **{semconv.STREAM_INCOMPLETE: True})])
def test_a_cost_of_a_call_that_did_not_tell_all_is_unknown(cut):
    found = profile([call(1000, 0), cut]).cost(NOW)
    assert found.why == "1 of 2 calls did not tell all their tokens"
    assert found.at_least >= 0.001


# Changes


def test_tokens_and_calls_come_first_and_the_cost_last():
    old = [call(8000, 300), tool("search")]
    new = [call(8000, 300), call(4000, 150), call(10, 0, "long"), tool("search"), tool("delete_file", "denied")]
    assert texts(old, new) == [
        "tokens  8,300 → 12,460 (+50.1%, 10% allowed)",
        "calls  1 → 3 (+200%, 10% allowed)",
        "tools  1 → 2 (+100%, 10% allowed)",
        "tool delete_file  0 → 1 (was 0)",
        "model acme/long  0 → 1 (was 0)",
        "errors  0 → 1 (was 0)",
        "cost  $0.011 → $0.01651 (+50.1%, 10% allowed)",
    ]


def test_less_is_a_change_and_never_worse():
    old = [call(100, 10), call(100, 10, "long"), tool("search", "timeout")]
    new = [call(50, 5)]
    assert texts(old, new) == [
        "tokens  220 → 55 (−75%)",
        "calls  2 → 1 (−50%)",
        "tools  1 → 0 (−100%)",
        "tool search  1 → 0 (−100%)",
        "model acme/long  1 → 0 (−100%)",
        "errors  1 → 0 (−100%)",
        "cost  $0.0004 → $0.0001 (−75%)",
    ]
    assert worse(old, new) == []


def test_a_change_is_plain_data():
    assert compare(profile([call(100, 0)]), profile([call(105, 0)]))[0] == Change(
        "tokens", 100, 105, 1.05, worse=False, text="tokens  100 → 105 (+5%)"
    )


@pytest.mark.parametrize(("new", "expected"), [(110, []), (111, ["tokens", "cost"])])
def test_the_tolerance_itself_is_allowed(new, expected):
    assert worse([call(100, 0)], [call(new, 0)]) == expected


def test_no_tolerance_allows_nothing_more():
    assert texts([call(1000, 0)], [call(1001, 0)], 0)[0] == "tokens  1,000 → 1,001 (+0.1%, 0% allowed)"


def test_a_new_price_is_no_regression(prices):
    old = profile([call(100, 0)])
    prices.write_text(prices.read_text().replace("input = 1\n", "input = 5\n"))
    cost.refresh()
    assert compare(old, profile([call(100, 0)])) == []
    assert compare(old, profile([call(101, 0)]))[1].text == "cost  $0.0005 → $0.000505 (+1%)"


def test_an_unknown_cost_is_told_as_unknown():
    known, unknown = profile([call(1000, 0)]), profile([call(900, 0), call(100, 0, "foo")])
    why = "no price for 'acme/foo'; give one in LLMTRACE_PRICES"
    there, back = compare(known, unknown)[-1], compare(unknown, known)[-1]
    assert there == Change("cost", 0.001, None, None, False, f"cost  $0.001 → unknown, at least $0.0009 ({why})")
    assert back == Change("cost", None, 0.001, None, False, f"cost  unknown, at least $0.0009 → $0.001 ({why})")
    assert not there.known


def test_a_cost_that_is_unknown_on_both_sides_is_told_if_anything_changed():
    old, new = profile([call(100, 0, "foo")]), profile([call(900, 0, "foo")])
    text = "cost  unknown → unknown (no price for 'acme/foo'; give one in LLMTRACE_PRICES)"
    assert compare(old, new)[-1] == Change("cost", None, None, None, False, text)


def test_what_is_known_of_a_cost_may_be_too_much_already():
    new = profile([call(2000, 0), call(1, 0, "foo")])
    assert compare(profile([call(1000, 0)]), new)[-1].worse


def test_unknown_tokens_are_told_as_unknown():
    old, new = [call(100, 0)], [call(100, 0), call()]
    assert texts(old, new)[0] == "tokens  100 → unknown, at least 100 (1 of 2 calls did not tell tokens)"
    assert texts([call()], [call(5, 5)])[0] == "tokens  unknown → 10 (1 of 1 call did not tell tokens)"


@generous
@given(any_spans())
def test_nothing_differs_from_itself(spans):
    assert compare(profile(spans), profile(spans)) == []


@generous
@given(any_spans(), st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 2.0]))
def test_one_more_call_is_never_less(spans, into, out, tolerance):
    old, new = profile(spans), profile([*spans, call(into, out)])
    assert {change.name for change in compare(new, old, tolerance) if change.worse} == set()
    assert next(change.new - change.old for change in compare(old, new, tolerance) if change.name == "calls") == 1


# Tolerances


@pytest.mark.parametrize(
    ("text", "share"), [("10%", 0.1), ("0.1", 0.1), (" 2.5 % ", 0.025), ("0", 0.0), ("150%", 1.5), (0.2, 0.2)]
)
def test_a_tolerance_is_a_share(text, share):
    assert parse_tolerance(text) == share


@pytest.mark.parametrize("text", ["", "ten", "-1%", "10 percent", "nan", "inf", "1e3", True, -0.1])
def test_a_tolerance_that_is_no_share_is_refused(text):
    with pytest.raises(RuleError) as refused:
        parse_tolerance(text)
    assert str(refused.value) == f"tolerance {text!r}: write a share such as 10% or 0.1, 0 or more"


# Baselines


def test_profiles_are_written_so_that_a_review_shows_what_changed(tmp_path):
    path = tmp_path / "baseline.json"
    write_profiles(path, {"b": profile([]), "a": profile([call(300, 20, cached=100), tool("search")])})
    assert path.read_text() == (
        """{
  "version": 1,
  "profiles": {
    "a": {
      "calls": 1,
      "tools": {
        "search": 1
      },
      "models": [
        {
          "provider": "acme",
          "model": "small",
          "calls": 1,
          "input": 300,
          "output": 20,
          "cache_read": 100
        }
      ]
    },
    "b": {}
  }
}
"""
    )


@generous
@given(st.dictionaries(st.text(), any_spans().map(profile), max_size=4))
def test_profiles_are_read_as_they_were_written(tmp_path, profiles):
    write_profiles(tmp_path / "baseline.json", profiles)
    assert read_profiles(tmp_path / "baseline.json") == profiles


def test_a_file_that_is_replaced_keeps_its_permissions_and_nothing_is_left_beside_it(tmp_path, prices):
    path = tmp_path / "baseline.json"
    path.write_text("old")
    path.chmod(0o640)
    write_profiles(path, {})
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(tmp_path.iterdir()) == [path, prices]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, prices):
    path = tmp_path / "baseline.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_profiles(path, {"\ud800": Profile()})
    assert path.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [path, prices]


REWRITE = "restore it, or delete it and record it anew"
HEAD = '{"version": 1, "profiles": {\n"a": {},\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 1,\n', "baseline.json, line 2: no JSON: Expecting property name enclosed in double quotes"),
        ("[" * 200_000, "baseline.json is nested too deep to be a baseline"),
        (
            "1" * 5000,
            "baseline.json: Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits; "
            "use sys.set_int_max_str_digits() to increase the limit",
        ),
        ("[]", 'baseline.json is no baseline: it lacks "version" or "profiles"'),
        ('{"version": 1}', 'baseline.json is no baseline: it lacks "version" or "profiles"'),
        ('{"version": 2, "profiles": {}}', "baseline.json is a baseline of version 2, this llmtrace reads 1"),
        (HEAD + '"b": {"calls": "x"}}}', "baseline.json, line 3, b: calls: Expected `int`, got `str`"),
        (HEAD + '"b": 1}}', "baseline.json, line 3, b: Expected `object`, got `int`"),
        (HEAD + '"b": {"cals": 1}}}', "baseline.json, line 3, b: Object contains unknown field `cals`"),
        (
            HEAD + '"b": {"models": [{"input": -1}]}}}',
            "baseline.json, line 3, b: models[0].input: Expected `int` >= 0",
        ),
    ],
)
def test_a_damaged_baseline_says_where_and_what_to_do(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "baseline.json").write_text(text)
    with pytest.raises(RuleError) as refused:
        read_profiles("baseline.json")
    assert str(refused.value) == f"{message}; {REWRITE}"


def test_a_baseline_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "baseline.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RuleError) as refused:
        read_profiles(path)
    assert str(refused.value) == f"{path} is no UTF-8 text; {REWRITE}"


def test_a_baseline_without_calls_costs_nothing(tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({"version": 1, "profiles": {"a": {"models": [{"model": "m", "input": 5}]}}}))
    assert read_profiles(path)["a"].cost(NOW) == 0
