"""The SDKs' retry loops: all attempts of one SDK call belong to one span.

The SDKs that are generated alike (`SyncAPIClient.request`, `AsyncAPIClient.request` in `_base_client`) send attempt
after attempt from one loop. While it runs, a failed attempt's span is held instead of ended; the next attempt takes it
over, and when the loop gives up, it ends with the last error.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmtrace_otel.telemetry.spans import CallSpan
    from llmtrace_otel.telemetry.within import Part
    from llmtrace_otel.wire.call import Call

SDKS = (
    "openai._base_client",
    "anthropic._base_client",
    "groq._base_client",
    "together._base_client",
    "cerebras.cloud.sdk._base_client",
    "writerai._base_client",
)
"""The modules that hold such a loop."""


class LogicalCall:
    """One run of an SDK's request loop."""

    __slots__ = ("_held", "_is_same", "_over")

    def __init__(self, is_same: Callable[[Call, Call], bool] | None = None) -> None:
        self._is_same = is_same or _is_same
        self._held: CallSpan | Part | None = None
        self._over = False

    def hold(self, span: CallSpan | Part) -> bool:
        """Keeps the span of a failed attempt for the next one; refuses when the loop is over."""
        if self._over:
            return False
        self._end_held()
        self._held = span
        return True

    def take(self, call: Call) -> CallSpan | Part | None:
        """The span of the failed attempt that `call` repeats, if it does."""
        held = self._held
        if held is None or not self._is_same(held.call, call):
            return None
        self._held = None
        return held

    def close(self) -> None:
        """The loop is over: a span still held ends with its last attempt's error."""
        self._over = True
        self._end_held()

    def _end_held(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.end()


def _is_same(one: Call, other: Call) -> bool:
    """Whether two attempts ask the same of the same server."""
    return (one.operation, one.server_address, one.server_port, one.request_model) == (
        other.operation,
        other.server_address,
        other.server_port,
        other.request_model,
    )


_current: ContextVar[LogicalCall | None] = ContextVar("llmtrace_logical_call", default=None)


def current() -> LogicalCall | None:
    """The SDK call that is running here, if any."""
    return _current.get()


def _leave(token: Token[LogicalCall | None]) -> None:
    with suppress(ValueError):  # a coroutine that is closed from without its task
        _current.reset(token)


def one_call(original: Any) -> Any:
    """Wraps a request loop."""

    @functools.wraps(original)
    def request(*args: Any, **kwargs: Any) -> Any:
        logical = LogicalCall()
        token = _current.set(logical)
        try:
            return original(*args, **kwargs)
        finally:
            _leave(token)
            logical.close()

    return request


def one_call_async(original: Any) -> Any:
    """Wraps an asynchronous request loop."""

    @functools.wraps(original)
    async def request(*args: Any, **kwargs: Any) -> Any:
        logical = LogicalCall()
        token = _current.set(logical)
        try:
            return await original(*args, **kwargs)
        finally:
            _leave(token)
            logical.close()

    return request
