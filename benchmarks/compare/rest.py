"""When a process has done what calls left to its threads and tasks. Its own functions are chance, and not counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

PAUSE, LOOKS = 0.03, 3
"""A process is at rest when it takes less than a fifth of the time in each of LOOKS pauses of PAUSE seconds."""


def pauses() -> Iterator[float]:
    """How long to sleep, again and again, until nothing is done any more."""
    looks, spent = 0, time.process_time()
    while looks < LOOKS:
        yield PAUSE
        before, spent = spent, time.process_time()
        looks = looks + 1 if spent - before < PAUSE / 5 else 0


def wait_for_litellms_thread() -> None:
    """Until it has logged what it was given; a busy machine may not let it run in any pause."""
    from litellm.litellm_core_utils.thread_pool_executor import executor

    ThreadPoolExecutor.submit(executor, int).result()  # LiteLLM's own method would count what it does
