"""Cohere's version 1: chat and generate, as JSON and as JSON lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmtrace_otel.wire.call import Call, Usage
from wire.schemas import violations
from wire.talk import Endpoint, asked, played, told

HOST = "api.cohere.com"
CHAT = Endpoint(HOST, "/v1/chat", {"model": "command-r", "message": "Capital of Peru?"})
STREAMED = Endpoint(HOST, "/v1/chat", CHAT.request | {"stream": True})
GENERATE = Endpoint(HOST, "/v1/generate", {"model": "command", "prompt": "Lima is"})
STREAMED_GENERATE = Endpoint(HOST, "/v1/generate", GENERATE.request | {"stream": True})

META = {
    "api_version": {"version": "1"},
    "billed_units": {"input_tokens": 7.0, "output_tokens": 3.0},
    "tokens": {"input_tokens": 69.0, "output_tokens": 4.0},
    "cached_tokens": 64,
}
TOLD = {"response_id": "g-1", "finish_reasons": ["COMPLETE"], "usage": Usage(input=7, output=3), "complete": True}
CALLED = {"type": "tool_call", "name": "weather", "arguments": {"city": "Lima"}}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def said(*parts: dict[str, Any], finish: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "parts": list(parts), "finish_reason": finish}]


def answer(**changes: Any) -> dict[str, Any]:
    history = [{"role": "USER", "message": "Capital of Peru?"}, {"role": "CHATBOT", "message": "Lima."}]
    return {
        "response_id": "r-1",
        "generation_id": "g-1",
        "text": "Lima.",
        "chat_history": history,
        "finish_reason": "COMPLETE",
        "meta": META,
    } | changes


def generated(*texts: str, **changes: Any) -> dict[str, Any]:
    generations = [{"id": f"t-{at}", "index": at, "text": each} | changes for at, each in enumerate(texts)]
    return {"id": "g-1", "prompt": "Lima is", "generations": generations, "meta": META}


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in events)


START = {"is_finished": False, "event_type": "stream-start", "generation_id": "g-1"}
PIECES = [{"is_finished": False, "event_type": "text-generation", "text": piece} for piece in ("Li", "ma.")]


def end(response: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    whole = {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE"}
    return whole | {"response": response or answer()} | changes


STREAM = lines(START, *PIECES, end())


def captured(endpoint: Endpoint, reply: Any, **options: Any) -> Call:
    call = played(endpoint, reply, capture=True, **options)
    assert violations(call) == []
    return call


# --- Requests ------------------------------------------------------------------------------------------------------

SAMPLING = {
    "stream": True,
    "k": 40,
    "p": 0.9,
    "seed": 7,
    "temperature": 0.2,
    "max_tokens": 20,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.1,
}
SAMPLED = {
    "stream": True,
    "top_k": 40,
    "top_p": 0.9,
    "seed": 7,
    "temperature": 0.2,
    "max_tokens": 20,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.1,
}


def test_what_a_chat_asks_for():
    more = {"conversation_id": "trip", "stop_sequences": ["\n"], "response_format": {"type": "json_object"}}
    body = json.dumps(CHAT.request | SAMPLING | more).encode()
    assert asked(CHAT.begin(body=body).call) == SAMPLED | {
        "request_model": "command-r",
        "conversation_id": "trip",
        "stop_sequences": ["\n"],
        "output_type": "json",
    }


def test_what_a_generation_asks_for():
    body = json.dumps(GENERATE.request | SAMPLING | {"num_generations": 2, "end_sequences": ["."]}).encode()
    call = GENERATE.begin(body=body).call
    assert call.operation == "text_completion"
    assert asked(call) == SAMPLED | {"request_model": "command", "choice_count": 2, "stop_sequences": ["."]}


def test_the_messages_of_a_chat():
    called = {"name": "weather", "parameters": {"city": "Lima"}}
    request = CHAT.request | {
        "preamble": "Be brief.",
        "chat_history": [
            {"role": "System", "message": "Be kind."},
            {"role": "USER", "message": "Weather?"},
            {"role": "CHATBOT", "message": "I will ask.", "tool_calls": [called]},
            {"role": "TOOL", "tool_results": [{"call": called, "outputs": [{"degrees": 21}]}]},
        ],
        "tool_results": [{"call": called, "outputs": [{"degrees": 22}]}],
        "tools": [
            {
                "name": "weather",
                "description": "Now",
                "parameter_definitions": {"city": {"type": "str", "required": True}},
            },
            {"description": "no name"},
        ],
    }
    call = captured(CHAT, answer(), body=json.dumps(request).encode())
    assert call.system_instructions == [text("Be brief.")]
    assert call.input_messages == [
        {"role": "system", "parts": [text("Be kind.")]},
        {"role": "user", "parts": [text("Weather?")]},
        {"role": "assistant", "parts": [text("I will ask."), CALLED]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "response": [{"degrees": 21}]}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "response": [{"degrees": 22}]}]},
        {"role": "user", "parts": [text("Capital of Peru?")]},
    ]
    assert call.tool_definitions == [
        {
            "type": "function",
            "name": "weather",
            "description": "Now",
            "parameters": {"city": {"type": "str", "required": True}},
        }
    ]


def test_the_prompt_of_a_generation():
    call = captured(GENERATE, generated("Lima."))
    assert call.input_messages == [{"role": "user", "parts": [text("Lima is")]}]


# --- Answers -------------------------------------------------------------------------------------------------------


def test_a_chat():
    assert told(played(CHAT, answer())) == TOLD
    assert told(captured(CHAT, answer())) == TOLD | {"output_messages": said(text("Lima."), finish="stop")}


def test_a_chat_that_calls_a_tool():
    calls = [{"name": "weather", "parameters": {"city": "Lima"}}]
    call = captured(CHAT, answer(text="I will ask.", tool_calls=calls))
    assert told(call) == TOLD | {"output_messages": said(text("I will ask."), CALLED, finish="stop")}


def test_a_generation_of_several():
    call = captured(GENERATE, generated("warm.", "old.", finish_reason="MAX_TOKENS"))
    assert told(call) == TOLD | {
        "finish_reasons": ["MAX_TOKENS", "MAX_TOKENS"],
        "output_messages": said(text("warm."), finish="length") + said(text("old."), finish="length"),
    }


def test_an_answer_of_surprising_types_keeps_what_fits():
    odd = answer(text=["Lima."], tool_calls={"name": "weather"}, generation_id=7, finish_reason=None, meta=[])
    assert told(captured(CHAT, odd)) == {
        "response_id": "r-1",
        "complete": True,
        "keys_seen": sorted(odd),
        "output_messages": said(finish="error"),
    }


# --- Streams -------------------------------------------------------------------------------------------------------


def test_a_streamed_chat():
    assert told(played(STREAMED, STREAM)) == TOLD
    assert told(captured(STREAMED, STREAM)) == TOLD | {"output_messages": said(text("Lima."), finish="stop")}


@pytest.mark.parametrize("capture", [False, True])
def test_a_stream_byte_by_byte(capture: bool):
    in_one = played(STREAMED, STREAM, capture=capture)
    in_bytes = played(STREAMED, b"", pieces=[STREAM[at : at + 1] for at in range(len(STREAM))], capture=capture)
    assert told(in_bytes) == told(in_one)


def test_a_streamed_chat_that_calls_a_tool():
    calls = [{"name": "weather", "parameters": {"city": "Lima"}}]
    body = lines(
        START,
        {"event_type": "tool-calls-chunk", "text": "I will", "tool_call_delta": {"index": 0, "name": "weather"}},
        {"event_type": "tool-calls-generation", "text": "I will ask.", "tool_calls": calls},
        end(answer(text="I will ask.", tool_calls=calls)),
    )
    assert told(captured(STREAMED, body)) == TOLD | {
        "output_messages": said(text("I will ask."), CALLED, finish="stop")
    }


def test_a_streamed_generation():
    pieces = [{"is_finished": False, "text": piece} for piece in ("wa", "rm.")]
    body = lines(*pieces, end(generated("warm.", finish_reason="COMPLETE")))
    call = captured(STREAMED_GENERATE, body)
    assert told(call) == TOLD | {"output_messages": said(text("warm."), finish="stop")}


def test_a_stream_whose_end_repeats_nothing():
    body = lines(START, *PIECES, {"is_finished": True, "finish_reason": "MAX_TOKENS"})
    assert told(captured(STREAMED, body)) == {
        "response_id": "g-1",
        "finish_reasons": ["MAX_TOKENS"],
        "complete": True,
        "output_messages": said(text("Lima."), finish="length"),
    }


def test_a_stream_whose_end_has_no_reason():
    whole = {"event_type": "stream-end", "response": {"text": "Lima.", "meta": META}}
    ended = {"response_id": "g-1", "usage": Usage(input=7, output=3), "complete": True}
    assert told(played(STREAMED, lines(START, *PIECES, whole))) == ended
    assert told(captured(STREAMED, lines(START, *PIECES, whole))) == ended | {
        "output_messages": said(text("Lima."), finish="error")
    }


def test_a_stream_that_is_left_keeps_what_came():
    body = lines(START, *PIECES)
    assert told(played(STREAMED, body, left=True)) == {"response_id": "g-1"}
    assert told(captured(STREAMED, body, left=True)) == {
        "response_id": "g-1",
        "output_messages": said(text("Lima."), finish="error"),
    }


def test_lines_of_surprising_shapes_lose_themselves():
    odd = b'{"event_type":null,"text":5}\n[]\nnot JSON\n{"event_type":"stream-start","generation_id":{}}\n'
    body = lines(START) + odd + lines(*PIECES, end())
    assert told(played(STREAMED, body)) == TOLD
    assert told(captured(STREAMED, body)) == TOLD | {"output_messages": said(text("Lima."), finish="stop")}


# --- Errors --------------------------------------------------------------------------------------------------------


def test_an_http_error_of_a_stream_request_is_json():
    body = {"id": "x", "message": "model 'command' was removed"}
    assert told(played(STREAMED, body, status=404)) == {
        "error_type": "404",
        "error_message": "model 'command' was removed",
    }


def test_an_error_line_in_a_stream():
    error = {"is_finished": True, "event_type": "stream-error", "finish_reason": "ERROR", "err": "out of memory"}
    assert told(played(STREAMED_GENERATE, lines(*PIECES, error))) == {
        "finish_reasons": ["ERROR"],
        "error_type": "_OTHER",
        "error_message": "out of memory",
        "complete": True,
    }


def test_an_answer_that_failed():
    assert told(played(CHAT, answer(finish_reason="ERROR"))) == TOLD | {
        "finish_reasons": ["ERROR"],
        "error_type": "_OTHER",
    }
