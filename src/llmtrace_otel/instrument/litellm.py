"""LLM calls of LiteLLM: one span for each call that the program makes, whatever LiteLLM sends for it.

Its public functions are wrapped when the program imports it, and never imported for its sake. The span is current while
the call runs, so the requests that LiteLLM sends nest under it, and what they show (`httpx.py` reads them) becomes part
of it. A function that was imported before (`from litellm import completion`) is met where LiteLLM's own functions all
pass: `PublicDispatch`, the gate to its Rust core.

A `Router`'s attempts at one model are one call; an attempt at another model, a fallback, is another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmtrace_otel.instrument import peers
from llmtrace_otel.instrument.lazy import LazyInstrumentor, Wrappers


class LiteLLMInstrumentor(LazyInstrumentor):
    """Traces the calls made through LiteLLM; see `LazyInstrumentor` for the options."""

    modules = ("litellm", *peers.MODULES)

    def make_wrappers(self, options: Mapping[str, Any]) -> Wrappers:
        from llmtrace_otel.instrument.litellm_wrappers import LiteLLMWrappers

        return LiteLLMWrappers(options)
