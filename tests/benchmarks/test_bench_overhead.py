"""A run of the benchmark: its steps, and what becomes of those that fail."""

from __future__ import annotations

from dataclasses import replace

import overhead
import pytest
from compare import results
from compare.cases import CASES, Case
from compare.environments import FailedError
from compare.figures import Figure, Row
from compare.results import Results
from overhead import Step, environments, run, steps, taken, unfinished


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(overhead, "environments", lambda sdks, peers, at_once: {"sdks": {}, "litellm": {}})


def parts(*words: str) -> list[str]:
    return [part for step in steps(list(words), ["llmtrace"], 1, "functions", 1) for part in step.parts]


def fails():
    raise SystemExit("the collector ended")


def test_everything_is_every_row_and_every_table_once():
    assert sorted(parts()) == sorted([*map(str, CASES), "startup", "proxy", "collector", "reading"])


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["proxy"], ["proxy"]),
        (["reading", "startup"], ["startup", "reading"]),
        (["openai", "concurrent"], [f"openai concurrent async, content {content}, 1kB" for content in ("off", "on")]),
        (["other", "proxy"], ["httpx2 other sync, content off, 1kB", "proxy"]),
        (["other", "child"], []),
    ],
)
def test_words_choose_the_rows_that_have_them_all_and_the_tables_of_that_name(words, chosen):
    assert parts(*words) == chosen


def test_rows_that_share_their_processes_are_one_step():
    found = list(steps(["openai", "turns"], [], 1, "functions", 1))
    assert [step.title for step in found] == ["openai, content off", "openai, content on", "openai, content delta"]


def test_a_step_that_fails_is_told_with_its_reason_and_the_next_is_taken(capsys):
    table = {"ms": {"llmtrace": [1.0]}}
    todo = [
        Step("collector", ["collector"], fails),
        Step("reading", ["reading"], lambda: (Results(tables={"reading": table}), {"jq": "it is not installed"})),
    ]
    kept = results.begun()
    found = run(todo, kept)
    assert found.tables == {"reading": table}
    assert found.runs["collector"].failed == "the collector ended"
    assert found.runs["reading"].missing == {"jq": "it is not installed"}
    told = [line.rpartition(",")[0] for line in capsys.readouterr().err.splitlines() if line.startswith("[")]
    assert told == ["", "[1/2] collector: the collector ended", "", "[2/2] reading: done"]


def test_a_run_that_is_broken_off_keeps_what_it_found():
    def broken_off():
        raise KeyboardInterrupt

    todo = [
        Step("proxy", ["proxy"], lambda: (Results(tables={"proxy": {}}), {})),
        Step("reading", ["reading"], broken_off),
    ]
    with pytest.raises(KeyboardInterrupt):
        run(todo, results.begun())
    assert results.begun().tables == {"proxy": {}}


def test_a_run_is_taken_up_where_something_is_missing_or_has_failed():
    rows = [str(case) for case in CASES[:2]]
    todo = [Step("calls", rows, fails), Step("proxy", ["proxy"], fails), Step("reading", ["reading"], fails)]
    took = results.Run("python benchmarks/overhead.py", "abc", 1.0)
    kept = Results(runs={rows[0]: took, "proxy": took, "reading": replace(took, failed="no file")})
    assert [step.title for step in unfinished(todo, kept)] == ["calls", "reading"]
    assert unfinished(todo, Results(runs=dict.fromkeys([*rows, "proxy", "reading"], took))) == []


def test_nothing_is_written_unless_it_is_to_be_kept():
    run([Step("proxy", ["proxy"], lambda: (Results(tables={"proxy": {}}), {}))], None)
    assert results.newest() is None


def test_a_part_tells_the_command_and_the_commit(monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks/overhead.py", "--write", "proxy"])
    made = taken(Step("proxy", ["proxy"], lambda: (Results(), {})), "abc").runs["proxy"]
    assert (made.command, made.commit) == ("python benchmarks/overhead.py --write proxy", "abc")


def test_an_environment_that_several_share_is_made_once(monkeypatch):
    made = []

    def python_of(peer, sdk):
        made.append((peer, sdk))
        raise FailedError("no index")

    monkeypatch.setattr(overhead, "python_of", python_of)
    unmade = environments(["anthropic", "litellm"], ["anthropic-otel", "litellm-otel", "logfire"], 4)
    assert sorted(made) == [
        ("logfire", "anthropic"),
        ("logfire", "litellm"),
        ("none", "anthropic"),
        ("none", "litellm"),
    ]
    assert unmade == {
        "sdks": dict.fromkeys(["none", "anthropic-otel", "logfire"], "no index"),
        "litellm": dict.fromkeys(["none", "litellm-otel", "logfire"], "no index"),
    }


def test_times_alone_are_those_of_calls_that_were_counted(monkeypatch):
    case, other, stream = Case("openai"), Case("anthropic"), Case("openai", "memory")
    figures = {"llmtrace": Figure(1, True, False, 197.0, "functions")}
    asked = []

    def measure(cases, wanted, rounds, way, at_once, known):
        asked.append((cases, wanted, rounds, known))
        return [Row(case, known[case]) for case in cases], []

    monkeypatch.setattr(overhead, "measure", measure)
    known = {case: figures, other: figures, stream: figures}
    (step,) = steps(["openai"], ["llmtrace"], 7, "functions", 1, known)
    assert (step.title, step.parts) == ("openai, content off, times", [f"times of {case}"])
    found, _ = step.measure()
    assert [row.figures for row in found.rows] == [figures]
    assert asked == [([case], ["llmtrace"], 7, known)]
    assert [step.title for step in steps([], [], 7, "functions", 1, known)] == [
        "openai, content off, times",
        "anthropic, content off, times",
    ]
