"""`llmtrace run --record` and `--replay`: a test suite without a key, its child programs too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmtrace_otel.read import read_spans
from provider import Provider

pytestmark = pytest.mark.long

RUN = [sys.executable, "-c", "from llmtrace_otel.cli import main; raise SystemExit(main())", "run"]
OWN = ("LLMTRACE_", "OTEL_", "TRACEPARENT", "BAGGAGE", "PYTHONPATH", "OPENAI_", "HTTP", "NO_PROXY", "http", "no_proxy")
IN_PROCESS = """
import httpx, os, sys
for text in sys.argv[1:]:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
    answer = httpx.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json=body).json()
    print(answer["error"]["type"] if "error" in answer else answer["usage"]["total_tokens"])
"""
CHILD = """
import json, os, sys, urllib.request, urllib.error
for text in sys.argv[1:]:
    body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}).encode()
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        print(json.load(urllib.request.urlopen(request))["usage"]["total_tokens"])
    except urllib.error.HTTPError as error:
        print(json.load(error)["error"]["type"])
"""
SUITE = """
import httpx, os, pytest
@pytest.mark.parametrize("pet", ["cats", "dogs", "cows", "cats"])
def test_pet(pet):
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": pet}]}
    answer = httpx.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json=body)
    assert answer.json()["usage"]["total_tokens"] == 15
"""
PROGRAMS = {
    "in process": [sys.executable, "-c", IN_PROCESS],
    "child": [sys.executable, "-I", "-c", CHILD],  # isolated: without PYTHONPATH, so uninstrumented
}


@pytest.fixture
def run(provider: Provider, tmp_path: Path) -> Any:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}

    def run(*arguments: str, url: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        environ = kept | {"OPENAI_BASE_URL": f"{url or provider.url}/v1", "OPENAI_API_KEY": "sk-dummy"} | more
        return subprocess.run(
            [*RUN, *arguments], env=environ, cwd=tmp_path, timeout=90, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs_again_without_a_provider(program: str, run: Any, provider: Provider, tmp_path: Path) -> None:
    command = PROGRAMS[program]
    live = run("--record", "cassettes", "--", *command, "cats", "dogs")
    assert (live.returncode, live.stdout) == (0, "15\n15\n")
    provider.requests.clear()
    replayed = run("--replay", "cassettes", "--output", "again.jsonl", "--", *command, "dogs", "cats")
    assert (replayed.returncode, replayed.stdout, provider.requests) == (0, "15\n15\n", [])
    assert replayed.stderr.startswith("llmtrace: 2 calls · 20→10 tokens (0% cached) · $0.00 · ")
    calls = [span for span in read_spans(tmp_path / "again.jsonl") if span.inference]
    assert [call.attributes["llmtrace.replay"] for call in calls] == [True, True]
    assert len(list((tmp_path / "cassettes").iterdir())) == 2


@pytest.mark.parametrize("program", PROGRAMS)
def test_calls_without_a_recording_make_it_fail(program: str, run: Any, provider: Provider) -> None:
    command = PROGRAMS[program]
    run("--record", "cassettes", "--", *command, "cats")
    provider.requests.clear()
    ran = run("--replay", "cassettes", "--", *command, "cats", "cows", "hens")
    assert (ran.returncode, ran.stdout, provider.requests) == (3, "15\nreplay_miss\nreplay_miss\n", [])
    last = ran.stderr.splitlines()[-1]
    assert last.startswith(
        "llmtrace: 2 calls had no recording; the first: no recording of POST localhost/v1/chat/completions; nearest is "
    )
    assert last.endswith(
        "messages[0].content differs: recorded 'cats' asked 'cows'; record again by: "
        "llmtrace run --record cassettes -- …"
    )


def test_a_commands_own_failure_comes_first(run: Any, tmp_path: Path) -> None:
    (tmp_path / "cassettes").mkdir()
    (tmp_path / "cassettes" / "other.json").write_text("{}")
    ran = run("--replay", "cassettes", "--", "sh", "-c", 'python -c "$0" hens; exit 7', IN_PROCESS)
    assert ran.returncode == 7


def test_a_suite_under_xdist(run: Any, provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "test_pets.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "."]
    command += ["-p", "xdist", "-p", "llmtrace_otel.pytest_plugin"]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # what else is installed takes longer to load than the suite
    live = run("--record", "cassettes", "--", *command, "-n", "2", "test_pets.py", **alone)
    assert live.returncode == 0, live.stdout
    provider.requests.clear()
    ran = run("--replay", "cassettes", "--", *command, "-n", "0", "test_pets.py", **alone)
    assert (ran.returncode, provider.requests) == (0, []), ran.stdout
    names = {path.name.split(".")[2] for path in (tmp_path / "cassettes").iterdir()}
    assert len(names) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--replay", "none"), "none is no directory; make them first: llmtrace run --record none -- COMMAND"),
        (("--replay", "."), ". has no recordings; make them first: llmtrace run --record . -- COMMAND"),
        (("--record", "a", "--replay", "b"), "argument --replay: not allowed with argument --record"),
        (("--record", "/dev/null/x"), "/dev/null/x: recordings cannot be written there: Not a directory"),
    ],
)
def test_a_mistake_is_told_in_one_line(run: Any, options: tuple[str, ...], said: str) -> None:
    ran = run(*options, "--", "true")
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].endswith(said)


def test_without_tracing_nothing_can_be_replayed(run: Any) -> None:
    ran = run("--record", "cassettes", "--", "true", OTEL_SDK_DISABLED="true")
    assert (ran.returncode, ran.stderr) == (
        2,
        "llmtrace run: OTEL_SDK_DISABLED is true, so that no call is seen; unset it to record or replay\n",
    )
