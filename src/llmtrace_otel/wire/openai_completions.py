"""OpenAI legacy completions, JSON and SSE: `POST …/completions`. Chunks are those of chat, with `text` for a delta."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.decode import Reader, loads
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.openai_chat import ChatStream, read_response, set_sampling


class CompletionRequest(Struct):
    model: str | None = None
    stream: bool | None = None
    n: int | None = None
    seed: int | None = None
    top_k: int | None = None
    top_p: float | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: str | list[str] | None = None
    service_tier: str | None = None
    prompt: Raw = Raw()

    def write(self, call: Call) -> None:
        call.input_messages = [parts.message("user", [parts.text(prompt)]) for prompt in _prompts(loads(self.prompt))]


class Shape(Struct):
    model: Raw = Raw()
    prompt: Raw = Raw()


_read_request = Reader(CompletionRequest)
_read_shape = Reader(Shape)


def fits(body: bytes) -> bool:
    shape = _read_shape(body)
    return shape is not None and bytes(shape.prompt)[:1] in (b'"', b"[") and bytes(shape.model)[:1] == b'"'


def read_request(body: bytes, call: Call) -> CompletionRequest | None:
    request = _read_request(body)
    if request is not None:
        set_sampling(request, call)
        call.max_tokens = request.max_tokens
    return request


def _prompts(prompt: Any) -> list[Any]:
    if isinstance(prompt, list) and prompt and all(isinstance(item, str | list) for item in prompt):
        return prompt
    return [prompt]


OPENAI_COMPLETIONS = Format(
    "openai.completions", "text_completion", "openai", fits, read_request, read_response, ChatStream
)
