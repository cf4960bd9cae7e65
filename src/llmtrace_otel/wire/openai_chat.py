"""OpenAI chat completions, JSON and SSE: `POST …/chat/completions`, which most other vendors speak too.

A stream states its usage in one of its last chunks, with or without a choice in it, and only if it was asked to
(vendors differ): the last stated usage counts. Azure's first chunk has an empty id and model; some vendors keep the
usage under `x_groq`; a finish reason may be null or "" on every chunk but one.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Message
from llmtrace_otel.wire.decode import Count, Integer, Reader, Real, loads
from llmtrace_otel.wire.errors import set_error
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.openai_usage import OpenAIUsage, set_usage
from llmtrace_otel.wire.sent import set_input


class ResponseFormat(Struct):
    type: str | None = None


class ChatRequest(Struct):
    model: str | None = None
    stream: bool | None = None
    n: Count | None = None
    seed: Integer | None = None
    top_k: Integer | None = None
    top_p: Real | None = None
    temperature: Real | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    frequency_penalty: Real | None = None
    presence_penalty: Real | None = None
    stop: str | list[str] | None = None
    reasoning_effort: str | None = None
    service_tier: str | None = None
    response_format: ResponseFormat | None = None
    messages: Raw = Raw()
    tools: Raw = Raw()
    functions: Raw = Raw()

    def fits(self) -> bool:
        return self.model is not None and bytes(self.messages)[:1] == b"["

    def write(self, call: Call) -> None:
        set_input(call, self.messages, input_messages)
        if not self.tools and not self.functions:
            return
        definitions = tool_definitions(loads(self.tools)) + [
            found for item in parts.items(loads(self.functions)) if (found := _definition(item))
        ]
        call.tool_definitions = definitions or None


class Choice(Struct):
    index: int | None = None
    finish_reason: str | None = None
    message: Raw = Raw()
    text: Raw = Raw()
    error: Any = None


class ChatResponse(Struct):
    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: OpenAIUsage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    error: Any = None


# What is decoded of a chunk holds no cycles, so that the garbage collector need not look at hundreds of them.


class FunctionDelta(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(Struct, gc=False):
    content: str | list[dict[str, Any]] | None = None
    role: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: FunctionDelta | None = None


class ChunkChoice(Struct, gc=False):
    index: int | None = None
    finish_reason: str | None = None
    delta: Delta | None = None
    text: str | None = None
    usage: OpenAIUsage | None = None
    error: Any = None


class BareChoice(Struct, gc=False):
    index: int | None = None
    finish_reason: str | None = None
    usage: OpenAIUsage | None = None
    error: Any = None


class Groq(Struct, gc=False):
    usage: OpenAIUsage | None = None
    error: str | None = None


class BareChunk(Struct, gc=False):
    """A chunk, with content off."""

    id: str | None = None
    model: str | None = None
    choices: list[BareChoice] | None = None
    usage: OpenAIUsage | None = None
    x_groq: Groq | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    error: Any = None


class Chunk(BareChunk, gc=False):
    """A chunk, with content on."""

    choices: list[ChunkChoice] | None = None  # type: ignore[assignment]


_read_request = Reader(ChatRequest)
_read_response = Reader(ChatResponse)
_read_bare_chunk = Reader(BareChunk)
_read_chunk = Reader(Chunk)


def read_request(body: bytes, call: Call) -> ChatRequest | None:
    request = _read_request(body)
    if request is not None:
        set_request(request, call)
    return request


def set_request(request: ChatRequest, call: Call) -> None:
    set_sampling(request, call)
    call.api_type = "chat_completions"
    if (most := request.max_completion_tokens or request.max_tokens) is not None:
        call.max_tokens = most
    if request.reasoning_effort is not None:
        call.reasoning_level = request.reasoning_effort
    if request.response_format is not None:
        call.output_type = {"json_object": "json", "json_schema": "json", "text": "text"}.get(
            request.response_format.type or ""
        )


def set_sampling(request: Any, call: Call) -> None:
    """What chat completions and legacy completions ask for in the same words: mostly little of it, so no `None` is set.

    To set a struct's field takes several times as long as to look at one.
    """
    if request.model:
        call.request_model = request.model
    else:
        request.model = call.request_model
    call.stream = request.stream or None
    if request.n != 1 and request.n is not None:
        call.choice_count = request.n
    if request.seed is not None:
        call.seed = request.seed
    if request.top_k is not None:
        call.top_k = request.top_k
    if request.top_p is not None:
        call.top_p = request.top_p
    if request.temperature is not None:
        call.temperature = request.temperature
    if request.frequency_penalty is not None:
        call.frequency_penalty = request.frequency_penalty
    if request.presence_penalty is not None:
        call.presence_penalty = request.presence_penalty
    if request.stop is not None:
        call.stop_sequences = [request.stop] if isinstance(request.stop, str) else request.stop
    if request.service_tier is not None:
        call.request_service_tier = request.service_tier


def read_response(body: bytes, call: Call) -> None:
    response = _read_response(body)
    if response is None:
        return
    call.complete = True
    call.response_id = response.id or None
    call.response_model = response.model or None
    call.service_tier = response.service_tier
    call.system_fingerprint = response.system_fingerprint
    set_usage(response.usage, call)
    if response.error:
        set_error(response.error, call)
    choices = response.choices or []
    for choice in choices:
        if choice.error:  # OpenRouter's
            set_error(choice.error, call)
    if len(choices) > 1:
        choices.sort(key=lambda choice: choice.index or 0)
    reasons = []
    for choice in choices:
        if choice.finish_reason:
            reasons.append(choice.finish_reason)  # noqa: PERF401 - a comprehension is a function more
    call.finish_reasons = reasons or None
    if call.capture:
        call.output_messages = [_output(choice) for choice in choices]


class ChatStream:
    """Reads the chunks of one streamed chat completion, or legacy completion."""

    last = False
    marks: tuple[bytes, ...] = (
        b'"finish_reason":"',
        b'"finish_reason": "',
        b'"usage":{',
        b'"usage": {',
        b'"error"',
        b"[DONE]",
    )

    def __init__(self, call: Call) -> None:
        self.every = True
        self._call = call
        self._read = _read_chunk if call.capture else _read_bare_chunk
        self.lines = _read_chunk.lines if call.capture else None
        self._reasons: dict[int, str] = {}
        self._answers: defaultdict[int, _Answer] = defaultdict(_Answer)

    def event(self, data: bytes) -> None:
        call = self._call
        if data.startswith(b"[DONE]"):
            call.complete = True
            return
        chunk = self._read(data)
        if chunk is None:
            return
        self.take(chunk)
        if call.response_id and call.response_model and not call.capture and b'" :' not in data:
            self.every = False  # from here on the marks find what is needed

    def take(self, chunk: BareChunk) -> None:
        call = self._call
        if call.response_id is None or call.response_model is None:
            call.response_id = call.response_id or chunk.id or None
            call.response_model = call.response_model or chunk.model or None
        if chunk.service_tier:
            call.service_tier = chunk.service_tier
        if chunk.system_fingerprint:
            call.system_fingerprint = chunk.system_fingerprint
        if chunk.error:
            # What such a chunk counts besides is not to be trusted: some state more reasoning than output.
            set_error(chunk.error, call)
            return
        if chunk.usage is not None:
            set_usage(chunk.usage, call)
        if chunk.x_groq is not None:
            set_usage(chunk.x_groq.usage, call)
            set_error(chunk.x_groq.error, call)
        for choice in chunk.choices or ():
            index = choice.index or 0
            if choice.finish_reason:
                self._reasons[index] = choice.finish_reason
            if choice.usage is not None:
                set_usage(choice.usage, call)  # Kimi's place for it
            if choice.error:
                set_error(choice.error, call)
            match choice:
                case ChunkChoice(text=None, delta=Delta(str(piece), None, None, None, None, None, None)):
                    self._answers[index].text.append(piece)  # nearly all of them
                case ChunkChoice():
                    self._answers[index].add(choice)

    def close(self) -> None:
        call = self._call
        if self._reasons:
            call.complete = True
            call.finish_reasons = [self._reasons[index] for index in sorted(self._reasons)]
        if call.capture:
            call.output_messages = [
                self._answers[index].message(self._reasons.get(index)) for index in sorted(self._answers)
            ]


class _Answer:
    """One choice of a stream, put together from its deltas."""

    def __init__(self) -> None:
        self._role = "assistant"
        self.text: list[str] = []
        self._reasoning: list[str] = []
        self._tools: dict[int, _ToolCall] = {}

    def add(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        if choice.text and not (delta and delta.content):  # Together says it in both places
            self.text.append(choice.text)
        if delta is None:
            return
        if delta.role:
            self._role = delta.role
        if (content := delta.content) is not None:
            if isinstance(content, str):
                self.text.append(content)
            else:
                self._parts(content)
        if delta.refusal:
            self.text.append(delta.refusal)
        if thought := delta.reasoning_content or delta.reasoning:
            self._reasoning.append(thought)
        if delta.tool_calls is not None:
            for call in delta.tool_calls:
                self._tool(call)
        if delta.function_call is not None:
            self._tool(ToolCallDelta(index=0, function=delta.function_call))

    def message(self, finish_reason: str | None) -> Message:
        found: list[Message] = []
        if self._reasoning:
            found.append(parts.reasoning("".join(self._reasoning)))
        if text := "".join(self.text):
            found.append(parts.text(text))
        for index in sorted(self._tools):
            call = self._tools[index]
            found.append(parts.tool_call(call.id, call.name, "".join(call.arguments)))
        return parts.output(found, finish_reason, self._role)

    def _parts(self, content: list[dict[str, Any]]) -> None:
        for part in content_parts(content):
            match part["type"]:
                case "text":
                    self.text.append(part["content"])
                case "reasoning":
                    self._reasoning.append(part["content"])

    def _tool(self, delta: ToolCallDelta) -> None:
        index = delta.index
        if index is None:  # some vendors leave it out: a new id is a new call
            index = len(self._tools) if delta.id or not self._tools else max(self._tools)
        elif index in self._tools and self._is_another(delta, self._tools[index]):  # others always say 0
            index = max(self._tools) + 1
        elif not delta.id and self._tools and index not in self._tools:
            index = max(self._tools) if index == 0 else index
        call = self._tools.setdefault(index, _ToolCall())
        call.id = call.id or delta.id
        if delta.function is not None:
            call.name = call.name or delta.function.name
            call.arguments.append(delta.function.arguments or "")

    @staticmethod
    def _is_another(delta: ToolCallDelta, call: _ToolCall) -> bool:
        """Whether a new call begins. An id alone does not tell: some servers make up one for each piece."""
        named = delta.function is not None and bool(delta.function.name)
        return named and bool(delta.id) and delta.id != call.id


class _ToolCall:
    """One tool call of a stream; its arguments come in pieces."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.name: str | None = None
        self.arguments: list[str] = []


def input_messages(given: Any) -> list[Message]:
    return parts.each(given, input_message)


def input_message(item: dict[str, Any]) -> Message:
    """A request's message: `system`, `developer`, `user`, `assistant`, `tool` or `function`."""
    role = item.get("role")
    if role in ("tool", "function"):
        told = parts.tool_content(item.get("content"), _content_part)
        return parts.message("tool", [parts.tool_response(item.get("tool_call_id"), told)])
    return parts.message(role, message_parts(item), item.get("name"))


def message_parts(item: dict[str, Any]) -> list[Message]:
    """The parts of a message that may hold text, media, reasoning, a refusal and tool calls."""
    found = []
    thought = item.get("reasoning_content") or item.get("reasoning")
    if thought is not None and isinstance(thought, str):
        found.append(parts.reasoning(thought))
    found += content_parts(item.get("content"))
    if (refusal := item.get("refusal")) and isinstance(refusal, str):
        found.append(parts.text(refusal))
    if calls := item.get("tool_calls"):
        found += parts.each(calls, _tool_call)
    if (function := item.get("function_call")) is not None and isinstance(function, dict):
        found.append(parts.tool_call(None, function.get("name"), function.get("arguments")))
    return found


def _tool_call(call: dict[str, Any]) -> Message:
    function = call.get("function") or call.get("custom") or {}
    return parts.tool_call(call.get("id"), function.get("name"), function.get("arguments", function.get("input")))


def content_parts(content: Any) -> list[Message]:
    if isinstance(content, str):
        return [parts.text(content)] if content else []
    return parts.each(content, _content_part)


def _content_part(item: dict[str, Any]) -> Message:
    match item.get("type"):
        case "text" | "refusal":
            return parts.text(item.get("text") or item.get("refusal") or "")
        case "image_url":
            image = item.get("image_url")
            return parts.media("image", image.get("url") if isinstance(image, dict) else image)
        case "input_audio":
            audio = item.get("input_audio") or {}
            return parts.blob("audio", audio.get("data"), f"audio/{audio['format']}" if "format" in audio else None)
        case "file":
            upload = item.get("file") or {}
            if "file_id" in upload:
                return parts.file("document", upload["file_id"])
            return parts.media("document", upload.get("file_data"))
        case "thinking":
            inner = item.get("thinking")
            return parts.reasoning(inner if isinstance(inner, str) else _joined(inner))
        case _:
            return parts.generic(item)


def _joined(inner: Any) -> str:
    return "".join(str(part.get("text", "")) for part in parts.items(inner))


def tool_definitions(tools: Any) -> list[Message]:
    """Function tools flattened, as the conventions want them; other kinds by type and name."""
    return [found for item in parts.items(tools) if (found := _tool_definition(item))]


def _tool_definition(item: dict[str, Any]) -> Message | None:
    inner = item.get("function")
    if isinstance(inner, dict):
        return _definition(inner)
    if item.get("type", "function") == "function":
        return _definition(item)
    return {"type": str(item.get("type")), "name": str(item.get("name") or item.get("type"))}


def _definition(item: dict[str, Any]) -> Message | None:
    return parts.function_definition(item.get("name"), item.get("description"), item.get("parameters"))


def _output(choice: Choice) -> Message:
    item = loads(choice.message)
    found = message_parts(item) if isinstance(item, dict) else content_parts(loads(choice.text))
    return parts.output(found, choice.finish_reason)


OPENAI_CHAT = Format("openai.chat", "chat", "openai", read_request, read_response, ChatStream)
