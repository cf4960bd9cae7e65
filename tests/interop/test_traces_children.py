"""A program under `opentelemetry-instrument` that starts others: their calls are under their spans, in its sessions."""

from __future__ import annotations

import json
import shutil
import signal
import statistics
import sys
import tempfile
from pathlib import Path

import pytest

from llmtrace_otel.read.span import Span
from llmtrace_otel.telemetry import semconv
from provider.script import ANSWER

from .clis import CLAUDE, CURL, absent
from .corporate import USER
from .parents.calls import curl, openai_calls
from .play import Play
from .recorded import FILE, Recorded, run_recording
from .runs import environ_of

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

HERE = Path(__file__).parent
SEED = semconv.REQUEST_SEED
ROUNDS = 3
STREAM = Play({"x-chunks": "5", "x-chunk-delay": "0.1"})


def parent(name: str, *arguments: str) -> list[str]:
    """One of parents/, instrumented."""
    return ["opentelemetry-instrument", "python", str(HERE / "parents" / f"{name}.py"), *arguments]


def record(folder: Path, command: list[str], play: Play | None = None, **environ: str) -> Recorded:
    recorded = run_recording(command, environ_of(CURL, folder) | environ, folder, play)
    assert recorded.ran.stderr == ""
    return recorded


def above(span: Span, recorded: Recorded) -> list[str]:
    """The names of the spans that a span is below, the root last."""
    by_id = {other.span_id: other for other in recorded.spans}
    names = []
    while span.parent_id:
        span = by_id[span.parent_id]
        names.append(span.name)
    return names


def test_agents_and_grandchildren_are_in_the_session_and_the_trace_of_the_parent(tmp_path: Path) -> None:
    if reason := absent(CLAUDE):
        pytest.skip(reason)
    recorded = record(tmp_path, parent("in_session", *CLAUDE.command), **CLAUDE.environ)
    assert (recorded.ran.code, len({span.trace_id for span in recorded.spans})) == (0, 1)
    assert {(span.name, *above(span, recorded), span.session) for span in recorded.spans} == {
        ("work", None),
        ("claude", "work", "s-42"),
        ("chat claude-sonnet-4-6", "claude", "work", "s-42"),
        ("sh", "work", "s-42"),
        ("chat gpt-5-mini", "sh", "work", "s-42"),
    }
    assert len(recorded.spans) == 5


THREE_CALLS = ["gpt-5-mini", "gpt-4o-mini", "gpt-5.1-codex"]


@pytest.mark.parametrize(("options", "layer"), [((), "httpx"), (("-I",), "proxy")], ids=["instrumented", "isolated"])
def test_a_python_child_counts_once(options: tuple[str, ...], layer: str, tmp_path: Path) -> None:
    recorded = record(tmp_path, parent("run", *openai_calls(*options)))
    assert recorded.ran.stdout == "response.completed\n"
    child = recorded.program(Path(sys.executable).name)
    assert [(call.model, call.attributes[semconv.LAYER], call.parent_id) for call in recorded.inferences] == [
        (model, layer, child.span_id) for model in THREE_CALLS
    ]
    assert [(call.usage.input, call.usage.output) for call in recorded.inferences] == [(10, 5)] * 3


def test_llmtrace_run_and_the_python_program_under_it_share_the_work(tmp_path: Path) -> None:
    command = ("llmtrace", "run", "--output", str(tmp_path / FILE), "--", "python", *parent("run", *curl())[2:])
    recorded = run_recording(command, environ_of(CURL, tmp_path), tmp_path)
    tree = {(span.name, *above(span, recorded)) for span in recorded.spans}
    assert tree == {("python",), ("curl", "python"), ("chat gpt-5-mini", "curl", "python")}
    assert len(recorded.spans) == 3
    assert recorded.ran.stderr.startswith("llmtrace: 1 call · 10→5 tokens")


def test_the_first_byte_of_a_stream_does_not_wait_for_the_last(tmp_path: Path) -> None:
    recorded = record(tmp_path, parent("first_bytes", str(ROUNDS)), STREAM)
    measured = json.loads(recorded.ran.stdout)
    answered = list(map(float, (tmp_path / "answers.txt").read_text().split()))
    assert [came < answer for (_, came), answer in zip(measured["through"], answered[::2], strict=True)] == [
        True
    ] * ROUNDS
    assert len(recorded.inferences) == ROUNDS
    medians = {how: statistics.median(seconds for seconds, _ in found) * 1e3 for how, found in measured.items()}
    print("first byte after", ", ".join(f"{how} {median:.2f} ms" for how, median in medians.items()))


def test_children_at_the_same_time_are_each_in_their_own_session(tmp_path: Path) -> None:
    recorded = record(tmp_path, parent("threads"))
    assert len(recorded.inferences) == 40
    assert {call.attributes[SEED]: call.session for call in recorded.inferences} == {n: f"s-{n}" for n in range(40)}


WAYS = {
    **dict.fromkeys(("run", "system", "popen", "posix_spawn", "spawnvp", "fork_and_exec", "in_terminal"), 1),
    **dict.fromkeys(("asyncio_loop", "uvloop_loop"), 2),
    **dict.fromkeys(("fork", "spawn", "forkserver"), 1),
}


def test_every_way_to_start_a_child_is_seen(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # the fork server's socket is in there
        recorded = record(tmp_path, parent("ways"), TMPDIR=short)
    sessions = [call.session for call in recorded.inferences]
    assert {way: sessions.count(way) for way in sessions} == WAYS


def test_a_child_whose_parent_is_killed_goes_on_and_is_recorded(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "after_kill.py"), str(tmp_path / "work"), *parent("killed")]
    recorded = record(tmp_path, command)
    code, survived, answered, ended = json.loads(recorded.ran.stdout)
    assert (code, survived, answered, ended) == (-signal.SIGKILL, 1, True, True)
    assert [call.session for call in recorded.inferences] == ["s-34", "s-34"]
    assert len({(call.trace_id, call.parent_id) for call in recorded.inferences}) == 1


def test_a_child_that_is_killed_in_mid_stream_leaves_its_spans(tmp_path: Path) -> None:
    recorded = record(tmp_path, parent("kills_child"), STREAM)
    child, (call,) = recorded.program("curl"), recorded.inferences
    assert (child.attributes[semconv.PROCESS_EXIT_CODE], child.error) == (-signal.SIGKILL, "SIGKILL")
    assert (call.parent_id, call.incomplete, call.usage.output) == (child.span_id, True, None)


@pytest.mark.parametrize("how", [(), ("--copy",)], ids=["env=None", "a copy of os.environ"])
def test_a_corporate_proxy_is_chained_and_its_authority_trusted(how: tuple[str, ...], tmp_path: Path) -> None:
    log, environ = tmp_path / "log", environ_of(CURL, tmp_path)
    trusting = {name: environ[name] for name in ("PATH", "HOME", "TMPDIR", "SSL_CERT_FILE")}
    command = [sys.executable, str(HERE / "corporate.py"), str(log), *parent("run", *how, *curl())]
    recorded = run_recording(command, trusting, tmp_path)
    assert (recorded.ran.code, recorded.ran.stderr) == (0, "")
    assert json.loads(recorded.ran.stdout.replace("<time>", "0"))["choices"][0]["message"]["content"] == ANSWER
    assert [call.parent_id for call in recorded.inferences] == [recorded.program("curl").span_id]
    assert log.read_text() == f"api.openai.com:443 {USER}\n"
    assert USER.partition(":")[2] not in recorded.text


def test_a_proxy_that_the_caller_names_is_kept(tmp_path: Path) -> None:
    recorded = record(tmp_path, parent("own_proxy"))
    assert recorded.ran.stdout == "http://custom:1  \nhttp://custom:1  <folder>/ca.pem\n"


def test_a_call_that_outlasts_its_session_is_in_it(tmp_path: Path) -> None:
    recorded = record(tmp_path, parent("closed_session"), Play({"x-delay": "0.5"}))
    assert [(call.session, call.usage.output) for call in recorded.inferences] == [("s-44", 5)]
