"""The user's own prices, in the file that `LLMTRACE_PRICES` names, TOML or JSON: they override list prices.

    version = "2026-11"              # what llmtrace.cost.pricing_version says; else the file's name and a hash

    [prices."acme/foo"]              # USD per million tokens
    input = 2.5
    output = 10
    cache_read = 0.25                # left out: as input
    cache_write = 3.125              # left out: as input
    cache_write_1h = 5.0             # left out: as cache_write
    request = 0.01                   # USD per call

    [[prices."acme/foo".tiers]]      # for all tokens of a call with more input than this
    above = 200_000
    input = 5

    [prices."acme/foo".batch]        # what differs at a service tier: batch, flex, priority, fast
    input = 1.25

A key is a model, or `provider/model` with the provider as `gen_ai.provider.name` has it, which wins; either may be a
shell pattern, of which the longest that fits wins after the exact names. Case does not matter. A service tier's own
`tiers` replace the model's; a service tier that is not in the file costs what the model costs. An entry that has a
mistake is left out, and a line in the log says so; the others count.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import logging
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from llmtrace_otel.telemetry.prices import Price, rates, reading

VARIABLE = "LLMTRACE_PRICES"
SOURCE = "user"
_DEAREST = 1_000_000_000
_LARGEST = 8 * 1024 * 1024
"""Bytes of the file; calls wait while it is read."""

_log = logging.getLogger("llmtrace_otel")


class _Rates(Struct, forbid_unknown_fields=True, kw_only=True):
    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    input_audio: Decimal | None = None
    cached_audio: Decimal | None = None
    output_audio: Decimal | None = None
    request: Decimal | None = None

    def stated(self) -> dict[str, Decimal]:
        return {name: value for name in _RATES if (value := getattr(self, name)) is not None}

    def __post_init__(self) -> None:
        for name, usd in self.stated().items():
            if not (usd.is_finite() and 0 <= usd <= _DEAREST):
                raise ValueError(f"{name} = {usd} is no price")


_RATES = tuple(field.name for field in structs.fields(_Rates))


class _Above(_Rates):
    above: int


class _Tiered(_Rates):
    tiers: list[_Above] = []


class _Model(_Tiered):
    batch: _Tiered | None = None
    flex: _Tiered | None = None
    priority: _Tiered | None = None
    fast: _Tiered | None = None


class UserPrices:
    """Prices by model and service tier.

    Args:
        document: What the file holds; other top-level keys than `prices` and `version` are none of its business.
        version: Used where the document states none.

    Raises:
        ValueError: it has no prices at all.
    """

    def __init__(self, document: Mapping[str, Any], version: str) -> None:
        self.version = str(document.get("version") or version)
        self.mistakes: list[str] = []
        """Which entries were left out and why."""
        self._models: dict[str, dict[str, Price]] = {}
        stated = document.get("prices")
        if not isinstance(stated, dict) or not stated:
            raise ValueError('it has no [prices."model"]')
        for name, entry in stated.items():
            try:
                self._models[name.lower()] = _by_tier(msgspec.convert(entry, _Model))
            except (msgspec.ValidationError, ArithmeticError) as error:
                self.mistakes.append(_mistake(name, str(error)))
        patterns = sorted((name for name in self._models if any(wild in name for wild in "*?[")), key=len, reverse=True)
        self._patterns = [(re.compile(fnmatch.translate(name)), self._models[name]) for name in patterns]

    def find(self, provider: str, model: str, tier: str | None) -> Price | None:
        """What a model costs at the service tier that the answer states; `None` for a model that is not in the file."""
        model = model.lower()
        names = f"{provider}/{model}".lower(), model
        exact = (self._models[name] for name in names if name in self._models)
        fitting = (prices for pattern, prices in self._patterns if any(pattern.match(name) for name in names))
        by_tier = next(exact, None) or next(fitting, None)
        return None if by_tier is None else by_tier.get((tier or "").lower()) or by_tier[""]


def table() -> UserPrices | None:
    """The prices of the file that the environment names, read once; `refresh` forgets them.

    Raises what `reading` does, and nothing else.
    """
    name = os.environ.get(VARIABLE, "").strip()
    if not name:
        return None
    with reading():
        return _read(name)


def refresh() -> None:
    """Forgets the file, so that it is read again."""
    _read.cache_clear()


@cache
def _read(name: str) -> UserPrices | None:
    try:
        path = Path(name).expanduser()
        content = _content(path)
        found = UserPrices(_document(path, content), f"{path.name}@{hashlib.sha256(content).hexdigest()[:8]}")
    except (OSError, ValueError, RuntimeError) as error:  # no such file, no such format; no such home, too deep
        why = error.strerror if isinstance(error, OSError) else error
        _log.warning("llmtrace: %s=%s cannot be used: %s; list prices count meanwhile", VARIABLE, name, why)
        return None
    if found.mistakes:
        _log.warning("llmtrace: %s=%s: %s", VARIABLE, name, _told(found.mistakes))
    return found


def _content(path: Path) -> bytes:
    """What a file holds; `ValueError` for what could take forever: a pipe that nobody writes to, gigabytes."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if status.st_size > _LARGEST:
        raise ValueError(f"it is over {_LARGEST >> 20} MiB")
    return path.read_bytes()


def _told(mistakes: list[str]) -> str:
    more = len(mistakes) - 1
    rest = f", and {more} more; correct them to have them count" if more else ", correct it to have it count"
    return f"{mistakes[0]}; that entry is left out{rest}"


def _document(path: Path, content: bytes) -> dict[str, Any]:
    """The file's content, its numbers exact; `ValueError` when it is not what its name says."""
    match path.suffix.lower():
        case ".toml":
            return tomllib.loads(content.decode("utf-8-sig"), parse_float=Decimal)
        case ".json":
            found = json.loads(content, parse_float=Decimal)
            if isinstance(found, dict):
                return found
            raise ValueError("it is no JSON object")
        case _:
            raise ValueError("its name ends in neither .toml nor .json")


def _by_tier(model: _Model) -> dict[str, Price]:
    usd = model.stated()
    found = {"": _price(usd, model.tiers)}
    for tier in ("batch", "flex", "priority", "fast"):
        if (own := getattr(model, tier)) is not None:
            found[tier] = _price(usd | own.stated(), own.tiers)
    return found


def _price(usd: dict[str, Decimal], tiers: list[_Above]) -> Price:
    """A tier of the input's length keeps what it does not change of the one below."""
    brackets = [(-1, rates(usd))]
    for tier in sorted(tiers, key=lambda tier: tier.above):
        usd = usd | tier.stated()
        brackets.insert(0, (tier.above, rates(usd)))
    return Price(brackets)


def _mistake(name: str, error: str) -> str:
    what, _, where = error.partition(" - at `$")
    what = what.replace("Object contains unknown field", "nothing is called")
    return f'prices."{name}"{where.rstrip("`")}: {what}'
