"""Every client under `llmtrace run`: it behaves as it does by itself, and the file tells all of its calls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmtrace_otel.read.span import Cost, Span, Usage
from llmtrace_otel.telemetry import semconv
from provider.script import ANSWER

from .clis import CLAUDE, CLI, CLIS, CODEX, CURL, GEMINI, NODE, QUESTION, absent
from .play import Play
from .recorded import CONTENT, Recorded, agents, number_of, run_traced
from .runs import Ran, Seen

pytestmark = pytest.mark.interop

LAST_LINE = re.compile(r"llmtrace: (.+) · \S+ · \.\./spans\.jsonl\n")
NO_CALLS = "llmtrace: no LLM calls: no connection went through the proxy; if the program ignores proxies, try --relay\n"

ANTHROPIC = Usage(input=1200 + 800 + 100, output=345, cache_read=800, cache_write=100)
OTHERS = Usage(input=1200, output=345, cache_read=800, reasoning=45)
PRICES = {
    "claude-sonnet-4-6": (3.00, 0.30, 15.00, 3.75),
    "claude-haiku-4-5-20251001": (1.00, 0.10, 5.00, 1.25),
    "claude-haiku-4-5": (1.00, 0.10, 5.00, 1.25),
    "gpt-5-mini": (0.25, 0.025, 2.00, 0),
    "gpt-5.1-codex": (1.25, 0.125, 10.00, 0),
    "gpt-5.4-nano": (0.20, 0.02, 1.25, 0),
    "gpt-4o-mini": (0.15, 0.075, 0.60, 0),
    "gemini-2.5-flash": (0.30, 0.03, 2.50, 0),
}
"""List prices in US dollars for a million tokens: fresh input, cached input, output, cache write."""
OF_AGENT: dict[str, Callable[[Seen], dict[str, Any]]] = {
    "claude": lambda seen: claude(seen.headers),
    "codex": lambda seen: codex(json.loads(seen.body)["client_metadata"]),
    "opencode": lambda seen: opencode(seen.headers),
    "gemini": lambda _: {semconv.AGENT_NAME: "gemini-cli"},
}
IDENTIFYING = ("authorization", "x-api-key", "x-goog-api-key", "x-gemini-api-privileged-user-id")
OF_ACCOUNT = re.compile(r'\\*"(?:device_id|account_uuid|installation_id|x-codex-installation-id)\\*": ?\\*"([^"\\]+)')


def claude(headers: dict[str, str]) -> dict[str, Any]:
    told = {
        semconv.CONVERSATION_ID: headers["x-claude-code-session-id"],
        semconv.AGENT_NAME: headers.get("x-claude-code-agent-type", "claude-code"),
        semconv.AGENT_TYPE: headers["x-claude-code-request-class"],
    }
    is_sub = headers["x-claude-code-request-class"] == "subagent"
    return told | ({semconv.AGENT_ID: headers["x-claude-code-agent-id"]} if is_sub else {})


def codex(frame: dict[str, str]) -> dict[str, Any]:
    told = {semconv.CONVERSATION_ID: frame["session_id"], semconv.AGENT_NAME: "codex", semconv.AGENT_TYPE: "main"}
    if frame["thread_id"] == frame["session_id"]:
        return told
    return told | {semconv.AGENT_TYPE: "subagent", semconv.AGENT_ID: frame["thread_id"]}


def opencode(headers: dict[str, str]) -> dict[str, Any]:
    parent = headers.get("x-parent-session-id")
    told = {semconv.CONVERSATION_ID: headers["x-session-id"], semconv.AGENT_NAME: "opencode"}
    if parent is None:
        return told | {semconv.AGENT_TYPE: "main"}
    return told | {semconv.AGENT_TYPE: "subagent", semconv.AGENT_PARENT_SESSION: parent}


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Callable[[CLI], Recorded]:
    """Runs a client by `llmtrace run`, once for all tests; skips when it is not installed."""
    done: dict[str, Recorded] = {}

    def run(cli: CLI) -> Recorded:
        if reason := absent(cli):
            pytest.skip(reason)
        if cli.name not in done:
            done[cli.name] = run_traced(cli, tmp_path_factory.mktemp(cli.name))
        return done[cli.name]

    return run


every_client = pytest.mark.parametrize("cli", CLIS, ids=lambda cli: cli.name)


@every_client
def test_the_client_behaves_as_by_itself(
    cli: CLI, traced: Callable[[CLI], Recorded], directly: Callable[[CLI], Ran]
) -> None:
    ran, alone = traced(cli).ran, directly(cli)
    *lines, last = ran.stderr.splitlines(keepends=True)
    assert (ran.code, ran.stdout, "".join(lines)) == (alone.code, alone.stdout, alone.stderr)
    assert last == NO_CALLS if cli is NODE else LAST_LINE.match(last)


@every_client
def test_the_providers_are_asked_as_without_us(
    cli: CLI, traced: Callable[[CLI], Recorded], directly: Callable[[CLI], Ran]
) -> None:
    assert asked(traced(cli).ran) == asked(directly(cli))


def asked(ran: Ran) -> list[tuple[str, list[str], list[str]]]:
    """Of each call: its path with the query, the names of its headers, and those of its body's fields.

    Whether codex goes on from its last answer, or says all again, depends on what its sub-agent does meanwhile.
    """
    calls = [seen for seen in ran.requests if seen.call]
    return sorted(
        (seen.path, sorted(seen.headers), sorted({*json.loads(seen.body)} - {"previous_response_id"})) for seen in calls
    )


@every_client
def test_the_calls_are_under_the_span_of_the_child(cli: CLI, traced: Callable[[CLI], Recorded]) -> None:
    recorded = traced(cli)
    child = recorded.program(cli.command[0])
    assert (child.kind, child.parent_id, child.status) == ("client", "", "unset")
    assert child.attributes[semconv.PROCESS_EXECUTABLE_NAME] == cli.command[0]
    assert child.attributes[semconv.PROCESS_EXIT_CODE] == 0
    assert child.attributes[semconv.PROCESS_PID] > 0
    calls = [(call.trace_id, call.parent_id) for call in recorded.inferences]
    assert calls == [(child.trace_id, child.span_id)] * (len(cli.calls) if cli.heeds_proxy else 0)
    assert len(recorded.spans) == 1 + len(calls)


@every_client
def test_each_call_is_told_in_full(cli: CLI, traced: Callable[[CLI], Recorded]) -> None:
    recorded = traced(cli)
    seen = [request for request in recorded.ran.requests if request.call and cli.heeds_proxy]
    assert [told(call) for call in recorded.inferences] == [expected(request, cli) for request in by_number(seen)]


def by_number(seen: list[Seen]) -> list[Seen]:
    return sorted(seen, key=lambda request: request.number)


def told(span: Span) -> dict[str, Any]:
    """What a span says of its call, without what follows from the format alone."""
    return {
        "number": number_of(span),
        "host": span.attributes[semconv.SERVER_ADDRESS],
        "model": span.model,
        "usage": span.usage,
        "cost": span.cost,
        "layer": span.attributes[semconv.LAYER],
        "error": span.error,
        **agents(span),
    }


def expected(seen: Seen, cli: CLI) -> dict[str, Any]:
    """The same, from the request that has reached the provider."""
    assert seen.call
    host, path, model = seen.call
    usage = ANTHROPIC if path == "/v1/messages" else OTHERS
    of_agent = OF_AGENT.get(cli.command[0], lambda _: {})
    return {
        "number": seen.number,
        "host": host,
        "model": model,
        "usage": usage,
        "cost": Cost(pytest.approx(price(usage, model)), "estimated"),
        "layer": "proxy",
        "error": None,
        **of_agent(seen),
    }


def price(usage: Usage, model: str) -> float:
    """US dollars."""
    fresh, cached, output, write = PRICES[model]
    read, written = usage.cache_read or 0, usage.cache_write or 0
    uncached = (usage.input or 0) - read - written
    return (uncached * fresh + read * cached + (usage.output or 0) * output + written * write) / 1e6


@every_client
def test_no_secret_is_written(cli: CLI, traced: Callable[[CLI], Recorded]) -> None:
    recorded = traced(cli)
    assert [secret for secret in secrets(recorded) if secret in recorded.text] == []
    assert re.search(rf"{recorded.program(cli.command[0]).span_id}:", recorded.text) is None  # the proxy's credentials


def secrets(recorded: Recorded) -> set[str]:
    """The keys, and what stands for an account or a device, that the client has sent."""
    found = set()
    for seen in recorded.ran.requests:
        found |= {seen.headers[name].removeprefix("Bearer ") for name in IDENTIFYING if name in seen.headers}
        found |= set(OF_ACCOUNT.findall(seen.body + json.dumps(seen.headers)))
    return found


@pytest.mark.parametrize("cli", [CLAUDE, CODEX, GEMINI, CURL], ids=lambda cli: cli.name)
def test_messages_are_told_when_they_are_asked_for(cli: CLI, tmp_path: Path) -> None:
    if reason := absent(cli):
        pytest.skip(reason)
    recorded = run_traced(cli, tmp_path, **CONTENT)
    (call,) = recorded.inferences
    assert QUESTION in last_said(call.attributes[semconv.INPUT_MESSAGES])
    assert last_said(call.attributes[semconv.OUTPUT_MESSAGES]) == [ANSWER]
    assert [secret for secret in secrets(recorded) if secret in recorded.text] == []


def last_said(messages: str) -> list[str]:
    """The texts of the last message."""
    return [part["content"] for part in json.loads(messages)[-1]["parts"] if part["type"] == "text"]


def test_the_relay_sees_a_client_that_ignores_proxies(directly: Callable[[CLI], Ran], tmp_path: Path) -> None:
    alone = directly(NODE)
    recorded = run_traced(NODE, tmp_path, "--relay")
    child = recorded.program("node")
    assert [told(call) for call in recorded.inferences] == [expected(seen, NODE) for seen in recorded.ran.requests]
    assert [call.parent_id for call in recorded.inferences] == [child.span_id] * 2
    assert (recorded.ran.stdout, asked(recorded.ran)) == (alone.stdout, asked(alone))


def test_a_run_ends_with_what_it_has_cost(traced: Callable[[CLI], Recorded]) -> None:
    last = LAST_LINE.fullmatch(traced(CLAUDE).ran.stderr)
    assert last
    assert last[1] == "1 call · 2.1k→345 tokens (38% cached) · $0.00939"


def test_a_call_that_fails_and_its_client_are_told_of(tmp_path: Path) -> None:
    play, command = Play({"x-mode": "fail-429"}), ("curl", "--fail-with-body", *CURL.command[1:])
    recorded = run_traced(CURL._replace(command=command, play=play), tmp_path)
    assert recorded.ran.code == 22
    assert sorted((span.name, span.status, span.error) for span in recorded.spans) == [
        ("chat gpt-5-mini", "error", "requests"),
        ("curl", "error", "22"),
    ]
