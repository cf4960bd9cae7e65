"""The local provider keeps its promises: the vendors' own SDKs read its answers, and every mode does what it says."""

import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import anthropic
import brotli
import httpx
import httpx2
import openai
import pytest
import zstandard

from provider import Provider, Request
from provider.encodings import encode
from provider.script import ANSWER

MODEL = "gpt-5-mini"
CLAUDE = "claude-haiku-4-5"
QUESTION = [{"role": "user", "content": "How is the weather in Paris?"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
RESPONSES_TOOL = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": False}
CLAUDE_TOOL = {"name": "get_weather", "input_schema": CITY}
CHAT_USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
RESPONSES_USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 15,
}
CLAUDE_USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 20,
    "cache_read_input_tokens": 100,
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 5,
    "service_tier": "standard",
}


@pytest.fixture
def provider():
    with Provider() as provider:
        yield provider


@pytest.fixture
def gpt(provider):
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="local") as client:
        yield client


@pytest.fixture
def claude(provider):
    with anthropic.Anthropic(base_url=provider.url, api_key="local") as client:
        yield client


@pytest.fixture
def http(provider):
    with httpx2.Client(base_url=provider.url) as client:
        yield client


def told(model):
    """What the SDK's object holds, without the fields that the answer left out."""
    return model.model_dump(exclude_unset=True)


def chat(stream=False, **more):
    return {"model": MODEL, "messages": QUESTION, "stream": stream, **more}


def streamed_text(gpt, **headers):
    """The text of a chat stream, whose usage is checked on the way."""
    options = {"include_usage": True}
    with gpt.chat.completions.create(**chat(stream=True), stream_options=options, extra_headers=headers) as stream:
        *chunks, last = stream
    assert (last.choices, told(last.usage)) == ([], CHAT_USAGE)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


# Every format, as its SDK reads it


def test_a_chat_answers_with_text_and_usage(gpt):
    answer = gpt.chat.completions.create(**chat())
    assert (answer.id, answer.model) == ("chatcmpl-000000000000000000000001", "gpt-5-mini-2025-08-07")
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (ANSWER, "stop")
    assert told(answer.usage) == CHAT_USAGE


def test_a_chat_stream_ends_with_the_usage_that_was_asked_for(gpt):
    assert streamed_text(gpt) == ANSWER


def test_a_chat_stream_tells_no_usage_unless_asked(gpt):
    with gpt.chat.completions.create(**chat(stream=True)) as stream:
        chunks = list(stream)
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_chat_calls_the_tool_and_then_answers(gpt):
    call = gpt.chat.completions.create(**chat(tools=[CHAT_TOOL])).choices[0]
    tool_call = call.message.tool_calls[0]
    assert (call.finish_reason, tool_call.function.name) == ("tool_calls", "get_weather")
    assert json.loads(tool_call.function.arguments) == {"city": "Paris"}
    result = {"role": "tool", "tool_call_id": tool_call.id, "content": "sunny"}
    answer = gpt.chat.completions.create(
        model=MODEL, tools=[CHAT_TOOL], messages=[*QUESTION, told(call.message), result]
    )
    assert answer.choices[0].message.content == ANSWER


def test_a_streamed_chat_calls_the_tool_piece_by_piece(gpt):
    with gpt.chat.completions.create(**chat(stream=True, tools=[CHAT_TOOL])) as stream:
        calls = [chunk.choices[0].delta.tool_calls or [] for chunk in stream]
    pieces = [call.function for found in calls for call in found]
    assert pieces[0].name == "get_weather"
    assert json.loads("".join(piece.arguments for piece in pieces)) == {"city": "Paris"}


def test_a_response_answers_with_text_and_usage(gpt):
    answer = gpt.responses.create(model=MODEL, input="How is the weather in Paris?")
    assert (answer.status, answer.output_text, told(answer.usage)) == ("completed", ANSWER, RESPONSES_USAGE)


def test_a_response_stream_holds_everything_in_its_last_event(gpt):
    with gpt.responses.stream(model=MODEL, input="How is the weather in Paris?") as stream:
        kinds = [event.type for event in stream]
    answer = stream.get_final_response()
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert (answer.output_text, told(answer.usage)) == (ANSWER, RESPONSES_USAGE)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_calls_the_tool_and_then_answers(gpt, streamed):
    call = last_response(gpt, streamed, QUESTION).output[0]
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "get_weather", {"city": "Paris"})
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    assert last_response(gpt, streamed, [*QUESTION, told(call), result]).output_text == ANSWER


def last_response(gpt, streamed, turns):
    if not streamed:
        return gpt.responses.create(model=MODEL, input=turns, tools=[RESPONSES_TOOL])
    with gpt.responses.create(model=MODEL, input=turns, tools=[RESPONSES_TOOL], stream=True) as stream:
        *_, last = stream
    return last.response


def test_a_background_response_has_its_usage_only_when_it_is_fetched(gpt):
    queued = gpt.responses.create(model=MODEL, input="Think.", background=True)
    fetched = gpt.responses.retrieve(queued.id)
    assert (queued.status, queued.usage) == ("queued", None)
    assert (fetched.id, fetched.status, told(fetched.usage)) == (queued.id, "completed", RESPONSES_USAGE)


def test_a_message_answers_with_text_and_usage(claude):
    answer = claude.messages.create(model=CLAUDE, max_tokens=100, messages=QUESTION)
    assert (answer.model, answer.stop_reason, answer.content[0].text) == (CLAUDE + "-20251001", "end_turn", ANSWER)
    assert told(answer.usage) == CLAUDE_USAGE


def test_a_message_stream_ends_with_the_same_usage(claude):
    with claude.messages.stream(model=CLAUDE, max_tokens=100, messages=QUESTION) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert (text, answer.stop_reason, told(answer.usage)) == (ANSWER, "end_turn", CLAUDE_USAGE)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_message_calls_the_tool_and_then_answers(claude, streamed):
    call = last_message(claude, streamed, QUESTION)
    block = call.content[0]
    assert (call.stop_reason, block.name, block.input) == ("tool_use", "get_weather", {"city": "Paris"})
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
    turns = [*QUESTION, {"role": "assistant", "content": call.content}, {"role": "user", "content": [result]}]
    assert last_message(claude, streamed, turns).content[0].text == ANSWER


def last_message(claude, streamed, turns):
    asked = {"model": CLAUDE, "max_tokens": 100, "messages": turns, "tools": [CLAUDE_TOOL]}
    if not streamed:
        return claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        return stream.get_final_message()


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_an_embedding_has_a_vector_for_every_input(gpt, encoding):
    answer = gpt.embeddings.create(
        model="text-embedding-3-small", input=["a", "b"], encoding_format=encoding, dimensions=4
    )
    vectors = [item.embedding for item in answer.data]
    if encoding == "float":
        assert vectors == [[0.125, 0.25, 0.375, 0.5], [0.25, 0.375, 0.5, 0.625]]
    else:
        assert vectors == ["AAAAPgAAgD4AAMA+AAAAPw==", "AACAPgAAwD4AAAA/AAAgPw=="]
    assert told(answer.usage) == {"prompt_tokens": 10, "total_tokens": 10}


def test_a_completion_answers_with_text_and_usage(gpt):
    answer = gpt.completions.create(model="gpt-3.5-turbo-instruct", prompt="Paris is")
    assert (answer.choices[0].text, told(answer.usage)) == (ANSWER, CHAT_USAGE)


def test_a_completion_stream_tells_its_usage_when_asked(gpt):
    options = {"include_usage": True}
    asked = {"model": "gpt-3.5-turbo-instruct", "prompt": "Paris is", "stream": True}
    with gpt.completions.create(**asked, stream_options=options) as stream:
        *chunks, last = stream
    assert "".join(chunk.choices[0].text for chunk in chunks) == ANSWER
    assert (last.choices, told(last.usage)) == ([], CHAT_USAGE)


def test_azure_answers_under_its_deployments_and_opens_streams_with_a_filter_chunk(provider):
    azure = openai.AzureOpenAI(azure_endpoint=provider.url, api_key="local", api_version="2025-01-01-preview")
    with azure, azure.chat.completions.create(**chat(stream=True)) as stream:
        first, *rest = stream
    assert (first.id, first.model, first.choices) == ("", "", [])
    assert rest[0].model == "gpt-5-mini-2025-08-07"
    assert provider.requests[0].path == (f"/openai/deployments/{MODEL}/chat/completions?api-version=2025-01-01-preview")


def test_any_prefix_reaches_the_same_format(http):
    assert http.post("/gateway/v7/chat/completions", json=chat()).json()["usage"] == CHAT_USAGE


def test_the_paths_without_inference_answer_too(gpt, claude, http):
    assert MODEL in [model.id for model in gpt.models.list()]
    assert claude.messages.count_tokens(model=CLAUDE, messages=QUESTION).input_tokens > 0
    assert http.get("/health").json() == {"status": "ok"}
    assert http.get("/v1/chat/completions").status_code == 404


# Usage


def test_headers_set_the_counts(http):
    headers = {"x-input-tokens": "3", "x-output-tokens": "2", "x-cache-read-tokens": "1", "x-reasoning-tokens": "1"}
    assert http.post("/v1/responses", json={"model": MODEL, "input": "Hi"}, headers=headers).json()["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 5,
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", chat()),
        ("/v1/responses", {"model": MODEL, "input": "Hi"}),
        ("/v1/messages", {"model": CLAUDE, "messages": QUESTION}),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hi"}),
    ],
)
def test_usage_can_be_left_out(http, path, body):
    headers = {"x-mode": "no-usage"}
    assert http.post(path, json=body).json()["usage"] != {}
    assert "usage" not in http.post(path, json=body, headers=headers).json()
    streamed = http.post(path, json={**body, "stream": True}, headers=headers)
    assert b"usage" not in streamed.content


def test_realistic_counts_follow_the_conversation():
    system = {"role": "system", "content": "You are a weather agent. " * 20}
    answered = [{"role": "assistant", "content": ANSWER}, {"role": "user", "content": "And tomorrow?"}]
    with Provider(realistic=True) as provider, httpx2.Client(base_url=provider.url) as http:
        first = http.post("/v1/chat/completions", json=chat(messages=[system, *QUESTION])).json()["usage"]
        later = http.post("/v1/chat/completions", json=chat(messages=[system, *QUESTION, *answered])).json()["usage"]
        sizes = [len(request.body) // 4 for request in provider.requests]
    assert [first["prompt_tokens"], later["prompt_tokens"]] == sizes
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert first["completion_tokens"] == len(ANSWER.encode()) // 4
    assert 0 < later["prompt_tokens_details"]["cached_tokens"] < later["prompt_tokens"]


def test_realistic_messages_write_the_cache_first_and_read_it_later(http):
    first = {"model": CLAUDE, "system": "You are a weather agent. " * 20, "messages": QUESTION}
    answered = [{"role": "assistant", "content": ANSWER}, {"role": "user", "content": "And tomorrow?"}]
    usages = [
        http.post("/v1/messages", json=body, headers={"x-usage": "realistic"}).json()["usage"]
        for body in (first, {**first, "messages": [*QUESTION, *answered]})
    ]
    written = [usage["cache_creation_input_tokens"] > 0 for usage in usages]
    read = [usage["cache_read_input_tokens"] > 0 for usage in usages]
    assert (written, read) == ([True, False], [False, True])


def test_realistic_responses_reason(http):
    headers = {"x-usage": "realistic"}
    usage = http.post("/v1/responses", json={"model": MODEL, "input": "Hi"}, headers=headers).json()["usage"]
    assert usage["output_tokens_details"] == {"reasoning_tokens": 64}
    assert usage["output_tokens"] == 64 + len(ANSWER.encode()) // 4


# Modes


def test_a_failure_has_the_shape_of_its_provider(gpt, claude):
    with pytest.raises(openai.RateLimitError) as limited:
        gpt.chat.completions.create(**chat(), extra_headers={"x-mode": "fail-429"})
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        claude.messages.create(model=CLAUDE, max_tokens=10, messages=QUESTION, extra_headers={"x-mode": "fail-529"})
    assert limited.value.code == "rate_limit_exceeded"
    assert overloaded.value.body == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_000000000000000000000006",
    }


def test_azure_refuses_without_an_error_type(http):
    path = "/openai/deployments/mini/chat/completions"
    assert http.post(path, json=chat(), headers={"x-mode": "fail-401"}).json() == {
        "error": {"code": "401", "message": "Incorrect API key provided: local."}
    }


def test_the_first_requests_of_a_test_fail_and_the_retries_succeed(provider, gpt):
    headers = {"x-mode": "fail-500-times-2", "x-test-id": "retries"}
    assert gpt.chat.completions.create(**chat(), extra_headers=headers).choices[0].message.content == ANSWER
    retries = [request.header("x-stainless-retry-count") for request in provider.requests]
    assert retries == ["0", "1", "2"]


def test_every_test_has_its_own_failures(http):
    headers = [{"x-mode": "fail-503-times-1", "x-test-id": name} for name in ("a", "b", "a", "b")]
    statuses = [http.post("/v1/chat/completions", json=chat(), headers=header).status_code for header in headers]
    assert statuses == [503, 503, 200, 200]


@pytest.mark.parametrize(
    ("mode", "start"),
    [
        ("nosp", b'data:{"id":'),
        ("crlf", b'data: {"id":'),
        ("cr", b'data: {"id":'),
        ("comments", b": keep-alive\n\ndata: {"),
        ("nosp, crlf, comments", b": keep-alive\r\n\r\ndata:{"),
    ],
)
def test_every_liberty_of_the_stream_format_is_readable(gpt, http, mode, start):
    assert streamed_text(gpt, **{"x-mode": mode}) == ANSWER
    raw = http.post("/v1/chat/completions", json=chat(stream=True), headers={"x-mode": mode}).content
    assert raw.startswith(start)
    assert (b"\n" in raw, b"\r" in raw) == (mode != "cr", "cr" in mode)


@pytest.mark.parametrize("mode", ["nosp", "crlf", "cr", "comments"])
def test_the_liberties_hold_for_named_events(claude, mode):
    asked = {"model": CLAUDE, "max_tokens": 100, "messages": QUESTION, "extra_headers": {"x-mode": mode}}
    with claude.messages.stream(**asked) as stream:
        assert stream.get_final_text() == ANSWER


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_a_cut_answer_breaks_off_before_its_end(http, streamed, encoding):
    headers = {"x-mode": "cut"} | ({"x-encode": encoding} if encoding else {})
    received = []
    with (
        http.stream("POST", "/v1/chat/completions", json=chat(stream=streamed), headers=headers) as response,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        received.extend(response.iter_raw())
    assert received
    assert b"[DONE]" not in b"".join(received)


def test_an_error_inside_a_chat_stream_reaches_the_caller(gpt):
    headers = {"x-mode": "error-in-stream"}
    with (
        pytest.raises(openai.APIError, match="The server had an error"),
        gpt.chat.completions.create(**chat(stream=True), extra_headers=headers) as stream,
    ):
        list(stream)


def test_an_error_inside_a_response_stream_is_followed_by_the_failed_response(gpt):
    headers = {"x-mode": "error-in-stream"}
    with gpt.responses.create(model=MODEL, input="Hi", stream=True, extra_headers=headers) as stream:
        *_, error, failed = stream
    assert (error.type, error.code) == ("error", "server_error")
    assert (failed.response.status, failed.response.error.code) == ("failed", "server_error")


def test_an_error_inside_a_message_stream_reaches_the_caller(claude):
    headers = {"x-mode": "error-in-stream"}
    with (
        pytest.raises(anthropic.APIStatusError, match="overloaded_error"),
        claude.messages.create(
            model=CLAUDE, max_tokens=10, messages=QUESTION, stream=True, extra_headers=headers
        ) as stream,
    ):
        list(stream)


@pytest.mark.parametrize("streamed", [False, True])
def test_invalid_json_cannot_be_parsed(http, streamed):
    answer = http.post("/v1/chat/completions", json=chat(stream=streamed), headers={"x-mode": "invalid-json"})
    last = answer.text.strip().rpartition("data: ")[2]
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(last)


def test_a_gateways_page_is_html(http):
    answer = http.post("/v1/chat/completions", json=chat(), headers={"x-mode": "html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!doctype html>")


# How the bytes travel


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_compressed_answer_is_decoded_by_the_client(gpt, http, encoding):
    headers = {"x-encode": encoding}
    answer = http.post("/v1/chat/completions", json=chat(), headers=headers)
    assert (answer.headers["content-encoding"], answer.json()["usage"]) == (encoding, CHAT_USAGE)
    assert streamed_text(gpt, **headers) == ANSWER


def test_zstd_is_decoded_by_the_client(provider):
    with httpx.Client(base_url=provider.url, headers={"x-encode": "zstd"}) as client:
        answer = client.post("/v1/chat/completions", json=chat())
        stream = client.post("/v1/chat/completions", json=chat(stream=True))
    assert (answer.headers["content-encoding"], answer.json()["usage"]) == ("zstd", CHAT_USAGE)
    assert stream.text.endswith("data: [DONE]\n\n")


DECODERS = {
    "gzip": lambda: zlib.decompressobj(31).decompress,
    "deflate": lambda: zlib.decompressobj().decompress,
    "br": lambda: brotli.Decompressor().process,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
}


@pytest.mark.parametrize("encoding", DECODERS)
def test_every_encoding_is_flushed_after_every_piece(encoding):
    decode = DECODERS[encoding]()
    assert [decode(piece) for piece in encode([b"first", b"second"], encoding)] == [b"first", b"second", b""]


@pytest.mark.parametrize("streamed", [False, True])
def test_chunks_split_inside_characters(http, streamed):
    headers = {"x-chunk-size": "1"}
    with http.stream("POST", "/v1/chat/completions", json=chat(stream=streamed), headers=headers) as response:
        pieces = list(response.iter_raw())
    assert {len(piece) for piece in pieces} == {1}
    assert "☀" in b"".join(pieces).decode()


def test_the_number_of_content_chunks_can_be_chosen(gpt):
    with gpt.chat.completions.create(**chat(stream=True), extra_headers={"x-chunks": "200"}) as stream:
        contents = [chunk.choices[0].delta.content for chunk in stream]
    assert sum(1 for content in contents if content) == 200


def test_an_answer_can_be_big(gpt):
    answer = gpt.chat.completions.create(**chat(), extra_headers={"x-big": "300000"})
    assert len(answer.choices[0].message.content) == 300_000


def test_delays_come_before_the_head_and_between_chunks(provider, http, monkeypatch):
    waits = []
    monkeypatch.setattr(provider.stopping, "wait", waits.append)
    headers = {"x-delay": "2.5", "x-chunk-delay": "1", "x-chunks": "1"}
    http.post("/v1/chat/completions", json=chat(stream=True), headers=headers)
    assert waits == [2.5, 1, 1, 1]  # four events: the role, one chunk, the finish reason, [DONE]


# What came in


def test_a_request_is_recorded_byte_by_byte(provider, http):
    body = b'{ "model": "gpt-5-mini",\n  "messages": [{"role": "user", "content": "\xc3\xa9"}] }'
    http.post("/v1/chat/completions?beta=true", content=body, headers={"X-Mine": "1"})
    request = provider.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/v1/chat/completions?beta=true", body)
    assert ("X-Mine", "1") in request.headers
    assert request.header("x-mine") == "1"


def test_a_body_from_a_generator_is_recorded_whole(provider, http):
    parts = [b'{"model": "gpt-5-mini", ', b'"input": "Hi"}']
    assert http.post("/v1/responses", content=iter(parts)).status_code == 200
    assert provider.requests[0].body == b"".join(parts)


def test_a_connection_is_kept_alive(http):
    streams = [
        http.post("/v1/chat/completions", json=chat(stream=streamed)).extensions["network_stream"]
        for streamed in (False, True, False)
    ]
    ports = {stream.get_extra_info("client_addr") for stream in streams}
    assert len(ports) == 1


def test_a_body_that_is_no_json_object_is_refused(http):
    assert http.post("/v1/chat/completions", content=b"[1").status_code == 400


def test_requests_are_plain_values():
    request = Request("GET", "/health", (("Accept", "text/html"), ("accept", "*/*")), b"")
    assert (request.header("ACCEPT"), request.header("absent")) == ("text/html", None)


# The command


@pytest.fixture
def command():
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-m", "provider"], stdin=pipe, stdout=pipe, text=True, env=environ
    ) as process:
        yield process
        process.kill()


def test_the_command_prints_its_url_and_ends_with_its_input(command):
    url = command.stdout.readline().strip()
    assert httpx2.get(f"{url}/health").json() == {"status": "ok"}
    command.stdin.close()
    assert command.wait(timeout=30) == 0


def test_the_command_ends_on_sigterm(command):
    command.stdout.readline()
    command.send_signal(signal.SIGTERM)
    assert command.wait(timeout=30) == 0
