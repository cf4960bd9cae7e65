"""Cohere embeddings: `POST /v1/embed` and `POST /v2/embed`, JSON only. The vectors are never read."""

from __future__ import annotations

from msgspec import Raw, Struct

from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.cohere_chat import ChatStream, CohereUsage, set_usage
from llmtrace_otel.wire.decode import Count, Reader
from llmtrace_otel.wire.formats import Format


class EmbedRequest(Struct):
    model: str | None = None
    output_dimension: Count | None = None
    embedding_types: list[str] | None = None
    texts: Raw = Raw()
    images: Raw = Raw()
    inputs: Raw = Raw()

    def fits(self) -> bool:
        given = (self.texts, self.images, self.inputs)
        return self.model is not None and any(bytes(items)[:1] == b"[" for items in given)

    def write(self, call: Call) -> None:
        """The conventions give embeddings no messages."""


class EmbedResponse(Struct):
    id: str | None = None
    meta: CohereUsage | None = None


_read_request = Reader(EmbedRequest)
_read_response = Reader(EmbedResponse)


def read_request(body: bytes, call: Call) -> EmbedRequest | None:
    request = _read_request(body)
    if request is not None:
        call.request_model = request.model or call.request_model
        call.dimensions = request.output_dimension
        call.encoding_formats = request.embedding_types or None
    return request


def read_response(body: bytes, call: Call) -> None:
    response = _read_response(body)
    if response is None:
        return
    call.complete = True
    call.response_id = response.id or None
    set_usage(response.meta, call)
    if call.usage is not None:
        call.usage.output = None  # an embedding has no output tokens


COHERE_EMBEDDINGS = Format("cohere.embeddings", "embeddings", "cohere", read_request, read_response, ChatStream)
