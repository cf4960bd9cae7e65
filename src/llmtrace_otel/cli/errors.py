"""The error that a command shows its user: one line, no traceback."""

from __future__ import annotations


class UsageError(Exception):
    """What was wrong, where, and what to do, in one line. The command exits with `code`."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code
