"""What a call cost in USD, and where that number comes from.

What the provider's answer states wins. Else the tokens are multiplied by the prices that `genai-prices` has for the
model on the day of the call, at the service tier that served it. A price that is not known is unknown, never zero, and
the cost of a call without usage is unknown too.

`genai-prices` takes a while to import, so a thread loads it while the first call is with its provider. Its own
calculation takes as long as several spans; a model's prices are looked up once per day and tier, turned into whole
numbers, and then multiplied.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from llmtrace_otel.telemetry.doubts import PENDING
from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.providers import PROVIDERS

ACTUAL, ESTIMATED, INCLUDED, UNKNOWN = "actual", "estimated", "included", "unknown"
_SUBSCRIPTION_HOSTS = ("chatgpt.com",)
_PRICES: Mapping[str, str] = {provider.name: provider.prices for provider in PROVIDERS if provider.prices}
_DAY_NS = 86_400_000_000_000


class Cost(NamedTuple):
    """A call's cost: `usd` is absent when it is unknown, or part of a subscription."""

    usd: float | None
    status: str
    source: str | None = None
    pricing_version: str | None = None


NOT_KNOWN = Cost(None, UNKNOWN)
_INCLUDED = Cost(None, INCLUDED)


def cost_of(call: Call) -> Cost | None:
    """The cost of an ended call; `None` when there is nothing to charge for. Waits for the prices to be loaded."""
    if call.stated_cost is not None:
        return Cost(call.stated_cost, ACTUAL, "provider_response")
    usage = call.usage
    if usage is None and not _should_have_cost(call):
        return None
    if call.server_address in _SUBSCRIPTION_HOSTS:
        return _INCLUDED
    if usage is None or usage.input is None or (usage.output is None and call.stream and not call.complete):
        return NOT_KNOWN  # a part of the tokens is no basis for a price
    day, model = call.start_ns // _DAY_NS, call.response_model or call.request_model
    price = _price(call.provider, model, call.service_tier, day)
    if price is None and call.response_model:  # an alias may be priced where its dated name is not
        price = _price(call.provider, call.request_model, call.service_tier, day)
    usd = price.charge(usage, call.start_ns) if price is not None else None
    return NOT_KNOWN if usd is None else Cost(usd, ESTIMATED, "genai-prices", _version())


def _should_have_cost(call: Call) -> bool:
    """Whether something was, or may have been, charged that we know nothing of."""
    return (
        call.error_type is None
        and call.http_status is not None
        and call.operation != "fetch_response"
        and call.response_status not in PENDING
    )


class _Rates(NamedTuple):
    """Prices as whole numbers: 1e-15 USD per token, and per request."""

    input: int | None
    output: int | None
    cache_read: int
    cache_write: int
    cache_write_1h: int
    request: int


_USD = 10**15
_PER_TOKEN = _USD // 10**6
_PER_REQUEST = _USD // 10**3


class Price:
    """What one model costs, at one service tier on one day."""

    __slots__ = ("_brackets", "_by_hour", "_prices")

    def __init__(self, prices: Any, model: Any) -> None:
        self._prices = prices
        self._by_hour = model if _changes_within_a_day(model) else None
        self._brackets = None if self._by_hour else _brackets(prices)
        """Rates by the input tokens that they start above, highest first; `None` where they do not suffice."""

    def charge(self, usage: Usage, start_ns: int) -> float | None:
        """USD for `usage`; `None` when there is no price for what was used."""
        total, output = usage.input or 0, usage.output or 0
        read, write, hour = usage.cache_read or 0, usage.cache_write or 0, 0
        if read or write:  # never more than there was
            read = min(read, total)
            write = min(write, total - read)
            hour = min(usage.cache_write_1h or 0, write)
        if self._brackets is None:
            return self._in_full(usage, total, output, read, write, hour, start_ns)
        for above, rates in self._brackets:  # noqa: B007 - the bracket it stops at is the one
            if total > above:
                break
        for_input, for_output, for_read, for_write, for_hour, charged = rates
        if (total and for_input is None) or (output and for_output is None):
            return None
        if for_input is not None:
            charged += (total - read - write) * for_input + read * for_read
        if write:
            charged += (write - hour) * for_write + hour * for_hour
        if for_output is not None:
            charged += output * for_output
        return charged / _USD  # of whole numbers, so that this is the only rounding

    def _in_full(
        self, usage: Usage, total: int, output: int, read: int, write: int, hour: int, start_ns: int
    ) -> float | None:
        from genai_prices import Usage as PricedUsage

        prices = self._prices
        if self._by_hour is not None:
            prices = self._by_hour.get_prices(datetime.fromtimestamp(start_ns / 1e9, UTC))
        counts = {
            "input_tokens": total,
            "output_tokens": output,
            "cache_read_tokens": read,
            "cache_write_tokens": write,
            "cache_write_1h_tokens": hour,
            "output_reasoning_tokens": min(usage.reasoning or 0, output),
            "input_audio_tokens": min(usage.input_audio or 0, total),
            "output_audio_tokens": min(usage.output_audio or 0, output),
        }
        if (total and prices.input_mtok is None) or (output and prices.output_mtok is None):
            return None
        try:
            return float(prices.calc_price(PricedUsage(**counts))["total_price"])
        except (LookupError, ValueError, TypeError):
            return None


_APART = ("output_reasoning_mtok", "input_audio_mtok", "output_audio_mtok", "cache_audio_read_mtok")
"""Prices of parts of the totals; a model that has one is charged in full."""


def _brackets(prices: Any) -> tuple[tuple[int, _Rates], ...] | None:
    if any(getattr(prices, name) is not None for name in _APART):
        return None
    tiered = [price.tiers for price in vars(prices).values() if hasattr(price, "tiers")]
    starts = sorted({tier.start for tiers in tiered for tier in tiers}, reverse=True)
    found = [(above, _rates(prices, above + 1)) for above in [*starts, -1]]
    return None if any(rates is None for _, rates in found) else tuple(found)  # type: ignore[arg-type]


def _rates(prices: Any, total: int) -> _Rates | None:
    """The rates that hold for calls with so much input; `None` if one is no whole number."""

    def rate(name: str, unit: int) -> int | None:
        price = getattr(prices, name)
        if price is None:
            return None
        exact = (price if isinstance(price, Decimal) else _at(price, total)) * unit
        if exact != int(exact):
            raise ValueError(name)
        return int(exact)

    try:
        full = rate("input_mtok", _PER_TOKEN)
        write = rate("cache_write_mtok", _PER_TOKEN)
        read, hour = rate("cache_read_mtok", _PER_TOKEN), rate("cache_write_1h_mtok", _PER_TOKEN)
        write = (full or 0) if write is None else write
        return _Rates(
            input=full,
            output=rate("output_mtok", _PER_TOKEN),
            cache_read=(full or 0) if read is None else read,
            cache_write=write,
            cache_write_1h=write if hour is None else hour,
            request=rate("requests_kcount", _PER_REQUEST) or 0,
        )
    except ValueError:
        return None


def _at(price: Any, total: int) -> Decimal:
    """A tiered price: past a tier's start, that tier's price holds for all tokens."""
    reached: list[Decimal] = [tier.price for tier in price.tiers if total > tier.start]
    return reached[-1] if reached else price.base


def _changes_within_a_day(model: Any) -> bool:
    return isinstance(model.prices, list) and any(
        type(priced.constraint).__name__ == "TimeOfDateConstraint" for priced in model.prices
    )


@lru_cache(maxsize=1024)
def _price(provider: str, model: str | None, tier: str | None, day: int) -> Price | None:
    prices_id = _PRICES.get(provider)
    if prices_id is None or not model:
        return None
    try:
        vendor, found = _tables().find_provider_model(model, None, prices_id, None)
        noon = datetime.fromtimestamp((day + 0.5) * _DAY_NS / 1e9, UTC)
        context = _context(tier) if any(found is own for own in vendor.models) else None  # a reseller has no tiers
        return Price(found.get_prices(noon, context), found)
    except (LookupError, ValueError, AttributeError):
        return None


def _context(tier: str | None) -> dict[str, str] | None:
    if not tier:
        return None
    return {"processing": "batch"} if tier == "batch" else {"service_tier": tier}


_loading = threading.Event()
_lock = threading.Lock()


def load() -> None:
    """Starts loading the prices in the background; only the first call of the process does anything."""
    if not _loading.is_set():
        _loading.set()
        with suppress(RuntimeError):  # no thread to be had: the first cost loads them
            threading.Thread(target=_tables, name="llmtrace-prices", daemon=True).start()


def _tables() -> Any:
    with _lock:  # the first to ask imports; the others wait for it
        from genai_prices.data_snapshot import get_snapshot

        return get_snapshot()


# A fork while the prices are being imported would leave the child with an import that nobody finishes: it waits.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@lru_cache(maxsize=1)
def _version() -> str:
    import genai_prices

    return genai_prices.__version__
