"""Who a call belongs to: `session()`, `agent()`, `tool()`, `workflow()`.

Each is a context manager, an async context manager and a decorator. `session()` makes no span: it only says whose the
calls inside are. The other three also make the standard INTERNAL span around the work.

Identity has one home, W3C baggage in the OpenTelemetry context, and one reader, a span processor that copies our
baggage entries onto every span at its start, whichever library makes the span. So whatever carries the context carries
the identity: tasks, threads, child processes (`BAGGAGE`), requests of instrumented clients. A span keeps what it was
given at its start, also when it ends after its session.

Baggage travels: a program that propagates it in HTTP headers shows these ids to the servers that it calls.
Propagators drop what exceeds the W3C limits of 4,096 bytes an entry and 8,192 in all, with a warning for each request.
An entry that would not fit is therefore left out whole when it is set, and said once; an id cut short would be another
id. Metadata fills at most half, so that it never displaces an id.

Names and attributes: OpenTelemetry GenAI conventions, agent spans (autumn 2026).
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Token
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar, cast
from urllib.parse import quote_plus

import msgspec
from opentelemetry import baggage, metrics, trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.sdk.trace import Span as SDKSpan
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import Span, Status, StatusCode

from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry import semconv as sc
from llmtrace_otel.telemetry.metrics import DURATION_BUCKETS

__all__ = ["Scope", "ToolCall", "agent", "session", "stamp_spans", "tool", "workflow"]

_log = logging.getLogger("llmtrace_otel")

Handle = TypeVar("Handle")
Function = TypeVar("Function", bound=Callable[..., Any])
Provider = TypeVar("Provider")
Made = TypeVar("Made")


# The public functions


def session(
    id: str | None = None,  # noqa: A002
    *,
    user: str | None = None,
    data_id: str | None = None,
    combo_id: str | None = None,
    conversation: str | None = None,
    **metadata: object,
) -> Scope[None]:
    """Say whose the calls inside are; no span is made.

    `id` becomes `session.id`, `user` `user.id`, `conversation` `gen_ai.conversation.id`, the rest
    `llmtrace.session.data_id`, `.combo_id` and `.metadata.<key>`, on every span started inside. Nothing is invented:
    what is not given is not set. Values are recorded as `str(value)`; one that has no string form loses its key only.

    Inside another session the inner values win. An `id` other than the outer one leaves the outer session behind, all
    but its user; without a new `id` the values are added to the session around.
    """
    _require_value("session", id)
    given = {
        sc.SESSION_ID: id,
        sc.USER_ID: user,
        sc.CONVERSATION_ID: conversation,
        sc.SESSION_DATA_ID: data_id,
        sc.SESSION_COMBO_ID: combo_id,
        **{sc.SESSION_METADATA + key: value for key, value in metadata.items()},
    }
    entries = {key: value for key, value in given.items() if value is not None}

    def enter(context: Context) -> Entered:
        changed = _left_behind(id, context) | entries
        context = _identify(changed, context)
        return Entered(_tell_util_genai(context) if sc.CONVERSATION_ID in changed else context)

    return Scope(enter)


def agent(
    name: str,
    *,
    description: str | None = None,
    type: str | None = None,  # noqa: A002
    parent_session: str | None = None,
    task_id: str | None = None,
    turn: int | None = None,
) -> Scope[Span]:
    """Make the span `invoke_agent {name}` and say that the calls inside are this agent's; yields the span.

    `type` is `main`, or `subagent` inside another agent, unless given. `turn` counts from whatever the caller counts
    from. An agent's entries are its own: one nested inside it inherits none but its name, as
    `llmtrace.agent.parent`.
    """
    _require_value("agent", name)

    def enter(context: Context) -> Entered:
        parent = baggage.get_baggage(sc.AGENT_NAME, context)
        entries = {
            sc.AGENT_NAME: name,
            sc.AGENT_PARENT: parent,
            sc.AGENT_TYPE: type or ("subagent" if parent else "main"),
            sc.AGENT_PARENT_SESSION: parent_session,
            sc.TASK_ID: task_id,
            sc.TURN_COUNT: turn,
        }
        return Operation(INVOKE_AGENT, name, {sc.AGENT_DESCRIPTION: description}, _identify(entries, context))

    return Scope(enter)


def tool(
    name: str,
    *,
    arguments: object = None,
    call_id: str | None = None,
    type: str = "function",  # noqa: A002
    description: str | None = None,
) -> Scope[ToolCall]:
    """Make the span `execute_tool {name}`; yields a `ToolCall`, whose `result` may be set.

    Arguments and result are recorded, as JSON, only when content capture is on. `arguments` may be the JSON text that
    a model sent. A decorated function needs neither: its bound arguments and its return value are taken (of a
    generator, the arguments).
    """
    _require_value("tool", name)
    attributes = {sc.TOOL_TYPE: type, sc.TOOL_CALL_ID: call_id, sc.TOOL_DESCRIPTION: description}

    def enter(context: Context) -> Entered:
        caller = {sc.AGENT_NAME: cast("str | None", baggage.get_baggage(sc.AGENT_NAME, context))}
        return ToolOperation(name, attributes | caller, context, arguments)

    return Scope(enter)


def workflow(name: str) -> Scope[Span]:
    """Make the span `invoke_workflow {name}` around several agents or calls; yields the span. Keep names few."""
    _require_value("workflow", name)
    return Scope(lambda context: Operation(INVOKE_WORKFLOW, name, {}, context))


def _require_value(function: str, value: object) -> None:
    if callable(value):
        raise TypeError(f'{function}() decorates with a name: write @{function}("…") instead of @{function}')


# Entering and leaving


class Scope(Generic[Handle]):
    """What the public functions return: `with`, `async with` and `@` over the same entering and leaving.

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

Begin = Callable[[tuple[Any, ...], dict[str, Any]], "Entered"]


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
                    with _current(context):
                        item = resume()
                except StopIteration as stop:
                    return stop.value
                try:
                    resume = functools.partial(generator.send, (yield item))
                except GeneratorExit:
                    with _current(context):
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
                    with _current(context):
                        item = await resume()
                except StopAsyncIteration:
                    return
                try:
                    resume = functools.partial(generator.asend, (yield item))
                except GeneratorExit:
                    with _current(context):
                        await generator.aclose()
                    raise
                except BaseException as error:
                    resume = functools.partial(generator.athrow, error)

    return iterate


@contextmanager
def _current(context: Context) -> Iterator[None]:
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


# One entry into a scope


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


class Kind(NamedTuple):
    """A row of the conventions: the operation, the attribute that names its subject, its duration metric in seconds."""

    operation: str
    name_attribute: str
    metric: str
    buckets: tuple[float, ...]


INVOKE_AGENT: Final = Kind(
    "invoke_agent",
    sc.AGENT_NAME,
    sc.METRIC_AGENT_DURATION,
    (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6),
)
EXECUTE_TOOL: Final = Kind("execute_tool", sc.TOOL_NAME, sc.METRIC_TOOL_DURATION, DURATION_BUCKETS)
INVOKE_WORKFLOW: Final = Kind(
    "invoke_workflow",
    sc.WORKFLOW_NAME,
    sc.METRIC_WORKFLOW_DURATION,
    (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200),
)
_METRIC_ATTRIBUTES: Final = frozenset({sc.AGENT_NAME, sc.TOOL_NAME, sc.TOOL_TYPE, sc.WORKFLOW_NAME, sc.ERROR_TYPE})


class Operation(Entered):
    """An entry with a span around it, and a point of its duration metric at the end."""

    def __init__(self, kind: Kind, name: str, attributes: Mapping[str, str | None], context: Context) -> None:
        given = {sc.OPERATION: kind.operation, kind.name_attribute: name, **attributes}
        self._kind, self._started = kind, time.time_ns()
        self._attributes = {key: value for key, value in given.items() if value is not None}
        self.handle = self.span = _tracer(trace.get_tracer_provider()).start_span(
            f"{kind.operation} {name}", context, attributes=self._attributes, start_time=self._started
        )
        super().__init__(trace.set_span_in_context(self.span, context))

    def end(self, error: BaseException | None) -> None:
        ended = time.time_ns()
        if error is not None and not _is_expected(error):
            self._attributes[sc.ERROR_TYPE] = error_type = _error_type(error)
            self.span.set_attribute(sc.ERROR_TYPE, error_type)
            self.span.set_status(Status(StatusCode.ERROR, content.redacted(_text(error)) or None))
        self.span.end(ended)
        attributes = {key: value for key, value in self._attributes.items() if key in _METRIC_ATTRIBUTES}
        histogram = _histograms(metrics.get_meter_provider())[self._kind.metric]
        histogram.record(max(0.0, (ended - self._started) / 1e9), attributes, self.context)


class ToolCall:
    """What `tool()` yields: its `span`, and the `result` to record when content capture is on (None: no result)."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.result: object = None


class ToolOperation(Operation):
    """A tool's entry, which may hold content."""

    handle: ToolCall

    def __init__(self, name: str, attributes: Mapping[str, str | None], context: Context, arguments: object) -> None:
        super().__init__(EXECUTE_TOOL, name, attributes, context)
        self.handle = ToolCall(self.span)
        self._captures = self.span.is_recording() and content.on_spans()
        self._has_arguments = arguments is not None
        self._record(sc.TOOL_CALL_ARGUMENTS, _parsed(arguments) if self._captures else None)

    def called_with(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._captures and not self._has_arguments:
            self._record(sc.TOOL_CALL_ARGUMENTS, _bound(function, args, kwargs))

    def returned(self, value: Any) -> Any:
        self.handle.result = value
        return value

    def end(self, error: BaseException | None) -> None:
        self._record(sc.TOOL_CALL_RESULT, self.handle.result)
        super().end(error)

    def _record(self, key: str, value: object) -> None:
        if self._captures and value is not None:
            self.span.set_attribute(key, content.to_json(value))


def _parsed(arguments: object) -> object:
    if isinstance(arguments, str):
        with suppress(Exception):  # not JSON, so text
            return msgspec.json.decode(arguments)
    return arguments


def _bound(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """The call's arguments by name, without the object that a method is called on; None where the call cannot work."""
    try:
        arguments = inspect.signature(function).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return None
    return {name: value for name, value in arguments.items() if name not in ("self", "cls")}


def _is_expected(error: BaseException) -> bool:
    """Whether the work ended as it was asked to: a generator that was not read to its end, a plain `sys.exit()`.

    A cancelled or interrupted operation did not do its work: it is an error, and its type tells it from a failure.
    """
    return isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and not error.code)


def _error_type(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


# Identity in baggage

_SESSION_ENTRIES: Final = frozenset({sc.SESSION_ID, sc.CONVERSATION_ID, sc.SESSION_DATA_ID, sc.SESSION_COMBO_ID})
_STAMPED: Final = _SESSION_ENTRIES | {
    sc.USER_ID,
    sc.AGENT_NAME,
    sc.AGENT_PARENT,
    sc.AGENT_TYPE,
    sc.AGENT_PARENT_SESSION,
    sc.TASK_ID,
    sc.TURN_COUNT,
}
_MAX_ENTRIES: Final = 180
_MAX_ENTRY_BYTES: Final = 4096
_MAX_BYTES: Final = 8192


def _left_behind(id: object, context: Context) -> dict[str, object]:  # noqa: A002
    """The outer session's entries, to be removed, if `id` begins another session."""
    entries = baggage.get_all(context)
    if id is None or entries.get(sc.SESSION_ID) in (None, _text(id)):
        return {}
    return {key: None for key in entries if key in _SESSION_ENTRIES or _is_metadata(key)}


def _identify(entries: Mapping[str, object], context: Context) -> Context:
    """`context` with the entries in its baggage; None takes an entry away."""
    for key, value in entries.items():
        context = baggage.remove_baggage(key, context)
        text = "" if value is None else _text(value)
        if text and _fits(key, text, context):
            context = baggage.set_baggage(key, text, context)
        elif value is not None:
            _warn_left_out(key)
    return context


def _tell_util_genai(context: Context) -> Context:
    """Set the conversation for the events of opentelemetry-util-genai too, whose context key only it can name."""
    theirs = sys.modules.get("opentelemetry.util.genai._conversation_context")
    with_conversation_id = getattr(theirs, "with_conversation_id", None)
    if with_conversation_id is None:
        return context
    return cast("Context", with_conversation_id(baggage.get_baggage(sc.CONVERSATION_ID, context), context))


def _text(value: object) -> str:
    """The value as propagation returns it, stripped and encodable; empty if it has no string form."""
    try:
        return str(value).encode("utf-8", "replace").decode().strip()
    except Exception:
        return ""


def _fits(key: str, text: str, context: Context) -> bool:
    sizes = [_encoded_size(*entry) for entry in baggage.get_all(context).items()]
    size = _encoded_size(key, text)
    limit = _MAX_BYTES // 2 if _is_metadata(key) else _MAX_BYTES
    return size <= _MAX_ENTRY_BYTES and sum(sizes) + len(sizes) + size <= limit and len(sizes) < _MAX_ENTRIES


def _encoded_size(key: object, value: object) -> int:
    return len(f"{quote_plus(str(key), errors='replace')}={quote_plus(str(value), errors='replace')}")


def _is_metadata(key: object) -> bool:
    return str(key).startswith(sc.SESSION_METADATA)  # others may have put anything into baggage


@functools.lru_cache(maxsize=128)  # once for each entry
def _warn_left_out(key: str) -> None:
    _log.warning(
        "llmtrace: %s is left out of the session: it is empty, has no string form or is too long for baggage", key
    )


# Stamping, and what is made once for each provider


class _Stamp(SpanProcessor):
    """Copies our baggage entries onto each span at its start; what the span's maker said itself stays."""

    def on_start(self, span: SDKSpan, parent_context: Context | None = None) -> None:
        entries = baggage.get_all(parent_context)
        if entries:
            said = span.attributes or {}
            for key, value in entries.items():
                if (key in _STAMPED or _is_metadata(key)) and key not in said:
                    _stamp(span, key, value)


def _stamp(span: Span, key: str, value: object) -> None:
    if key != sc.TURN_COUNT:
        span.set_attribute(key, str(value))
    elif str(value).isdecimal() and len(str(value)) < 19:  # another process may have said anything; OTLP has 64 bits
        span.set_attribute(key, int(str(value)))


def _per_provider(make: Callable[[Provider], Made]) -> Callable[[Provider], Made]:
    """Remember what was made for the provider in force; outside tests it changes once, from proxy to SDK."""
    lock = threading.Lock()
    held: tuple[Provider, Made] | None = None

    def get(provider: Provider) -> Made:
        nonlocal held
        if held is None or held[0] is not provider:
            with lock:
                if held is None or held[0] is not provider:
                    held = (provider, make(provider))
        return held[1]

    return get


@_per_provider
def _tracer(provider: trace.TracerProvider) -> trace.Tracer:
    return provider.get_tracer(sc.SCOPE, version("llmtrace-otel"), sc.SCHEMA_URL)


@_per_provider
def _histograms(provider: metrics.MeterProvider) -> dict[str, metrics.Histogram]:
    meter = provider.get_meter(sc.SCOPE, schema_url=sc.SCHEMA_URL)
    return {
        kind.metric: meter.create_histogram(
            kind.metric,
            unit="s",
            description=f"Duration of {kind.operation} operations",
            explicit_bucket_boundaries_advisory=kind.buckets,
        )
        for kind in (INVOKE_AGENT, EXECUTE_TOOL, INVOKE_WORKFLOW)
    }


@_per_provider
def _register_stamp(provider: trace.TracerProvider) -> None:
    add = getattr(provider, "add_span_processor", None)
    if add is not None:
        try:
            add(_Stamp())
        except Exception as error:
            _log.warning("llmtrace: spans will not show their session: no span processor can be added (%r)", error)


def stamp_spans() -> None:
    """Have the current tracer provider put our baggage entries on every span it starts. Idempotent; never raises.

    `session()` and the others call it, so a program calls it only to honour baggage that came from elsewhere, such as
    a parent process. Before an SDK provider is set it does nothing; the next use tries again.
    """
    with suppress(Exception):  # the OpenTelemetry API says itself why it has no provider
        _register_stamp(trace.get_tracer_provider())
