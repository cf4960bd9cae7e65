"""What could not be read of files: told on standard error, the first few lines and how many more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from llmtrace_otel.read.text import clean

if TYPE_CHECKING:
    from llmtrace_otel.read.lines import Problem

MAX_PROBLEMS: Final = 5


class Problems:
    """Collects problems for a command."""

    def __init__(self, command: str) -> None:
        self.count = 0
        self._command = command
        self._first: list[str] = []

    def add(self, file: str, problem: Problem) -> None:
        """Notes a problem in a file."""
        self.count += 1
        if len(self._first) < MAX_PROBLEMS:
            self._first.append(clean(f"{file}: {problem}"))

    def print(self) -> None:
        """Prints them to standard error."""
        more = [f"and {self.count - len(self._first)} more"] if self.count > len(self._first) else []
        for line in (*self._first, *more):
            print(f"llmtrace {self._command}: {line}", file=sys.stderr)
