"""Gemini's embeddings: `…:embedContent` of one text, `…:batchEmbedContents` of several. The vectors are never read.

Newer models count tokens, the older ones do not.
"""

from __future__ import annotations

from msgspec import Raw, Struct, field

from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.decode import Count, Reader
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.gemini import GenerateStream


class EmbedRequest(Struct):
    output_dimensionality: Count | None = None
    camel_output_dimensionality: Count | None = field(default=None, name="outputDimensionality")
    content: Raw = Raw()

    @property
    def dimensions(self) -> int | None:
        return self.camel_output_dimensionality or self.output_dimensionality


class EmbeddingsRequest(EmbedRequest):
    """One request, or the wrapper around several."""

    model: str | None = None
    requests: list[EmbedRequest] | None = None
    config: EmbedRequest | None = field(default=None, name="embedContentConfig")

    def fits(self) -> bool:
        return bytes(self.content)[:1] == b"{" or any(bytes(one.content)[:1] == b"{" for one in self.requests or ())

    def write(self, call: Call) -> None:
        """The conventions give embeddings no messages."""


class UsageMetadata(Struct, rename="camel"):
    prompt_token_count: Count | None = None


class EmbeddingsResponse(Struct, rename="camel"):
    usage_metadata: UsageMetadata | None = None


_read_request = Reader(EmbeddingsRequest)
_read_response = Reader(EmbeddingsResponse)


def read_request(body: bytes, call: Call) -> EmbeddingsRequest | None:
    request = _read_request(body)
    if request is not None:
        asked = (request, request.config, *(request.requests or ()))
        call.dimensions = next((one.dimensions for one in asked if one is not None and one.dimensions), None)
    return request


def read_response(body: bytes, call: Call) -> None:
    response = _read_response(body)
    if response is None:
        return
    call.complete = True
    stated = response.usage_metadata
    if stated is not None and stated.prompt_token_count is not None:
        call.usage = Usage(input=stated.prompt_token_count)


GEMINI_EMBEDDINGS = Format("gemini.embeddings", "embeddings", "gcp.gemini", read_request, read_response, GenerateStream)
