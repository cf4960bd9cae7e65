"""The page and the pictures that the benchmark makes of its results."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from compare import page
from compare.cases import Case
from compare.figures import Figure, Row
from compare.plot import Bar, Scale, bars, lines
from compare.results import Results

MACHINE = {"name": "m", "system": "Linux 6", "processor": "a chip", "processors": 4, "python": "3.11.7"}


def row(case: Case, **counts: float) -> Row:
    return Row(case, {name: Figure(1, True, False, count) for name, count in counts.items()})


@pytest.fixture
def made(tmp_path):
    def make(*rows: Row, **more):
        page.write(Results("2026-11-21", MACHINE, rows=list(rows), **more), "file.json", tmp_path)
        return (tmp_path / "overhead.md").read_text(), sorted(path.name for path in tmp_path.glob("*.svg"))

    return make


def test_a_table_has_a_line_per_peer_and_a_column_per_row():
    rows = [row(Case("openai"), none=5e6, bare=5.25e6, llmtrace=5.3e6), row(Case("openai", "stream"), none=9e6)]
    assert page.side_by_side(rows, page.call_name, page.added).splitlines() == [
        "|  | plain sync, off | stream sync, off |",
        "| --- | ---: | ---: |",
        "| not traced | 5,000 | 9,000 |",
        "| a bare SDK span | 250 |  |",
        "| **llmtrace** | 300 |  |",
    ]


def test_functions_are_told_as_they_are():
    figures = {"none": Figure(count=900.0, unit="functions"), "bare": Figure(count=1000.0, unit="functions")}
    assert page.added(Row(Case("litellm"), figures), "bare") == "100"


def test_the_page_says_where_ours_is_not_the_least(made):
    text, _ = made(row(Case("openai"), none=5000, bare=5250, llmtrace=5400, genai=5300))
    assert text.splitlines()[-1] == (
        "- openai plain sync, content off, 1kB: OpenTelemetry GenAI adds 300 instructions, ours 400."
    )


def test_a_peer_that_adds_less_because_it_does_less_is_told_with_what_it_leaves_out():
    figures = {
        "none": Figure(count=5000.0),
        "llmtrace": Figure(1, True, False, 5400.0),
        "httpx": Figure(1, False, False, 5350.0),
        "agentopt": Figure(0, False, False, 5070.0),
        "genai": Figure(1, True, False, 5700.0),
    }
    assert page.lost(Results(rows=[Row(Case("openai"), figures)])) == [
        "- openai plain sync, content off, 1kB: AgentOpt's tracker adds 70 instructions, ours 400; it reports no span.",
        "- openai plain sync, content off, 1kB: OpenTelemetry httpx adds 350 instructions, ours 400; "
        "it reports no tokens.",
    ]


def test_the_page_says_so_when_ours_is_the_least_everywhere(made):
    text, _ = made(row(Case("openai"), none=5000, bare=5250, llmtrace=5300, genai=5400))
    assert text.splitlines()[-1] == "Nowhere, by count."


def test_every_picture_that_is_written_is_shown(made):
    turns = [row(Case("openai", turns=n), none=5000, bare=5000 + n, llmtrace=5000 + 2 * n) for n in (10, 100)]
    text, pictures = made(row(Case("openai"), none=5000, bare=5250, llmtrace=5300), *turns)
    assert pictures == ["overhead-openai-plain.svg", "overhead-turns.svg"]
    assert all(f"]({picture})" in text for picture in pictures)


def test_a_peer_that_could_not_be_measured_is_listed_with_the_reason(made):
    text, _ = made(row(Case("openai"), none=1, bare=2, llmtrace=3), missing={"openlit": "it could not be installed"})
    assert "- OpenLIT: it could not be installed" in text.splitlines()


def test_results_without_any_rows_make_a_page(made):
    text, pictures = made()
    assert text.startswith("# What tracing costs")
    assert pictures == []


@pytest.mark.parametrize(
    "picture",
    [
        bars("A < B", [Bar("one", 0.5), Bar("ours & theirs", 120.0, ours=True)]),
        bars("one value", [Bar("one", 10.0)]),
        lines("growth", {"ours off": [(10, 1.0), (100, 2.0)], "ours on": [(10, 5.0), (100, 50.0)]}, "turns"),
    ],
)
def test_a_picture_is_well_formed_and_nothing_is_drawn_outside(picture):
    root = ElementTree.fromstring(picture)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 <= float(text.get("x", -1)) <= width
        assert 0 <= float(text.get("y", -1)) <= height


def test_a_scale_is_of_whole_powers_of_ten():
    scale = Scale([0.5, 120.0], 0.0, 400.0)
    assert scale.ticks() == [0.1, 1.0, 10.0, 100.0, 1000.0]
    assert [scale.at(tick) for tick in scale.ticks()] == [0.0, 100.0, 200.0, 300.0, 400.0]
