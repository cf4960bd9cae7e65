"""Ollama's own API: chat and generate as JSON lines and as JSON, and embeddings."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.exchange import Exchange
from wire.schemas import violations
from wire.talk import Endpoint, asked, played, told

HOST = "ollama.com"
CHAT = Endpoint(HOST, "/api/chat", {"model": "qwen3", "messages": [{"role": "user", "content": "Capital of Peru?"}]})
CHAT_AS_JSON = Endpoint(HOST, "/api/chat", CHAT.request | {"stream": False})
GENERATE = Endpoint(HOST, "/api/generate", {"model": "qwen3", "prompt": "Lima is"})
EMBED = Endpoint(HOST, "/api/embed", {"model": "nomic-embed-text", "input": ["Lima"]})
OLD_EMBED = Endpoint(HOST, "/api/embeddings", {"model": "nomic-embed-text", "prompt": "Lima"})

AT = "2026-08-07T06:08:11.017589Z"
COUNTS = {"total_duration": 9, "prompt_eval_count": 12, "prompt_eval_duration": 4, "eval_count": 3, "eval_duration": 5}
TOLD = {"response_model": "qwen3", "finish_reasons": ["stop"], "usage": Usage(input=12, output=3), "complete": True}
WEATHER = {"id": "call_1", "function": {"index": 0, "name": "weather", "arguments": {"city": "Lima"}}}
CALLED = {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Lima"}}
PNG = b"\x89PNG not really"
BASE64 = base64.b64encode(PNG).decode()
IMAGE = {
    "type": "blob",
    "modality": "image",
    "content": "",
    "size": len(PNG),
    "sha256": hashlib.sha256(PNG).hexdigest(),
}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def thought(content: str) -> dict[str, Any]:
    return {"type": "reasoning", "content": content}


def said(*parts: dict[str, Any], finish: str = "stop") -> list[dict[str, Any]]:
    return [{"role": "assistant", "parts": list(parts), "finish_reason": finish}]


def message(done: dict[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
    """A line of a chat, or the whole of one; `done` is what its end tells."""
    return _line({"message": {"role": "assistant", "content": ""} | fields}, done)


def response(done: dict[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
    """A line of a generation."""
    return _line(fields, done)


def _line(said: dict[str, Any], done: dict[str, Any] | None) -> dict[str, Any]:
    line = {"model": "qwen3", "created_at": AT} | said | {"done": done is not None}
    return line if done is None else line | {"done_reason": "stop"} | COUNTS | done


def without(line: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in names}


def lines(*objects: Any, separators: tuple[str, str] = (",", ":")) -> bytes:
    return b"".join(json.dumps(each, separators=separators).encode() + b"\n" for each in objects)


STREAM = lines(message(content="Li"), message(content="ma."), message({}))


def captured(endpoint: Endpoint, reply: Any, **options: Any) -> Call:
    call = played(endpoint, reply, capture=True, **options)
    assert violations(call) == []
    return call


# --- Requests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stated", "streams"), [({}, True), ({"stream": True}, True), ({"stream": False}, None)])
@pytest.mark.parametrize("endpoint", [CHAT, GENERATE])
def test_a_request_streams_unless_it_says_otherwise(endpoint: Endpoint, stated: dict[str, Any], streams: bool | None):
    assert endpoint.begin(body=json.dumps(endpoint.request | stated).encode()).call.stream is streams


def test_what_a_chat_asks_for():
    options = {
        "temperature": 0.2,
        "num_predict": 20,
        "num_ctx": 4096,
        "top_k": 40,
        "top_p": 0.9,
        "seed": 7,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.1,
        "stop": ["\n"],
    }
    more = {"options": options, "format": {"type": "object"}, "think": "low", "keep_alive": "5m"}
    assert asked(CHAT.begin(body=json.dumps(CHAT.request | more).encode()).call) == {
        "request_model": "qwen3",
        "stream": True,
        "temperature": 0.2,
        "max_tokens": 20,
        "top_k": 40,
        "top_p": 0.9,
        "seed": 7,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.1,
        "stop_sequences": ["\n"],
        "reasoning_level": "low",
        "output_type": "json",
    }


@pytest.mark.parametrize(
    ("stated", "read"),
    [
        ({"format": "json"}, {"output_type": "json"}),
        ({"format": ""}, {}),
        ({"format": None, "options": None, "think": True}, {}),
        ({"options": {"num_predict": -1, "stop": "\n"}}, {"stop_sequences": ["\n"]}),
        ({"options": {"top_k": "many", "top_p": 0.9}, "think": []}, {"top_p": 0.9}),
        ({"options": "fast"}, {}),
    ],
)
def test_odd_ways_of_asking(stated: dict[str, Any], read: dict[str, Any]):
    call = CHAT.begin(body=json.dumps(CHAT.request | stated).encode()).call
    assert asked(call) == {"request_model": "qwen3", "stream": True} | read


def test_the_messages_of_a_chat():
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is this?", "images": [BASE64]},
        {"role": "assistant", "content": "", "thinking": "A city.", "tool_calls": [WEATHER]},
        {"role": "tool", "content": "21 °C", "tool_name": "weather"},
        {"role": "tool", "content": "22 °C", "tool_call_id": "call_2"},
    ]
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    request = CHAT.request | {"messages": messages, "tools": tools}
    call = captured(CHAT, STREAM, body=json.dumps(request).encode())
    assert call.input_messages == [
        {"role": "system", "parts": [text("Be brief.")]},
        {"role": "user", "parts": [text("What is this?"), IMAGE]},
        {"role": "assistant", "parts": [thought("A city."), CALLED]},
        {"role": "tool", "name": "weather", "parts": [{"type": "tool_call_response", "response": "21 °C"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_2", "response": "22 °C"}]},
    ]
    assert call.tool_definitions == [{"type": "function", "name": "weather", "parameters": {"type": "object"}}]


def test_the_prompt_of_a_generation():
    request = GENERATE.request | {"system": "Be brief.", "images": [BASE64]}
    call = captured(GENERATE, b"", body=json.dumps(request).encode())
    assert (call.system_instructions, call.input_messages) == (
        [text("Be brief.")],
        [{"role": "user", "parts": [text("Lima is"), IMAGE]}],
    )


# --- Streams -------------------------------------------------------------------------------------------------------


def test_a_chat():
    assert told(played(CHAT, STREAM)) == TOLD
    assert told(captured(CHAT, STREAM)) == TOLD | {"output_messages": said(text("Lima."))}


@pytest.mark.parametrize("capture", [False, True])
def test_a_stream_byte_by_byte(capture: bool):
    in_one = played(CHAT, STREAM, capture=capture)
    in_bytes = played(CHAT, b"", pieces=[STREAM[at : at + 1] for at in range(len(STREAM))], capture=capture)
    assert told(in_bytes) == told(in_one)


def test_a_stream_may_be_spaced_and_end_without_a_line_end():
    body = lines(message(content="Lima."), message({}), separators=(", ", ": ")).rstrip()
    assert told(played(CHAT, body)) == TOLD


def test_a_chat_that_thinks_and_calls_tools():
    body = lines(
        message(thinking="Where "),
        message(thinking="is it?"),
        message(content="One moment."),
        message(tool_calls=[WEATHER]),
        message(tool_calls=[{"function": {"name": "now", "arguments": {}}}]),
        message({}),
    )
    parts = (
        thought("Where is it?"),
        text("One moment."),
        CALLED,
        {"type": "tool_call", "name": "now", "arguments": {}},
    )
    assert told(played(CHAT, body)) == TOLD
    assert told(captured(CHAT, body)) == TOLD | {"output_messages": said(*parts)}


def test_a_generation():
    body = lines(response(thinking="Hm."), response(response="wa"), response(response="rm."), response({}, response=""))
    assert played(GENERATE, body).operation == "text_completion"
    assert told(played(GENERATE, body)) == TOLD
    assert told(captured(GENERATE, body)) == TOLD | {"output_messages": said(thought("Hm."), text("warm."))}


def test_a_generated_image_is_described():
    body = lines(response(completed=1, total=2), response({}, image=BASE64))
    assert told(captured(GENERATE, body)) == TOLD | {"output_messages": said(IMAGE)}


def test_a_prompt_that_was_not_evaluated_has_no_count():
    body = lines(without(message({}, content="Lima."), "prompt_eval_count"))
    assert told(played(CHAT, body)) == TOLD | {"usage": Usage(output=3)}


def test_an_end_without_a_reason():
    body = lines(without(message({}, content="Lima."), "done_reason"))
    assert told(played(CHAT, body)) == without(TOLD, "finish_reasons")


def test_a_stream_that_is_left_keeps_what_came():
    body = lines(message(content="Li"), message(content="ma."))
    assert told(played(CHAT, body, left=True)) == {"response_model": "qwen3"}
    assert told(captured(CHAT, body, left=True)) == {
        "response_model": "qwen3",
        "output_messages": said(text("Lima."), finish="error"),
    }


def test_lines_of_surprising_shapes_lose_themselves():
    odd = b'{"message":"Hm."}\n{"message":{"content":7,"tool_calls":{},"images":"none"}}\n[]\nnot JSON\n\n'
    body = lines(message(content="Li")) + odd + lines(message(content="ma."), message({"eval_count": "three"}))
    usage = {"usage": Usage(input=12)}
    assert told(played(CHAT, body)) == TOLD | usage
    assert told(captured(CHAT, body)) == TOLD | usage | {"output_messages": said(text("Lima."))}


# --- JSON ----------------------------------------------------------------------------------------------------------


def test_a_chat_as_json():
    answer = message({"done_reason": "length"}, content="Lima.", thinking="Hm.", tool_calls=[WEATHER])
    reason = {"finish_reasons": ["length"]}
    assert told(played(CHAT_AS_JSON, answer)) == TOLD | reason
    assert told(captured(CHAT_AS_JSON, answer)) == TOLD | reason | {
        "output_messages": said(thought("Hm."), text("Lima."), CALLED, finish="length")
    }


def test_a_generation_as_json():
    endpoint = Endpoint(HOST, "/api/generate", GENERATE.request | {"stream": False})
    answer = response({}, response="warm.", context=[1, 2, 3])
    assert told(captured(endpoint, answer)) == TOLD | {"output_messages": said(text("warm."))}


@pytest.mark.parametrize("endpoint", [EMBED, OLD_EMBED])
def test_what_embeddings_ask_for(endpoint: Endpoint):
    call = endpoint.begin(body=json.dumps(endpoint.request | {"dimensions": 256}).encode()).call
    assert call.operation == "embeddings"
    assert asked(call) == {"request_model": "nomic-embed-text", "dimensions": 256}


def test_embeddings():
    answer = {"model": "nomic-embed-text", "embeddings": [[0.25, -0.5]], "prompt_eval_count": 2}
    assert told(played(EMBED, answer)) == {
        "response_model": "nomic-embed-text",
        "usage": Usage(input=2),
        "complete": True,
    }


def test_the_old_embeddings_count_nothing():
    assert told(played(OLD_EMBED, {"embedding": [0.25, -0.5]})) == {"complete": True, "keys_seen": ["embedding"]}


# --- Errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [CHAT, CHAT_AS_JSON, GENERATE, EMBED])
def test_an_http_error(endpoint: Endpoint):
    assert told(played(endpoint, {"error": "model 'qwen3' not found"}, status=404)) == {
        "error_type": "404",
        "error_message": "model 'qwen3' not found",
    }


@pytest.mark.parametrize("capture", [False, True])
def test_an_error_in_a_stream_that_began_well(capture: bool):
    messages = {"output_messages": said(text("Li"), finish="error")} if capture else {}
    body = lines(message(content="Li"), {"error": "an error was encountered while running the model"})
    assert told(played(CHAT, body, capture=capture)) == messages | {
        "response_model": "qwen3",
        "error_type": "_OTHER",
        "error_message": "an error was encountered while running the model",
    }


def test_an_error_as_a_good_answer():
    assert told(played(CHAT_AS_JSON, {"error": "out of memory"})) == {
        "error_type": "_OTHER",
        "error_message": "out of memory",
        "complete": True,
        "keys_seen": ["error"],
    }


@pytest.mark.parametrize("endpoint", [CHAT, GENERATE, EMBED, OLD_EMBED])
def test_on_its_usual_port_a_request_must_look_like_one(endpoint: Endpoint):
    local = {"port": 11434, "host": "127.0.0.1", "method": "POST", "path": endpoint.path}
    found = Exchange.begin(**local, body=json.dumps(endpoint.request).encode())
    assert found is not None
    assert found.call.provider == "ollama"
    assert Exchange.begin(**local, body=b'{"rows": []}') is None
