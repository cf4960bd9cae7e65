"""Programs with a terminal, under `llmtrace run`: they stay usable, and Ctrl-C is theirs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from provider.script import ANSWER

from .clis import CLAUDE, CURL, QUESTION, SONNET, absent
from .recorded import FILE, recorded
from .runs import run_cli
from .terminal import compact

pytestmark = pytest.mark.interop

TERMINAL = Path(__file__).with_name("terminal.py")
CTRL_C = "\x03"
PROMPT = "❯"


def typing(folder: Path, *steps: tuple[str, str]) -> list[str]:
    """What comes before a command that is to run under `llmtrace run` in a terminal where these steps are taken."""
    run = ("llmtrace", "run", "--output", str(folder / FILE), "--")
    return [sys.executable, str(TERMINAL), json.dumps(steps), *run]


def onboarded(work: Path) -> str:
    """The settings of somebody who has used claude here before, with the key of these tests."""
    trusted = {str(work): {"hasTrustDialogAccepted": True}}
    keys = {"approved": list(CLAUDE.environ.values())[:1], "rejected": []}
    return json.dumps({"hasCompletedOnboarding": True, "projects": trusted, "customApiKeyResponses": keys})


def test_claude_is_usable_at_a_terminal(tmp_path: Path) -> None:
    if reason := absent(CLAUDE):
        pytest.skip(reason)
    settings = {".claude.json": onboarded(tmp_path / "work")}
    interactive = CLAUDE._replace(command=("claude", "--model", SONNET), files=settings)
    asking = (PROMPT, QUESTION), (QUESTION, "\r"), (ANSWER, "")
    leaving = ("· done", CTRL_C), ("Ctrl-C again to exit", CTRL_C)
    seen = recorded(run_cli(interactive, tmp_path, typing(tmp_path, *asking, *leaving)), tmp_path)
    assert (seen.ran.code, seen.ran.stderr) == (0, "")
    assert compact(ANSWER) in seen.ran.stdout
    assert [(call.model, call.parent_id) for call in seen.inferences] == [(SONNET, seen.program("claude").span_id)]


def test_ctrl_c_ends_the_command_and_not_its_record(tmp_path: Path) -> None:
    script = "import signal; print('ready', flush=True); signal.pause()"
    command = ("python", "-c", script)
    seen = recorded(run_cli(CURL._replace(command=command), tmp_path, typing(tmp_path, ("ready", CTRL_C))), tmp_path)
    assert (seen.ran.code, seen.program("python").error) == (130, "SIGINT")
    assert "KeyboardInterrupt" in seen.ran.stdout
