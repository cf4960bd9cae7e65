"""The relatives of the big formats: what a vendor does differently in a format that is not its own."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llmtrace_otel.wire.call import Besides, Call, Library, Usage
from llmtrace_otel.wire.exchange import Exchange
from wire import aws
from wire.schemas import violations
from wire.talk import CHAT, COMPLETE, MESSAGES, RESPONSES, Endpoint, asked, played, sse, told

QUESTION = [{"role": "user", "content": "Capital of Peru?"}]
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
READ = Usage(input=10, output=5)
PROXY = {"x-litellm-call-id": "c-1", "x-litellm-version": "1.106.2"}


def chat_at(url: str) -> Endpoint:
    """A chat request to a URL such as `//host/path`."""
    host, _, path = url.removeprefix("//").partition("/")
    return Endpoint(host, f"/{path}", {"model": "m", "messages": QUESTION})


def chunk(reason: str | None = None, *, usage: Any = None, **choice: Any) -> dict[str, Any]:
    found = {"index": 0, "delta": {}, "finish_reason": reason} | choice
    return {"id": "c-1", "model": "m-1", "choices": [found], "usage": usage}


def answer(usage: Any = None, **choice: Any) -> dict[str, Any]:
    found = {"index": 0, "message": {"role": "assistant", "content": "Lima."}, "finish_reason": "stop"} | choice
    return {"id": "c-1", "model": "m-1", "choices": [found], "usage": usage or USAGE}


def text(call: Call) -> str:
    return "".join(part["content"] for part in parts(call) if part["type"] == "text")


def parts(call: Call) -> list[dict[str, Any]]:
    assert violations(call) == []
    return [part for message in call.output_messages or [] for part in message["parts"]]


def both_ways(endpoint: Endpoint, stream: bytes, **options: Any) -> dict[str, Any]:
    """What a stream told, the same with content on and off; without the content."""
    on, off = (told(played(endpoint, stream, capture=capture, **options)) for capture in (True, False))
    on.pop("output_messages")
    assert on == off
    return off


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("//api.cerebras.ai/v1/chat/completions", "cerebras"),
        ("//api.inference.crusoecloud.com/v1/chat/completions", "crusoe"),
        ("//managed-inference-api-proxy.crusoecloud.com/v1/chat/completions", "crusoe"),
        ("//us.inference.heroku.com/v1/chat/completions", "heroku"),
        ("//api.portkey.ai/v1/chat/completions", "portkey"),
        ("//corp.snowflakecomputing.com/api/v2/cortex/v1/chat/completions", "snowflake"),
        ("//corp.snowflakecomputing.com/api/v2/cortex/inference:complete", "snowflake"),
        ("//api.together.xyz/v1/chat/completions", "together"),
        ("//api.z.ai/api/paas/v4/chat/completions", "z_ai"),
        ("//dashscope-us.aliyuncs.com/compatible-mode/v1/chat/completions", "dashscope"),
        ("//cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1/chat/completions", "dashscope"),
    ],
)
def test_vendors_of_openais_format(url: str, provider: str):
    call = played(chat_at(url), answer())
    assert (call.provider, call.operation, call.request_model, call.api_type) == (provider, "chat", "m", None)
    assert told(call) == {
        "response_id": "c-1",
        "response_model": "m-1",
        "finish_reasons": ["stop"],
        "usage": READ,
        "complete": True,
    }


TOGETHER = chat_at("//api.together.ai/v1/chat/completions")


def test_together_says_each_piece_of_a_stream_twice():
    pieces = [chunk(text=piece, delta={"role": "assistant", "content": piece}) for piece in ("Li", "ma.")]
    stream = sse(*pieces, chunk("eos", text="", delta={"content": ""}, usage=USAGE), "[DONE]")
    call = played(TOGETHER, stream, capture=True)
    assert (text(call), call.finish_reasons, call.usage) == ("Lima.", ["eos"], READ)


def test_a_message_counts_for_more_than_a_text_beside_it():
    function = {"name": "find", "arguments": "{}"}
    message = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "t", "type": "function", "function": function}],
    }
    call = played(TOGETHER, answer(message=message, text="", finish_reason="tool_calls"), capture=True)
    assert parts(call) == [{"type": "tool_call", "id": "t", "name": "find", "arguments": {}}]


def test_heroku_names_the_events_of_its_stream():
    stream = (
        b'event:message\ndata:{"id":"c-1","model":"m-1","choices":[{"index":0,"delta":{"content":"Lima."}}]}\n\n'
        b'event:message\ndata:{"id":"c-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        b'event:message\ndata:{"id":"c-1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}\n\n'
        b"event:done\ndata:[DONE]\n\n"
    )
    heroku = chat_at("//eu.inference.heroku.com/v1/chat/completions")
    assert text(played(heroku, stream, capture=True)) == "Lima."
    assert both_ways(heroku, stream) == {
        "response_id": "c-1",
        "response_model": "m-1",
        "finish_reasons": ["stop"],
        "usage": READ,
        "complete": True,
    }


def test_vllm_counts_in_every_chunk_if_it_is_told_to():
    counts = [{"prompt_tokens": 10, "completion_tokens": done, "total_tokens": 10 + done} for done in range(3)]
    chunks = [chunk(delta={"content": "x"}, usage=count) for count in counts]
    vllm = Endpoint("localhost", "/v1/chat/completions", CHAT.request, port=8000)
    left = both_ways(vllm, sse(*chunks), left=True)
    assert left == {"response_id": "c-1", "response_model": "m-1", "usage": Usage(input=10, output=2)}


def test_an_id_for_each_piece_of_a_tool_call_makes_one_call():
    pieces = [
        {"id": "a", "name": "find", "arguments": ""},
        {"id": "b", "arguments": '{"n"'},
        {"id": "c", "arguments": ": 1}"},
    ]
    chunks = [chunk(delta={"tool_calls": [{"index": 0, "id": piece.pop("id"), "function": piece}]}) for piece in pieces]
    call = played(CHAT, sse(*chunks, chunk("tool_calls"), "[DONE]"), capture=True)
    assert parts(call) == [{"type": "tool_call", "id": "a", "name": "find", "arguments": {"n": 1}}]


def test_several_whole_tool_calls_that_all_say_index_0_stay_apart():
    deltas = [{"index": 0, "id": name, "function": {"name": name, "arguments": "{}"}} for name in ("find", "read")]
    call = played(CHAT, sse(*(chunk(delta={"tool_calls": [delta]}) for delta in deltas)), capture=True)
    assert [part["name"] for part in parts(call)] == ["find", "read"]


XAI = chat_at("//api.x.ai/v1/chat/completions")


@pytest.mark.parametrize(("total", "output"), [(135, 103), (41, 9), (None, 9)])
def test_reasoning_is_added_where_the_providers_own_sum_has_it_apart(total: int | None, output: int):
    stated = {
        "prompt_tokens": 32,
        "completion_tokens": 9,
        "total_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": 94},
    }
    assert played(XAI, answer(stated)).usage == Usage(input=32, output=output, reasoning=94)


def test_writer_spells_its_cached_tokens_in_the_singular():
    writer = chat_at("//api.writer.com/v1/chat")
    usage = USAGE | {"prompt_token_details": {"cached_tokens": 4}}
    assert played(writer, answer(usage)).usage == Usage(input=10, output=5, cache_read=4)


GROQ = chat_at("//api.groq.com/openai/v1/chat/completions")


def test_groq_may_say_why_a_stream_stopped_early():
    stream = sse(
        chunk(delta={"content": "Li"}), chunk() | {"x_groq": {"id": "req_1", "error": "over capacity"}}, "[DONE]"
    )
    found = both_ways(GROQ, stream)
    assert (found["error_type"], found["error_message"]) == ("_OTHER", "over capacity")


OPENROUTER = chat_at("//openrouter.ai/api/v1/chat/completions")
UPSTREAM = {"code": 502, "message": "Upstream failed"}


def test_openrouter_may_put_the_error_into_a_choice():
    cost = USAGE | {"cost": 0.25}
    failed = {
        "response_id": "c-1",
        "response_model": "m-1",
        "finish_reasons": ["error"],
        "usage": READ,
        "stated_cost": 0.25,
        "error_type": "502",
        "error_message": "Upstream failed",
        "complete": True,
    }
    assert told(played(OPENROUTER, answer(cost, finish_reason="error", error=UPSTREAM))) == failed
    stream = sse(chunk(delta={"content": "Li"}), chunk("error", error=UPSTREAM), chunk(usage=cost), "[DONE]")
    assert both_ways(OPENROUTER, stream) == failed


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (
            {"type": "response.error", "error": {"code": "rate_limit_exceeded", "message": "Slow"}},
            "rate_limit_exceeded",
        ),
        ({"error": {"code": 502, "message": "Slow"}}, "502"),
        ({"type": "error", "code": "server_error", "message": "Slow"}, "server_error"),
    ],
)
def test_the_errors_that_gateways_put_into_a_stream_of_responses(event: dict[str, Any], name: str):
    stream = sse({"type": "response.created", "response": {"id": "gen-1", "model": "m-1"}}, event)
    assert told(played(RESPONSES, stream)) == {
        "response_id": "gen-1",
        "response_model": "m-1",
        "error_type": name,
        "error_message": "Slow",
    }


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (chat_at("//llm.corp.example/v1/chat/completions"), answer()),
        (
            Endpoint("llm.corp.example", "/v1/responses", RESPONSES.request),
            {"id": "c-1", "model": "m-1", "usage": {"input_tokens": 10, "output_tokens": 5}},
        ),
        (
            Endpoint("llm.corp.example", "/anthropic/v1/messages", MESSAGES.request),
            {"id": "c-1", "model": "m-1", "usage": {"input_tokens": 10, "output_tokens": 5}},
        ),
    ],
    ids=["chat", "responses", "pass-through"],
)
def test_a_litellm_proxy_on_a_host_of_nobodys_is_known_by_its_headers(endpoint: Endpoint, body: dict[str, Any]):
    call = played(endpoint, body, headers=PROXY | {"x-litellm-response-cost": "0.00012"})
    assert (call.provider, call.api_type, call.usage, call.gateway_cost) == ("litellm", None, READ, 0.00012)


def test_a_litellm_proxy_says_whether_its_cache_had_the_answer():
    proxy, headers = chat_at("//llm.corp.example/v1/chat/completions"), PROXY | {"x-litellm-response-cost": "0.0"}
    answer = {"id": "c-1", "model": "m-1", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}
    assert played(proxy, answer, headers=headers).library is None
    cached = played(proxy, answer, headers=headers | {"x-litellm-cache-key": "af81"})
    assert cached.library == Library(cache_hit=True, cost_source="gateway")


def test_litellm_writes_pythons_none_for_what_it_does_not_know():
    error = {"error": {"message": "Boom", "type": "None", "param": "None", "code": "500"}}
    proxy = chat_at("//llm.corp.example/v1/chat/completions")
    assert played(proxy, error, status=500, headers=PROXY).error_type == "500"
    assert played(proxy, sse(chunk(), error), headers=PROXY).error_type == "500"


@pytest.mark.parametrize(
    ("path", "request_body"),
    [
        ("/openai/deployments/my-mini/chat/completions", {"messages": QUESTION}),
        ("/openai/deployments/my-mini/embeddings", {"input": "Lima"}),
        ("/engines/my-mini/chat/completions", {"messages": QUESTION}),
        ("/v1/engines/my-mini/completions", {"prompt": "Lima is"}),
    ],
)
def test_on_a_host_of_nobodys_a_model_in_the_path_is_as_good_as_one_in_the_body(
    path: str, request_body: dict[str, Any]
):
    call = played(Endpoint("gateway.corp.example", path, request_body), answer())
    assert call.request_model == "my-mini"


VERTEX = "/v1/projects/p/locations/l/publishers/anthropic/models/"


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("us-east5-aiplatform.googleapis.com", VERTEX + "count-tokens:rawPredict"),
        ("api.perplexity.ai", "/async/chat/completions"),
    ],
)
def test_what_only_looks_like_a_call(host: str, path: str):
    body = json.dumps(MESSAGES.request).encode()
    assert Exchange.begin("POST", host, 443, path, body) is None


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("api.voyageai.com", "/v1/embeddings"),
        ("api.voyageai.com", "/v1/multimodalembeddings"),
        ("api.voyageai.com", "/v1/contextualizedembeddings"),
        ("ai.mongodb.com", "/v1/embeddings"),
    ],
)
def test_voyage_counts_in_total(host: str, path: str):
    voyage = Endpoint(host, path, {"model": "voyage-4", "input": ["Lima"], "output_dimension": 256})
    call = played(voyage, {"object": "list", "data": [], "model": "voyage-4", "usage": {"total_tokens": 7}})
    assert (call.provider, call.operation) == ("voyage", "embeddings")
    assert asked(call) == {"request_model": "voyage-4", "dimensions": 256}
    assert told(call) == {"response_model": "voyage-4", "usage": Usage(input=7), "complete": True}


HANDED_OVER = [
    {"type": "message_start", "message": {"id": "msg_1", "model": "claude-a", "usage": {"input_tokens": 3}}},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "fallback", "from": {"model": "claude-a"}, "to": {"model": "claude-b"}},
    },
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Lima."}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]
BEDROCK = Endpoint(
    "bedrock-runtime.us-east-1.amazonaws.com",
    "/model/claude-a/invoke-with-response-stream",
    {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": QUESTION},
)


def invoked(*documents: Any) -> bytes:
    """A stream of Bedrock's, written without spaces as Anthropic and AWS do."""
    compact = [json.dumps(document, separators=(",", ":")).encode() for document in documents]
    payloads = [b'{"bytes":"' + base64.b64encode(document) + b'"}' for document in compact]
    return b"".join(aws.frame({":event-type": "chunk", ":message-type": "event"}, payload) for payload in payloads)


@pytest.mark.parametrize(
    ("endpoint", "stream"),
    [(MESSAGES, sse(*HANDED_OVER)), (BEDROCK, invoked(*HANDED_OVER))],
    ids=["anthropic", "bedrock"],
)
def test_the_model_that_takes_over_from_one_that_declined_is_the_one_that_answered(endpoint: Endpoint, stream: bytes):
    assert both_ways(endpoint, stream) == {
        "response_id": "msg_1",
        "response_model": "claude-b",
        "finish_reasons": ["end_turn"],
        "usage": Usage(input=3, output=5),
        "complete": True,
    }


def test_a_legacy_completion_that_is_left_has_told_who_answers():
    stream = sse(
        {"type": "completion", "id": "compl_1", "completion": " Lima", "stop_reason": None, "model": "claude-2.1"}
    )
    assert both_ways(COMPLETE, stream, left=True) == {"response_id": "compl_1", "response_model": "claude-2.1"}


ADVISED = {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2543, "output_tokens": 18}
COMPACTED = {"type": "compaction", "input_tokens": 90, "cache_read_input_tokens": 10, "output_tokens": 7}


@pytest.mark.parametrize("streamed", [False, True])
def test_anthropics_other_runs_of_a_call_are_kept_beside_its_own_counts(streamed: bool):
    usage = {
        "input_tokens": 2411,
        "output_tokens": 145,
        "iterations": [{"type": "message", "input_tokens": 2411, "output_tokens": 145}, ADVISED, COMPACTED],
    }
    message = {"id": "msg_1", "model": "claude-sonnet-4-6", "stop_reason": "end_turn", "usage": usage}
    stream = sse(
        {"type": "message_start", "message": {**message, "usage": {"input_tokens": 9, "output_tokens": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    )
    call = played(MESSAGES, stream if streamed else message)
    assert call.usage == Usage(input=2411, output=145)
    assert call.besides == [
        Besides(Usage(input=2543, output=18), "claude-opus-4-8"),
        Besides(Usage(input=100, output=7, cache_read=10)),
    ]
