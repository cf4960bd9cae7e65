"""List prices: a cost is what `genai-prices` computes for the same tokens at the same time and tier, or absent.

The comparison goes over every model of every vendor in the table of providers, so a shortcut on the hot path cannot
drift from the library's own calculation unseen.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import product
from typing import Any

import genai_prices
import pytest
from charged import NOW, PLAIN, UNKNOWN, call
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider, StartDateConstraint
from msgspec.structs import replace

from llmtrace_otel.telemetry.cost import Cost, cost_of
from llmtrace_otel.wire.call import Besides, Usage
from llmtrace_otel.wire.vendors import PROVIDERS

VENDORS = {row.prices: row.name for row in reversed(PROVIDERS) if row.prices}
"""Ids in genai-prices → names that a call has; where several rows share an id, the first."""
PRICED: dict[str, Provider] = {vendor.id: vendor for vendor in get_snapshot().providers}

USAGES = {
    "plain": PLAIN,
    "cached": Usage(input=1_234, output=567, cache_read=1_000),
    "cache written": Usage(input=1_234, output=567, cache_read=100, cache_write=900),
    "cache written for an hour": Usage(input=1_234, output=567, cache_read=100, cache_write=900, cache_write_1h=400),
    "long context": Usage(input=1_300_001, output=5_003, cache_read=250_007),
    "long context written": Usage(input=300_001, output=5_003, cache_read=250_007, cache_write=9_001, cache_write_1h=7),
    "at a threshold": Usage(input=200_000, output=1, cache_read=7),
    "past a threshold": Usage(input=200_001, output=1, cache_read=7),
    "at a higher threshold": Usage(input=272_000, output=1),
    "reasoning": Usage(input=1_234, output=567, reasoning=400),
    "audio": Usage(input=1_234, output=567, input_audio=1_000, output_audio=300),
    "cached audio": Usage(input=1_234, output=567, cache_read=1_000, input_audio=900, cached_audio=800),
    "audio beside cached text": Usage(input=1_234, output=567, cache_read=300, input_audio=900, cached_audio=0),
    "input only": Usage(input=1_234),
}
TIERS = ("default", "standard", "flex", "priority", "fast", "batch")
TIER_KEYS = ("service_tier", "processing", "speed")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("prices are to be had offline")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def computed_by_the_library(vendor: str, model: str, usage: Usage, at: datetime, tier: str | None = None) -> Any:
    """The library's own calculation; `None` when it knows no price."""
    counts = {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "output_reasoning_tokens": usage.reasoning,
        "input_audio_tokens": usage.input_audio,
        "cache_audio_read_tokens": usage.cached_audio,
        "output_audio_tokens": usage.output_audio,
    }
    try:
        return genai_prices.calc_price(
            genai_prices.Usage(**counts),
            model,
            provider_id=vendor,
            genai_request_timestamp=at,
            price_context=dict.fromkeys(TIER_KEYS, tier) if tier else None,
        )
    except (LookupError, ValueError):
        return None


def usd(vendor: str, model: str, usage: Usage, at: datetime = NOW, tier: str | None = None) -> float:
    return float(computed_by_the_library(vendor, model, usage, at, tier).total_price)


def has_text_prices(price: Any, usage: Usage) -> bool:
    """Whether there is a price for all that was used; the library takes what has none for free."""
    prices = price.model_price
    return not (usage.input and prices.input_mtok is None) and not (usage.output and prices.output_mtok is None)


def always(_vendor: str, _model: str, _tier: str | None) -> bool:
    return True


def differences(
    vendor: str,
    model: str,
    kinds: Iterable[str] = USAGES,
    moments: Iterable[datetime] = (NOW,),
    tiers: Iterable[str | None] = (None,),
    is_known: Callable[[str, str, str | None], bool] = always,
) -> Iterator[str]:
    """A line for each cost of ours that is not the library's to the last digit, or a number where none is known."""
    for kind, at, tier in product(kinds, moments, tiers):
        usage = USAGES[kind]
        theirs = computed_by_the_library(vendor, model, usage, at, tier)
        if theirs is not None and not has_text_prices(theirs, usage):
            continue
        expected = None if theirs is None or not is_known(vendor, model, tier) else float(theirs.total_price)
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


def variants(model: ModelInfo) -> set[str]:
    """The tiers that a model has prices of its own for, now."""
    return {
        tier
        for variant in model.price_variants or ()
        if variant.constraint is None or variant.constraint.active(NOW)
        for key, tier in variant.when.items()
        if key in TIER_KEYS
    }


TIERED = [(vendor, model.id) for vendor in VENDORS for model in PRICED[vendor].models if variants(model)]
BILLED_APART = {
    vendor: {
        tier
        for seller in (vendor, *(PRICED[vendor].fallback_model_providers or ()))
        for model in PRICED[seller].models
        for tier in variants(model)
    }
    for vendor in VENDORS
}
"""The tiers that a vendor, or a maker whose models it resells, has prices of their own for."""
STANDARD = {None, "default", "standard"}


def is_known(vendor: str, model: str, tier: str | None) -> bool:
    """Whether a tier's price is: it costs what any call does, or the model has a price of its own for it."""
    own = next(found for found in PRICED[vendor].models if found.id == model)
    return tier in STANDARD or tier in variants(own) or tier not in BILLED_APART[vendor]


@pytest.mark.parametrize("vendor", sorted({vendor for vendor, _ in TIERED}))
def test_the_service_tier_that_served_a_call_sets_its_price_and_no_other_tiers_price_stands_in(vendor: str) -> None:
    kinds = ("plain", "cached", "cache written for an hour", "long context")
    models = [model for found, model in TIERED if found == vendor]
    wrong = [line for model in models for line in differences(vendor, model, kinds, tiers=TIERS, is_known=is_known)]
    assert wrong == []


def test_there_are_tiers_with_prices_of_their_own() -> None:
    assert BILLED_APART["openai"] >= {"flex", "priority", "fast", "batch"}
    assert BILLED_APART["anthropic"] >= {"fast", "batch"}
    assert BILLED_APART["google"] >= {"flex", "priority", "batch"}


@pytest.mark.parametrize(
    ("reseller", "maker"),
    [("azure", "openai"), ("azure", "anthropic"), ("google", "anthropic")],
)
def test_a_model_that_a_reseller_has_of_its_maker_costs_what_the_library_says(reseller: str, maker: str) -> None:
    wrong = [
        line
        for model in PRICED[maker].models
        for line in differences(reseller, model.id, ("plain", "cached"), tiers=STANDARD)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("provider", "model", "tier"),
    [
        ("azure.ai.openai", "gpt-4.1", "priority"),
        ("azure.ai.openai", "gpt-5", "flex"),
        ("azure.ai.openai", "gpt-4o", "batch"),
        ("openai", "gpt-4o", "flex"),
        ("gcp.vertex_ai", "gemini-3-flash-preview", "priority"),
        ("aws.bedrock", "amazon.nova-lite-v1:0", "flex"),
    ],
)
def test_a_tier_that_costs_something_else_but_nobody_knows_what_has_an_unknown_cost(
    provider: str, model: str, tier: str
) -> None:
    asked: dict[str, Any] = {"provider": provider, "request_model": model}
    standard = cost_of(call(PLAIN, **asked, service_tier="default"))
    assert standard is not None
    assert standard.status == "estimated"
    assert cost_of(call(PLAIN, **asked, service_tier=tier)) == UNKNOWN


@pytest.mark.parametrize(
    ("provider", "model", "tier"),
    [
        ("groq", "llama-3.3-70b-versatile", "flex"),
        ("groq", "llama-3.3-70b-versatile", "on_demand"),
        ("anthropic", "claude-haiku-4-5", "priority"),
        ("openai", "gpt-5-mini", "auto"),
    ],
)
def test_a_tier_that_a_vendor_bills_no_model_apart_for_costs_what_any_call_does(
    provider: str, model: str, tier: str
) -> None:
    asked: dict[str, Any] = {"provider": provider, "request_model": model}
    found = cost_of(call(PLAIN, **asked, service_tier=tier))
    assert found == cost_of(call(PLAIN, **asked))
    assert found is not None
    assert found.status == "estimated"


def test_a_batch_is_cheaper() -> None:
    whole, batch = (cost_of(call(PLAIN, request_model="gpt-4o", service_tier=tier)) for tier in ("default", "batch"))
    assert whole is not None
    assert whole.usd is not None
    assert batch == replace(whole, usd=whole.usd / 2)


def test_anthropics_fast_mode_is_dearer() -> None:
    asked: dict[str, Any] = {"provider": "anthropic", "request_model": "claude-opus-5"}
    plain, fast = (cost_of(call(PLAIN, **asked, service_tier=tier)) for tier in ("standard", "fast"))
    assert plain is not None
    assert fast == replace(plain, usd=usd("anthropic", "claude-opus-5", PLAIN, tier="fast"))
    assert fast != plain


def test_output_without_a_price_makes_the_cost_unknown() -> None:
    unpriced = [
        (vendor, model.id)
        for vendor in VENDORS
        for model in PRICED[vendor].models
        if (price := computed_by_the_library(vendor, model.id, PLAIN, NOW)) and not has_text_prices(price, PLAIN)
    ]
    known = [
        (vendor, model)
        for vendor, model in unpriced
        if cost_of(call(PLAIN, provider=VENDORS[vendor], request_model=model)) != UNKNOWN
    ]
    assert known == []


def test_more_cached_tokens_than_input_are_charged_as_all_of_the_input() -> None:
    too_many = cost_of(call(Usage(input=10, output=5, cache_read=1_000, cache_write=7)))
    assert too_many == cost_of(call(Usage(input=10, output=5, cache_read=10, cache_write=0)))
    assert too_many is not None
    assert too_many.usd == usd("openai", "gpt-5-mini", Usage(input=10, output=5, cache_read=10))


def test_groks_cached_tokens_on_azure_are_more_than_its_input_and_cost_no_more_than_it() -> None:
    grok: dict[str, Any] = {"provider": "azure.ai.inference", "request_model": "grok-4"}
    stated = cost_of(call(Usage(input=7, output=161, cache_read=161), **grok))
    assert stated is not None
    assert stated.usd == usd("azure", "grok-4", Usage(input=7, output=161, cache_read=7))


def test_what_is_billed_besides_a_call_is_part_of_its_cost() -> None:
    asked: dict[str, Any] = {"provider": "anthropic", "request_model": "claude-haiku-4-5"}
    besides = [Besides(USAGES["cached"]), Besides(PLAIN, "claude-opus-4-5")]
    found = cost_of(call(PLAIN, **asked, besides=besides))
    assert found is not None
    assert found.usd == pytest.approx(
        usd("anthropic", "claude-haiku-4-5", PLAIN)
        + usd("anthropic", "claude-haiku-4-5", USAGES["cached"])
        + usd("anthropic", "claude-opus-4-5", PLAIN),
        rel=1e-12,
    )


def test_a_model_besides_that_has_no_price_makes_the_cost_unknown() -> None:
    asked: dict[str, Any] = {"provider": "anthropic", "request_model": "claude-haiku-4-5"}
    assert cost_of(call(PLAIN, **asked, besides=[Besides(PLAIN, "claude-of-tomorrow")])) == UNKNOWN


def test_an_hours_cache_writes_are_at_most_all_cache_writes() -> None:
    anthropic: dict[str, Any] = {"provider": "anthropic", "request_model": "claude-haiku-4-5"}
    too_many = cost_of(call(Usage(input=30, output=5, cache_write=20, cache_write_1h=400), **anthropic))
    assert too_many == cost_of(call(Usage(input=30, output=5, cache_write=20, cache_write_1h=20), **anthropic))


def test_more_audio_and_reasoning_than_there_are_tokens_are_charged_as_all_of_them() -> None:
    audio: dict[str, Any] = {"request_model": "gpt-audio"}
    too_many = cost_of(call(Usage(input=10, output=5, input_audio=99, output_audio=99), **audio))
    assert too_many == cost_of(call(Usage(input=10, output=5, input_audio=10, output_audio=5), **audio))


def test_cached_tokens_that_may_be_audio_have_an_unknown_cost_where_audio_is_billed_apart() -> None:
    gemini: dict[str, Any] = {"provider": "gcp.gemini", "request_model": "gemini-2.5-flash"}
    assert cost_of(call(Usage(input=900, output=5, cache_read=500, input_audio=600), **gemini)) == UNKNOWN
    assert cost_of(call(Usage(input=900, output=5, cache_read=500, input_audio=0), **gemini)) != UNKNOWN


def test_an_estimate_says_where_it_comes_from() -> None:
    assert cost_of(call(Usage(input=1_000_000, output=0), request_model="gpt-4o-mini")) == Cost(
        0.15, "estimated", "genai-prices", version("genai-prices")
    )


def test_the_model_that_answered_is_charged_rather_than_the_one_asked_for() -> None:
    found = cost_of(call(PLAIN, request_model="gpt-4o-mini", response_model="gpt-4o-2024-08-06"))
    assert found is not None
    assert found.usd == usd("openai", "gpt-4o", PLAIN)


def test_an_answering_model_without_a_price_is_charged_as_the_one_asked_for() -> None:
    found = cost_of(call(PLAIN, request_model="gpt-4o-mini", response_model="rolled-out-tomorrow"))
    assert found is not None
    assert found.usd == usd("openai", "gpt-4o-mini", PLAIN)


SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
BEDROCK = "arn:aws:bedrock:us-east-1"
ACCOUNT = f"{BEDROCK}:123456789012"


def listed(vendor: str, model_id: str, usage: Usage) -> float:
    """What the entry with that id charges, by whatever names it is found."""
    model = next(found for found in PRICED[vendor].models if found.id == model_id)
    tokens = genai_prices.Usage(
        input_tokens=usage.input, output_tokens=usage.output, cache_read_tokens=usage.cache_read
    )
    return float(model.calc_price(tokens, PRICED[vendor], genai_request_timestamp=NOW).total_price)


@pytest.mark.parametrize(
    ("provider", "named", "vendor", "model_id"),
    [
        ("aws.bedrock", SONNET, "aws", f"regional.{SONNET}"),
        ("aws.bedrock", f"us.{SONNET}", "aws", f"regional.{SONNET}"),
        ("aws.bedrock", f"apac.{SONNET}", "aws", f"regional.{SONNET}"),
        ("aws.bedrock", f"global.{SONNET}", "aws", f"global.{SONNET}"),
        ("aws.bedrock", f"{ACCOUNT}:inference-profile/us.{SONNET}", "aws", f"regional.{SONNET}"),
        ("aws.bedrock", f"{ACCOUNT}:inference-profile/global.{SONNET}", "aws", f"global.{SONNET}"),
        ("aws.bedrock", f"{BEDROCK}::foundation-model/amazon.nova-lite-v1:0", "aws", "amazon.nova-lite-v1:0"),
        ("aws.bedrock", "eu.amazon.nova-micro-v1:0", "aws", "amazon.nova-micro-v1:0"),
        ("aws.bedrock", "us.meta.llama3-3-70b-instruct-v1:0", "aws", "meta.llama3-3-70b-instruct-v1:0"),
        ("aws.bedrock", "openai.gpt-oss-120b", "aws", "openai.gpt-oss-120b-1:0"),
        ("gcp.vertex_ai", "claude-sonnet-4-5@20250929", "google", "claude-sonnet-4-5"),
        ("azure.ai.openai", "gpt-35-turbo", "openai", "gpt-3.5-turbo"),
        ("azure.ai.inference", "DeepSeek-R1", "deepseek", "deepseek-reasoner"),
        ("anthropic", "claude-haiku-4-5-20251001", "anthropic", "claude-haiku-4-5"),
    ],
)
def test_a_model_goes_by_the_name_that_its_host_gives_it(provider: str, named: str, vendor: str, model_id: str) -> None:
    found = cost_of(call(USAGES["cached"], provider=provider, request_model=named))
    assert found is not None
    assert found.usd == listed(vendor, model_id, USAGES["cached"])


@pytest.mark.parametrize("scope", ["global", "regional"])
def test_a_bedrock_id_tells_more_than_the_makers_name_in_the_answer(scope: str) -> None:
    asked = f"{scope.replace('regional', 'us')}.{SONNET}"
    answered = call(PLAIN, provider="aws.bedrock", request_model=asked, response_model="claude-sonnet-4-5-20250929")
    found = cost_of(answered)
    assert found is not None
    assert found.usd == listed("aws", f"{scope}.{SONNET}", PLAIN)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("gcp.vertex_ai", "llama-3.3-70b-instruct-maas"),
        ("gcp.vertex_ai", "mistral-large-2411"),
        ("azure.ai.inference", "Llama-3.3-70B-Instruct"),
        ("aws.bedrock", f"{ACCOUNT}:application-inference-profile/a1b2c3d4e5f6"),
        ("aws.bedrock", "arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine"),
    ],
)
def test_a_model_without_a_list_price_at_its_host_has_an_unknown_cost(provider: str, model: str) -> None:
    assert cost_of(call(PLAIN, provider=provider, request_model=model)) == UNKNOWN


def test_prices_are_loaded_without_an_http_client_and_the_updater_is_there_for_who_asks() -> None:
    """openai 2 breaks where it sees a client that another thread has half imported."""
    program = """
import sys
from llmtrace_otel.telemetry import prices_published
loaded = bool(prices_published.tables().providers)
print(loaded, "httpx2" in sys.modules)
import genai_prices
from genai_prices import UpdatePrices
print(UpdatePrices is sys.modules["genai_prices.update_prices"].UpdatePrices, hasattr(genai_prices, "nothing"))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False", "True", "False"]
