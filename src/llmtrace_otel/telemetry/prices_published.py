"""List prices, as the package `genai-prices` publishes them.

The package takes a while to import: `tables` is for a thread to call while the first call is with its provider. The
part of it that fetches newer prices imports an HTTP client. openai 2 looks whether the program has that client, and
breaks where it finds it half imported by another thread. So that part is left for whoever asks for it.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib import metadata
from types import ModuleType
from typing import Any

from llmtrace_otel.telemetry.prices import Price, Rates, rates, reading
from llmtrace_otel.wire.vendors import PROVIDERS

SOURCE = "genai-prices"

_IDS: Mapping[str, str] = {provider.name: provider.prices for provider in PROVIDERS if provider.prices}
_NAMES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "reasoning": "output_reasoning_mtok",
    "input_audio": "input_audio_mtok",
    "cached_audio": "cache_audio_read_mtok",
    "output_audio": "output_audio_mtok",
    "request": "requests_kcount",
}
"""Our names of rates → its names."""
_BILLED_APART: Mapping[str, frozenset[str]] = {"aws": frozenset({"flex", "priority"})}
"""Tiers that are known to cost more or less, and for which it has no prices."""
_UNVERSIONED = re.compile(r"openai\.[\w-]+b").fullmatch
_TIER_KEYS = ("service_tier", "processing", "speed")
"""Where it puts what answers state as one thing: how fast, and how dear, a call was served."""


def find(provider: str, model: str, tier: str | None, at: datetime) -> Price | None:
    """What a model cost at a time; `None` when that is not known.

    Args:
        provider: As `gen_ai.provider.name` has it.
        model: As the provider names it: a dated name, an alias, a Bedrock id or ARN.
        tier: The service tier that the answer states.
        at: In UTC.
    """
    if (prices_id := _IDS.get(provider)) is None:
        return None
    try:
        vendor, found = tables().find_provider_model(_id(prices_id, model), None, prices_id, None)
        context = _context(vendor, found, tier, at) if tier else None
        return _price(found.get_prices(at, context))
    except (LookupError, ValueError, AttributeError):
        return None


@cache
def version() -> str:
    """The version of the package, and so of its prices."""
    return metadata.version("genai-prices")


def tables() -> Any:
    """All prices; the first to ask imports the package, others wait for it. Raises what `reading` does."""
    with reading():
        if "genai_prices" not in sys.modules:
            _import_without_updater()
        from genai_prices.data_snapshot import get_snapshot

        return get_snapshot()


def _import_without_updater() -> None:
    """Imports the package, and its updater only when one of the updater's names is asked for."""
    name = "genai_prices.update_prices"
    left_out: set[str] = set()

    def note(wanted: str) -> None:
        if wanted.startswith("__"):
            raise AttributeError(wanted)
        left_out.add(wanted)

    stand_in = ModuleType(name)
    stand_in.__getattr__ = note  # type: ignore[method-assign]
    if sys.modules.setdefault(name, stand_in) is not stand_in:
        return
    try:
        package = importlib.import_module("genai_prices")
    finally:
        sys.modules.pop(name, None)

    def updater(wanted: str) -> Any:
        if wanted not in left_out:
            raise AttributeError(f"module 'genai_prices' has no attribute {wanted!r}")
        return getattr(importlib.import_module(name), wanted)

    for wanted in left_out:
        vars(package).pop(wanted, None)
    package.__getattr__ = updater  # type: ignore[method-assign]


def _id(prices_id: str, model: str) -> str:
    """Bedrock's OpenAI endpoints name a model without the version that is part of its id."""
    return f"{model}-1:0" if prices_id == "aws" and _UNVERSIONED(model) else model


def _context(vendor: Any, model: Any, tier: str, at: datetime) -> dict[str, str] | None:
    """What selects the prices of a tier; `LookupError` when it has prices of its own and this model's are not known.

    A tier that the vendor bills no model apart for (`standard`, `default`, Groq's `flex`) is billed as any call. What a
    reseller bills for a tier of a maker's model is not known.
    """
    tier = tier.lower()
    if tier not in _tiers(vendor.id):
        return None
    context = dict.fromkeys(_TIER_KEYS, tier)
    if any(model is own for own in vendor.models) and any(
        context.items() >= variant.when.items() and (variant.constraint is None or variant.constraint.active(at))
        for variant in model.price_variants or ()
    ):
        return context
    raise LookupError(tier)


@lru_cache(maxsize=64)
def _tiers(vendor_id: str) -> frozenset[str]:
    """The tiers at which a vendor, or a maker whose models it resells, bills any model apart."""
    vendors = {vendor.id: vendor for vendor in tables().providers}
    makers = [vendors[found] for found in vendors[vendor_id].fallback_model_providers or () if found in vendors]
    return _BILLED_APART.get(vendor_id, frozenset()) | frozenset(
        variant.when[key]
        for vendor in (vendors[vendor_id], *makers)
        for model in vendor.models
        for variant in model.price_variants or ()
        for key in _TIER_KEYS
        if key in variant.when and any(price is not None for price in vars(variant.prices).values())
    )


def _price(prices: Any) -> Price:
    stated = {name: price for name, key in _NAMES.items() if (price := getattr(prices, key)) is not None}
    starts = {tier.start for price in stated.values() for tier in getattr(price, "tiers", ())}
    return Price([(above, _rates(stated, above + 1)) for above in sorted(starts | {-1}, reverse=True)])


def _rates(stated: dict[str, Any], total: int) -> Rates:
    """The rates that hold for calls with so much input."""
    usd = {name: _at(price, total) for name, price in stated.items()}
    if "request" in usd:
        usd["request"] /= 1_000
    return rates(usd)


def _at(price: Any, total: int) -> Decimal:
    """A price that may have tiers: past a tier's start, that tier's holds for all tokens."""
    if isinstance(price, Decimal):
        return price
    reached: list[Decimal] = [tier.price for tier in price.tiers if total > tier.start]
    return reached[-1] if reached else price.base
