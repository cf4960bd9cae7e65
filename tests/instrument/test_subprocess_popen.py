"""Children that `subprocess` and asyncio start: a span for each, and nothing else changes."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from instrument_helpers import status_of, wait_until
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind
from subprocess_helpers import SHOW, ended, instrumented, parent_of, told

from llmtrace_otel import session
from llmtrace_otel.instrument.subprocess import SubprocessInstrumentor
from support.spans import Recorded


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch):
    with instrumented(monkeypatch) as recorded:
        yield recorded


def output(**kwargs) -> str:
    """What a child says of whose child it is."""
    return subprocess.run(SHOW, stdout=subprocess.PIPE, text=True, check=True, **kwargs).stdout.strip()


def test_a_child_has_a_span_and_is_its_child(recorded: Recorded):
    parent = output()

    assert told(recorded.span) == ended("sh", "/bin/sh", 0)
    assert (recorded.span.name, recorded.span.kind, status_of(recorded.span)) == (
        "sh",
        SpanKind.CLIENT,
        ("UNSET", None),
    )
    assert parent == parent_of(recorded.span)


def test_what_python_itself_asks_the_system_is_no_child_of_the_programs(recorded: Recorded):
    subprocess.run(["uname", "-p"], stdout=subprocess.DEVNULL)  # as `platform` does, once in a process
    assert recorded.spans == ()
    subprocess.run(["uname", "-s"], stdout=subprocess.DEVNULL)
    assert recorded.span.name == "uname"


def test_the_span_has_the_childs_process_id(recorded: Recorded):
    with subprocess.Popen(["sh", "-c", "exit 0"]) as child:
        pass
    assert recorded.span.attributes["process.pid"] == child.pid


def test_the_span_is_in_the_current_trace_and_session(recorded: Recorded):
    tracer = recorded.tracer_provider.get_tracer("test")
    with session("s"), tracer.start_as_current_span("outer") as outer:
        parent, baggage = output().split()
    child = recorded.spans[0]

    assert child.parent == outer.get_span_context()
    assert parent == parent_of(child)
    assert "session.id=s" in baggage.split(",")


@pytest.mark.parametrize(
    "call",
    [
        lambda: subprocess.call("exit 3", shell=True),
        lambda: subprocess.run("exit 3", shell=True, capture_output=True).returncode,
        lambda: subprocess.getstatusoutput("exit 3")[0],
        lambda: os.waitstatus_to_exitcode(os.popen("exit 3").close()),
    ],
    ids=["call", "run", "getstatusoutput", "os.popen"],
)
def test_whatever_is_built_on_popen_leaves_one_span(recorded: Recorded, call):
    assert call() == 3
    assert told(recorded.span) == ended("sh", "/bin/sh", 3, "3")
    assert status_of(recorded.span) == ("ERROR", None)


def test_a_killed_child_has_the_signals_name(recorded: Recorded):
    with subprocess.Popen(["sleep", "60"]) as child:
        child.kill()

    assert child.returncode == -signal.SIGKILL
    assert told(recorded.span)["process.exit.code"] == -signal.SIGKILL
    assert told(recorded.span)["error.type"] == "SIGKILL"
    assert status_of(recorded.span) == ("ERROR", None)


def test_a_missing_executable_is_the_same_error_and_has_a_span(recorded: Recorded):
    with pytest.raises(FileNotFoundError) as raised:
        subprocess.run(["no-such-program", "x"])

    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, "no-such-program")
    assert recorded.span.attributes == {"process.executable.name": "no-such-program", "error.type": "FileNotFoundError"}
    assert status_of(recorded.span) == ("ERROR", "[Errno 2] No such file or directory: 'no-such-program'")


def test_what_popen_refuses_it_refuses_with_its_own_words(recorded: Recorded):
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'args'"):
        subprocess.Popen()
    with pytest.raises(ValueError, match="illegal environment variable name"):
        subprocess.Popen(["true"], env={"A=B": "1"})
    with pytest.raises(TypeError, match=r"expected str, bytes or os\.PathLike object, not int"):
        subprocess.Popen(["true"], env={"A": 1})


def test_an_executable_is_told_by_its_own_name_and_where_path_has_it(recorded: Recorded, tmp_path: Path):
    (tmp_path / "agent").symlink_to("/bin/sh")
    subprocess.run(["agent", "-c", ":"], env={"PATH": f"/nowhere:{tmp_path}"}, check=True)
    subprocess.run(["./agent", "-c", ":"], cwd=tmp_path, check=True)
    subprocess.run(["renamed", "-c", ":"], executable=tmp_path / "agent", check=True)

    assert [told(span) for span in recorded.spans] == [ended("agent", str(tmp_path / "agent"), 0)] * 3


def test_an_executable_that_moves_is_found_where_it_is(recorded: Recorded, tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    environ = {"PATH": f"{first}:{second}"}
    for directory in (first, second):
        directory.mkdir()
    (first / "agent").symlink_to("/bin/sh")
    subprocess.run(["agent", "-c", ":"], env=environ, check=True)
    (first / "agent").rename(second / "agent")
    subprocess.run(["agent", "-c", ":"], env=environ, check=True)

    assert [told(span)["process.executable.path"] for span in recorded.spans] == [f"{first}/agent", f"{second}/agent"]


def test_arguments_may_be_any_iterable(recorded: Recorded):
    assert subprocess.run(iter(["sh", "-c", "exit 4"])).returncode == 4
    assert told(recorded.span) == ended("unknown", None, 4, "4")


def test_a_subclass_of_popen_leaves_one_span(recorded: Recorded):
    class Quiet(subprocess.Popen):
        def __init__(self, command):
            super().__init__(command, stdout=subprocess.DEVNULL)

    with Quiet(SHOW) as child:
        pass
    assert (child.returncode, told(recorded.span)) == (0, ended("sh", "/bin/sh", 0))


def test_popens_other_arguments_are_left_alone(recorded: Recorded, tmp_path: Path):
    reading, writing = os.pipe()
    try:
        command = (
            f'test "$(pwd)" = {tmp_path} && test "$(ps -o sid= $$ | tr -d " ")" = $$ && echo hi >/dev/fd/{writing}'
        )
        options = {"cwd": tmp_path, "start_new_session": True, "pass_fds": [writing], "umask": 0o77}
        assert subprocess.run(["sh", "-c", command], preexec_fn=os.getpid, **options).returncode == 0
        assert os.read(reading, 10) == b"hi\n"
    finally:
        os.close(reading)
        os.close(writing)


def test_a_child_of_popens_own_posix_spawn_leaves_one_span(recorded: Recorded):
    assert subprocess.run(["/bin/sh", "-c", "exit 2"], close_fds=False).returncode == 2
    assert told(recorded.span) == ended("sh", "/bin/sh", 2, "2")


def test_suppressed_children_are_left_alone(recorded: Recorded):
    with suppress_instrumentation():
        assert output() == ""
    assert recorded.spans == ()


def test_without_a_tracer_provider_children_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLMTRACE_INTERCEPT", "never")
    monkeypatch.delenv("TRACEPARENT", raising=False)
    SubprocessInstrumentor().instrument()
    try:
        assert output() == ""
    finally:
        SubprocessInstrumentor().uninstrument()


async def shown(create) -> str:
    child = await create(stdout=subprocess.PIPE)
    printed, _ = await child.communicate()
    assert child.returncode == 5
    return printed.decode().strip()


CREATE = {
    "exec": lambda **kwargs: asyncio.create_subprocess_exec("sh", "-c", "echo $TRACEPARENT; exit 5", **kwargs),
    "shell": lambda **kwargs: asyncio.create_subprocess_shell("echo $TRACEPARENT; exit 5", **kwargs),
}


def run_asyncio(main):
    return asyncio.run(main)


def run_uvloop(main):
    return pytest.importorskip("uvloop", reason="pip install uvloop").run(main)


@pytest.mark.parametrize("run", [run_asyncio, run_uvloop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("create", CREATE.values(), ids=CREATE)
def test_asyncios_children_have_a_span_and_are_its_children(recorded: Recorded, run, create):
    parent = run(shown(create))

    assert told(recorded.span)["process.executable.name"] == "sh"
    assert told(recorded.span)["process.exit.code"] == 5
    assert parent == parent_of(recorded.span)


@pytest.mark.parametrize("run", [run_asyncio, run_uvloop], ids=["asyncio", "uvloop"])
def test_asyncios_children_that_cannot_start_have_a_span(recorded: Recorded, run):
    with pytest.raises(FileNotFoundError) as raised:
        run(asyncio.create_subprocess_exec("no-such-program"))

    assert raised.value.errno == errno.ENOENT
    assert recorded.span.attributes == {"process.executable.name": "no-such-program", "error.type": "FileNotFoundError"}


def test_uvloops_children_may_have_a_protocol_of_ones_own(recorded: Recorded):
    uvloop = pytest.importorskip("uvloop", reason="pip install uvloop")

    class Protocol(asyncio.SubprocessProtocol):
        __slots__ = ("exited",)

        def process_exited(self):
            self.exited.set_result(None)

    async def main():
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(made, "sh", "-c", "exit 6")
        await protocol.exited
        transport.close()
        return transport.get_returncode(), type(protocol)

    def made():
        protocol = Protocol()
        protocol.exited = asyncio.get_running_loop().create_future()
        return protocol

    assert uvloop.run(main()) == (6, Protocol)
    wait_until(lambda: recorded.spans)  # libuv does not say what it has seen, so the watching thread may not know it
    assert told(recorded.span)["process.executable.name"] == "sh"


def test_forty_children_of_eight_threads_belong_to_their_own_sessions(recorded: Recorded):
    together = threading.Barrier(8)
    seen: dict[tuple[int, int], str] = {}

    def ask(number):
        for turn in range(5):
            together.wait(30)
            with session(f"s{number}-{turn}"):
                seen[number, turn] = output()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {key: session_of(line) for key, line in seen.items()} == {
        (number, turn): f"s{number}-{turn}" for number in range(8) for turn in range(5)
    }
    assert sorted(line.split()[0] for line in seen.values()) == sorted(parent_of(span) for span in recorded.spans)


def session_of(line: str) -> str:
    return dict(entry.split("=", 1) for entry in line.split()[1].split(","))["session.id"]
