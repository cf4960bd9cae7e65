"""LiteLLM, or the reason why its tests are skipped; what they say, and how they read a span."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from support.spans import Recorded

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or its import asks the network for prices
litellm: Any = pytest.importorskip(
    "litellm", reason="LiteLLM wants other versions than these: `make matrix` runs its tests, with two releases of it"
)
litellm.suppress_debug_info = True

HI = [{"role": "user", "content": "hi"}]
MINI = "openai/gpt-5-mini"
HAIKU = "anthropic/claude-haiku-4-5"

TOKENS = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}
ANTHROPIC_TOKENS = {
    "gen_ai.usage.input_tokens": 130,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.usage.cache_read.input_tokens": 100,
    "gen_ai.usage.cache_write.input_tokens": 20,
}


def attributes(recorded: Recorded) -> dict[str, Any]:
    """Those of the one span there must be."""
    return dict(recorded.span.attributes or {})


def some(found: dict[str, Any], *names: str) -> dict[str, Any]:
    """The named ones, those that are absent too."""
    return {name: found.get(name) for name in names}


def soon(holds: Callable[[], bool]) -> bool:
    """Whether something that another thread or the garbage collector does comes to hold."""
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return holds()
