"""One start of a child: its span begins, its environment is made, and the child gets its process id, or an error.

start = starter.begin(lambda: Program.of(file, arguments), environment)
if start is None:                          # not traced: the call goes on as if we were not there
    return original(…)
with start:                                # an exception from here is the child's failure to start
    start.started(original(…, start.environ))
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import SpanKind

from llmtrace_otel.instrument import children
from llmtrace_otel.instrument.child_environment import Environment, add_context, as_text, environment, inherited
from llmtrace_otel.output.carrier import carrier_of
from llmtrace_otel.proxy import known
from llmtrace_otel.telemetry import semconv as sc

if TYPE_CHECKING:
    from llmtrace_otel.instrument.lazy import Wrappers
    from llmtrace_otel.proxy.link import Admission

_log = logging.getLogger("llmtrace_otel")

Argument = str | bytes | os.PathLike[Any]

_PYTHONS_OWN = ("uname", "ldconfig")
"""With `-p`, of `platform` and of `ctypes.util`."""

_starting: ContextVar[Start | None] = ContextVar("llmtrace_starting_child", default=None)
"""The start that runs here: functions of `os` that it is made of start no child of their own."""
_fork: ContextVar[Start | None] = ContextVar("llmtrace_fork", default=None)
"""In a forked child that is a child of a start, and may yet become another program: that start."""


class Program(NamedTuple):
    """What a child runs."""

    executable: str
    """As it was named, or empty where the program is the only one to know."""
    arguments: Sequence[Argument]
    searched: bool = True
    """Whether PATH is searched for it."""
    directory: Argument | None = None
    """Where the child begins, if not here."""

    @classmethod
    def of(
        cls, executable: Argument, arguments: object, *, searched: bool = True, directory: Argument | None = None
    ) -> Program:
        """Reads what the function that starts the child was given."""
        known = arguments if isinstance(arguments, Sequence) else ()  # an iterator is the program's to consume
        return cls(os.fsdecode(executable), known, searched, directory)

    @property
    def is_pythons_own(self) -> bool:
        """Whether Python's own modules run it to learn of the system, which is nothing that the program does."""
        return self.name in _PYTHONS_OWN and list(self.arguments[1:]) == ["-p"]

    @property
    def name(self) -> str:
        return self.executable.rpartition("/")[2] or "unknown"

    def path(self, environ: Environment) -> str | None:
        """The absolute path of the executable, links not resolved, or `None` if there is none."""
        if self.searched and "/" not in self.executable:
            path = environ.get(b"PATH")
            return _found(self.executable, os.defpath if path is None else os.fsdecode(path))
        directory = "" if self.directory is None else os.fsdecode(self.directory)
        return os.path.abspath(os.path.join(directory, self.executable))


def shell(command: Sequence[Argument], executable: Argument = "/bin/sh", directory: Argument | None = None) -> Program:
    """The shell that runs a command."""
    return Program.of(executable, [executable, "-c", *command], directory=directory)


def _found(executable: str, path: str) -> str | None:
    """Where PATH has it, if anywhere; where it was found before, if it is still there."""
    found = _search(executable, path)
    if found is None or not os.access(found, os.X_OK):
        _search.cache_clear()
        found = _search(executable, path)
    return found


@functools.lru_cache(maxsize=64)
def _search(executable: str, path: str) -> str | None:
    if executable:
        for directory in path.split(os.pathsep):
            found = f"{directory}/{executable}"
            if os.access(found, os.X_OK):
                return os.path.abspath(found)
    return None


class Starter:
    """Begins spans of children."""

    def __init__(self, wrappers: Wrappers) -> None:
        self._wrappers = wrappers
        options = wrappers.options
        self._tracer = trace.get_tracer(sc.SCOPE, sc.VERSION, options.get("tracer_provider"), sc.SCHEMA_URL)
        self._providers = tuple(options.get(f"{kind}_provider") for kind in ("tracer", "meter", "logger"))

    def begin(self, read: Callable[[], Program | None], given: Any = None) -> Start | None:
        """Begins the span of the child that `read` tells of, and makes its environment of the `given` one.

        Gives `None` for a call to be left alone. `given` is a mapping, or `None` for this process's environment, which
        is its default. Never raises: what the call itself will refuse is left to it.
        """
        if not self.wanted():
            return None
        try:
            program = read()
            return None if program is None or program.is_pythons_own else self._begin(program, environment(given))
        except Exception:
            _log.debug("llmtrace: a child could not be traced", exc_info=True)
            return None

    @property
    def retired(self) -> bool:
        return self._wrappers.retired

    def wanted(self) -> bool:
        """Whether children that are started here are traced."""
        return not self.retired and _starting.get() is None and is_instrumentation_enabled()

    def _begin(self, program: Program, environ: Environment) -> Start | None:
        attributes = _attributes(program, environ)
        span = self._tracer.start_span(program.name, kind=SpanKind.CLIENT, attributes=attributes)
        context = trace.set_span_in_context(span)
        admission = admitted(program.executable, context, environ, self._providers) if span.is_recording() else None
        return Start(children.Child(span), context, admission, environ)


def _attributes(program: Program, environ: Environment) -> dict[str, Any]:
    attributes: dict[str, Any] = {sc.PROCESS_EXECUTABLE_NAME: program.name}
    if (path := program.path(environ)) is not None:
        attributes[sc.PROCESS_EXECUTABLE_PATH] = path
    if inherited().get(b"LLMTRACE_CHILD_ARGS") in (b"1", b"true"):
        from llmtrace_otel.instrument.child_arguments import recordable

        attributes[sc.PROCESS_COMMAND_ARGS] = recordable(program.arguments)
    return attributes


def admitted(
    executable: str, context: Context, environ: Environment, providers: tuple[Any, ...] = (None, None, None)
) -> Admission | None:
    """Leave for a child to use the proxy; `None` where it is not to, or cannot. Never raises."""
    try:
        if not known.is_intercepted(executable, known.mode()):
            return None
        from llmtrace_otel.proxy import link

        return link.admit(context, as_text(environ), providers, executable)
    except Exception:
        _log.debug("llmtrace: the proxy cannot be used", exc_info=True)
        return None


class Start:
    """A child that is being started. As a context manager it is the one start that runs here."""

    def __init__(
        self, child: children.Child, context: Context, admission: Admission | None, environ: Environment
    ) -> None:
        child.admission = admission
        self.child = child
        self.context = context
        self._carrier = carrier_of(context)
        self.environ = self.dressed(environ)
        """The child's environment."""

    def dressed(self, environ: Environment) -> Environment:
        """An environment, which is changed, with what leads the child to its span and to the proxy."""
        return dressed(environ, self._carrier, self.child.admission)

    def started(self, pid: int, code: int | None = None) -> None:
        """The child is there; `code` is its exit code if it is over already."""
        if self.child.admission is not None:
            self.child.admission.started(pid)
        if code is None:
            children.started(self.child, pid)
        else:
            self.child.pid = pid
            self.child.note(code)
            self.child.end()

    def become(self) -> None:
        """This process is a fork, and the child."""
        self.child.done = True  # its span is the parent's
        attach(self.context)
        _starting.set(None)
        _fork.set(self)

    def __enter__(self) -> Start:
        self._token: Token[Start | None] = _starting.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(ValueError):  # a coroutine that is closed from without its task
            _starting.reset(self._token)
        if error is not None and self.child.pid is None:
            self.child.fail(error)


def dressed(environ: Environment, carrier: Mapping[str, str], admission: Admission | None) -> Environment:
    """An environment, which is changed, with a context and with an admission to the proxy."""
    if carrier:
        add_context(environ, carrier)
    if admission is None:
        return environ
    try:
        from llmtrace_otel.proxy.environment import intercepted

        return environment(intercepted(as_text(environ), os.environ, admission.offer))
    except Exception:
        _log.debug("llmtrace: a child cannot be led to the proxy", exc_info=True)
        return environ


def running() -> Start | None:
    """The start that runs here."""
    return _starting.get()


def fork() -> Start | None:
    """The start that this process is a forked child of, which has not become another program yet."""
    return _fork.get()


def leave() -> None:
    """This process is a child that runs: whatever start it was forked in goes on in its parent alone."""
    _starting.set(None)
