"""LLM calls over WebSockets: OpenAI Realtime and Responses, Gemini Live, through `websockets` or httpx2.

A connection is looked at once, when it is made. If its URL is none where a model is spoken with, nothing more is done;
if it is, this very connection's methods that send, receive and close are replaced by ones that show us the frames as
they go by. Each turn of the model leaves a span, started in the context in which the frame that began it was sent or
received; the connection itself leaves none.

`websockets`' connections for threads and for asyncio are seen; fragments that are sent or received one by one
(`recv_streaming`), its legacy and its trio connections are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmtrace_otel.instrument.lazy import LazyInstrumentor

if TYPE_CHECKING:
    from llmtrace_otel.instrument.wrapping import BaseWrappers


class WebSocketsInstrumentor(LazyInstrumentor):
    """Traces LLM calls made over WebSockets; see `LazyInstrumentor` for the options."""

    modules = ("websockets.sync.client", "websockets.asyncio.client", "httpx2.websockets._api")

    def make_wrappers(self, options: Mapping[str, Any]) -> BaseWrappers:
        from llmtrace_otel.instrument.websockets_wrappers import WebSocketWrappers

        return WebSocketWrappers(options)
