"""Bedrock's Converse: one shape for every vendor's models, whole and in AWS's frames."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.exchange import Exchange
from wire.aws import event, events, exception
from wire.fuzzing import fuzz, json_values
from wire.schemas import violations
from wire.talk import Endpoint, asked, played, told

HOST = "bedrock-runtime.eu-central-1.amazonaws.com"
MODEL = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
HELLO = {"messages": [{"role": "user", "content": [{"text": "Capital of Peru?"}]}]}
CONVERSE = Endpoint(HOST, f"/model/{MODEL}/converse", HELLO)
STREAM = Endpoint(HOST, f"/model/{MODEL}/converse-stream", HELLO)

USAGE = {"inputTokens": 12, "outputTokens": 5, "totalTokens": 17}
LIMA = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Lima."}]}},
    "stopReason": "end_turn",
    "usage": USAGE,
    "metrics": {"latencyMs": 300},
}
LIMA_STREAM = (
    ("messageStart", {"role": "assistant", "p": "abc"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Li"}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "ma."}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 300}, "p": "a"}),
)
TOLD = {"finish_reasons": ["end_turn"], "usage": Usage(input=12, output=5), "complete": True}
SAID = [{"role": "assistant", "parts": [{"type": "text", "content": "Lima."}], "finish_reason": "stop"}]


def content(answer: Any, endpoint: Endpoint = CONVERSE, **request: Any) -> Call:
    call = played(endpoint, answer, body=json.dumps(endpoint.request | request).encode(), capture=True)
    assert violations(call) == []
    return call


# --- Requests ------------------------------------------------------------------------------------------------------


def request(endpoint: Endpoint = CONVERSE, **fields: Any) -> dict[str, Any]:
    return asked(endpoint.begin(body=json.dumps(HELLO | fields).encode()).call)


def test_the_request_is_read():
    inference = {"maxTokens": 64, "temperature": 0, "topP": 0.9, "stopSequences": ["|"]}
    assert request(inferenceConfig=inference, serviceTier={"type": "flex"}) == {
        "request_model": MODEL,
        "max_tokens": 64,
        "temperature": 0.0,
        "top_p": 0.9,
        "stop_sequences": ["|"],
        "request_service_tier": "flex",
    }


def test_the_path_says_that_a_stream_is_asked_for():
    assert request(STREAM) == {"request_model": MODEL, "stream": True}


def test_the_model_may_be_an_arn():
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
    assert request(Endpoint(HOST, f"/model/{arn}/converse")) == {"request_model": arn}


@pytest.mark.parametrize(
    "fields", [{"top_k": 40}, {"inferenceConfig": {"topK": 40}}], ids=["in Anthropic's words", "in Nova's"]
)
def test_top_k_is_among_the_fields_for_the_model(fields: dict[str, Any]):
    assert request(additionalModelRequestFields=fields) == {"request_model": MODEL, "top_k": 40}


@pytest.mark.parametrize(
    "fields",
    [
        {"outputConfig": {"effort": "high"}},
        {"additionalModelRequestFields": {"output_config": {"effort": "high"}}},
        {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}},
        {"additionalModelRequestFields": {"reasoning_effort": "high"}},
        {"additionalModelRequestFields": {"reasoning_config": "high"}},
    ],
)
def test_the_reasoning_level_is_known_by_many_names(fields: dict[str, Any]):
    assert request(**fields) == {"request_model": MODEL, "reasoning_level": "high"}


def test_a_reasoning_budget_is_no_level():
    fields = {"reasoning_config": {"type": "enabled", "budget_tokens": 1024}, "top_k": 5}
    assert request(additionalModelRequestFields=fields) == {"request_model": MODEL, "top_k": 5}


def test_a_json_schema_asks_for_json():
    text_format = {"type": "json_schema", "structure": {"jsonSchema": {"name": "city", "schema": "{}"}}}
    assert request(outputConfig={"textFormat": text_format}) == {"request_model": MODEL, "output_type": "json"}


@pytest.mark.parametrize(("body", "is_one"), [(HELLO, True), ({"prompt": "Hi"}, False), ([], False)])
def test_on_a_host_of_nobodys_the_body_must_fit(body: Any, is_one: bool):
    exchange = Exchange.begin("POST", "gateway.example", 443, f"/model/{MODEL}/converse", json.dumps(body).encode())
    assert (exchange is not None) == is_one


# --- Answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", [False, True])
def test_an_answer_is_read(capture: bool):
    assert told(played(CONVERSE, LIMA, capture=capture)) == TOLD | ({"output_messages": SAID} if capture else {})


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_is_read_however_it_is_cut(size: int, capture: bool):
    stream = events(*LIMA_STREAM)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    call = played(STREAM, stream, pieces=pieces, capture=capture)
    assert told(call) == TOLD | ({"output_messages": SAID} if capture else {})


CACHED = {
    "inputTokens": 10,
    "cacheReadInputTokens": 100,
    "cacheWriteInputTokens": 30,
    "outputTokens": 5,
    "totalTokens": 145,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 20}, {"ttl": "5m", "inputTokens": 10}],
}


@pytest.mark.parametrize("streamed", [False, True])
def test_cached_tokens_are_part_of_the_input(streamed: bool):
    metadata = ("metadata", {"usage": CACHED})
    call = played(STREAM, events(metadata)) if streamed else played(CONVERSE, LIMA | {"usage": CACHED})
    assert call.usage == Usage(input=140, output=5, cache_read=100, cache_write=30, cache_write_1h=20)


def test_what_is_written_for_five_minutes_only_is_not_written_for_an_hour():
    usage = USAGE | {"cacheWriteInputTokens": 10, "cacheDetails": [{"ttl": "5m", "inputTokens": 10}]}
    assert played(CONVERSE, LIMA | {"usage": usage}).usage == Usage(
        input=22, output=5, cache_write=10, cache_write_1h=0
    )


@pytest.mark.parametrize("streamed", [False, True])
def test_the_tier_that_served_the_call_is_told(streamed: bool):
    tier = {"usage": USAGE, "serviceTier": {"type": "priority"}}
    call = played(STREAM, events(("metadata", tier))) if streamed else played(CONVERSE, LIMA | tier)
    assert call.service_tier == "priority"


def test_an_answer_without_usage_has_none():
    assert told(played(CONVERSE, {"stopReason": "end_turn"})) == {
        "finish_reasons": ["end_turn"],
        "complete": True,
        "keys_seen": ["stopReason"],
    }


def test_a_guardrail_that_steps_in_filters():
    call = content(LIMA | {"stopReason": "guardrail_intervened"})
    assert call.finish_reasons == ["guardrail_intervened"]
    assert call.output_messages is not None
    assert call.output_messages[0]["finish_reason"] == "content_filter"


# --- Errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [CONVERSE, STREAM])
def test_a_refusal_is_named_by_its_header(endpoint: Endpoint):
    headers = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/"}
    call = played(endpoint, {"message": "Too many tokens"}, status=429, headers=headers)
    assert told(call) == {"error_type": "ThrottlingException", "error_message": "Too many tokens"}


@pytest.mark.parametrize("capture", [False, True])
def test_an_exception_may_end_a_good_stream(capture: bool):
    stream = events(*LIMA_STREAM[:2]) + exception("modelStreamErrorException", "The model broke")
    call = played(STREAM, stream, capture=capture)
    said = [{"role": "assistant", "parts": [{"type": "text", "content": "Li"}], "finish_reason": "error"}]
    assert told(call) == {"error_type": "modelStreamErrorException", "error_message": "The model broke"} | (
        {"output_messages": said} if capture else {}
    )


def test_a_cut_stream_is_not_complete():
    assert told(played(STREAM, events(*LIMA_STREAM[:3]))) == {}


def test_a_stream_left_before_its_metadata_has_no_usage():
    assert told(played(STREAM, events(*LIMA_STREAM[:5]), left=True)) == {
        "finish_reasons": ["end_turn"],
        "complete": True,
    }


# --- Content -------------------------------------------------------------------------------------------------------

PNG = b"\x89PNG not really"
BYTES = {"bytes": base64.b64encode(PNG).decode()}
DIGEST = {"size": len(PNG), "sha256": hashlib.sha256(PNG).hexdigest()}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "content": said}


def blob(modality: str, mime_type: str | None = None) -> dict[str, Any]:
    mime = {"mime_type": mime_type} if mime_type else {}
    return {"type": "blob", "modality": modality, "content": ""} | mime | DIGEST


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"text": "Hi"}, text("Hi")),
        ({"image": {"format": "png", "source": BYTES}}, blob("image", "image/png")),
        ({"video": {"format": "mp4", "source": BYTES}}, blob("video", "video/mp4")),
        ({"audio": {"format": "mp3", "source": BYTES}}, blob("audio", "audio/mp3")),
        ({"document": {"format": "pdf", "name": "a", "source": BYTES}}, blob("document", "application/pdf")),
        ({"document": {"format": "docx", "name": "a", "source": BYTES}}, blob("document")),
        ({"document": {"format": "txt", "name": "a", "source": {"text": "facts"}}}, text("facts")),
        ({"document": {"name": "a", "source": {"content": [{"text": "fa"}, {"text": "cts"}]}}}, text("facts")),
        (
            {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/clip"}}}},
            {"type": "uri", "modality": "video", "uri": "s3://bucket/clip", "mime_type": "video/mp4"},
        ),
        ({"guardContent": {"text": {"text": "Hi", "qualifiers": ["query"]}}}, text("Hi")),
        ({"guardContent": {"image": {"format": "png", "source": BYTES}}}, blob("image", "image/png")),
        (
            {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s"}}},
            {"type": "reasoning", "content": "Hm"},
        ),
        ({"reasoningContent": {"redactedContent": "AAAA"}}, {"type": "reasoningContent"}),
        ({"citationsContent": {"content": [{"text": "Lima."}], "citations": [{"title": "Peru"}]}}, text("Lima.")),
        ({"searchResult": {"source": "https://example.com", "title": "Peru"}}, {"type": "searchResult"}),
        (
            {"toolUse": {"toolUseId": "t1", "name": "capital", "input": {"of": "Peru"}}},
            {"type": "tool_call", "id": "t1", "name": "capital", "arguments": {"of": "Peru"}},
        ),
        (
            {"toolUse": {"toolUseId": "t1", "name": "capital", "input": {}, "type": "tool_use"}},
            {"type": "tool_call", "id": "t1", "name": "capital", "arguments": {}},
        ),
        (
            {"toolUse": {"toolUseId": "t1", "name": "nova_grounding", "input": {"q": 1}, "type": "server_tool_use"}},
            {
                "type": "server_tool_call",
                "id": "t1",
                "name": "nova_grounding",
                "server_tool_call": {"type": "server_tool_use", "input": {"q": 1}},
            },
        ),
        (
            {"toolResult": {"toolUseId": "t1", "content": [{"text": "x"}], "type": "nova_grounding_result"}},
            {
                "type": "server_tool_call_response",
                "id": "t1",
                "server_tool_call_response": {"type": "nova_grounding_result"},
            },
        ),
        (
            {
                "toolResult": {
                    "toolUseId": "t1",
                    "content": [{"text": "Lima"}, {"json": {"a": 1}}, {"image": {"format": "png", "source": BYTES}}],
                    "status": "success",
                }
            },
            {
                "type": "tool_call_response",
                "id": "t1",
                "response": [text("Lima"), {"a": 1}, blob("image", "image/png")],
            },
        ),
        ({"image": {"format": 7}}, {"type": "image"}),
        ({"toolUse": "what"}, {"type": "toolUse"}),
        ({}, {"type": "unknown"}),
    ],
)
def test_a_block_becomes_a_part(block: dict[str, Any], part: dict[str, Any]):
    call = content(LIMA, messages=[{"role": "user", "content": [block, {"cachePoint": {"type": "default"}}]}])
    assert call.input_messages == [{"role": "user", "parts": [part]}]


def test_system_prompts_and_tools_are_content():
    specification = {"name": "capital", "description": "Of a country", "inputSchema": {"json": {"type": "object"}}}
    cache = {"cachePoint": {"type": "default"}}
    call = content(
        LIMA,
        system=[{"text": "Be brief."}, cache, {"guardContent": {"text": {"text": "Be kind."}}}],
        toolConfig={"tools": [{"toolSpec": specification}, {"systemTool": {"name": "nova_grounding"}}, cache]},
    )
    assert call.system_instructions == [text("Be brief."), text("Be kind.")]
    assert call.tool_definitions == [
        {"type": "function", "name": "capital", "description": "Of a country", "parameters": {"type": "object"}},
        {"type": "systemTool", "name": "nova_grounding"},
    ]


def start(index: int, **block: Any) -> tuple[str, Any]:
    return "contentBlockStart", {"contentBlockIndex": index, "start": block}


def delta(index: int, **piece: Any) -> tuple[str, Any]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": piece}


def test_a_stream_is_put_together_from_its_blocks():
    stream = events(
        delta(0, reasoningContent={"text": "The tool "}),
        delta(0, reasoningContent={"text": "knows."}),
        delta(0, reasoningContent={"signature": "c2ln"}),
        delta(1, text="I ask."),
        start(2, toolUse={"toolUseId": "t1", "name": "capital"}),
        delta(2, toolUse={"input": '{"of": "Pe'}),
        delta(2, toolUse={"input": 'ru"}'}),
        start(3, toolUse={"toolUseId": "t2", "name": "today"}),
        delta(3, toolUse={"input": ""}),
        ("messageStop", {"stopReason": "tool_use"}),
    )
    assert content(stream, STREAM).output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "The tool knows."},
                text("I ask."),
                {"type": "tool_call", "id": "t1", "name": "capital", "arguments": {"of": "Peru"}},
                {"type": "tool_call", "id": "t2", "name": "today", "arguments": {}},
            ],
            "finish_reason": "tool_call",
        }
    ]


def test_a_stream_may_hold_what_the_server_did_itself():
    stream = events(
        delta(0, reasoningContent={"redactedContent": "AAAA"}),
        start(1, toolUse={"toolUseId": "t1", "name": "nova_grounding", "type": "server_tool_use"}),
        delta(1, toolUse={"input": '{"q": "Peru"}'}),
        start(2, toolResult={"toolUseId": "t1", "type": "nova_grounding_result", "status": "success"}),
        delta(2, toolResult=[{"text": "[HIDDEN]"}]),
        start(3, image={"format": "png"}),
        delta(3, image={"source": BYTES}),
        delta(4, text="Lima."),
        delta(4, citation={"title": "Peru"}),
        ("messageStop", {"stopReason": "end_turn"}),
    )
    assert content(stream, STREAM).output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoningContent"},
                {
                    "type": "server_tool_call",
                    "id": "t1",
                    "name": "nova_grounding",
                    "server_tool_call": {"type": "server_tool_use", "input": {"q": "Peru"}},
                },
                {
                    "type": "server_tool_call_response",
                    "id": "t1",
                    "server_tool_call_response": {"type": "nova_grounding_result"},
                },
                blob("image", "image/png"),
                text("Lima."),
            ],
            "finish_reason": "stop",
        }
    ]


# --- Surprises -----------------------------------------------------------------------------------------------------


def test_a_field_of_a_surprising_type_loses_itself():
    usage = {"inputTokens": "twelve", "outputTokens": 5, "cacheDetails": {"ttl": 1}}
    answer = {"stopReason": "end_turn", "usage": usage, "serviceTier": "flex", "output": ["Lima."]}
    assert told(played(CONVERSE, answer)) == {
        "finish_reasons": ["end_turn"],
        "usage": Usage(output=5),
        "complete": True,
    }


WORDS = """
    output message content text role stopReason usage inputTokens cacheDetails ttl start delta contentBlockIndex
    toolUse toolResult toolUseId name input type json reasoningContent reasoningText guardContent citationsContent
    image document format source bytes s3Location uri messages system toolConfig tools toolSpec inputSchema
    inferenceConfig
"""
KEYS = st.sampled_from(WORDS.split())
KINDS = st.sampled_from(["messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata"])
anything = json_values(KEYS)


@fuzz
@given(anything, anything, st.booleans())
def test_no_json_breaks_a_call(request: Any, answer: Any, capture: bool):
    call = played(CONVERSE, json.dumps(answer).encode(), body=json.dumps(request).encode(), capture=capture)
    assert violations(call) == []


@fuzz
@given(st.lists(st.tuples(KINDS, anything), max_size=6))
def test_content_on_or_off_tells_the_same(stream: list[tuple[str, Any]]):
    body = b"".join(event(kind, payload) for kind, payload in stream)
    without, captured = (played(STREAM, body, capture=capture) for capture in (False, True))
    assert violations(captured) == []
    captured.output_messages = None
    assert told(without) == told(captured)
