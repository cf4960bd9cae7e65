"""The arithmetic of consistent probability sampling (OpenTelemetry's "TraceState: Probability Sampling").

A trace has 56 bits of randomness, a sampler a threshold: of 2**56 traces it drops that many. An item is kept when its
randomness is not below the threshold, so that all samplers of one threshold keep the same traces.
"""

from __future__ import annotations

import math
import struct

from llmtrace_collector.processors.tracestate import DIGITS

NUMBERS = 2**56
ALWAYS = 0
NEVER = NUMBERS
HIGHEST = NUMBERS - 1
"""The randomness that every threshold but `NEVER` keeps."""

LEAST_PROBABILITY = 1 / NUMBERS
_BUCKETS = 2**14
_PRIME = 16777619
_BASIS = 2166136261


def single(number: float) -> float:
    """A number as 32 bits can hold it: percentages are such, and rounding decides about traces."""
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


def threshold_of(probability: float, precision: int) -> int:
    """The threshold that keeps this part of all traces; `NEVER` when it is less than one of 2**56.

    `precision` is in significant hexadecimal digits, beyond leading `0` or `f`.
    """
    if probability < LEAST_PROBABILITY:
        return NEVER
    if probability >= 1:
        return ALWAYS
    exponents = math.frexp(probability)[1], math.frexp(1 - probability)[1]
    digits = min(DIGITS, max(precision + int(exponent / -4) for exponent in exponents))
    threshold = NUMBERS - _rounded(probability * NUMBERS)
    shift = 4 * (DIGITS - digits)
    return threshold if shift == 0 else (threshold + (1 << (shift - 1))) >> shift << shift


def _rounded(number: float) -> int:
    whole = math.floor(number)
    return whole + (number - whole >= 0.5)


def probability_of(threshold: int) -> float:
    """The part of all traces that a threshold keeps."""
    return (NUMBERS - threshold) / NUMBERS


def read_threshold(text: str) -> int:
    """A threshold as written: trailing zeros are left out."""
    return int(text.ljust(DIGITS, "0"), 16)


def threshold_text(threshold: int) -> str:
    """A threshold as it is written; nothing for `NEVER`."""
    if threshold in (ALWAYS, NEVER):
        return "0" if threshold == ALWAYS else ""
    return f"{threshold:0{DIGITS}x}".rstrip("0")


def randomness_text(randomness: int) -> str:
    """Randomness as it is written."""
    return f"{randomness:0{DIGITS}x}"


def trace_randomness(trace_id: bytes) -> int:
    """The randomness that a trace id has: its last seven bytes."""
    return int.from_bytes(trace_id[9:16], "big")


class Hashing:
    """Randomness and threshold of the sampler's older way: a hash of the trace id falls into one of 2**14 buckets."""

    def __init__(self, percentage: float, seed: int) -> None:
        """`percentage` is from 0 to 100, of 32 bits. The seed makes samplers differ."""
        kept = int(single(percentage * single(_BUCKETS / 100)))
        self.threshold = (_BUCKETS - kept) << 42 if kept else NEVER
        self._seeded = _fnv1a(_BASIS, struct.pack("<I", seed))

    def randomness(self, trace_id: bytes) -> int:
        """Its first 14 bits decide; the others are other bits of the hash, for those who look at them later."""
        hashed = _fnv1a(self._seeded, trace_id)
        bucket, unused = hashed % _BUCKETS, hashed >> 18
        return (_BUCKETS - 1 - bucket) << 42 | (unused ^ unused << 10) << 14 | bucket


def _fnv1a(state: int, data: bytes) -> int:
    for byte in data:
        state = ((state ^ byte) * _PRIME) & 0xFFFFFFFF
    return state
