"""From a file to spans and traces."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from llmtrace_otel.read.lines import Problem, numbered_lines
from llmtrace_otel.read.otlp import NotOTLPError, parse
from llmtrace_otel.read.tree import Trace, group

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from llmtrace_otel.read.span import Span

log = logging.getLogger(__name__)


def log_problem(problem: Problem) -> None:
    """What happens to a problem when the caller names no function for it."""
    log.warning("%s", problem)


def read_spans(path: str | os.PathLike[str], on_problem: Callable[[Problem], None] = log_problem) -> Iterator[Span]:
    """Streams the spans of an OTLP-JSON-lines file, plain or gzip, in constant memory; `-` is standard input.

    A line that cannot be read is handed to `on_problem` (a list's `append` will do) and reading goes on. Lines of
    metrics and logs are passed over. A span that was exported twice comes twice: `group` counts it once.
    Raises OSError if the file cannot be opened.
    """
    for number, line in numbered_lines(path, on_problem):
        try:
            spans = parse(line)
        except NotOTLPError as error:
            on_problem(Problem(number, str(error)))
            continue
        for span in spans:
            if span.trace_id and span.span_id:
                yield span
            else:
                on_problem(Problem(number, "a span without traceId or spanId"))


def read_traces(path: str | os.PathLike[str], on_problem: Callable[[Problem], None] = log_problem) -> list[Trace]:
    """The traces of a file, the earliest first. Holds all spans in memory; otherwise as `read_spans`."""
    return group(read_spans(path, on_problem))
