"""Interactions: created and fetched, whole and streamed, in the older and the newer dialect."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from llmtrace_otel.wire.call import Call, Usage
from wire.schemas import violations
from wire.talk import Endpoint, asked, played, sse, told

HOST = "generativelanguage.googleapis.com"
CREATE = Endpoint(HOST, "/v1beta/interactions", {"model": "gemini-2.5-flash", "input": "Capital of Peru?"})
FETCH = Endpoint(HOST, "/v1beta/interactions/v1_abc", method="GET")
STATED = {
    "total_input_tokens": 40,
    "total_tool_use_tokens": 5,
    "total_cached_tokens": 30,
    "total_output_tokens": 7,
    "total_thought_tokens": 20,
    "total_tokens": 72,
}
USAGE = Usage(input=45, output=27, cache_read=30, reasoning=20)
HEAD = {"id": "v1_abc", "object": "interaction", "model": "gemini-2.5-flash"}
THOUGHT = {"type": "thought", "signature": "c2ln", "summary": [{"type": "text", "text": "Peru is in South America."}]}
SAID_TEXT = {"type": "text", "text": "Lima."}
STEPS = [THOUGHT, {"type": "model_output", "content": [SAID_TEXT]}]
ENDED = HEAD | {"status": "completed", "usage": STATED, "service_tier": "standard"}
TOLD = {
    "response_id": "v1_abc",
    "response_model": "gemini-2.5-flash",
    "response_status": "completed",
    "service_tier": "standard",
    "usage": USAGE,
    "complete": True,
}
SAID = [
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "Peru is in South America."},
            {"type": "text", "content": "Lima."},
        ],
        "finish_reason": "stop",
    }
]


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"event_type": kind, **fields}


STARTED = {"interaction": HEAD | {"status": "in_progress"}}
NEWER = (
    event("interaction.created", **STARTED),
    event("interaction.status_update", interaction_id="v1_abc", status="in_progress"),
    event("step.start", index=0, step={"type": "thought"}),
    event("step.delta", index=0, delta={"type": "thought_summary", "content": {"type": "text", "text": "Peru is "}}),
    event("step.delta", index=0, delta={"type": "thought_signature", "signature": "c2ln"}),
    event(
        "step.delta",
        index=0,
        delta={"type": "thought_summary", "content": {"type": "text", "text": "in South America."}},
    ),
    event("step.stop", index=0),
    event("step.start", index=1, step={"type": "model_output"}),
    event("step.delta", index=1, delta={"type": "text", "text": "Li"}),
    event("step.delta", index=1, delta={"type": "text", "text": "ma."}),
    event("step.stop", index=1),
    event("interaction.completed", interaction=ENDED),
    "[DONE]",
)
OLDER = (
    event("interaction.start", **STARTED),
    event("content.start", index=0, content={"type": "thought"}),
    event(
        "content.delta",
        index=0,
        delta={"type": "thought_summary", "content": {"type": "text", "text": "Peru is in South America."}},
    ),
    event("content.stop", index=0),
    event("content.start", index=1, content={"type": "text", "text": ""}),
    event("content.delta", index=1, delta={"type": "text", "text": "Li"}),
    event("content.delta", index=1, delta={"type": "text", "text": "ma."}),
    event("content.stop", index=1),
    event("interaction.complete", interaction=ENDED),
)


def content(answer: Any, endpoint: Endpoint = CREATE, **request: Any) -> Call:
    """The call of an exchange whose content was captured, which must be as the schemas want it."""
    body = json.dumps(endpoint.request | request).encode() if endpoint.request else None
    call = played(endpoint, answer, body=body, capture=True)
    assert violations(call) == []
    return call


# --- Requests ------------------------------------------------------------------------------------------------------


def test_what_a_request_asks_for():
    request = CREATE.request | {
        "stream": True,
        "previous_interaction_id": "v1_before",
        "service_tier": "flex",
        "generation_config": {
            "temperature": 0.7,
            "top_p": 0.9,
            "seed": 7,
            "max_output_tokens": 64,
            "stop_sequences": ["END"],
            "thinking_level": "low",
        },
    }
    assert asked(CREATE.begin(body=json.dumps(request).encode()).call) == {
        "request_model": "gemini-2.5-flash",
        "stream": True,
        "previous_response_id": "v1_before",
        "request_service_tier": "flex",
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 7,
        "max_tokens": 64,
        "stop_sequences": ["END"],
        "reasoning_level": "low",
    }


@pytest.mark.parametrize(
    ("request_", "output_type"),
    [
        ({"response_format": {"type": "text", "mime_type": "application/json"}}, "json"),
        ({"response_format": {"type": "text"}}, "text"),
        ({"response_format": [{"type": "audio"}]}, "speech"),
        ({"response_format": {"type": "image"}}, "image"),
        ({"response_format": {"type": "object", "properties": {}}}, "json"),
        ({"response_format": {"anyOf": []}}, "json"),
        ({"response_mime_type": "application/json"}, "json"),
        ({"response_modalities": ["image"]}, "image"),
        ({"response_format": 7}, None),
    ],
)
def test_the_type_of_output_that_is_wanted(request_: dict[str, Any], output_type: str | None):
    call = CREATE.begin(body=json.dumps(CREATE.request | request_).encode()).call
    assert call.output_type == output_type


def test_an_agent_is_no_model():
    body = json.dumps({"agent": "deep-research", "input": "TPUs", "background": True}).encode()
    call = played(CREATE, {"id": "v1_abc", "status": "in_progress", "agent": "deep-research"}, body=body)
    assert asked(call) == {}
    assert told(call) == {
        "response_id": "v1_abc",
        "response_status": "in_progress",
        "complete": True,
        "keys_seen": ["agent", "id", "status"],
    }


# --- Whole answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("told_in", ["steps", "outputs"])
def test_an_interaction(told_in: str, capture: bool):
    steps = [{"type": "user_input", "content": "Hi"}, *STEPS] if told_in == "steps" else [THOUGHT, SAID_TEXT]
    call = played(CREATE, ENDED | {told_in: steps}, capture=capture)
    assert told(call) == TOLD | ({"output_messages": SAID} if capture else {})


@pytest.mark.parametrize("capture", [False, True])
def test_a_fetched_interaction_has_no_usage(capture: bool):
    call = played(FETCH, ENDED | {"steps": STEPS}, capture=capture)
    assert call.operation == "fetch_response"
    assert told(call) == {name: value for name, value in TOLD.items() if name != "usage"} | (
        {"output_messages": SAID} if capture else {}
    )


def test_a_fetched_interaction_that_had_failed_was_fetched_well():
    call = played(FETCH, HEAD | {"status": "failed", "errors": [{"code": "internal", "message": "Oh."}]})
    assert (call.response_status, call.error_type, call.complete) == ("failed", None, True)


@pytest.mark.parametrize(
    ("stated", "usage"),
    [
        ({"total_input_tokens": 8}, Usage(input=8)),
        ({"total_output_tokens": 8, "total_reasoning_tokens": 2}, Usage(output=10, reasoning=2)),
        ({"total_input_tokens": 8, "total_output_tokens": 0, "total_thought_tokens": 0}, Usage(8, 0, reasoning=0)),
        ({"total_tokens": 8}, None),
        ({"total_input_tokens": "many", "total_output_tokens": 3}, Usage(output=3)),
        (
            {
                "total_input_tokens": 40,
                "total_output_tokens": 9,
                "input_tokens_by_modality": [
                    {"modality": "text", "tokens": 8},
                    {"modality": "audio", "tokens": 32},
                ],
                "output_tokens_by_modality": [{"modality": "audio", "tokens": 9}],
            },
            Usage(input=40, output=9, input_audio=32, output_audio=9),
        ),
        ([], None),
    ],
)
def test_counts_are_as_stated_or_absent(stated: Any, usage: Usage | None):
    assert played(CREATE, ENDED | {"usage": stated}).usage == usage


@pytest.mark.parametrize(
    ("answer", "error_type", "message"),
    [
        ({"errors": [{"code": "internal", "message": "Oh."}]}, "internal", "Oh."),
        ({}, "_OTHER", None),
    ],
)
def test_a_failed_interaction_is_an_error(answer: dict[str, Any], error_type: str, message: str | None):
    call = played(CREATE, ENDED | {"status": "failed"} | answer)
    assert (call.response_status, call.error_type, call.error_message) == ("failed", error_type, message)


def test_an_error_is_named_by_its_status():
    error = {"error": {"code": 400, "message": "No input.", "status": "INVALID_ARGUMENT"}}
    assert told(played(CREATE, error, status=400)) == {"error_type": "INVALID_ARGUMENT", "error_message": "No input."}


@pytest.mark.parametrize(
    "surprise",
    [
        {"steps": "none"},
        {"steps": [None, 1, {}, {"type": 7}, {"type": "model_output", "content": 7}]},
        {"steps": [{"type": "thought", "summary": [{"text": 1}]}, {"type": "function_call", "name": 1}]},
        {"status": 7, "service_tier": [], "errors": "x", "model": {}},
    ],
)
def test_surprising_types_cost_only_themselves(surprise: dict[str, Any]):
    call = content(ENDED | surprise)
    assert (call.response_id, call.usage, call.complete) == ("v1_abc", USAGE, True)


# --- Streams -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("in_bytes", [False, True])
@pytest.mark.parametrize("events", [NEWER, OLDER], ids=["newer", "older"])
def test_a_stream(events: tuple[Any, ...], in_bytes: bool, capture: bool):
    body = sse(*events)
    pieces = [body[at : at + 1] for at in range(len(body))] if in_bytes else None
    call = played(CREATE, body, pieces=pieces, capture=capture)
    assert told(call) == TOLD | ({"output_messages": SAID} if capture else {})


@pytest.mark.parametrize("capture", [False, True])
def test_a_fetched_stream_has_no_usage(capture: bool):
    call = played(FETCH, sse(*NEWER), capture=capture)
    assert (call.usage, call.response_status, call.complete) == (None, "completed", True)


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("events", [NEWER, OLDER], ids=["newer", "older"])
def test_a_cut_stream_knows_who_answered(events: tuple[Any, ...], capture: bool):
    call = played(CREATE, sse(*events[:6]), capture=capture)
    assert (call.response_id, call.response_model, call.response_status) == (
        "v1_abc",
        "gemini-2.5-flash",
        "in_progress",
    )
    assert (call.usage, call.complete) == (None, False)


@pytest.mark.parametrize("capture", [False, True])
def test_an_error_inside_a_stream(capture: bool):
    error = event("error", error={"code": "overloaded", "message": "Try again."})
    call = played(CREATE, sse(*NEWER[:3], error), capture=capture)
    assert (call.error_type, call.error_message) == ("overloaded", "Try again.")
    assert (call.usage, call.complete, call.response_id) == (None, False, "v1_abc")


@pytest.mark.parametrize("capture", [False, True])
def test_a_stream_that_fails_in_the_background(capture: bool):
    update = event("interaction.status_update", interaction_id="v1_abc", status="cancelled")
    call = played(CREATE, sse(*NEWER[:2], update), capture=capture)
    assert (call.response_status, call.complete) == ("cancelled", False)


def test_the_tool_calls_of_a_stream_in_the_newer_dialect():
    call = {"type": "function_call", "id": "f-1", "name": "weather", "arguments": {}}
    events = (
        NEWER[0],
        event("step.start", index=0, step={"type": "google_search_call", "id": "s-1"}),
        event("step.delta", index=0, delta={"type": "google_search_call", "arguments": {"queries": ["Lima"]}}),
        event("step.start", index=1, step={"type": "google_search_result", "call_id": "s-1"}),
        event("step.delta", index=1, delta={"type": "google_search_result", "result": [{"title": "Lima"}]}),
        event("step.start", index=2, step=call),
        event("step.delta", index=2, delta={"type": "arguments_delta", "arguments": '{"city": '}),
        event("step.delta", index=2, delta={"type": "arguments_delta", "arguments": '"Lima"}'}),
        event("interaction.completed", interaction=ENDED | {"status": "requires_action"}),
    )
    assert content(sse(*events)).output_messages == [
        {
            "role": "assistant",
            "parts": [
                {
                    "type": "server_tool_call",
                    "name": "google_search",
                    "id": "s-1",
                    "server_tool_call": {"type": "google_search_call", "arguments": {"queries": ["Lima"]}},
                },
                {
                    "type": "server_tool_call_response",
                    "id": "s-1",
                    "server_tool_call_response": {"type": "google_search_result"},
                },
                {"type": "tool_call", "name": "weather", "id": "f-1", "arguments": {"city": "Lima"}},
            ],
            "finish_reason": "tool_call",
        }
    ]


def test_the_tool_calls_of_a_stream_in_the_older_dialect():
    called = {"type": "function_call", "id": "f-1", "name": "weather", "arguments": {"city": "Lima"}}
    events = (
        event("content.start", index=0, content={"type": "function_call"}),
        event("content.delta", index=0, delta=called),
        event("content.delta", index=1, delta=called | {"id": "f-2"}),
    )
    assert content(sse(*events)).output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "tool_call", "name": "weather", "id": "f-1", "arguments": {"city": "Lima"}},
                {"type": "tool_call", "name": "weather", "id": "f-2", "arguments": {"city": "Lima"}},
            ],
            "finish_reason": "error",
        }
    ]


@pytest.mark.parametrize("surprise", [7, "x", None, [], {"type": 7}, {"type": "text", "text": 7}])
def test_surprising_deltas_cost_only_themselves(surprise: Any):
    events = (
        NEWER[0],
        event("step.start", index=0, step=surprise),
        event("step.delta", index=0, delta=surprise),
        event("step.delta", index="one", delta=surprise),
        event("interaction.completed", interaction=ENDED),
    )
    assert content(sse(*events)).usage == USAGE


# --- Messages ------------------------------------------------------------------------------------------------------

PNG = b"\x89PNG not really"
IMAGE = {"type": "image", "data": base64.b64encode(PNG).decode(), "mime_type": "image/png"}
BLOB = {
    "type": "blob",
    "modality": "image",
    "content": "",
    "mime_type": "image/png",
    "size": len(PNG),
    "sha256": hashlib.sha256(PNG).hexdigest(),
}
QUESTION = {"role": "user", "parts": [{"type": "text", "content": "What is it?"}]}


@pytest.mark.parametrize(
    "given",
    [
        "What is it?",
        {"type": "text", "text": "What is it?"},
        [{"type": "text", "text": "What is it?"}],
        [{"role": "user", "content": "What is it?"}],
        [{"type": "user_input", "content": [{"type": "text", "text": "What is it?"}]}],
    ],
    ids=["text", "content", "contents", "turn", "step"],
)
def test_a_question_in_each_of_its_shapes(given: Any):
    assert content(ENDED, input=given).input_messages == [QUESTION]


def test_contents_without_a_role_are_one_message():
    given = [{"type": "text", "text": "What is it?"}, IMAGE, {"type": "video", "uri": "https://acme.example/v"}]
    assert content(ENDED, input=given).input_messages == [
        {
            "role": "user",
            "parts": [*QUESTION["parts"], BLOB, {"type": "uri", "modality": "video", "uri": "https://acme.example/v"}],
        }
    ]


def test_turns_stay_apart():
    given = [{"role": "user", "content": "What is it?"}] * 2 + [{"role": "model", "content": [SAID_TEXT]}]
    assert content(ENDED, input=given).input_messages == [
        QUESTION,
        QUESTION,
        {"role": "assistant", "parts": [{"type": "text", "content": "Lima."}]},
    ]


def test_steps_are_put_together_by_speaker():
    given = [
        {"type": "user_input", "content": [{"type": "text", "text": "What is it?"}]},
        THOUGHT,
        {"type": "function_call", "id": "f-1", "name": "look", "arguments": {"at": "it"}},
        {"type": "function_result", "call_id": "f-1", "name": "look", "result": [IMAGE, {"deep": 1}]},
        {"type": "mcp_server_tool_call", "id": "m-1", "name": "find", "server_name": "files", "arguments": {}},
    ]
    assert content(ENDED, input=given).input_messages == [
        QUESTION,
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Peru is in South America."},
                {"type": "tool_call", "name": "look", "id": "f-1", "arguments": {"at": "it"}},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "response": [BLOB, {"deep": 1}], "id": "f-1"}]},
        {
            "role": "assistant",
            "parts": [
                {
                    "type": "server_tool_call",
                    "name": "find",
                    "id": "m-1",
                    "server_tool_call": {"type": "mcp_server_tool_call", "arguments": {}},
                }
            ],
        },
    ]


def test_instructions_and_tools():
    tools = [
        {"type": "function", "name": "weather", "description": "Weather.", "parameters": {"type": "object"}},
        {"type": "google_search"},
        {"type": "mcp_server", "name": "files", "url": "https://acme.example/mcp"},
    ]
    call = content(ENDED, system_instruction="Be brief.", tools=tools)
    assert call.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert call.tool_definitions == [
        {"type": "function", "name": "weather", "description": "Weather.", "parameters": {"type": "object"}},
        {"type": "google_search", "name": "google_search"},
        {"type": "mcp_server", "name": "files"},
    ]


@pytest.mark.parametrize("surprise", [7, [None, "x", {"role": 1}, {"type": []}], {"content": 7}])
def test_surprising_input_breaks_no_schema(surprise: Any):
    assert content(ENDED, input=surprise, tools=surprise, system_instruction=surprise).usage == USAGE
