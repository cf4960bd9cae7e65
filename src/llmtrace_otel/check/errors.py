"""What goes wrong when a question is asked of recorded spans. A failed expectation is no error of these: it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


class NotEvaluableError(Exception):
    """The recorded spans cannot answer the question: there are none, a price or a count is not known, …

    It is no failure of the program that was tested, and no pass either. The message says why, and what to do.
    """


class RuleError(ValueError):
    """A budget, a tree or a rule that cannot be read: what is wrong, where, and what is allowed."""


def is_answer(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether what a module raised answers the test's question: as its `__tracebackhide__`, pytest shows who asked."""
    return excinfo.errisinstance((AssertionError, NotEvaluableError, RuleError))
