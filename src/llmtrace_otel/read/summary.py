"""A trace, or many, in a few words: the parts of a header or a closing line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmtrace_otel.read.text import ABSENT, UNKNOWN, clean, flow, moment, money, plural, seconds, share

if TYPE_CHECKING:
    from llmtrace_otel.read.span import Usage
    from llmtrace_otel.read.totals import Totals
    from llmtrace_otel.read.tree import Trace

MAX_NAME: Final = 40  # characters of a service or session
MAX_SESSIONS: Final = 3


def heading(trace: Trace) -> list[str]:
    """Which trace, whose, when, how long, how much: `trace 7f3a91c2`, `session s-42`, `8.4s`, `$0.0227`, …"""
    start = moment(trace.start)
    return [
        f"trace {clean(trace.id[:8])}",
        *_service(trace),
        *_sessions(trace.sessions),
        *([f"{start:%Y-%m-%d %H:%M:%S}Z"] if start else []),
        seconds(trace.duration),
        *sums(trace.totals),
    ]


def sums(total: Totals) -> list[str]:
    """`6.7k→815 tokens (46% cached)`, `$0.0227`, `3 llm · 2 tools · 1 error`; what there is none of is left out."""
    counts = [f"{count} {kind}" for count, kind in ((total.llm, "llm"), (total.embed, "embed")) if count]
    counts += [plural(count, noun) for count, noun in ((total.tools, "tool"), (total.errors, "error")) if count]
    return [*(spent(total) if total.llm or total.embed else []), *([" · ".join(counts)] if counts else [])]


def spent(total: Totals) -> list[str]:
    """`6.7k→815 tokens (46% cached)`, `$0.0227`."""
    return [_tokens(total.usage), _cost(total)]


def _service(trace: Trace) -> list[str]:
    """The first service that has a name of its own."""
    names = (node.span.resource.get("service.name") for node in trace.nodes)
    chosen = (name for name in names if isinstance(name, str) and name and not name.startswith("unknown_service"))
    return [clean(name, MAX_NAME) for name in [next(chosen, "")] if name]


def _sessions(names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(clean(name, MAX_NAME) for name in names[:MAX_SESSIONS])
    more = f" +{len(names) - MAX_SESSIONS}" if len(names) > MAX_SESSIONS else ""
    return [f"session{'s' if len(names) > 1 else ''} {shown}{more}"]


def _tokens(usage: Usage) -> str:
    cached = share(usage.cache_read, usage.input)
    return f"{flow(usage.input, usage.output)} tokens" + ("" if cached == ABSENT else f" ({cached} cached)")


def _cost(total: Totals) -> str:
    """What is known of the cost; `+ ?` when some call's cost is not."""
    if total.cost_usd is None:
        return UNKNOWN if total.unpriced else ABSENT
    return ("~" if total.mixed else "") + money(total.cost_usd) + (f" + {UNKNOWN}" if total.unpriced else "")
