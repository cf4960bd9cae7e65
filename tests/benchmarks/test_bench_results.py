"""What a run keeps: each part as it is found, in place of what was there, with the command and the commit."""

from __future__ import annotations

import pytest
from compare import results
from compare.cases import Case
from compare.figures import Figure, Row
from compare.results import Results, Run

PLAIN, STREAM, LATER = Case("openai"), Case("openai", "stream"), Case("anthropic")
OLD, NEW = Run("all", "abc", 9.0, {"openlit": "it could not be installed"}), Run("again", "def", 2.0)


def row(case: Case, count: float) -> Row:
    return Row(case, {"none": Figure(count=count)})


def counts(found: Results) -> dict[Case, float | None]:
    return {row.case: row.figures["none"].count for row in found.rows}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")


def test_what_is_measured_again_takes_the_place_of_what_was_there():
    found = Results(rows=[row(PLAIN, 1.0), row(LATER, 2.0)], runs={str(PLAIN): OLD, str(LATER): OLD})
    found.take(Results(rows=[row(STREAM, 4.0), row(PLAIN, 3.0)], runs={str(PLAIN): NEW, str(STREAM): NEW}))
    assert counts(found) == {PLAIN: 3.0, STREAM: 4.0, LATER: 2.0}
    assert found.runs == {str(PLAIN): NEW, str(LATER): OLD, str(STREAM): NEW}


def test_rows_are_in_one_order_whenever_they_were_measured():
    found = Results(rows=[row(LATER, 2.0)])
    found.take(Results(rows=[row(STREAM, 4.0), row(PLAIN, 3.0)]))
    assert [row.case for row in found.rows] == [PLAIN, STREAM, LATER]


def test_what_fails_leaves_no_older_figures_that_would_look_like_its_own():
    found = Results(
        rows=[row(PLAIN, 1.0)],
        startup={"bare": {}},
        tables={"proxy": {}, "reading": {}},
        runs=dict.fromkeys([str(PLAIN), "startup", "proxy", "reading"], OLD),
    )
    failed = Run("again", "def", 1.0, failed="no /proc")
    found.take(Results(runs=dict.fromkeys([str(PLAIN), "startup", "proxy"], failed)))
    assert (found.rows, found.startup, found.tables) == ([], {}, {"reading": {}})


def test_versions_of_peers_that_were_not_measured_again_stay():
    found = Results(versions={"sdks": {"none": {"openai": "3.0"}, "genai": {"openai": "3.0"}}})
    found.take(Results(versions={"sdks": {"none": {"openai": "3.1"}}, "litellm": {"none": {"litellm": "1.0"}}}))
    assert found.versions == {
        "sdks": {"none": {"openai": "3.1"}, "genai": {"openai": "3.0"}},
        "litellm": {"none": {"litellm": "1.0"}},
    }


def test_today_s_results_are_gone_on_with():
    first = results.begun()
    first.take(Results(rows=[row(PLAIN, 1.0)], tables={"proxy": {"ms": {"llmtrace": [1.0]}}}, runs={str(PLAIN): OLD}))
    assert first.save() == results.newest()
    again = results.begun()
    assert (counts(again), again.tables, again.runs) == (counts(first), first.tables, first.runs)


def test_a_run_begins_with_no_results():
    assert (results.begun().rows, results.newest()) == ([], None)


def test_the_machine_s_name_has_no_host_and_can_be_a_file_s():
    assert set(results.machine()["name"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
