"""What a call cost in USD, and where that number comes from.

What the provider's answer states wins. Else the tokens are multiplied by the prices that `genai-prices` has for the
model on the day of the call, at the service tier that served it. A price that is not known is unknown, never zero, and
the cost of a call without usage is unknown too.

`genai-prices` takes a while to import, so a thread loads it while the first call is with its provider. Its own
calculation takes as long as several spans; the rates of a model are looked up once per day and tier, then multiplied.
"""

from __future__ import annotations

import os
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.providers import PROVIDERS

ACTUAL, ESTIMATED, INCLUDED, UNKNOWN = "actual", "estimated", "included", "unknown"
_SUBSCRIPTION_HOSTS = ("chatgpt.com",)
_PRICES = {provider.name: provider.prices for provider in PROVIDERS if provider.prices}


class Cost(NamedTuple):
    """A call's cost: `usd` is absent when it is unknown, or part of a subscription."""

    usd: float | None
    status: str
    source: str | None = None
    pricing_version: str | None = None


def load() -> None:
    """Starts loading the prices in the background; only the first call of the process does anything."""
    if not _loading.is_set():
        _loading.set()
        threading.Thread(target=_tables, name="llmtrace-prices", daemon=True).start()


def cost_of(call: Call) -> Cost | None:
    """The cost of an ended call; `None` when there is nothing to charge for. Waits for the prices to be loaded."""
    if call.stated_cost is not None:
        return Cost(call.stated_cost, ACTUAL, "provider_response")
    usage = call.usage
    if usage is None:
        return None if call.error_type or call.operation == "fetch_response" else Cost(None, UNKNOWN)
    if call.server_address in _SUBSCRIPTION_HOSTS:
        return Cost(None, INCLUDED)
    return _estimate(call, usage) or Cost(None, UNKNOWN)


def _estimate(call: Call, usage: Usage) -> Cost | None:
    provider = _PRICES.get(call.provider)
    model = call.response_model or call.request_model
    if provider is None or model is None:
        return None
    moment = datetime.fromtimestamp(call.start_ns / 1e9, UTC)
    for name in dict.fromkeys((model, call.request_model)):
        if name is None:
            continue
        rates = _rates(provider, name, call.service_tier, moment.date())
        if rates is not None:
            usd = rates.charge(usage, moment)
            return Cost(usd, ESTIMATED, "genai-prices", _version()) if usd is not None else None
    return None


class Rates:
    """The prices of one model at one tier on one day."""

    __slots__ = ("_cache_read", "_cache_write", "_cache_write_1h", "_input", "_output", "_prices", "_request", "_timed")

    def __init__(self, prices: Any, timed: Any) -> None:
        self._prices = prices
        self._timed = timed
        self._input = prices.input_mtok
        self._output = prices.output_mtok
        self._cache_read = prices.cache_read_mtok or self._input
        self._cache_write = prices.cache_write_mtok or self._input
        self._cache_write_1h = prices.cache_write_1h_mtok or self._cache_write
        self._request = prices.requests_kcount

    def charge(self, usage: Usage, moment: datetime) -> float | None:
        """USD for `usage`; `None` when the table has no price for what was used."""
        if self._timed is not None or not self._is_plain(usage):
            return self._in_full(usage, moment)
        total = usage.input or 0
        read = min(usage.cache_read or 0, total)
        write = min(usage.cache_write or 0, total - read)
        hour = min(usage.cache_write_1h or 0, write)
        counts = (
            (total - read - write, self._input),
            (read, self._cache_read),
            (write - hour, self._cache_write),
            (hour, self._cache_write_1h),
            (usage.output or 0, self._output),
        )
        charged = Decimal(0)
        for count, price in counts:
            if count and price is None:
                return None
            if count:
                charged += count * _at(price, total)
        if self._request is not None:
            charged += 1000 * _at(self._request, total)
        return float(charged / 1_000_000)

    def _is_plain(self, usage: Usage) -> bool:
        if not (usage.input_audio or usage.output_audio or usage.reasoning):
            return True
        prices = self._prices
        if usage.reasoning and prices.output_reasoning_mtok is not None:
            return False
        audio = prices.input_audio_mtok or prices.output_audio_mtok
        return audio is None or not (usage.input_audio or usage.output_audio)

    def _in_full(self, usage: Usage, moment: datetime) -> float | None:
        from genai_prices import Usage as PricedUsage

        prices = self._timed.get_prices(moment) if self._timed is not None else self._prices
        total = usage.input or 0
        read = min(usage.cache_read or 0, total)
        counts = {
            "input_tokens": total,
            "output_tokens": usage.output or 0,
            "cache_read_tokens": read,
            "cache_write_tokens": min(usage.cache_write or 0, total - read),
            "cache_write_1h_tokens": usage.cache_write_1h,
            "output_reasoning_tokens": usage.reasoning,
            "input_audio_tokens": usage.input_audio,
            "output_audio_tokens": usage.output_audio,
        }
        try:
            return float(prices.calc_price(PricedUsage(**counts))["total_price"])
        except (LookupError, ValueError, TypeError):
            return None


def _at(price: Any, total_input: int) -> Decimal:
    """The price at a context length: past a tier's start, that tier's price holds for all tokens."""
    if isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if total_input > tier.start]
    return Decimal(reached[-1] if reached else price.base)


@lru_cache(maxsize=1024)
def _rates(provider: str, model: str, tier: str | None, day: date) -> Rates | None:
    tables = _tables()
    try:
        _, found = tables.find_provider_model(model, None, provider, None)
        context = {"service_tier": tier} if tier else None
        moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        return Rates(found.get_prices(moment, context), found if _by_hour(found) else None)
    except (LookupError, ValueError, AttributeError):
        return None


def _by_hour(model: Any) -> bool:
    """Whether a model has prices that change within a day."""
    if not isinstance(model.prices, list):
        return False
    return any(type(priced.constraint).__name__ == "TimeOfDateConstraint" for priced in model.prices)


_loading = threading.Event()
_lock = threading.Lock()


def _forget_lock() -> None:
    global _lock
    _lock = threading.Lock()  # a thread that held it does not live on in a forked child


os.register_at_fork(after_in_child=_forget_lock)


def _tables() -> Any:
    with _lock:  # the first to ask imports; the others wait for it
        from genai_prices.data_snapshot import get_snapshot

        return get_snapshot()


@lru_cache(maxsize=1)
def _version() -> str:
    import genai_prices

    return genai_prices.__version__
