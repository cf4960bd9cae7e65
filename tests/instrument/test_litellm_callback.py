"""`LLMTraceCallback`: what LiteLLM tells it becomes one record per call. Real LiteLLM, a local provider.

The calls are made by programs of their own (`conversations/litellm_program.py`): LiteLLM tells of a call in the
background, and only when the program has ended it is certain that nothing more comes.
"""

import importlib.util
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import structs

from llmtrace_otel.conversations import from_spans
from llmtrace_otel.read import read_spans

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no download
if importlib.util.find_spec("litellm") is None:
    pytest.skip("LiteLLM is not installed", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")  # LiteLLM's own

PROGRAM = Path(__file__).parent.parent / "conversations" / "litellm_program.py"
ANSWER = {"role": "assistant", "content": "Paris is sunny today: 21 °C, a light breeze — no umbrella needed. ☀"}
SAID = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
TIMES = ("start_time", "end_time", "duration_s", "call_id")


def needs(*modules):
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"LiteLLM needs {', '.join(missing)} for this")


PROXY = ("fastapi", "orjson", "soundfile", "backoff")
"""Without these LiteLLM cannot answer from a cache."""


@pytest.fixture
def records(provider, tmp_path):
    """Runs a program that makes the named calls, and gives the records that it has left when it has ended."""

    def records(*calls):
        path = tmp_path / "conversations.jsonl"
        command = [sys.executable, str(PROGRAM), provider.url, str(path), *calls]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert "llmtrace:" not in ended.stderr
        lines = path.read_text().splitlines() if path.exists() else []
        return sorted(map(json.loads, lines), key=lambda record: record["start_time"])  # LiteLLM tells in any order

    return records


def told(record):
    """The record without what differs from run to run."""
    return {key: value for key, value in record.items() if key not in TIMES}


def answered(**fields):
    """The record of the plainest call, but for some fields."""
    return {
        "event_type": "success",
        "operation": "chat",
        "provider": "openai",
        "model": "gpt-5-mini",
        "session_key": None,
        "session_id": None,
        "litellm_session_id": None,
        "agent_type": None,
        "parent_session": None,
        "task_id": None,
        "turn_count": None,
        "metadata": {},
        "messages": [SAID],
        "response_messages": [ANSWER],
        "finish_reason": "stop",
        "usage": {"input": 10, "output": 5, "cache_read": 0, "reasoning": 0},
        "usage_estimated": False,
        "cost_usd": pytest.approx(1.25e-05),
        "cache_hit": False,
        "saved_cost_usd": None,
        "error_type": None,
        "error_message": None,
    } | fields


def failed(error_type, error_message, **fields):
    unanswered = {"response_messages": None, "finish_reason": None, "usage": {}, "cost_usd": None}
    told = {"event_type": "failure", "error_type": error_type, "error_message": error_message}
    return answered(**unanswered, **told, **fields)


RATE_LIMIT = "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached. Please try again in 1ms."
CLAUDES = {
    "provider": "anthropic",
    "model": "claude-sonnet-4-5",
    "usage": {"input": 130, "output": 5, "cache_read": 100, "cache_write": 20},
    "cost_usd": pytest.approx(0.00021),
}


def test_each_call_is_one_record_however_it_is_made(records):
    calls = ("one", "a_one", "stream", "astream", "fails", "afails", "claude", "claude_stream")
    assert [told(record) for record in records(*calls)] == [
        *[answered()] * 4,
        *[failed("RateLimitError", RATE_LIMIT)] * 2,
        *[answered(**CLAUDES)] * 2,
    ]


def test_embeddings_and_text_completions_are_records(records):
    embedded = {
        "operation": "embeddings",
        "model": "text-embedding-3-small",
        "response_messages": None,
        "finish_reason": None,
        "usage": {"input": 10},
        "cost_usd": pytest.approx(2e-07),
    }
    completed = answered(operation="text_completion", model="gpt-3.5-turbo-instruct", cost_usd=pytest.approx(2.5e-05))
    calls = ("embedding", "aembedding", "text", "atext")
    assert [told(record) for record in records(*calls)] == [
        answered(**embedded, messages=[SAID, {"role": "user", "content": "ho"}]),
        answered(**embedded),
        completed,
        completed,
    ]


@needs("mcp")
def test_responses_are_records_in_the_same_form(records):
    calls = ("responses", "responses_stream", "aresponses_of_claude")
    assert [told(record) for record in records(*calls)] == [
        answered(messages=[SYSTEM, SAID]),
        answered(messages=[SYSTEM, SAID]),
        answered(messages=[SYSTEM, SAID], **CLAUDES),
    ]


def test_anthropics_own_messages_are_records_in_the_same_form(records):
    assert [told(record) for record in records("messages")] == [answered(messages=[SYSTEM, SAID], **CLAUDES)]


def test_tool_calls_are_whole_and_secrets_are_not_in_them(records):
    (record,) = records("tools")
    assert record["messages"] == [
        SYSTEM,
        {"role": "user", "content": "Oslo?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "password=[redacted]"},
        {"role": "user", "content": "And Paris?"},
    ]
    (answer,) = record["response_messages"]
    (call,) = answer.pop("tool_calls")
    assert answer == {"role": "assistant", "content": None}
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert record["finish_reason"] == "tool_calls"


def test_a_call_is_written_once_though_it_is_told_twice(records):
    found = records("three_with_a_callback_of_their_own", "another_callback_with_the_same_file")
    assert sorted(record["metadata"].get("call", 3) for record in found) == [0, 1, 2, 3]
    assert len({record["call_id"] for record in found}) == 4


def test_what_nobody_stated_is_absent(records):
    assert [told(record) for record in records("unpriced", "no_usage")] == [
        answered(model="of-our-own", cost_usd=None),
        answered(usage={}, cost_usd=None),
    ]


def test_tokens_that_litellm_counted_are_absent_or_marked(records):
    (record,) = records("stream_without_usage")
    assert record["usage_estimated"] is bool(record["usage"])
    assert told(record) | {"usage": {}, "usage_estimated": False, "cost_usd": None} == answered(usage={}, cost_usd=None)


def test_a_stream_that_breaks_is_a_failure(records):
    message = "The server had an error while processing your request."
    assert [told(record) for record in records("breaks")] == [failed("APIError", message)]


@needs(*PROXY)
def test_an_answer_from_the_cache_cost_nothing(records):
    asked, cached = (told(record) for record in records("cached"))
    saved = pytest.approx(1.25e-05)
    assert (asked, cached) == (answered(), answered(cost_usd=0.0, cache_hit=True, saved_cost_usd=saved))


def test_a_fallback_is_a_failure_and_a_success(records):
    session = {"session_key": "s"}
    assert [told(record) for record in records("falls_back")] == [
        failed("RateLimitError", RATE_LIMIT, **session),
        answered(**session),
    ]


def test_what_the_program_says_of_a_call_is_in_its_record(records):
    assert [told(record) for record in records("told")] == [
        answered(
            session_key="subagent:abc12345",
            session_id="s-7",
            litellm_session_id="l-9",
            agent_type="subagent",
            parent_session="cli:direct",
            task_id="abc12345",
            turn_count=3,
            metadata={"team": "blue", "limits": {"usd": 1.5}, "api_key": "[redacted]"},
        )
    ]


SAME = ("one", "a_one", "astream", "claude", "claude_stream", "fails", "tools", "embedding")


def test_spans_make_the_same_records(records, tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_only")
    told_by_litellm = records("instrumented", *SAME)
    spans = read_spans(tmp_path / "conversations.jsonl.spans")
    told_by_spans = sorted(map(structs.asdict, from_spans.records(spans)), key=lambda record: record["start_time"])
    for record in told_by_litellm:
        if record["operation"] == "embeddings":  # the conventions give these no messages
            record["messages"] = None
    assert [list(record) for record in told_by_spans] == [list(record) for record in told_by_litellm]
    assert [told(record) for record in told_by_spans] == [told(record) for record in told_by_litellm]


@pytest.mark.parametrize("call", ["unlogged", "aunlogged"])
def test_a_call_that_is_not_to_be_logged_has_no_record(call, records):
    assert records(call) == []


def test_messages_that_are_not_to_be_logged_are_in_no_record(records):
    hidden = [{"role": "user", "content": "redacted-by-litellm"}]
    answer = [{"role": "assistant", "content": "redacted-by-litellm"}]
    found = records("without_messages")
    assert [told(record) for record in found] == [answered(messages=hidden, response_messages=answer)] * 2


@pytest.mark.parametrize(
    ("call", "count"),
    [
        ("one", 1),
        ("stream", 1),
        ("fails", 1),
        ("a_one", 1),
        ("astream", 1),
        ("afails", 1),
        ("many_at_once", 5),
        ("many_streams_at_once", 5),
        ("exits_within", 1),
        ("twice_in_a_loop_each", 10),
    ],
)
def test_a_program_that_ends_right_after_its_calls_leaves_their_records(call, count, records):
    expected = failed("RateLimitError", RATE_LIMIT) if call.endswith("fails") else answered()
    assert [told(record) for record in records(call)] == [expected] * count


# As LiteLLM calls the hooks


@pytest.fixture
def callback(tmp_path):
    """A callback, and the one record that it has written."""
    from llmtrace_otel import LLMTraceCallback

    path = tmp_path / "conversations.jsonl"

    class Callback(LLMTraceCallback):
        @property
        def records(self):
            return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

        @property
        def record(self):
            (record,) = self.records
            return record

    return Callback(jsonl_path=path)


READ = {"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": '{"path":"a.txt"}'}}
CONVERSATION = [
    {"role": "system", "content": "You are a helpful agent."},
    {"role": "user", "content": "Read a.txt."},
    {"role": "assistant", "content": None, "tool_calls": [READ]},
    {"role": "tool", "tool_call_id": "call_1", "content": "Hello World"},
    {"role": "user", "content": "What is in it?"},
]
METADATA = {
    "session_key": "subagent:abc12345",
    "agent_type": "subagent",
    "parent_session": "cli:direct",
    "task_id": "abc12345",
}
KWARGS = {
    "model": "claude-opus-4-5",
    "messages": CONVERSATION,
    "litellm_params": {"metadata": METADATA},
    "response_cost": 0.0025,
    "cache_hit": False,
}
RESPONSE = {
    "choices": [
        {
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "The file contains: Hello World"},
        }
    ],
    "usage": {"prompt_tokens": 150, "completion_tokens": 20},
}


def as_objects(value):
    """Nested attributes in place of dictionaries, as doubles of LiteLLM's answers often are."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: as_objects(item) for key, item in value.items()})
    return [as_objects(item) for item in value] if isinstance(value, list) else value


def as_litellm(value):
    import litellm

    return litellm.ModelResponse(**value)


@pytest.mark.parametrize("given", [dict, as_objects, as_litellm])
def test_a_sub_agents_call_is_a_whole_conversation(callback, given):
    callback.log_success_event(KWARGS, given(RESPONSE), 0.0, 0.5)
    assert told(callback.record) == answered(
        provider="anthropic",
        model="claude-opus-4-5",
        **METADATA,
        messages=CONVERSATION,
        response_messages=[{"role": "assistant", "content": "The file contains: Hello World"}],
        usage={"input": 150, "output": 20},
        cost_usd=0.0025,
    )


def test_a_failure_has_its_type_its_message_and_its_session(callback):
    kwargs = {
        "model": "gpt-5-mini",
        "messages": [SAID],
        "exception": ValueError("API error"),
        "litellm_params": {"metadata": {"session_key": "test:456"}},
    }
    callback.log_failure_event(kwargs, None, 0.0, 0.5)
    assert told(callback.record) == failed("ValueError", "API error", session_key="test:456")
    assert callback.record["duration_s"] == 0.5


@pytest.mark.parametrize("moment", [float, datetime.fromtimestamp, lambda time: datetime.fromtimestamp(time, UTC)])
def test_times_are_the_same_as_numbers_and_as_dates(callback, moment):
    callback.log_success_event(KWARGS, RESPONSE, moment(1_795_240_658.25), moment(1_795_240_660.0))
    record = callback.record
    assert (record["start_time"], record["end_time"], record["duration_s"]) == (
        "2026-11-21T05:57:38.250000+00:00",
        "2026-11-21T05:57:40.000000+00:00",
        1.75,
    )


def test_one_id_told_by_every_hook_is_one_record(callback):
    import asyncio

    kwargs = {**KWARGS, "litellm_call_id": "one"}
    for _ in range(3):
        callback.log_success_event(kwargs, RESPONSE, 0.0, 0.5)
        asyncio.run(callback.async_log_success_event(kwargs, RESPONSE, 0.0, 0.5))
        callback.log_stream_event(kwargs, RESPONSE, 0.0, 0.5)
    assert len(callback.records) == 1


def test_what_was_seen_is_bounded():
    from llmtrace_otel.instrument.litellm_callback import Seen

    seen = Seen(2)
    assert [seen.first(key) for key in ("a", "b", "b", "c", "a", "c")] == [True, True, False, True, True, False]


@pytest.mark.parametrize(
    ("kwargs", "response"),
    [
        ({}, None),
        (None, None),
        ({"messages": "hi", "litellm_params": None, "standard_logging_object": 3}, object()),
        ({"messages": [None, {"role": 3}], "call_type": 7}, {"choices": [None], "usage": "much"}),
    ],
)
def test_nothing_that_litellm_tells_raises(callback, kwargs, response):
    callback.log_success_event(kwargs, response, None, "now")
    callback.log_failure_event(kwargs, response, None, "now")


def test_a_file_that_cannot_be_written_is_said_once(tmp_path, capsys):
    from llmtrace_otel import LLMTraceCallback

    (tmp_path / "file").write_text("")
    callback = LLMTraceCallback(tmp_path / "file" / "below.jsonl")
    for _ in range(3):
        callback.log_success_event(KWARGS, RESPONSE, 0.0, 0.5)
    assert capsys.readouterr().err == (
        f"llmtrace: no conversation record could be written to {tmp_path}/file/below.jsonl: Not a directory; "
        "the program goes on without\n"
    )


def test_a_directory_has_a_file_for_each_session(tmp_path):
    from llmtrace_otel import LLMTraceCallback

    LLMTraceCallback(directory=tmp_path / "sessions").log_success_event(KWARGS, RESPONSE, 0.0, 0.5)
    (file,) = (tmp_path / "sessions").iterdir()
    assert file.name == "subagent%3Aabc12345.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("given", [{}, {"jsonl_path": "a", "directory": "b"}])
def test_a_callback_needs_one_place_to_write_to(given):
    from llmtrace_otel import LLMTraceCallback

    with pytest.raises(ValueError, match="either jsonl_path"):
        LLMTraceCallback(**given)
