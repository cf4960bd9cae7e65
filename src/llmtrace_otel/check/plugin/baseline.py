"""The options --llmtrace-baseline and --llmtrace-update: what tests used before, and whether they use more now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmtrace_otel.check.compare import TOLERANCE, compare, parse_tolerance, read_profiles, write_profiles
from llmtrace_otel.check.errors import RuleError
from llmtrace_otel.check.plugin.options import read
from llmtrace_otel.read.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from llmtrace_otel.check.compare import Change, Profile


class Baseline:
    """The baseline's file, if one is named. Raises UsageError if it cannot be read."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        name, tolerance = option.llmtrace_baseline, option.llmtrace_tolerance
        if tolerance is not None and name is None:
            raise pytest.UsageError("--llmtrace-tolerance is that of a baseline; name one by --llmtrace-baseline FILE")
        self._tolerance = TOLERANCE if tolerance is None else read("--llmtrace-tolerance", tolerance, parse_tolerance)
        self._path: Path | None = config.invocation_params.dir / name if name is not None else None
        self._update: bool = option.llmtrace_update
        self._old = {} if self._path is None else self._read(self._path)

    def finish(self, new: Mapping[str, Profile], notes: list[str]) -> list[str]:
        """Why the run fails, or nothing; what is no failure is noted. Writes the file if asked.

        `new` is what the tests that passed used.
        """
        if self._path is None:
            return []
        if self._update:
            return self._write(self._path, new, notes)
        if lacking := new.keys() - self._old.keys():
            told = plural(len(lacking), "test")
            notes.append(f"LLM baseline: {told} not in {self._path.name}; --llmtrace-update adds what is missing")
        changes = {
            nodeid: compare(self._old[nodeid], new[nodeid], self._tolerance)
            for nodeid in sorted(new.keys() & self._old.keys())
        }
        notes += (f"LLM baseline: {line}" for line in _told(changes, lambda one: not one.known and not one.worse))
        lines = _told(changes, lambda one: one.worse)
        return ["LLM baseline exceeded", *(f"  {line}" for line in lines)] if lines else []

    def _read(self, path: Path) -> dict[str, Profile]:
        try:
            return read_profiles(path)
        except RuleError as error:
            raise pytest.UsageError(f"--llmtrace-baseline: {error}") from None
        except FileNotFoundError:
            if self._update:
                return {}
            raise pytest.UsageError(f"--llmtrace-baseline: there is no {path}; --llmtrace-update writes it") from None
        except OSError as error:
            raise pytest.UsageError(f"--llmtrace-baseline: {path}: {error.strerror}") from None

    def _write(self, path: Path, new: Mapping[str, Profile], notes: list[str]) -> list[str]:
        """Tests that did not run keep what they had."""
        try:
            write_profiles(path, self._old | dict(new))
        except OSError as error:
            return [f"--llmtrace-baseline: {path} cannot be written: {error.strerror}"]
        notes.append(f"LLM baseline: {plural(len(new), 'test')} written to {path.name}")
        return []


def _told(changes: Mapping[str, list[Change]], which: Callable[[Change], bool]) -> list[str]:
    return [f"{nodeid}  {one.text}" for nodeid, found in changes.items() for one in found if which(one)]
