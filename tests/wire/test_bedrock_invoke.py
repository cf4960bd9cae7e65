"""Bedrock's InvokeModel: every vendor's own shape, whole and in AWS's frames, and what AWS itself counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.exchange import Exchange
from wire.aws import chunks, event, exception
from wire.fuzzing import fuzz, json_values
from wire.schemas import violations
from wire.talk import Endpoint, asked, played, told

HOST = "bedrock-runtime.us-east-1.amazonaws.com"
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
METRICS = {"inputTokenCount": 12, "outputTokenCount": 5, "invocationLatency": 900, "firstByteLatency": 300}
LAST = {"amazon-bedrock-invocationMetrics": METRICS}
COUNTED = {"x-amzn-bedrock-input-token-count": "12", "x-amzn-bedrock-output-token-count": "5"}
USED = Usage(input=12, output=5)
ASKED = [{"role": "user", "content": "Capital of Peru?"}]
USER = {"role": "user", "parts": [{"type": "text", "content": "Capital of Peru?"}]}


def invoke(model: str, request: dict[str, Any], *, stream: bool = False) -> Endpoint:
    return Endpoint(HOST, f"/model/{model}/invoke{'-with-response-stream' if stream else ''}", request)


def said(finish_reason: str, *parts: dict[str, Any]) -> dict[str, Any]:
    parts = parts or ({"type": "text", "content": "Lima."},)
    return {"role": "assistant", "parts": list(parts), "finish_reason": finish_reason}


# --- Every vendor --------------------------------------------------------------------------------------------------

ANTHROPIC = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "top_k": 5, "messages": ASKED}
LEGACY = {"prompt": "Capital of Peru?", "max_tokens_to_sample": 64, "top_k": 5}
NOVA = {
    "messages": [{"role": "user", "content": [{"text": "Capital of Peru?"}]}],
    "inferenceConfig": {"max_new_tokens": 64, "topK": 5},
}
TITAN = {"inputText": "Capital of Peru?", "textGenerationConfig": {"maxTokenCount": 64, "topP": 0.5, "temperature": 0}}
COMMAND = {"prompt": "Capital of Peru?", "max_tokens": 64, "p": 0.5, "num_generations": 2}
COMMAND_R = {"message": "Capital of Peru?", "max_tokens": 64, "stop_sequences": ["|"]}
LLAMA = {"prompt": "Capital of Peru?", "max_gen_len": 64, "top_p": 0.5}
MISTRAL = {"prompt": "Capital of Peru?", "stop": ["|"], "top_k": 5}
AI21 = {"prompt": "Capital of Peru?", "maxTokens": 64, "stopSequences": ["|"], "numResults": 2}
CHAT = {"messages": ASKED, "max_tokens": 64}
GPT_OSS = CHAT | {"model": "gpt-oss", "stream": True}


NO_CONFIG = {"inputText": "Capital of Peru?"}
REQUESTS = [
    ("us.anthropic.claude-sonnet-4-5-v1:0", ANTHROPIC, "chat", {"max_tokens": 64, "top_k": 5}),
    ("anthropic.claude-v2", LEGACY, "text_completion", {"max_tokens": 64, "top_k": 5}),
    ("amazon.nova-lite-v1:0", NOVA, "chat", {"max_tokens": 64, "top_k": 5}),
    ("amazon.titan-text-lite-v1", TITAN, "text_completion", {"max_tokens": 64, "top_p": 0.5, "temperature": 0.0}),
    ("cohere.command-text-v14", COMMAND, "text_completion", {"max_tokens": 64, "top_p": 0.5, "choice_count": 2}),
    ("cohere.command-r-v1:0", COMMAND_R, "chat", {"max_tokens": 64, "stop_sequences": ["|"]}),
    ("meta.llama3-70b-instruct-v1:0", LLAMA, "text_completion", {"max_tokens": 64, "top_p": 0.5}),
    ("mistral.mistral-7b-instruct-v0:2", MISTRAL, "text_completion", {"stop_sequences": ["|"], "top_k": 5}),
    ("ai21.j2-mid-v1", AI21, "text_completion", {"max_tokens": 64, "stop_sequences": ["|"], "choice_count": 2}),
    ("openai.gpt-oss-20b-1:0", GPT_OSS, "chat", {"max_tokens": 64}),
]
every_vendor = pytest.mark.parametrize(("model", "body", "operation", "fields"), REQUESTS, ids=[r[0] for r in REQUESTS])


@every_vendor
@pytest.mark.parametrize("named", [True, False], ids=["by its name", "by an ARN"])
def test_the_request_of_every_vendor_is_read(
    model: str, body: dict[str, Any], operation: str, fields: dict[str, Any], named: bool
):
    call = played(invoke(model if named else ARN, body), {}, capture=True)
    assert asked(call) == {"request_model": model if named else ARN} | fields
    assert (call.operation, call.input_messages) == (operation, [USER])


@every_vendor
def test_the_path_says_that_a_stream_is_asked_for(
    model: str, body: dict[str, Any], operation: str, fields: dict[str, Any]
):
    call = invoke(model, body, stream=True).begin().call
    assert asked(call) == {"request_model": model, "stream": True} | fields
    assert call.operation == operation


@pytest.mark.parametrize(
    ("model", "body", "operation"),
    [
        ("us.amazon.nova-lite-v1:0", {"messages": NOVA["messages"]}, "chat"),
        ("amazon.titan-tg1-large", NO_CONFIG, "text_completion"),
        ("amazon.titan-embed-text-v2:0", NO_CONFIG, "embeddings"),
        (ARN, NO_CONFIG, "embeddings"),
    ],
)
def test_where_the_body_says_little_the_model_tells(model: str, body: dict[str, Any], operation: str):
    call = played(invoke(model, body), {}, capture=True)
    assert (call.operation, call.input_messages) == (operation, None if operation == "embeddings" else [USER])


@pytest.mark.parametrize(("body", "is_one"), [(LLAMA, True), (CHAT, True), ({"instances": []}, False), ([], False)])
def test_on_a_host_of_nobodys_the_body_must_have_a_known_shape(body: Any, is_one: bool):
    exchange = Exchange.begin("POST", "gateway.example", 443, "/model/m/invoke", json.dumps(body).encode())
    assert (exchange is not None) == is_one


def test_a_conversation_with_command_r_is_read():
    tool = {"name": "capital", "description": "Of a country", "parameter_definitions": {"of": {"type": "str"}}}
    history = [{"role": "CHATBOT", "message": "Ask me."}]
    request = COMMAND_R | {"chat_history": history, "preamble": "Be brief.", "tools": [tool]}
    call = played(invoke("cohere.command-r-v1:0", request), {}, capture=True)
    assert violations(call) == []
    assert call.input_messages == [{"role": "assistant", "parts": [{"type": "text", "content": "Ask me."}]}, USER]
    assert call.system_instructions == [{"type": "text", "content": "Be brief."}]


# --- Answers -------------------------------------------------------------------------------------------------------

MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Lima."}],
}
ANSWERS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "Anthropic": (
        ANTHROPIC,
        MESSAGE | {"stop_reason": "end_turn", "usage": {"input_tokens": 12, "output_tokens": 5}},
        {
            "response_id": "msg_1",
            "response_model": "claude-sonnet-4-5",
            "finish_reasons": ["end_turn"],
            "output_messages": [said("stop")],
        },
    ),
    "Anthropic, legacy": (
        LEGACY,
        {"completion": "Lima.", "stop_reason": "stop_sequence", "stop": "|"},
        {"finish_reasons": ["stop_sequence"], "output_messages": [said("stop")]},
    ),
    "Nova": (
        NOVA,
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "Lima."}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 12, "outputTokens": 5},
        },
        {"finish_reasons": ["end_turn"], "output_messages": [said("stop")]},
    ),
    "Titan": (
        TITAN,
        {
            "inputTextTokenCount": 12,
            "results": [{"tokenCount": 5, "outputText": "Lima.", "completionReason": "FINISH"}],
        },
        {"finish_reasons": ["FINISH"], "output_messages": [said("stop")]},
    ),
    "Cohere Command": (
        COMMAND,
        {
            "id": "1",
            "generations": [
                {"id": "2", "text": "Lima.", "finish_reason": "COMPLETE"},
                {"id": "3", "text": "Lima.", "finish_reason": "MAX_TOKENS"},
            ],
        },
        {"finish_reasons": ["COMPLETE", "MAX_TOKENS"], "output_messages": [said("stop"), said("length")]},
    ),
    "Cohere Command R": (
        COMMAND_R,
        {"response_id": "1", "generation_id": "2", "text": "Lima.", "chat_history": [], "finish_reason": "COMPLETE"},
        {"finish_reasons": ["COMPLETE"], "output_messages": [said("stop")]},
    ),
    "Llama": (
        LLAMA,
        {"generation": "Lima.", "prompt_token_count": 12, "generation_token_count": 5, "stop_reason": "stop"},
        {"finish_reasons": ["stop"], "output_messages": [said("stop")]},
    ),
    "Mistral": (
        MISTRAL,
        {"outputs": [{"text": "Lima.", "stop_reason": "length"}]},
        {"finish_reasons": ["length"], "output_messages": [said("length")]},
    ),
    "Mistral Large": (
        CHAT,
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Lima."}, "stop_reason": "stop"}]},
        {"finish_reasons": ["stop"], "output_messages": [said("stop")]},
    ),
    "AI21": (
        AI21,
        {"id": 7, "completions": [{"data": {"text": "Lima."}, "finishReason": {"reason": "endoftext"}}]},
        {"finish_reasons": ["endoftext"], "output_messages": [said("stop")]},
    ),
    "DeepSeek": (
        MISTRAL,
        {"choices": [{"text": "Lima.", "stop_reason": "stop"}]},
        {"finish_reasons": ["stop"], "output_messages": [said("stop")]},
    ),
    "gpt-oss": (
        GPT_OSS,
        {
            "id": "chatcmpl-1",
            "model": "openai.gpt-oss-20b",
            "choices": [{"message": {"content": "Lima."}, "finish_reason": "stop", "stop_reason": None}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 5},
        },
        {
            "response_id": "chatcmpl-1",
            "response_model": "openai.gpt-oss-20b",
            "finish_reasons": ["stop"],
            "output_messages": [said("stop")],
        },
    ),
}
every_answer = pytest.mark.parametrize(("request_body", "answer", "expected"), ANSWERS.values(), ids=ANSWERS)


@every_answer
def test_the_answer_of_every_vendor_is_read(
    request_body: dict[str, Any], answer: dict[str, Any], expected: dict[str, Any]
):
    call = played(invoke(ARN, request_body), answer, headers=COUNTED, capture=True)
    assert violations(call) == []
    assert told(call) == expected | {"usage": USED, "complete": True}


@every_answer
def test_without_content_the_same_is_told(
    request_body: dict[str, Any], answer: dict[str, Any], expected: dict[str, Any]
):
    without = {name: value for name, value in expected.items() if name != "output_messages"}
    assert told(played(invoke(ARN, request_body), answer, headers=COUNTED)) == without | {
        "usage": USED,
        "complete": True,
    }


def test_tool_calls_of_command_r_and_mistral_are_read():
    cohere = {"text": "", "generation_id": "1", "tool_calls": [{"name": "capital", "parameters": {"of": "Peru"}}]}
    mistral = {"id": "t1", "function": {"name": "capital", "arguments": '{"of": "Peru"}'}}
    choices = {"choices": [{"message": {"content": "", "tool_calls": [mistral]}, "stop_reason": "tool_calls"}]}
    called = {"type": "tool_call", "name": "capital", "arguments": {"of": "Peru"}}
    for request, answer, part in ((COMMAND_R, cohere, called), (CHAT, choices, called | {"id": "t1"})):
        call = played(invoke(ARN, request), answer, capture=True)
        assert violations(call) == []
        assert call.output_messages is not None
        assert call.output_messages[0]["parts"] == [part]


# --- What AWS counts -----------------------------------------------------------------------------------------------


def test_the_tokens_of_the_headers_count_where_the_body_has_none():
    headers = COUNTED | {
        "x-amzn-bedrock-cache-read-input-token-count": "100",
        "x-amzn-bedrock-cache-write-input-token-count": "0",
    }
    call = played(invoke("m", MISTRAL), {"outputs": []}, headers=headers)
    assert call.usage == Usage(input=112, output=5, cache_read=100, cache_write=0)


def test_the_tokens_of_the_body_count_before_those_of_the_headers():
    usage = {"input_tokens": 4, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 90, "output_tokens": 6}
    call = played(invoke("m", ANTHROPIC), MESSAGE | {"usage": usage}, headers=COUNTED)
    assert call.usage == Usage(input=94, output=6, cache_read=0, cache_write=90)


@pytest.mark.parametrize("value", ["", "many", "-1", "1.5", str(2**63)])
def test_a_header_that_counts_nothing_is_none(value: str):
    headers = {"x-amzn-bedrock-input-token-count": value}
    assert played(invoke("m", MISTRAL), {"outputs": []}, headers=headers).usage is None


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("body", [ANTHROPIC, CHAT], ids=["Anthropic", "gpt-oss"])
def test_the_tier_of_the_headers_counts_before_the_vendors(body: dict[str, Any], streamed: bool):
    answer = ANSWERS["Anthropic" if body is ANTHROPIC else "gpt-oss"][1] | {"service_tier": "default"}
    stream = chunks({"type": "message_stop"} if body is ANTHROPIC else {"choices": [], "service_tier": "default"})
    headers = {"x-amzn-bedrock-service-tier": "flex"}
    call = played(invoke("m", body, stream=streamed), stream if streamed else answer, headers=headers)
    assert call.service_tier == "flex"


@pytest.mark.parametrize(
    ("model", "body", "fields"),
    [
        (
            "amazon.titan-embed-text-v2:0",
            {"inputText": "Lima", "dimensions": 256, "embeddingTypes": ["binary"]},
            {"dimensions": 256, "encoding_formats": ["binary"]},
        ),
        ("amazon.titan-embed-image-v1", {"embeddingConfig": {"outputEmbeddingLength": 256}}, {"dimensions": 256}),
        (
            "cohere.embed-v4:0",
            {"texts": ["Lima"], "output_dimension": 256, "embedding_types": ["int8"]},
            {"dimensions": 256, "encoding_formats": ["int8"]},
        ),
        (
            "amazon.nova-2-multimodal-embeddings-v1:0",
            {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {"embeddingDimension": 256}},
            {"dimensions": 256},
        ),
    ],
)
@pytest.mark.parametrize(
    "answer", [{"embedding": [0.5]}, {"id": "1", "embeddings": {"float": [[0.5]]}, "texts": ["Lima"]}]
)
def test_embeddings_are_read(model: str, body: dict[str, Any], fields: dict[str, Any], answer: dict[str, Any]):
    headers = {"x-amzn-bedrock-input-token-count": "2"}
    call = played(invoke(model, body), answer, headers=headers, capture=True)
    assert asked(call) == {"request_model": model} | fields
    assert (call.operation, told(call)) == ("embeddings", {"usage": Usage(input=2), "complete": True})


def test_titan_counts_what_it_embeds_itself():
    call = played(invoke(ARN, NO_CONFIG), {"embedding": [0.5], "inputTextTokenCount": 2})
    assert told(call) == {"usage": Usage(input=2), "complete": True}


# --- Streams -------------------------------------------------------------------------------------------------------

STREAMS: dict[str, tuple[dict[str, Any], tuple[dict[str, Any], ...], dict[str, Any]]] = {
    "Anthropic": (
        ANTHROPIC,
        (
            {
                "type": "message_start",
                "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 12, "output_tokens": 1}},
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Lima."}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
            {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS | {"outputTokenCount": 4}},
        ),
        {"response_id": "msg_1", "response_model": "claude", "finish_reasons": ["end_turn"]},
    ),
    "Anthropic, legacy": (
        LEGACY,
        ({"completion": "Li", "stop_reason": None}, {"completion": "ma.", "stop_reason": "stop_sequence"} | LAST),
        {"finish_reasons": ["stop_sequence"]},
    ),
    "Nova": (
        NOVA,
        (
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "Li"}, "contentBlockIndex": 0}},
            {"contentBlockDelta": {"delta": {"text": "ma."}, "contentBlockIndex": 1}},
            {"messageStop": {"stopReason": "end_turn"}},
            {"metadata": {"usage": {"inputTokens": 12, "outputTokens": 5}}} | LAST,
        ),
        {"finish_reasons": ["end_turn"]},
    ),
    "Titan": (
        TITAN,
        (
            {"outputText": "Li", "index": 0, "completionReason": None, "inputTextTokenCount": 12},
            {"outputText": "ma.", "index": 1, "totalOutputTextTokenCount": 5, "completionReason": "FINISH"} | LAST,
        ),
        {"finish_reasons": ["FINISH"]},
    ),
    "Cohere Command": (
        COMMAND,
        ({"is_finished": False, "text": "Lima."}, {"is_finished": True, "finish_reason": "COMPLETE"} | LAST),
        {"finish_reasons": ["COMPLETE"]},
    ),
    "Cohere Command R": (
        COMMAND_R,
        (
            {"event_type": "stream-start", "generation_id": "1"},
            {"event_type": "text-generation", "text": "Lima."},
            {
                "event_type": "stream-end",
                "finish_reason": "COMPLETE",
                "response": {"text": "Lima.", "finish_reason": "COMPLETE"},
            }
            | LAST,
        ),
        {"finish_reasons": ["COMPLETE"]},
    ),
    "Llama": (
        LLAMA,
        (
            {"generation": "Li", "prompt_token_count": 12, "generation_token_count": 1, "stop_reason": None},
            {"generation": "ma.", "prompt_token_count": None, "generation_token_count": 5, "stop_reason": "stop"}
            | LAST,
        ),
        {"finish_reasons": ["stop"]},
    ),
    "Mistral": (
        MISTRAL,
        (
            {"outputs": [{"text": "Li", "stop_reason": None}]},
            {"outputs": [{"text": "ma.", "stop_reason": "stop"}]} | LAST,
        ),
        {"finish_reasons": ["stop"]},
    ),
    "Mistral Large": (
        CHAT,
        (
            {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Li"}, "stop_reason": None}]},
            {"choices": [{"index": 0, "message": {"role": "assistant", "content": "ma."}, "stop_reason": "stop"}]}
            | LAST,
        ),
        {"finish_reasons": ["stop"]},
    ),
    "gpt-oss": (
        GPT_OSS,
        (
            {
                "id": "c1",
                "model": "gpt-oss",
                "choices": [{"index": 0, "delta": {"content": "Li"}, "finish_reason": None}],
            },
            {"id": "c1", "model": "gpt-oss", "choices": [{"index": 0, "delta": {"content": "ma."}}]},
            {"id": "c1", "model": "gpt-oss", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]} | LAST,
        ),
        {"response_id": "c1", "response_model": "gpt-oss", "finish_reasons": ["stop"]},
    ),
}
every_stream = pytest.mark.parametrize(("request_body", "stream", "expected"), STREAMS.values(), ids=STREAMS)


@every_stream
@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("size", [1, 10_000])
def test_the_stream_of_every_vendor_is_read(
    request_body: dict[str, Any],
    stream: tuple[dict[str, Any], ...],
    expected: dict[str, Any],
    capture: bool,
    size: int,
):
    body = chunks(*stream)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    call = played(invoke(ARN, request_body, stream=True), body, pieces=pieces, capture=capture)
    assert violations(call) == []
    texts = [part["content"] for message in call.output_messages or () for part in message["parts"]]
    reasons = [message["finish_reason"] for message in call.output_messages or ()]
    assert ("".join(texts), reasons) == (("Lima.", ["stop"]) if capture else ("", []))
    call.output_messages = None
    assert told(call) == expected | {"usage": USED, "complete": True}


def test_the_metrics_of_the_last_chunk_exclude_cached_tokens():
    metrics = METRICS | {"cacheReadInputTokenCount": 100, "cacheWriteInputTokenCount": 0}
    stream = chunks({"outputs": []}, {"outputs": [], "amazon-bedrock-invocationMetrics": metrics})
    assert told(played(invoke("m", MISTRAL, stream=True), stream)) == {
        "usage": Usage(input=112, output=5, cache_read=100, cache_write=0),
        "complete": True,
    }


@pytest.mark.parametrize("capture", [False, True])
def test_a_cut_stream_has_what_was_counted_so_far(capture: bool):
    request, stream, _ = STREAMS["Llama"]
    call = played(invoke("m", request, stream=True), chunks(stream[0]), capture=capture)
    content = {"output_messages": [said("error", {"type": "text", "content": "Li"})]} if capture else {}
    assert told(call) == {"usage": Usage(input=12, output=1)} | content


def test_a_tool_call_of_a_streamed_claude_is_put_together():
    stream = chunks(
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "t1", "name": "capital"},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": '{"of": "Pe'},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": 'ru"}'}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
    )
    call = played(invoke("m", ANTHROPIC, stream=True), stream, capture=True)
    assert call.output_messages == [
        said("tool_call", {"type": "tool_call", "id": "t1", "name": "capital", "arguments": {"of": "Peru"}})
    ]


# --- Errors and surprises ------------------------------------------------------------------------------------------


def test_a_refusal_is_named_by_its_header():
    headers = {"x-amzn-errortype": "AccessDeniedException"}
    call = played(invoke("m", LLAMA), {"message": "No access"}, status=403, headers=headers)
    assert told(call) == {"error_type": "AccessDeniedException", "error_message": "No access"}


@every_stream
def test_an_exception_may_end_a_good_stream(
    request_body: dict[str, Any], stream: tuple[dict[str, Any], ...], expected: dict[str, Any]
):
    body = chunks(stream[0]) + exception("modelTimeoutException", "Too slow")
    call = played(invoke("m", request_body, stream=True), body)
    assert (call.error_type, call.error_message, call.complete) == ("modelTimeoutException", "Too slow", False)


@pytest.mark.parametrize(
    "payload", [{}, {"bytes": "no base64!"}, {"bytes": 7}, {"bytes": ""}, {"bytes": "AAAA"}, [], None]
)
def test_a_chunk_that_holds_nothing_readable_is_passed_over(payload: Any):
    request, stream, expected = STREAMS["Nova"]
    call = played(invoke("m", request, stream=True), event("chunk", payload) + chunks(*stream))
    assert told(call) == expected | {"usage": USED, "complete": True}


def test_a_field_of_a_surprising_type_loses_itself():
    request = {"prompt": "Hi", "max_gen_len": "many", "temperature": 0.5, "textGenerationConfig": 7}
    answer = {"generation": ["Lima."], "generation_token_count": 5, "prompt_token_count": -1, "stop_reason": "stop"}
    call = played(invoke("m", request), answer, capture=True)
    assert asked(call) == {"request_model": "m", "temperature": 0.5}
    assert told(call) == {
        "finish_reasons": ["stop"],
        "usage": Usage(output=5),
        "output_messages": [{"role": "assistant", "parts": [], "finish_reason": "stop"}],
        "complete": True,
    }


WORDS = """
    anthropic_version prompt max_tokens message messages inputText texts inferenceConfig textGenerationConfig role
    content text choices delta finish_reason stop_reason output results outputs completions generations generation
    completion type event_type is_finished messageStart messageStop usage tokenCount inputTextTokenCount
    amazon-bedrock-invocationMetrics inputTokenCount data finishReason index tool_calls embedding
"""
anything = json_values(st.sampled_from(WORDS.split()))


@fuzz
@given(anything, anything, st.booleans())
def test_no_json_breaks_a_call(request: Any, answer: Any, capture: bool):
    call = played(invoke("m", {}), json.dumps(answer).encode(), body=json.dumps(request).encode(), capture=capture)
    assert violations(call) == []


def streamed(request: Any, stream: list[Any], *, capture: bool) -> Call:
    body = json.dumps(request).encode()
    return played(invoke("m", {}, stream=True), chunks(*stream), body=body, capture=capture)


@fuzz
@given(anything, st.lists(anything, max_size=5))
def test_no_stream_breaks_a_call(request: Any, stream: list[Any]):
    assert violations(streamed(request, stream, capture=True)) == []
    assert streamed(request, stream, capture=False).output_messages is None
