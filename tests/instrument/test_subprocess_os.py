"""Children that functions of `os` and `pty` start: a span for each, and they give what they give."""

from __future__ import annotations

import os
import pty
import signal
import sys
import threading

import pytest
from instrument_helpers import status_of
from subprocess_helpers import ended, instrumented, parent_of, run_program, told

from llmtrace_otel import session
from support.spans import Recorded

TELL = 'echo "$TRACEPARENT" >"$TO"; exit 3'


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch):
    with instrumented(monkeypatch) as recorded:
        yield recorded


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """Reads what the child has told of its parent."""
    monkeypatch.setenv("TO", str(tmp_path / "told"))
    return lambda: (tmp_path / "told").read_text().strip()


SH = ["sh", "-c", TELL]
SHELL = "/bin/sh"


def waited(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


STARTS = {
    "posix_spawn": lambda: waited(os.posix_spawn(SHELL, SH, os.environ)),
    "posix_spawnp": lambda: waited(os.posix_spawnp("sh", SH, dict(os.environ), setsigmask=[])),
    "spawnv": lambda: os.spawnv(os.P_WAIT, SHELL, SH),
    "spawnv, not waiting": lambda: waited(os.spawnv(os.P_NOWAIT, SHELL, SH)),
    "spawnl": lambda: os.spawnl(os.P_WAIT, SHELL, *SH),
    "spawnle": lambda: os.spawnle(os.P_WAIT, SHELL, *SH, os.environ),
    "spawnlp": lambda: os.spawnlp(os.P_WAIT, "sh", *SH),
    "spawnlpe": lambda: os.spawnlpe(os.P_WAIT, "sh", *SH, os.environ),
    "spawnve": lambda: os.spawnve(os.P_WAIT, SHELL, tuple(SH), {**os.environ, "A": "1"}),
    "spawnvp": lambda: os.spawnvp(os.P_WAIT, "sh", SH),
    "spawnvpe, not waiting": lambda: waited(os.spawnvpe(os.P_NOWAIT, "sh", SH, os.environ)),
    "system": lambda: os.waitstatus_to_exitcode(os.system(TELL)),
    "system, bytes": lambda: os.waitstatus_to_exitcode(os.system(TELL.encode())),
    "pty.spawn": lambda: os.waitstatus_to_exitcode(pty.spawn(SH, stdin_read=lambda _: b"")),
}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_child_has_a_span_and_is_its_child(recorded: Recorded, parent, start):
    assert start() == 3

    name = told(recorded.span)["process.executable.path"]
    assert told(recorded.span) == ended("sh", name, 3, "3")
    assert os.path.samefile(name, SHELL)
    assert parent() == parent_of(recorded.span)


def test_a_program_that_posix_spawn_does_not_find_is_the_same_error(recorded: Recorded):
    with pytest.raises(FileNotFoundError):
        os.posix_spawn("/no/such/program", ["program"], os.environ)
    assert recorded.span.attributes == {
        **ended("program", "/no/such/program", None),
        "error.type": "FileNotFoundError",
    }


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_program_that_spawnv_does_not_find_exits_as_it_does(recorded: Recorded):
    assert os.spawnv(os.P_WAIT, "/no/such/program", ["program"]) == 127
    assert told(recorded.span) == ended("program", "/no/such/program", 127, "127")


@pytest.mark.parametrize(
    "call",
    [
        lambda: os.posix_spawn("/bin/sh", [], {}),
        lambda: os.posix_spawn("/bin/sh", ["sh"], {"A=B": "1"}),
        lambda: os.posix_spawn("/bin/sh", ["sh"], 1),
        lambda: os.posix_spawn("/bin/sh", ["sh"], None),
        lambda: os.execve("/bin/sh", ["sh"], None),
        lambda: os.spawnv(os.P_WAIT, "/bin/sh", []),
        lambda: os.spawnv(os.P_WAIT, "/bin/sh", "sh"),
        lambda: os.system(1),
        lambda: os.system("a\0b"),
    ],
    ids=range(9),
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_is_refused_is_refused_in_the_same_words(monkeypatch: pytest.MonkeyPatch, call):
    def refused() -> tuple[type, str]:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is
            call()
        return type(raised.value), str(raised.value)

    untraced = refused()
    with instrumented(monkeypatch):
        assert refused() == untraced


@pytest.mark.parametrize(
    "command", ["exit 0", "exit 3", "exit 255", "kill -9 $$", "kill -2 $$", "no-such-program 2>/dev/null", ""]
)
def test_os_system_gives_the_same_status(monkeypatch: pytest.MonkeyPatch, command: str):
    untraced = os.system(command)
    with instrumented(monkeypatch) as recorded:
        assert os.system(command) == untraced
    code = os.waitstatus_to_exitcode(untraced)
    assert recorded.span.attributes["process.exit.code"] == code
    assert status_of(recorded.span)[0] == ("ERROR" if code else "UNSET")


def test_os_system_leaves_the_terminals_signals_to_the_command(recorded: Recorded):
    """Those that come meanwhile are ignored here; the command has their default actions, and SIGCHLD as before."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert os.system(f"kill -INT {os.getpid()}; kill -QUIT {os.getpid()}; kill -INT $$") == signal.SIGINT
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert os.system("kill -INT $$; exit 7") >> 8 == 7
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def test_os_system_ends_before_a_signal_handler_has_its_say(recorded: Recorded, tmp_path):
    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(TimeoutError):
            os.system(f"sleep 0.05; kill -USR1 {os.getpid()}; touch {tmp_path}/whole")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (tmp_path / "whole").exists()
    assert told(recorded.span)["process.executable.name"] == "sh"


def test_os_system_works_in_any_thread(recorded: Recorded):
    statuses = []
    thread = threading.Thread(target=lambda: statuses.append(os.system("exit 3")))
    thread.start()
    thread.join()
    assert statuses == [3 << 8]
    assert told(recorded.span) == ended("sh", "/bin/sh", 3, "3")


def test_os_system_is_audited(tmp_path):
    ran = run_program(
        tmp_path,
        """
        sys.addaudithook(lambda event, args: print(event, args) if event == "os.system" else None)
        os.system("exit 0")
        """,
    )
    assert (ran.stdout, ran.stderr) == ("os.system (b'exit 0',)\n", "")


def test_a_pty_child_is_this_program_until_it_says_otherwise(tmp_path):
    ran = run_program(
        tmp_path,
        """
        import pty
        with session("s"):
            pid, terminal = pty.fork()
            if not pid:
                tracer.start_span("in the child").end()
                os.execvp("sh", ["sh", "-c", "echo $TRACEPARENT $BAGGAGE; exit 4"])
        said = b""
        while True:
            try:
                said += os.read(terminal, 1000)
            except OSError:
                break
        print(said.decode().strip())
        os.waitpid(pid, 0)
        """,
    )
    child = ran.named(os.path.basename(sys.executable))
    _, trace_id, span_id, _ = ran.stdout.split()[0].split("-")
    assert (trace_id, span_id) == (child["traceId"], child["spanId"])
    assert "session.id=s" in ran.stdout
    assert ran.named("in the child")["parentSpanId"] == child["spanId"]
    assert len(ran.spans) == 2


def test_a_pty_program_that_is_not_found_leaves_one_span(tmp_path):
    ran = run_program(tmp_path, "import pty; print(pty.spawn(['no-such-program']) >> 8, file=sys.stderr)")
    assert ran.named("no-such-program")["status"]["code"] == 2
    assert len(ran.spans) == 1


EXECS = {
    "execv": "os.execv('/bin/sh', SH)",
    "execve": "os.execve('/bin/sh', SH, os.environ)",
    "execl": "os.execl('/bin/sh', *SH)",
    "execle": "os.execle('/bin/sh', *SH, {'A': '1'})",
    "execlp": "os.execlp('sh', *SH)",
    "execvp": "os.execvp('sh', SH)",
    "execvpe": "os.execvpe('sh', SH, {b'PATH': os.environb[b'PATH']})",
}


@pytest.mark.parametrize("execute", EXECS.values(), ids=EXECS)
def test_a_program_that_takes_over_continues_the_context(tmp_path, execute: str):
    ran = run_program(
        tmp_path,
        f"""
        SH = ["sh", "-c", "echo $TRACEPARENT $BAGGAGE; exit 5"]
        child = subprocess.Popen(["sleep", "0"])
        with session("s"), tracer.start_as_current_span("outer") as outer:
            print(f"{{outer.get_span_context().span_id:016x}}")
            {execute}
        """,
    )
    span_id, parent, baggage = ran.stdout.split()
    assert ran.returncode == 5
    assert parent.split("-")[2] == span_id
    assert "session.id=s" in baggage
    assert [span["name"] for span in ran.spans] == ["sleep"]


def test_an_exec_that_fails_is_the_same_error(recorded: Recorded):
    with pytest.raises(FileNotFoundError):
        os.execv("/no/such/program", ["program"])
    with pytest.raises(FileNotFoundError):
        os.execvp("no-such-program", ["program"])
    assert recorded.spans == ()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_that_executes_is_in_the_current_context(tmp_path):
    ran = run_program(
        tmp_path,
        """
        with session("s"):
            if not (pid := os.fork()):
                os.execvp("sh", ["sh", "-c", "echo $BAGGAGE"])
        os.waitpid(pid, 0)
        """,
    )
    assert "session.id=s" in ran.stdout
    assert ran.spans == []


def test_sessions_travel_through_os_functions_as_well(recorded: Recorded, parent):
    with session("s"):
        os.system('echo "$BAGGAGE" >"$TO"')
    assert "session.id=s" in parent()
