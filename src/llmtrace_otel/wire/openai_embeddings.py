"""OpenAI embeddings: `POST …/embeddings`, JSON only. The vectors are never read.

Voyage states its tokens as `total_tokens` alone; all tokens of an embedding are input.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.decode import Count, Reader
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.openai_chat import ChatStream
from llmtrace_otel.wire.openai_usage import OpenAIUsage, set_usage


class EmbeddingsRequest(Struct):
    model: str | None = None
    dimensions: Count | None = None
    output_dimension: Count | None = None
    """What Voyage and Mistral call it."""
    encoding_format: str | None = None
    input: Raw = Raw()

    def fits(self) -> bool:
        return self.model is not None and bytes(self.input)[:1] in (b'"', b"[")

    def write(self, call: Call) -> None:
        """The conventions give embeddings no messages."""


class EmbeddingsResponse(Struct):
    id: str | None = None
    model: str | None = None
    usage: OpenAIUsage | None = None


_read_request = Reader(EmbeddingsRequest)
_read_response = Reader(EmbeddingsResponse)


def read_request(body: bytes, call: Call) -> EmbeddingsRequest | None:
    request = _read_request(body)
    if request is not None:
        request.model = call.request_model = request.model or call.request_model
        call.dimensions = request.dimensions or request.output_dimension
        call.encoding_formats = [request.encoding_format] if request.encoding_format else None
    return request


def read_response(body: bytes, call: Call) -> None:
    response = _read_response(body)
    if response is None:
        return
    call.complete = True
    call.response_id = response.id or None
    call.response_model = response.model or None
    set_usage(response.usage, call)
    if call.usage is None and response.usage is not None and response.usage.total_tokens is not None:
        call.usage = Usage(input=response.usage.total_tokens)
    if call.usage is not None:
        call.usage.output = None  # an embedding has no output tokens, though some vendors state a zero


OPENAI_EMBEDDINGS = Format("openai.embeddings", "embeddings", "openai", read_request, read_response, ChatStream)
