"""`llmtrace run`: the command as it is, its calls recorded, and one line about them."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from llmtrace_otel.read import read_spans
from support.signals import heed_signals

RUN = [sys.executable, "-c", "from llmtrace_otel.cli import main; raise SystemExit(main())", "run"]
OWN = ("LLMTRACE_", "OTEL_", "TRACEPARENT", "BAGGAGE", "PYTHONPATH", "OPENAI_", "HTTP", "NO_PROXY", "http", "no_proxy")
SECONDS = 60
CALL = """
import json, sys, urllib.request
body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()
request = urllib.request.Request(sys.argv[1] + "/v1/chat/completions", body, {"content-type": "application/json"})
print(json.load(urllib.request.urlopen(request))["usage"]["total_tokens"])
"""
"""A program that no instrumentation of ours knows: what is seen of it is seen at the proxy."""
HTTPX_CALL = """
import httpx, sys
body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
print(httpx.post(sys.argv[1] + "/v1/chat/completions", json=body).json()["usage"]["total_tokens"])
"""


@pytest.fixture
def environ(provider):
    """An environment in which the local provider is known as a gateway."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    return kept | {"OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": "sk-dummy"}


@pytest.fixture
def run(environ, tmp_path):
    def run(*arguments, env=None, **options):
        options |= {"capture_output": True, "text": True, "preexec_fn": heed_signals}
        return subprocess.run([*RUN, *arguments], env=environ | (env or {}), cwd=tmp_path, timeout=SECONDS, **options)

    return run


@pytest.fixture
def recorded(tmp_path):
    return lambda name="traces.jsonl": sorted(read_spans(tmp_path / name), key=lambda span: span.start)


def test_a_program_of_any_kind_is_seen_at_the_proxy(run, provider, recorded):
    ran = run("--", sys.executable, "-I", "-c", CALL, provider.url)  # isolated: without PYTHONPATH, so uninstrumented
    assert (ran.returncode, ran.stdout) == (0, "15\n")
    assert ran.stderr.startswith("llmtrace: 1 call · 10→5 tokens (0% cached) · $4.5e-06 · ")
    assert ran.stderr.endswith("s · traces.jsonl\n")
    child, call = recorded()
    assert (child.name, child.attributes["process.exit.code"]) == (Path(sys.executable).name, 0)
    assert (call.attributes["llmtrace.layer"], call.parent_id, call.trace_id) == (
        "proxy",
        child.span_id,
        child.trace_id,
    )


def test_a_python_program_is_instrumented_and_not_counted_at_the_proxy_too(run, provider, recorded):
    ran = run("--output", "own.jsonl", "--", sys.executable, "-c", HTTPX_CALL, provider.url)
    assert (ran.returncode, ran.stdout) == (0, "15\n")
    assert "1 call · 10→5 tokens" in ran.stderr
    child, call = recorded("own.jsonl")
    assert (call.attributes["llmtrace.layer"], call.parent_id) == ("httpx", child.span_id)


def test_only_what_this_run_has_added_to_the_file_is_told(run, provider):
    for _ in range(2):
        ran = run("--", sys.executable, "-I", "-c", CALL, provider.url)
    assert "1 call · 10→5 tokens" in ran.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["true"], 0),
        (["sh", "-c", "kill -INT $$"], 130),
    ],
)
def test_the_exit_code_is_the_commands(run, command, code):
    assert run("--", *command).returncode == code


def test_the_two_dashes_may_be_left_out(run):
    assert run("sh", "-c", "echo out; echo err >&2").stdout == "out\n"


def test_the_commands_own_output_and_input_are_as_they_were(run):
    ran = run("--", "sh", "-c", "cat; echo err >&2", input="typed")
    assert (ran.stdout, ran.stderr.splitlines()[0]) == ("typed", "err")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "name a command to run: llmtrace run -- python agent.py"),
        (["--", "no-such-command"], 127, "no-such-command: No such file or directory"),
        (["--", "/"], 126, "/: Permission denied"),
        (["--otlp", "localhost", "--", "true"], 2, "'localhost' is no URL; give one such as http://127.0.0.1:4318"),
        (["--output", "/no/such/x", "--", "true"], 2, "/no/such/x: there is no directory /no/such; make it, or name"),
    ],
)
def test_a_mistake_is_one_line_and_no_traceback(run, arguments, code, told):
    ran = run(*arguments)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.startswith(f"llmtrace run: {told}")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "env", "reason"),
    [
        (["--intercept", "never"], {}, "child programs are not intercepted; try --intercept auto"),
        ([], {}, "no connection went through the proxy; if the program ignores proxies, try --relay"),
        ([], {"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED is true; unset it"),
    ],
)
def test_at_no_calls_the_reason_is_told(run, arguments, env, reason):
    ran = run(*arguments, "--", "sh", "-c", "true", env=env)
    assert (ran.returncode, ran.stderr) == (0, f"llmtrace: no LLM calls: {reason}\n")


def test_without_interception_a_program_has_its_environment_as_it_was(run):
    ran = run("--intercept", "never", "--", "sh", "-c", "env")
    assert not [line for line in ran.stdout.splitlines() if "PROXY" in line.partition("=")[0].upper()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
def test_signals_are_passed_on(environ, tmp_path, number):
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.02; done"
    command = [*RUN, "--", "sh", "-c", script]
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True, "preexec_fn": heed_signals}
    ran = subprocess.Popen(command, env=environ, cwd=tmp_path, **options)
    assert ran.stdout.readline() == "ready\n"
    ran.send_signal(number)
    assert (ran.communicate(timeout=SECONDS)[0], ran.returncode) == (f"got {name}\n", 9)


def test_what_is_ignored_stays_ignored(environ, tmp_path):
    """As under `nohup`: the command must not be ended by what ends neither it nor us."""
    command = [*RUN, "--", "sh", "-c", "kill -HUP $PPID; kill -HUP $$; echo still there"]
    options = {"stdout": subprocess.PIPE, "text": True, "stderr": subprocess.DEVNULL}
    ran = subprocess.run(command, env=environ, cwd=tmp_path, preexec_fn=_ignore_hangups, **options)
    assert (ran.returncode, ran.stdout) == (0, "still there\n")


def _ignore_hangups():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_the_command_has_the_terminal_and_ctrl_c_is_its_own(environ, tmp_path):
    script = (
        "trap 'echo interrupted; exit 3' INT; [ -t 0 ] && [ -t 1 ] && echo on a terminal; while :; do sleep 0.02; done"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        heed_signals()
        os.chdir(tmp_path)
        os.execve(RUN[0], [*RUN, "--", "sh", "-c", script], environ)
    shown = _read_until(terminal, b"on a terminal")
    os.write(terminal, b"\x03")
    shown += _read_until(terminal, b"llmtrace: ")
    assert shown.count(b"interrupted") == 1
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    os.close(terminal)


def _read_until(descriptor, expected):
    shown, end = b"", time.monotonic() + SECONDS
    while expected not in shown:
        assert time.monotonic() < end, shown
        shown += os.read(descriptor, 1024)
    return shown


def test_python_programs_without_llmtrace_run_in_silence(run, provider, tmp_path):
    """An interpreter that finds our start-up module, and nothing else of ours."""
    script = (
        "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p]; import sitecustomize; print('ok')"
    )
    ran = run("--", sys.executable, "-S", "-c", script)
    assert (ran.stdout, ran.stderr.count("\n")) == ("ok\n", 1)


@pytest.fixture
def collector():
    """An OTLP/HTTP endpoint that keeps the paths that were posted to."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", posted
        server.shutdown()
        thread.join()


def test_spans_go_to_an_endpoint_as_well(run, provider, collector, recorded):
    url, posted = collector
    ran = run("--otlp", url, "--", sys.executable, "-I", "-c", CALL, provider.url)
    assert (set(posted), len(recorded())) == ({"/v1/traces"}, 2)
    assert ran.stderr.count("\n") == 1


def test_with_jaeger_the_trace_can_be_looked_at(run, provider, collector, recorded):
    url, posted = collector
    ran = run("--jaeger", url, "--", sys.executable, "-I", "-c", CALL, provider.url)
    assert set(posted) == {"/v1/traces"}
    assert ran.stderr.splitlines()[-1] == f"llmtrace: http://127.0.0.1:16686/trace/{recorded()[0].trace_id}"


def test_a_programs_own_sitecustomize_runs_as_well(run, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import sys\nif sys.orig_argv[2] == 'print(1)': print('own')")
    ran = run("--", sys.executable, "-c", "print(1)", env={"PYTHONPATH": str(own)})
    assert ran.stdout == "own\n1\n"
