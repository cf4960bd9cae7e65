"""Conversations over WebSockets: which frames begin and end a call, and what they tell of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.providers import Providers
from llmtrace_otel.wire.realtime import Conversation
from wire.schemas import violations

Frame = dict[str, Any]

REALTIME = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
RESPONSES = "wss://api.openai.com/v1/responses"
GEMINI = "wss://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1beta.GenerativeService."
LIVE = GEMINI + "BidiGenerateContent"


class Talk:
    """A conversation at a URL, and the calls that it tells of."""

    def __init__(self, url: str = REALTIME, *, capture: bool = False, providers: Providers | None = None) -> None:
        host, _, rest = url.removeprefix("wss://").partition("/")
        path, _, query = rest.partition("?")
        self.open: list[Call] = []
        self.ended: list[Call] = []
        conversation = Conversation.begin(
            host.partition(":")[0],
            int(host.partition(":")[2] or 443),
            f"/{path}",
            query,
            began=self.open.append,
            ended=self._end,
            providers=providers or Providers(),
            capture=capture,
        )
        assert conversation is not None, f"nothing is spoken at {url}"
        self.conversation = conversation

    def _end(self, call: Call) -> None:
        del self.open[[other is call for other in self.open].index(True)]  # what has not begun cannot end
        self.ended.append(call)

    def sends(self, *frames: Frame) -> Talk:
        for frame in frames:
            self.conversation.sent(json.dumps(frame))
        return self

    def hears(self, *frames: Frame) -> Talk:
        for frame in frames:
            self.conversation.received(json.dumps(frame).encode())
        return self

    @property
    def call(self) -> Call:
        """The one call that there was, over."""
        assert self.open == []
        (call,) = self.ended
        assert violations(call) == []
        return call


def text(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def said(content: str, reason: str = "stop") -> list[dict[str, Any]]:
    return [text("assistant", content) | {"finish_reason": reason}]


# Which connections are conversations, and whose.


@pytest.mark.parametrize(
    ("url", "provider", "operation"),
    [
        (REALTIME, "openai", "chat"),
        ("wss://api.openai.com/v1/realtime?call_id=rtc_1", "openai", "chat"),
        ("wss://eu.api.openai.com/v1/realtime?model=gpt-realtime", "openai", "chat"),
        (RESPONSES, "openai", "chat"),
        ("wss://corp.openai.azure.com/openai/realtime?deployment=d", "azure.ai.openai", "chat"),
        ("wss://corp.openai.azure.com/openai/v1/realtime?model=d", "azure.ai.openai", "chat"),
        ("wss://api.x.ai/v1/realtime", "x_ai", "chat"),
        (LIVE, "gcp.gemini", "generate_content"),
        (GEMINI + "BidiGenerateContentConstrained", "gcp.gemini", "generate_content"),
        (
            "wss://us-central1-aiplatform.googleapis.com/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent",
            "gcp.vertex_ai",
            "generate_content",
        ),
        ("wss://gateway.example/v1/realtime?model=m", "openai", "chat"),
        ("wss://gateway.example/v1/responses", "openai", "chat"),
        ("wss://gateway.example/google.cloud.aiplatform/BidiGenerateContent", "gcp.vertex_ai", "generate_content"),
        ("wss://localhost:8000/v1/realtime?model=m", "vllm", "chat"),
    ],
)
def test_a_conversation_is_known_by_its_url(url: str, provider: str, operation: str):
    talk = Talk(url)
    talk.sends({"type": "response.create"}, {"clientContent": {"turnComplete": True}})
    (call,) = talk.open
    assert (call.provider, call.operation) == (provider, operation)


@pytest.mark.parametrize(
    "url",
    [
        "wss://api.openai.com/v1/realtime/translations?model=m",
        "wss://api.openai.com/v1/live/sessions",
        "wss://chat.example/realtime",
        "wss://chat.example/",
        GEMINI + "BidiGenerateMusic",
    ],
)
def test_other_connections_are_no_conversations(url: str):
    with pytest.raises(AssertionError, match="nothing is spoken at"):
        Talk(url)


def test_a_registered_provider_is_named():
    providers = Providers()
    providers.register_provider("our-gateway", "https://gateway.example/llm")
    talk = Talk("wss://gateway.example/llm/realtime", providers=providers).sends({"type": "response.create"})
    assert [call.provider for call in talk.open] == ["our-gateway"]


# OpenAI Realtime.

CREATE = {"type": "response.create"}
SESSION = {
    "type": "session.created",
    "session": {
        "model": "gpt-realtime-2025-08-28",
        "instructions": "Be brief.",
        "temperature": 0.8,
        "max_output_tokens": 4096,
        "output_modalities": ["audio"],
        "tools": [
            {"type": "function", "name": "weather", "description": "Tells it.", "parameters": {"type": "object"}}
        ],
    },
}
COUNTS = {
    "total_tokens": 153,
    "input_tokens": 122,
    "output_tokens": 31,
    "input_token_details": {"text_tokens": 96, "audio_tokens": 26, "cached_tokens": 64},
    "output_token_details": {"text_tokens": 11, "audio_tokens": 20, "reasoning_tokens": 5},
}
USAGE = Usage(input=122, output=31, cache_read=64, reasoning=5, input_audio=26, output_audio=20)


def created(name: str = "resp_1") -> Frame:
    response = {"id": name, "status": "in_progress", "conversation_id": "conv_1", "usage": None}
    return {"type": "response.created", "response": response}


def done(name: str = "resp_1", status: str = "completed", usage: Any = COUNTS, **more: Any) -> Frame:
    return {"type": "response.done", "response": {"id": name, "status": status, "usage": usage, "output": [], **more}}


def item(name: str, role: str, *content: Frame) -> Frame:
    return {"id": name, "type": "message", "role": role, "content": list(content)}


def added(thing: Frame) -> Frame:
    return {"type": "conversation.item.added", "previous_item_id": None, "item": thing}


def delta(name: str = "resp_1") -> Frame:
    return {"type": "response.output_audio.delta", "response_id": name, "delta": "AAAA"}


def test_a_response_is_a_call_from_the_request_to_the_counts():
    talk = Talk().hears(SESSION).sends(CREATE)
    (begun,) = talk.open
    assert (begun.request_model, begun.temperature, begun.max_tokens, begun.output_type, begun.stream) == (
        "gpt-realtime",
        0.8,
        4096,
        "speech",
        True,
    )
    call = talk.hears(created(), delta(), done()).call
    assert call is begun
    assert (call.response_id, call.response_model, call.conversation_id) == (
        "resp_1",
        "gpt-realtime-2025-08-28",
        "conv_1",
    )
    assert (call.usage, call.response_status, call.complete) == (USAGE, "completed", True)
    assert call.first_chunk_ns is not None
    assert call.output_messages is None


def test_what_one_request_asks_for_wins_over_the_session():
    asked = {"output_modalities": ["text"], "max_output_tokens": "inf", "instructions": "Shout.", "input": []}
    talk = Talk(capture=True).hears(SESSION, added(item("i1", "user"))).sends(CREATE | {"response": asked})
    call = talk.hears(created(), done()).call
    assert (call.output_type, call.max_tokens, call.temperature) == ("text", 4096, 0.8)
    assert (call.system_instructions, call.input_messages) == ([{"type": "text", "content": "Shout."}], [])


def test_a_response_that_the_server_starts_begins_when_it_says_so():
    talk = Talk().hears(SESSION, created())
    assert [call.response_id for call in talk.open] == ["resp_1"]
    assert talk.hears(done()).call.usage == USAGE


def test_a_response_that_began_before_one_listened_counts_too():
    assert Talk("wss://api.openai.com/v1/realtime?call_id=rtc_1").hears(done()).call.usage == USAGE


def test_responses_side_by_side_are_told_apart():
    talk = Talk().sends(CREATE, CREATE).hears(created("a"), created("b"), delta("b"))
    talk.hears(done("b", usage={"input_tokens": 2, "output_tokens": 1}), done("a"))
    assert [(call.response_id, call.usage) for call in talk.ended] == [("b", Usage(input=2, output=1)), ("a", USAGE)]
    assert [call.first_chunk_ns is not None for call in talk.ended] == [True, False]


def test_empty_counts_are_no_counts():
    beside = {"input_tokens": 0, "output_tokens": 269}  # xAI's, of what was newly said
    call = Talk("wss://api.x.ai/v1/realtime").hears(created(), done(usage={}) | {"usage": beside}).call
    assert (call.usage, call.complete) == (None, True)


def test_a_response_that_is_spoken_into_is_not_whole_but_no_error():
    details = {"type": "cancelled", "reason": "turn_detected"}
    call = Talk(capture=True).hears(created(), done(status="cancelled", status_details=details)).call
    assert (call.response_status, call.complete, call.error_type, call.usage) == ("cancelled", False, None, USAGE)


def test_a_response_that_fails_says_why():
    details = {"type": "failed", "error": {"type": "server_error", "code": "oops", "message": "Try again."}}
    call = Talk().hears(created(), done(status="failed", status_details=details, usage=None)).call
    assert (call.error_type, call.error_message) == ("server_error", "Try again.")
    assert Talk().hears(created(), done(status="failed")).call.error_type == "_OTHER"


@pytest.mark.parametrize(
    ("event_id", "error"),
    [
        ("e1", {"type": "invalid_request_error", "event_id": "e1"}),
        (None, {"type": "invalid_request_error", "code": "conversation_already_has_active_response"}),
        (None, {"type": "invalid_request_error", "code": "invalid_value", "param": "response.tools[0]"}),
    ],
)
def test_an_error_ends_the_request_that_it_answers(event_id: str | None, error: Frame):
    talk = (
        Talk().hears(created("other")).sends(CREATE | {"event_id": event_id}).hears({"type": "error", "error": error})
    )
    assert [call.error_type for call in talk.ended] == ["invalid_request_error"]
    assert [call.response_id for call in talk.open] == ["other"]


def test_an_error_of_something_else_leaves_the_responses_alone():
    error = {"type": "invalid_request_error", "code": "input_audio_buffer_commit_empty", "event_id": "e9"}
    talk = Talk().sends(CREATE | {"event_id": "e1"}).hears({"type": "error", "error": error}, created(), done())
    assert (talk.call.error_type, talk.call.usage) == (None, USAGE)


def test_an_error_that_is_the_last_word_names_the_end_of_what_is_open():
    error = {"type": "invalid_request_error", "code": "session_expired", "message": "Sixty minutes are over."}
    talk = Talk().hears(created(), {"type": "error", "error": error})
    talk.conversation.fail(ConnectionError("gone"))
    assert (talk.call.error_type, talk.call.error_message) == ("invalid_request_error", "Sixty minutes are over.")


def test_a_connection_that_breaks_fails_what_is_open():
    talk = Talk().hears(created("a"), done("a"), created("b"))
    talk.conversation.fail(ConnectionResetError("gone"))
    assert [(call.response_id, call.complete, call.error_type) for call in talk.ended] == [
        ("a", True, None),
        ("b", False, "ConnectionResetError"),
    ]


def test_a_connection_that_is_closed_leaves_what_is_open_incomplete():
    talk = Talk(capture=True).sends(CREATE)
    talk.conversation.closed()
    talk.conversation.closed()
    assert (talk.call.complete, talk.call.error_type) == (False, None)


def test_a_turns_messages_are_what_the_conversation_gained_and_what_was_said():
    talk = Talk(capture=True).hears(
        SESSION,
        added(item("i1", "user", {"type": "input_text", "text": "Weather?"})),
        created("a"),
        added(item("o1", "assistant")),
    )
    call = {"id": "o2", "type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Rome"}'}
    spoken = item("o1", "assistant", {"type": "output_audio", "transcript": "Let me see."})
    talk.hears(added(call), done("a", output=[spoken, call]))
    result = {"id": "i2", "type": "function_call_output", "call_id": "c1", "output": "Sunny"}
    final = item("o3", "assistant", {"type": "output_text", "text": "Sun."})
    talk.hears(added(result), created("b"), done("b", output=[final]))
    first, second = talk.ended
    assert first.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert first.tool_definitions == SESSION["session"]["tools"]
    assert first.input_messages == [text("user", "Weather?")]
    asked = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Rome"}}
    assert first.output_messages == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "Let me see."}, asked],
            "finish_reason": "tool_call",
        }
    ]
    told = {"type": "tool_call_response", "id": "c1", "response": "Sunny"}
    assert second.input_messages == [{"role": "tool", "parts": [told]}]
    assert second.output_messages == said("Sun.")
    assert [violations(call) for call in talk.ended] == [[], []]


def test_speech_is_told_by_its_transcript_even_if_that_comes_late():
    heard = item("i1", "user", {"type": "input_audio", "transcript": None})
    event = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "i1", "transcript": "Hello?"}
    call = Talk(capture=True).hears(added(heard), created(), event, done()).call
    assert call.input_messages == [text("user", "Hello?")]


def test_sound_without_a_transcript_is_described_not_copied():
    sound = base64.b64encode(b"beep").decode()
    call = (
        Talk(capture=True)
        .hears(added(item("i1", "user", {"type": "input_audio", "audio": sound})), created(), done())
        .call
    )
    described = {"type": "blob", "modality": "audio", "content": "", "size": 4}
    described["sha256"] = hashlib.sha256(b"beep").hexdigest()
    assert call.input_messages == [{"role": "user", "parts": [described]}]


# OpenAI Responses over a WebSocket.


def request(stream_id: str | None = None, **more: Any) -> Frame:
    body = {"type": "response.create", "model": "gpt-5.6", "input": "Hi", "temperature": 0.5, **more}
    return body if stream_id is None else body | {"stream_id": stream_id}


def event(kind: str, name: str, stream_id: str | None = None, **response: Any) -> Frame:
    found = {"type": f"response.{kind}", "response": {"id": name, "model": "gpt-5.6-mini", **response}}
    return found if stream_id is None else found | {"stream_id": stream_id}


FINAL = {
    "status": "completed",
    "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3},
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}],
}


@pytest.mark.parametrize("capture", [False, True], ids=["content-off", "content-on"])
def test_a_request_over_a_connection_is_a_call(capture: bool):
    talk = Talk(RESPONSES, capture=capture).sends(request()).hears(event("created", "resp_1"))
    assert [call.request_model for call in talk.open] == ["gpt-5.6"]
    call = talk.hears(event("completed", "resp_1", **FINAL)).call
    assert (call.response_id, call.response_model, call.response_status) == ("resp_1", "gpt-5.6-mini", "completed")
    assert (call.usage, call.complete, call.stream) == (Usage(input=10, output=3, cache_read=4), True, True)
    assert (call.temperature, call.api_type) == (0.5, "responses")
    assert call.input_messages == ([text("user", "Hi")] if capture else None)
    assert call.output_messages == (said("Hello") if capture else None)


def test_requests_of_one_stream_are_answered_in_order_those_of_others_meanwhile():
    talk = Talk(RESPONSES).sends(request("a", model="m1"), request("a", model="m2"), request("b", model="m3"))
    talk.hears(event("created", "r1", "a"), event("created", "r3", "b"), event("completed", "r3", "b", **FINAL))
    talk.hears(event("completed", "r1", "a", **FINAL), event("created", "r2", "a"))
    talk.hears(event("incomplete", "r2", "a", status="incomplete"))
    assert [(call.request_model, call.response_id, call.usage is None) for call in talk.ended] == [
        ("m3", "r3", False),
        ("m1", "r1", False),
        ("m2", "r2", True),
    ]


def test_what_only_warms_a_connection_up_is_no_call():
    talk = Talk(RESPONSES).sends(request(generate=False), request(previous_response_id="r1"))
    talk.hears(event("created", "r1"), event("completed", "r1"))
    talk.hears(event("created", "r2"), event("completed", "r2", **FINAL))
    assert (talk.call.response_id, talk.call.previous_response_id, talk.call.usage is None) == ("r2", "r1", False)
    talk.sends(request(generate=False)).conversation.closed()
    assert [call.response_id for call in talk.ended] == ["r2"]


def test_the_successor_of_a_steered_response_is_a_call_with_its_settings():
    talk = Talk(RESPONSES).sends(request()).hears(event("created", "r1"))
    talk.sends({"type": "response.steer", "previous_response_id": "r1", "input": "Shorter"})
    talk.hears(event("incomplete", "r1", status="incomplete"), event("created", "r2"))
    talk.hears(event("completed", "r2", **FINAL))
    assert [(call.response_id, call.request_model, call.temperature) for call in talk.ended] == [
        ("r1", "gpt-5.6", 0.5),
        ("r2", "gpt-5.6", 0.5),
    ]


def test_an_error_ends_the_request_that_is_first_in_its_stream():
    error = {"type": "error", "status": 400, "error": {"code": "previous_response_not_found", "message": "No."}}
    talk = Talk(RESPONSES).sends(request("a"), request("b")).hears(error | {"stream_id": "b"})
    assert [(call.error_type, call.error_message) for call in talk.ended] == [("previous_response_not_found", "No.")]
    talk.conversation.closed()
    assert [(call.error_type, call.complete) for call in talk.ended][1:] == [(None, False)]


def test_an_event_of_a_response_that_is_over_does_not_end_the_next_one():
    failed = event("failed", "r1", status="failed", error={"code": "server_error"})
    talk = Talk(RESPONSES).sends(request(), request())
    talk.hears(event("created", "r1"), {"type": "error", "code": "server_error"}, event("created", "r2"), failed)
    assert [call.response_id for call in talk.open] == ["r2"]


def test_a_response_that_is_cut_leaves_the_items_that_were_whole():
    whole = {"type": "response.output_item.done", "item": FINAL["output"][0]}
    talk = Talk(RESPONSES, capture=True).sends(request()).hears(event("created", "resp_1"), whole)
    talk.conversation.closed()
    assert (talk.call.complete, talk.call.output_messages) == (False, said("Hello", "error"))


def test_other_vendors_have_no_openai_api_type():
    talk = Talk("wss://gateway.example:9/v1/responses", providers=_registered("ours", "https://gateway.example:9"))
    assert [call.api_type for call in talk.sends(request()).open] == [None]


def _registered(name: str, url: str) -> Providers:
    providers = Providers()
    providers.register_provider(name, url)
    return providers


# Gemini Live.

SETUP = {
    "setup": {
        "model": "projects/p/locations/l/publishers/google/models/gemini-live",
        "generationConfig": {"temperature": 0.5, "maxOutputTokens": 100, "responseModalities": ["AUDIO"]},
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": [{"name": "weather", "description": "Tells it."}]}],
    }
}
ASK = {"clientContent": {"turns": [{"role": "user", "parts": [{"text": "Hi"}]}], "turnComplete": True}}
LIVE_COUNTS = {
    "promptTokenCount": 100,
    "toolUsePromptTokenCount": 5,
    "cachedContentTokenCount": 40,
    "responseTokenCount": 30,
    "thoughtsTokenCount": 7,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 80}, {"modality": "AUDIO", "tokenCount": 20}],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}],
}
LIVE_USAGE = Usage(input=105, output=37, cache_read=40, reasoning=7, input_audio=20, output_audio=30)


def speech(content: str) -> Frame:
    return {"serverContent": {"outputTranscription": {"text": content}}}


def sound(data: bytes) -> Frame:
    data_part = {"inlineData": {"mimeType": "audio/pcm", "data": base64.b64encode(data).decode()}}
    return {"serverContent": {"modelTurn": {"parts": [data_part]}}}


def over(counts: Frame | None = LIVE_COUNTS, **more: Any) -> Frame:
    content = {"serverContent": {"turnComplete": True, **more}}
    return content if counts is None else content | {"usageMetadata": counts}


def test_a_turn_is_a_call_from_the_question_to_the_counts():
    talk = Talk(LIVE).sends(SETUP).hears({"setupComplete": {"sessionId": "s1"}}).sends(ASK)
    (begun,) = talk.open
    assert (begun.request_model, begun.temperature, begun.max_tokens, begun.output_type) == (
        "gemini-live",
        0.5,
        100,
        "speech",
    )
    call = talk.hears(sound(b"ab"), over()).call
    assert call is begun
    assert (call.usage, call.complete, call.conversation_id, call.response_model) == (LIVE_USAGE, True, "s1", None)
    assert call.first_chunk_ns is not None


def test_clients_may_spell_names_with_underscores():
    setup = {"setup": {"model": "models/m", "generation_config": {"max_output_tokens": 9}}}
    talk = Talk(LIVE, capture=True).sends(setup).sends({"client_content": {"turns": [], "turn_complete": False}})
    assert talk.open == []
    call = talk.sends({"realtime_input": {"text": "Hi"}}).hears(over()).call
    assert (call.request_model, call.max_tokens, call.input_messages) == ("m", 9, [text("user", "Hi")])


@pytest.mark.parametrize(
    ("frame", "begins"),
    [
        ({"realtimeInput": {"text": "Hi"}}, True),
        ({"realtimeInput": {"activityEnd": {}}}, True),
        ({"realtimeInput": {"audio": {"data": "AAAA", "mimeType": "audio/pcm"}}}, False),
        ({"realtimeInput": {"audioStreamEnd": True}}, False),
        ({"clientContent": {"turns": []}}, False),
    ],
)
def test_a_turn_begins_when_the_client_wants_an_answer(frame: Frame, begins: bool):
    assert len(Talk(LIVE).sends(SETUP, frame).open) == begins


def test_a_turn_that_the_server_hears_for_itself_begins_with_what_the_model_says():
    talk = Talk(LIVE, capture=True).hears({"serverContent": {"inputTranscription": {"text": "Hel"}}})
    assert talk.open == []
    talk.hears({"serverContent": {"inputTranscription": {"text": "lo"}}}, speech("Good "), speech("day"), over())
    assert (talk.call.input_messages, talk.call.output_messages) == ([text("user", "Hello")], said("Good day"))


def test_vertex_ais_counts_have_another_name():
    counts = {
        "promptTokenCount": 10,
        "candidatesTokenCount": 4,
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}],
    }
    assert Talk(LIVE).sends(ASK).hears(over(counts)).call.usage == Usage(input=10, output=4, output_audio=3)


def test_the_last_counts_of_a_turn_hold():
    early = speech("H") | {"usageMetadata": {"promptTokenCount": 1, "responseTokenCount": 1}}
    assert Talk(LIVE).sends(ASK).hears(early, over()).call.usage == LIVE_USAGE


def test_a_turn_without_counts_has_none():
    call = Talk(LIVE).sends(ASK).hears(over(None)).call
    assert (call.usage, call.complete) == (None, True)


def test_counts_of_a_turn_in_which_nothing_was_said_count():
    assert Talk(LIVE).hears(over()).call.usage == LIVE_USAGE


TOOLS = {"toolCall": {"functionCalls": [{"id": "c1", "name": "weather", "args": {"city": "Rome"}}]}}
RESULTS = {"toolResponse": {"functionResponses": [{"id": "c1", "name": "weather", "response": {"sky": "blue"}}]}}
CALLED = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Rome"}}
TOLD = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": {"sky": "blue"}}]}


def test_a_tool_call_is_a_part_of_its_turn():
    talk = Talk(LIVE, capture=True).sends(SETUP, ASK).hears(TOOLS).sends(RESULTS).hears(speech("Blue."), over())
    assert talk.call.input_messages == [text("user", "Hi"), TOLD]
    spoken = {"type": "text", "content": "Blue."}
    assert talk.call.output_messages == [{"role": "assistant", "parts": [CALLED, spoken], "finish_reason": "stop"}]
    assert talk.call.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert talk.call.tool_definitions == [{"type": "function", "name": "weather", "description": "Tells it."}]


def test_a_tool_call_with_counts_of_its_own_ends_its_turn():
    counted = TOOLS | {"usageMetadata": {"promptTokenCount": 8, "responseTokenCount": 2}}
    talk = Talk(LIVE, capture=True).sends(ASK).hears(counted).sends(RESULTS).hears(speech("Blue."), over())
    assert [call.usage for call in talk.ended] == [Usage(input=8, output=2), LIVE_USAGE]
    assert [call.input_messages for call in talk.ended] == [[text("user", "Hi")], [TOLD]]
    assert [call.output_messages for call in talk.ended] == [
        [{"role": "assistant", "parts": [CALLED], "finish_reason": "tool_call"}],
        said("Blue."),
    ]


def test_a_turn_that_is_spoken_into_is_not_whole():
    talk = Talk(LIVE, capture=True).sends(ASK).hears(speech("Well"), {"serverContent": {"interrupted": True}}, over())
    assert (talk.call.complete, talk.call.output_messages) == (False, said("Well", "interrupted"))


def test_a_reason_for_the_end_of_a_turn_is_its_finish_reason():
    call = Talk(LIVE).sends(ASK).hears(over(turnCompleteReason="RESPONSE_REJECTED")).call
    assert call.finish_reasons == ["RESPONSE_REJECTED"]


def test_sound_that_nobody_transcribed_is_described_not_copied():
    thought = {"serverContent": {"modelTurn": {"parts": [{"text": "Hm.", "thought": True}]}}}
    call = Talk(LIVE, capture=True).sends(ASK).hears(thought, sound(b"be"), sound(b"ep"), over()).call
    described = {"type": "blob", "modality": "audio", "content": "", "mime_type": "audio/pcm", "size": 4}
    described["sha256"] = hashlib.sha256(b"beep").hexdigest()
    assert call.output_messages == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "Hm."}, described],
            "finish_reason": "stop",
        }
    ]


def test_an_error_of_the_server_is_the_turns():
    error = {"code": 429, "message": "Later.", "status": "RESOURCE_EXHAUSTED"}
    talk = Talk(LIVE).sends(ASK).hears({"error": error})
    talk.conversation.closed()
    assert (talk.call.error_type, talk.call.error_message) == ("RESOURCE_EXHAUSTED", "Later.")


# Anything at all.

STRANGE: list[Any] = [
    b"",
    b"\xff\xfe",
    "\ud800",
    "not JSON",
    "[]",
    "null",
    "7",
    '{"type":7}',
    '{"type":"response.created"}',
    '{"type":"response.created","response":[]}',
    '{"type":"response.done","response":{"id":[],"usage":[1],"output":7,"status_details":7}}',
    '{"type":"response.completed","response":{"usage":{"input_tokens":-1}}}',
    '{"type":"session.created","session":{"tools":7,"output_modalities":7,"temperature":"hot"}}',
    '{"type":"conversation.item.added","item":7}',
    '{"type":"conversation.item.added","item":{"id":7}}',
    '{"type":"conversation.item.added","item":{"id":"i","type":"message","content":[7,{"type":[]}]}}',
    '{"type":"error","error":"no"}',
    '{"type":"error"}',
    '{"type":"response.create","response":7,"input":{"a":1}}',
    '{"setup":7}',
    '{"setup":{"model":7,"generationConfig":7,"tools":7,"systemInstruction":7}}',
    '{"clientContent":{"turns":7,"turnComplete":true}}',
    '{"toolResponse":[]}',
    '{"toolCall":{"functionCalls":7},"usageMetadata":{"promptTokenCount":"x"}}',
    '{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"data":"?"}},{"inlineData":{"data":7}}]}}}',
    '{"serverContent":{"turnComplete":true},"usageMetadata":[]}',
]


@pytest.mark.parametrize("url", [REALTIME, RESPONSES, LIVE], ids=["realtime", "responses", "gemini-live"])
@pytest.mark.parametrize("capture", [False, True], ids=["content-off", "content-on"])
def test_strange_frames_cost_attributes_and_nothing_else(url: str, capture: bool, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    talk = Talk(url, capture=capture)
    tellers: tuple[Callable[[Any], None], ...] = (talk.conversation.sent, talk.conversation.received)
    for frame in STRANGE:
        for tell in tellers:
            tell(frame)
            tell(bytearray(frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame))
    talk.conversation.closed()
    assert talk.open == []
    assert [violations(call) for call in talk.ended] == [[] for _ in talk.ended]
    assert caplog.messages == []
