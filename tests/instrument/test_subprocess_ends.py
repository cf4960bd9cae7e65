"""A span ends when its child does: however it is waited for, late, never, or when this process ends first."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from instrument_helpers import seconds_of, status_of, wait_until
from subprocess_helpers import attributes_of, ended, instrumented, run_program, told

from llmtrace_otel.instrument import children
from support.spans import Recorded


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch):
    with instrumented(monkeypatch) as recorded:
        yield recorded


linux = pytest.mark.skipif("sys.platform != 'linux'", reason="needs process descriptors: run on Linux")
without_watching = pytest.mark.usefixtures("_without_watching")


@pytest.fixture
def _without_watching(monkeypatch: pytest.MonkeyPatch):
    """As on systems without process descriptors."""
    monkeypatch.setattr(children.Watcher, "possible", False)


def polled(child: subprocess.Popen) -> None:
    while child.poll() is None:
        time.sleep(0.001)


def looked_for(child: subprocess.Popen) -> None:
    while not os.waitpid(child.pid, os.WNOHANG)[0]:
        time.sleep(0.001)


WAITS = {
    "wait": lambda child: child.wait(),
    "wait with a timeout": lambda child: child.wait(60),
    "communicate": lambda child: child.communicate(),
    "with": lambda child: child.__exit__(None, None, None),
    "poll": polled,
    "os.waitpid": lambda child: os.waitpid(child.pid, 0),
    "os.waitpid that does not wait": looked_for,
    "os.waitpid for any": lambda child: os.waitpid(-1, 0),
    "os.wait": lambda child: os.wait(),
    "os.wait3": lambda child: os.wait3(0),
    "os.wait3 by keyword": lambda child: os.wait3(options=0),
    "os.wait4": lambda child: os.wait4(child.pid, 0),
    "os.wait4 by keyword": lambda child: os.wait4(pid=child.pid, options=0),
    "os.waitid": lambda child: os.waitid(os.P_PID, child.pid, os.WEXITED),
    "os.waitid that leaves it": lambda child: os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_however_it_is_waited_for(recorded: Recorded, wait):
    child = subprocess.Popen(["sh", "-c", "exit 3"])
    wait(child)
    wait_until(lambda: recorded.spans)  # a call that does not wait leaves it to the watching thread
    child.wait()
    assert told(recorded.span) == ended("sh", told(recorded.span)["process.executable.path"], 3, "3")


@without_watching
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_however_it_is_waited_for_without_watching(recorded: Recorded, wait):
    child = subprocess.Popen(["sh", "-c", "exit 3"])
    wait(child)
    assert told(recorded.span)["process.exit.code"] == 3
    child.wait()
    assert len(recorded.spans) == 1


def test_a_child_that_is_only_stopped_is_not_over(recorded: Recorded):
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "kill -STOP $$; exit 3"], os.environ)
    assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
    assert recorded.spans == ()
    os.kill(pid, signal.SIGCONT)
    os.waitpid(pid, 0)
    assert told(recorded.span)["process.exit.code"] == 3


def test_a_wait_that_times_out_ends_nothing(recorded: Recorded):
    with subprocess.Popen(["sleep", "60"]) as child:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.01)
        assert recorded.spans == ()
        child.terminate()
    assert told(recorded.span)["error.type"] == "SIGTERM"


@linux
def test_a_wait_that_is_broken_off_ends_nothing(recorded: Recorded):
    def stop(*_):
        raise InterruptedError("enough")

    before = signal.signal(signal.SIGALRM, stop)
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(InterruptedError, match="enough"):
            os.waitpid(pid, 0)
        assert recorded.spans == ()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: recorded.spans)  # it is watched again
    finally:
        signal.signal(signal.SIGALRM, before)
        os.waitpid(pid, 0)
    assert told(recorded.span)["error.type"] == "SIGKILL"


@linux
def test_a_child_that_is_waited_for_late_has_ended_when_it_did(recorded: Recorded):
    child = subprocess.Popen(["sh", "-c", "exit 3"])
    wait_until(lambda: recorded.spans)
    assert child.returncode is None
    assert child.wait() == 3
    assert (told(recorded.span)["process.exit.code"], len(recorded.spans)) == (3, 1)
    assert seconds_of(recorded.span) > 0


@linux
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_child_that_is_never_waited_for_has_its_span(recorded: Recorded):
    pid = subprocess.Popen(["sh", "-c", "exit 3"]).pid
    wait_until(lambda: recorded.spans)
    assert recorded.span.attributes["process.exit.code"] == 3
    assert recorded.span.attributes["process.pid"] == pid
    subprocess._cleanup()


def test_children_that_are_open_at_once_are_told_apart(recorded: Recorded):
    running = [subprocess.Popen(["sh", "-c", f"exit {code}"]) for code in range(20)]
    for child in reversed(running):
        child.wait()
    codes = {span.attributes["process.pid"]: span.attributes["process.exit.code"] for span in recorded.spans}
    assert codes == {child.pid: code for code, child in enumerate(running)}


def test_waiting_for_somebody_elses_child_changes_nothing(recorded: Recorded):
    with pytest.raises(ChildProcessError):
        os.waitpid(1, 0)
    assert recorded.spans == ()


@pytest.fixture
def _ignored():
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("_ignored")
@pytest.mark.parametrize(
    "wait", [lambda child: child.wait(), polled, lambda child: None], ids=["wait", "poll", "never waited for"]
)
@linux
def test_where_sigchld_is_ignored_nobody_knows_the_exit_code(recorded: Recorded, wait):
    child = subprocess.Popen(["sh", "-c", "exit 3"])
    wait(child)
    wait_until(lambda: recorded.spans)
    child.wait()
    assert "process.exit.code" not in told(recorded.span)
    assert status_of(recorded.span) == ("UNSET", None)


ENDINGS = {
    "the end of the script": ("", 0),
    "an exception": ("raise SystemExit(3)", 3),
    "os._exit": ("os._exit(4)", 4),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "exec": ("os.execvp('sh', ['sh', '-c', 'exit 6'])", 6),
}


@pytest.mark.parametrize(("ending", "code"), ENDINGS.values(), ids=ENDINGS)
def test_children_that_outlive_this_process_have_their_spans(tmp_path, ending: str, code: int):
    ran = run_program(
        tmp_path,
        f"""
        over = subprocess.Popen(["sh", "-c", "exit 3"])
        os.waitid(os.P_PID, over.pid, os.WEXITED | os.WNOWAIT)
        running = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print(running.pid)
        {ending}
        """,
    )
    os.kill(int(ran.stdout), signal.SIGKILL)
    assert ran.returncode == code
    assert len(ran.spans) == 2
    assert attributes_of(ran.named("sh"))["process.exit.code"] == "3"
    assert attributes_of(ran.named("sleep")).keys() == {
        "process.executable.name",
        "process.executable.path",
        "process.pid",
    }


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_leaves_its_parents_children_to_the_parent(tmp_path):
    ran = run_program(
        tmp_path,
        """
        running = subprocess.Popen(["sh", "-c", "read line; exit 3"], stdin=subprocess.PIPE)
        if not (pid := os.fork()):
            subprocess.run(["true"])
            sys.exit()
        os.waitpid(pid, 0)
        running.communicate(b"go\\n")
        """,
    )
    assert ran.stderr == ""
    assert sorted(span["name"] for span in ran.spans) == ["sh", "true"]
    assert attributes_of(ran.named("sh"))["process.exit.code"] == "3"


def test_the_thread_goes_when_nothing_is_left_to_watch(tmp_path):
    ran = run_program(
        tmp_path,
        """
        import threading
        from llmtrace_otel.instrument import child_watch
        child_watch._LINGER = 0.01
        def watching():
            return [thread for thread in threading.enumerate() if thread.name == "llmtrace-children"]
        for _ in range(2):
            with subprocess.Popen(["sleep", "0.05"]):
                print(len(watching()))
            while watching():
                time.sleep(0.001)
        """,
    )
    assert (ran.stdout, len(ran.spans)) == ("1\n1\n" if children.Watcher.possible else "0\n0\n", 2)


@linux
def test_a_closed_standard_stream_stays_closed(tmp_path):
    ran = run_program(
        tmp_path,
        """
        os.close(0)
        with subprocess.Popen(["sleep", "0.01"]):
            try:
                os.fstat(0)
            except OSError as error:
                print(error.errno)
        """,
    )
    assert (ran.stdout, ran.stderr, len(ran.spans)) == ("9\n", "", 1)


def test_a_program_that_closes_all_descriptors_goes_on(tmp_path):
    ran = run_program(
        tmp_path,
        """
        with subprocess.Popen(["sleep", "0.05"]):
            os.closerange(3, 100)
        subprocess.run(["sh", "-c", "exit 3"])
        """,
    )
    assert (ran.stderr, ran.returncode) == ("", 0)
    assert sorted(span["name"] for span in ran.spans) == ["sh", "sleep"]


FILES = {
    "sockets": "[end for _ in range(15) for end in socket.socketpair()]",
    "epolls": "[select.epoll() for _ in range(30)]",
}


@linux
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
def test_a_program_that_has_closed_our_descriptors_keeps_its_own(tmp_path, files: str):
    ran = run_program(
        tmp_path,
        f"""
        import select, socket
        child = subprocess.Popen(["sleep", "60"])
        ours = set(os.listdir("/proc/self/fd"))
        os.closerange(3, 1024)
        files = {files}
        print(len(ours - {{str(number) for number in range(3)}}) > 2, len(files))
        def untouched(file):
            try:
                os.fstat(file.fileno())
                return not select.select([file], [], [], 0)[0]
            except OSError:
                return False
        subprocess.run(["true"])
        if not (pid := os.fork()):
            print(sum(map(untouched, files)))
            os._exit(0)
        os.waitpid(pid, 0)
        child.kill()
        child.wait()
        print(sum(map(untouched, files)))
        """,
    )
    assert (ran.stderr, ran.stdout) == ("", "True 30\n30\n30\n")
    assert sorted(span["name"] for span in ran.spans) == ["sleep", "true"]


ANY = {
    "os.wait": "os.wait()",
    "os.wait3": "os.wait3(0)",
    "os.waitpid": "os.waitpid(-1, 0)",
    "os.wait4": "os.wait4(-1, 0)",
    "os.waitid": "os.waitid(os.P_ALL, 0, os.WEXITED)",
}
LOOKS = {
    "os.wait3": "os.wait3(os.WNOHANG)",
    "os.waitpid": "os.waitpid(-1, os.WNOHANG)",
    "os.wait4": "os.wait4(-1, os.WNOHANG)",
    "os.waitid": "os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)",
}
STAND_IN = """
import threading
from llmtrace_otel.proxy import link
proxy = subprocess.Popen(["sleep", "60"])
link.adopted = lambda: proxy.pid
def is_last(wait):
    try:
        return wait()
    except ChildProcessError as error:
        return error
"""
NO_CHILD = "[Errno 10] No child processes\n"


@linux
@pytest.mark.parametrize("wait", [*ANY.values(), *LOOKS.values()], ids=[*ANY, *(f"{name}, looks" for name in LOOKS)])
def test_who_waits_for_any_child_finds_no_proxy(tmp_path, wait: str):
    ran = run_program(
        tmp_path,
        f"""{STAND_IN}
child = subprocess.Popen(["sh", "-c", "exit 3"])
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
print({wait}[0] == child.pid, is_last(lambda: {wait}))
proxy.kill()
""",
    )
    assert (ran.stderr, ran.stdout) == ("", f"True {NO_CHILD}")


@linux
@pytest.mark.parametrize("wait", [*ANY.values(), "os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)"])
def test_a_proxy_that_ends_is_not_what_a_program_waits_for(tmp_path, wait: str):
    ran = run_program(
        tmp_path,
        f"""{STAND_IN}
child = subprocess.Popen(["sh", "-c", "read line; exit 3"], stdin=subprocess.PIPE)
proxy.kill()
os.waitid(os.P_PID, proxy.pid, os.WEXITED | os.WNOWAIT)
def end_child():
    while os.path.exists(f"/proc/{{proxy.pid}}"):  # over, and not yet waited for
        time.sleep(0.001)
    child.stdin.close()
threading.Thread(target=end_child).start()
print({wait}[0] == child.pid)
""",
    )
    assert (ran.stderr, ran.stdout) == ("", "True\n")


@linux
def test_a_program_that_adopts_orphans_does_not_wait_for_the_proxy(tmp_path):
    ran = run_program(
        tmp_path,
        """
        import ctypes
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # which the first process of a container need not ask for
        running = [subprocess.Popen(["sh", "-c", "exit 3"]) for _ in range(3)]
        waited = set()
        try:
            while True:
                waited.add(os.wait()[0])
        except ChildProcessError as error:
            print(waited == {child.pid for child in running}, error)
        """,
        LLMTRACE_INTERCEPT="always",
    )
    assert (ran.stderr, ran.stdout) == ("", f"True {NO_CHILD}")
    assert [attributes_of(span)["process.exit.code"] for span in ran.spans] == ["3"] * 3
