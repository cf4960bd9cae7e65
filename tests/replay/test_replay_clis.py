"""The real command-line agents: each replays from what it was recorded with, again and again, and nobody is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from interop.clis import CLAUDE, CLI, CODEX, CURL, GEMINI, LLM_CHAT, OPENCODE, absent, with_agent
from interop.namespace import refusal
from interop.recorded import run_traced
from interop.runs import Ran
from provider.script import ANSWER

pytestmark = pytest.mark.interop


@pytest.mark.parametrize(
    "cli", [CLAUDE, with_agent(CLAUDE), CODEX, GEMINI, with_agent(OPENCODE), LLM_CHAT, CURL], ids=lambda cli: cli.name
)
def test_a_client_replays_twice_from_one_recording(cli: CLI, tmp_path: Path) -> None:
    if reason := refusal() or absent(cli):
        pytest.skip(reason)
    cassettes = tmp_path / "cassettes"
    live = _run(cli, tmp_path / "live", "--record", cassettes)
    files = {path.name: path.read_text() for path in cassettes.iterdir()}
    assert len(files) == len(live.calls) == len(cli.calls)
    for name in ("first", "second"):
        replayed = _run(cli, tmp_path / name, "--replay", cassettes)
        assert (replayed.code, replayed.calls) == (0, []), replayed.stderr
        assert ANSWER in replayed.stdout
    assert {path.name: path.read_text() for path in cassettes.iterdir()} == files
    secrets = [value for name, value in cli.environ.items() if name.endswith("_KEY")]
    assert not [secret for secret in secrets for text in files.values() if secret in text]


def _run(cli: CLI, folder: Path, option: str, cassettes: Path) -> Ran:
    folder.mkdir()
    recorded = run_traced(cli, folder, option, str(cassettes))
    assert recorded.ran.code == 0, recorded.ran.stderr
    replayed = [span.attributes.get("llmtrace.replay") for span in recorded.spans if span.inference]
    assert replayed == [True if option == "--replay" else None] * len(cli.calls)
    return recorded.ran
