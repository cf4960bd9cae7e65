"""Whether more was used than before: what changed between two profiles, and what of it is a regression.

Tokens and calls come first, because they do not depend on prices. Costs of both sides are those of the price table that
is installed now, so that a new price is no regression; a cost that is unknown is told as unknown. Less is never worse.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from llmtrace_otel.check.amounts import Unknown
from llmtrace_otel.check.baseline import read_profiles, write_profiles
from llmtrace_otel.check.errors import RuleError
from llmtrace_otel.check.profile import Profile, profile
from llmtrace_otel.read.text import money

__all__ = ["TOLERANCE", "Change", "Profile", "compare", "parse_tolerance", "profile", "read_profiles", "write_profiles"]

TOLERANCE: Final = 0.10
"""More by this share of the old value is allowed unless told otherwise."""

Amount = float | Unknown


class Change(NamedTuple):
    """A number that changed. `old` and `new` are None if not known, `ratio` is new / old if there is one.

    `name` is tokens, calls, tools, `tool NAME`, `model NAME`, errors or cost (USD). `worse`: beyond the tolerance, for
    sure. `text` says it all in one line.
    """

    name: str
    old: float | None
    new: float | None
    ratio: float | None
    worse: bool
    text: str

    @property
    def known(self) -> bool:
        """Whether both numbers are known. A change that is neither known nor worse cannot be told."""
        return self.old is not None and self.new is not None


def compare(old: Profile, new: Profile, tolerance: float = TOLERANCE, *, at: int | None = None) -> list[Change]:
    """What changed, the most reliable first; empty if nothing did.

    Args:
        old: What was used before.
        new: What is used now.
        tolerance: How much more is allowed, as a share of the old value: 0.1 allows a tenth more.
        at: Whose prices count on both sides, in nanoseconds since 1970; now if left out.
    """
    at = time.time_ns() if at is None else at
    found = [
        _change("tokens", old.tokens, new.tokens, tolerance),
        _change("calls", old.calls, new.calls, tolerance),
        _change("tools", sum(old.tools.values()), sum(new.tools.values()), tolerance),
        *_appeared("tool", old.tools, new.tools, tolerance),
        *_appeared("model", _calls(old), _calls(new), tolerance),
        _change("errors", old.errors, new.errors, tolerance),
        _change("cost", old.cost(at), new.cost(at), tolerance, money, unknown_same=old.models == new.models),
    ]
    return [one for one in found if one is not None]


def is_worse(old: Amount, new: Amount, tolerance: float) -> bool:
    """Whether it is certain that more was added than the tolerance allows, in exact decimals."""
    if isinstance(old, Unknown):
        return False
    return Decimal(repr(at_least(new))) > Decimal(repr(old)) * (1 + Decimal(repr(tolerance)))


def at_least(amount: Amount) -> float:
    """What is known of it."""
    return amount.at_least if isinstance(amount, Unknown) else amount


def same(old: Amount, new: Amount) -> bool:
    """Whether the same is known of both."""
    return at_least(old) == at_least(new) and why(old) == why(new)


def why(amount: Amount) -> str | None:
    """Why it is not known, None if it is."""
    return amount.why if isinstance(amount, Unknown) else None


def difference(old: float, new: float) -> str:
    """`+50%`, `−33%`; `was 0`."""
    return f"{'+' if new > old else '−'}{percent(abs(new / old - 1))}" if old else "was 0"


def percent(share: float) -> str:
    """`10%`, `12.5%`, `1,250%`."""
    value = round(share * 100, 0 if abs(share) >= 1 else 1)
    return f"{value:,.1f}".removesuffix(".0") + "%"


def parse_tolerance(text: str | float) -> float:
    """A share from `10%`, `0.1` or 0.1. Raises RuleError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*", str(text)) if not isinstance(text, bool) else None
    if match is None:
        raise RuleError(f"tolerance {text!r}: write a share such as 10% or 0.1, 0 or more")
    return float(Decimal(match[1]) / (100 if match[2] else 1))


def _appeared(kind: str, old: dict[str, int], new: dict[str, int], tolerance: float) -> Iterator[Change | None]:
    """Names that are on one side only."""
    for name in sorted(old.keys() ^ new.keys()):
        yield _change(f"{kind} {name}", old.get(name, 0), new.get(name, 0), tolerance)


def _calls(used: Profile) -> dict[str, int]:
    return {name: part.calls for name, part in used.by_model.items()}


def _change(
    name: str,
    old: Amount,
    new: Amount,
    tolerance: float,
    write: Callable[[float], str] = "{:,}".format,
    *,
    unknown_same: bool = True,
) -> Change | None:
    """The change of one number, None if there is none. `unknown_same`: what is unknown of it did not change either."""
    if same(old, new) and (unknown_same or not isinstance(new, Unknown)):
        return None
    worse = is_worse(old, new, tolerance)
    told = f"{name}  {_told(old, write)} → {_told(new, write)}"
    if isinstance(old, Unknown) or isinstance(new, Unknown):
        doubts = "; ".join(dict.fromkeys(doubt for doubt in (why(old), why(new)) if doubt))
        return Change(name, _plain(old), _plain(new), None, worse, f"{told} ({doubts})")
    allowed = f", {percent(tolerance)} allowed" if worse and old else ""
    return Change(name, old, new, new / old if old else None, worse, f"{told} ({difference(old, new)}{allowed})")


def _told(amount: Amount, write: Callable[[float], str]) -> str:
    """`12,450`; `unknown, at least 8,300`."""
    if not isinstance(amount, Unknown):
        return write(amount)
    return "unknown" + (f", at least {write(amount.at_least)}" if amount.at_least else "")


def _plain(amount: Amount) -> float | None:
    return None if isinstance(amount, Unknown) else amount
