"""A cost is what `genai-prices` computes for the same tokens at the same time, or what the provider states; or absent.

The comparison goes over every model of every vendor in the table of providers, so a shortcut on the hot path cannot
drift from the library's own calculation unseen.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import product
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, StartDateConstraint

from llmtrace_otel.telemetry.cost import Cost, cost_of
from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.providers import PROVIDERS

NOW = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
UNKNOWN = Cost(None, "unknown")

VENDORS = {row.prices: row.name for row in reversed(PROVIDERS) if row.prices}
"""Ids in genai-prices → names that a call has; where several rows share an id, the first."""
PRICED = {vendor.id: vendor for vendor in get_snapshot().providers}

USAGES = {
    "plain": Usage(input=1_234, output=567),
    "cached": Usage(input=1_234, output=567, cache_read=1_000),
    "cache written": Usage(input=1_234, output=567, cache_read=100, cache_write=900),
    "cache written for an hour": Usage(input=1_234, output=567, cache_read=100, cache_write=900, cache_write_1h=400),
    "long context": Usage(input=1_300_001, output=5_003, cache_read=250_007),
    "at a threshold": Usage(input=200_000, output=1, cache_read=7),
    "past a threshold": Usage(input=200_001, output=1, cache_read=7),
    "at a higher threshold": Usage(input=272_000, output=1),
    "reasoning": Usage(input=1_234, output=567, reasoning=400),
    "input only": Usage(input=1_234),
}
TIERS = ("default", "flex", "priority", "batch")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("prices are to be had offline")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def call(usage: Usage | None = None, at: datetime = NOW, **fields: Any) -> Call:
    fields = {"provider": "openai", "request_model": "gpt-5-mini", **fields}
    return Call("chat", usage=usage, start_ns=int(at.timestamp() * 1e9), **fields)


def computed_by_the_library(vendor: str, model: str, usage: Usage, at: datetime, tier: str | None = None) -> Any:
    """The library's own calculation; `None` when it knows no price."""
    counts = {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "output_reasoning_tokens": usage.reasoning,
    }
    try:
        return genai_prices.calc_price(
            genai_prices.Usage(**counts),
            model,
            provider_id=vendor,
            genai_request_timestamp=at,
            price_context=context_of(tier),
        )
    except (LookupError, ValueError):
        return None


def context_of(tier: str | None) -> dict[str, str] | None:
    """Where the library looks for a tier: of a batch it says how it is processed."""
    return {"processing": "batch"} if tier == "batch" else {"service_tier": tier} if tier else None


def usd(vendor: str, model: str, usage: Usage, at: datetime = NOW) -> float:
    return float(computed_by_the_library(vendor, model, usage, at).total_price)


def has_text_prices(price: Any, usage: Usage) -> bool:
    """Whether there is a price for all that was used; the library takes what has none for free."""
    prices = price.model_price
    return not (usage.input and prices.input_mtok is None) and not (usage.output and prices.output_mtok is None)


def differences(
    vendor: str,
    model: str,
    kinds: Iterable[str] = USAGES,
    moments: Iterable[datetime] = (NOW,),
    tiers: Iterable[str | None] = (None,),
) -> Iterator[str]:
    """A line for each cost of ours that is not the library's to the last digit."""
    for kind, at, tier in product(kinds, moments, tiers):
        usage = USAGES[kind]
        theirs = computed_by_the_library(vendor, model, usage, at, tier)
        if theirs is not None and not has_text_prices(theirs, usage):
            continue
        expected = None if theirs is None else float(theirs.total_price)
        ours = cost_of(call(usage, at, provider=VENDORS[vendor], request_model=model, service_tier=tier))
        if ours is None or ours.usd != expected:
            yield f"{vendor}/{model}, {kind}, {at}, tier {tier}: {ours} for {expected}"


def price_changes(model: ModelInfo) -> list[datetime]:
    """The last second before, and the first second of, each price that a model has had since its first."""
    dated = model.prices if isinstance(model.prices, list) else []
    starts = [
        datetime.combine(price.constraint.start_date, datetime.min.time(), UTC)
        for price in dated
        if isinstance(price.constraint, StartDateConstraint)
    ]
    return [moment for start in starts for moment in (start - timedelta(seconds=1), start)]


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_cost_of_every_model_is_the_librarys(vendor: str) -> None:
    assert [line for model in PRICED[vendor].models for line in differences(vendor, model.id)] == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_price_holds_from_the_first_second_of_its_day(vendor: str) -> None:
    wrong = [
        line
        for model in PRICED[vendor].models
        for line in differences(vendor, model.id, ("plain", "cached"), price_changes(model))
    ]
    assert wrong == []


def test_there_are_prices_that_change() -> None:
    changing = {vendor for vendor in VENDORS for model in PRICED[vendor].models if price_changes(model)}
    assert changing >= {"openai", "anthropic", "google", "deepseek"}


@pytest.mark.parametrize("hour", [0, 3, 8, 12, 16, 18, 23])
def test_prices_that_change_within_a_day_are_those_of_the_hour(hour: int) -> None:
    at = NOW.replace(hour=hour, minute=45)
    wrong = [line for model in PRICED["deepseek"].models for line in differences("deepseek", model.id, moments=[at])]
    assert wrong == []


TIERED = [(vendor, model.id) for vendor in VENDORS for model in PRICED[vendor].models if model.price_variants]


def test_the_service_tier_that_served_a_call_sets_its_price() -> None:
    kinds = ("plain", "cached", "long context")
    assert [line for vendor, model in TIERED for line in differences(vendor, model, kinds, tiers=TIERS)] == []
    assert {vendor for vendor, _ in TIERED} >= {"openai", "google", "anthropic"}


@pytest.mark.parametrize(
    ("reseller", "maker"),
    [("azure", "openai"), ("azure", "anthropic"), ("google", "anthropic")],
)
def test_a_model_that_a_reseller_has_of_its_maker_costs_what_the_library_says(reseller: str, maker: str) -> None:
    wrong = [
        line
        for model in PRICED[maker].models
        for line in differences(reseller, model.id, ("plain", "cached"), tiers=(None, *TIERS))
    ]
    assert wrong == []


def test_a_batch_is_cheaper() -> None:
    usage = USAGES["plain"]
    whole, batch = (cost_of(call(usage, request_model="gpt-4o", service_tier=tier)) for tier in ("default", "batch"))
    assert whole is not None
    assert whole.usd is not None
    assert batch == whole._replace(usd=whole.usd / 2)


def test_output_without_a_price_makes_the_cost_unknown() -> None:
    usage = USAGES["plain"]
    unpriced = [
        (vendor, model.id)
        for vendor in VENDORS
        for model in PRICED[vendor].models
        if (price := computed_by_the_library(vendor, model.id, usage, NOW)) and not has_text_prices(price, usage)
    ]
    known = [
        (vendor, model)
        for vendor, model in unpriced
        if cost_of(call(usage, provider=VENDORS[vendor], request_model=model)) != UNKNOWN
    ]
    assert known == []


def test_more_cached_tokens_than_input_are_charged_as_all_of_the_input() -> None:
    too_many = cost_of(call(Usage(input=10, output=5, cache_read=1_000, cache_write=7)))
    assert too_many == cost_of(call(Usage(input=10, output=5, cache_read=10, cache_write=0)))
    assert too_many is not None
    assert too_many.usd == usd("openai", "gpt-5-mini", Usage(input=10, output=5, cache_read=10))


def test_an_hours_cache_writes_are_at_most_all_cache_writes() -> None:
    anthropic: dict[str, Any] = {"provider": "anthropic", "request_model": "claude-haiku-4-5"}
    too_many = cost_of(call(Usage(input=30, output=5, cache_write=20, cache_write_1h=400), **anthropic))
    assert too_many == cost_of(call(Usage(input=30, output=5, cache_write=20, cache_write_1h=20), **anthropic))


def test_an_estimate_says_where_it_comes_from() -> None:
    assert cost_of(call(Usage(input=1_000_000, output=0), request_model="gpt-4o-mini")) == Cost(
        0.15, "estimated", "genai-prices", version("genai-prices")
    )


def test_the_model_that_answered_is_charged_rather_than_the_one_asked_for() -> None:
    usage = USAGES["plain"]
    found = cost_of(call(usage, request_model="gpt-4o-mini", response_model="gpt-4o-2024-08-06"))
    assert found is not None
    assert found.usd == usd("openai", "gpt-4o", usage)


def test_an_answering_model_without_a_price_is_charged_as_the_one_asked_for() -> None:
    usage = USAGES["plain"]
    found = cost_of(call(usage, request_model="gpt-4o-mini", response_model="rolled-out-tomorrow"))
    assert found is not None
    assert found.usd == usd("openai", "gpt-4o-mini", usage)


@pytest.mark.parametrize("stated", [0.0, 0.0042])
def test_what_the_provider_states_beats_an_estimate(stated: float) -> None:
    assert cost_of(call(USAGES["plain"], stated_cost=stated)) == Cost(stated, "actual", "provider_response")


@pytest.mark.parametrize(
    "fields",
    [
        {"request_model": "nobody-has-heard-of-it"},
        {"request_model": None},
        {"provider": "nobody"},
        {"provider": "ollama", "server_address": "127.0.0.1", "server_port": 11434},
        {"provider": "vllm", "server_address": "localhost", "server_port": 8000},
        {"provider": "lmstudio", "server_address": "127.0.0.1", "server_port": 1234},
    ],
    ids=str,
)
def test_a_price_that_nobody_knows_is_unknown(fields: dict[str, Any]) -> None:
    assert cost_of(call(USAGES["plain"], **fields)) == UNKNOWN


def test_an_answer_without_usage_has_an_unknown_cost_and_never_zero() -> None:
    assert cost_of(call(None, http_status=200)) == UNKNOWN


def test_a_call_that_was_never_answered_has_no_cost() -> None:
    assert cost_of(call(None)) is None


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_response_that_is_still_to_come_has_no_cost(status: str) -> None:
    assert cost_of(call(None, http_status=200, response_status=status)) is None


@pytest.mark.parametrize("usage", [Usage(), Usage(output=5)], ids=["none", "output"])
def test_without_a_count_of_its_input_a_calls_cost_is_unknown(usage: Usage) -> None:
    assert cost_of(call(usage, http_status=200, complete=True)) == UNKNOWN


def test_a_cut_stream_without_a_count_of_its_output_has_an_unknown_cost() -> None:
    assert cost_of(call(Usage(input=10), http_status=200, stream=True)) == UNKNOWN


@pytest.mark.parametrize("fields", [{"stream": True, "complete": True}, {"complete": True}, {}], ids=str)
def test_elsewhere_no_count_of_the_output_means_none(fields: dict[str, Any]) -> None:
    without_output = cost_of(call(Usage(input=10), http_status=200, **fields))
    assert without_output == cost_of(call(Usage(input=10, output=0), http_status=200, **fields))
    assert without_output is not None
    assert without_output.status == "estimated"


def test_a_failed_call_without_usage_has_no_cost() -> None:
    assert cost_of(call(None, http_status=429, error_type="rate_limit_error")) is None


def test_a_failed_call_with_usage_costs_what_it_used() -> None:
    assert cost_of(call(USAGES["plain"], error_type="server_error")) == cost_of(call(USAGES["plain"]))


def test_a_fetched_response_has_no_cost() -> None:
    fetch = Call("fetch_response", "openai", response_model="gpt-5-mini", start_ns=1)
    assert cost_of(fetch) is None


def test_a_subscriptions_calls_are_included_without_an_amount() -> None:
    assert cost_of(call(USAGES["plain"], server_address="chatgpt.com")) == Cost(None, "included")


def run(program: str) -> str:
    """Runs a program in a process of its own, with a limit on its time; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_first_call_loads_the_prices_in_a_thread_of_their_own() -> None:
    program = """
import sys, threading
import httpx2
from opentelemetry.sdk.trace import TracerProvider
from llmtrace_otel.instrument.httpx import HTTPXInstrumentor

HTTPXInstrumentor().instrument(tracer_provider=TracerProvider())
before = "genai_prices" in sys.modules
importers = set()

class Importers:
    def find_spec(self, name, path=None, target=None):
        if name == "genai_prices":
            importers.add(threading.current_thread() is threading.main_thread())

sys.meta_path.insert(0, Importers())

def answer(request):
    # The provider thinks until the prices are there: they must not wait for its answer.
    for thread in threading.enumerate():
        if thread not in (threading.main_thread(), threading.current_thread()):
            thread.join()
    loaded.append("genai_prices.data" in sys.modules)
    return httpx2.Response(200, json={"id": "1", "model": "gpt-5-mini", "choices": []})

loaded = []
with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
    client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-5-mini", "messages": []})
print(before, importers, loaded)
"""
    assert run(program) == "False {False} [True]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_that_is_forked_while_prices_load_computes_a_cost() -> None:
    """The import is made to last, so that the fork falls into it; whatever the child does, it must come to an end."""
    program = """
import os, signal, sys, threading
from llmtrace_otel.telemetry import cost
from llmtrace_otel.wire.call import Call, Usage

parent, importing, pause = os.getpid(), threading.Event(), threading.Event()

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "genai_prices.types" and os.getpid() == parent:
            importing.set()
            pause.wait(0.5)  # seconds; nobody sets it

sys.meta_path.insert(0, Slow())
cost.load()
importing.wait()
child = os.fork()
if not child:
    signal.alarm(2)  # a child that hangs is ended, and fails the test
found = cost.cost_of(
    Call("chat", "openai", request_model="gpt-4o-mini", usage=Usage(input=1_000_000), start_ns=1_763_000_000 * 10**9)
)
if child:
    _, status = os.waitpid(child, 0)
    print("parent", found.usd, "status of the child", status)
else:
    print("child", found.usd, flush=True)
    os._exit(0)
"""
    assert sorted(run(program).splitlines()) == ["child 0.15", "parent 0.15 status of the child 0"]
