"""The llama.cpp server's own endpoints: `POST /completion`, `/infill` and `/embedding`, JSON and SSE.

A completion's last event, or its only one, has everything: `tokens_evaluated` (all of the prompt, cached tokens too),
`tokens_predicted`, `timings` and why it stopped. Its OpenAI-compatible endpoints are read as those. Source: the
server's README.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.decode import Count, Integer, Reader, Real, loads
from llmtrace_otel.wire.errors import set_error
from llmtrace_otel.wire.formats import Format


class CompletionRequest(Struct):
    model: str | None = None
    stream: bool | None = None
    n_predict: Integer | None = None
    temperature: Real | None = None
    top_k: Integer | None = None
    top_p: Real | None = None
    seed: Integer | None = None
    stop: list[str] | None = None
    frequency_penalty: Real | None = None
    presence_penalty: Real | None = None
    prompt: Raw = Raw()
    input_prefix: Raw = Raw()

    def fits(self) -> bool:
        return bool(bytes(self.prompt) or bytes(self.input_prefix))

    def write(self, call: Call) -> None:
        prompt = loads(self.prompt)
        if isinstance(prompt, str):
            call.input_messages = [parts.message("user", [parts.text(prompt)])]


class Timings(Struct):
    cache_n: Count | None = None


class Completion(Struct):
    """A whole answer, or an event of a stream."""

    model: str | None = None
    content: str = ""
    stop: bool | None = None
    stop_type: str | None = None
    tokens_evaluated: Count | None = None
    tokens_predicted: Count | None = None
    timings: Timings | None = None
    error: Raw = Raw()


class EmbeddingRequest(Struct):
    content: Raw = Raw()

    def fits(self) -> bool:
        return bytes(self.content)[:1] in (b'"', b"[")

    def write(self, call: Call) -> None:
        """The conventions give embeddings no messages."""


_read_request = Reader(CompletionRequest)
_read_completion = Reader(Completion)
_read_embedding_request = Reader(EmbeddingRequest)


def read_request(body: bytes, call: Call) -> CompletionRequest | None:
    request = _read_request(body)
    if request is None:
        return None
    call.request_model = request.model
    call.stream = request.stream or None
    call.max_tokens = request.n_predict if (request.n_predict or 0) > 0 else None  # -1: without end
    call.temperature = request.temperature
    call.top_k = request.top_k
    call.top_p = request.top_p
    call.seed = request.seed if (request.seed or 0) >= 0 else None  # -1: any
    call.stop_sequences = request.stop or None
    call.frequency_penalty = request.frequency_penalty
    call.presence_penalty = request.presence_penalty
    return request


def read_response(body: bytes, call: Call) -> None:
    stream = CompletionStream(call)
    stream.event(body)
    stream.close()


class CompletionStream:
    """Reads the events of a completion, of which a whole answer is the only one."""

    last = True
    marks: tuple[bytes, ...] = (b'"error"', b'"stop":true', b'"stop": true')

    def __init__(self, call: Call) -> None:
        self.every = call.capture
        self._call = call
        self._text: list[str] = []

    def event(self, data: bytes) -> None:
        call, completion = self._call, _read_completion(data)
        if completion is None:
            return
        if bytes(completion.error):
            set_error(loads(completion.error), call)
        call.response_model = completion.model or call.response_model
        if call.capture:
            self._text.append(completion.content)
        if completion.stop:
            call.complete = True
            call.finish_reasons = [completion.stop_type] if completion.stop_type else None
            self._count(completion)

    def close(self) -> None:
        call = self._call
        if call.capture:
            call.output_messages = [parts.spoken(self._text, call.finish_reasons)]

    def _count(self, completion: Completion) -> None:
        if completion.tokens_evaluated is None and completion.tokens_predicted is None:
            return
        self._call.usage = Usage(
            input=completion.tokens_evaluated,
            output=completion.tokens_predicted,
            cache_read=completion.timings.cache_n if completion.timings else None,
        )


def read_embedding_request(body: bytes, call: Call) -> EmbeddingRequest | None:
    return _read_embedding_request(body)


def read_embedding(body: bytes, call: Call) -> None:
    """The answer counts nothing and names nothing: it is only known to be there."""
    call.complete = loads(body) is not None


LLAMACPP_COMPLETION = Format(
    "llamacpp.completion", "text_completion", "llamacpp", read_request, read_response, CompletionStream
)
LLAMACPP_EMBEDDINGS = Format(
    "llamacpp.embeddings", "embeddings", "llamacpp", read_embedding_request, read_embedding, CompletionStream
)
