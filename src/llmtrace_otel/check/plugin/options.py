"""What the plugin's options, ini values and markers say. A mistake in them is a usage error before any test runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pytest
from msgspec import structs

from llmtrace_otel.check.budget import Budget, budget, parse_budget
from llmtrace_otel.check.errors import RuleError
from llmtrace_otel.pytest_plugin import MARKER

if TYPE_CHECKING:
    from collections.abc import Callable

Read = TypeVar("Read")


class Limits(NamedTuple):
    """What a test may use. `marked`: its marker says so, so that it has to make LLM calls."""

    budget: Budget
    marked: bool


def read(option: str, text: str, reader: Callable[[str], Read]) -> Read:
    """What an option's text says. Raises UsageError, which names the option."""
    try:
        return reader(text)
    except RuleError as error:
        raise pytest.UsageError(f"{option}: {error}") from None


def default_budget(config: pytest.Config) -> Budget:
    """The limits of every test, by the ini value. Raises UsageError."""
    text = config.getini("llmtrace_budget")
    return read("llmtrace_budget", text, parse_budget) if text else Budget()


def directory(config: pytest.Config) -> Path | None:
    """Where spans are kept; it is made. Raises UsageError."""
    name = config.option.llmtrace_out
    if name is None:
        return None
    path = Path(config.invocation_params.dir, name)
    if path.resolve() == config.rootpath.resolve():
        raise pytest.UsageError(f"--llmtrace-out {name!r} is where the tests are; name another, such as spans")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise pytest.UsageError(f"--llmtrace-out {path}: {error.strerror}") from None
    return path


def limits_of(item: pytest.Item, default: Budget) -> Limits:
    """The limits of a test: those of its markers, the nearest first, then the default. Raises RuleError."""
    limits: dict[str, object] = dict(default.limits)
    markers = list(item.iter_markers(MARKER))
    for marker in reversed(markers):
        if marker.args or not marker.kwargs:
            raise RuleError(f"limits go by name, such as {MARKER}(cost=0.05, tokens=20_000)")
        limits |= marker.kwargs
    return Limits(structs.replace(Budget(), **budget(limits).limits), bool(markers))
