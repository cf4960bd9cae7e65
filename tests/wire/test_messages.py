"""Messages, parts, system instructions and tools as the conventions' JSON schemas have them."""

from __future__ import annotations

import base64
import hashlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.fuzzing import fuzz, json_values
from wire.schemas import REQUIRED, violations
from wire.talk import CHAT, COMPLETE, COMPLETIONS, EMBEDDINGS, ENDPOINTS, MESSAGES, RESPONSES, Endpoint, played, sse

PNG = b"\x89PNG not really"
BASE64 = base64.b64encode(PNG).decode()
DATA_URL = f"data:image/png;base64,{BASE64}"


def blob(modality: str, mime_type: str) -> dict[str, Any]:
    return {
        "type": "blob",
        "modality": modality,
        "content": "",
        "mime_type": mime_type,
        "size": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
    }


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


UNKNOWN = {"type": "unknown"}


def content(endpoint: Endpoint, request: dict[str, Any] | None = None, answer: Any = None) -> Any:
    """The call of an exchange whose content was captured, which must be as the schemas want it."""
    body = json.dumps(endpoint.request | (request or {})).encode()
    call = played(endpoint, b"" if answer is None else answer, body=body, capture=True)
    assert violations(call) == []
    return call


def test_without_capture_no_message_is_built():
    answer = {"choices": [{"message": {"content": "Lima."}}]}
    call = played(CHAT, answer)
    assert (call.input_messages, call.output_messages, call.system_instructions, call.tool_definitions) == (None,) * 4


# --- Chat completions ----------------------------------------------------------------------------------------------


def test_the_messages_of_a_chat_request():
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "name": "ana", "content": "Weather in Lima?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Lima"}'}},
                {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "select 1"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "21 °C"},
        {"role": "function", "name": "weather", "content": "21 °C"},
        {"role": "assistant", "content": "", "function_call": {"name": "weather", "arguments": "{}"}},
        {"role": "assistant", "content": "21 °C", "refusal": "No.", "reasoning_content": "Warm."},
    ]
    assert content(CHAT, {"messages": messages}).input_messages == [
        {"role": "system", "parts": [text("Be brief.")]},
        {"role": "developer", "parts": [text("Be kind.")]},
        {"role": "user", "name": "ana", "parts": [text("Weather in Lima?")]},
        {
            "role": "assistant",
            "parts": [
                {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Lima"}},
                {"type": "tool_call", "id": "call_2", "name": "sql", "arguments": "select 1"},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "21 °C"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "response": "21 °C"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "name": "weather", "arguments": {}}]},
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "Warm."}, text("21 °C"), text("No.")]},
    ]


def test_media_in_a_chat_request_is_described_not_copied():
    parts = [
        {"type": "image_url", "image_url": {"url": "https://example.com/lima.png"}},
        {"type": "image_url", "image_url": {"url": DATA_URL}},
        {"type": "input_audio", "input_audio": {"data": BASE64, "format": "wav"}},
        {"type": "file", "file": {"file_id": "file_1"}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{BASE64}"}},
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "hologram", "data": BASE64},
    ]
    call = content(CHAT, {"messages": [{"role": "user", "content": parts}]})
    assert call.input_messages[0]["parts"] == [
        {"type": "uri", "modality": "image", "uri": "https://example.com/lima.png"},
        blob("image", "image/png"),
        blob("audio", "audio/wav"),
        {"type": "file", "modality": "document", "file_id": "file_1"},
        blob("document", "application/pdf"),
        {"type": "reasoning", "content": "Hm."},
        {"type": "hologram"},
    ]


def test_tools_are_flattened():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [
        {"type": "function", "function": {"name": "weather", "description": "Now.", "parameters": schema}},
        {"type": "custom", "custom": {"name": "sql"}},
        {"type": "function", "function": {}},
        "none",
    ]
    functions = [{"name": "old", "parameters": schema}]
    assert content(CHAT, {"tools": tools, "functions": functions}).tool_definitions == [
        {"type": "function", "name": "weather", "description": "Now.", "parameters": schema},
        {"type": "custom", "name": "custom"},
        {"type": "function", "name": "old", "parameters": schema},
    ]


TOOL_CALL = {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Lima"}}


def test_the_messages_of_a_chat_answer():
    function = {"name": "weather", "arguments": '{"city":"Lima"}'}
    choices = [
        {
            "index": 1,
            "finish_reason": "tool_calls",
            "message": {"tool_calls": [{"id": "call_1", "function": function}]},
        },
        {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "Li", "reasoning": "Hm."}},
    ]
    assert content(CHAT, answer={"choices": choices}).output_messages == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "Hm."}, text("Li")],
            "finish_reason": "length",
        },
        {"role": "assistant", "parts": [TOOL_CALL], "finish_reason": "tool_call"},
    ]


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def tool_piece(index: int | None, arguments: str, **rest: Any) -> dict[str, Any]:
    name = {"name": rest.pop("name")} if "name" in rest else {}
    place = {} if index is None else {"index": index}
    return {"tool_calls": [place | rest | {"function": name | {"arguments": arguments}}]}


def test_a_streamed_chat_answer_is_put_together():
    stream = sse(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "H"}),
        chunk({"reasoning_content": "m."}),
        chunk({"content": "Li"}),
        chunk({"content": [{"type": "text", "text": "ma"}, {"type": "thinking", "thinking": "!"}]}),
        chunk({"content": "Quito"}, index=1),
        chunk({"refusal": "."}),
        chunk(tool_piece(0, '{"ci', id="call_1", name="weather")),
        chunk(tool_piece(0, 'ty":"Lima"}')),
        chunk(tool_piece(1, "{", id="call_2", name="time")),
        chunk({}, "tool_calls"),
        chunk({}, "stop", index=1),
        "[DONE]",
    )
    assert content(CHAT, answer=stream).output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm.!"},
                text("Lima."),
                TOOL_CALL,
                {"type": "tool_call", "id": "call_2", "name": "time", "arguments": "{"},
            ],
            "finish_reason": "tool_call",
        },
        {"role": "assistant", "parts": [text("Quito")], "finish_reason": "stop"},
    ]


def test_streamed_tool_calls_without_an_index_are_told_apart_by_their_ids():
    stream = sse(
        chunk(tool_piece(None, '{"city":', id="call_1", name="weather")),
        chunk(tool_piece(None, '"Lima"}')),
        chunk(tool_piece(None, "{}", id="call_2", name="time")),
    )
    (message,) = content(CHAT, answer=stream).output_messages
    assert message["parts"] == [TOOL_CALL, {"type": "tool_call", "id": "call_2", "name": "time", "arguments": {}}]


def test_streamed_tool_calls_with_one_index_but_several_ids_are_several_calls():
    stream = sse(
        chunk(tool_piece(0, '{"city":"Lima"}', id="call_1", name="weather")),
        chunk(tool_piece(0, "{}", id="call_2", name="time")),
    )
    (message,) = content(CHAT, answer=stream).output_messages
    assert message["parts"] == [TOOL_CALL, {"type": "tool_call", "id": "call_2", "name": "time", "arguments": {}}]


def test_a_null_text_beside_a_message_hides_nothing():
    choices = [{"finish_reason": "stop", "text": None, "message": {"content": "Lima."}}]
    assert content(CHAT, answer={"choices": choices}).output_messages == [
        {"role": "assistant", "parts": [text("Lima.")], "finish_reason": "stop"}
    ]


def test_a_legacy_completion_has_messages_too():
    choice = {"index": 0, "text": " the capital.", "finish_reason": "stop"}
    expected = [{"role": "assistant", "parts": [text(" the capital.")], "finish_reason": "stop"}]
    call = content(COMPLETIONS, answer={"choices": [choice]})
    assert call.input_messages == [{"role": "user", "parts": [text("Lima is")]}]
    assert call.output_messages == expected
    assert content(COMPLETIONS, answer=sse({"choices": [choice]}, "[DONE]")).output_messages == expected


def test_a_legacy_completion_may_have_several_prompts():
    call = content(COMPLETIONS, {"prompt": ["Lima is", "Quito is"]})
    assert call.input_messages == [
        {"role": "user", "parts": [text("Lima is")]},
        {"role": "user", "parts": [text("Quito is")]},
    ]


def test_embeddings_have_no_messages():
    call = content(EMBEDDINGS, answer={"data": []})
    assert (call.input_messages, call.output_messages) == (None, None)


# --- Responses -----------------------------------------------------------------------------------------------------


def test_the_items_of_a_responses_request():
    items = [
        {"role": "user", "content": "Weather?"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "See."},
                {"type": "input_image", "image_url": DATA_URL},
                {"type": "input_image", "file_id": "file_1"},
                {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            ],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Lima"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "21 °C"},
        {"type": "item_reference", "id": "msg_1"},
    ]
    call = content(RESPONSES, {"input": items, "instructions": "Be brief."})
    assert call.system_instructions == [text("Be brief.")]
    assert call.input_messages == [
        {"role": "user", "parts": [text("Weather?")]},
        {
            "role": "user",
            "parts": [
                text("See."),
                blob("image", "image/png"),
                {"type": "file", "modality": "image", "file_id": "file_1"},
                {"type": "uri", "modality": "document", "uri": "https://example.com/a.pdf"},
            ],
        },
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."}]},
        {"role": "assistant", "parts": [TOOL_CALL]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "21 °C"}]},
        {"role": "assistant", "parts": [{"type": "item_reference"}]},
    ]


OUTPUT = [
    {"type": "reasoning", "summary": [{"text": "Hm."}], "encrypted_content": "secret"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"type": "message", "content": [{"type": "output_text", "text": "Warm."}, {"type": "refusal", "refusal": "No."}]},
    {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Lima"}'},
    {"type": "custom_tool_call", "call_id": "call_2", "name": "sql", "input": "select 1"},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "secret"},
]
OUTPUT_PARTS = [
    {"type": "reasoning", "content": "Hm."},
    {"type": "server_tool_call", "id": "ws_1", "name": "web_search", "server_tool_call": {"type": "web_search_call"}},
    text("Warm."),
    text("No."),
    TOOL_CALL,
    {"type": "tool_call", "id": "call_2", "name": "sql", "arguments": "select 1"},
    {"type": "compaction"},
]


def test_the_output_of_a_response():
    answer = {"id": "r", "status": "completed", "output": OUTPUT}
    expected = [{"role": "assistant", "parts": OUTPUT_PARTS, "finish_reason": "tool_call"}]
    assert content(RESPONSES, answer=answer).output_messages == expected
    stream = sse({"type": "response.completed", "response": answer})
    assert content(RESPONSES, answer=stream).output_messages == expected


@pytest.mark.parametrize(
    ("status", "reason", "finish"),
    [
        ("completed", None, "stop"),
        ("incomplete", "max_output_tokens", "length"),
        ("incomplete", "content_filter", "content_filter"),
        ("failed", None, "error"),
        ("cancelled", None, "error"),
    ],
)
def test_the_finish_reason_of_a_response_follows_from_its_status(status: str, reason: str | None, finish: str):
    answer = {
        "status": status,
        "incomplete_details": {"reason": reason} if reason else None,
        "output": OUTPUT[:3],
    }
    (message,) = content(RESPONSES, answer=answer).output_messages
    assert message["finish_reason"] == finish


ITEM_DONE = {"type": "response.output_item.done", "item": OUTPUT[2]}
CUT = [{"role": "assistant", "parts": [text("Warm."), text("No.")], "finish_reason": "error"}]


def test_a_cut_response_shows_the_items_that_were_done():
    assert content(RESPONSES, answer=sse(ITEM_DONE)).output_messages == CUT


def test_an_empty_output_at_the_end_hides_no_items():
    end = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    (message,) = content(RESPONSES, answer=sse(ITEM_DONE, end)).output_messages
    assert message["parts"] == CUT[0]["parts"]


def test_the_tools_of_a_responses_request():
    tools = [{"type": "function", "name": "weather", "parameters": {"type": "object"}}, {"type": "web_search"}]
    assert content(RESPONSES, {"tools": tools}).tool_definitions == [
        {"type": "function", "name": "weather", "parameters": {"type": "object"}},
        {"type": "web_search", "name": "web_search"},
    ]


# --- Anthropic -----------------------------------------------------------------------------------------------------


def test_the_messages_of_an_anthropic_request():
    source = {"type": "base64", "media_type": "image/png", "data": BASE64}
    messages = [
        {"role": "user", "content": "Weather?"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See."},
                {"type": "image", "source": source},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/lima.png"}},
                {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
                {"type": "document", "source": {"type": "text", "data": "Plain."}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "secret"},
                {"type": "redacted_thinking", "data": "secret"},
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Lima"}},
                {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "Lima"}},
                {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "21 °C"}]},
    ]
    call = content(MESSAGES, {"messages": messages, "system": [{"type": "text", "text": "Be brief."}]})
    assert call.system_instructions == [text("Be brief.")]
    assert call.input_messages == [
        {"role": "user", "parts": [text("Weather?")]},
        {
            "role": "user",
            "parts": [
                text("See."),
                blob("image", "image/png"),
                {"type": "uri", "modality": "image", "uri": "https://example.com/lima.png"},
                {"type": "file", "modality": "document", "file_id": "file_1"},
                text("Plain."),
            ],
        },
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "redacted_thinking"},
                TOOL_CALL,
                {
                    "type": "server_tool_call",
                    "id": "srv_1",
                    "name": "web_search",
                    "server_tool_call": {"type": "server_tool_use", "input": {"query": "Lima"}},
                },
                {
                    "type": "server_tool_call_response",
                    "id": "srv_1",
                    "server_tool_call_response": {"type": "web_search_tool_result"},
                },
            ],
        },
        {"role": "user", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "21 °C"}]},
    ]


def test_the_tools_of_an_anthropic_request():
    tools = [
        {"name": "weather", "description": "Now.", "input_schema": {"type": "object"}},
        {"type": "custom", "name": "time", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    call = content(MESSAGES, {"tools": tools, "system": "Be brief."})
    assert call.system_instructions == [text("Be brief.")]
    assert call.tool_definitions == [
        {"type": "function", "name": "weather", "description": "Now.", "parameters": {"type": "object"}},
        {"type": "function", "name": "time", "parameters": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ]


BLOCKS = [
    {"type": "thinking", "thinking": "Hm."},
    {"type": "text", "text": "Warm."},
    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Lima"}},
]
MESSAGE = [
    {
        "role": "assistant",
        "parts": [{"type": "reasoning", "content": "Hm."}, text("Warm."), TOOL_CALL],
        "finish_reason": "tool_call",
    }
]


def test_the_message_of_an_anthropic_answer():
    assert content(MESSAGES, answer={"content": BLOCKS, "stop_reason": "tool_use"}).output_messages == MESSAGE


def starts(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def adds(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def test_a_streamed_anthropic_answer_is_put_together():
    stream = sse(
        {"type": "message_start", "message": {"id": "m", "model": "c"}},
        starts(0, {"type": "thinking", "thinking": ""}),
        adds(0, type="thinking_delta", thinking="H"),
        adds(0, type="thinking_delta", thinking="m."),
        adds(0, type="signature_delta", signature="secret"),
        starts(1, {"type": "text", "text": "Wa"}),
        starts(2, {"type": "tool_use", "id": "call_1", "name": "weather", "input": {}}),
        adds(1, type="text_delta", text="rm."),
        adds(2, type="input_json_delta", partial_json=""),
        adds(2, type="input_json_delta", partial_json='{"city":'),
        adds(2, type="input_json_delta", partial_json='"Lima"}'),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    )
    assert content(MESSAGES, answer=stream).output_messages == MESSAGE


def test_cut_tool_arguments_stay_as_text():
    stream = sse(
        starts(0, {"type": "tool_use", "id": "call_1", "name": "weather", "input": {}}),
        adds(0, type="input_json_delta", partial_json='{"city":'),
    )
    (message,) = content(MESSAGES, answer=stream).output_messages
    assert message["parts"] == [TOOL_CALL | {"arguments": '{"city":'}]


def test_a_legacy_anthropic_completion_has_messages_too():
    call = content(COMPLETE, answer={"completion": " Hi.", "stop_reason": "stop_sequence"})
    assert call.input_messages == [{"role": "user", "parts": [text("Human: Hi")]}]
    expected = [{"role": "assistant", "parts": [text(" Hi.")], "finish_reason": "stop"}]
    assert call.output_messages == expected
    pieces = [
        {"type": "completion", "completion": " H"},
        {"type": "completion", "completion": "i.", "stop_reason": "stop"},
    ]
    assert content(COMPLETE, answer=sse(*pieces)).output_messages == expected


# --- What is copied ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "request_"),
    [
        (
            MESSAGES,
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "t",
                                "content": [
                                    {"type": "text", "text": "See."},
                                    {
                                        "type": "image",
                                        "source": {"type": "base64", "media_type": "image/png", "data": BASE64},
                                    },
                                ],
                            }
                        ],
                    }
                ]
            },
        ),
        (
            RESPONSES,
            {
                "input": [
                    {
                        "type": "function_call_output",
                        "call_id": "c",
                        "output": [
                            {"type": "input_text", "text": "See."},
                            {"type": "input_image", "image_url": DATA_URL},
                        ],
                    }
                ]
            },
        ),
    ],
    ids=["messages", "responses"],
)
def test_binary_content_in_a_tools_result_is_described_not_copied(endpoint: Endpoint, request_: dict[str, Any]):
    ((result,),) = [message["parts"] for message in content(endpoint, request_).input_messages]
    assert result["response"] == [text("See."), blob("image", "image/png")]


def test_binary_content_in_a_tools_message_is_described_not_copied():
    given = [{"type": "text", "text": "See."}, {"type": "image_url", "image_url": {"url": DATA_URL}}]
    call = content(CHAT, {"messages": [{"role": "tool", "tool_call_id": "c", "content": given}]})
    assert call.input_messages[0]["parts"] == [
        {"type": "tool_call_response", "id": "c", "response": [text("See."), blob("image", "image/png")]}
    ]


# --- Everything else -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("surprise", "parts"),
    [
        ({"content": [{"type": "input_audio", "input_audio": "x"}, "x", {}]}, [{"type": "input_audio"}, UNKNOWN]),
        ({"content": [{"type": "image_url", "image_url": 7}]}, [{"type": "image"}]),
        ({"tool_calls": [{"function": "x"}], "content": "Hi"}, [text("Hi"), UNKNOWN]),
        ({"content": {"text": "x"}, "tool_calls": "x", "refusal": 7}, []),
    ],
    ids=["audio", "image", "tool-call", "no-lists"],
)
def test_a_surprising_part_of_a_request_loses_itself_only(surprise: dict[str, Any], parts: list[dict[str, Any]]):
    messages = [{"role": "user"} | surprise, {"role": "user", "content": "Hi"}]
    assert content(CHAT, {"messages": messages}).input_messages == [
        {"role": "user", "parts": parts},
        {"role": "user", "parts": [text("Hi")]},
    ]


@pytest.mark.parametrize(
    ("endpoint", "part"),
    [
        (CHAT, {"type": "file", "file": "x"}),
        (CHAT, {"type": "reasoning", "text": "Hm."}),
        (MESSAGES, {"type": "tool_call", "id": "x"}),
        (MESSAGES, {"type": "uri"}),
        (RESPONSES, {"type": "blob"}),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_a_part_of_a_kind_that_needs_more_is_of_an_unknown_kind(endpoint: Endpoint, part: dict[str, Any]):
    messages = [{"role": "user", "content": [part]}]
    call = content(endpoint, {"messages": messages, "input": messages})
    assert call.input_messages == [{"role": "user", "parts": [UNKNOWN]}]


def test_a_surprising_tool_call_of_an_answer_loses_itself_only():
    choices = [{"finish_reason": "stop", "message": {"content": "Lima.", "tool_calls": [{"function": "x"}]}}]
    assert content(CHAT, answer={"choices": choices}).output_messages == [
        {"role": "assistant", "parts": [text("Lima."), UNKNOWN], "finish_reason": "stop"}
    ]


KEYS = """
    role content parts type text thinking tool_calls function custom arguments input name id call_id tool_call_id
    function_call image_url url input_audio data format file file_id file_data source media_type refusal reasoning
    reasoning_content summary output item output_text input_schema description parameters tool_use_id messages tools
    functions system instructions prompt choices message index finish_reason delta completion response content_block
    stop_reason status incomplete_details model usage error partial_json
"""
WORDS = """
    text image_url input_audio file thinking refusal function custom tool_use tool_result server_tool_use image
    document base64 url message reasoning function_call custom_tool_call web_search_call compaction input_text
    output_text input_image input_file function_call_output user assistant tool system data:image/png;base64,AAAA
    data:, {} {"a":1} content_block_start content_block_delta message_start message_delta message_stop completion
    error response.completed response.created response.output_item.done stop incomplete failed
"""
keys = st.sampled_from(KEYS.split())
documents = json_values(keys, st.sampled_from(WORDS.split()))
objects = st.dictionaries(keys, documents, max_size=6)


@fuzz
@given(st.sampled_from(ENDPOINTS), objects, objects | documents, st.lists(objects, max_size=5))
def test_whatever_is_sent_the_messages_fit_the_schemas(
    endpoint: Endpoint, request: Any, answer: Any, events: list[Any]
):
    body = json.dumps(endpoint.request | request).encode()
    for answered in (json.dumps(answer).encode(), sse(*[json.dumps(event) for event in events], "[DONE]")):
        assert violations(played(endpoint, answered, body=body, capture=True)) == []


def test_the_schemas_tell_right_from_wrong():
    wrong = SimpleNamespace(
        input_messages=[{"role": "user", "parts": [{"type": kind} for kind in REQUIRED]}, {"role": "user"}],
        output_messages=[{"role": "assistant", "parts": [{"type": "new_kind"}]}],
        system_instructions=[{"type": "text", "content": "x"}, {"type": "reasoning", "content": "x"}],
        tool_definitions=[{"type": "function", "function": {"name": "x"}}, {"type": "web_search", "name": "x"}],
    )
    found = violations(wrong)
    places = sorted({violation.partition(":")[0] for violation in found})
    assert places == sorted(
        [f"input_messages[0].parts[{at}]" for at, fields in enumerate(REQUIRED.values()) if fields]
        + ["input_messages[1]", "output_messages[0]", "system_instructions[1]", "tool_definitions[0]"]
    )
