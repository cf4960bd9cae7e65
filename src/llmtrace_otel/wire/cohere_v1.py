"""Cohere chat, version 1, and its predecessor generate: `POST /v1/chat`, `POST /v1/generate`, JSON and JSON lines.

The two share their words, and where they do not (`message` or `prompt`, `text` or `generations`) these do not collide.
A stream's last line, `stream-end`, holds the whole answer as JSON would; the pieces before it count only if it never
comes. A chat's id is its `generation_id`, the one that a stream tells from its first line on; `generate` has an `id`.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Message
from llmtrace_otel.wire.cohere_chat import CohereUsage, Sampling, output, set_failure, set_sampling, set_usage
from llmtrace_otel.wire.decode import Count, Reader, loads
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.framing import NDJSON

_ROLES = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}


class V1Request(Sampling):
    conversation_id: str | None = None
    num_generations: Count | None = None
    end_sequences: list[str] | None = None
    message: Raw = Raw()
    preamble: Raw = Raw()
    chat_history: Raw = Raw()
    tools: Raw = Raw()
    tool_results: Raw = Raw()
    prompt: Raw = Raw()

    def fits(self) -> bool:
        """A chat needs no model: there is a default one."""
        return bytes(self.message)[:1] == b'"' or (self.model is not None and bytes(self.prompt)[:1] == b'"')

    def write(self, call: Call) -> None:
        call.system_instructions = _texts(loads(self.preamble)) or None
        call.input_messages = parts.each(loads(self.chat_history), _turn)
        if results := parts.each(loads(self.tool_results), _result):
            call.input_messages.append(parts.message("tool", results))
        if asked := _texts(loads(self.message)) or _texts(loads(self.prompt)):
            call.input_messages.append(parts.message("user", asked))
        definitions = [found for item in parts.items(loads(self.tools)) if (found := _definition(item))]
        call.tool_definitions = definitions or None


class Generation(Struct):
    text: str | None = None
    finish_reason: str | None = None


class V1Response(Struct):
    id: str | None = None
    generation_id: str | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    generations: list[Generation] | None = None
    meta: CohereUsage | None = None
    text: Raw = Raw()
    tool_calls: Raw = Raw()


class V1Event(Struct):
    """A line of a stream. Those of `generate` once had no type."""

    event_type: str = "text-generation"
    generation_id: str | None = None
    text: str | None = None
    finish_reason: str | None = None
    response: V1Response | None = None
    err: str | None = None


_read_request = Reader(V1Request)
_read_response = Reader(V1Response)
_read_event = Reader(V1Event)


def read_request(body: bytes, call: Call) -> V1Request | None:
    request = _read_request(body)
    if request is not None:
        set_sampling(request, call)
        call.conversation_id = request.conversation_id or None
        call.choice_count = request.num_generations if request.num_generations != 1 else None
        call.stop_sequences = request.stop_sequences or request.end_sequences
    return request


def read_response(body: bytes, call: Call) -> None:
    response = _read_response(body)
    if response is not None:
        _read(response, call)


def _read(response: V1Response, call: Call) -> None:
    call.complete = True
    call.response_id = response.generation_id or response.response_id or response.id or call.response_id
    generations = response.generations or []
    reasons = [response.finish_reason, *(generation.finish_reason for generation in generations)]
    call.finish_reasons = [reason for reason in reasons if reason] or None
    set_usage(response.meta, call)
    set_failure(response.finish_reason, None, call)
    if call.capture:
        call.output_messages = [output(_texts(one.text), one.finish_reason) for one in generations]
        if not generations:
            found = _texts(loads(response.text)) + parts.each(loads(response.tool_calls), _tool_call)
            call.output_messages = [output(found, response.finish_reason)]


class V1Stream:
    """Reads the lines of one streamed chat or generation."""

    last = False
    marks: tuple[bytes, ...] = (b"stream-start", b"stream-end", b'"finish_reason"')

    def __init__(self, call: Call) -> None:
        self._call = call
        self.every = call.capture
        self._text: list[str] = []

    def event(self, data: bytes) -> None:
        event = _read_event(data)
        if event is None:
            return
        call = self._call
        call.response_id = event.generation_id or call.response_id
        if call.capture and event.text and event.event_type == "text-generation":
            self._text.append(event.text)
        set_failure(event.finish_reason, event.err, call)
        if event.response is not None:
            _read(event.response, call)
        if event.finish_reason:
            call.complete = True
            call.finish_reasons = call.finish_reasons or [event.finish_reason]

    def close(self) -> None:
        call = self._call
        if call.capture and call.output_messages is None:
            reason = call.finish_reasons[0] if call.finish_reasons else None
            found = _texts("".join(self._text))
            call.output_messages = [output(found, reason)] if found or reason else []


def _texts(content: Any) -> list[Message]:
    return [parts.text(content)] if isinstance(content, str) and content else []


def _turn(item: dict[str, Any]) -> Message:
    role = str(item.get("role", ""))
    found = _texts(item.get("message"))
    found += parts.each(item.get("tool_calls"), _tool_call) + parts.each(item.get("tool_results"), _result)
    return parts.message(_ROLES.get(role.upper(), role or "user"), found)


def _tool_call(item: dict[str, Any]) -> Message:
    return parts.tool_call(None, item.get("name"), item.get("parameters"))


def _result(item: dict[str, Any]) -> Message:
    return parts.tool_response(None, item.get("outputs"))


def _definition(item: dict[str, Any]) -> Message | None:
    return parts.function_definition(item.get("name"), item.get("description"), item.get("parameter_definitions"))


COHERE_CHAT_V1 = Format("cohere.chat_v1", "chat", "cohere", read_request, read_response, V1Stream, framing=NDJSON)
COHERE_GENERATE = COHERE_CHAT_V1._replace(name="cohere.generate", operation="text_completion")
