"""The bodies that only Bedrock's vendors have: a prompt or texts to embed in, a text out, and choices with other names.

One vendor's words do not collide with another's, so one struct holds them all: those of Amazon Titan and Nova, Meta
Llama, Mistral, AI21, DeepSeek and Cohere. A stream's chunk is an answer that holds a piece.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, field

from llmtrace_otel.wire import cohere_chat, cohere_embeddings, cohere_v1, openai_chat, parts
from llmtrace_otel.wire.bedrock_converse import first
from llmtrace_otel.wire.call import Call, Message, Usage
from llmtrace_otel.wire.decode import Count, Integer, Reader, Real, loads

_FINISH_REASONS = {"FINISH": "stop", "LENGTH": "length", "endoftext": "stop", "CONTENT_FILTERED": "content_filter"}
"""Titan's and AI21's reasons in the conventions' words."""


class TitanConfig(Struct, rename="camel"):
    max_token_count: Count | None = None
    temperature: Real | None = None
    top_p: Real | None = None
    stop_sequences: list[str] | None = None


class TextRequest(cohere_v1.V1Request):
    """A prompt, in the words of Cohere, Meta (`max_gen_len`), Mistral and DeepSeek (`stop`), AI21 and Amazon Titan."""

    top_k: Integer | None = None
    top_p: Real | None = None
    stop: list[str] | None = None
    max_gen_len: Count | None = None
    ai21_max_tokens: Count | None = field(name="maxTokens", default=None)
    ai21_top_p: Real | None = field(name="topP", default=None)
    ai21_stop: list[str] | None = field(name="stopSequences", default=None)
    ai21_results: Count | None = field(name="numResults", default=None)
    titan: TitanConfig = field(name="textGenerationConfig", default_factory=TitanConfig)
    titan_prompt: Raw = field(name="inputText", default=Raw())

    def write(self, call: Call) -> None:
        self.prompt = self.prompt if bytes(self.prompt) else self.titan_prompt
        super().write(call)


class EmbeddingConfig(Struct, rename="camel"):
    output_embedding_length: Count | None = None
    embedding_dimension: Count | None = None


class EmbedRequest(cohere_embeddings.EmbedRequest):
    """Texts or images, in the words of Cohere, Amazon Titan and Amazon Nova."""

    dimensions: Count | None = None
    titan_types: list[str] | None = field(name="embeddingTypes", default=None)
    titan: EmbeddingConfig = field(name="embeddingConfig", default_factory=EmbeddingConfig)
    nova: EmbeddingConfig = field(name="singleEmbeddingParams", default_factory=EmbeddingConfig)


_read_text = Reader(TextRequest)
_read_embed = Reader(EmbedRequest)


def read_text_request(body: bytes, call: Call) -> TextRequest | None:
    request = _read_text(body)
    if request is not None:
        _set_text_request(request, request.titan, call)
    return request


def _set_text_request(request: TextRequest, titan: TitanConfig, call: Call) -> None:
    cohere_chat.set_sampling(request, call)
    choices = first(request.num_generations, request.ai21_results)
    call.choice_count = choices if choices != 1 else None
    call.top_k = first(request.k, request.top_k)
    call.temperature = first(request.temperature, titan.temperature)
    call.top_p = first(request.p, request.top_p, request.ai21_top_p, titan.top_p)
    call.max_tokens = first(request.max_tokens, request.max_gen_len, request.ai21_max_tokens, titan.max_token_count)
    call.stop_sequences = first(request.stop_sequences, request.stop, request.ai21_stop, titan.stop_sequences)


def read_embed_request(body: bytes, call: Call) -> EmbedRequest | None:
    request = _read_embed(body)
    if request is not None:
        call.encoding_formats = request.embedding_types or request.titan_types or None
        call.dimensions = first(
            request.output_dimension,
            request.dimensions,
            request.titan.output_embedding_length,
            request.nova.embedding_dimension,
        )
    return request


class AI21Text(Struct):
    text: str | None = None


class AI21Reason(Struct):
    reason: str | None = None


class Text(Struct):
    """One text of an answer, or a piece of it."""

    mistral_text: str | None = field(name="text", default=None)
    llama_text: str | None = field(name="generation", default=None)
    titan_text: str | None = field(name="outputText", default=None)
    ai21_text: AI21Text = field(name="data", default_factory=AI21Text)
    stop_reason: str | None = None
    titan_reason: str | None = field(name="completionReason", default=None)
    ai21_reason: AI21Reason = field(name="finishReason", default_factory=AI21Reason)
    token_count: Count | None = field(name="tokenCount", default=None)

    @property
    def text(self) -> str | None:
        return first(self.mistral_text, self.llama_text, self.titan_text, self.ai21_text.text)

    @property
    def reason(self) -> str | None:
        return self.stop_reason or self.titan_reason or self.ai21_reason.reason or None


class TextAnswer(Text):
    """An answer, or a chunk of a stream. It is a text itself where it has no list of them."""

    results: list[Text] | None = None
    outputs: list[Text] | None = None
    completions: list[Text] | None = None
    prompt_token_count: Count | None = None
    generation_token_count: Count | None = None
    input_text_token_count: Count | None = field(name="inputTextTokenCount", default=None)
    total_output_text_token_count: Count | None = field(name="totalOutputTextTokenCount", default=None)

    @property
    def texts(self) -> list[Text]:
        return first(self.results, self.outputs, self.completions) or [self]

    def count(self, call: Call) -> None:
        """Puts what is counted on the call; a stream counts its input in the first chunk only."""
        prompt = first(self.prompt_token_count, self.input_text_token_count)
        output = first(self.generation_token_count, self.total_output_text_token_count, self._sum())
        if prompt is not None or output is not None:
            usage = call.usage = call.usage or Usage()
            usage.input = first(prompt, usage.input)
            usage.output = first(output, usage.output)

    def _sum(self) -> int | None:
        given = [text.token_count for text in self.results or () if text.token_count is not None]
        return sum(given) if given and sum(given) < 2**63 else None


_read_answer = Reader(TextAnswer)


def read_text(body: bytes, call: Call) -> None:
    answer = _read_answer(body)
    if answer is None:
        return
    call.complete = True
    answer.count(call)
    if call.operation == "embeddings":
        return
    call.finish_reasons = [text.reason for text in answer.texts if text.reason] or None
    if call.capture:
        call.output_messages = [_output(text.text, text.reason) for text in answer.texts]


def _output(text: str | None, reason: str | None) -> Message:
    return parts.output([parts.text(text)] if text else [], _FINISH_REASONS.get(reason or "", reason))


class TextStream:
    """Reads the chunks of one streamed text, or of several."""

    last = False
    every = True
    marks: tuple[bytes, ...] = ()

    def __init__(self, call: Call) -> None:
        self._call = call
        self._pieces: dict[int, list[str]] = {}
        self._reasons: dict[int, str] = {}

    def event(self, data: bytes) -> None:
        chunk = _read_answer(data)
        if chunk is None:
            return
        chunk.count(self._call)
        for index, text in enumerate(chunk.texts):
            if text.reason:
                self._reasons[index] = text.reason
            if self._call.capture and text.text:
                self._pieces.setdefault(index, []).append(text.text)

    def close(self) -> None:
        call, reasons = self._call, self._reasons
        if reasons:
            call.complete = True
            call.finish_reasons = [reasons[index] for index in sorted(reasons)]
        if call.capture:
            call.output_messages = [
                _output("".join(self._pieces.get(index, ())), reasons.get(index))
                for index in sorted(self._pieces.keys() | reasons.keys())
            ]


def _as_openai(data: bytes) -> bytes:
    """Choices that have a `stop_reason`, and a `message` even in a stream, in OpenAI's words."""
    document = loads(data)
    if not isinstance(document, dict):
        return data
    for choice in parts.items(document.get("choices")):
        choice["finish_reason"] = choice.get("finish_reason") or choice.get("stop_reason")
        choice.setdefault("delta", choice.get("message"))
    return msgspec.json.encode(document)


def read_choices(body: bytes, call: Call) -> None:
    openai_chat.read_response(_as_openai(body), call)


class ChoicesStream(openai_chat.ChatStream):
    """Reads the chunks of one streamed chat in OpenAI's shape."""

    marks = (*openai_chat.ChatStream.marks, b'"stop_reason":"', b'"stop_reason": "')

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.lines = None  # each event is put into that shape first

    def event(self, data: bytes) -> None:
        super().event(_as_openai(data))
