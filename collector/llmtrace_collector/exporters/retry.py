"""`retry_on_failure`: how long to wait before a request is sent again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmtrace_collector.config.settings import Retry


def pauses(retry: Retry) -> Iterator[float]:
    """The endless row of pauses in seconds: growing up to a longest one, each randomised on its own."""
    pause: float = retry.initial_interval
    while True:
        yield pause * random.uniform(1 - retry.randomization_factor, 1 + retry.randomization_factor)  # noqa: S311
        pause = min(pause * retry.multiplier, retry.max_interval)
