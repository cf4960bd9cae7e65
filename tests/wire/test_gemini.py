"""generateContent and streamGenerateContent: the Gemini API, Vertex AI and Code Assist."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llmtrace_otel.wire import framing, gemini
from llmtrace_otel.wire.call import Call, Usage
from wire.fuzzing import cut, fuzz
from wire.schemas import violations
from wire.talk import Endpoint, asked, played, sse, told
from wire.test_fuzz_exchange import mutated

ASKED = {"contents": [{"role": "user", "parts": [{"text": "Capital of Peru?"}]}]}
GEMINI = "generativelanguage.googleapis.com"
VERTEX = "europe-west4-aiplatform.googleapis.com"
PROJECT = "/v1beta1/projects/acme/locations/europe-west4/publishers/google/models/gemini-2.5-pro"
GENERATE = Endpoint(GEMINI, "/v1beta/models/gemini-2.5-flash:generateContent", ASKED)
STREAM = Endpoint(GEMINI, "/v1beta/models/gemini-2.5-flash:streamGenerateContent", ASKED)
ON_VERTEX = Endpoint(VERTEX, f"{PROJECT}:generateContent", ASKED)
STREAM_ON_VERTEX = Endpoint(VERTEX, f"{PROJECT}:streamGenerateContent", ASKED)
CODE_ASSIST = Endpoint(
    "cloudcode-pa.googleapis.com",
    "/v1internal:generateContent",
    {"model": "gemini-2.5-pro", "project": "acme", "request": ASKED | {"generationConfig": {"temperature": 0}}},
)
CODE_ASSIST_STREAM = Endpoint("cloudcode-pa.googleapis.com", "/v1internal:streamGenerateContent", CODE_ASSIST.request)

COUNTS = {
    "promptTokenCount": 40,
    "toolUsePromptTokenCount": 5,
    "cachedContentTokenCount": 30,
    "candidatesTokenCount": 7,
    "thoughtsTokenCount": 20,
    "totalTokenCount": 72,
}
USAGE = Usage(input=45, output=27, cache_read=30, reasoning=20)
IDENTITY = {"responseId": "r-1", "modelVersion": "gemini-2.5-flash-001"}
THOUGHT = {"text": "Peru is in South America.", "thought": True}
CALLED = {"functionCall": {"id": "f-1", "name": "weather", "args": {"city": "Lima"}}}


def content_of(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def answer(*parts: dict[str, Any], reason: Any = "STOP", **changes: Any) -> dict[str, Any]:
    candidate = {"index": 0, "content": content_of(*parts), "finishReason": reason}
    return IDENTITY | {"candidates": [candidate], "usageMetadata": COUNTS} | changes


def chunk(*parts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A chunk that is not the last."""
    return IDENTITY | {"candidates": [{"content": content_of(*parts)}]} | changes


CHUNKS = (
    chunk(THOUGHT, usageMetadata={"promptTokenCount": 40, "thoughtsTokenCount": 20}),
    chunk({"text": "Li"}, usageMetadata={"promptTokenCount": 40, "candidatesTokenCount": 2, "thoughtsTokenCount": 20}),
    answer({"text": "ma."}),
)
SSE = sse(*CHUNKS, end=b"\r\n")
ARRAY = json.dumps(CHUNKS).encode()
INDENTED = b"[" + b",\r\n".join(json.dumps(each, indent=2).encode() for each in CHUNKS) + b"\n]\n"
"""As Google's servers write it."""
TOLD = {
    "response_id": "r-1",
    "response_model": "gemini-2.5-flash-001",
    "finish_reasons": ["STOP"],
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


def content(endpoint: Endpoint, body: Any, **request: Any) -> Call:
    """The call of an exchange whose content was captured, which must be as the schemas want it."""
    sent = json.dumps(endpoint.request | request).encode()
    call = played(endpoint, body, body=sent, capture=True)
    assert violations(call) == []
    return call


def requested(endpoint: Endpoint = GENERATE, **request: Any) -> dict[str, Any]:
    return asked(endpoint.begin(body=json.dumps(ASKED | request).encode()).call)


def said(*parts: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """The parts of the first candidate of an answer."""
    call = content(GENERATE, answer(*parts, **options))
    assert call.output_messages is not None
    return call.output_messages[0]["parts"]


# --- Requests ------------------------------------------------------------------------------------------------------


CONFIG = {
    "temperature": 0.5,
    "topP": 0.9,
    "topK": 40.0,
    "maxOutputTokens": 64,
    "candidateCount": 2,
    "stopSequences": ["END"],
    "seed": 7,
    "presencePenalty": 0.1,
    "frequencyPenalty": 0.2,
    "responseMimeType": "application/json",
    "thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True},
}
UNDERSCORED = {
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "max_output_tokens": 64,
    "candidate_count": 2,
    "stop_sequences": ["END"],
    "seed": 7,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "response_mime_type": "application/json",
    "thinking_config": {"thinking_level": "HIGH"},
}


@pytest.mark.parametrize(
    "request_",
    [
        {"generationConfig": CONFIG, "serviceTier": "flex"},
        {"generation_config": UNDERSCORED, "service_tier": "flex"},
        {"generationConfig": UNDERSCORED, "service_tier": "flex"},
    ],
    ids=["camel case", "snake case", "mixed"],
)
def test_what_a_request_asks_for_in_either_spelling(request_: dict[str, Any]):
    assert requested(**request_) == {
        "request_model": "gemini-2.5-flash",
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "max_tokens": 64,
        "choice_count": 2,
        "stop_sequences": ["END"],
        "seed": 7,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "reasoning_level": "HIGH",
        "output_type": "json",
        "request_service_tier": "flex",
    }


@pytest.mark.parametrize(
    ("config", "output_type"),
    [
        ({"responseModalities": ["TEXT", "IMAGE"]}, "image"),
        ({"responseModalities": ["AUDIO"]}, "speech"),
        ({"responseModalities": ["TEXT"], "responseMimeType": "application/json"}, "json"),
        ({"responseModalities": ["Text"]}, "text"),
        ({"responseMimeType": "text/plain"}, "text"),
        ({"responseMimeType": "text/x.enum"}, None),
    ],
)
def test_the_type_of_output_that_is_wanted(config: dict[str, Any], output_type: str | None):
    assert requested(generationConfig=config).get("output_type") == output_type


def test_one_candidate_is_no_choice_and_a_budget_is_no_level():
    config = {"candidateCount": 1, "thinkingConfig": {"thinkingBudget": 128}}
    assert requested(generationConfig=config) == {"request_model": "gemini-2.5-flash"}


@pytest.mark.parametrize("config", [[], "hot", None, 2**70, {"temperature": "hot", "seed": 2**70, "thinkingConfig": 1}])
def test_a_configuration_of_surprising_types_costs_only_itself(config: Any):
    assert requested(generationConfig=config, serviceTier="flex") == {
        "request_model": "gemini-2.5-flash",
        "request_service_tier": "flex",
    }


@pytest.mark.parametrize("endpoint", [STREAM, STREAM_ON_VERTEX, CODE_ASSIST_STREAM])
def test_the_path_says_that_a_request_streams(endpoint: Endpoint):
    assert endpoint.begin().call.stream is True


def test_code_assist_names_the_model_in_the_body_and_wraps_the_rest():
    call = content(CODE_ASSIST, {"response": answer({"text": "Lima."}), "traceId": "t"})
    assert asked(call) == {"request_model": "gemini-2.5-pro", "temperature": 0.0}
    assert call.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Capital of Peru?"}]}]


@pytest.mark.parametrize("endpoint", [GENERATE, ON_VERTEX, CODE_ASSIST])
def test_the_provider_is_the_hosts(endpoint: Endpoint):
    call = endpoint.begin().call
    provider = "gcp.vertex_ai" if endpoint is ON_VERTEX else "gcp.gemini"
    assert (call.operation, call.provider) == ("generate_content", provider)


# --- Whole answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", [False, True])
def test_an_answer(capture: bool):
    call = played(GENERATE, answer(THOUGHT, {"text": "Lima."}), capture=capture)
    assert told(call) == TOLD | ({"output_messages": SAID} if capture else {})


def test_code_assists_answer_is_in_a_wrapper():
    assert told(played(CODE_ASSIST, {"response": answer({"text": "Lima."}), "traceId": "t"})) == TOLD


@pytest.mark.parametrize(
    ("stated", "usage"),
    [
        ({"promptTokenCount": 8, "totalTokenCount": 8}, Usage(input=8)),
        ({"candidatesTokenCount": 8, "thoughtsTokenCount": 2}, Usage(output=10, reasoning=2)),
        ({"promptTokenCount": 8, "thoughtsTokenCount": 2}, Usage(input=8, output=2, reasoning=2)),
        ({"promptTokenCount": 0, "candidatesTokenCount": 0}, Usage(input=0, output=0)),
        ({"trafficType": "ON_DEMAND"}, None),
        ({"promptTokenCount": "8", "candidatesTokenCount": -1}, Usage(input=8)),
        ({"promptTokenCount": 2**63 - 1, "toolUsePromptTokenCount": 1, "candidatesTokenCount": 1}, Usage(output=1)),
        ([], None),
    ],
)
def test_counts_are_as_stated_or_absent(stated: Any, usage: Usage | None):
    assert played(GENERATE, answer(usageMetadata=stated)).usage == usage


@pytest.mark.parametrize("audio", ["AUDIO", 4])
def test_audio_is_counted_apart(audio: Any):
    details = [{"modality": "TEXT", "tokenCount": 8}, {"modality": audio, "tokenCount": 32}]
    stated = {
        "promptTokenCount": 40,
        "candidatesTokenCount": 9,
        "promptTokensDetails": details,
        "candidatesTokensDetails": [{"modality": audio, "tokenCount": 9}],
    }
    usage = Usage(input=40, output=9, input_audio=32, output_audio=9)
    assert played(GENERATE, answer(usageMetadata=stated)).usage == usage


@pytest.mark.parametrize(
    ("stated", "tier"),
    [
        ({"serviceTier": "priority"}, "priority"),
        ({"serviceTier": "FLEX"}, "flex"),
        ({"trafficType": "ON_DEMAND"}, "standard"),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
        ({"trafficType": 4}, "flex"),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, None),
        ({}, None),
    ],
)
def test_the_service_tier_is_stated_as_such_or_as_vertexs_traffic_type(stated: dict[str, Any], tier: str | None):
    assert played(ON_VERTEX, answer(usageMetadata=COUNTS | stated)).service_tier == tier


@pytest.mark.parametrize(
    ("endpoint", "number", "name"),
    [
        (GENERATE, 1, "STOP"),
        (GENERATE, 5, "OTHER"),
        (GENERATE, 8, "PROHIBITED_CONTENT"),
        (GENERATE, 12, "UNEXPECTED_TOOL_CALL"),
        (GENERATE, 17, "IMAGE_RECITATION"),
        (ON_VERTEX, 2, "MAX_TOKENS"),
        (ON_VERTEX, 8, "SPII"),
        (ON_VERTEX, 10, "MODEL_ARMOR"),
        (ON_VERTEX, 16, "NO_IMAGE"),
        (ON_VERTEX, 99, "99"),
        (ON_VERTEX, -1, "-1"),
    ],
)
def test_a_numbered_finish_reason_gets_its_name_at_its_provider(endpoint: Endpoint, number: int, name: str):
    assert played(endpoint, answer(reason=number)).finish_reasons == [name]


@pytest.mark.parametrize("reason", [0, "", None])
def test_an_unspecified_finish_reason_is_none(reason: Any):
    assert played(ON_VERTEX, answer(reason=reason)).finish_reasons is None


def test_candidates_are_told_in_their_order():
    candidates = [
        {"index": 1, "finishReason": "MAX_TOKENS", "content": content_of({"text": "Two"})},
        {"finishReason": "STOP", "content": content_of({"text": "One"})},
    ]
    call = content(GENERATE, IDENTITY | {"candidates": candidates})
    assert call.finish_reasons == ["STOP", "MAX_TOKENS"]
    assert call.output_messages == [
        {"role": "assistant", "parts": [{"type": "text", "content": "One"}], "finish_reason": "stop"},
        {"role": "assistant", "parts": [{"type": "text", "content": "Two"}], "finish_reason": "length"},
    ]


def test_a_blocked_prompt_has_no_finish_reason_and_is_no_error():
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}}
    call = content(GENERATE, IDENTITY | blocked)
    assert told(call) == {
        "response_id": "r-1",
        "response_model": "gemini-2.5-flash-001",
        "usage": Usage(input=9),
        "complete": True,
        "output_messages": [{"role": "assistant", "parts": [], "finish_reason": "content_filter"}],
    }


ERROR = {"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": []}}
ERROR_TOLD = {"error_type": "RESOURCE_EXHAUSTED", "error_message": "Quota exceeded."}


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [(GENERATE, ERROR), (STREAM, ERROR), (STREAM, json.dumps([ERROR]).encode())],
    ids=["an answer", "a stream", "a stream that is an array"],
)
def test_an_error_is_named_by_its_status(endpoint: Endpoint, body: Any):
    assert told(played(endpoint, body, status=429)) == ERROR_TOLD


@pytest.mark.parametrize(
    "surprise",
    [
        {"candidates": "none"},
        {"candidates": [None, 1, {"content": 1, "finishReason": {}}]},
        {"candidates": [{"content": {"parts": [1, {"functionCall": 2}, {"inlineData": {"data": 3}}]}}]},
        {"promptFeedback": [], "usageMetadata": "many"},
    ],
)
def test_surprising_types_cost_only_themselves(surprise: dict[str, Any]):
    call = content(GENERATE, IDENTITY | surprise)
    assert (call.response_id, call.usage, call.complete) == ("r-1", None, True)


# --- Streams -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("in_bytes", [False, True])
@pytest.mark.parametrize("body", [SSE, ARRAY, INDENTED], ids=["SSE", "array", "indented array"])
def test_a_stream(body: bytes, in_bytes: bool, capture: bool):
    pieces = [body[at : at + 1] for at in range(len(body))] if in_bytes else None
    call = played(STREAM, body, pieces=pieces, capture=capture)
    assert told(call) == TOLD | ({"output_messages": SAID} if capture else {})


@pytest.mark.parametrize("capture", [False, True])
def test_a_stream_in_wrappers(capture: bool):
    body = sse(*({"response": each, "traceId": "t"} for each in CHUNKS))
    call = played(CODE_ASSIST_STREAM, body, capture=capture)
    assert told(call) == TOLD | ({"output_messages": SAID} if capture else {})


def test_a_stream_that_is_answered_whole():
    assert told(played(STREAM, answer({"text": "Lima."}))) == TOLD


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("in_array", [False, True])
def test_the_counts_stated_last_replace_the_earlier_ones(in_array: bool, capture: bool):
    events = (
        chunk({"text": "Li"}, usageMetadata={"promptTokenCount": 89, "candidatesTokenCount": 4}),
        answer({"text": "ma"}, usageMetadata={"promptTokenCount": 89, "candidatesTokenCount": 9}),
        chunk({"text": "."}, usageMetadata={"promptTokenCount": 121, "candidatesTokenCount": 9}),
    )
    body = json.dumps(events).encode() if in_array else sse(*events)
    call = played(STREAM, body, capture=capture)
    assert (call.usage, call.finish_reasons, call.complete) == (Usage(input=121, output=9), ["STOP"], True)


counts = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.sampled_from([None, 0, 3, 2**63 - 1]) for name in COUNTS},
        "serviceTier": st.sampled_from([None, "flex", "standard", 2]),
        "trafficType": st.sampled_from([None, "ON_DEMAND", 4]),
    },
)


@fuzz
@given(st.lists(counts, max_size=5))
def test_counts_that_are_put_off_are_those_put_down_at_once(stated: list[dict[str, Any]]):
    at_once, stream_call = (Call("generate_content", "gcp.gemini") for _ in range(2))
    stream = gemini.GenerateStream(stream_call)
    for metadata in stated:
        document = json.dumps({"usageMetadata": metadata}).encode()
        stream.event(document)
        found = gemini._read_answer(document)
        assert found is not None
        gemini._set_usage(found.usage_metadata, at_once)
    stream.close()
    assert (stream_call.usage, stream_call.service_tier) == (at_once.usage, at_once.service_tier)


PLAIN_PARTS = (
    {"text": "Li"},
    {"text": "ma", "thought": False, "thoughtSignature": "c2ln"},
    {"text": "Hm.", "thought": True},
    {"text": "null", "thought": "false"},
    {"text": "", "thought": True},
    {"text": None, "thoughtSignature": {"x": []}},
    {},
)
ODD_PARTS = (
    *({"text": text} for text in (0, 7, True, 2**70, ["x"], {"x": 1})),
    *({"text": text, "x": {}, "functionCall": {"name": "weather"}} for text in ("x", "", None)),
    *(CALLED, {"function_call": {"name": "weather"}}, {"thought_signature": 1}, {"Text": "x"}, {"wat": 0}),
    *(None, True, 7, "x", "null", [], ["x"], [None]),
)
PLAIN_CONTENTS = (
    *(None, {}, {"role": 7}, {"parts": None}, {"parts": []}, {"parts": "null", "role": [None]}),
    *({"parts": [part]} for part in PLAIN_PARTS),
)
ODD_CONTENTS = (
    *(True, 7, "x", "null", [], ["x"], {"wat": 1, "parts": [{"text": "x"}]}),
    *({"parts": [part]} for part in ODD_PARTS),
    *({"parts": part} for part in (*PLAIN_PARTS, *ODD_PARTS)),
)


def test_chunks_of_texts_and_thoughts_are_read_the_quick_way():
    spoken = [*CHUNKS, {"response": CHUNKS[0]}]
    spoken += [{"candidates": [{"content": content}]} for content in PLAIN_CONTENTS]
    assert gemini._read_plain_answer.lines(b"\n".join(json.dumps(each).encode() for each in spoken)) is not None


def in_both_ways(pieces: list[bytes]) -> list[Call]:
    """The call of a stream that is read in the usual way, and of one whose chunks are read for themselves."""
    calls = []
    for most_together in (framing._MOST_TOGETHER, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(framing, "_MOST_TOGETHER", most_together)
            call = played(STREAM, b"", pieces=pieces, capture=True)
        calls.append(replace(call, first_chunk_ns=None))
    return calls


@pytest.mark.parametrize("content", [*PLAIN_CONTENTS, *ODD_CONTENTS])
def test_no_content_is_told_otherwise_because_the_chunks_around_it_are_plain(content: Any):
    events = (chunk({"text": "Li"}), {"candidates": [{"content": content}]}, answer({"text": "ma."}))
    quick, slow = in_both_ways([sse(*events)])
    assert quick == slow
    assert quick.output_messages


plain = st.lists(st.sampled_from(PLAIN_PARTS), max_size=3).map(lambda found: content_of(*found))
contents = st.one_of(plain, plain, plain, st.sampled_from([*PLAIN_CONTENTS, *ODD_CONTENTS]))
candidates = st.fixed_dictionaries(
    {"content": contents},
    optional={"index": st.sampled_from([0, 1, None]), "finishReason": st.sampled_from(["STOP", 3, ""])},
)
chunks = st.fixed_dictionaries(
    {"candidates": st.lists(candidates, min_size=1, max_size=2)},
    optional={
        **{name: st.just(value) for name, value in IDENTITY.items()},
        "usageMetadata": counts,
        "promptFeedback": st.sampled_from([{}, {"blockReason": "SAFETY"}]),
    },
)
streams = st.lists(st.one_of(chunks, chunks, chunks.map(lambda found: {"response": found})), max_size=5)


@fuzz
@given(streams, st.sampled_from([b"\n", b"\r\n"]), st.data())
def test_any_chunks_are_told_as_if_each_were_read_for_itself(events: list[Any], end: bytes, data: st.DataObject):
    body = sse(*events, end=end)
    quick, slow = in_both_ways(data.draw(st.one_of(st.just(body), mutated(body)).flatmap(cut)))
    assert quick == slow


@pytest.mark.parametrize("capture", [False, True])
def test_a_last_chunk_without_counts_takes_none_away(capture: bool):
    body = sse(answer({"text": "Lima."}), chunk(usageMetadata={"trafficType": "ON_DEMAND"}))
    assert played(STREAM_ON_VERTEX, body, capture=capture).usage == USAGE


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize(
    "body",
    [sse(*CHUNKS[:2]), sse(*CHUNKS[:2]) + b'data: {"candidates": [{"con', ARRAY[:-20], INDENTED[:-20]],
    ids=["SSE", "SSE in an event", "array", "indented array"],
)
def test_a_cut_stream_knows_what_was_stated_before_the_cut(body: bytes, capture: bool):
    call = played(STREAM, body, capture=capture)
    assert (call.complete, call.finish_reasons, call.response_id) == (False, None, "r-1")
    assert call.usage == Usage(input=40, output=22, reasoning=20)


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("in_array", [False, True])
def test_an_error_inside_a_stream_leaves_no_counts(in_array: bool, capture: bool):
    events = (*CHUNKS[:2], ERROR)
    body = json.dumps(events).encode() if in_array else sse(*events)
    call = played(STREAM, body, capture=capture)
    assert (call.error_type, call.error_message) == ("RESOURCE_EXHAUSTED", "Quota exceeded.")
    assert (call.usage, call.complete, call.response_id) == (None, False, "r-1")


@pytest.mark.parametrize("capture", [False, True])
def test_a_stream_whose_prompt_is_blocked(capture: bool):
    blocked = {"promptFeedback": {"blockReason": 1}, "usageMetadata": {"promptTokenCount": 9}}
    call = played(STREAM, sse(IDENTITY | blocked), capture=capture)
    assert (call.complete, call.finish_reasons, call.usage) == (True, None, Usage(input=9))


def test_a_streams_candidates_are_told_apart():
    def of(index: int, text: str, **more: Any) -> dict[str, Any]:
        return IDENTITY | {"candidates": [{"index": index, "content": content_of({"text": text}), **more}]}

    events = (of(1, "T"), of(0, "O"), of(1, "wo", finishReason="STOP"), of(0, "ne", finishReason="SAFETY"))
    call = content(STREAM, sse(*events))
    assert call.finish_reasons == ["SAFETY", "STOP"]
    assert call.output_messages == [
        {"role": "assistant", "parts": [{"type": "text", "content": "One"}], "finish_reason": "content_filter"},
        {"role": "assistant", "parts": [{"type": "text", "content": "Two"}], "finish_reason": "stop"},
    ]


def test_a_tool_call_keeps_its_place_between_the_texts_of_a_stream():
    events = (chunk({"text": "Let "}), chunk({"text": "me see."}), chunk(CALLED), answer({"text": ""}))
    assert content(STREAM, sse(*events)).output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "text", "content": "Let me see."},
                {"type": "tool_call", "name": "weather", "id": "f-1", "arguments": {"city": "Lima"}},
            ],
            "finish_reason": "tool_call",
        }
    ]


def test_arguments_that_are_streamed_make_one_tool_call():
    started = {"functionCall": {"name": "weather", "willContinue": True}}
    piece = {"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Li"}], "willContinue": True}}
    call = content(STREAM, sse(chunk(started), chunk(piece), answer({"functionCall": {}})))
    assert call.output_messages is not None
    assert call.output_messages[0]["parts"] == [{"type": "tool_call", "name": "weather"}]


# --- Messages ------------------------------------------------------------------------------------------------------

PNG = b"\x89PNG not really"
BASE64 = base64.b64encode(PNG).decode()
BLOB = {
    "type": "blob",
    "modality": "image",
    "content": "",
    "mime_type": "image/png",
    "size": len(PNG),
    "sha256": hashlib.sha256(PNG).hexdigest(),
}


def test_the_contents_of_a_request():
    contents = [
        {"role": "user", "parts": [{"text": "What is it?"}, {"inlineData": {"mimeType": "image/png", "data": BASE64}}]},
        {"role": "model", "parts": [THOUGHT, CALLED | {"thoughtSignature": "c2ln"}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "f-1", "name": "weather", "response": {"out": 21}}}]},
        {"role": "function", "parts": [{"functionResponse": {"name": "weather", "response": {"out": 22}}}]},
        {"parts": [{"fileData": {"fileUri": "gs://acme/talk.mp4", "mimeType": "video/mp4"}}]},
    ]
    assert content(GENERATE, answer(), contents=contents).input_messages == [
        {"role": "user", "parts": [{"type": "text", "content": "What is it?"}, BLOB]},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Peru is in South America."},
                {"type": "tool_call", "name": "weather", "id": "f-1", "arguments": {"city": "Lima"}},
            ],
        },
        {"role": "user", "parts": [{"type": "tool_call_response", "response": {"out": 21}, "id": "f-1"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "response": {"out": 22}}]},
        {
            "role": "user",
            "parts": [{"type": "uri", "modality": "video", "uri": "gs://acme/talk.mp4", "mime_type": "video/mp4"}],
        },
    ]


def test_the_contents_of_a_request_with_underscores_and_without_lists():
    contents = {
        "role": "user",
        "parts": [
            {"inline_data": {"mime_type": "image/png", "data": BASE64}},
            {"file_data": {"file_uri": "gs://acme/report.pdf", "mime_type": "application/pdf"}},
            {"function_call": {"name": "weather", "args": {"postalCode": "15001"}}},
            {"function_response": {"name": "weather", "response": {"tempC": 21}}},
        ],
    }
    call = content(GENERATE, answer(), contents=contents, system_instruction={"parts": {"text": "Be brief."}})
    assert call.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert call.input_messages == [
        {
            "role": "user",
            "parts": [
                BLOB,
                {
                    "type": "uri",
                    "modality": "document",
                    "uri": "gs://acme/report.pdf",
                    "mime_type": "application/pdf",
                },
                {"type": "tool_call", "name": "weather", "arguments": {"postalCode": "15001"}},
                {"type": "tool_call_response", "response": {"tempC": 21}},
            ],
        }
    ]


def test_system_instructions_are_texts_only():
    system = {"role": "user", "parts": [{"text": "Be kind."}, {"inlineData": {"mimeType": "image/png", "data": ""}}]}
    call = content(GENERATE, answer(), systemInstruction=system)
    assert call.system_instructions == [{"type": "text", "content": "Be kind."}]


def test_what_google_runs_itself_is_a_server_tool_call():
    assert said(
        {"executableCode": {"id": "x-1", "language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"id": "x-1", "outcome": "OUTCOME_OK", "output": "1\n"}},
        {"toolCall": {"id": "s-1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["Lima"]}}},
        {"toolResponse": {"id": "s-1", "toolType": "GOOGLE_SEARCH_WEB", "response": {"html": "<p>"}}},
    ) == [
        {
            "type": "server_tool_call",
            "name": "code_execution",
            "id": "x-1",
            "server_tool_call": {"type": "code_execution", "language": "PYTHON", "code": "print(1)"},
        },
        {
            "type": "server_tool_call_response",
            "id": "x-1",
            "server_tool_call_response": {"type": "code_execution", "outcome": "OUTCOME_OK", "output": "1\n"},
        },
        {
            "type": "server_tool_call",
            "name": "GOOGLE_SEARCH_WEB",
            "id": "s-1",
            "server_tool_call": {"type": "GOOGLE_SEARCH_WEB", "args": {"queries": ["Lima"]}},
        },
        {
            "type": "server_tool_call_response",
            "id": "s-1",
            "server_tool_call_response": {"type": "GOOGLE_SEARCH_WEB"},
        },
    ]


def test_a_part_that_says_nothing_is_left_out_and_an_unknown_one_keeps_its_kind():
    assert said({"text": ""}, {"thoughtSignature": "c2ln"}, {"audioTranscription": {"text": "Hi"}}) == [
        {"type": "audio_transcription"}
    ]


def test_tools_are_flattened_and_googles_own_are_told_by_name():
    city = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}
    tools = [
        {"functionDeclarations": [{"name": "weather", "description": "Weather.", "parameters": city}, {"name": "now"}]},
        {"function_declarations": [{"name": "news", "parameters_json_schema": {"type": "object"}}], "googleSearch": {}},
        {"codeExecution": {}, "urlContext": None},
    ]
    assert content(GENERATE, answer(), tools=tools).tool_definitions == [
        {"type": "function", "name": "weather", "description": "Weather.", "parameters": city},
        {"type": "function", "name": "now"},
        {"type": "function", "name": "news", "parameters": {"type": "object"}},
        {"type": "google_search", "name": "google_search"},
        {"type": "code_execution", "name": "code_execution"},
    ]


@pytest.mark.parametrize("surprise", ["Hi", 7, [None, "x", {"parts": "x"}, {"role": 1, "parts": [3]}], None])
def test_surprising_contents_and_tools_break_no_schema(surprise: Any):
    call = content(GENERATE, answer(), contents=surprise, tools=surprise, systemInstruction=surprise)
    assert call.usage == USAGE
