"""The fixture `llmtrace_snapshot`: the shape of a test's spans, kept in a file beside the test.

`__llmtrace__/test_agent/test_research.txt` belongs to `test_research` of `test_agent.py`. A file that is not there
fails: a test that has nothing to compare with has checked nothing.
"""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, Final

from llmtrace_otel.check.plugin.names import name_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from llmtrace_otel.check.trace import Trace

DIRECTORY: Final = "__llmtrace__"


class Snapshot:
    """`llmtrace_snapshot()` fails unless this test's spans have the stored shape."""

    def __init__(self, item: pytest.Item, trace: Trace, *, update: bool) -> None:
        self._item = item
        self._trace = trace
        self._update = update
        self._times = 0

    def __call__(self, trace: Trace | None = None, **options: str) -> None:
        """Compares a shape with the stored one. A second call in the same test has a file of its own.

        Args:
            trace: What to compare; this test's spans unless told otherwise.
            options: Those of `Trace.shape`, such as `tokens="bucket"`.

        Raises AssertionError with the difference, NotEvaluableError if there are no spans.
        """
        __tracebackhide__ = True
        self._times += 1
        shape = (trace or self._trace).shape(**options).rstrip("\n") + "\n"
        path = self._path()
        if self._update:
            _write(path, shape)
        elif found := _difference(path, shape, os.path.relpath(path, self._item.config.rootpath)):
            raise AssertionError(found)

    def _path(self) -> Path:
        name = name_of(self._item.nodeid.partition("::")[2])
        times = f"-{self._times}" if self._times > 1 else ""
        module = self._item.path
        return module.parent / DIRECTORY / module.stem / f"{name}{times}.txt"


def _write(path: Path, shape: str) -> None:
    if not path.exists() or path.read_text("utf-8") != shape:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shape, "utf-8", newline="\n")


def _difference(path: Path, shape: str, shown: str) -> str | None:
    """What differs from the stored shape, None if nothing does."""
    if not path.exists():
        return f"there is no {shown}; review this shape and run with --llmtrace-update to store it:\n{shape}"
    stored = path.read_text("utf-8")
    if stored == shape:
        return None
    lines = difflib.unified_diff(stored.splitlines(), shape.splitlines(), shown, "this run", lineterm="", n=999)
    told = "\n".join(lines)
    return f"the shape of the trace is not the stored one; --llmtrace-update stores this run's\n{told}"
