"""`LLMTRACE_PRICES`: one's own prices override list prices and add to them; a mistake costs an entry and a line."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from charged import PLAIN, UNKNOWN, call

from llmtrace_otel.telemetry import cost
from llmtrace_otel.telemetry.cost import Cost, cost_of
from llmtrace_otel.telemetry.prices_user import VARIABLE
from llmtrace_otel.wire.call import Usage

Own = Callable[..., Path]
MILLION = Usage(input=1_000_000)
ACME = """
[prices."acme/foo"]
input = 2.5
output = 10
cache_read = 0.25
cache_write = 3.125
cache_write_1h = 5.0
reasoning = 20
input_audio = 40
output_audio = 80
request = 0.01

[[prices."acme/foo".tiers]]
above = 1_000_000
input = 7

[[prices."acme/foo".tiers]]
above = 200_000
input = 5
output = 15

[prices."acme/foo".batch]
input = 1.25
request = 0
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Own]:
    """Writes a file of prices and makes it the user's."""

    def write(text: str, name: str = "prices.toml") -> Path:
        file = tmp_path / name
        file.write_text(text)
        monkeypatch.setenv(VARIABLE, str(file))
        cost.refresh()
        return file

    yield write
    monkeypatch.undo()
    cost.refresh()


def usd(usage: Usage, model: str = "foo", provider: str = "acme", **fields: Any) -> float | None:
    found = cost_of(call(usage, provider=provider, request_model=model, **fields))
    assert found is not None
    return found.usd


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(input=100_000), 0.26),
        (Usage(input=100_000, output=1_000), 0.27),
        (Usage(input=100_000, cache_read=80_000), 0.08),
        (Usage(input=100_000, cache_write=80_000), 0.31),
        (Usage(input=100_000, cache_write=80_000, cache_write_1h=40_000), 0.385),
        (Usage(input=100_000, output=1_000, reasoning=400), 0.274),
        (Usage(input=100_000, output=1_000, input_audio=1_000, output_audio=100), 0.3145),
        (Usage(input=200_000), 0.51),
        (Usage(input=200_001), 1.010005),
        (Usage(input=200_001, output=1_000), 1.025005),
        (Usage(input=1_000_001, output=1_000), 7.025007),
        (Usage(input=0), 0.01),
    ],
    ids=str,
)
def test_a_model_costs_what_the_file_says(own: Own, usage: Usage, dollars: float) -> None:
    own(ACME)
    assert usd(usage) == dollars


def test_what_a_rate_leaves_out_is_charged_as_what_it_is_part_of(own: Own) -> None:
    own('[prices."acme/foo"]\ninput = 2\noutput = 10')
    parts = Usage(
        input=1_000, output=1_000, cache_read=100, cache_write=200, cache_write_1h=50, reasoning=7, input_audio=9
    )
    assert usd(parts) == usd(Usage(input=1_000, output=1_000)) == 0.012


def test_the_tier_that_served_a_call_changes_what_it_names(own: Own) -> None:
    own(ACME)
    assert usd(Usage(input=100_000, output=1_000), service_tier="batch") == 0.135
    assert usd(Usage(input=200_001), service_tier="batch") == 0.25000125  # its tiers are its own: it has none
    assert usd(Usage(input=100_000), service_tier="priority") == 0.26


def test_a_tier_that_is_not_named_costs_what_the_model_costs(own: Own) -> None:
    own('[prices."gpt-4o"]\ninput = 1\n[prices."gpt-4o".priority]\ninput = 4')
    tiers = ("default", "flex", "priority", "PRIORITY")
    assert [usd(MILLION, "gpt-4o", "openai", service_tier=tier) for tier in tiers] == [1, 1, 4, 4]


def test_a_file_overrides_list_prices_and_leaves_the_others(own: Own) -> None:
    before = cost_of(call(PLAIN, request_model="gpt-5"))
    own('version = "2026-11"\n[prices."gpt-4o"]\ninput = 1\noutput = 2')
    assert cost_of(call(MILLION, request_model="gpt-4o")) == Cost(1.0, "estimated", "user", "2026-11")
    assert cost_of(call(PLAIN, request_model="gpt-5")) == before


def test_json_means_the_same(own: Own) -> None:
    prices = {"input": 2.5, "tiers": [{"above": 10, "input": 5}], "batch": {"input": 1.25}}
    own(json.dumps({"version": 3, "prices": {"acme/foo": prices}}), "prices.json")
    assert cost_of(call(MILLION, provider="acme", request_model="foo")) == Cost(5.0, "estimated", "user", "3")
    assert usd(MILLION, service_tier="batch") == 1.25


def test_a_file_without_a_version_goes_by_its_name_and_its_content(own: Own) -> None:
    file = own('[prices."acme/foo"]\ninput = 1')
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert cost_of(call(MILLION, provider="acme", request_model="foo")) == Cost(
        1.0, "estimated", "user", f"prices.toml@{digest[:8]}"
    )


WHICH = """
[prices]
"foo" = {input = 1}
"acme/foo" = {input = 2}
"fo*" = {input = 3}
"acme/*" = {input = 4}
"acme/fool*" = {input = 5}
"*/bar" = {input = 6}
"acme-*" = {input = 7}
"vendor/model-1" = {input = 8}
"""


@pytest.mark.parametrize(
    ("provider", "model", "dollars"),
    [
        ("acme", "foo", 2),
        ("ACME", "Foo", 2),
        ("other", "foo", 1),
        ("other", "fooo", 3),
        ("acme", "fooo", 4),
        ("acme", "fools", 5),
        ("acme", "bar", 4),
        ("other", "bar", 6),
        ("other", "acme-1", 7),
        ("vendor", "model-1", 8),
        ("openrouter", "vendor/model-1", 8),
        ("other", "baz", None),
    ],
)
def test_the_closest_name_counts(own: Own, provider: str, model: str, dollars: float | None) -> None:
    own(WHICH)
    assert usd(MILLION, model, provider) == dollars


def test_the_model_that_answered_counts_before_the_one_asked_for(own: Own) -> None:
    own(WHICH)
    assert usd(MILLION, "foo", "other", response_model="fooo") == 3
    assert usd(MILLION, "foo", "other", response_model="baz") == 1


def test_an_unstated_price_is_unknown_and_a_stated_zero_is_free(own: Own) -> None:
    own('[prices]\n"acme/foo" = {request = 0.01}\n"acme/free" = {input = 0, output = 0}')
    assert cost_of(call(PLAIN, provider="acme", request_model="foo")) == UNKNOWN
    assert usd(PLAIN, "free") == 0.0


def test_without_the_variable_there_are_no_prices_of_ones_own(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    own(ACME)
    monkeypatch.setenv(VARIABLE, " ")
    cost.refresh()
    assert cost_of(call(MILLION, provider="acme", request_model="foo")) == UNKNOWN


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("entry", "mistake"),
    [
        ("{inptu = 1}", 'prices."acme/foo": nothing is called `inptu`'),
        ("{input = -1}", 'prices."acme/foo": input = -1 is no price'),
        ("{input = nan}", 'prices."acme/foo": input = NaN is no price'),
        ("{input = true}", 'prices."acme/foo".input: Expected `decimal | null`, got `bool`'),
        ("{input = '$3'}", 'prices."acme/foo".input: Invalid decimal string'),
        ("{tiers = [{input = 1}]}", 'prices."acme/foo".tiers[0]: Object missing required field `above`'),
        ("{batch = {output = [1]}}", 'prices."acme/foo".batch.output: Expected `decimal | null`, got `array`'),
        ("3", 'prices."acme/foo": Expected `object`, got `int`'),
    ],
)
def test_an_entry_with_a_mistake_is_left_out_and_one_line_says_so(
    own: Own, caplog: pytest.LogCaptureFixture, entry: str, mistake: str
) -> None:
    file = own(f'[prices]\n"acme/foo" = {entry}\n"acme/bar" = {{input = 1}}')
    assert cost_of(call(MILLION, provider="acme", request_model="foo")) == UNKNOWN
    assert usd(MILLION, "bar") == 1
    assert warnings(caplog) == [
        f"llmtrace: {VARIABLE}={file}: {mistake}; that entry is left out, correct it to have it count"
    ]


def test_of_several_mistakes_the_first_is_told_and_the_others_are_counted(
    own: Own, caplog: pytest.LogCaptureFixture
) -> None:
    file = own('[prices]\n"a" = {input = -1}\n"b" = {x = 1}\n"c" = 1')
    assert cost_of(call(MILLION, provider="acme", request_model="a")) == UNKNOWN
    assert warnings(caplog) == [
        f'llmtrace: {VARIABLE}={file}: prices."a": input = -1 is no price; that entry is left out, and 2 more; '
        "correct them to have them count"
    ]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("prices.toml", "[prices", "Expected ']' at the end of a table declaration (at end of document)"),
        ("prices.json", "{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("prices.json", "[]", "it is no JSON object"),
        ("prices.yaml", "prices:", "its name ends in neither .toml nor .json"),
        ("prices.toml", "[price.a]\ninput = 1", 'it has no [prices."model"]'),
        ("prices.toml", "prices = 3", 'it has no [prices."model"]'),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line_and_list_prices_count(
    own: Own, caplog: pytest.LogCaptureFixture, name: str, text: str, why: str
) -> None:
    listed = cost_of(call(PLAIN, request_model="gpt-5"))
    file = own(text, name)
    assert [cost_of(call(PLAIN, request_model=model)) for model in ("gpt-5", "nobodys")] == [listed, UNKNOWN]
    assert warnings(caplog) == [f"llmtrace: {VARIABLE}={file} cannot be used: {why}; list prices count meanwhile"]


@pytest.mark.parametrize(
    ("name", "why"), [("gone.toml", "No such file or directory"), (".", "it is not a regular file")]
)
def test_a_file_that_is_not_there_is_told_in_one_line(
    own: Own,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    why: str,
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / name))
    cost.refresh()
    assert cost_of(call(PLAIN, request_model="nobodys")) == UNKNOWN
    assert warnings(caplog) == [
        f"llmtrace: {VARIABLE}={tmp_path / name} cannot be used: {why}; list prices count meanwhile"
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(
    tmp_path: Path, own: Own, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    monkeypatch.setenv(VARIABLE, str(pipe))
    assert cost_of(call(PLAIN, request_model="nobodys")) == UNKNOWN
    assert warnings(caplog) == [
        f"llmtrace: {VARIABLE}={pipe} cannot be used: it is not a regular file; list prices count meanwhile"
    ]


def test_a_file_of_gigabytes_is_not_read(own: Own, caplog: pytest.LogCaptureFixture) -> None:
    file = own("")
    os.truncate(file, 1 << 33)  # a hole: it takes no room
    assert cost_of(call(PLAIN, request_model="nobodys")) == UNKNOWN
    assert warnings(caplog) == [
        f"llmtrace: {VARIABLE}={file} cannot be used: it is over 8 MiB; list prices count meanwhile"
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [("prices.toml", "[prices.nobodys]\ninput = 1"), ("prices.json", '{"prices":{"nobodys":{"input":1}}}')],
)
def test_a_byte_order_mark_is_no_mistake(own: Own, name: str, text: str) -> None:
    own(f"\ufeff{text}", name)
    assert cost_of(call(MILLION, request_model="nobodys")).usd == 1.0
