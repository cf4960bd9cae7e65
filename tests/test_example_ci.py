"""`examples/ci`, as its reader runs it: green from the recording, and red when the agent gains what it should not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
CHANGES = {
    "a needless call": (
        'return said.content or ""',
        'messages.append({"role": "user", "content": "Are you sure?"})\n'
        '            again = model.chat.completions.create(model="gpt-5-mini", messages=messages)\n'
        '            return again.choices[0].message.content or ""',
    ),
    "a dearer model": ('model="gpt-5-mini"', 'model="gpt-5.4-pro"'),
    "a loop": (
        "                result = get_weather(**json.loads(call.function.arguments))",
        "                for _ in range(5):\n"
        "                    result = get_weather(**json.loads(call.function.arguments))",
    ),
    "an error": ('return f"{city}: sunny, 21 °C"', 'raise ConnectionError("the weather service is down")'),
}


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example."""
    return Path(shutil.copytree(ROOT / "examples" / "ci", tmp_path / "ci"))


def changed(example: Path, change: str) -> None:
    before, after = CHANGES[change]
    agent = example / "agent.py"
    source = agent.read_text(encoding="utf-8")
    assert before in source
    agent.write_text(source.replace(before, after), encoding="utf-8")


def run(*command: str, cwd: Path) -> tuple[int, str]:
    """The exit code of a command, and all it said, in an environment without a key."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "LLMTRACE_"))}
    environ = {**inherited, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
    environ.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        command, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def replayed(example: Path) -> tuple[int, str]:
    """The command that the example's own README names."""
    return run("llmtrace", "run", "--replay", "cassettes", "--", "pytest", "-p", "no:cacheprovider", cwd=example)


def recorded(example: Path) -> tuple[int, str]:
    return run(sys.executable, str(ROOT / "scripts" / "record_example.py"), str(example), cwd=ROOT)


def test_it_is_green_from_its_recording(example: Path):
    code, said = replayed(example)
    assert code == 0, said
    assert "2 passed" in said
    assert run("llmtrace", "check", "traces.jsonl", cwd=example)[0] == 0


def test_its_rules_see_what_its_tests_see(example: Path):
    changed(example, "a loop")
    replayed(example)
    code, said = run("llmtrace", "check", "traces.jsonl", cwd=example)
    assert code == 1, said
    assert "10 > 3 (+233%)" in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("a needless call", "messages[4].content differs: recorded nothing asked 'Are you sure?'"),
        ("a dearer model", "model differs: recorded 'gpt-5-mini' asked 'gpt-5.4-pro'"),
        ("a loop", "+ ├─ tool get_weather ×4"),
        ("an error", "ConnectionError: the weather service is down"),
    ],
)
def test_it_is_red_from_its_recording(example: Path, change: str, told: str):
    changed(example, change)
    code, said = replayed(example)
    assert code == 1, said
    assert told in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("a needless call", "calls  3 > 2  (+50%)"),
        ("a dearer model", "cost  $0.0129 > $0.0005  (+2480%)"),
        ("a loop", "tools  5 > 1  (+400%)"),
    ],
)
def test_it_is_red_where_the_change_has_been_recorded(example: Path, change: str, told: str):
    changed(example, change)
    live, said_live = recorded(example)
    code, said = replayed(example)
    assert (live, code) == (1, 1), said_live + said
    assert told in said
    assert told in said_live


def test_recording_it_again_asks_what_its_recording_has(example: Path):
    before = asked(example)
    code, said = recorded(example)
    assert code == 0, said
    assert asked(example) == before


def asked(example: Path) -> dict[str, Any]:
    """The requests that are recorded; answers have ids and times of their own."""
    return {
        path.name: json.loads(path.read_text(encoding="utf-8"))["request"] for path in (example / "cassettes").iterdir()
    }
