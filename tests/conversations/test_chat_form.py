"""The conventions' messages as chat messages, whatever is in them."""

import pytest

from llmtrace_otel.conversations.chat import chat_messages
from llmtrace_otel.conversations.record import Record, clean_messages, finish_reason
from llmtrace_otel.telemetry.content import WITHHELD, set_redaction
from llmtrace_otel.wire import anthropic_messages, openai_chat, openai_responses

IMAGE = {"type": "image_url", "image_url": {"url": "https://x.test/cat.png"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
OTHER_CALL = {**CALL, "id": "call_2"}


@pytest.fixture
def redaction():
    yield set_redaction
    set_redaction(None)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "name": "ada", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE]},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "content": "So.", "reasoning_content": "Hm.", "tool_calls": [CALL, OTHER_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "found"},
    ],
)
def test_chat_messages_come_back_as_they_were(message):
    assert chat_messages([openai_chat.input_message(message)]) == [message]


def test_a_tool_result_in_a_users_message_is_a_message_of_its_own():
    blocks = [{"type": "tool_result", "tool_use_id": "t1", "content": "42"}, {"type": "text", "text": "and now?"}]
    assert chat_messages([anthropic_messages.input_message({"role": "user", "content": blocks})]) == [
        {"role": "tool", "tool_call_id": "t1", "content": "42"},
        {"role": "user", "content": "and now?"},
    ]


def test_items_of_a_responses_call_are_chat_messages():
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "ok"},
    ]
    assert chat_messages(map(openai_responses.input_message, items)) == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    ]


def test_what_chat_has_no_form_for_stays_as_it_is():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
    (message,) = chat_messages([openai_chat.input_message({"role": "user", "content": [picture]})])
    assert message["content"] == [
        {
            "type": "blob",
            "modality": "image",
            "content": "",
            "mime_type": "image/png",
            "size": 5,
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        }
    ]


@pytest.mark.parametrize(
    ("response", "content"),
    [({"a": 1}, '{"a":1}'), ([1, 2], "[1,2]"), (None, "null"), ([{"type": "text", "content": "x"}], "x")],
)
def test_a_tools_structured_result_is_text(response, content):
    part = {"type": "tool_call_response", "id": "c", "response": response}
    assert chat_messages([{"role": "tool", "parts": [part]}]) == [
        {"role": "tool", "tool_call_id": "c", "content": content}
    ]


@pytest.mark.parametrize("message", [{}, {"parts": None}, {"parts": [None, 3, {}]}, {"role": "user", "content": "x"}])
def test_messages_of_surprising_shapes_are_messages(message):
    assert len(chat_messages([message])) == 1


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        (["stop"], "stop"),
        (["end_turn"], "stop"),
        (["tool_use"], "tool_calls"),
        (["tool_calls"], "tool_calls"),
        (["MAX_TOKENS"], "length"),
        (["length", "stop"], "length"),
        (None, None),
        ([3], None),
    ],
)
def test_finish_reasons_are_in_the_chat_formats_words(stated, reason):
    assert finish_reason(stated, []) == reason


def test_the_answer_tells_its_finish_reason_where_nothing_else_does():
    assert finish_reason(None, [{"role": "assistant", "parts": [], "finish_reason": "tool_call"}]) == "tool_calls"


def said(text):
    return [{"role": "user", "parts": [{"type": "text", "content": text}]}]


def test_the_users_redaction_and_ours_both_apply(redaction):
    redaction(lambda text: text.replace("Ada", "[name]"))
    assert clean_messages(said("Ada's password=hunter2")) == [
        {"role": "user", "content": "[name]'s password=[redacted]"}
    ]


def test_a_redaction_that_fails_withholds(redaction):
    redaction(lambda text: text.no_such_thing)
    assert clean_messages(said("Ada")) == [{"role": "user", "content": WITHHELD}]


def test_secrets_in_arguments_and_results_go_too():
    call = {"type": "tool_call", "id": "c", "name": "login", "arguments": {"user": "me", "password": "hunter2"}}
    answer = {"type": "tool_call_response", "id": "c", "response": "token=abcdef123456"}
    assert clean_messages([{"role": "assistant", "parts": [call]}, {"role": "tool", "parts": [answer]}]) == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c",
                    "type": "function",
                    "function": {"name": "login", "arguments": '{"user":"me","password":"[redacted]"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "token=[redacted]"},
    ]


def test_content_that_is_nested_too_deep_is_withheld():
    deep: object = "x"
    for _ in range(100_000):
        deep = [deep]
    part = {"type": "tool_call_response", "id": "c", "response": deep}
    assert clean_messages([{"role": "tool", "parts": [part]}]) == [
        {"role": "tool", "tool_call_id": "c", "content": WITHHELD}
    ]


def test_a_record_is_one_line_whatever_is_in_it():
    odd = Record(event_type="failure", metadata={"n": float("nan"), "lone": "\ud800"}, error_message="two\nlines")
    line = odd.line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")
