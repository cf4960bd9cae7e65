"""The main path, from end to end: `make demo` leaves the spans of every call, whose it was, and what it cost."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llmtrace_otel.read import Trace, read_traces

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[Trace]:
    copy = tmp_path_factory.mktemp("demo")
    for folder in ("examples", "tests/provider"):
        shutil.copytree(REPOSITORY / folder, copy / folder)
    ran = subprocess.run(
        [sys.executable, "examples/demo.py"], cwd=copy, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return read_traces(copy / "traces.jsonl")


def test_every_call_is_a_span_and_belongs_to_somebody(traces: list[Trace]):
    calls = [span for trace in traces for span in trace.spans if span.inference]
    assert sorted((span.session, span.agent, span.model) for span in calls) == [
        ("support-42", "planner", "gpt-5-mini"),
        ("support-42", "planner", "gpt-5-mini"),
        ("support-42", "researcher", "claude-haiku-4-5"),
        ("support-42", "researcher", "claude-haiku-4-5"),
        ("support-43", "writer", "gpt-5-mini"),
        ("support-43", "writer", "text-embedding-3-small"),
    ]


def test_every_call_states_its_tokens_and_its_cost(traces: list[Trace]):
    for trace in traces:
        for span in trace.spans:
            if span.inference:
                assert span.usage.input
                assert span.cost.status == "estimated"
                assert span.cost.usd


def test_each_session_is_a_trace_of_one_root(traces: list[Trace]):
    assert [[root.span.name for root in trace.roots] for trace in traces] == [
        ["invoke_agent planner"],
        ["invoke_agent writer"],
    ]
