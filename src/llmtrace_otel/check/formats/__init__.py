"""A report in words: for a terminal, a pull request, a test report, a program. All are made from one `Report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmtrace_otel.check.formats import document, github, junit, markdown, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_otel.check.rules.report import Report

FORMATS: Final[dict[str, Callable[[Report], str]]] = {
    "text": text.write,
    "github": github.write,
    "junit": junit.write,
    "json": document.write,
    "markdown": markdown.write,
}
"""Each gives text that ends with a line's end, or none."""
