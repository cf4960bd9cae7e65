"""A program and its proxy, for real: the process that is started, what it may, what it leaves, when it ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, TraceFlags

from llmtrace_otel.proxy import environment, link
from llmtrace_otel.read import read_spans
from support.spans import Recorded

CALL = """
import json, os, sys, urllib.request
body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()
request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body)
request.add_header("content-type", "application/json")
def call():
    return json.load(urllib.request.urlopen(request))["usage"]["total_tokens"]
"""
SECONDS = 20


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"not within {SECONDS} s: {what}"
        time.sleep(0.02)


def span_context(number: int) -> Context:
    span = trace.NonRecordingSpan(SpanContext(0xABC, number, is_remote=False, trace_flags=TraceFlags(1)))
    return trace.set_span_in_context(span, Context())


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch):
    """No proxy at the start, none at the end; no setting of the machine's."""
    for name in (environment.UNDO, "LLMTRACE_RELAY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(link, "_link", None)
    monkeypatch.setattr(link, "_failed_for", None)
    yield link
    if link._link is not None:
        link._link.close()


@pytest.fixture
def base(provider):
    """The environment of a child whose gateway is the local provider."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return kept | {"OPENAI_BASE_URL": f"{provider.url}/v1"}


def child(admission: link.Admission, base: dict[str, str], code: str = "print(call())") -> subprocess.Popen[str]:
    environ = environment.intercepted(base, os.environ, admission.offer)
    return subprocess.Popen(
        [sys.executable, "-I", "-c", CALL + code], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ran(admission: link.Admission, base: dict[str, str]) -> str:
    running = child(admission, base)
    admission.started(running.pid)
    out = running.communicate()[0]
    admission.ended()
    return out


def test_a_childs_call_is_recorded_in_its_context_with_the_programs_own_providers(fresh, base):
    spans = Recorded()
    admission = fresh.admit(span_context(0x1), base, tuple(spans.providers.values()))
    assert ran(admission, base) == "15\n"
    assert fresh.drain()
    assert (spans.span.parent.span_id, spans.span.attributes["gen_ai.usage.output_tokens"]) == (0x1, 5)
    spans.close()


def test_others_may_read_the_certificate_but_there_is_no_key(fresh, base):
    directory = Path(fresh.admit(span_context(0x1), base).offer.directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o711
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in directory.iterdir()] == [("ca.pem", 0o644)]
    assert b"PRIVATE" not in (directory / "ca.pem").read_bytes()


def test_the_proxy_is_nobodys_child_and_ends_with_its_directory_when_it_is_let_go(fresh, base):
    directory = Path(fresh.admit(span_context(0x1), base).offer.directory)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    fresh._link.close()
    until(lambda: not directory.exists(), "the directory is gone")


@pytest.mark.parametrize("credentials", [None, "wrong:wrong", "{id}:wrong", "wrong:{token}"])
def test_without_the_right_token_there_is_no_connection(fresh, base, credentials):
    offer = fresh.admit(span_context(0x1), base).offer
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.setblocking(False)
        port = target.getsockname()[1]
        environ = dict(os.environ)
        environ.pop("no_proxy", None)
        url = f"http://127.0.0.1:{offer.url.rpartition(':')[2]}"
        if credentials:
            url = url.replace("//", f"//{credentials.format(id=offer.id, token=offer.token)}@")
        curl = subprocess.run(
            ["curl", "-sS", "--proxytunnel", "--proxy", url, "-m", "5", f"http://127.0.0.1:{port}/", "--noproxy", ""],
            capture_output=True, text=True,
        )  # fmt: skip
        assert "407" in curl.stderr
        with pytest.raises(BlockingIOError):
            target.accept()


def test_credentials_end_with_their_child(fresh, base):
    admission = fresh.admit(span_context(0x1), base)
    assert ran(admission, base) == "15\n"
    until(lambda: not fresh._link._children, "the proxy says that the child is gone")
    late = child(admission, base, "try: call()\nexcept OSError as error: print(error)")
    assert "407" in late.communicate()[0]


def test_a_process_that_outlives_the_child_keeps_its_credentials(fresh, base):
    admission = fresh.admit(span_context(0x1), base)
    grandchild = child(admission, base, "print('there', flush=True); input(); print(call())")
    assert grandchild.stdout.readline() == "there\n"
    admission.ended()  # as if it had been the child's child
    time.sleep(2 * 2.0)  # longer than the proxy takes to look around
    assert grandchild.communicate("go\n")[0] == "15\n"


def test_who_cannot_have_a_proxy_is_told_so_once_and_gets_none(fresh, base, monkeypatch, capsys):
    monkeypatch.setattr(link, "_BOOT", "raise SystemExit(1)")
    assert [fresh.admit(span_context(0x1), base) for _ in range(2)] == [None, None]
    told = capsys.readouterr().err
    assert told.startswith("llmtrace: the proxy for child programs cannot run, so their LLM calls are not seen: ")
    assert told.count("\n") == 1


def test_a_forked_process_has_a_proxy_of_its_own(fresh, base):
    ours = fresh.admit(span_context(0x1), base).offer.url.rpartition(":")[2]
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, fresh.admit(span_context(0x2), base).offer.url.rpartition(":")[2].encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    theirs = os.read(read, 100).decode()
    os.close(read)
    assert theirs.isdecimal()
    assert theirs != ours
    assert fresh.drain()


def test_a_provider_that_is_registered_later_is_opened_for_later_children(fresh, base, monkeypatch):
    from llmtrace_otel.wire import providers

    before = fresh.admit(span_context(0x1), base)
    monkeypatch.setattr(providers, "DEFAULT", providers.Providers())
    providers.DEFAULT.register_provider("corp", "https://llm.corp.example/v1")
    second = fresh.admit(span_context(0x2), base).offer
    assert before.offer.directory != second.directory
    before.ended()
    until(lambda: fresh._outdated == [], "the earlier proxy is let go")


def test_a_proxy_does_not_grow_older_than_its_certificates(fresh, base, monkeypatch):
    monkeypatch.setattr(link, "LIFE_SECONDS", 0.0)
    first = fresh.admit(span_context(1), base)
    assert fresh.admit(span_context(2), base).offer.directory != first.offer.directory
    assert ran(first, base) == "15\n"  # the old one serves its children to their end
    until(lambda: not Path(first.offer.directory).exists(), "it is let go when they are gone")
    assert fresh._outdated == []


def test_a_handler_that_interrupts_the_start_of_a_proxy_goes_without(fresh, base, monkeypatch):
    inner = []

    class Interrupted(link.Link):
        def __init__(self, registrations):
            inner.append(fresh.admit(span_context(2), base))
            super().__init__(registrations)

    monkeypatch.setattr(link, "Link", Interrupted)
    assert fresh.admit(span_context(1), base) is not None
    assert inner == [None]


def test_nothing_is_said_into_a_descriptor_that_the_program_has_taken_over(fresh, base):
    admission = fresh.admit(span_context(1), base)
    descriptor = fresh._link._socket.fileno()
    with open(os.devnull, "rb") as other:
        os.dup2(other.fileno(), descriptor)
        assert fresh._link.admit(span_context(2), base, link.NO_PROVIDERS, "") is None
        admission.ended()
        fresh._link.close()
        os.fstat(descriptor)  # nobody has closed it
        os.close(descriptor)
    assert fresh.admit(span_context(3), base) is not None


def test_a_proxy_that_does_not_listen_is_left(fresh, base, monkeypatch, capsys):
    fresh.admit(span_context(1), base)
    os.kill(fresh._link.pid, signal.SIGSTOP)
    try:
        while (said := fresh._link.admit(span_context(2), base, link.NO_PROVIDERS, "x" * 50_000)) is not None:
            pass
    finally:
        os.kill(fresh._link.pid, signal.SIGCONT)
    assert said is None
    assert "does not answer; later children are started without it" in capsys.readouterr().err


def test_a_python_that_is_part_of_another_program_starts_no_proxy(fresh, base, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", "/opt/app/server")
    assert fresh.admit(span_context(1), base) is None
    assert "no Python interpreter to run it with (sys.executable is '/opt/app/server')" in capsys.readouterr().err


PARENT = """
import os, subprocess, sys
os.environ.pop("PYTHONPATH", None)
import llmtrace_otel
from llmtrace_otel.output import startup
startup.pre_instrument()
llmtrace_otel.SubprocessInstrumentor().instrument()
with llmtrace_otel.session("s-1"):
    child = subprocess.Popen([sys.executable, "-I", "-c", sys.argv[1]], start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""


def test_a_child_whose_parent_is_killed_still_reaches_its_provider_and_is_recorded(base, tmp_path):
    go, done, file = (tmp_path / name for name in ("go", "done", "traces.jsonl"))
    waits = (
        "import pathlib, time\nprint(call(), flush=True)\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)\n"
        f"pathlib.Path({str(done)!r}).write_text(str(call()))"
    )
    environ = {**base, "LLMTRACE_OUTPUT": str(file), "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ""}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CALL + waits], env=environ, stdout=subprocess.PIPE, text=True
    )
    shown = {parent.stdout.readline().strip() for _ in range(2)}  # the child's pid, and its first answer
    assert "15" in shown
    parent.kill()  # whether it has recorded the first call by now or not
    parent.wait()
    parent.stdout.close()
    go.touch()
    until(lambda: done.exists() and done.read_text() == "15", "the child has its second answer")
    until(lambda: file.exists() and len(list(read_spans(file))) == 2, "both calls are recorded")
    calls = list(read_spans(file))
    assert len({call.trace_id for call in calls}) == len({call.parent_id for call in calls}) == 1
    assert {call.session for call in calls} == {"s-1"}
