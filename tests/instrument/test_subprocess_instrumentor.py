"""The instrumentor puts in its wrappers once, and takes them out without a trace."""

from __future__ import annotations

import multiprocessing.popen_fork
import multiprocessing.process
import os
import pty
import subprocess

import pytest
from instrument_helpers import program

from llmtrace_otel.instrument.subprocess import SubprocessInstrumentor
from support.spans import Recorded

FUNCTIONS = (
    *("waitpid", "wait", "wait3", "wait4", "waitid", "system", "posix_spawn", "posix_spawnp", "execv", "execve"),
    *("spawnv", "spawnve", "spawnvp", "spawnvpe"),
)


def wrapped() -> dict[str, object]:
    """All that is ever wrapped, and what is not there without us."""
    found = {f"os.{name}": vars(os)[name] for name in FUNCTIONS}
    found |= {f"pty.{name}": vars(pty)[name] for name in ("fork", "spawn")}
    for owner, names in (
        (subprocess.Popen, ("__init__", "returncode")),
        (multiprocessing.process.BaseProcess, ("start", "_bootstrap")),
        (multiprocessing.popen_fork.Popen, ("returncode",)),
        (pytest.importorskip("uvloop", reason="pip install uvloop").Loop, ("subprocess_exec", "subprocess_shell")),
    ):
        found |= {f"{owner.__qualname__}.{name}": vars(owner).get(name) for name in names}
    return found


@pytest.fixture
def instrumentor():
    instrumentor = SubprocessInstrumentor()
    yield instrumentor
    while instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


def test_uninstrument_restores_the_very_same_objects(instrumentor: SubprocessInstrumentor):
    before = wrapped()
    instrumentor.instrument()
    assert [name for name, value in wrapped().items() if value is before[name]] == []
    instrumentor.uninstrument()
    assert all(value is before[name] for name, value in wrapped().items())


def test_instrumenting_is_counted(instrumentor: SubprocessInstrumentor):
    before = wrapped()
    instrumentor.instrument()
    during = wrapped()
    instrumentor.instrument()
    instrumentor.uninstrument()
    assert wrapped() == during
    instrumentor.uninstrument()
    assert wrapped() == before


def test_wrapped_functions_look_like_those_they_wrap(instrumentor: SubprocessInstrumentor):
    names = {name: getattr(os, name).__doc__ for name in FUNCTIONS}
    instrumentor.instrument()
    assert {name: getattr(os, name).__doc__ for name in FUNCTIONS} == names
    assert [getattr(os, name).__name__ for name in FUNCTIONS] == list(FUNCTIONS)
    assert not hasattr(subprocess.Popen, "returncode")


def test_a_wrapper_around_ours_stays_and_ours_does_nothing(
    instrumentor: SubprocessInstrumentor, monkeypatch: pytest.MonkeyPatch
):
    recorded = Recorded()
    with monkeypatch.context() as patch:
        instrumentor.instrument(**recorded.providers)
        ours = os.system
        theirs = lambda command: ours(command)  # noqa: E731
        patch.setattr(os, "system", theirs)
        instrumentor.uninstrument()
        assert os.system is theirs
        assert os.system("exit 3") == 3 << 8
    os.system = ours.__wrapped__
    recorded.close()
    assert recorded.spans == ()


def test_a_child_that_is_open_when_it_is_uninstrumented_is_waited_for_as_ever(instrumentor: SubprocessInstrumentor):
    recorded = Recorded()
    instrumentor.instrument(**recorded.providers)
    child = subprocess.Popen(["sh", "-c", "exit 3"])
    instrumentor.uninstrument()
    assert (child.wait(), child.returncode, vars(child)["returncode"]) == (3, 3, 3)
    recorded.close()


def test_nothing_is_imported_for_programs_sake():
    names = ("subprocess", "multiprocessing", "pty", "uvloop", "llmtrace_otel.proxy.link", "h11", "cryptography")
    code = "import sys\nfrom llmtrace_otel.instrument.{0} import {1} as I\nI().instrument()\n"
    missing = f"print([name for name in {names} if name in sys.modules])"
    without = program(code.format("threads", "ThreadsInstrumentor") + missing)
    assert program(code.format("subprocess", "SubprocessInstrumentor") + missing) == without
