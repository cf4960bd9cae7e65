"""Starts `program.py` in a peer's environment, and says what is wrong with what it wrote down."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from duplicates.calls import CALLS, INPUT
from duplicates.peers import PEERS, Case

PROGRAM = Path(__file__).with_name("program.py")
TOKENS = (
    "gen_ai.usage.input_tokens",
    "llm.token_count.prompt",
    "gen_ai.usage.prompt_tokens",
    "llm.usage.prompt_tokens",
)
"""Where the dialects put the number of input tokens; a span that has several says one number."""
COST = "llmtrace.cost.status"
SECONDS = 120
"""How long a process may take; it needs about ten."""
COMPLAINTS = ("ended span", "Failed to detach")

Span = dict[str, Any]


class Observed(NamedTuple):
    """What a call left: its spans in the order of their starts, and what OpenTelemetry logged."""

    error: str | None
    spans: list[Span]
    log: list[str]


class Run(NamedTuple):
    """What a process left."""

    versions: dict[str, str]
    calls: dict[str, Observed]
    log: list[str]
    """What was logged outside of the calls."""


def environment_of(peer: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LLMTRACE_"))}
    inherited.pop("ANTHROPIC_OPEN_TELEMETRY", None)
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "TRACELOOP_TELEMETRY": "false", "OTEL_EXPORTER": "in_memory"}
    return {**inherited, **quiet, **dict(PEERS[peer].environ)}


def run(python: Path, case: Case, url: str) -> Run:
    """Runs the program and reads what it wrote. Raises `RuntimeError` when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "run.json")
        command = [str(python), str(PROGRAM), json.dumps(case), url, str(output)]
        try:
            ran = subprocess.run(
                command, env=environment_of(case.peer), capture_output=True, text=True, timeout=SECONDS, check=True
            )
        except subprocess.SubprocessError as failed:
            raise RuntimeError(f"{case}: the program failed: {failed}\n{str(failed.stderr or '')[-4000:]}") from None
        left = json.loads(output.read_text())
    complaints = [line for line in ran.stderr.splitlines() if any(words in line for words in COMPLAINTS)]
    calls = {name: Observed(call["error"], ordered(call["spans"]), call["log"]) for name, call in left["calls"].items()}
    return Run(left["versions"], calls, [*left["log"], *complaints])


def ordered(spans: list[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: span["start"])


def tokens(span: Span) -> int | None:
    """The input tokens that a span tells, once."""
    return next((span["attributes"][key] for key in TOKENS if key in span["attributes"]), None)


def problems(case: Case, done: Run) -> list[str]:
    """What is wrong with a process of ours and a peer's; nothing, as a rule."""
    found = [f"logged: {line}" for line in done.log]
    for name, call in done.calls.items():
        found += [f"{name}: {line}" for line in wrong(call)]
        if CALLS[name].layer == "litellm" or case.ours != "litellm":  # else nobody of ours sees it
            found += [
                f"{name}: {line}" for line in wrong_count(call.spans, priced=name not in PEERS[case.peer].ends_early)
            ]
    return found


def wrong(call: Observed) -> list[str]:
    """What is wrong with any call: it failed, its trace is not whole, or OpenTelemetry complains."""
    failed = [f"the call failed: {call.error}"] if call.error else []
    return [*failed, *wrong_shape(call.spans), *(f"logged: {line}" for line in call.log)]


def wrong_count(spans: list[Span], *, priced: bool = True) -> list[str]:
    """What is wrong with a call that ours see: its tokens must be counted once, and our cost be where they are."""
    return [*wrong_sum(spans), *wrong_cost(spans, priced)]


def wrong_sum(spans: list[Span]) -> list[str]:
    told = [(span["name"], count) for span in spans if (count := tokens(span)) is not None]
    total = sum(count for _, count in told)
    return [] if total == INPUT else [f"{total} input tokens in place of {INPUT}: {told}"]


def wrong_shape(spans: list[Span]) -> list[str]:
    ids = {span["id"] for span in spans}
    roots = [span["name"] for span in spans if span["parent"] is None]
    orphans = [span["name"] for span in spans if span["parent"] is not None and span["parent"] not in ids]
    wrong = [] if roots == ["agent"] else [f"the roots are {roots}"]
    return wrong + ([f"orphans: {orphans}"] if orphans else [])


def wrong_cost(spans: list[Span], priced: bool) -> list[str]:
    """Our attributes must be on one span, the one that has the tokens; or on none, where they come too late."""
    found = [span for span in spans if COST in span["attributes"]]
    right = len(found) == 1 and tokens(found[0]) is not None if priced else not found
    return [] if right else [f"{COST} is on {[span['name'] for span in found]}, which is not the span that counts"]
