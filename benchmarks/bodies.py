"""A request and its answer in each wire format, whole and in 200 chunks, for the benchmark's row per format."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

CHUNKS = 200
TEXT = "It is sunny in Paris. " * 20
PROMPT = "What is the weather in Paris, and what should I wear? " * 12


class Exchanged(NamedTuple):
    """Where a request goes, its body, and the pieces of the answer as they come over the wire."""

    url: str
    request: dict[str, Any]
    pieces: list[bytes]
    content_type: str = "application/json"


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _sse(events: Iterable[Any]) -> list[bytes]:
    return [b"data: " + _json(event) + b"\n\n" for event in events]


def _named_sse(events: Iterable[dict[str, Any]]) -> list[bytes]:
    return [b"event: " + event["type"].encode() + b"\ndata: " + _json(event) + b"\n\n" for event in events]


def _lines(events: Iterable[Any]) -> list[bytes]:
    return [_json(event) + b"\n" for event in events]


def _array(events: Iterable[Any]) -> list[bytes]:
    pieces = [json.dumps(event, indent=2).encode() for event in events]
    return [b"[" + pieces[0], *(b"\n,\r\n" + piece for piece in pieces[1:]), b"]\n"]


def frame(kind: str, payload: Any) -> bytes:
    """One frame of AWS's event stream."""
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event"))
    )
    body = _json(payload)
    prelude = struct.pack(">II", len(headers) + len(body) + 16, len(headers))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


def _words(chunks: int) -> list[str]:
    return [f" word{number}" for number in range(chunks)]


QUESTION = [{"role": "user", "content": PROMPT}]


# --- OpenAI and its relatives ----------------------------------------------------------------------------------------

_CHAT = {"model": "gpt-5-mini", "messages": QUESTION}
_CHAT_USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 200,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 16},
}
_CHAT_HEAD = {"id": "chatcmpl-1", "model": "gpt-5-mini-2025-08-07", "service_tier": "default", "created": 1790000000}


def _chat() -> Exchanged:
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    answer = {**_CHAT_HEAD, "choices": [choice], "usage": _CHAT_USAGE}
    return Exchanged("https://api.openai.com/v1/chat/completions", _CHAT, [_json(answer)])


def _chat_stream(chunks: int = CHUNKS) -> Exchanged:
    events: list[Any] = [
        {**_CHAT_HEAD, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}], "usage": None}
        for word in _words(chunks)
    ]
    events.append({**_CHAT_HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None})
    events.append({**_CHAT_HEAD, "choices": [], "usage": _CHAT_USAGE})
    pieces = [*_sse(events), b"data: [DONE]\n\n"]
    return Exchanged(
        "https://api.openai.com/v1/chat/completions", {**_CHAT, "stream": True}, pieces, "text/event-stream"
    )


_RESPONSES = {"model": "gpt-5-mini", "input": PROMPT}
_RESPONSE = {
    "id": "resp_1",
    "model": "gpt-5-mini-2025-08-07",
    "status": "completed",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": TEXT}]}],
    "usage": {"input_tokens": 120, "input_tokens_details": {"cached_tokens": 64}, "output_tokens": 200},
}


def _responses() -> Exchanged:
    return Exchanged("https://api.openai.com/v1/responses", _RESPONSES, [_json(_RESPONSE)])


def _responses_stream(chunks: int = CHUNKS) -> Exchanged:
    deltas = [
        {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": word}
        for word in _words(chunks)
    ]
    created = {"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": []}}
    events = [created, *deltas, {"type": "response.completed", "response": _RESPONSE}]
    request = {**_RESPONSES, "stream": True}
    return Exchanged("https://api.openai.com/v1/responses", request, _named_sse(events), "text/event-stream")


def _completions() -> Exchanged:
    answer = {**_CHAT_HEAD, "choices": [{"index": 0, "text": TEXT, "finish_reason": "stop"}], "usage": _CHAT_USAGE}
    request = {"model": "gpt-3.5-turbo-instruct", "prompt": PROMPT}
    return Exchanged("https://api.openai.com/v1/completions", request, [_json(answer)])


def _embeddings() -> Exchanged:
    vector = [0.0123 * number for number in range(256)]
    answer = {"data": [{"embedding": vector}], "model": "text-embedding-3-small", "usage": {"prompt_tokens": 120}}
    request = {"model": "text-embedding-3-small", "input": PROMPT}
    return Exchanged("https://api.openai.com/v1/embeddings", request, [_json(answer)])


# --- Anthropic -------------------------------------------------------------------------------------------------------

_CLAUDE = {"model": "claude-sonnet-4-5", "max_tokens": 1024, "messages": QUESTION}
_CLAUDE_USAGE = {
    "input_tokens": 56,
    "cache_read_input_tokens": 64,
    "cache_creation_input_tokens": 0,
    "output_tokens": 200,
}
_CLAUDE_MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929"}


def _anthropic_answer() -> dict[str, Any]:
    content = [{"type": "text", "text": TEXT}]
    return {**_CLAUDE_MESSAGE, "content": content, "stop_reason": "end_turn", "usage": _CLAUDE_USAGE}


def _anthropic_events(chunks: int) -> list[dict[str, Any]]:
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        for word in _words(chunks)
    ]
    return [
        {
            "type": "message_start",
            "message": {**_CLAUDE_MESSAGE, "content": [], "usage": _CLAUDE_USAGE | {"output_tokens": 1}},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 200}},
        {"type": "message_stop"},
    ]


def _anthropic() -> Exchanged:
    return Exchanged("https://api.anthropic.com/v1/messages", _CLAUDE, [_json(_anthropic_answer())])


def _anthropic_stream(chunks: int = CHUNKS) -> Exchanged:
    request = {**_CLAUDE, "stream": True}
    pieces = _named_sse(_anthropic_events(chunks))
    return Exchanged("https://api.anthropic.com/v1/messages", request, pieces, "text/event-stream")


# --- Google ----------------------------------------------------------------------------------------------------------

_GEMINI = {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}], "generationConfig": {"temperature": 0.5}}
_GEMINI_URL = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"


def _gemini_event(text: str, outputs: int, reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    usage = {
        "promptTokenCount": 120,
        "candidatesTokenCount": outputs,
        "totalTokenCount": 136 + outputs,
        "thoughtsTokenCount": 16,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 120}],
    }
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r1"}


def _gemini_events(chunks: int) -> list[dict[str, Any]]:
    return [*(_gemini_event(word, n) for n, word in enumerate(_words(chunks))), _gemini_event("", chunks, "STOP")]


def _gemini() -> Exchanged:
    return Exchanged(f"{_GEMINI_URL}:generateContent", _GEMINI, [_json(_gemini_event(TEXT, 200, "STOP"))])


def _gemini_stream(chunks: int = CHUNKS) -> Exchanged:
    pieces = [piece.replace(b"\n", b"\r\n") for piece in _sse(_gemini_events(chunks))]
    return Exchanged(f"{_GEMINI_URL}:streamGenerateContent?alt=sse", _GEMINI, pieces, "text/event-stream")


def _gemini_array(chunks: int = CHUNKS) -> Exchanged:
    return Exchanged(f"{_GEMINI_URL}:streamGenerateContent", _GEMINI, _array(_gemini_events(chunks)))


# --- Amazon Bedrock --------------------------------------------------------------------------------------------------

_BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model"
_EVENTS = "application/vnd.amazon.eventstream"
_CONVERSE = {"messages": [{"role": "user", "content": [{"text": PROMPT}]}], "inferenceConfig": {"maxTokens": 512}}
_CONVERSE_USAGE = {"inputTokens": 120, "outputTokens": 200, "totalTokens": 320}


def _converse() -> Exchanged:
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": TEXT}]}},
        "stopReason": "end_turn",
        "usage": _CONVERSE_USAGE,
        "metrics": {"latencyMs": 900},
    }
    return Exchanged(f"{_BEDROCK}/amazon.nova-lite-v1:0/converse", _CONVERSE, [_json(answer)])


def _converse_stream(chunks: int = CHUNKS) -> Exchanged:
    pieces = [
        frame("messageStart", {"role": "assistant", "p": "abcd"}),
        *(
            frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}, "p": "abc"})
            for word in _words(chunks)
        ),
        frame("contentBlockStop", {"contentBlockIndex": 0, "p": "ab"}),
        frame("messageStop", {"stopReason": "end_turn", "p": "abcde"}),
        frame("metadata", {"usage": _CONVERSE_USAGE, "metrics": {"latencyMs": 900}, "p": "a"}),
    ]
    return Exchanged(f"{_BEDROCK}/amazon.nova-lite-v1:0/converse-stream", _CONVERSE, pieces, _EVENTS)


_INVOKE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1024, "messages": QUESTION}
_INVOKE_URL = f"{_BEDROCK}/us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def _invoke() -> Exchanged:
    return Exchanged(f"{_INVOKE_URL}/invoke", _INVOKE, [_json(_anthropic_answer())])


def _invoke_stream(chunks: int = CHUNKS) -> Exchanged:
    pieces = [
        frame("chunk", {"bytes": base64.b64encode(_json(event)).decode(), "p": "abcdef"})
        for event in _anthropic_events(chunks)
    ]
    return Exchanged(f"{_INVOKE_URL}/invoke-with-response-stream", _INVOKE, pieces, _EVENTS)


# --- Cohere, Ollama, watsonx -----------------------------------------------------------------------------------------

_COHERE = {"model": "command-a-03-2025", "messages": QUESTION}
_BILLED = {"billed_units": {"input_tokens": 120.0, "output_tokens": 200.0}, "tokens": {"input_tokens": 160.0}}


def _cohere() -> Exchanged:
    message = {"role": "assistant", "content": [{"type": "text", "text": TEXT}]}
    answer = {"id": "c1", "message": message, "finish_reason": "COMPLETE", "usage": _BILLED}
    return Exchanged("https://api.cohere.com/v2/chat", _COHERE, [_json(answer)])


def _cohere_stream(chunks: int = CHUNKS) -> Exchanged:
    deltas = [
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": word}}}}
        for word in _words(chunks)
    ]
    events = [
        {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant"}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        *deltas,
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": _BILLED}},
    ]
    request = {**_COHERE, "stream": True}
    return Exchanged("https://api.cohere.com/v2/chat", request, _named_sse(events), "text/event-stream")


def _cohere_v1_stream(chunks: int = CHUNKS) -> Exchanged:
    words = [{"is_finished": False, "event_type": "text-generation", "text": word} for word in _words(chunks)]
    ended = {"response_id": "r1", "generation_id": "g1", "text": TEXT, "meta": _BILLED, "finish_reason": "COMPLETE"}
    events = [
        {"is_finished": False, "event_type": "stream-start", "generation_id": "g1"},
        *words,
        {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": ended},
    ]
    request = {"model": "command-r-08-2024", "message": PROMPT, "stream": True}
    return Exchanged("https://api.cohere.com/v1/chat", request, _lines(events), "application/stream+json")


_OLLAMA_END = {"done": True, "done_reason": "stop", "prompt_eval_count": 120, "eval_count": 200, "eval_duration": 9}


def _ollama(word: str) -> dict[str, Any]:
    return {"model": "qwen3", "created_at": "2026-11-01T00:00:00Z", "message": {"role": "assistant", "content": word}}


def _ollama_whole() -> Exchanged:
    request = {"model": "qwen3", "messages": QUESTION, "stream": False}
    return Exchanged("https://ollama.com/api/chat", request, [_json(_ollama(TEXT) | _OLLAMA_END)])


def _ollama_stream(chunks: int = CHUNKS) -> Exchanged:
    events = [*(_ollama(word) | {"done": False} for word in _words(chunks)), _ollama("") | _OLLAMA_END]
    request = {"model": "qwen3", "messages": QUESTION}
    return Exchanged("https://ollama.com/api/chat", request, _lines(events), "application/x-ndjson")


def _watsonx_stream(chunks: int = CHUNKS) -> Exchanged:
    def event(word: str, inputs: int, outputs: int, reason: str) -> dict[str, Any]:
        found = {"generated_text": word, "generated_token_count": outputs, "input_token_count": inputs}
        return {"model_id": "ibm/granite", "results": [found | {"stop_reason": reason}]}

    events = [event("", 120, 0, "not_finished")]
    events += [event(word, 0, n, "not_finished") for n, word in enumerate(_words(chunks))]
    events.append(event("", 0, chunks, "eos_token"))
    url = "https://us-south.ml.cloud.ibm.com/ml/v1/text/generation_stream"
    return Exchanged(url, {"model_id": "ibm/granite", "input": PROMPT}, _sse(events), "text/event-stream")


FORMATS: dict[str, Callable[..., Exchanged]] = {
    "openai-chat": _chat,
    "openai-responses": _responses,
    "openai-completions": _completions,
    "openai-embeddings": _embeddings,
    "anthropic-messages": _anthropic,
    "gemini": _gemini,
    "bedrock-converse": _converse,
    "bedrock-invoke": _invoke,
    "cohere-chat": _cohere,
    "ollama-chat": _ollama_whole,
    "openai-chat-stream": _chat_stream,
    "openai-responses-stream": _responses_stream,
    "anthropic-messages-stream": _anthropic_stream,
    "gemini-stream": _gemini_stream,
    "gemini-array-stream": _gemini_array,
    "bedrock-converse-stream": _converse_stream,
    "bedrock-invoke-stream": _invoke_stream,
    "cohere-chat-stream": _cohere_stream,
    "cohere-v1-stream": _cohere_v1_stream,
    "ollama-chat-stream": _ollama_stream,
    "watsonx-generation-stream": _watsonx_stream,
}
"""Makes a call in a format; those that end in `-stream` take the number of chunks, and come in 200 by default."""
