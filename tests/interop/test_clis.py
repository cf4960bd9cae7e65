"""Every client answers offline by itself, and tells whose call it is: what a trace says of it rests on that."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provider.script import ANSWER

from .clis import CLAUDE, CLI, CLIS, CODEX, CURL, OPENCODE, with_agent
from .play import Play
from .runs import Ran, run, run_cli

pytestmark = pytest.mark.interop

REACH_OUT = "import socket; socket.create_connection(('192.0.2.1', 443), timeout=10)"


@pytest.mark.parametrize("cli", CLIS, ids=lambda cli: cli.name)
def test_answers_offline_with_just_its_calls(cli: CLI, directly: Callable[[CLI], Ran]) -> None:
    ran = directly(cli)
    assert (ran.code, ran.calls) == (0, sorted(cli.calls)), ran.stderr
    assert ANSWER in ran.stdout


def test_claude_tells_its_session_and_its_sub_agent(directly: Callable[[CLI], Ran]) -> None:
    asked = [seen.headers for seen in directly(with_agent(CLAUDE)).requests if seen.call]
    assert len({headers["x-claude-code-session-id"] for headers in asked}) == 1
    kinds = [(headers["x-claude-code-request-class"], headers.get("x-claude-code-agent-type")) for headers in asked]
    assert sorted(kinds, key=str) == [("main", None)] * 3 + [("subagent", "general-purpose")]
    assert ["x-claude-code-agent-id" in headers for headers in asked] == [kind == "subagent" for kind, _ in kinds]


def test_codex_tells_its_session_and_the_thread_of_its_sub_agent(directly: Callable[[CLI], Ran]) -> None:
    asked = [json.loads(seen.body)["client_metadata"] for seen in directly(with_agent(CODEX)).requests if seen.call]
    (session,) = {told["session_id"] for told in asked}
    (sub_agent,) = [told for told in asked if told["thread_id"] != session]
    assert (sub_agent["x-codex-parent-thread-id"], sub_agent["x-openai-subagent"]) == (session, "collab_spawn")


def test_opencode_tells_its_session_and_the_parent_of_its_sub_agents(directly: Callable[[CLI], Ran]) -> None:
    asked = [seen.headers for seen in directly(with_agent(OPENCODE)).requests if seen.call]
    parents = {headers["x-session-id"]: headers.get("x-parent-session-id") for headers in asked}
    (session,) = [own for own, parent in parents.items() if parent is None]
    assert list(parents.values()).count(session) == len(parents) - 1 == 1


def test_a_play_chooses_how_the_model_answers(tmp_path: Path) -> None:
    ran = run_cli(CURL._replace(play=Play({"x-input-tokens": "1234"})), tmp_path)
    assert json.loads(ran.stdout.replace("<time>", "0"))["usage"]["prompt_tokens"] == 1234


def test_nothing_leaves_the_machine(tmp_path: Path) -> None:
    ran = run([sys.executable, "-c", REACH_OUT], {}, tmp_path)
    assert ran.code == 1
    assert ran.stderr.endswith("OSError: [Errno 101] Network is unreachable\n")
