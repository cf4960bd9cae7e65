"""The W3C `tracestate` of a span, and the OpenTelemetry entry in it that says how it was sampled: `ot=rv:...;th:...`.

`rv` is 56 bits of randomness, `th` the threshold that they had to reach; `sampling` has what they mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_KEY = r"(?:[a-z][a-z0-9_\-*/]*|[a-z0-9][a-z0-9_\-*/]*@[a-z][a-z0-9_\-*/]*)"
_MEMBER = re.compile(rf"(?P<key>{_KEY})=(?P<value>[ -+\--<>-~]{{0,255}}[!-+\--<>-~])\Z")
_OT_MEMBER = re.compile(r"(?P<key>[a-z][a-z0-9]*):(?P<value>[A-Za-z0-9._\-]*)\Z")
_HEX = re.compile(r"[0-9a-fA-F]{1,14}\Z")
_LONGEST, _LONGEST_KEY, _LONGEST_TENANT, _LONGEST_SYSTEM, _LONGEST_OT = 1024, 256, 241, 14, 256
_MOST_MEMBERS = 31
DIGITS = 14
"""Hexadecimal digits of a threshold and of randomness."""


@dataclass
class TraceState:
    """What the `ot` entry says, as it is written, and everything else."""

    randomness: str = ""
    threshold: str = ""
    ot_others: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        known = [f"{key}:{value}" for key, value in (("rv", self.randomness), ("th", self.threshold)) if value]
        ot = ";".join([*known, *self.ot_others])
        return ",".join(([f"ot={ot}"] if ot else []) + self.others)


def read(text: str) -> TraceState:
    """Raises ValueError for what is no tracestate, or longer than one may be."""
    state = TraceState()
    if not text:
        return state
    parts = text.removesuffix(",").split(",")
    if len(text) > _LONGEST or len(parts) > _MOST_MEMBERS:
        raise ValueError("the tracestate is too long")
    for member in (stripped for part in parts if (stripped := part.strip(" \t"))):
        key, value = _member(member)
        if key == "ot":
            _read_ot(value, state)
        else:
            state.others.append(member)
    return state


def _member(text: str) -> tuple[str, str]:
    match = _MEMBER.match(text)
    if match is None:
        raise ValueError("the tracestate is malformed")
    tenant, at, system = match["key"].partition("@")
    if len(match["key"]) > _LONGEST_KEY or (at and (len(tenant) > _LONGEST_TENANT or len(system) > _LONGEST_SYSTEM)):
        raise ValueError("the tracestate has too long a key")
    return match["key"], match["value"]


def _read_ot(text: str, state: TraceState) -> None:
    if len(text) > _LONGEST_OT:
        raise ValueError("the tracestate's ot entry is too long")
    for member in text.split(";"):
        match = _OT_MEMBER.match(member)
        if match is None:
            raise ValueError("the tracestate's ot entry is malformed")
        if match["key"] == "rv":
            state.randomness = randomness(match["value"])
        elif match["key"] == "th":
            state.threshold = threshold(match["value"])
        else:
            state.ot_others.append(member)


def randomness(text: str) -> str:
    """`text`, when it is randomness. Raises ValueError."""
    if len(text) != DIGITS or not _HEX.match(text):
        raise ValueError(f"{text!r} is no randomness of {DIGITS} hexadecimal digits")
    return text


def threshold(text: str) -> str:
    """`text`, when it is a threshold. Raises ValueError."""
    if not _HEX.match(text):
        raise ValueError(f"{text!r} is no threshold of 1 to {DIGITS} hexadecimal digits")
    return text
