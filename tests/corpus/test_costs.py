"""What recorded exchanges cost: what providers state, to the last digit; and how close estimates come to that.

The table is for people to read. Estimates differ from the bill for reasons that tokens do not show: web searches and
plug-ins, which upstream a router chose, an introductory price. So how close they come is printed, not asserted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple

import msgspec.structs
import pytest

from corpus.reading import exchanged
from corpus.records import CORPUS, Record, available, records
from llmtrace_otel.telemetry.cost import ACTUAL, ESTIMATED, UNKNOWN, Cost, cost_of
from llmtrace_otel.wire.call import Call

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not available(), reason=f"no recorded exchanges at {CORPUS}; set LLMTRACE_CORPUS to their folder"
    ),
]

_BYOK = re.compile(rb'"is_byok": ?true')
_UPSTREAM = re.compile(rb'"upstream_inference_cost": ?([0-9.eE+-]+)')
_CREATED = re.compile(rb'"created(?:_at)?": ?(\d{10})\b')


def stated(record: Record) -> float | None:
    """What the answer says that the call cost, in USD.

    With a key of the caller's own (BYOK), OpenRouter's `cost`, which the vendor's SDK reads, is its fee alone, mostly
    zero; what the upstream charged is stated beside it, and both are paid. Grok on Azure states that it cost zero of
    xAI's ticks, which is not what Azure charges.
    """
    cost: float | None = record.expected.get("provider_cost")
    if cost == 0 and record.expected["provider"].startswith("azure."):
        return None
    if cost is None or not _BYOK.search(record.body):
        return cost
    upstream = _UPSTREAM.findall(record.body)
    return cost + float(upstream[-1])


def replayed(record: Record) -> Call | None:
    """The call of a record, at the time that its answer states, else today; `None` when it is no LLM call."""
    exchange = exchanged(record, capture=False)
    if exchange is None:
        return None
    created = _CREATED.search(record.body)
    seconds = int(created[1]) if created else datetime.now(UTC).timestamp()
    exchange.call.start_ns = int(seconds * 1e9)
    return exchange.call


class Estimate(NamedTuple):
    """A call's cost in USD as it was stated, and as it would have been told without that."""

    stated: float
    told: Cost


def row(provider: str, estimates: list[Estimate]) -> str:
    """A provider's line of the table; free calls have no ratio."""
    told = [estimate for estimate in estimates if estimate.told.usd is not None]
    ratios = [(estimate.told.usd or 0) / estimate.stated for estimate in told if estimate.stated]
    close = sum(abs(ratio - 1) <= 0.01 for ratio in ratios)
    spread = f"{median(ratios):>9.3f}{min(ratios):>9.3f} ..{max(ratios):>8.3f}" if ratios else ""
    return f"{provider:<22}{len(estimates):>7}{len(told):>8}{len(ratios):>10}{close:>11}{spread}"


HEADER = (
    "Estimates against what providers state, at list prices of the time that the answer states, else of today\n"
    f"{'provider':<22}{'stated':>7}{'priced':>8}{'not free':>10}{'within 1 %':>11}{'median':>9}{'estimate/stated':>20}"
)


def test_what_providers_state_is_what_calls_cost_to_the_last_digit() -> None:
    costs = {record.id: (stated(record), cost_of(call)) for record in records() if (call := replayed(record))}
    wrong = {
        record: (usd, found)
        for record, (usd, found) in costs.items()
        if usd is not None and found != Cost(usd, ACTUAL, "provider_response")
    }
    assert wrong == {}
    assert any(usd is not None for usd, _ in costs.values())


def test_how_close_estimates_come_to_what_providers_state(capsys: pytest.CaptureFixture[str]) -> None:
    estimates: defaultdict[str, list[Estimate]] = defaultdict(list)
    expected: set[str] = set()
    for record in records():
        usd, call = stated(record), replayed(record)
        if usd is None:
            continue
        expected.add(record.expected["provider"])
        assert call is not None
        told = cost_of(msgspec.structs.replace(call, stated_cost=None))
        assert told is not None
        estimates[call.provider].append(Estimate(usd, told))
    with capsys.disabled():
        print(f"\n{HEADER}")
        for provider in sorted(estimates):
            print(row(provider, estimates[provider]))
    assert set(estimates) == expected
    assert [found for rows in estimates.values() for found in rows if not is_honest(found.told)] == []


def is_honest(told: Cost) -> bool:
    """A number with its source, or none and no more than that."""
    return told == Cost(None, UNKNOWN) or (
        told.usd is not None and told.status == ESTIMATED and told.source is not None and bool(told.pricing_version)
    )
