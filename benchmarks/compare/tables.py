"""The tables that are no rows of calls: start-up, the proxy, the collector and reading; and the versions."""

from __future__ import annotations

from typing import Any, NamedTuple

from compare.figures import Spread, spread
from compare.markdown import markdown, number, ranged, title
from compare.peers import BARE, NONE, OURS, PEERS
from compare.plot import shown
from compare.results import Table


class Told(NamedTuple):
    """What a table says of itself: `against` is the column that ours is compared with."""

    heading: str
    text: str
    against: str


TABLES = {
    "proxy": Told(
        "The proxy",
        "The same exchanges over TLS to a server on this machine: directly, through llmtrace's proxy, which reads and "
        "reports every call, and through mitmproxy, which only passes them on. Client, server and proxy are processes "
        "of their own. What a proxy adds to an exchange is the difference to `direct`.",
        "mitmproxy",
    ),
    "collector": Told(
        "The collector",
        "Ours and the official OpenTelemetry Collector, with one configuration, fed the same requests of 100 spans of "
        "25 attributes, in turns. CPU is of the collector's own process, per million spans. A parse is what protobuf's "
        "own parser takes for the same bytes, measured in the same minute: that figure hangs least on the machine. "
        "Median, and [the least … the most] of the rounds.",
        "official",
    ),
    "reading": Told(
        "Reading a million spans",
        "Counting the spans of a file of a million lines: ours, which makes a span of each; Python's `json.loads` of "
        "each line; and `jq`. Each is a process of its own. Median, and [the least … the most] of the rounds.",
        "json.loads",
    ),
}


def figures_table(name: str, found: Table) -> str:
    """A table of another benchmark: medians with their range, and how ours compares."""
    columns = list(dict.fromkeys(column for figures in found.values() for column in figures))
    ours, against = columns[columns.index("llmtrace")] if "llmtrace" in columns else "", TABLES[name].against
    compared = bool(ours) and against in columns
    body = [
        [
            figure,
            *(_values(values[column]) if column in values else "" for column in columns),
            *([number(_multiple(values, ours, against))] if compared else []),
        ]
        for figure, values in found.items()
    ]
    return markdown(["", *columns, *([f"llmtrace ÷ {against}"] if compared else [])], body)


def _values(values: list[float]) -> str:
    middle, least, most = map(shown, spread(values))
    return f"{middle} [{least} … {most}]" if len(values) > 1 else middle


def _multiple(values: dict[str, list[float]], one: str, other: str) -> float | None:
    if one not in values or other not in values or not spread(values[other]).median:
        return None
    return spread(values[one]).median / spread(values[other]).median


# Start-up


def above(found: dict[str, dict[str, Any]], peer: str) -> Spread:
    """CPU milliseconds that a peer takes more than bare `opentelemetry-instrument` in the same round."""
    pairs = zip(found[peer]["cpu"], found[BARE]["cpu"], strict=True)
    return spread(with_it - without for with_it, without in pairs)


def startup_name(peer: str) -> str:
    if peer in (NONE, BARE):
        return "`python` alone" if peer == NONE else "`opentelemetry-instrument` alone"
    return title(peer) + ("" if PEERS[peer].command else " (script)")


def startup_table(found: dict[str, dict[str, Any]]) -> str:
    """Who takes the least first."""
    header = ("CPU, ms", "above, ms", "× alone", "elapsed, ms", "memory, MB", "above, MB", "modules", "above")
    bare, body = found[BARE], []
    for peer in sorted(found, key=lambda peer: (peer not in (NONE, BARE), spread(found[peer]["cpu"]).median)):
        figures, more = found[peer], [*above(found, peer)]
        compared = peer not in (NONE, BARE)
        body.append(
            [
                startup_name(peer),
                f"{spread(figures['cpu']).median:,.0f}",
                ranged(more if len(figures["cpu"]) > 1 else more[:1]) if compared else "",
                number(spread(figures["cpu"]).median / spread(bare["cpu"]).median),
                f"{spread(figures['elapsed']).median:,.0f}",
                f"{figures['memory']:.1f}",
                f"{figures['memory'] - bare['memory']:.1f}" if compared else "",
                f"{figures['modules']:,}",
                f"{figures['modules'] - bare['modules']:,}" if compared else "",
            ]
        )
    return markdown(["", *header], body)


def startup_sentence(found: dict[str, dict[str, Any]]) -> str:
    more, ours, bare = above(found, OURS), found[OURS], found[BARE]
    spans = f" [{more.least:,.0f} … {more.most:,.0f}]" if len(ours["cpu"]) > 1 else ""
    return (
        f"Ours adds **{more.median:,.0f} ms** of CPU{spans}, "
        f"{spread(ours['cpu']).median / spread(bare['cpu']).median:.2f} × `opentelemetry-instrument` alone, "
        f"**{ours['memory'] - bare['memory']:.1f} MB** and {ours['modules'] - bare['modules']} modules."
    )


# Versions


def versions(found: dict[str, dict[str, str]]) -> str:
    """What all have, and what each peer has beside it or instead."""
    common = found.get(NONE, {})
    own = {peer: {k: v for k, v in of.items() if common.get(k) != v} for peer, of in found.items()}
    told = [f"- all: {_pairs(common)}"] if common else []
    return "\n".join(told + [f"- {title(peer)}: {_pairs(of)}" for peer, of in own.items() if of and peer != NONE])


def _pairs(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())
