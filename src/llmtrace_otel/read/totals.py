"""What a set of spans adds up to: calls, tokens, cost, errors, each counted once.

Tokens and cost are summed over inference spans (llm, embed) only, because agents and workflows repeat those of the
calls below them. A failure that climbs from a call through its tool to its agent is one error: the innermost.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from llmtrace_otel.read.span import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmtrace_otel.read.span import Span
    from llmtrace_otel.read.tree import Node


class Totals(Struct, frozen=True):
    """Sums over spans. A sum is None when no span reported that number.

    `cost_usd` is what is known of the spend. `actual` counts the calls whose part in it was stated by a provider,
    `estimated` those whose part comes from a price table, `unpriced` those that should have a part and have none.
    """

    llm: int = 0
    embed: int = 0
    tools: int = 0
    errors: int = 0
    usage: Usage = Usage()
    cost_usd: float | None = None
    actual: int = 0
    estimated: int = 0
    unpriced: int = 0

    @property
    def mixed(self) -> bool:
        """Whether estimates stand beside stated costs: only then does it help to mark them."""
        return self.actual > 0 and self.estimated > 0


def totals(nodes: Iterable[Node]) -> Totals:
    """Adds up the given nodes alone; their children count only if they are given too."""
    kinds: Counter[str] = Counter()
    errors = 0
    calls: list[Span] = []
    for node in nodes:
        kinds[node.span.kind_of] += 1
        errors += _first_failure(node)
        if node.span.inference:
            calls.append(node.span)
    statuses = Counter(cost.status for call in calls if (cost := call.cost).usd is not None)
    costs = [spend for call in calls if (spend := call.spend) is not None]
    return Totals(
        llm=kinds["llm"],
        embed=kinds["embed"],
        tools=kinds["tool"],
        errors=errors,
        usage=_sum_usage(calls),
        cost_usd=math.fsum(costs) if costs else None,
        actual=statuses["actual"],
        estimated=statuses["estimated"],
        unpriced=sum(call.unpriced for call in calls),
    )


def _first_failure(node: Node) -> bool:
    return node.span.error is not None and all(child.span.error is None for child in node.children)


def _sum_usage(calls: list[Span]) -> Usage:
    columns = zip(*(structs.astuple(call.usage) for call in calls), strict=True)
    return Usage(*(_sum(column) for column in columns))


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
