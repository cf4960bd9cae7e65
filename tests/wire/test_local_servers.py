"""The own endpoints of servers that people run themselves: llama.cpp and LM Studio."""

from __future__ import annotations

from typing import Any

import pytest

from llmtrace_otel.wire.call import Usage
from wire.schemas import violations
from wire.talk import Endpoint, asked, played, sse, told

COMPLETION = Endpoint(
    "localhost", "/completion", {"prompt": "Lima is", "n_predict": 16, "seed": 3, "stop": ["."]}, port=8080
)
CHAT = Endpoint("localhost", "/api/v1/chat", {"model": "qwen", "input": "Capital of Peru?"}, port=1234)

ENDED = {
    "content": "",
    "stop": True,
    "model": "qwen.gguf",
    "stop_type": "limit",
    "tokens_evaluated": 9,
    "tokens_predicted": 4,
    "timings": {"prompt_n": 2, "cache_n": 7, "predicted_n": 4},
}
COUNTED = {
    "response_model": "qwen.gguf",
    "finish_reasons": ["limit"],
    "usage": Usage(input=9, output=4, cache_read=7),
    "complete": True,
}
TEXT = {"type": "text", "content": "the capital"}


def output(finish_reason: str, *parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "assistant", "parts": list(parts), "finish_reason": finish_reason}]


def bytewise(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


def test_what_a_completion_of_llamacpp_asks_for():
    call = played(COMPLETION, ENDED, capture=True)
    assert asked(call) == {"max_tokens": 16, "seed": 3, "stop_sequences": ["."]}
    assert call.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Lima is"}]}]
    assert (call.provider, call.operation) == ("llamacpp", "text_completion")


def test_negative_numbers_of_llamacpp_mean_any_and_are_not_recorded():
    endless = Endpoint("localhost", "/completion", {"prompt": "Hi", "n_predict": -1, "seed": -1}, port=8080)
    assert asked(played(endless, ENDED)) == {}


@pytest.mark.parametrize("capture", [False, True])
def test_a_whole_completion_of_llamacpp(capture: bool):
    call = played(COMPLETION, ENDED | {"content": "the capital"}, capture=capture)
    content = {"output_messages": output("limit", TEXT)} if capture else {}
    assert told(call) == COUNTED | content
    assert violations(call) == []


STREAM = sse({"content": "the", "stop": False}, {"content": " capital", "stop": False}, ENDED)


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("pieces", [[STREAM], bytewise(STREAM)], ids=["whole", "bytewise"])
def test_a_streamed_completion_of_llamacpp(capture: bool, pieces: list[bytes]):
    call = played(COMPLETION, b"", pieces=pieces, capture=capture)
    content = {"output_messages": output("limit", TEXT)} if capture else {}
    assert told(call) == COUNTED | content


def test_a_stream_of_llamacpp_that_is_cut_has_no_counts():
    call = played(COMPLETION, sse({"content": "the", "stop": False}), left=True, capture=True)
    assert told(call) == {"output_messages": output("error", {"type": "text", "content": "the"})}


def test_an_error_in_a_stream_of_llamacpp_is_one():
    call = played(COMPLETION, sse({"error": {"code": 500, "type": "server_error", "message": "no slot"}}))
    assert (call.error_type, call.error_message) == ("server_error", "no slot")


def test_an_embedding_of_llamacpp_counts_nothing():
    embedding = Endpoint("localhost", "/embedding", {"content": "Lima"}, port=8080)
    call = played(embedding, b'[{"index":0,"embedding":[[0.1]]}]', capture=True)
    assert (call.operation, told(call), violations(call)) == ("embeddings", {"complete": True, "keys_seen": []}, [])


RESULT = {
    "model_instance_id": "qwen@q4",
    "response_id": "resp_1",
    "output": [
        {"type": "reasoning", "content": "Hm."},
        {"type": "tool_call", "tool": "search", "arguments": {"q": "Lima"}, "output": "found"},
        {"type": "message", "content": "Lima."},
    ],
    "stats": {"input_tokens": 20, "total_output_tokens": 8, "reasoning_output_tokens": 3},
}
CHATTED = {
    "response_id": "resp_1",
    "response_model": "qwen@q4",
    "usage": Usage(input=20, output=8, reasoning=3),
    "complete": True,
}
SAID = output(
    "stop",
    {"type": "reasoning", "content": "Hm."},
    {
        "type": "server_tool_call",
        "name": "search",
        "server_tool_call": {"type": "tool_call", "arguments": {"q": "Lima"}, "output": "found"},
    },
    {"type": "text", "content": "Lima."},
)
EVENTS = sse(
    {"type": "chat.start", "model_instance_id": "qwen@q4"},
    {"type": "message.delta", "content": "Lima."},
    {"type": "chat.end", "result": RESULT},
)


def test_what_a_chat_of_lm_studio_asks_for():
    request = {"max_output_tokens": 9, "reasoning": "low", "previous_response_id": "resp_0", "stream": True, "top_k": 4}
    asking = Endpoint(CHAT.host, CHAT.path, CHAT.request | request | {"system_prompt": "Be brief."}, port=1234)
    call = played(asking, RESULT, capture=True)
    assert asked(call) == {
        "request_model": "qwen",
        "max_tokens": 9,
        "reasoning_level": "low",
        "previous_response_id": "resp_0",
        "stream": True,
        "top_k": 4,
    }
    assert call.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert violations(call) == []


def test_a_picture_for_lm_studio_is_not_copied():
    items = [{"type": "message", "content": "What is it?"}, {"type": "image", "data_url": "data:image/png;base64,AAAA"}]
    call = played(Endpoint(CHAT.host, CHAT.path, CHAT.request | {"input": items}, port=1234), RESULT, capture=True)
    assert call.input_messages is not None
    text, picture = call.input_messages[0]["parts"]
    assert text == {"type": "text", "content": "What is it?"}
    assert (picture["type"], picture["mime_type"], picture["size"], picture["content"]) == ("blob", "image/png", 3, "")
    assert violations(call) == []


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("answer", [RESULT, EVENTS], ids=["whole", "streamed"])
def test_an_answer_of_lm_studio(answer: Any, capture: bool):
    call = played(CHAT, answer, capture=capture)
    assert told(call) == CHATTED | ({"output_messages": SAID} if capture else {})
    assert violations(call) == []


def test_an_answer_of_lm_studio_byte_by_byte():
    assert told(played(CHAT, b"", pieces=bytewise(EVENTS))) == CHATTED


def test_a_chat_of_lm_studio_that_is_cut_keeps_its_model_and_what_was_said():
    call = played(CHAT, EVENTS[: EVENTS.index(b"event: chat.end")], left=True, capture=True)
    assert told(call) == {
        "response_model": "qwen@q4",
        "output_messages": output("error", {"type": "text", "content": "Lima."}),
    }


def test_an_error_of_lm_studio_in_a_stream_is_one():
    call = played(CHAT, sse({"type": "error", "error": {"type": "invalid_request", "message": "no such model"}}))
    assert (call.error_type, call.error_message) == ("invalid_request", "no such model")
