"""What the public functions return: one way of entering and leaving, behind `with`, `async with` and `@`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from opentelemetry.context import Context, get_current

from llmtrace_otel.attribution.entry import Entered, current
from llmtrace_otel.attribution.stamping import stamp_spans

Handle = TypeVar("Handle")
Function = TypeVar("Function", bound=Callable[..., Any])


class Scope(Generic[Handle]):
    """`with`, `async with` and `@` over what `enter` makes of the current context.

    A scope may be entered any number of times, nested, in several threads and tasks at once.
    """

    def __init__(self, enter: Callable[[Context], Entered]) -> None:
        self._enter = enter
        self._open: list[Entered] = []

    def _begin(self) -> Entered:
        stamp_spans()
        return self._enter(get_current())

    def __enter__(self) -> Handle:
        entered = self._begin()
        self._open.append(entered)
        entered.__enter__()
        return cast("Handle", entered.handle)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Threads share this object: the entry to leave is the one whose context is current here. None is when the
        # scope is left in another task than it was entered in.
        here = get_current()
        entered = next((entry for entry in self._open if entry.context is here), self._open[-1])
        self._open.remove(entered)
        entered.__exit__(kind, error, traceback)

    async def __aenter__(self) -> Handle:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Function) -> Function:
        def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entered:
            entered = self._begin()
            entered.called_with(function, args, kwargs)
            return entered

        return cast("Function", functools.wraps(function)(_decorator(function)(function, begin)))


# Decorated functions: one wrapper for each kind of function, as each must stay of its kind

Begin = Callable[[tuple[Any, ...], dict[str, Any]], Entered]


def _decorator(function: Callable[..., Any]) -> Callable[[Callable[..., Any], Begin], Callable[..., Any]]:
    if inspect.isasyncgenfunction(function):
        return _async_generator
    if inspect.isgeneratorfunction(function):
        return _generator
    return _coroutine if inspect.iscoroutinefunction(function) else _plain


def _plain(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as entered:
            return entered.returned(function(*args, **kwargs))

    return call


def _coroutine(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as entered:
            return entered.returned(await function(*args, **kwargs))

    return call


def _generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def iterate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with begin(args, kwargs).unattached() as context:
            generator = function(*args, **kwargs)
            resume = functools.partial(generator.send, None)
            while True:
                try:
                    with current(context):
                        item = resume()
                except StopIteration as stop:
                    return stop.value
                try:
                    resume = functools.partial(generator.send, (yield item))
                except GeneratorExit:
                    with current(context):
                        generator.close()
                    raise
                except BaseException as error:
                    resume = functools.partial(generator.throw, error)

    return iterate


def _async_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def iterate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with begin(args, kwargs).unattached() as context:
            generator = function(*args, **kwargs)
            resume = functools.partial(generator.asend, None)
            while True:
                try:
                    with current(context):
                        item = await resume()
                except StopAsyncIteration:
                    return
                try:
                    resume = functools.partial(generator.asend, (yield item))
                except GeneratorExit:
                    with current(context):
                        await generator.aclose()
                    raise
                except BaseException as error:
                    resume = functools.partial(generator.athrow, error)

    return iterate
