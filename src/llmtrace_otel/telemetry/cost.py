"""What a call cost in USD, and where that number comes from.

An answer from a cache or a recording costs nothing. Else the first of these that knows:

1. the provider's answer states it: actual;
2. a library or a gateway on the way computed it (LiteLLM, or its `x-litellm-response-cost`): estimated;
3. the user's own prices have the model (`LLMTRACE_PRICES`): estimated;
4. the host belongs to a subscription, which charges by the month: included, without an amount. What the same tokens
   would cost elsewhere is no cost of this call, so list prices are not asked; a user who wants a shadow price says so
   with a price of their own;
5. list prices, at the time of the call and the service tier that served it: estimated.

Else it is unknown, and never zero; so is the cost of a call whose tokens are not known. A server on one's own machine
has a price only where the user gives it one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from llmtrace_otel.telemetry import prices_published, prices_user
from llmtrace_otel.telemetry.doubts import PENDING
from llmtrace_otel.telemetry.prices import Price
from llmtrace_otel.wire.call import Call, Usage

ACTUAL, ESTIMATED, INCLUDED, UNKNOWN = "actual", "estimated", "included", "unknown"
_SUBSCRIPTION_HOSTS = ("chatgpt.com", "cloudcode-pa.googleapis.com", "githubcopilot.com")
_MINUTE_NS = 60_000_000_000


class Cost(Struct, frozen=True):
    """A call's cost: `usd` is absent when it is unknown, or part of a subscription."""

    usd: float | None
    status: str
    source: str | None = None
    pricing_version: str | None = None


NOT_KNOWN = Cost(None, UNKNOWN)
_INCLUDED = Cost(None, INCLUDED)
_REPLAYED = Cost(0.0, ACTUAL, "replay")


def cost_of(call: Call) -> Cost | None:
    """The cost of an ended call; `None` when there is nothing to charge for. Waits for the prices to be loaded."""
    if call.replayed_seconds is not None:
        return _REPLAYED
    library = call.library
    if library is not None and library.cache_hit:
        return Cost(0.0, ACTUAL, library.cost_source)
    if call.stated_cost is not None:
        return Cost(call.stated_cost, ACTUAL, "provider_response")
    if library is not None and library.cost:
        return Cost(library.cost, ESTIMATED, library.cost_source)
    usage = call.usage
    if usage is None and not _should_have_cost(call):
        return None
    if call.gateway_cost:  # LiteLLM says zero of a model that it has no price for
        return Cost(call.gateway_cost, ESTIMATED, "gateway")
    was_cut = call.stream is True and not call.complete  # what it cost in the end is not known
    counted = None if usage is None or usage.input is None or was_cut else usage
    subscribed = _is_subscription(call.server_address)
    if counted is None and not subscribed:
        return NOT_KNOWN  # a part of the tokens is no basis for a price
    minute = call.start_ns // _MINUTE_NS
    found = _charged_by(call.provider, call.response_model, call.request_model, call.service_tier, minute)
    if subscribed and (found is None or found.source != prices_user.SOURCE):
        return _INCLUDED
    usd = None if found is None or counted is None else found.price.charge(counted)
    if found is None or usd is None:
        return NOT_KNOWN
    for other in call.besides or ():
        by = _charged_by(call.provider, other.model, None, call.service_tier, minute) if other.model else found
        more = by.price.charge(other.usage) if by is not None else None
        if more is None:
            return NOT_KNOWN
        usd += more
    return Cost(usd, ESTIMATED, found.source, found.version)


def estimate(
    provider: str, models: Sequence[str], tier: str | None, start_ns: int, **tokens: int | None
) -> float | None:
    """USD of tokens by the prices of the user and the lists, as of a time; `None` if no model has a price.

    Args:
        provider: As `gen_ai.provider.name` has it.
        models: The names to look for, the best first.
        tier: The service tier that the answer states.
        start_ns: Nanoseconds since 1970.
        tokens: The fields of `Usage`.
    """
    answered, asked = (*models, None, None)[:2]
    found = _charged_by(provider, answered, asked, tier, start_ns // _MINUTE_NS)
    return None if found is None else found.price.charge(Usage(**tokens))


def _should_have_cost(call: Call) -> bool:
    """Whether something was, or may have been, charged that we know nothing of."""
    return (
        call.error_type is None
        and call.http_status is not None
        and call.operation != "fetch_response"
        and call.response_status not in PENDING
    )


@lru_cache(maxsize=256)
def _is_subscription(host: str | None) -> bool:
    return any(host == known or (host or "").endswith(f".{known}") for known in _SUBSCRIPTION_HOSTS)


class _Source(NamedTuple):
    price: Price
    source: str
    version: str


@lru_cache(maxsize=1024)
def _charged_by(
    provider: str, response_model: str | None, request_model: str | None, tier: str | None, minute: int
) -> _Source | None:
    """The price of the model that answered; of the one asked for where that has none, as a dated name may not.

    Bedrock's answers hold at most the maker's name of the model; its own id tells the regions, and so the price.
    """
    names = (request_model, response_model) if provider == "aws.bedrock" else (response_model, request_model)
    models = [model for model in names if model]
    if (own := prices_user.table()) is not None:
        for model in models:
            if price := own.find(provider, model, tier):
                return _Source(price, prices_user.SOURCE, own.version)
    at = datetime.fromtimestamp(minute * 60, UTC)
    for model in models:
        if price := prices_published.find(provider, model, tier, at):
            return _Source(price, prices_published.SOURCE, prices_published.version())
    return None


_loading = False


def load() -> None:
    """Starts loading the prices in the background; only the first call of the process does anything."""
    global _loading
    if not _loading:
        _loading = True
        with suppress(RuntimeError):  # no thread to be had: the first cost loads them
            threading.Thread(target=_load, name="llmtrace-prices", daemon=True).start()


def _load() -> None:
    prices_user.table()
    prices_published.tables()


def refresh() -> None:
    """Forgets the user's prices, so that the environment is asked again."""
    prices_user.refresh()
    _charged_by.cache_clear()
