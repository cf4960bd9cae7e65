"""IBM watsonx.ai: `POST …/ml/v1/text/chat` and `…/text/generation`, and both with `_stream`, which asks for SSE.

Chat speaks OpenAI's format, but for the model's name. Generation has one of its own: in a stream the first event
counts the input, every event counts the output so far, and the last names the reason why it stopped.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.decode import Count, Integer, Reader, Real, loads
from llmtrace_otel.wire.errors import set_error
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.openai_chat import OPENAI_CHAT, ChatRequest, set_request

_UNFINISHED = "not_finished"


class WatsonxChatRequest(ChatRequest):
    model_id: str | None = None

    def fits(self) -> bool:
        return self.model_id is not None and bytes(self.messages)[:1] == b"["


class Parameters(Struct):
    max_new_tokens: Count | None = None
    temperature: Real | None = None
    top_k: Integer | None = None
    top_p: Real | None = None
    random_seed: Integer | None = None
    stop_sequences: list[str] | None = None


class GenerationRequest(Struct):
    model_id: str | None = None
    parameters: Parameters | None = None
    input: Raw = Raw()

    def fits(self) -> bool:
        return self.model_id is not None and bytes(self.input)[:1] == b'"'

    def write(self, call: Call) -> None:
        if isinstance(prompt := loads(self.input), str):
            call.input_messages = [parts.message("user", [parts.text(prompt)])]


class Result(Struct):
    generated_text: str = ""
    generated_token_count: Count | None = None
    input_token_count: Count | None = None
    stop_reason: str | None = None


class Generation(Struct):
    """A whole answer, or an event of a stream."""

    model_id: str | None = None
    results: list[Result] | None = None
    errors: Raw = Raw()


_read_chat = Reader(WatsonxChatRequest)
_read_request = Reader(GenerationRequest)
_read_generation = Reader(Generation)


def read_chat_request(body: bytes, call: Call) -> WatsonxChatRequest | None:
    request = _read_chat(body)
    if request is not None:
        request.model = request.model_id
        set_request(request, call)
    return request


def read_request(body: bytes, call: Call) -> GenerationRequest | None:
    request = _read_request(body)
    if request is None:
        return None
    call.request_model = request.model_id or call.request_model
    if (asked := request.parameters) is not None:
        call.max_tokens = asked.max_new_tokens
        call.temperature = asked.temperature
        call.top_k = asked.top_k
        call.top_p = asked.top_p
        call.seed = asked.random_seed
        call.stop_sequences = asked.stop_sequences
    return request


def read_response(body: bytes, call: Call) -> None:
    generation = _read_generation(body)
    if generation is None:
        return
    call.complete = True
    stream = GenerationStream(call)
    stream.add(generation)
    stream.close()


class GenerationStream:
    """Reads the events of a generation, of which a whole answer is the only one."""

    last = True
    marks: tuple[bytes, ...] = (b'"errors"',)

    def __init__(self, call: Call) -> None:
        self.every = True
        self._call = call
        self._text: list[str] = []

    def event(self, data: bytes) -> None:
        if (generation := _read_generation(data)) is not None:
            self.add(generation)

    def add(self, generation: Generation) -> None:
        call = self._call
        call.response_model = call.response_model or generation.model_id or None
        if errors := parts.items(loads(generation.errors)):
            set_error(errors[0], call)
        for result in generation.results or ():
            self._count(result)
            if call.capture:
                self._text.append(result.generated_text)
            if result.stop_reason and result.stop_reason != _UNFINISHED:
                call.finish_reasons = [result.stop_reason]
                call.complete = True
        self.every = call.capture or call.usage is None or not call.response_model  # the last one counts them all

    def close(self) -> None:
        call = self._call
        if call.capture:
            call.output_messages = [parts.spoken(self._text, call.finish_reasons)]

    def _count(self, result: Result) -> None:
        if result.input_token_count is None and result.generated_token_count is None:
            return
        usage = self._call.usage or Usage()
        usage.input = result.input_token_count or usage.input or result.input_token_count  # later events say 0
        usage.output = usage.output if result.generated_token_count is None else result.generated_token_count
        self._call.usage = usage


WATSONX_CHAT = OPENAI_CHAT._replace(name="watsonx.chat", provider="ibm.watsonx.ai", read_request=read_chat_request)
WATSONX_CHAT_STREAM = WATSONX_CHAT._replace(name="watsonx.chat_stream", streams=True)
WATSONX_GENERATION = Format(
    "watsonx.generation", "text_completion", "ibm.watsonx.ai", read_request, read_response, GenerationStream
)
WATSONX_GENERATION_STREAM = WATSONX_GENERATION._replace(name="watsonx.generation_stream", streams=True)
