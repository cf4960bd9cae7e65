"""What the page is written with: tables, names and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from compare.figures import spread
from compare.peers import OURS, PEERS


def markdown(header: Iterable[str], body: Iterable[Iterable[str]]) -> str:
    """A table; columns after the first are numbers."""
    header = list(header)
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *body))


def title(peer: str) -> str:
    return f"**{PEERS[peer].title}**" if peer == OURS else PEERS[peer].title


def number(value: float | None, form: str = ".2f") -> str:
    return "" if value is None else format(value, form)


def ranged(values: Sequence[float]) -> str:
    """The median, with the range if there are several."""
    middle, least, most = spread(values)
    return f"{middle:,.0f} [{least:,.0f} … {most:,.0f}]" if len(values) > 1 else f"{middle:,.0f}"
