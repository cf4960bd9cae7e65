"""Ollama's own API: `POST /api/chat`, `/api/generate` as JSON lines or JSON, `/api/embed`, `/api/embeddings` as JSON.

A request that does not say `"stream": false` streams. Each line repeats the model; the last one has `done`, why, and
the tokens. Their names count what was evaluated: a prompt that is still in memory may have no `prompt_eval_count`,
which is then not known. Tool calls arrive whole. An error is `{"error": "…"}`, also as a line of a stream that began
well. Sampling is under `options`, images are bare base64.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Message, Usage
from llmtrace_otel.wire.decode import Count, Integer, Reader, Real, loads
from llmtrace_otel.wire.errors import set_error
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.framing import NDJSON
from llmtrace_otel.wire.openai_chat import message_parts, tool_definitions


class Options(Struct):
    seed: Integer | None = None
    top_k: Integer | None = None
    top_p: Real | None = None
    temperature: Real | None = None
    num_predict: Integer | None = None
    frequency_penalty: Real | None = None
    presence_penalty: Real | None = None
    stop: str | list[str] | None = None


class OllamaRequest(Struct):
    """A request of chat, which has messages, or of generate, which has a prompt."""

    model: str | None = None
    stream: bool | None = None
    think: bool | str | None = None
    options: Options | None = None
    format: Raw = Raw()
    messages: Raw = Raw()
    tools: Raw = Raw()
    system: Raw = Raw()
    prompt: Raw = Raw()
    images: Raw = Raw()

    def fits(self) -> bool:
        return self.model is not None and (bytes(self.messages)[:1] == b"[" or bytes(self.prompt)[:1] == b'"')

    def write(self, call: Call) -> None:
        system = loads(self.system)
        call.system_instructions = [parts.text(system)] if isinstance(system, str) and system else None
        call.input_messages = parts.each(loads(self.messages), _input_message)
        if isinstance(prompt := loads(self.prompt), str):
            asked = _parts({"content": prompt, "images": loads(self.images)})
            call.input_messages.append(parts.message("user", asked))
        call.tool_definitions = tool_definitions(loads(self.tools)) or None


class EmbedRequest(Struct):
    model: str | None = None
    dimensions: Count | None = None
    input: Raw = Raw()
    prompt: Raw = Raw()

    def fits(self) -> bool:
        return self.model is not None and (bytes(self.input)[:1] in (b'"', b"[") or bytes(self.prompt)[:1] == b'"')

    def write(self, call: Call) -> None:
        """The conventions give embeddings no messages."""


class Line(Struct):
    """An answer, or a line of one, with content off."""

    model: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: Count | None = None
    eval_count: Count | None = None
    error: Raw = Raw()


class Piece(Struct):
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[dict[str, Any]] | None = None


class FullLine(Line):
    """The same with content on: a chat has a message, a generation its parts."""

    message: Piece | None = None
    response: str | None = None
    thinking: str | None = None
    image: str | None = None


_read_request = Reader(OllamaRequest)
_read_embed_request = Reader(EmbedRequest)
_read_line = Reader(Line)
_read_full_line = Reader(FullLine)


def read_request(body: bytes, call: Call) -> OllamaRequest | None:
    request = _read_request(body)
    if request is None:
        return None
    call.request_model = request.model or call.request_model
    call.stream = None if request.stream is False else True
    call.reasoning_level = request.think if isinstance(request.think, str) else None
    shape = bytes(request.format)
    call.output_type = "json" if shape == b'"json"' or shape[:1] == b"{" else None
    if request.options is not None:
        _set_options(request.options, call)
    return request


def _set_options(options: Options, call: Call) -> None:
    call.seed = options.seed
    call.top_k = options.top_k
    call.top_p = options.top_p
    call.temperature = options.temperature
    call.frequency_penalty = options.frequency_penalty
    call.presence_penalty = options.presence_penalty
    call.stop_sequences = [options.stop] if isinstance(options.stop, str) else options.stop
    if options.num_predict is not None and options.num_predict > 0:  # below zero there is no limit
        call.max_tokens = options.num_predict


def read_response(body: bytes, call: Call) -> None:
    line = (_read_full_line if call.capture else _read_line)(body)
    if line is None:
        return
    _read(line, call)
    call.complete = True
    if isinstance(line, FullLine):
        answer = _Answer()
        answer.add(line)
        call.output_messages = answer.messages(call)


def _read(line: Line, call: Call) -> None:
    call.response_model = call.response_model or line.model or None
    if line.prompt_eval_count is not None or line.eval_count is not None:
        call.usage = Usage(input=line.prompt_eval_count, output=line.eval_count)
    if line.done:
        call.complete = True
        call.finish_reasons = [line.done_reason] if line.done_reason else None
    if bytes(line.error):
        set_error(loads(line.error), call)


class OllamaStream:
    """Reads the lines of one streamed answer."""

    last = False
    marks: tuple[bytes, ...] = (b'"done":true', b'"done": true', b'"error"')

    def __init__(self, call: Call) -> None:
        self.every = True
        self._call = call
        self._read_line = _read_full_line if call.capture else _read_line
        self.lines = _read_full_line.lines if call.capture else None
        self._answer = _Answer()

    def event(self, data: bytes) -> None:
        line = self._read_line(data)
        if line is not None:
            self.take(line)

    def take(self, line: Line) -> None:
        _read(line, self._call)
        if isinstance(line, FullLine):
            self._answer.add(line)
        elif self._call.response_model:
            self.every = False  # from here on the marks find what is needed

    def close(self) -> None:
        if self._call.capture:
            self._call.output_messages = self._answer.messages(self._call)


class _Answer:
    """What was said, put together from the lines."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._images: list[str] = []
        self._tool_calls: list[dict[str, Any]] = []

    def add(self, line: FullLine) -> None:
        images = [line.image] if line.image else None
        piece = line.message or Piece(content=line.response, thinking=line.thinking, images=images)
        self._text.append(piece.content or "")
        self._thinking.append(piece.thinking or "")
        self._images += piece.images or ()
        self._tool_calls += piece.tool_calls or ()

    def messages(self, call: Call) -> list[Message]:
        found = _parts(
            {
                "thinking": "".join(self._thinking),
                "content": "".join(self._text),
                "images": self._images,
                "tool_calls": self._tool_calls,
            }
        )
        reason = call.finish_reasons[0] if call.finish_reasons else None
        return [parts.output(found, reason)] if found or reason else []


def _input_message(item: dict[str, Any]) -> Message:
    if item.get("role") == "tool":
        told = parts.tool_response(item.get("tool_call_id"), item.get("content"))
        return parts.message("tool", [told], item.get("tool_name"))
    return parts.message(item.get("role"), _parts(item))


def _parts(item: dict[str, Any]) -> list[Message]:
    """OpenAI's parts, but for the name of the reasoning; and images beside the text."""
    found = message_parts({**item, "reasoning": item.get("thinking") or None})
    images = item.get("images")
    return found + [parts.blob("image", image) for image in (images if isinstance(images, list) else ())]


def read_embed_request(body: bytes, call: Call) -> EmbedRequest | None:
    request = _read_embed_request(body)
    if request is not None:
        call.request_model = request.model or call.request_model
        call.dimensions = request.dimensions
    return request


def read_embed_response(body: bytes, call: Call) -> None:
    line = _read_line(body)
    if line is not None:
        _read(line, call)
        call.complete = True


OLLAMA_CHAT = Format("ollama.chat", "chat", "ollama", read_request, read_response, OllamaStream, framing=NDJSON)
OLLAMA_GENERATE = OLLAMA_CHAT._replace(name="ollama.generate", operation="text_completion")
OLLAMA_EMBEDDINGS = Format(
    "ollama.embeddings", "embeddings", "ollama", read_embed_request, read_embed_response, OllamaStream
)
