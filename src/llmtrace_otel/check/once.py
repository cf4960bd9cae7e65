"""Spans that were exported twice, counted once, in constant memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmtrace_otel.read.span import Span

WINDOW: Final = 16_384  # spans; a retried export repeats a batch, of 512 as a rule, soon after the first try


def once(spans: Iterable[Span], window: int = WINDOW) -> Iterator[Span]:
    """The spans without those whose trace and span ids came already among the last `window` spans.

    The first record is kept. One that comes again later than that, at latest after twice as many, is a span of its own.
    """
    older: set[str] = set()
    recent: set[str] = set()
    for span in spans:
        key = span.trace_id + span.span_id
        if key in recent or key in older:
            continue
        recent.add(key)
        if len(recent) >= window:
            older, recent = recent, set()
        yield span
