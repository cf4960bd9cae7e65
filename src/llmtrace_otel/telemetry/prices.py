"""What a model charges, and the exact sum of a call: the arithmetic that all sources of prices share.

Rates are whole numbers, of 1e-24 USD each, because the calculation of `genai-prices` in decimals takes as long as
several spans; the only rounding is that of the sum to a float. What a rate leaves out is charged as what it is part of:
a cached token as input, an hour's cache write as any, reasoning as output. Input and output without a rate of their own
have no price at all.
"""

from __future__ import annotations

import logging  # noqa: F401 - see below
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import NamedTuple

from llmtrace_otel.wire.call import Usage

_USD = 10**24
_PER_TOKEN = _USD // 10**6

_lock = threading.Lock()


@contextmanager
def reading() -> Iterator[None]:
    """Held by whoever reads prices, so that they are read once; never by who only looks one up.

    Raises:
        LookupError: the interpreter is ending while they are being read, and has ended whoever does it.
    """
    if not _lock.acquire(blocking=not sys.is_finalizing()):
        raise LookupError("the prices were not loaded in time")
    try:
        yield
    finally:
        _lock.release()


# A fork while prices are being imported would leave the child with an import that nobody finishes: it waits. It must
# not hold logging's lock then, which that import needs; a fork takes locks in the reverse order of their registration.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class Rates(NamedTuple):
    """Whole numbers of 1e-24 USD per token, and per request."""

    input: int | None
    output: int | None
    cache_read: int
    cache_write: int
    cache_write_1h: int
    request: int
    parts: Parts | None
    """`None` for most models."""


class Parts(NamedTuple):
    """What parts of the input and the output cost more, or less, than the rest of it."""

    reasoning: int
    input_audio: int
    cached_audio: int
    output_audio: int

    def surcharge(self, usage: Usage, output: int, most_audio: int, read: int) -> int:
        """What `usage` costs beyond the plain rates."""
        heard = min(usage.input_audio or 0, most_audio)
        cached = min(usage.cached_audio or 0, heard, read)
        return (
            min(usage.reasoning or 0, output) * self.reasoning
            + (heard - cached) * self.input_audio
            + cached * self.cached_audio
            + min(usage.output_audio or 0, output) * self.output_audio
        )


def rates(usd: Mapping[str, Decimal]) -> Rates:
    """Rates of decimal prices.

    Args:
        usd: USD per million tokens of `input`, `output`, `cache_read`, `cache_write`, `cache_write_1h`, `reasoning`,
            `input_audio`, `cached_audio` and `output_audio`; and USD per call: `request`. All may be left out.
    """
    whole = {name: round(price * (_USD if name == "request" else _PER_TOKEN)) for name, price in usd.items()}
    for_input, for_output = whole.get("input"), whole.get("output")
    plain_input, plain_output = for_input or 0, for_output or 0
    write, read = whole.get("cache_write", plain_input), whole.get("cache_read", plain_input)
    parts = Parts(
        whole.get("reasoning", plain_output) - plain_output,
        whole.get("input_audio", plain_input) - plain_input,
        whole.get("cached_audio", whole.get("input_audio", read)) - read,
        whole.get("output_audio", plain_output) - plain_output,
    )
    return Rates(
        input=for_input,
        output=for_output,
        cache_read=read,
        cache_write=write,
        cache_write_1h=whole.get("cache_write_1h", write),
        request=whole.get("request", 0),
        parts=parts if any(parts) else None,
    )


class Price:
    """What one model costs at one service tier: rates by how long the input is.

    Args:
        brackets: The input tokens above which rates hold, for all tokens of the call, and those rates; in descending
            order, the last above -1.
    """

    __slots__ = ("_brackets",)

    def __init__(self, brackets: Sequence[tuple[int, Rates]]) -> None:
        self._brackets = tuple(brackets)

    def charge(self, usage: Usage) -> float | None:
        """USD for `usage`; `None` when there is no price for what was used.

        A provider may state more cached tokens than input; no more than the input is charged.
        """
        total, output = usage.input or 0, usage.output or 0
        for above, rates in self._brackets:  # noqa: B007 - the bracket it stops at is the one
            if total > above:
                break
        for_input, for_output, for_read, for_write, for_hour, charged, parts = rates
        if (total and for_input is None) or (output and for_output is None):
            return None
        read = min(usage.cache_read, total) if usage.cache_read else 0
        write = min(usage.cache_write, total - read) if usage.cache_write else 0
        if read:
            charged += read * for_read
        if write:
            hour = min(usage.cache_write_1h or 0, write)
            charged += (write - hour) * for_write + hour * for_hour
        if for_input is not None:
            charged += (total - read - write) * for_input
        if for_output is not None:
            charged += output * for_output
        if parts is not None:
            if parts.input_audio and usage.input_audio and read and usage.cached_audio is None:
                return None  # nobody says how much of the audio was cached
            charged += parts.surcharge(usage, output, total - write, read)
        return charged / _USD
