"""watsonx.ai: chat, which is OpenAI's but for the model's name, and generation."""

from __future__ import annotations

from typing import Any

import pytest

from llmtrace_otel.wire.call import Usage
from wire.schemas import violations
from wire.talk import Endpoint, asked, played, sse, told

HOST = "us-south.ml.cloud.ibm.com"
QUESTION = [{"role": "user", "content": "Capital of Peru?"}]
CHAT = Endpoint(HOST, "/ml/v1/text/chat", {"model_id": "ibm/granite", "project_id": "p", "messages": QUESTION})
CHAT_STREAM = Endpoint(HOST, "/ml/v1/text/chat_stream", CHAT.request)
GENERATION = Endpoint(
    HOST,
    "/ml/v1/text/generation",
    {
        "model_id": "google/flan-ul2",
        "input": "Lima is",
        "parameters": {"max_new_tokens": 9, "temperature": 0.5, "random_seed": 4, "stop_sequences": ["."]},
    },
)
STREAM = Endpoint(HOST, "/ml/v1/text/generation_stream", GENERATION.request)
DEPLOYED = Endpoint(HOST, "/ml/v1/deployments/my-granite/text/generation", {"input": "Lima is"})

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def result(text: str, inputs: int, outputs: int, reason: str = "not_finished") -> dict[str, Any]:
    found = {
        "generated_text": text,
        "input_token_count": inputs,
        "generated_token_count": outputs,
        "stop_reason": reason,
    }
    return {"model_id": "google/flan-ul2", "created_at": "2026-11-01T00:00:00Z", "results": [found]}


def output(text: str, finish_reason: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "parts": [{"type": "text", "content": text}], "finish_reason": finish_reason}]


def test_chat_names_its_model_by_another_word():
    answer = {
        "id": "chatcmpl-1",
        "model_id": "ibm/granite",
        "model": "ibm/granite",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Lima."}}],
        "usage": USAGE,
    }
    call = played(CHAT, answer, capture=True)
    assert (call.provider, call.operation) == ("ibm.watsonx.ai", "chat")
    assert asked(call) == {"request_model": "ibm/granite"}
    assert told(call) == {
        "response_id": "chatcmpl-1",
        "response_model": "ibm/granite",
        "finish_reasons": ["stop"],
        "usage": Usage(input=12, output=3),
        "complete": True,
        "output_messages": output("Lima.", "stop"),
    }
    assert violations(call) == []


def test_a_streamed_chat_is_asked_for_by_its_path():
    chunk = {"id": "chatcmpl-1", "model_id": "ibm/granite", "model": "ibm/granite"}
    stream = sse(
        chunk | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Lima."}}]},
        chunk | {"choices": [{"index": 0, "finish_reason": "stop", "delta": {}}]},
        chunk | {"choices": [], "usage": USAGE},
    )
    call = played(CHAT_STREAM, stream)
    assert asked(call) == {"request_model": "ibm/granite", "stream": True}
    assert (call.usage, call.finish_reasons, call.complete) == (Usage(input=12, output=3), ["stop"], True)


def test_what_a_generation_asks_for():
    call = played(GENERATION, result("the capital", 3, 2, "eos_token"), capture=True)
    assert asked(call) == {
        "request_model": "google/flan-ul2",
        "max_tokens": 9,
        "temperature": 0.5,
        "seed": 4,
        "stop_sequences": ["."],
    }
    assert call.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Lima is"}]}]
    assert told(call) == {
        "response_model": "google/flan-ul2",
        "finish_reasons": ["eos_token"],
        "usage": Usage(input=3, output=2),
        "complete": True,
        "output_messages": output("the capital", "eos_token"),
    }
    assert violations(call) == []


def test_a_deployment_is_named_by_the_path():
    assert asked(played(DEPLOYED, result("x", 1, 1, "eos_token"))) == {"request_model": "my-granite"}


EVENTS = sse(result("", 3, 0), result("the", 0, 1), result(" capital", 0, 2), result("", 0, 3, "max_tokens"))


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_counts_its_input_first_and_its_output_all_along(capture: bool, size: int):
    pieces = [EVENTS[at : at + size] for at in range(0, len(EVENTS), size)]
    call = played(STREAM, b"", pieces=pieces, capture=capture)
    assert call.stream is True
    content = {"output_messages": output("the capital", "length")} if capture else {}
    assert (
        told(call)
        == {
            "response_model": "google/flan-ul2",
            "finish_reasons": ["max_tokens"],
            "usage": Usage(input=3, output=3),
            "complete": True,
        }
        | content
    )


def test_a_stream_that_is_left_has_what_was_counted_and_is_not_complete():
    call = played(STREAM, sse(result("", 3, 0), result("the", 0, 1)), left=True)
    assert (call.usage, call.complete, call.finish_reasons) == (Usage(input=3, output=1), False, None)


def test_an_error_names_itself():
    error = {"errors": [{"code": "model_not_supported", "message": "No such model"}], "status_code": 404}
    call = played(GENERATION, error, status=404)
    assert (call.error_type, call.error_message) == ("model_not_supported", "No such model")
    call = played(STREAM, sse(error))
    assert (call.error_type, call.error_message) == ("model_not_supported", "No such model")


def test_other_versions_paths_are_no_calls():
    from llmtrace_otel.wire.exchange import Exchange

    path = "/ml/v1/text/tokenization"
    assert Exchange.begin("POST", HOST, 443, path, b'{"model_id": "m", "input": "x"}') is None
