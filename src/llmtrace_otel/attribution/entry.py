"""One entry into a scope: what is attached to the context while the work inside runs, and what happens at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Token
from types import TracebackType
from typing import Any, Self

from opentelemetry.context import Context, attach


class Entered:
    """One entry into a scope: the context that calls inside have. A session is this and no more."""

    handle: object = None

    def __init__(self, context: Context) -> None:
        self.context = context

    def called_with(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A decorated function is about to be called."""

    def returned(self, value: Any) -> Any:
        """A decorated function returned `value`; gives it back."""
        return value

    def end(self, error: BaseException | None) -> None:
        """The work inside is over; `error` is what it raised."""

    def __enter__(self) -> Self:
        self._token = attach(self.context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _restore(self._token)
        self.end(error)

    @contextmanager
    def unattached(self) -> Iterator[Context]:
        """The same for a generator, which must leave nothing attached where it yields."""
        try:
            yield self.context
        except BaseException as error:
            self.end(error)
            raise
        self.end(None)


@contextmanager
def current(context: Context) -> Iterator[None]:
    """Make `context` the current one inside."""
    token = attach(context)
    try:
        yield
    finally:
        _restore(token)


def _restore(token: Token[Context]) -> None:
    # `opentelemetry.context.detach` logs an error where the token is another task's. Such a task cannot be restored
    # from here and needs no restoring: its context ends with it.
    with suppress(ValueError):
        token.var.reset(token)
