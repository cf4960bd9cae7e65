"""Arguments of children: recorded only when asked for, and never with a secret."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from subprocess_helpers import instrumented

from llmtrace_otel.instrument.child_arguments import recordable
from support.spans import Recorded


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch):
    with instrumented(monkeypatch) as recorded:
        yield recorded


def test_arguments_are_not_recorded(recorded: Recorded):
    subprocess.run(["true", "x"], check=True)
    assert "process.command_args" not in recorded.span.attributes


def test_arguments_are_recorded_when_asked_for(recorded: Recorded, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLMTRACE_CHILD_ARGS", "1")
    subprocess.run(["true", b"x", Path("y"), "--token", "abc"], check=True)
    subprocess.run("true --password=abc", shell=True, check=True)
    assert [span.attributes["process.command_args"] for span in recorded.spans] == [
        ("true", "x", "y", "--token", "[redacted]"),
        ("/bin/sh", "-c", "true --password=[redacted]"),
    ]


HIDDEN = "[redacted]"
KEY = "sk-ant-api03-" + "a1" * 20


@pytest.mark.parametrize(
    ("given", "recorded_as"),
    [
        (["--api-key", "abc"], ["--api-key", HIDDEN]),
        (["--api-key=abc"], [f"--api-key={HIDDEN}"]),
        (["--openai-api-key", "abc", "x"], ["--openai-api-key", HIDDEN, "x"]),
        (["--auth-token", "-abc"], ["--auth-token", HIDDEN]),
        (["-password", "abc"], ["-password", HIDDEN]),
        (["sh", "-c", "run --token 'a b' --max-tokens 5"], ["sh", "-c", f"run --token {HIDDEN} --max-tokens 5"]),
        (["--max-tokens", "4096", "--keyboard", "us"], ["--max-tokens", "4096", "--keyboard", "us"]),
        (["curl", "-u", "me:abc", "-H", "Authorization: Bearer abcd1234"],
         ["curl", "-u", f"me:{HIDDEN}", "-H", f"Authorization: Bearer {HIDDEN}"]),
        (["sh", "-c", "curl -u me:abc x"], ["sh", "-c", f"curl -u me:{HIDDEN} x"]),
        (["python", "-u", "app.py"], ["python", "-u", "app.py"]),
        (["git", "clone", "https://me:abc@host/x", "https://abc@host/x"],
         ["git", "clone", f"https://{HIDDEN}@host/x", f"https://{HIDDEN}@host/x"]),
        (["echo", KEY], ["echo", HIDDEN]),
        (["env", f"OPENAI_API_KEY={KEY}"], ["env", f"OPENAI_API_KEY={HIDDEN}"]),
        (["claude", "-p", "fix the bug"], ["claude", "-p", "fix the bug"]),
    ],
)  # fmt: skip
def test_secrets_are_taken_out(given: list[str], recorded_as: list[str]):
    assert recordable(given) == recorded_as
