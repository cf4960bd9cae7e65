"""The fixture `llmtrace_run`: a command, run as `llmtrace run` does, and the spans of it alone."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from opentelemetry import context as otel
from opentelemetry import trace

from llmtrace_otel.check.plugin.recording import tracing_environment
from llmtrace_otel.check.trace import Trace
from llmtrace_otel.telemetry import semconv

if TYPE_CHECKING:
    from llmtrace_otel.check.plugin.recording import Record
    from llmtrace_otel.read.span import Span


class Ran:
    """A command that is over: its exit code (negative for a signal), what it wrote, and its spans."""

    def __init__(self, args: Sequence[str] | str, returncode: int, stdout: str, stderr: str, trace: Trace) -> None:
        self.args = args
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        self.trace = trace

    def __repr__(self) -> str:
        command = self.args if isinstance(self.args, str) else shlex.join(self.args)
        return f"<ran {command}: exit code {self.returncode}>"


class Run:
    """Runs commands whose spans are part of this test's. Each command has a trace of its own."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __call__(
        self,
        cmd: Sequence[str | os.PathLike[str]] | str,
        *,
        timeout: float | None = None,
        env: Mapping[str, str | None] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        input: str = "",  # noqa: A002 - as subprocess.run has it
    ) -> Ran:
        """Runs a command to its end.

        Args:
            cmd: The program and its arguments; a string is for the shell.
            timeout: Seconds, after which it is killed with its children, and subprocess.TimeoutExpired is raised.
            env: Variables beside those of this process; None removes one.
            cwd: Where it starts.
            input: What it reads from its standard input.

        Raises OSError if there is no such program.
        """
        __tracebackhide__ = True
        self._record.prepare()
        with TemporaryFile() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
            stdin.write(input.encode())
            stdin.seek(0)
            child = self._start(cmd, self._environ(env or {}), cwd, stdin, stdout, stderr)
            try:
                code = child.wait(timeout)
            except BaseException as error:
                _kill(child)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise subprocess.TimeoutExpired(cmd, error.timeout, _text(stdout), _text(stderr)) from None
                raise
            told = _text(stdout), _text(stderr)
        said = cmd if isinstance(cmd, str) else [os.fspath(word) for word in cmd]
        return Ran(said, code, *told, Trace(_OwnSpans(self._record, child.pid), self._record.why_empty))

    def _environ(self, env: Mapping[str, str | None]) -> dict[str, str]:
        environ = {name: value for name, value in {**os.environ, **env}.items() if value is not None}
        return environ | tracing_environment(self._record.path, environ)

    def _start(
        self,
        cmd: Sequence[str | os.PathLike[str]] | str,
        environ: Mapping[str, str],
        cwd: str | os.PathLike[str] | None,
        stdin: IO[bytes],
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> subprocess.Popen[bytes]:
        token = otel.attach(trace.set_span_in_context(trace.INVALID_SPAN))  # so that its span begins a trace
        try:
            return subprocess.Popen(  # noqa: S603 - what the test asks for
                cmd,
                shell=isinstance(cmd, str),
                env=environ,
                cwd=cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        finally:
            otel.detach(token)


class _OwnSpans:
    """The spans of the trace that a process began."""

    def __init__(self, record: Record, pid: int) -> None:
        self._record = record
        self._trace = next((span.trace_id for span in reversed(record.spans()) if _is(span, pid)), None)
        self._seen = 0
        self._spans: list[Span] = []

    def __call__(self) -> list[Span]:
        recorded = self._record.spans()
        self._spans += (span for span in recorded[self._seen :] if span.trace_id == self._trace)
        self._seen = len(recorded)
        return self._spans


def _is(span: Span, pid: int) -> bool:
    return span.kind_of == "process" and span.attributes.get(semconv.PROCESS_PID) == pid


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Ends the command and its children."""
    with suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
