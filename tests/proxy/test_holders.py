"""Whether anybody still has a child's credentials."""

import os
import subprocess
import sys

import pytest

from llmtrace_otel.proxy import holders as module
from llmtrace_otel.proxy.holders import holders

WAITS = "import sys; print(flush=True); sys.stdin.read()"
PASSES_ON = (
    "import subprocess, sys;"
    f"subprocess.Popen([sys.executable, '-c', {WAITS!r}], start_new_session=True); print(flush=True)"
)


@pytest.fixture
def started():
    """Starts a program with a token in its environment; it runs until its input ends."""
    running = []

    def start(token, code=WAITS):
        program = subprocess.Popen(
            [sys.executable, "-IS", "-c", code],
            env={"HTTPS_PROXY": f"http://id:{token}@127.0.0.1:1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        running.append(program)
        program.stdout.readline()
        return program

    yield start
    for program in running:
        program.stdin.close()
        program.wait()
        program.stdout.close()


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="environments of others can be read on Linux only")
def test_who_has_the_token_in_its_environment_holds_it(started):
    started("token-of-a")
    assert holders({"a": "token-of-a", "b": "token-of-b"}, {}) == {"a"}


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="environments of others can be read on Linux only")
def test_a_process_that_outlives_the_child_in_a_session_of_its_own_holds_it(started):
    child = started("token-of-c", PASSES_ON)
    child.wait()
    child.stdout.readline()  # of the process that it has left behind, which runs by now
    assert holders({"c": "token-of-c"}, {"c": child.pid}) == {"c"}
    child.stdin.close()


def test_without_such_a_look_the_process_itself_tells(started, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_PROCESSES", tmp_path)
    alive, gone = started("x"), subprocess.Popen(["true"])
    gone.wait()
    assert holders({"a": "x", "b": "y", "c": "z"}, {"a": alive.pid, "b": gone.pid}) == {"a"}


def test_nobody_is_looked_at_when_nobody_is_asked_for(monkeypatch):
    monkeypatch.setattr(module, "_PROCESSES", None)
    assert holders({}, {"a": 1}) == set()
