"""The page and the pictures that the benchmark makes of its results."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from compare import page
from compare.cases import Case
from compare.figures import Figure, Row
from compare.plot import Bar, Linear, Logarithmic, amounts, apart, lines, ratios
from compare.results import Results, Run
from compare.tables import figures_table, startup_table, versions

MACHINE = {"name": "m", "system": "Linux 6", "processor": "a chip", "processors": 4, "python": "3.11.7"}
RUN = Run("python benchmarks/overhead.py", "abc", 12.0)
SVG = "{http://www.w3.org/2000/svg}"


def row(case: Case, **counts: float) -> Row:
    return Row(case, {name: Figure(1, True, False, count) for name, count in counts.items()})


@pytest.fixture
def made(tmp_path):
    def make(*rows: Row, **more):
        page.write(Results("2026-11-21", MACHINE, rows=list(rows), **more), "file.json", tmp_path)
        return (tmp_path / "overhead.md").read_text(), sorted(path.name for path in tmp_path.glob("*.svg"))

    return make


def section(text: str, heading: str) -> list[str]:
    """What is said under a heading, without empty lines."""
    found = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in found.splitlines() if line]


def test_a_table_has_a_line_per_peer_and_a_column_per_row():
    rows = [row(Case("openai"), none=5e6, bare=5.25e6, llmtrace=5.3e6), row(Case("openai", "stream"), none=9e6)]
    assert page.side_by_side(rows, page.shape_name, page.added).splitlines() == [
        "|  | plain, content off | stream, content off |",
        "| --- | ---: | ---: |",
        "| not traced | 5,000 | 9,000 |",
        "| a bare SDK span | 250 |  |",
        "| **llmtrace** | 300 |  |",
    ]


def test_functions_are_told_as_they_are():
    figures = {"none": Figure(count=900.0, unit="functions"), "bare": Figure(count=1000.0, unit="functions")}
    counted = Row(Case("litellm"), figures)
    assert (page.added(counted, "bare"), page.unit([counted])) == ("100", "functions")


def test_the_page_begins_with_what_ours_adds_and_what_the_others_do(made):
    plain = row(Case("openai"), none=5000, bare=5250, llmtrace=5300, httpx=5500, genai=6000)
    plain.figures["httpx"].tokens = False
    logged = row(Case("openai", content="on"), none=5000, bare=5250, llmtrace=5350, logfire=5600, genai=6250)
    text, _ = made(plain, logged)
    assert text.index("## ") == text.index("## In short")
    assert section(text, "In short: calls of OpenAI")[:9] == [
        "- Plain, content off: llmtrace adds **1.20 ×** what a bare span does, 6.0 % of the call's own instructions; "
        "the least of the others that report tokens, OpenTelemetry GenAI: 4.00 ×.",
        "- Plain, content on: llmtrace adds **1.40 ×** what a bare span does, 7.0 % of the call's own instructions; "
        "the least of the others that report tokens, Logfire: 2.40 ×.",
        "| ratio to a bare span | plain, off | plain, on | reports tokens |",
        "| --- | ---: | ---: | ---: |",
        "| a bare SDK span | 1.00 | 1.00 |  |",
        "| **llmtrace** | 1.20 | 1.40 | yes |",
        "| OpenTelemetry httpx | 2.00 |  | no |",
        "| OpenTelemetry GenAI | 4.00 | 5.00 | yes |",
        "| Logfire |  | 2.40 | yes |",
    ]


def test_a_peer_that_leaves_no_span_of_a_call_is_told_apart(made):
    blind = row(Case("openai"), none=5000, bare=5250, llmtrace=5300, httpx=5001)
    blind.figures["httpx"].spans = 0
    text, _ = made(blind)
    assert "| OpenTelemetry httpx | 0.00 (no span) | yes |" in section(text, "In short: calls of OpenAI")


def test_the_page_says_where_ours_is_not_the_least(made):
    text, _ = made(row(Case("openai"), none=5000, bare=5250, llmtrace=5400, genai=5300))
    assert section(text, "Where ours is not the least") == [
        "- openai plain sync, content off, 1kB: OpenTelemetry GenAI adds 300 instructions, ours 400."
    ]


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


def test_the_page_says_who_takes_less_time_for_as_much(made):
    figures = {
        "none": Figure(cpu=[1e-6] * 3),
        "bare": Figure(1, True, cpu=[2e-6] * 3),
        "llmtrace": Figure(1, True, cpu=[4e-6, 5e-6, 7e-6]),
        "genai": Figure(1, True, cpu=[3e-6, 4e-6, 9e-6]),
        "httpx": Figure(1, False, cpu=[3e-6] * 3),
        "openllmetry": Figure(1, True, cpu=[6e-6] * 3),
    }
    text, _ = made(Row(Case("openai"), figures))
    assert section(text, "Where ours is not the least") == [
        "Nowhere, by count.",
        "By CPU time, of those that tell as much of the call:",
        "- openai plain sync, content off, 1kB: OpenTelemetry GenAI takes 3 [2 … 8] µs, ours 4 [3 … 6] µs.",
    ]


def test_the_page_says_so_when_ours_is_the_least_everywhere(made):
    text, _ = made(row(Case("openai"), none=5000, bare=5250, llmtrace=5300, genai=5400))
    assert section(text, "Where ours is not the least") == ["Nowhere, by count."]


def test_the_page_says_which_limits_are_kept(made):
    stream = row(Case("openai", "stream"), none=5000, bare=5250, llmtrace=5600, genai=6200, httpx=5400)
    stream.figures["httpx"].tokens = False
    other = Row(Case("httpx2", "other"), {"none": Figure(cpu=[1e-6, 2e-6]), "llmtrace": Figure(cpu=[2e-6, 4e-6])})
    startup = {peer: {"cpu": [ms], "memory": mb} for peer, ms, mb in (("bare", 300, 40.0), ("llmtrace", 390, 41.0))}
    text, _ = made(
        row(Case("openai"), none=5000, bare=5250, llmtrace=5300),
        stream,
        other,
        startup={peer: {**found, "elapsed": [1.0], "modules": 1} for peer, found in startup.items()},
    )
    assert section(text, "What ours is held to")[3:] == [
        "| openai, plain: × a bare span | 1.3 | 1.20 | yes |",
        "| openai, stream: × the least of those who report tokens | 0.33 | 0.50 | **no** |",
        "| a request that is no LLM call: added CPU | 2 µs | 1.50 µs | yes |",
        "| start-up above `opentelemetry-instrument` alone: CPU | 60 ms | 90.0 ms | **no** |",
        "| start-up above `opentelemetry-instrument` alone: memory | 12 MB | 1.00 MB | yes |",
    ]


def test_every_picture_that_is_written_is_shown(made):
    turns = [row(Case("openai", turns=n), none=5000, bare=5000 + n, llmtrace=5000 + 2 * n) for n in (10, 100)]
    text, pictures = made(row(Case("openai"), none=5000, bare=5250, llmtrace=5300), *turns)
    assert pictures == ["overhead-openai-plain.svg", "overhead-turns.svg"]
    assert all(text.count(f"]({picture})") == 1 for picture in pictures)


def test_a_peer_that_could_not_be_measured_is_listed_with_the_reason_and_where(made):
    reason = {"openlit": "it could not be installed"}
    runs = {
        str(Case("openai")): Run("c", "abc", 1.0, reason),
        str(Case("openai", "stream")): Run("c", "abc", 1.0, reason | {"none@genai": "it ended with 1"}),
        str(Case("openai", content="on")): Run("c", "abc", 1.0, reason),
        "startup": Run("c", "abc", 1.0, reason),
        "proxy": Run("c", "abc", 1.0, failed="no /proc"),
    }
    text, _ = made(runs=runs)
    assert [line for line in text.splitlines() if line.startswith("- ") and line.endswith(")")] == [
        "- OpenLIT: it could not be installed (openai, content off, on; startup)",
        "- not traced, in the environment of OpenTelemetry GenAI: it ended with 1 (openai, content off)",
        "- all: no /proc (proxy)",
    ]


def test_the_page_says_which_command_and_which_commit_made_what(made):
    runs = {str(Case("openai")): RUN, str(Case("openai", "stream")): RUN, "proxy": Run("p", "def", 3.0)}
    text, _ = made(runs=runs)
    assert section(text, "Which command made what") == [
        "- `python benchmarks/overhead.py`, commit abc: openai, content off (2 rows, 12 s).",
        "- `p`, commit def: proxy (3 s).",
    ]


def test_results_without_any_rows_make_a_page(made):
    text, pictures = made()
    assert text.startswith("# What tracing costs")
    assert pictures == []


def test_the_start_up_is_told_as_what_is_above_bare_opentelemetry_instrument():
    found = {
        "none": {"cpu": [10.0, 10.0, 10.0], "elapsed": [11.0], "memory": 9.0, "modules": 30},
        "bare": {"cpu": [300.0, 400.0, 320.0], "elapsed": [400.0], "memory": 40.0, "modules": 400},
        "langfuse": {"cpu": [900.0, 930.0, 960.0], "elapsed": [950.0], "memory": 66.0, "modules": 1400},
        "llmtrace": {"cpu": [310.0, 380.0, 340.0], "elapsed": [430.0], "memory": 40.25, "modules": 437},
    }
    assert startup_table(found).splitlines()[2:] == [
        "| `python` alone | 10 |  | 0.03 | 11 | 9.0 |  | 30 |  |",
        "| `opentelemetry-instrument` alone | 320 |  | 1.00 | 400 | 40.0 |  | 400 |  |",
        "| **llmtrace** | 340 | 10 [-20 … 20] | 1.06 | 430 | 40.2 | 0.2 | 437 | 37 |",
        "| Langfuse (script) | 930 | 600 [530 … 640] | 2.91 | 950 | 66.0 | 26.0 | 1,400 | 1,000 |",
    ]


def test_a_table_of_another_benchmark_has_medians_with_their_range_and_how_ours_compares():
    found = {
        "CPU, s": {"llmtrace": [20.0, 24.0, 22.0], "official": [40.0, 44.0, 48.0]},
        "memory, MB": {"llmtrace": [60.0]},
    }
    assert figures_table("collector", found).splitlines() == [
        "|  | llmtrace | official | llmtrace ÷ official |",
        "| --- | ---: | ---: | ---: |",
        "| CPU, s | 22.0 [20.0 … 24.0] | 44.0 [40.0 … 48.0] | 0.50 |",
        "| memory, MB | 60.0 |  |  |",
    ]


def test_versions_are_told_once_unless_a_peer_has_others():
    found = {
        "none": {"openai": "3.0", "httpx": "1.0"},
        "llmtrace": {"openai": "3.0", "httpx": "1.0", "llmtrace-otel": "0.1"},
        "openlit": {"openai": "2.9", "httpx": "1.0", "openlit": "1.45"},
    }
    assert versions(found).splitlines() == [
        "- all: openai 3.0, httpx 1.0",
        "- **llmtrace**: llmtrace-otel 0.1",
        "- OpenLIT: openai 2.9, openlit 1.45",
    ]


@pytest.mark.parametrize(
    "picture",
    [
        ratios("A < B", "times", [Bar("one", {"off": 0.5, "on": 2.0}), Bar("ours & theirs", {"on": 120.0}, ours=True)]),
        ratios("one value", "times", [Bar("one", {"off": 10.0})]),
        amounts("milliseconds", "ms", [Bar("one", {"off": 0.0}), Bar("two", {"off": 9838.0})]),
        lines("growth", {"ours off": [(10, 1.0), (100, 2.0)], "ours on": [(10, 5.0), (100, 50.0)]}, "turns"),
    ],
)
def test_a_picture_is_well_formed_and_nothing_is_drawn_outside(picture):
    root = ElementTree.fromstring(picture)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.get("x", -1)) <= width
        assert 0 <= float(text.get("y", -1)) <= height
    for bar in root.iter(f"{SVG}rect"):
        assert 0 <= float(bar.get("x", -1)) <= float(bar.get("x", -1)) + float(bar.get("width", 0)) <= width
        assert float(bar.get("y", -1)) + float(bar.get("height", 0)) <= height


def test_a_bar_of_less_than_a_bare_span_goes_to_the_left_and_one_of_more_to_the_right():
    picture = ElementTree.fromstring(ratios("", "", [Bar("less", {"off": 0.1}), Bar("more", {"off": 10.0})]))
    less, more = picture.iter(f"{SVG}rect")
    assert float(less.get("x", 0)) + float(less.get("width", 0)) == pytest.approx(float(more.get("x", 0)), abs=0.2)
    assert less.get("width") == more.get("width")


def test_a_logarithmic_scale_is_of_whole_powers_of_ten():
    scale = Logarithmic([0.5, 120.0], 0.0, 400.0)
    assert scale.ticks() == [0.1, 1.0, 10.0, 100.0, 1000.0]
    assert [scale.at(tick) for tick in scale.ticks()] == [0.0, 100.0, 200.0, 300.0, 400.0]


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (9838.0, [0, 2000, 4000, 6000, 8000, 10000]),
        (1000.0, [0, 200, 400, 600, 800, 1000]),
        (21.0, [0, 5, 10, 15, 20, 25]),
    ],
)
def test_a_linear_scale_is_of_round_numbers_from_zero(most, ticks):
    assert Linear([1.0, most], 0.0, 100.0).ticks() == ticks


def test_labels_that_would_overlap_are_moved_down():
    assert apart([100.0, 40.0, 105.0, 101.0], 15) == [100.0, 40.0, 130.0, 115.0]


def test_the_page_says_what_was_not_measured() -> None:
    missing = page.unmeasured(Results(rows=[Row(Case("openai"), {})]))
    assert "openai plain sync, content on, 1kB" in missing
    assert "openai plain sync, content off, 1kB" not in missing
    assert {"formats", "startup", "proxy"} <= set(missing)
