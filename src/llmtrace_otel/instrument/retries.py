"""Retry loops: all attempts of one call belong to one span.

The SDKs that are generated alike (`SyncAPIClient.request`, `AsyncAPIClient.request` in `_base_client`) send attempt
after attempt from one loop. While it runs, a failed attempt's span is held instead of ended; the next attempt takes it
over, and when the loop gives up, it ends with the last error. LiteLLM's loops make whole calls of its own again.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from msgspec import Struct

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


def _is_same(one: Call, other: Call) -> bool:
    """Whether two attempts ask the same of the same server."""
    return (one.operation, one.server_address, one.server_port, one.request_model) == (
        other.operation,
        other.server_address,
        other.server_port,
        other.request_model,
    )


def _is_same_model(one: Call, other: Call) -> bool:
    """Whether two attempts ask the same of the same model, wherever it is."""
    return (one.operation, one.request_model) == (other.operation, other.request_model)


class LogicalCall(Struct, eq=False):
    """One run of a loop of attempts, `with` which it is the one that `here` tells of."""

    here: ContextVar[LogicalCall | None]
    is_same: Callable[[Call, Call], bool] = _is_same
    held: CallSpan | Part | None = None
    """The span of the failed attempt that may be repeated."""
    over: bool = False
    """Whether the loop has ended: a task that was started meanwhile has it for good."""
    token: Token[LogicalCall | None] | None = None

    def __enter__(self) -> None:
        self.token = self.here.set(self)

    def __exit__(self, *_: object) -> None:
        """The loop is over: a span still held ends with its last attempt's error."""
        if self.token is not None:
            try:  # noqa: SIM105 - `suppress` is three functions more
                self.here.reset(self.token)
            except ValueError:  # a coroutine that is closed from without its task
                pass
        self.over = True
        if self.held is not None:
            self._end_held()

    def hold(self, span: CallSpan | Part) -> bool:
        """Keeps the span of a failed attempt for the next one; refuses when the loop is over."""
        if self.over:
            return False
        self._end_held()
        self.held = span
        return True

    def take(self, call: Call) -> CallSpan | Part | None:
        """The span of the failed attempt that `call` repeats, if it does."""
        held = self.held
        if held is None or not self.is_same(held.call, call):
            return None
        self.held = None
        return held

    def _end_held(self) -> None:
        held, self.held = self.held, None
        if held is not None:
            held.end()


_current: ContextVar[LogicalCall | None] = ContextVar("llmtrace_logical_call", default=None)
_routed: ContextVar[LogicalCall | None] = ContextVar("llmtrace_routed_call", default=None)


current: Callable[[], LogicalCall | None] = _current.get
"""The SDK call that is running here, if any."""


def routed() -> LogicalCall | None:
    """LiteLLM's loop of attempts that is running here, if any: its router's, or a function's that tries again."""
    logical = _routed.get()
    return None if logical is None or logical.over else logical


def one_call(original: Any) -> Any:
    """Wraps a request loop of an SDK."""

    @functools.wraps(original)
    def request(*args: Any, **kwargs: Any) -> Any:
        with LogicalCall(_current):
            return original(*args, **kwargs)

    return request


def one_call_async(original: Any) -> Any:
    """Wraps an asynchronous request loop of an SDK."""

    @functools.wraps(original)
    async def request(*args: Any, **kwargs: Any) -> Any:
        with LogicalCall(_current):
            return await original(*args, **kwargs)

    return request


def attempts(original: Any) -> Any:
    """Wraps a loop of LiteLLM's, of either kind; for a fallback it may call itself, which is no other loop."""

    @functools.wraps(original)
    def attempt(*args: Any, **kwargs: Any) -> Any:
        with LogicalCall(_routed, _is_same_model) if routed() is None else nullcontext():
            return original(*args, **kwargs)

    @functools.wraps(original)
    async def attempt_async(*args: Any, **kwargs: Any) -> Any:
        with LogicalCall(_routed, _is_same_model) if routed() is None else nullcontext():
            return await original(*args, **kwargs)

    return attempt_async if inspect.iscoroutinefunction(original) else attempt
