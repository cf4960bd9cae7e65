"""What the benchmark makes of its measurements: differences, ratios to a bare span, medians and who adds the least."""

from __future__ import annotations

import json

import pytest
from compare.cases import CASES, Case
from compare.figures import Column, Figure, Row, Spread, from_data, percentile, spread, to_data

CHAT = Case("openai")


def counted(**counts: float) -> Row:
    return Row(CHAT, {name.replace("_at_", "@"): Figure(count=count) for name, count in counts.items()})


def test_a_ratio_is_what_a_peer_adds_to_what_a_bare_span_adds():
    row = counted(none=5000, bare=5250, llmtrace=5325, genai=5750)
    assert {peer: row.ratio(peer) for peer in row.peers()} == {"bare": 1.0, "llmtrace": 1.3, "genai": 3.0}


def test_a_peer_with_other_versions_is_compared_with_its_own_baselines():
    row = counted(none=5000, bare=5250, openlit=8000, none_at_openlit=7000, bare_at_openlit=7500)
    assert (row.added("openlit"), row.ratio("openlit")) == (1000, 2.0)
    assert row.peers() == ["bare", "openlit"]


def test_a_row_without_a_bare_span_has_no_ratio():
    row = counted(none=5000, llmtrace=5013)
    assert (row.added("llmtrace"), row.ratio("llmtrace")) == (13, None)


def test_what_was_not_counted_is_no_number():
    row = Row(CHAT, {"none": Figure(count=5000), "bare": Figure(count=5250), "genai": Figure()})
    assert (row.added("genai"), row.ratio("genai"), row.added_cpu("genai"), row.added_bytes("genai")) == (None,) * 4


def test_the_peer_that_adds_the_least_is_first_and_a_bare_span_is_no_peer():
    assert counted(none=10, bare=11, genai=17, llmtrace=12, httpx=15).ranking() == ["llmtrace", "httpx", "genai"]


def test_a_peer_that_tells_less_of_a_call_than_ours_is_not_ranked():
    figures = {
        "none": Figure(count=10.0),
        "llmtrace": Figure(1, True, True, 17.0),
        "genai": Figure(1, True, True, 18.0),
        "openlit": Figure(2, True, False, 16.0),
        "httpx": Figure(1, False, False, 15.0),
        "agentopt": Figure(0, False, False, 11.0),
    }
    row = Row(CHAT, figures)
    assert row.ranking() == ["llmtrace", "genai"]
    assert row.counted() == ["agentopt", "httpx", "openlit", "llmtrace", "genai"]
    assert {peer: row.lacks(peer) for peer in row.counted()} == {
        "agentopt": "no span",
        "httpx": "no tokens",
        "openlit": "no content",
        "llmtrace": "",
        "genai": "",
    }


def test_where_there_is_nothing_to_tell_everyone_is_ranked():
    figures = {"none": Figure(count=10.0), "llmtrace": Figure(count=12.0), "langfuse": Figure(count=10.0)}
    assert Row(Case("httpx2", "other"), figures).ranking() == ["langfuse", "llmtrace"]


def test_added_time_is_of_the_same_round():
    slow, quick = Figure(cpu=[1.0, 5.0, 3.0]), Figure(cpu=[0.5, 4.0, 1.0])
    assert Row(CHAT, {"none": quick, "llmtrace": slow}).added_cpu("llmtrace") == Spread(1.0, 0.5, 2.0)


def test_added_memory_is_what_an_untraced_call_does_not_hold():
    figures = {"none": Figure(bytes=1000), "llmtrace": Figure(bytes=1400)}
    assert Row(Case("openai", "memory"), figures).added_bytes("llmtrace") == 400


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_a_value_that_was_seen(share, value):
    assert percentile(range(1, 101), share) == value


def test_a_spread_is_the_median_and_the_range():
    assert spread([4.0, 1.0, 2.0]) == Spread(2.0, 1.0, 4.0)


def test_a_results_file_is_read_back_as_it_was_written():
    figures = {"none": Figure(2, True, False, 5000.0, cpu=[0.1], elapsed=[0.2, 0.3]), "llmtrace": Figure(bytes=7)}
    row = Row(CHAT, figures)
    [read] = from_data(json.loads(json.dumps(to_data([row]))))
    assert (read.case, read.figures) == (CHAT, figures)


def test_a_column_is_named_by_whose_environment_it_is_in_unless_that_is_its_own():
    columns = [Column("none", "none"), Column("openlit", "openlit"), Column("none", "openlit")]
    assert [str(column) for column in columns] == ["none", "openlit", "none@openlit"]


def test_a_row_is_chosen_by_its_words_in_any_order():
    chosen = [str(case) for case in CASES if case.has(["off", "openai", "turns"])]
    assert chosen == [f"openai plain sync, content off, {turns} turns" for turns in (10, 100, 1000)]


def test_no_two_rows_have_one_name():
    assert len({str(case) for case in CASES}) == len(CASES)
