"""Which test a span belongs to: each recorded test has a file of its own, into which all its spans are written.

In this process a span processor writes them, on whatever provider is set; child processes find the file's name in their
environment. What is read is the file, so that threads and processes are all the same.

A span belongs to the test in whose context it starts. The thread that runs the tests works for the current one,
whatever context it is in: an event loop that several tests share keeps the context of the first. Another thread works
for the test that started it, even when that is over, and for the current test if no test started it, as a server does
that is there for all of them.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from opentelemetry import context as otel
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.util._importlib_metadata import entry_points

from llmtrace_otel.check.amounts import some
from llmtrace_otel.check.trace import Trace
from llmtrace_otel.output import startup
from llmtrace_otel.output.jsonl import OUTPUT_VARIABLE, JSONLSpanExporter
from llmtrace_otel.read.otlp import NotOTLPError, parse
from llmtrace_otel.read.span import OPERATIONS
from llmtrace_otel.read.text import plural
from llmtrace_otel.telemetry import content, semconv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from llmtrace_otel.read.span import Span as RecordedSpan

_TEST: Final = otel.create_key("llmtrace-test")
BOOTSTRAP: Final = str(Path(startup.__file__).parent.parent / "cli" / "bootstrap")
"""Where a Python program finds the `sitecustomize` that instruments it."""
AUTO_INSTRUMENTATION: Final = "auto_instrumentation"
"""What the directory is called in which `opentelemetry-instrument` has its own."""
DISABLED: Final = "OTEL_SDK_DISABLED"
SENDING: Final = ("OTEL_EXPORTER_OTLP_", "OTEL_TRACES_EXPORTER")
"""With any of these, spans of children leave the machine."""


class Record:
    """What one test records.

    Args:
        path: The file of its spans, which need not exist.
        with_content: Whether messages and arguments are recorded; None for only where nothing leaves the machine.
    """

    def __init__(self, path: Path, *, with_content: bool | None = None) -> None:
        self.path = path
        self.trace = Trace(self.spans, self.why_empty)
        self.environment = Environment()
        self._with_content = with_content
        self._exporter = JSONLSpanExporter(path)
        self._spans: list[RecordedSpan] = []
        self._under_way: dict[tuple[int, int], str] = {}
        self._discarded = False
        self._offset = 0
        self._problem: str | None = None
        self._outer: tuple[Record | None, int] = (None, 0)

    def begin(self) -> None:
        """From now on this is the current test. Tests nest: one may run another pytest in its process."""
        global _current, _thread
        self._outer = _current, _thread
        _current, _thread = self, threading.get_ident()
        self.environment.set(tracing_environment(self.path, os.environ))

    def prepare(self) -> None:
        """Has spans recorded, with whichever provider is set by now."""
        try:
            attach_to_provider()
        except TypeError as error:
            self._problem = str(error)
        if (mode := self._content_mode()) is not None:
            self.environment.set({content.MODE_VARIABLE: mode.name})
            content.refresh()

    def end(self) -> None:
        """It is over; what it has left running still writes to its file."""
        global _current, _thread
        _current, _thread = self._outer
        self.environment.restore()
        content.refresh()
        self._exporter.shutdown()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Threads and tasks that are started now belong to the test."""
        token = otel.attach(otel.set_value(_TEST, self))
        try:
            yield
        finally:
            otel.detach(token)

    def started(self, span: ReadableSpan) -> None:
        """A span of the test has started."""
        if OPERATIONS.get(str((span.attributes or {}).get(semconv.OPERATION))) in ("llm", "embed"):
            self._under_way[_key(span)] = span.name

    def write(self, span: ReadableSpan) -> None:
        """It has ended."""
        self._under_way.pop(_key(span), None)
        if not self._discarded:
            self._exporter.export((span,))

    def discard(self) -> None:
        """Its file is about to be removed: what ends later is not to make it anew."""
        self._discarded = True

    def why_unfinished(self) -> str | None:
        """Which calls are still under way, so that what they use is not known; None if there are none."""
        if not self._under_way:
            return None
        names = some(list(self._under_way.values()))
        return f"{plural(len(self._under_way), 'call')} not ended: {names}; read the stream to its end, or close it"

    def spans(self) -> list[RecordedSpan]:
        """What has been recorded so far: the same list, longer if there is more."""
        settle_children()
        with suppress(FileNotFoundError), self.path.open("rb") as stream:
            stream.seek(self._offset)
            whole, newline, _unfinished = stream.read().rpartition(b"\n")
            self._offset += len(whole + newline)
            for line in whole.splitlines():
                with suppress(NotOTLPError):
                    self._spans += parse(line)
        return self._spans

    def why_empty(self) -> str:
        """Why there may be no spans, and what to do."""
        if os.environ.get(DISABLED, "").strip().lower() == "true":
            return f"{DISABLED} is true; unset it"
        if self._problem is not None:
            return f"{self._problem}; set a TracerProvider of opentelemetry-sdk, or none"
        return self.why_unfinished() or (
            "the test, its threads and its child processes made no LLM call by httpx, httpx2, LiteLLM, boto3 or "
            "websockets; is the client mocked, or does it use another library?"
        )

    def _content_mode(self) -> content.Mode | None:
        """What the environment is to say of content; None for what it says already."""
        if self._with_content is not None:
            return content.Mode.SPAN_ONLY if self._with_content else content.Mode.NO_CONTENT
        leaves = any(name.startswith(SENDING) for name in os.environ)
        told = content.MODE_VARIABLE in os.environ
        return content.Mode.SPAN_ONLY if _provider_is_ours and not leaves and not told else None


_current: Record | None = None
_thread = 0
"""The thread that runs the current test."""
_provider_is_ours = False
_followed: WeakSet[Any] = WeakSet()
"""Providers that have our processor."""


def attach_to_provider() -> None:
    """Follows the global provider, one of ours if there is none. Raises TypeError if it takes no processors."""
    global _provider_is_ours
    if startup.no_provider():
        startup.set_provider(())
        _provider_is_ours = True
    instrument()
    provider = startup.sdk_provider()
    if provider not in _followed:
        provider.add_span_processor(_Writer())
        _followed.add(provider)


def instrument() -> None:
    """Instruments this process as `opentelemetry-instrument` would, by ours alone, if nobody has."""
    for instrumentor in _instrumentors():
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument()


@functools.cache
def _instrumentors() -> list[Any]:
    """Those of this distribution that are not disabled."""
    disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").replace(" ", "").split(",")
    return [
        entry.load()()
        for entry in entry_points(group="opentelemetry_instrumentor")
        if entry.value.startswith("llmtrace_otel.") and entry.name not in disabled and "*" not in disabled
    ]


class _Writer(SpanProcessor):
    """Writes each span to the file of the test in which it started."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], Record] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        record = _record_of(parent_context)
        if record is not None:
            self._open[_key(span)] = record
            record.started(span)

    def on_end(self, span: ReadableSpan) -> None:
        record = self._open.pop(_key(span), None)
        if record is not None:
            record.write(span)


def _key(span: ReadableSpan) -> tuple[int, int]:
    context: Any = span.context
    return context.trace_id, context.span_id


def _record_of(parent_context: Context | None) -> Record | None:
    if threading.get_ident() == _thread:
        return _current
    found: Any = otel.get_value(_TEST, parent_context) or otel.get_value(_TEST)
    return found if found is not None else _current


class Environment:
    """Changes to this process's environment, to be taken back exactly."""

    def __init__(self) -> None:
        self._before: dict[str, str | None] = {}

    def set(self, values: dict[str, str]) -> None:
        for name, value in values.items():
            self._before.setdefault(name, os.environ.get(name))
            os.environ[name] = value

    def restore(self) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._before.clear()


def tracing_environment(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What makes Python programs write their spans to a file, as `llmtrace run` does."""
    others = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != BOOTSTRAP]
    instrumented = any(Path(entry).name == AUTO_INSTRUMENTATION for entry in others)
    return {OUTPUT_VARIABLE: str(path), "PYTHONPATH": os.pathsep.join(others if instrumented else [BOOTSTRAP, *others])}


def settle_children() -> None:
    """Waits until all is written that the proxy has seen, and the spans of children that are over."""
    if (link := sys.modules.get("llmtrace_otel.proxy.link")) is not None:
        link.drain()
    if (children := sys.modules.get("llmtrace_otel.instrument.children")) is not None:
        children.end_known()
