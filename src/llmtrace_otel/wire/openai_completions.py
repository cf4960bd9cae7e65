"""OpenAI legacy completions, JSON and SSE: `POST …/completions`. Chunks are those of chat, with `text` for a delta."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.decode import Count, Integer, Reader, Real, loads
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.openai_chat import ChatStream, read_response, set_sampling


class CompletionRequest(Struct):
    model: str | None = None
    stream: bool | None = None
    n: Count | None = None
    seed: Integer | None = None
    top_k: Integer | None = None
    top_p: Real | None = None
    temperature: Real | None = None
    max_tokens: Count | None = None
    frequency_penalty: Real | None = None
    presence_penalty: Real | None = None
    stop: str | list[str] | None = None
    service_tier: str | None = None
    prompt: Raw = Raw()

    def fits(self) -> bool:
        return self.model is not None and bytes(self.prompt)[:1] in (b'"', b"[")

    def write(self, call: Call) -> None:
        call.input_messages = [parts.message("user", [parts.text(prompt)]) for prompt in _prompts(loads(self.prompt))]


_read_request = Reader(CompletionRequest)


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


OPENAI_COMPLETIONS = Format("openai.completions", "text_completion", "openai", read_request, read_response, ChatStream)
