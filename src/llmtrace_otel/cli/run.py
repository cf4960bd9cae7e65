"""`llmtrace run [options] -- COMMAND…`: any program, its LLM calls traced, its behaviour its own.

Python programs that have llmtrace-otel installed are instrumented; the calls of all others are seen at the proxy. The
command has the terminal, gets the signals, and gives its exit code. What comes of it is one line on stderr.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import SpanProcessor

from llmtrace_otel.cli import taping
from llmtrace_otel.cli.errors import UsageError
from llmtrace_otel.output.notice import say
from llmtrace_otel.proxy import known, link
from llmtrace_otel.read.otlp import NotOTLPError, parse
from llmtrace_otel.read.summary import spent
from llmtrace_otel.read.text import plural, seconds
from llmtrace_otel.read.tree import group

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from llmtrace_otel.read.span import Span as RecordedSpan
    from llmtrace_otel.read.tree import Trace

OUTPUT: Final = "LLMTRACE_OUTPUT"
ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
JAEGER: Final = "http://127.0.0.1:4318"
JAEGER_UI_PORT: Final = 16686
NOT_FOUND, NOT_EXECUTABLE, SIGNALLED = 127, 126, 128
"""Exit codes, as shells give them; a command that a signal has ended gives the last plus the signal's number."""
MAX_HOSTS: Final = 5
FORWARDED: Final = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
FROM_TERMINAL: Final = ("SIGINT", "SIGQUIT")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.usage = "llmtrace run [options] -- COMMAND [ARGUMENT …]"
    parser.epilog = f"Any command will do; known agents are {', '.join(known.AGENTS)}."
    parser.add_argument("--output", metavar="FILE", help=f"append spans to this file (default: {OUTPUT}, traces.jsonl)")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--otlp", metavar="URL", help="also send spans to this OTLP/HTTP endpoint")
    target.add_argument(
        "--jaeger", metavar="URL", nargs="?", const=JAEGER, help=f"also send them to Jaeger (default: {JAEGER})"
    )
    parser.add_argument(
        "--intercept",
        choices=known.MODES,
        help="which child programs' connections to LLM hosts are read (default: auto, all but well-known tools)",
    )
    parser.add_argument(
        "--relay", action="store_true", help="rewrite base-URL variables, for clients that ignore proxies"
    )
    tape = parser.add_mutually_exclusive_group()
    tape.add_argument("--record", metavar="DIR", help="also write every LLM call to this directory, to be replayed")
    tape.add_argument("--replay", metavar="DIR", help="answer LLM calls from this directory; none reaches the network")
    parser.add_argument("program", metavar="COMMAND", nargs=argparse.REMAINDER, help="what to run, after --")


def run(args: argparse.Namespace) -> int:
    """Runs the command and returns its exit code. Raises UsageError for a command that cannot be run."""
    command = args.program[1:] if args.program[:1] == ["--"] else args.program
    if not command:
        raise UsageError("name a command to run: llmtrace run -- python agent.py")
    path = Path(args.output or os.environ.get(OUTPUT) or "traces.jsonl").absolute()
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no directory {path.parent}; make it, or name another file by --output")
    os.environ.update(_environment(args, command[0], path))
    misses = taping.prepare(args.record, args.replay)
    start = path.stat().st_size if path.exists() else 0
    began = time.monotonic()
    code, trace_id = _traced(command)
    say(_told(_trace(path, start, trace_id), path, time.monotonic() - began))
    if args.jaeger and trace_id:
        say(f"{urlsplit(args.jaeger).scheme}://{urlsplit(args.jaeger).hostname}:{JAEGER_UI_PORT}/trace/{trace_id}")
    return misses.told(code)


def _environment(args: argparse.Namespace, executable: str, path: Path) -> dict[str, str]:
    """What the command's processes are told, and this one is too."""
    environ = {OUTPUT: str(path), "PYTHONPATH": _python_path()}
    if endpoint := args.otlp or args.jaeger:
        if urlsplit(endpoint).scheme not in ("http", "https"):
            raise UsageError(f"{endpoint!r} is no URL; give one such as {JAEGER}")
        environ[ENDPOINT] = endpoint
    if args.intercept:
        environ[known.VARIABLE] = args.intercept
    if args.relay:
        environ["LLMTRACE_RELAY"] = "1"
    if "OTEL_SERVICE_NAME" not in os.environ and "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        environ["OTEL_SERVICE_NAME"] = Path(executable).name
    return environ


def _python_path() -> str:
    own = str(Path(__file__).parent / "bootstrap")
    others = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != own]
    return os.pathsep.join([own, *others])


def _traced(command: Sequence[str]) -> tuple[int, str | None]:
    """Runs the command under a span: its exit code, and the trace's id."""
    from llmtrace_otel.instrument.subprocess import SubprocessInstrumentor
    from llmtrace_otel.output import flush, startup

    startup.pre_instrument()
    traces = _Traces()
    if not startup.no_provider():
        startup.attempt("count the calls", lambda: startup.sdk_provider().add_span_processor(traces))
    SubprocessInstrumentor().instrument()
    code = _run(command)
    link.drain()
    flush.flush()
    return code, traces.first


class _Traces(SpanProcessor):
    """Remembers the trace of the first span, which is the command's."""

    first: str | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.first = self.first or f"{span.get_span_context().trace_id:032x}"


def _run(command: Sequence[str]) -> int:
    """Runs the command to its end. The exit code is the one that a shell would give."""
    with _Signals() as signals:
        try:
            child = subprocess.Popen(command)  # noqa: S603 - what the user has asked for
        except OSError as error:
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            raise UsageError(f"{command[0]}: {error.strerror or error}", code) from None
        signals.are_for(child)
        code = child.wait()
    return code if code >= 0 else SIGNALLED - code


class _Signals:
    """While the command runs, signals are its own: those of the terminal it gets itself, others are passed on.

    What is sent to this process alone, as by `kill`, cannot be told from the terminal's signals; without a terminal it
    is passed on as well. What is ignored, as under `nohup`, stays so, for the command too.
    """

    def __init__(self) -> None:
        self._command: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        """What came before the command was there."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        terminal = sys.stdin is not None and sys.stdin.isatty()
        taken = dict.fromkeys(FROM_TERMINAL, _leave if terminal else self._forward)
        for name, action in (taken | dict.fromkeys(FORWARDED, self._forward)).items():
            number = getattr(signal, name)
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, action)
        return self

    def __exit__(self, *_: object) -> None:
        for number, action in self._before.items():
            signal.signal(number, action)

    def are_for(self, command: subprocess.Popen[bytes]) -> None:
        """The command is there."""
        self._command = command
        for number in self._early:
            command.send_signal(number)

    def _forward(self, number: int, _: FrameType | None) -> None:
        if self._command is None:
            self._early.append(number)
        else:
            self._command.send_signal(number)


def _leave(number: int, _: FrameType | None) -> None:
    """Does nothing: an ignored signal would be ignored by the command too."""


def _trace(path: Path, start: int, trace_id: str | None) -> Trace | None:
    """What has been appended to the file for this trace."""
    spans: list[RecordedSpan] = []
    if trace_id is not None and path.exists():
        with path.open("rb") as stream:
            stream.seek(start)
            for line in stream:
                with suppress(NotOTLPError):
                    spans += (span for span in parse(line) if span.trace_id == trace_id)
    return next(iter(group(spans)), None)


def _told(trace: Trace | None, path: Path, elapsed: float) -> str:
    """The one line that a run ends with."""
    calls = trace.totals.llm + trace.totals.embed if trace else 0
    if trace is None or not calls:
        return f"no LLM calls: {_why_none(trace)}"
    errors = [plural(trace.totals.errors, "error")] if trace.totals.errors else []
    return " · ".join([plural(calls, "call"), *spent(trace.totals), seconds(elapsed), *errors, os.path.relpath(path)])


def _why_none(trace: Trace | None) -> str:
    """What is most likely the reason that nothing was seen, and what to do."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "OTEL_SDK_DISABLED is true; unset it"
    if trace is None:
        return "nothing was recorded; is LLMTRACE_OUTPUT's directory writable?"
    if known.mode() == "never":
        return "child programs are not intercepted; try --intercept auto"
    reached = link.hosts()
    if not reached:
        return "no connection went through the proxy; if the program ignores proxies, try --relay"
    if unreadable := [host for host, became in sorted(reached.items()) if became == "unreadable"]:
        return f"the connections to {', '.join(unreadable)} could not be read (HTTP/2 only, or our CA is not trusted)"
    hosts = ", ".join(sorted(reached)[:MAX_HOSTS]) + (" …" if len(reached) > MAX_HOSTS else "")
    return f"the program connected to {hosts}, and asked no model there that is known"
