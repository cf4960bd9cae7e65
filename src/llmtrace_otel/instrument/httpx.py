"""LLM calls of `httpx` and `httpx2` clients, and of every SDK that sits on them.

`Client.send` and `AsyncClient.send` are wrapped in whichever of the two libraries the program imports, when it imports
it; nothing is imported for its sake, and our own wrappers come no earlier. Mocked transports, recorded playback and
transports of one's own are under `send`, so they are seen too. The caller's request, response and exceptions pass
through untouched; only the response's stream is replaced by one that shows its pieces to us as they go by.

An SDK's retries are one logical call: the SDK's own request loop is wrapped as well (`retries.py`), and the attempts
that are sent within it share one span.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmtrace_otel.instrument import peers, retries
from llmtrace_otel.instrument.lazy import LazyInstrumentor, Wrappers


class HTTPXInstrumentor(LazyInstrumentor):
    """Traces LLM calls made through httpx and httpx2; see `LazyInstrumentor` for the options."""

    modules = ("httpx", "httpx2", *dict.fromkeys((*retries.SDKS, *peers.HTTP_MODULES)))

    def make_wrappers(self, options: Mapping[str, Any]) -> Wrappers:
        from llmtrace_otel.instrument.httpx_wrappers import HTTPXWrappers

        return HTTPXWrappers(options)
