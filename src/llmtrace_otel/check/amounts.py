"""Sums that may be unknown: tokens and US dollars of calls, as plain numbers when they are known.

A known sum is an `int` or a `float`, so it compares, formats and adds like any other. A sum that leaves out a call is
an `Unknown`, which refuses to be compared: a budget that ignores what nobody could price is no budget.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NoReturn

from llmtrace_otel.check.errors import NotEvaluableError, is_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

__tracebackhide__ = is_answer

MAX_NAMED: Final = 3


class Unknown:
    """A sum that is not known. `at_least` is the part that is. Whatever is asked of it raises NotEvaluableError."""

    def __init__(self, why: str, at_least: float = 0) -> None:
        self.why = why
        self.at_least = at_least

    def __repr__(self) -> str:
        return f"unknown, at least {self.at_least}"

    def _refuse(self, *_: object) -> NoReturn:
        raise NotEvaluableError(self.why)

    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __bool__ = __int__ = __float__ = __index__ = __round__ = __abs__ = __neg__ = __format__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def exact_sum(amounts: Iterable[float]) -> float:
    """The sum of decimal amounts: 0.1 + 0.2 is 0.3."""
    return float(sum((Decimal(repr(amount)) for amount in amounts), Decimal(0)))


def some(names: Iterable[Any]) -> str:
    """`'gpt-5', 'gpt-5-mini', 'o9' and 2 more`."""
    unique = [repr(name) for name in dict.fromkeys(names)]
    more = f" and {len(unique) - MAX_NAMED} more" if len(unique) > MAX_NAMED else ""
    return ", ".join(unique[:MAX_NAMED]) + more
