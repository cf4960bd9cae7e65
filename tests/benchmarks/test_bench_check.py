"""The benchmark of `llmtrace check` measures what it names, on files whose spans all are read."""

import re

import pytest

from check import ROWS, main, write
from llmtrace_otel.check.rules.engine import check
from llmtrace_otel.check.rules.load import loads


def test_every_row_is_told_with_its_cpu_and_memory(capsys):
    main(["--spans", "60", "--content", "100"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "60 spans; × json.loads, CPU seconds, highest memory"
    told = [re.fullmatch(r"(.{20}) *\d+\.\d\d × +\d+\.\d\d s +\d+\.\d MB", row) for row in rows]
    assert sorted(row[1].strip() for row in told) == sorted(ROWS)


@pytest.mark.parametrize(("layout", "groups"), [("traces", 4), ("single", 90), ("interleaved", 4)])
def test_a_layout_has_all_spans_in_its_traces(tmp_path, layout, groups):
    file = tmp_path / "t.jsonl"
    write(file, 90, 0, layout)
    report = check(loads("[budget]\ncalls = 100\n", "r.toml"), [str(file)], print)
    assert (report.spans, report.groups, report.exit_code) == (90, groups, 0)


def test_interleaved_traces_take_turns(tmp_path):
    file = tmp_path / "t.jsonl"
    write(file, 90, 0, "interleaved")
    agents = ["invoke_agent" in line for line in file.read_text().splitlines()]
    assert agents == [True] * 4 + [False] * 86
