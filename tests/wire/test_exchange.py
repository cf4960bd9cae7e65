"""One exchange of each kind, told from its first byte to what its call knows."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard

from llmtrace_otel.wire import exchange as exchange_module
from llmtrace_otel.wire.call import Usage
from llmtrace_otel.wire.exchange import Exchange
from wire.talk import (
    CHAT,
    COMPLETE,
    COMPLETIONS,
    EMBEDDINGS,
    ENDPOINTS,
    FETCH,
    MESSAGES,
    RESPONSES,
    Endpoint,
    asked,
    held,
    played,
    sse,
    told,
)

STREAM = {"content-type": "text/event-stream"}
NOT_OF_ITS_FORMAT = {"unreadable": "it is not JSON of the format that its request has"}
NOT_GZIP = "it cannot be decoded: Error -3 while decompressing data: incorrect header check"
FETCHED = {"response_id": "resp_1"}
DONE = "[DONE]"

# --- OpenAI chat completions ---------------------------------------------------------------------------------------


def chat_answer(**changes: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "gpt-5-mini-2026-01-01",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Lima."}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
    } | changes


CHAT_TOLD = {
    "response_id": "chatcmpl-1",
    "response_model": "gpt-5-mini-2026-01-01",
    "finish_reasons": ["stop"],
    "usage": Usage(input=12, output=3),
    "complete": True,
}


def without(known: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in known.items() if name not in names}


def chunk(*choices: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "model": "gpt-5-mini-2026-01-01", "choices": list(choices)} | changes


def says(text: str, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": {"content": text} if text else {}, "finish_reason": finish}


USAGE_CHUNK = chunk(usage={"prompt_tokens": 12, "completion_tokens": 3})
CHAT_STREAM = sse(chunk(says("Li")), chunk(says("ma.")), chunk(says("", "stop")), USAGE_CHUNK, DONE)


def test_a_chat_completion():
    assert told(played(CHAT, chat_answer())) == CHAT_TOLD


def test_a_streamed_chat_completion():
    assert told(played(CHAT, CHAT_STREAM, headers=STREAM)) == CHAT_TOLD


@pytest.mark.parametrize("capture", [False, True])
def test_a_stream_byte_by_byte(capture: bool):
    pieces = [CHAT_STREAM[at : at + 1] for at in range(len(CHAT_STREAM))]
    call = played(CHAT, b"", pieces=pieces, capture=capture)
    assert without(told(call), "output_messages") == CHAT_TOLD


def test_what_a_chat_request_asks_for():
    request = CHAT.request | {
        "stream": True,
        "n": 2,
        "seed": 7,
        "top_k": 40,
        "top_p": 0.9,
        "temperature": 0.2,
        "max_tokens": 10,
        "max_completion_tokens": 20,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "stop": "\n",
        "reasoning_effort": "low",
        "service_tier": "flex",
        "response_format": {"type": "json_schema", "json_schema": {}},
    }
    assert asked(CHAT.begin(body=json.dumps(request).encode()).call) == {
        "request_model": "gpt-5-mini",
        "stream": True,
        "choice_count": 2,
        "seed": 7,
        "top_k": 40,
        "top_p": 0.9,
        "temperature": 0.2,
        "max_tokens": 20,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "stop_sequences": ["\n"],
        "reasoning_level": "low",
        "request_service_tier": "flex",
        "output_type": "json",
        "api_type": "chat_completions",
    }


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (
            {"prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20}},
            {"cache_read": 100, "cache_write": 20},
        ),
        ({"input_tokens_details": {"cached_tokens": 100}}, {"cache_read": 100}),
        ({"cached_tokens": 100}, {"cache_read": 100}),
        ({"prompt_cache_hit_tokens": 100, "prompt_cache_miss_tokens": 30}, {"cache_read": 100}),
        ({"prompt_tokens_details": {"cached_tokens": 0}, "cached_tokens": 9}, {"cache_read": 0}),
        ({"prompt_tokens_details": None, "cached_tokens": 9}, {"cache_read": 9}),
        ({"prompt_tokens_details": {"audio_tokens": 4}}, {"input_audio": 4}),
        (
            {"completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 1}},
            {"reasoning": 2, "output_audio": 1},
        ),
        ({"output_tokens_details": {"reasoning_tokens": 2}}, {"reasoning": 2}),
        ({"reasoning_tokens": 2}, {"reasoning": 2}),
        ({"prompt_tokens_details": "many"}, {}),
        ({"completion_tokens": None}, {"output": None}),
        ({"prompt_tokens": "130", "completion_tokens": 5.0}, {}),
    ],
    ids=str,
)
def test_the_spellings_of_usage(usage: dict[str, Any], read: dict[str, int]):
    stated = {"prompt_tokens": 130, "completion_tokens": 5} | usage
    expected = Usage(**({"input": 130, "output": 5} | read))
    assert played(CHAT, chat_answer(usage=stated)).usage == expected
    assert played(CHAT, sse(chunk(says("", "stop")), chunk(usage=stated), DONE)).usage == expected


def test_usage_in_the_words_of_responses_counts_too():
    usage = {"input_tokens": 130, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 100}}
    assert played(CHAT, chat_answer(usage=usage)).usage == Usage(input=130, output=5, cache_read=100)


@pytest.mark.parametrize("usage", [None, {}, [], "none", {"total_tokens": 15}])
def test_usage_that_states_nothing_is_absent_and_its_keys_are_told(usage: Any):
    call = played(CHAT, chat_answer(usage=usage))
    assert told(call) == without(CHAT_TOLD, "usage") | {
        "keys_seen": ["choices", "created", "id", "model", "object", "usage"]
    }


@pytest.mark.parametrize(
    "negative",
    [
        {"prompt_tokens": -12},
        {"completion_tokens": -1},
        {"prompt_tokens_details": {"cached_tokens": -1}},
    ],
    ids=str,
)
def test_a_negative_count_is_no_count(negative: dict[str, Any]):
    usage = played(CHAT, chat_answer(usage={"prompt_tokens": 12, "completion_tokens": 3} | negative)).usage
    assert usage is not None
    assert usage in (Usage(output=3), Usage(input=12), Usage(input=12, output=3))


def test_a_count_that_no_attribute_can_hold_is_no_count():
    usage = {"prompt_tokens": 2**63, "completion_tokens": 3}
    assert played(CHAT, chat_answer(usage=usage)).usage == Usage(output=3)


def test_a_seed_that_no_attribute_can_hold_is_left_out():
    call = CHAT.begin(body=json.dumps(CHAT.request | {"seed": 2**64 - 1}).encode()).call
    assert asked(call) == {"request_model": "gpt-5-mini", "api_type": "chat_completions"}


def test_kimi_states_usage_in_the_choice():
    last = says("", "stop") | {"usage": {"prompt_tokens": 12, "completion_tokens": 3, "cached_tokens": 8}}
    call = played(CHAT, sse(chunk(says("Lima.")), chunk(last), DONE))
    assert told(call) == CHAT_TOLD | {"usage": Usage(input=12, output=3, cache_read=8)}


def test_groq_states_usage_under_its_own_name():
    groq = {"id": "req_1", "usage": {"prompt_tokens": 12, "completion_tokens": 3, "queue_time": 0.1}}
    assert told(played(CHAT, sse(chunk(says("Lima.")), chunk(says("", "stop"), x_groq=groq), DONE))) == CHAT_TOLD


def test_of_usage_on_every_chunk_the_last_counts():
    stream = [
        chunk(says(text), usage={"prompt_tokens": 12, "completion_tokens": count})
        for count, text in enumerate(("Li", "ma", "."), start=1)
    ]
    assert told(played(CHAT, sse(*stream, chunk(says("", "stop")), DONE))) == CHAT_TOLD


def test_null_usage_and_empty_reasons_on_every_chunk_change_nothing():
    stream = [
        chunk(says("Lima.", ""), usage=None),
        chunk(says("", "stop"), usage={"prompt_tokens": 12, "completion_tokens": 3}),
        chunk(says("", ""), usage=None),
    ]
    assert told(played(CHAT, sse(*stream, DONE))) == CHAT_TOLD


def test_usage_may_come_with_a_choice():
    last = chunk(says("", "stop"), usage={"prompt_tokens": 12, "completion_tokens": 3})
    assert told(played(CHAT, sse(chunk(says("Lima.")), last, DONE))) == CHAT_TOLD


@pytest.mark.parametrize(
    "separators",
    [
        (",", ":"),
        (", ", ": "),
        (" , ", " : "),
    ],
)
def test_how_the_json_of_a_stream_is_spaced_changes_nothing(separators: tuple[str, str]):
    chunks = [chunk(says("Lima.")), chunk(says("", "stop")), USAGE_CHUNK]
    stream = sse(*[json.dumps(found, separators=separators) for found in chunks], DONE)
    assert told(played(CHAT, stream)) == CHAT_TOLD


def test_azures_first_chunk_has_neither_id_nor_model():
    azure = Endpoint("corp.openai.azure.com", "/openai/deployments/my-mini/chat/completions", {"messages": []})
    first = {"choices": [], "id": "", "model": "", "prompt_filter_results": [{"prompt_index": 0}]}
    call = played(azure, sse(first, chunk(says("Lima.")), chunk(says("", "stop")), USAGE_CHUNK, DONE))
    assert told(call) == CHAT_TOLD
    assert (call.provider, call.request_model) == ("azure.ai.openai", "my-mini")


def test_an_id_that_changes_inside_a_stream_is_the_first():
    stream = sse(chunk(says("Li")), chunk(says("ma."), id="chatcmpl-2"), chunk(says("", "stop"), id="x"), USAGE_CHUNK)
    assert told(played(CHAT, stream)) == CHAT_TOLD


def test_reasons_of_several_choices_are_in_the_order_of_the_choices():
    stream = [
        chunk(says("Lima.", index=1), says("Quito.", index=0)),
        chunk(says("", "length", index=2)),
        chunk(says("", "stop", index=1)),
        chunk(says("", "content_filter", index=0)),
        USAGE_CHUNK,
    ]
    reasons = {"finish_reasons": ["content_filter", "stop", "length"]}
    assert told(played(CHAT, sse(*stream, DONE))) == CHAT_TOLD | reasons
    choices = [{"index": i, "finish_reason": r} for i, r in ((2, "length"), (0, "content_filter"), (1, "stop"))]
    assert told(played(CHAT, chat_answer(choices=choices))) == CHAT_TOLD | reasons


def test_a_choice_without_a_reason_is_left_out():
    choices = [{"index": 0, "finish_reason": None}, {"index": 1, "finish_reason": "stop"}, {"index": 2}]
    assert told(played(CHAT, chat_answer(choices=choices))) == CHAT_TOLD


def test_the_tier_and_fingerprint_of_an_answer():
    extra = {"service_tier": "priority", "system_fingerprint": "fp_1"}
    assert told(played(CHAT, chat_answer(**extra))) == CHAT_TOLD | extra
    stream = sse(chunk(says("Lima."), **extra), chunk(says("", "stop")), USAGE_CHUNK, DONE)
    assert told(played(CHAT, stream)) == CHAT_TOLD | extra


@pytest.mark.parametrize(
    ("stated", "usd"),
    [
        ({"cost": 0.00042}, 0.00042),
        ({"cost": {"input_tokens_cost": 0.1, "total_cost": 0.25}}, 0.25),
        ({"cost_in_usd_ticks": 42_000_000}, 0.0042),
        ({"cost": None}, None),
        ({"cost": "free"}, None),
    ],
    ids=str,
)
def test_what_the_provider_says_it_cost(stated: dict[str, Any], usd: float | None):
    usage = {"prompt_tokens": 12, "completion_tokens": 3} | stated
    assert played(CHAT, chat_answer(usage=usage)).stated_cost == usd
    assert played(CHAT, sse(chunk(says("", "stop"), usage=usage), DONE)).stated_cost == usd


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1, "nan", {"total_cost": float("nan")}], ids=repr)
def test_what_is_no_amount_is_no_cost(cost: Any):
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "cost": cost}
    assert told(played(CHAT, chat_answer(usage=usage))) == CHAT_TOLD
    assert played(MESSAGES, message(usage={"input_tokens": 12, "cost": cost})).stated_cost is None


def test_openrouters_comments_before_the_first_chunk_are_skipped():
    stream = b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + CHAT_STREAM
    assert told(played(CHAT, stream)) == CHAT_TOLD


@pytest.mark.parametrize("first", [b"\n", b"\r\n\r\n", b" "])
def test_a_stream_may_begin_with_a_blank_piece(first: bytes):
    assert told(played(CHAT, b"", pieces=[first, CHAT_STREAM])) == CHAT_TOLD


@pytest.mark.parametrize(
    "answer",
    [json.dumps(chat_answer()).encode(), sse(USAGE_CHUNK | {"choices": [says("Lima.", "stop")]}, DONE)],
    ids=["JSON", "stream"],
)
def test_a_byte_order_mark_is_skipped(answer: bytes):
    assert told(played(CHAT, b"\xef\xbb\xbf" + answer)) == CHAT_TOLD
    assert told(played(CHAT, b"", pieces=[b"\xef\xbb\xbf", answer])) == CHAT_TOLD


@pytest.mark.parametrize("at", [1, 2])
def test_a_byte_order_mark_may_be_cut(at: int):
    marked = b"\xef\xbb\xbf" + json.dumps(chat_answer()).encode()
    assert told(played(CHAT, b"", pieces=[marked[:at], marked[at:]])) == CHAT_TOLD


# --- Completions, embeddings ---------------------------------------------------------------------------------------


def test_a_legacy_completion():
    answer = chat_answer(choices=[{"index": 0, "text": " the capital.", "finish_reason": "length"}])
    assert told(played(COMPLETIONS, answer)) == CHAT_TOLD | {"finish_reasons": ["length"]}


def test_a_streamed_legacy_completion():
    stream = sse(
        chunk({"index": 0, "text": " the", "finish_reason": None}),
        chunk({"index": 0, "text": " capital.", "finish_reason": "length"}),
        DONE,
    )
    assert told(played(COMPLETIONS, stream)) == without(CHAT_TOLD, "usage") | {"finish_reasons": ["length"]}


def test_embeddings():
    request = EMBEDDINGS.request | {"dimensions": 256, "encoding_format": "base64"}
    answer = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 8, "completion_tokens": 0, "total_tokens": 8},
    }
    call = played(EMBEDDINGS, answer, body=json.dumps(request).encode())
    assert call.operation == "embeddings"
    assert told(call) == {"response_model": "text-embedding-3-small", "usage": Usage(input=8), "complete": True}
    assert asked(call) == {
        "request_model": "text-embedding-3-small",
        "dimensions": 256,
        "encoding_formats": ["base64"],
    }


# --- OpenAI Responses ----------------------------------------------------------------------------------------------


def response(**changes: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "model": "gpt-5-2026-02-02",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Lima."}]}],
        "usage": {
            "input_tokens": 130,
            "input_tokens_details": {"cached_tokens": 100},
            "output_tokens": 40,
            "output_tokens_details": {"reasoning_tokens": 30},
        },
    } | changes


RESPONSE_TOLD = {
    "response_id": "resp_1",
    "response_model": "gpt-5-2026-02-02",
    "response_status": "completed",
    "usage": Usage(input=130, output=40, cache_read=100, reasoning=30),
    "complete": True,
}
CREATED = {"type": "response.created", "response": response(status="in_progress", output=[], usage=None)}
DELTA = {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "Lima."}


def test_a_response():
    assert told(played(RESPONSES, response())) == RESPONSE_TOLD


def test_a_streamed_response():
    stream = sse(CREATED, DELTA, {"type": "response.completed", "response": response()})
    assert told(played(RESPONSES, stream)) == RESPONSE_TOLD


def test_an_incomplete_response():
    cut = response(status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    expected = RESPONSE_TOLD | {"response_status": "incomplete"}
    assert told(played(RESPONSES, cut)) == expected
    assert told(played(RESPONSES, sse(CREATED, {"type": "response.incomplete", "response": cut}))) == expected


def test_a_failed_response_names_its_error():
    failed = response(status="failed", usage=None, error={"code": "rate_limit_exceeded", "message": "Slow down."})
    expected = without(RESPONSE_TOLD, "usage") | {
        "response_status": "failed",
        "error_type": "rate_limit_exceeded",
        "error_message": "Slow down.",
    }
    assert without(told(played(RESPONSES, failed)), "keys_seen") == expected
    assert told(played(RESPONSES, sse(CREATED, {"type": "response.failed", "response": failed}))) == expected


def test_a_failed_response_without_an_error_is_an_error_without_a_name():
    failed = response(status="failed", usage=None, error=None)
    expected = without(RESPONSE_TOLD, "usage") | {"response_status": "failed", "error_type": "_OTHER"}
    assert without(told(played(RESPONSES, failed)), "keys_seen") == expected
    assert told(played(RESPONSES, sse(CREATED, {"type": "response.failed", "response": failed}))) == expected


def test_a_queued_response_has_no_usage_yet():
    call = played(RESPONSES, response(status="queued", usage=None, output=[]))
    assert without(told(call), "keys_seen") == without(RESPONSE_TOLD, "usage") | {"response_status": "queued"}


def test_what_a_response_request_asks_for():
    request = RESPONSES.request | {
        "stream": True,
        "temperature": 1,
        "top_p": 0.5,
        "max_output_tokens": 99,
        "reasoning": {"effort": "high"},
        "text": {"format": {"type": "json_object"}},
        "service_tier": "flex",
        "previous_response_id": "resp_0",
        "conversation": {"id": "conv_1"},
    }
    assert asked(RESPONSES.begin(body=json.dumps(request).encode()).call) == {
        "request_model": "gpt-5",
        "stream": True,
        "temperature": 1.0,
        "top_p": 0.5,
        "max_tokens": 99,
        "reasoning_level": "high",
        "output_type": "json",
        "request_service_tier": "flex",
        "previous_response_id": "resp_0",
        "conversation_id": "conv_1",
        "api_type": "responses",
    }


def test_a_conversation_may_be_named_by_its_id_alone_or_by_the_answer():
    named = RESPONSES.request | {"conversation": "conv_1"}
    assert RESPONSES.begin(body=json.dumps(named).encode()).call.conversation_id == "conv_1"
    assert played(RESPONSES, response(conversation={"id": "conv_2"})).conversation_id == "conv_2"


def test_a_fetched_response_has_no_usage():
    call = played(FETCH, response(status="completed"))
    assert call.operation == "fetch_response"
    assert without(told(call), "keys_seen") == without(RESPONSE_TOLD, "usage")


def test_fetching_a_failed_response_is_no_failed_fetch():
    call = played(FETCH, response(status="failed", usage=None, error={"code": "server_error", "message": "x"}))
    assert (call.error_type, call.response_status) == (None, "failed")


def test_a_fetch_may_stream_from_a_cursor():
    stream = sse({"type": "response.completed", "response": response()})
    call = played(FETCH, stream, query="stream=true&starting_after=42&include[]=x")
    assert asked(call) == {"stream_cursor": "42", "api_type": "responses"}
    assert told(call) == without(RESPONSE_TOLD, "usage")


def test_a_fetch_that_finds_nothing_keeps_the_id_of_its_path():
    call = played(
        FETCH, {"error": {"message": "Not found.", "type": "invalid_request_error", "code": None}}, status=404
    )
    assert told(call) == {
        "response_id": "resp_1",
        "error_type": "invalid_request_error",
        "error_message": "Not found.",
    }


# --- Anthropic -----------------------------------------------------------------------------------------------------


def message(**changes: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "Lima."}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 20,
            "output_tokens": 5,
        },
    } | changes


MESSAGE_TOLD = {
    "response_id": "msg_1",
    "response_model": "claude-sonnet-4-5-20250929",
    "finish_reasons": ["end_turn"],
    "usage": Usage(input=130, output=5, cache_read=100, cache_write=20),
    "complete": True,
}


def start(**usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": message(content=[], stop_reason=None, usage=usage)}


def delta(reason: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


BLOCKS: tuple[dict[str, Any], ...] = (
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Lima."}},
    {"type": "content_block_stop", "index": 0},
)
STOP = {"type": "message_stop"}
CACHED = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}
MESSAGE_STREAM = sse(start(**CACHED, output_tokens=1), *BLOCKS, delta(output_tokens=5), STOP)


def test_a_message_counts_cached_tokens_as_input():
    assert told(played(MESSAGES, message())) == MESSAGE_TOLD


def test_a_streamed_message():
    assert told(played(MESSAGES, MESSAGE_STREAM)) == MESSAGE_TOLD


def test_what_message_delta_states_replaces_what_message_start_said():
    stream = sse(
        start(**CACHED, output_tokens=4),
        *BLOCKS,
        delta(None, output_tokens=5, input_tokens=11),
        delta(output_tokens=7, input_tokens=2_000, cache_read_input_tokens=None),
        STOP,
    )
    assert told(played(MESSAGES, stream)) == MESSAGE_TOLD | {
        "usage": Usage(input=2_120, output=7, cache_read=100, cache_write=20)
    }


def test_the_finer_counts_of_a_message():
    usage = CACHED | {
        "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 15},
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 3},
        "service_tier": "standard",
    }
    expected = MESSAGE_TOLD | {
        "usage": Usage(input=130, output=5, cache_read=100, cache_write=20, cache_write_1h=15, reasoning=3),
        "service_tier": "standard",
    }
    assert told(played(MESSAGES, message(usage=usage))) == expected
    assert told(played(MESSAGES, sse(start(**usage), *BLOCKS, delta(output_tokens=5), STOP))) == expected


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"input_tokens": 10, "output_tokens": 5}, Usage(input=10, output=5)),
        (
            {"input_tokens": 10, "cache_read_input_tokens": 0, "output_tokens": 5},
            Usage(input=10, output=5, cache_read=0),
        ),
        ({"input_tokens": 10, "cache_read_input_tokens": None}, Usage(input=10)),
        ({}, None),
        (None, None),
    ],
    ids=str,
)
def test_input_is_the_sum_of_what_is_stated(usage: Any, read: Usage | None):
    assert played(MESSAGES, message(usage=usage)).usage == read


def test_a_sum_that_no_attribute_can_hold_is_no_count():
    usage = {"input_tokens": 2**63 - 1, "cache_read_input_tokens": 1, "output_tokens": 5}
    assert played(MESSAGES, message(usage=usage)).usage == Usage(output=5, cache_read=1)


def test_what_a_message_request_asks_for():
    request = MESSAGES.request | {
        "stream": True,
        "temperature": 0.5,
        "top_k": 5,
        "top_p": 0.9,
        "stop_sequences": ["END"],
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    }
    assert asked(MESSAGES.begin(body=json.dumps(request).encode()).call) == {
        "request_model": "claude-sonnet-4-5",
        "stream": True,
        "max_tokens": 64,
        "temperature": 0.5,
        "top_k": 5,
        "top_p": 0.9,
        "stop_sequences": ["END"],
        "reasoning_level": "low",
        "output_type": "json",
    }


def test_a_legacy_anthropic_completion_has_no_usage():
    answer = {"id": "compl_1", "type": "completion", "completion": " Hi.", "model": "claude-2.1", "stop_reason": "stop"}
    expected = {
        "response_id": "compl_1",
        "response_model": "claude-2.1",
        "finish_reasons": ["stop"],
        "complete": True,
    }
    call = played(COMPLETE, answer)
    assert (call.operation, call.max_tokens) == ("text_completion", 9)
    assert without(told(call), "keys_seen") == expected
    assert told(played(COMPLETE, sse(answer | {"stop_reason": None, "completion": " H"}, answer))) == expected


# --- Errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "name", "text"),
    [
        ({"error": {"message": "M", "type": "invalid_request_error", "code": "bad"}}, "invalid_request_error", "M"),
        ({"error": {"message": "M", "type": None, "code": "invalid_api_key"}}, "invalid_api_key", "M"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "M"}}, "overloaded_error", "M"),
        ({"error": {"code": 400, "message": "M", "status": "INVALID_ARGUMENT"}}, "INVALID_ARGUMENT", "M"),
        ([{"error": {"message": "M", "status": "INVALID_ARGUMENT"}}], "INVALID_ARGUMENT", "M"),
        ({"error": {"code": "DeploymentNotFound", "message": "M"}}, "DeploymentNotFound", "M"),
        ({"message": "M", "id": "1"}, "418", "M"),
        ({"detail": "M"}, "418", "M"),
        ({"object": "error", "message": "M", "type": "BadRequestError", "code": 400}, "BadRequestError", "M"),
        ({"error": {"code": 502, "message": "M", "metadata": {}}, "user_id": "u"}, "502", "M"),
        ({"code": "invalid-argument", "error": "M"}, "418", "M"),
        ({"error": "M"}, "418", "M"),
        ({"error": {}}, "418", None),
        ({"error": None}, "418", None),
        ({}, "418", None),
        ([], "418", None),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict | list) else "",
)
@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES, MESSAGES], ids=lambda endpoint: endpoint.path)
def test_the_shapes_of_errors(endpoint: Endpoint, body: Any, name: str, text: str | None):
    expected = {"error_type": name} | ({"error_message": text} if text else {})
    assert told(played(endpoint, json.dumps(body).encode(), status=418)) == expected


@pytest.mark.parametrize("body", [b"<html><h1>502</h1></html>", b"Bad Gateway", b"{", b"data: {}\n\n", b"\xff\xfe"])
def test_an_error_that_is_not_json_is_named_by_its_status(body: bytes):
    assert told(played(CHAT, body, status=502, headers=STREAM)) == {"error_type": "502"}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_an_error_with_an_empty_body_is_named_by_its_status(endpoint: Endpoint):
    expected = FETCHED if endpoint is FETCH else {}
    assert told(played(endpoint, b"", status=503)) == expected | {"error_type": "503"}


@pytest.mark.parametrize(
    ("coding", "why"),
    [("wat", "a content coding that nothing here can undo: wat"), ("gzip", NOT_GZIP)],
)
def test_an_error_that_cannot_be_decoded_is_named_by_its_status(coding: str, why: str):
    call = played(CHAT, b"not gzip", status=500, headers={"content-encoding": coding})
    assert told(call) == {"error_type": "500", "unreadable": why}


def test_a_long_error_message_is_shortened():
    call = played(CHAT, {"error": {"type": "t", "message": "m" * 100_000}}, status=400)
    assert told(call) == {"error_type": "t", "error_message": "m" * 2_000}


@pytest.mark.parametrize("nothing", [False, True, "", "error", [], {}])
def test_what_is_no_name_names_no_error(nothing: Any):
    call = played(CHAT, {"error": {"type": nothing, "message": "M"}}, status=400)
    assert told(call) == {"error_type": "400", "error_message": "M"}


def test_an_error_message_can_be_written_as_utf_8():
    call = played(CHAT, rb'{"error":{"type":"t","message":"Bad prompt: \ud83d"}}', status=400)
    assert told(call) == {"error_type": "t", "error_message": "Bad prompt: \N{REPLACEMENT CHARACTER}"}


def test_openrouter_answers_200_with_an_error():
    call = played(CHAT, {"error": {"code": 502, "message": "Upstream."}, "user_id": "u"})
    assert without(told(call), "keys_seen", "complete") == {"error_type": "502", "error_message": "Upstream."}


@pytest.mark.parametrize("endpoint", [MESSAGES, EMBEDDINGS], ids=lambda endpoint: endpoint.path)
def test_any_format_may_answer_200_with_an_error(endpoint: Endpoint):
    call = played(endpoint, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert told(call) == {
        "error_type": "overloaded_error",
        "error_message": "Overloaded",
        "complete": True,
        "keys_seen": ["error", "type"],
    }


GROQ_ERROR = b'event: error\ndata: {"error":{"message":"Failed.","type":"server_error","code":"x"}}\n\n'


def test_groq_sends_an_error_event_inside_a_stream():
    assert told(played(CHAT, sse(chunk(says("Li"))) + GROQ_ERROR)) == without(
        CHAT_TOLD, "usage", "finish_reasons", "complete"
    ) | {"error_type": "server_error", "error_message": "Failed."}


@pytest.mark.parametrize("capture", [False, True])
def test_openrouter_sends_a_chunk_with_an_error(capture: bool):
    failed = chunk(says("", "error"), error={"code": 502, "message": "Upstream."}, usage={"prompt_tokens": 1})
    call = played(CHAT, sse(chunk(says("Li")), failed), capture=capture)
    assert without(told(call), "output_messages") == without(CHAT_TOLD, "usage", "finish_reasons", "complete") | {
        "error_type": "502",
        "error_message": "Upstream.",
    }


@pytest.mark.parametrize("error", [{"message": "Upstream."}, "Upstream."])
def test_an_unnamed_error_inside_a_200_is_still_an_error(error: Any):
    expected = {"error_type": "_OTHER", "error_message": "Upstream."}
    assert told(played(CHAT, {"error": error})) == expected | {"complete": True, "keys_seen": ["error"]}
    stream = sse(chunk(says("Li")), {"error": error})
    assert told(played(CHAT, stream)) == without(CHAT_TOLD, "usage", "finish_reasons", "complete") | expected


@pytest.mark.parametrize(
    "nothing",
    [
        None,
        "",
        {},
    ],
)
def test_an_error_field_that_says_nothing_is_no_error(nothing: Any):
    assert told(played(CHAT, sse(chunk(says("Lima.")), chunk(says("", "stop")), USAGE_CHUNK | {"error": nothing}))) == (
        CHAT_TOLD
    )


@pytest.mark.parametrize("later", [{"message": "Closing."}, {"type": "closed", "message": "Closing."}])
def test_of_several_errors_the_first_one_stays(later: Any):
    stream = sse({"error": {"type": "server_error", "message": "Failed."}}, {"error": later})
    assert told(played(CHAT, stream)) == {"error_type": "server_error", "error_message": "Failed."}


def test_anthropic_sends_an_error_event_inside_a_stream():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}
    call = played(MESSAGES, sse(start(**CACHED), *BLOCKS[:2], error))
    assert without(told(call), "usage") == without(MESSAGE_TOLD, "usage", "finish_reasons", "complete") | {
        "error_type": "overloaded_error",
        "error_message": "Overloaded",
    }


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ({"type": "error", "code": "server_error", "message": "M", "param": None}, "server_error"),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "M"}}, "invalid_request_error"),
        ({"type": "error", "code": None, "message": "M"}, "_OTHER"),
        ({"type": "error", "error": {"message": "M"}}, "_OTHER"),
    ],
)
def test_responses_send_an_error_event_inside_a_stream(event: dict[str, Any], name: str):
    assert told(played(RESPONSES, sse(CREATED, DELTA, event))) == {
        "response_id": "resp_1",
        "response_model": "gpt-5-2026-02-02",
        "error_type": name,
        "error_message": "M",
    }


# --- Framing that surprises ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answered", [chat_answer(), [chat_answer()]], ids=["object", "array"])
def test_a_stream_request_may_be_answered_with_json(answered: Any):
    request = json.dumps(CHAT.request | {"stream": True}).encode()
    call = played(CHAT, json.dumps(answered).encode(), headers={"content-type": "application/json"}, body=request)
    assert told(call) == (CHAT_TOLD if isinstance(answered, dict) else NOT_OF_ITS_FORMAT)


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "", "application/octet-stream"])
def test_the_content_type_of_a_stream_does_not_matter(kind: str):
    assert told(played(CHAT, CHAT_STREAM, headers={"content-type": kind})) == CHAT_TOLD


def test_json_may_begin_with_white_space():
    answer = json.dumps(chat_answer(), indent=2).encode()
    assert told(played(CHAT, b"", pieces=[b"\n\n ", b"\n" + answer])) == CHAT_TOLD


def test_a_cut_chat_stream_is_incomplete_and_nothing_is_invented():
    stream = sse(chunk(says("Li")), chunk(says("ma.")))
    expected = without(CHAT_TOLD, "usage", "finish_reasons", "complete")
    assert told(played(CHAT, stream)) == expected
    assert told(played(CHAT, stream, left=True)) == expected
    assert told(played(CHAT, stream[:-20])) == expected


def test_a_cut_responses_stream_is_incomplete_and_nothing_is_invented():
    call = played(RESPONSES, sse(CREATED, DELTA), left=True)
    assert told(call) == {"response_id": "resp_1", "response_model": "gpt-5-2026-02-02"}


def test_a_cut_message_stream_is_incomplete_and_nothing_is_invented():
    call = played(MESSAGES, sse(start(**CACHED, output_tokens=1), *BLOCKS[:3]), left=True)
    assert told(call) == without(MESSAGE_TOLD, "finish_reasons", "complete") | {
        "usage": Usage(input=130, cache_read=100, cache_write=20)
    }


@pytest.mark.parametrize(
    ("endpoint", "stream", "expected"),
    [
        (CHAT, sse(chunk(says("Lima.")), chunk(says("", "stop"))), without(CHAT_TOLD, "usage")),
        (MESSAGES, sse(start(**CACHED, output_tokens=1), *BLOCKS, delta(output_tokens=5)), MESSAGE_TOLD),
        (RESPONSES, sse(CREATED, {"type": "response.completed", "response": response()}), RESPONSE_TOLD),
    ],
    ids=["chat", "messages", "responses"],
)
def test_a_stream_left_after_its_meaning_has_ended_is_complete(endpoint: Endpoint, stream: bytes, expected: Any):
    assert told(played(endpoint, stream, left=True)) == expected


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_an_empty_body_is_not_of_its_format(endpoint: Endpoint):
    expected = FETCHED if endpoint is FETCH else {}
    assert told(played(endpoint, b"")) == expected | NOT_OF_ITS_FORMAT
    assert told(played(endpoint, b"", pieces=[])) == expected | NOT_OF_ITS_FORMAT
    assert told(played(endpoint, b"", pieces=[], left=True)) == expected


@pytest.mark.parametrize("body", [b"{", b'{"id": "chatcmpl-1"', b"[]", b'{"a": 1} {"b": 2}', b" ", b"da"])
@pytest.mark.parametrize("endpoint", [CHAT, EMBEDDINGS, RESPONSES, MESSAGES], ids=lambda endpoint: endpoint.path)
def test_a_body_that_cannot_be_read_is_said_to_be_so(endpoint: Endpoint, body: bytes):
    assert told(played(endpoint, body)) == NOT_OF_ITS_FORMAT


@pytest.mark.parametrize(
    "text",
    [
        b"<html>Sign in</html>",
        b"upstream connect error or disconnect/reset before headers",
        b"\x1f\x8b\x08",
        b'"text"',
        b"null",
        b"retry later",
        b"idle timeout",
        b"database is down",
    ],
)
@pytest.mark.parametrize("endpoint", [CHAT, EMBEDDINGS, RESPONSES, MESSAGES], ids=lambda endpoint: endpoint.path)
def test_what_is_neither_json_nor_a_stream_is_said_to_be_so(endpoint: Endpoint, text: bytes):
    expected = {"unreadable": "it is neither JSON nor a stream of events"}
    assert told(played(endpoint, text)) == expected
    assert told(played(endpoint, text, left=True)) == expected


def test_json_that_was_cut_is_not_blamed_on_its_format():
    cut = json.dumps(chat_answer()).encode()[:40]
    assert told(played(CHAT, cut, left=True)) == {}
    exchange = CHAT.begin()
    exchange.response(200)
    exchange.feed(cut)
    exchange.fail(TimeoutError("read"))
    assert told(exchange.call) == {"error_type": "TimeoutError", "error_message": "read"}


def test_a_body_of_10_mb_is_read():
    answer = json.dumps(chat_answer(choices=[{"finish_reason": "stop", "message": {"content": "x" * 10_000_000}}]))
    pieces = [answer[at : at + 65_536].encode() for at in range(0, len(answer), 65_536)]
    assert told(played(CHAT, b"", pieces=pieces)) == CHAT_TOLD


def test_a_body_of_more_than_64_mib_goes_unread_and_is_let_go():
    exchange = CHAT.begin()
    exchange.response(200)
    mebibyte = b"{" + b" " * (1024 * 1024 - 1)
    for _ in range(70):
        exchange.feed(mebibyte)
    assert exchange._body == []
    exchange.end()
    assert told(exchange.call) == {"unreadable": "it is over 64 MiB"}


def with_an_endless_event(endpoint: Endpoint, before: bytes, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    monkeypatch.setattr(exchange_module, "_LARGEST_BODY", 1024 * 1024)
    exchange = endpoint.begin()
    exchange.response(200, STREAM)
    exchange.feed(before)
    for _ in range(1_200):
        exchange.feed(b"data: " + b"x" * 1_000)
    exchange.end()
    return exchange


def test_an_endless_event_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch):
    exchange = with_an_endless_event(CHAT, b"", monkeypatch)
    assert told(exchange.call) == {"unreadable": "it has an event over 1 MiB"}


def test_an_endless_event_is_let_go_like_an_endless_body(monkeypatch: pytest.MonkeyPatch):
    assert held(with_an_endless_event(CHAT, b"", monkeypatch)) == 0


def test_what_came_before_an_endless_event_counts(monkeypatch: pytest.MonkeyPatch):
    exchange = with_an_endless_event(MESSAGES, MESSAGE_STREAM, monkeypatch)
    assert told(exchange.call) == MESSAGE_TOLD | {"unreadable": "it has an event over 1 MiB"}


CODINGS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("plain", [json.dumps(chat_answer()).encode(), CHAT_STREAM], ids=["JSON", "stream"])
def test_an_encoded_answer_is_read_and_a_decoded_one_too(coding: str, plain: bytes):
    headers = {"content-encoding": coding}
    encoded = CODINGS[coding](plain)
    pieces = [encoded[at : at + 7] for at in range(0, len(encoded), 7)]
    assert told(played(CHAT, b"", pieces=pieces, headers=headers)) == CHAT_TOLD
    assert told(played(CHAT, plain, headers=headers, decoded=True)) == CHAT_TOLD


def test_an_answer_that_does_not_have_its_coding_is_said_to_be_undecodable():
    call = played(CHAT, b"", pieces=[b"plain", b"text"], headers={"content-encoding": "gzip"})
    assert told(call) == {"unreadable": NOT_GZIP}


def test_an_undecodable_answer_is_let_go():
    exchange = CHAT.begin()
    exchange.response(200, {"content-encoding": "gzip"})
    exchange.feed(gzip.compress(json.dumps(chat_answer()).encode())[:-8])
    exchange.feed(b"broken trailer")
    exchange.end()
    assert held(exchange) == 0
    assert told(exchange.call) == CHAT_TOLD | {
        "unreadable": "it cannot be decoded: Error -3 while decompressing data: incorrect data check"
    }


def test_what_came_before_an_undecodable_rest_counts():
    compressor = zlib.compressobj()
    whole = compressor.compress(MESSAGE_STREAM) + compressor.flush(zlib.Z_SYNC_FLUSH)
    call = played(MESSAGES, b"", pieces=[whole, b"\xff" * 20], headers={"content-encoding": "deflate"})
    assert told(call) == MESSAGE_TOLD | {
        "unreadable": "it cannot be decoded: Error -3 while decompressing data: invalid block type"
    }


def test_an_unknown_coding_is_said_to_be_so():
    assert told(played(CHAT, b"...", headers={"content-encoding": "wat"})) == {
        "unreadable": "a content coding that nothing here can undo: wat"
    }


# --- The whole body at once ----------------------------------------------------------------------------------------


def played_whole(answer: bytes, headers: dict[str, str] | None = None) -> Exchange:
    exchange = CHAT.begin()
    exchange.response(200, headers or {}, decoded=True)
    exchange.whole(answer)
    return exchange


@pytest.mark.parametrize("coding", ["", *CODINGS, "wat"])
@pytest.mark.parametrize("plain", [json.dumps(chat_answer()).encode(), CHAT_STREAM], ids=["JSON", "stream"])
def test_a_whole_decoded_body_is_read_and_has_no_first_chunk(coding: str, plain: bytes):
    exchange = played_whole(plain, {"content-encoding": coding})
    assert told(exchange.call) == CHAT_TOLD
    assert exchange.call.first_chunk_ns is None


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("plain", [json.dumps(chat_answer()).encode(), CHAT_STREAM], ids=["JSON", "stream"])
def test_a_whole_body_that_its_carrier_could_not_decode_is_read(coding: str, plain: bytes):
    exchange = played_whole(CODINGS[coding](plain), {"content-encoding": coding})
    assert told(exchange.call) == CHAT_TOLD


@pytest.mark.parametrize(
    ("body", "headers", "why"),
    [
        (b"", {}, "it is not JSON of the format that its request has"),
        (b"", {"content-encoding": "gzip"}, "it is not JSON of the format that its request has"),
        (b"{", {}, "it is not JSON of the format that its request has"),
        (b"<html>", {}, "it is neither JSON nor a stream of events"),
        (b"\x1f\x8bbroken", {"content-encoding": "wat"}, "a content coding that nothing here can undo: wat"),
    ],
)
def test_a_whole_body_that_cannot_be_read_is_said_to_be_so(body: bytes, headers: dict[str, str], why: str):
    assert told(played_whole(body, headers).call) == {"unreadable": why}


def test_a_whole_body_is_the_end():
    exchange = played_whole(json.dumps(chat_answer()).encode())
    exchange.whole(json.dumps(chat_answer(id="other")).encode())
    exchange.end()
    assert (told(exchange.call), held(exchange)) == (CHAT_TOLD, 0)


# --- Requests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_request_is_read(coding: str):
    body = CODINGS[coding](json.dumps(CHAT.request).encode())
    assert CHAT.begin(body=body, headers={"content-encoding": coding}).call.request_model == "gpt-5-mini"


STRANGER = Endpoint("llm.corp.example", "/v1/chat/completions")


def begun(url: str, body: bytes | None, headers: dict[str, str] | None = None) -> Exchange | None:
    host, _, path = url.partition("/")
    return Exchange.begin("POST", host, 443, f"/{path}", body, headers=headers or {})


def test_a_compressed_request_to_an_unknown_host_is_recognised():
    body = gzip.compress(json.dumps(CHAT.request).encode())
    assert STRANGER.begin(body=body, headers={"content-encoding": "gzip"}).call.request_model == "gpt-5-mini"
    foreign = gzip.compress(b'{"text": "Hi"}')
    assert begun("llm.corp.example/v1/chat/completions", foreign, {"content-encoding": "gzip"}) is None


@pytest.mark.parametrize("body", [b"\x1f\x8bbroken", b"zzz"])
def test_of_a_request_that_cannot_be_undone_a_telling_path_is_enough(body: bytes):
    assert begun("llm.corp.example/v1/chat/completions", body, {"content-encoding": "gzip"}) is not None
    assert begun("llm.corp.example/v1/embeddings", body, {"content-encoding": "gzip"}) is None


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"not json", {}),
        (b"--boundary\r\n", {}),
        (b"\x1f\x8bbroken", {"content-encoding": "gzip"}),
        (b"zzz", {"content-encoding": "wat"}),
        (b"{", {}),
        (b"[]", {}),
        (b"null", {}),
        (b"", {}),
        (None, {}),
    ],
)
@pytest.mark.parametrize("endpoint", [CHAT, EMBEDDINGS, RESPONSES, MESSAGES], ids=lambda endpoint: endpoint.path)
def test_a_request_that_cannot_be_seen_is_still_a_call(endpoint: Endpoint, body: bytes | None, headers: dict[str, str]):
    call = endpoint.begin(body=body, headers=headers).call
    assert without(asked(call), "api_type") == {}
    assert told(call) == {}


def test_surprising_fields_of_a_request_lose_themselves_only():
    body = (
        b'{"model":"gpt-5-mini","n":"two","temperature":"0.5","stream":1,"messages":"none","stop":[1,"x"],"seed":null}'
    )
    assert asked(CHAT.begin(body=body).call) == {
        "request_model": "gpt-5-mini",
        "stream": True,
        "temperature": 0.5,
        "stop_sequences": ["x"],
        "api_type": "chat_completions",
    }


# --- The order of events -------------------------------------------------------------------------------------------


class ConnectionBrokeError(Exception):
    """What a client library might raise."""


def test_an_exchange_that_breaks_is_named_by_its_exception():
    exchange = CHAT.begin()
    exchange.fail(ConnectionBrokeError("reset"))
    assert told(exchange.call) == {
        "error_type": f"{__name__}.ConnectionBrokeError",
        "error_message": "reset",
    }


def test_a_built_in_exception_has_a_bare_name():
    exchange = CHAT.begin()
    exchange.fail(TimeoutError())
    assert told(exchange.call) == {"error_type": "TimeoutError"}


def test_a_stream_that_breaks_keeps_what_came():
    exchange = CHAT.begin()
    exchange.response(200)
    exchange.feed(sse(chunk(says("Li"))))
    exchange.fail(TimeoutError("read"))
    assert told(exchange.call) == without(CHAT_TOLD, "usage", "finish_reasons", "complete") | {
        "error_type": "TimeoutError",
        "error_message": "read",
    }


def test_a_connection_that_breaks_after_the_answers_end_is_no_error():
    exchange = CHAT.begin()
    exchange.response(200)
    exchange.feed(CHAT_STREAM)
    exchange.fail(TimeoutError("close"))
    assert told(exchange.call) == CHAT_TOLD


def test_an_error_answer_that_breaks_keeps_its_own_name():
    exchange = CHAT.begin()
    exchange.response(429)
    exchange.feed(b'{"error":{"type":"rate_limit","message":"M"}}')
    exchange.fail(TimeoutError("close"))
    assert told(exchange.call) == {"error_type": "rate_limit", "error_message": "M"}


@pytest.mark.parametrize("stream", [json.dumps(chat_answer()).encode(), CHAT_STREAM], ids=["JSON", "stream"])
def test_what_comes_after_the_end_of_an_answer_changes_nothing(stream: bytes):
    exchange = CHAT.begin()
    exchange.response(200)
    exchange.feed(stream)
    exchange.end()
    exchange.feed(sse(chunk(says("", "length"), id="other")))
    exchange.end()
    exchange.abandon()
    exchange.fail(TimeoutError())
    assert told(exchange.call) == CHAT_TOLD


@pytest.mark.parametrize(
    "later", [lambda exchange: exchange.end(), lambda exchange: exchange.fail(TimeoutError())], ids=["end", "fail"]
)
def test_what_comes_after_a_reader_has_left_changes_nothing(later: Callable[[Exchange], None]):
    exchange = CHAT.begin()
    exchange.response(200)
    exchange.feed(b'{"id": "chatcmpl-1"')
    exchange.abandon()
    later(exchange)
    assert told(exchange.call) == {}


def test_the_time_of_the_first_chunk_is_that_of_the_first_piece_of_the_body():
    exchange = CHAT.begin()
    exchange.response(200)
    assert exchange.call.first_chunk_ns is None
    before = time.time_ns()
    exchange.feed(CHAT_STREAM[:10])
    first = exchange.call.first_chunk_ns
    exchange.feed(CHAT_STREAM[10:])
    assert first is not None
    assert before <= first <= time.time_ns()
    assert exchange.call.first_chunk_ns == first


def test_an_empty_piece_is_no_first_chunk():
    exchange = CHAT.begin()
    exchange.response(200)
    exchange.feed(b"")
    assert exchange.call.first_chunk_ns is None
    exchange.feed(b"{")
    assert exchange.call.first_chunk_ns is not None


def test_a_litellm_proxy_on_an_unknown_host_says_so_in_its_headers():
    gateway = Endpoint("gateway.corp.example", "/v1/chat/completions", CHAT.request)
    assert played(gateway, chat_answer()).provider == "openai"
    assert played(gateway, chat_answer(), headers={"x-litellm-call-id": "1"}).provider == "litellm"
    assert played(CHAT, chat_answer(), headers={"x-litellm-call-id": "1"}).provider == "openai"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_posts_are_calls(method: str):
    assert Exchange.begin(method, CHAT.host, 443, CHAT.path, json.dumps(CHAT.request).encode()) is None
