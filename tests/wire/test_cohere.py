"""Cohere's version 2: chat as JSON and SSE, and embeddings, told from the first byte to what the call knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmtrace_otel.wire.call import Call, Usage
from wire.schemas import violations
from wire.talk import Endpoint, asked, played, sse, told

HOST = "api.cohere.com"
CHAT = Endpoint(
    HOST, "/v2/chat", {"model": "command-a-03-2025", "messages": [{"role": "user", "content": "Capital of Peru?"}]}
)
EMBED = Endpoint(HOST, "/v2/embed", {"model": "embed-v4.0", "texts": ["Lima"], "input_type": "search_query"})

USAGE = {
    "billed_units": {"input_tokens": 7.0, "output_tokens": 3.0},
    "tokens": {"input_tokens": 496.0, "output_tokens": 5.0, "reasoning_tokens": 4},
    "cached_tokens": 448.0,
}
TOLD = {
    "response_id": "c-1",
    "finish_reasons": ["COMPLETE"],
    "usage": Usage(input=7, output=3),
    "complete": True,
}
WEATHER = {"id": "weather_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Lima"}'}}
CALLED = {"type": "tool_call", "id": "weather_1", "name": "weather", "arguments": {"city": "Lima"}}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def thought(content: str) -> dict[str, Any]:
    return {"type": "reasoning", "content": content}


def said(*parts: dict[str, Any], finish: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "parts": list(parts), "finish_reason": finish}]


def answer(**changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": [{"type": "text", "text": "Lima."}]}
    return {"id": "c-1", "finish_reason": "COMPLETE", "message": message, "usage": USAGE} | changes


def delta(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": message}}


START = delta("message-start", role="assistant", content=[], tool_plan="", tool_calls=[], citations=[]) | {"id": "c-1"}


def end(reason: str = "COMPLETE", **changes: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": USAGE} | changes}


TEXT_STREAM = (
    START,
    delta("content-start", 0, content={"type": "text", "text": ""}),
    delta("content-delta", 0, content={"text": "Li"}),
    delta("content-delta", 0, content={"text": "ma."}),
    {"type": "citation-start", "index": 0, "delta": {"message": {"citations": {"start": 0, "end": 4, "text": "Lima"}}}},
    {"type": "citation-end", "index": 0},
    {"type": "content-end", "index": 0},
    end(),
    "[DONE]",
)


def captured(reply: Any, **options: Any) -> Call:
    call = played(CHAT, reply, capture=True, **options)
    assert violations(call) == []
    return call


def request(**changes: Any) -> bytes:
    return json.dumps(CHAT.request | changes).encode()


# --- Requests ------------------------------------------------------------------------------------------------------


def test_what_a_chat_asks_for():
    body = request(
        stream=True,
        k=40,
        p=0.9,
        seed=7,
        temperature=0.2,
        max_tokens=20,
        frequency_penalty=0.5,
        presence_penalty=0.1,
        stop_sequences=["\n"],
        response_format={"type": "json_object", "json_schema": {"type": "object"}},
    )
    assert asked(CHAT.begin(body=body).call) == {
        "request_model": "command-a-03-2025",
        "stream": True,
        "top_k": 40,
        "top_p": 0.9,
        "seed": 7,
        "temperature": 0.2,
        "max_tokens": 20,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.1,
        "stop_sequences": ["\n"],
        "output_type": "json",
    }


def test_a_request_of_surprising_types_keeps_what_fits():
    body = request(stream="maybe", k="many", p=0.9, max_tokens=-1, stop_sequences=["\n", 3], response_format="json")
    assert asked(CHAT.begin(body=body).call) == {
        "request_model": "command-a-03-2025",
        "top_p": 0.9,
        "stop_sequences": ["\n"],
    }


def test_the_messages_of_a_chat():
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/lima.png", "detail": "low"}},
            ],
        },
        {"role": "assistant", "tool_plan": "I will ask for the weather.", "tool_calls": [WEATHER]},
        {
            "role": "tool",
            "tool_call_id": "weather_1",
            "content": [
                {"type": "document", "document": {"id": "d", "data": {"degrees": 21}}},
                {"type": "text", "text": "Sunny."},
            ],
        },
        {"role": "tool", "tool_call_id": "weather_2", "content": "Rain."},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Warm."}, {"type": "text", "text": "21 °C"}],
        },
    ]
    tools = [
        {"type": "function", "function": {"name": "weather", "description": "Now", "parameters": {"type": "object"}}}
    ]
    call = captured(answer(), body=request(messages=messages, tools=tools))
    assert call.input_messages == [
        {"role": "system", "parts": [text("Be brief.")]},
        {
            "role": "user",
            "parts": [
                text("What is this?"),
                {"type": "uri", "modality": "image", "uri": "https://example.com/lima.png"},
            ],
        },
        {"role": "assistant", "parts": [thought("I will ask for the weather."), CALLED]},
        {
            "role": "tool",
            "parts": [
                {
                    "type": "tool_call_response",
                    "id": "weather_1",
                    "response": [
                        {"type": "document", "document": {"id": "d", "data": {"degrees": 21}}},
                        text("Sunny."),
                    ],
                }
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "weather_2", "response": "Rain."}]},
        {"role": "assistant", "parts": [thought("Warm."), text("21 °C")]},
    ]
    assert call.tool_definitions == [
        {"type": "function", "name": "weather", "description": "Now", "parameters": {"type": "object"}}
    ]


# --- Answers -------------------------------------------------------------------------------------------------------


def test_a_chat():
    assert told(played(CHAT, answer())) == TOLD
    assert told(captured(answer())) == TOLD | {"output_messages": said(text("Lima."), finish="stop")}


def test_an_answer_that_thinks_plans_and_calls_a_tool():
    message = {
        "role": "assistant",
        "tool_plan": "I will ask for the weather.",
        "content": [{"type": "thinking", "thinking": "Hm."}],
        "tool_calls": [WEATHER],
    }
    call = captured(answer(finish_reason="TOOL_CALL", message=message))
    parts = thought("I will ask for the weather."), thought("Hm."), CALLED
    assert told(call) == TOLD | {
        "finish_reasons": ["TOOL_CALL"],
        "output_messages": said(*parts, finish="tool_call"),
    }


@pytest.mark.parametrize(
    ("stated", "usage"),
    [
        (USAGE, Usage(input=7, output=3)),
        (USAGE | {"cached_tokens": 0.0}, Usage(input=7, output=3, cache_read=0)),
        (USAGE | {"billed_units": {"search_units": 1.0}}, Usage(input=496, output=5, cache_read=448, reasoning=4)),
        ({"tokens": {"input_tokens": 34, "image_tokens": 259, "output_tokens": 5}}, Usage(input=293, output=5)),
        ({"billed_units": {"output_tokens": 3.0}}, Usage(output=3)),
        ({"billed_units": {"input_tokens": 7.5, "output_tokens": 3.0}}, Usage(output=3)),
        ({"billed_units": {"input_tokens": 2**63 - 1, "image_tokens": 1, "output_tokens": 3}}, Usage(output=3)),
        ({"billed_units": {}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_billed_tokens_are_the_usage(stated: Any, usage: Usage | None):
    assert played(CHAT, answer(usage=stated)).usage == usage


@pytest.mark.parametrize("message", [None, "Lima.", [], {}, {"content": 3, "tool_calls": "none", "tool_plan": ["?"]}])
def test_a_message_of_a_surprising_shape_loses_itself(message: Any):
    assert told(captured(answer(message=message))) == TOLD | {"output_messages": said(finish="stop")}


# --- Streams -------------------------------------------------------------------------------------------------------


def test_a_streamed_chat():
    assert told(played(CHAT, sse(*TEXT_STREAM))) == TOLD
    assert told(captured(sse(*TEXT_STREAM))) == TOLD | {"output_messages": said(text("Lima."), finish="stop")}


@pytest.mark.parametrize("capture", [False, True])
def test_a_stream_byte_by_byte(capture: bool):
    body = sse(*TEXT_STREAM)
    in_one = played(CHAT, body, capture=capture)
    in_bytes = played(CHAT, b"", pieces=[body[at : at + 1] for at in range(len(body))], capture=capture)
    assert told(in_bytes) == told(in_one)


def test_a_stream_that_plans_thinks_and_calls_tools():
    body = sse(
        START,
        delta("content-start", 0, content={"type": "thinking", "thinking": ""}),
        delta("content-delta", 0, content={"thinking": "H"}),
        delta("content-delta", 0, content={"thinking": "m."}),
        delta("content-start", 1, content={"type": "text", "text": ""}),
        delta("content-delta", 1, content={"text": "Wait."}),
        delta("tool-plan-delta", tool_plan="I will"),
        delta("tool-plan-delta", tool_plan=" ask."),
        delta("tool-call-start", 0, tool_calls=WEATHER | {"function": {"name": "weather", "arguments": ""}}),
        delta("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"city":'}}),
        delta("tool-call-delta", 0, tool_calls={"function": {"arguments": '"Lima"}'}}),
        {"type": "tool-call-end", "index": 0},
        delta("tool-call-start", 1, tool_calls={"id": "now_2", "function": {"name": "now", "arguments": ""}}),
        end("TOOL_CALL"),
        "[DONE]",
    )
    parts = (
        thought("I will ask."),
        thought("Hm."),
        text("Wait."),
        CALLED,
        {"type": "tool_call", "id": "now_2", "name": "now", "arguments": ""},
    )
    assert told(captured(body)) == TOLD | {
        "finish_reasons": ["TOOL_CALL"],
        "output_messages": said(*parts, finish="tool_call"),
    }


def test_a_stream_that_is_left_keeps_what_came():
    body = sse(*TEXT_STREAM[:4])
    assert told(played(CHAT, body, left=True)) == {"response_id": "c-1"}
    assert told(captured(body, left=True)) == {
        "response_id": "c-1",
        "output_messages": said(text("Lima."), finish="error"),
    }


def test_events_of_surprising_shapes_lose_themselves():
    odd = (
        {"type": "content-delta", "delta": {"message": {"content": {"text": 3}}}},
        {"type": "content-delta", "index": "first", "delta": []},
        {"type": "tool-call-delta", "index": 4, "delta": {"message": {"tool_calls": 5}}},
        [],
        "not JSON",
    )
    body = sse(START, *odd, *TEXT_STREAM[1:])
    assert told(played(CHAT, body)) == TOLD
    assert told(captured(body)) == TOLD | {"output_messages": said(text("Lima."), finish="stop")}


# --- Errors --------------------------------------------------------------------------------------------------------


def test_an_http_error_has_its_status_for_a_name():
    body = {"id": "c-1", "message": "model 'command' was removed"}
    assert told(played(CHAT, body, status=404)) == {
        "error_type": "404",
        "error_message": "model 'command' was removed",
    }


FAILED = {
    "response_id": "c-1",
    "finish_reasons": ["ERROR"],
    "error_type": "INVALID_TOOL_GENERATION",
    "error_message": "no such tool",
    "complete": True,
}
FAILURE = {"usage": {}, "error": "no such tool", "error_type": "INVALID_TOOL_GENERATION"}


@pytest.mark.parametrize("capture", [False, True])
def test_a_generation_that_fails_is_an_error(capture: bool):
    messages = {"output_messages": said(thought("I will"), finish="error")} if capture else {}
    body = sse(START, delta("tool-plan-delta", tool_plan="I will"), end("ERROR", **FAILURE), "[DONE]")
    assert told(played(CHAT, body, capture=capture)) == FAILED | messages


def test_a_failed_generation_as_json():
    failed = answer(finish_reason="ERROR", message={"tool_plan": "I will"}, **FAILURE)
    keys = {"keys_seen": sorted(failed)}
    assert told(played(CHAT, failed)) == FAILED | keys


def test_a_failure_without_a_word():
    body = sse(START, end("ERROR", usage=None))
    assert told(played(CHAT, body)) == {
        "response_id": "c-1",
        "finish_reasons": ["ERROR"],
        "error_type": "_OTHER",
        "complete": True,
    }


def test_an_error_event_in_a_stream():
    body = sse(START, {"error": {"type": "overloaded", "message": "Try later."}})
    assert told(played(CHAT, body)) == {
        "response_id": "c-1",
        "error_type": "overloaded",
        "error_message": "Try later.",
    }


# --- Embeddings ----------------------------------------------------------------------------------------------------


def embedded(**billed: Any) -> dict[str, Any]:
    meta = {"api_version": {"version": "2"}, "billed_units": billed}
    return {"id": "e-1", "texts": ["Lima"], "embeddings": {"float": [[0.25, -0.5]]}, "meta": meta}


def test_what_embeddings_ask_for():
    body = json.dumps(EMBED.request | {"output_dimension": 1024, "embedding_types": ["float", "int8"]}).encode()
    assert asked(EMBED.begin(body=body).call) == {
        "request_model": "embed-v4.0",
        "dimensions": 1024,
        "encoding_formats": ["float", "int8"],
    }


@pytest.mark.parametrize(
    ("billed", "usage"),
    [
        ({"input_tokens": 2.0}, Usage(input=2)),
        ({"input_tokens": 100, "image_tokens": 2716}, Usage(input=2816)),
        ({"image_tokens": 2716, "output_tokens": 0}, Usage(input=2716)),
    ],
)
@pytest.mark.parametrize("path", ["/v1/embed", "/v2/embed"])
def test_embeddings(path: str, billed: dict[str, Any], usage: Usage):
    endpoint = Endpoint(HOST, path, EMBED.request)
    call = played(endpoint, embedded(**billed))
    assert call.operation == "embeddings"
    assert told(call) == {"response_id": "e-1", "usage": usage, "complete": True}


def test_embeddings_billed_by_the_image_have_no_tokens():
    body = embedded(images=1)
    assert told(played(EMBED, body)) == {"response_id": "e-1", "complete": True, "keys_seen": sorted(body)}
