"""`llmtrace export --format conversations` as people run it."""

import json
import os
import stat
from pathlib import Path

import pytest

from llmtrace_otel.cli import main
from read.recording import TRACE, line, span

SECOND = 1_000_000_000
START = 1_795_240_658 * SECOND
ASKED = [{"role": "user", "parts": [{"type": "text", "content": "What is in the file?"}]}]
CALLED = {"type": "tool_call", "id": "call_1", "name": "read_file", "arguments": {"path": "a.txt"}}
ANSWERED = [{"role": "assistant", "parts": [CALLED], "finish_reason": "tool_call"}]

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "claude-opus-4-5",
    "gen_ai.conversation.id": "subagent:abc12345",
    "session.id": "s-7",
    "llmtrace.agent.type": "subagent",
    "llmtrace.agent.parent_session": "cli:direct",
    "llmtrace.task.id": "abc12345",
    "llmtrace.turn.count": 3,
    "llmtrace.session.metadata.team": "blue",
    "gen_ai.usage.input_tokens": 150,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 100,
    "gen_ai.usage.cache_write.input_tokens": 10,
    "gen_ai.usage.reasoning.output_tokens": 5,
    "llmtrace.cost.usd": 0.0025,
}
CONTENT = {
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "gen_ai.input.messages": json.dumps(ASKED),
    "gen_ai.output.messages": json.dumps(ANSWERED),
}

RECORD = {
    "event_type": "success",
    "call_id": "00000000000000a1",
    "start_time": "2026-11-21T05:57:38.000000+00:00",
    "end_time": "2026-11-21T05:57:39.500000+00:00",
    "duration_s": 1.5,
    "operation": "chat",
    "provider": "anthropic",
    "model": "claude-opus-4-5",
    "session_key": "subagent:abc12345",
    "session_id": "s-7",
    "litellm_session_id": None,
    "agent_type": "subagent",
    "parent_session": "cli:direct",
    "task_id": "abc12345",
    "turn_count": 3,
    "metadata": {"team": "blue"},
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is in the file?"},
    ],
    "response_messages": [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": '{"path":"a.txt"}'}}
            ],
        }
    ],
    "finish_reason": "tool_calls",
    "usage": {"input": 150, "output": 20, "cache_read": 100, "cache_write": 10, "reasoning": 5},
    "usage_estimated": False,
    "cost_usd": 0.0025,
    "cache_hit": False,
    "saved_cost_usd": None,
    "error_type": None,
    "error_message": None,
}


def call(name="00000000000000a1", extra=None, start=START, **fields):
    attributes = {**CALL, "gen_ai.response.finish_reasons": "unread", **(extra or {})}
    return span(name, start=start, end=start + SECOND * 3 // 2, attributes=attributes, **fields)


@pytest.fixture
def traces(tmp_path, monkeypatch):
    """Writes spans to a file, a line each, and returns its path."""
    monkeypatch.chdir(tmp_path)

    def traces(*spans, name="traces.jsonl"):
        path = tmp_path / name
        path.write_bytes(b"".join(map(line, spans)))
        return path

    return traces


@pytest.fixture
def export(capsysbinary):
    """Runs the command: (exit code, the records on standard output, standard error)."""

    def export(*arguments):
        code = main(["export", *map(str, arguments)])
        out, err = capsysbinary.readouterr()
        return code, [json.loads(record) for record in out.splitlines()], err.decode()

    return export


def test_a_call_is_a_record(traces, export):
    path = traces(call(extra=CONTENT))
    assert export("--format", "conversations", path) == (0, [RECORD], "")


def test_a_records_keys_are_in_one_order(traces, export):
    _, (record,), _ = export(traces(call(extra=CONTENT)))
    assert list(record) == list(RECORD)


def test_a_call_without_content_has_no_messages_and_that_is_said_once(traces, export):
    code, records, said = export(traces(call(), call("00000000000000a2")))
    without = {**RECORD, "messages": None, "response_messages": None, "finish_reason": None}
    assert (code, records) == (0, [without, {**without, "call_id": "00000000000000a2"}])
    assert said == (
        "llmtrace export: 2 calls without content: recorded without "
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only\n"
    )


def test_a_failed_call_is_a_failure(traces, export):
    failed = call(
        extra={"gen_ai.input.messages": json.dumps(ASKED), "error.type": "RateLimitError"},
        status={"code": 2, "message": "wait, password=hunter2"},
    )
    _, (record,), _ = export(traces(failed))
    assert record == {
        **RECORD,
        "event_type": "failure",
        "messages": RECORD["messages"][1:],
        "response_messages": None,
        "finish_reason": None,
        "error_type": "RateLimitError",
        "error_message": "wait, password=[redacted]",
    }


def test_an_answer_from_a_cache_cost_nothing_and_saved_something(traces, export):
    cached = {"llmtrace.cache.hit": True, "llmtrace.cost.usd": 0.0, "llmtrace.cost.saved_usd": 0.0025}
    _, (record,), _ = export(traces(call(extra={**CONTENT, **cached})))
    assert record == {**RECORD, "cost_usd": 0.0, "cache_hit": True, "saved_cost_usd": 0.0025}


def test_numbers_that_were_not_recorded_are_absent(traces, export):
    bare = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    _, (record,), _ = export(traces(span("00000000000000a1", start=START, end=START, attributes=bare)))
    assert (record["usage"], record["cost_usd"], record["session_key"], record["metadata"]) == ({}, None, None, {})


def test_only_llm_calls_are_records_and_each_once(traces, export):
    agent = span("00000000000000b1", attributes={**CALL, "gen_ai.operation.name": "invoke_agent"})
    tool = span("00000000000000b2", attributes={"gen_ai.operation.name": "execute_tool"})
    _, records, _ = export(traces(agent, call(extra=CONTENT), tool, call(extra=CONTENT)))
    assert records == [RECORD]


def test_messages_that_were_recorded_once_are_whole_in_every_record(traces, export):
    asked_next = [{"role": "user", "parts": [{"type": "text", "content": "And now?"}]}]
    delta = {
        "gen_ai.input.messages": json.dumps(asked_next),
        "llmtrace.content.previous_span_id": "00000000000000a1",
        "llmtrace.content.omitted_messages": 2,
    }
    later = call("00000000000000a2", delta, start=START + 5 * SECOND)
    _, (first, second), said = export(traces(call(extra=CONTENT), later))
    assert said == ""
    assert second["messages"] == [
        *first["messages"],
        *first["response_messages"],
        {"role": "user", "content": "And now?"},
    ]


def test_messages_that_are_not_in_the_file_are_told_in_their_place(traces, export):
    asked_next = [{"role": "user", "parts": [{"type": "text", "content": "And now?"}]}]
    delta = {
        "gen_ai.input.messages": json.dumps(asked_next),
        "llmtrace.content.previous_span_id": "00000000000000a0",
        "llmtrace.content.omitted_messages": 2,
    }
    _, (record,), _ = export(traces(call(extra=delta)))
    assert record["messages"] == [
        {"role": "omitted", "content": "… 2 earlier messages in span 00000000000000a0, not in this file"},
        {"role": "user", "content": "And now?"},
    ]


def test_a_file_is_written_for_its_owner_alone_and_written_anew(traces, export, tmp_path):
    path, target = traces(call(extra=CONTENT)), tmp_path / "out" / "conversations.jsonl"
    target.parent.mkdir()
    for _ in range(2):
        assert export(path, "--output", target) == (0, [], "")
    assert [json.loads(record) for record in target.read_text().splitlines()] == [RECORD]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_directory_gets_a_file_for_each_session(traces, export, tmp_path):
    main_call = call("00000000000000a2", {**CONTENT, "gen_ai.conversation.id": "cli:direct"})
    path = traces(call(extra=CONTENT), main_call)
    assert export(path, "--directory", tmp_path / "sessions") == (0, [], "")
    written = {file.name: json.loads(file.read_text())["call_id"] for file in (tmp_path / "sessions").iterdir()}
    assert written == {
        "subagent%3Aabc12345.jsonl": "00000000000000a1",
        "cli%3Adirect.jsonl": "00000000000000a2",
    }


def test_a_directory_that_is_not_empty_is_left_alone(traces, export, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    assert export(traces(call()), "--directory", tmp_path / "full") == (
        2,
        [],
        f"llmtrace export: {tmp_path / 'full'} is there and not empty; name a new directory\n",
    )


def test_the_file_that_is_read_is_not_written_over(traces, export):
    path = traces(call())
    before = path.read_bytes()
    code, _, said = export(path, "--output", path)
    assert (code, said) == (2, f"llmtrace export: {path} is the file that is read; name another\n")
    assert path.read_bytes() == before


def test_a_file_without_calls_is_told(traces, export):
    path = traces(span("00000000000000b2", trace=TRACE))
    assert export(path) == (
        3,
        [],
        f"llmtrace export: no LLM calls in {path}; `llmtrace show {path}` tells what is in it\n",
    )


def test_a_file_that_is_not_there_is_told(export, tmp_path):
    path = tmp_path / "none.jsonl"
    assert export(path) == (
        2,
        [],
        f"llmtrace export: {path}: No such file or directory; name a file of OTLP-JSON lines, or -\n",
    )


def test_a_target_that_cannot_be_written_is_told(traces, export, tmp_path):
    target = tmp_path / "traces.jsonl" / "below-a-file"
    code, records, said = export(traces(call(extra=CONTENT)), "--output", target)
    assert (code, records) == (2, [])
    assert said.startswith("llmtrace export: ")
    assert said.count("\n") == 1


def test_lines_that_cannot_be_read_are_told_and_the_others_exported(traces, export):
    path = traces(call(extra=CONTENT))
    path.write_bytes(b"{\n" * 7 + path.read_bytes())
    code, records, said = export(path)
    assert (code, records) == (0, [RECORD])
    assert said.count("not JSON") == 5
    assert said.endswith("llmtrace export: and 2 more lines that could not be read\n")


def test_the_recorded_file_of_the_environment_is_the_default(traces, export, monkeypatch):
    monkeypatch.setenv("LLMTRACE_OUTPUT", os.fspath(traces(call(extra=CONTENT), name="mine.jsonl")))
    assert export() == (0, [RECORD], "")


def test_a_recording_of_several_programs_is_exported_whole(export):
    data = Path(__file__).parent.parent / "read" / "data" / "agent.jsonl"
    code, records, _ = export(data)
    assert code == 0
    assert [record["event_type"] for record in records].count("failure") == 1
