"""LM Studio's own chat: `POST /api/v1/chat`, JSON and SSE.

The last event of a stream, `chat.end`, repeats the whole answer under `result`, so that only this one is read; a
stream that is cut before it leaves the model of `chat.start`. Tools run in the server. Its OpenAI- and
Anthropic-compatible endpoints are read as those. Source: LM Studio's REST API documentation.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Message, Usage
from llmtrace_otel.wire.decode import Count, Integer, Reader, Real, loads
from llmtrace_otel.wire.errors import set_error
from llmtrace_otel.wire.formats import Format


class ChatRequest(Struct):
    model: str | None = None
    stream: bool | None = None
    temperature: Real | None = None
    top_k: Integer | None = None
    top_p: Real | None = None
    max_output_tokens: Count | None = None
    reasoning: str | None = None
    previous_response_id: str | None = None
    input: Raw = Raw()
    system_prompt: Raw = Raw()

    def fits(self) -> bool:
        return self.model is not None and bytes(self.input)[:1] in (b'"', b"[")

    def write(self, call: Call) -> None:
        given, system = loads(self.input), loads(self.system_prompt)
        found = [parts.text(given)] if isinstance(given, str) else parts.each(given, _input_part)
        call.input_messages = [parts.message("user", found)]
        call.system_instructions = [parts.text(system)] if isinstance(system, str) and system else None


class Stats(Struct):
    input_tokens: Count | None = None
    total_output_tokens: Count | None = None
    reasoning_output_tokens: Count | None = None


class Chat(Struct):
    model_instance_id: str | None = None
    response_id: str | None = None
    stats: Stats | None = None
    output: Raw = Raw()


class Event(Struct):
    type: str | None = None
    model_instance_id: str | None = None
    result: Chat | None = None
    error: Raw = Raw()
    content: str | None = None


_read_request = Reader(ChatRequest)
_read_chat = Reader(Chat)
_read_event = Reader(Event)


def read_request(body: bytes, call: Call) -> ChatRequest | None:
    request = _read_request(body)
    if request is None:
        return None
    call.request_model = request.model
    call.stream = request.stream or None
    call.temperature = request.temperature
    call.top_k = request.top_k
    call.top_p = request.top_p
    call.max_tokens = request.max_output_tokens
    call.reasoning_level = request.reasoning
    call.previous_response_id = request.previous_response_id
    return request


def read_response(body: bytes, call: Call) -> None:
    chat = _read_chat(body)
    if chat is not None:
        _set_chat(chat, call)


def _set_chat(chat: Chat, call: Call) -> None:
    call.complete = True
    call.response_id = chat.response_id or None
    call.response_model = chat.model_instance_id or call.response_model
    if (stats := chat.stats) is not None and (stats.input_tokens is not None or stats.total_output_tokens is not None):
        call.usage = Usage(
            input=stats.input_tokens, output=stats.total_output_tokens, reasoning=stats.reasoning_output_tokens
        )
    if call.capture:
        call.output_messages = [parts.output(parts.each(loads(chat.output), _output_part), "stop")]


class ChatEvents:
    """Reads the events of one streamed chat."""

    last = False
    marks: tuple[bytes, ...] = (b"chat.start", b"chat.end", b'"error"')

    def __init__(self, call: Call) -> None:
        self.every = call.capture
        self._call = call
        self._text: list[str] = []

    def event(self, data: bytes) -> None:
        call, event = self._call, _read_event(data)
        if event is None:
            return
        match event.type:
            case "chat.start":
                call.response_model = event.model_instance_id
            case "message.delta":
                self._text.append(event.content or "")
            case "error":
                set_error(loads(event.error) or {"type": "error"}, call)
            case "chat.end" if event.result is not None:
                _set_chat(event.result, call)

    def close(self) -> None:
        if self._call.capture and self._call.output_messages is None:
            self._call.output_messages = [parts.spoken(self._text, None)] if self._text else []


def _input_part(item: dict[str, Any]) -> Message:
    match item.get("type"):
        case "message" | "text":
            return parts.text(item.get("content", ""))
        case "image":
            return parts.media("image", item.get("data_url"))
        case _:
            return parts.generic(item)


def _output_part(item: dict[str, Any]) -> Message:
    match item.get("type"):
        case "message":
            return parts.text(item.get("content", ""))
        case "reasoning":
            return parts.reasoning(item.get("content", ""))
        case "tool_call":
            details = {"type": "tool_call", "arguments": item.get("arguments"), "output": item.get("output")}
            return parts.server_tool_call(None, item.get("tool"), details)
        case _:
            return parts.generic(item)


LMSTUDIO_CHAT = Format("lmstudio.chat", "chat", "lmstudio", read_request, read_response, ChatEvents)
