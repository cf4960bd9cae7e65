"""OpenAI Responses, JSON and SSE: `POST …/responses` creates, `GET …/responses/{id}` fetches.

There is no finish reason on the wire: a status and, when incomplete, a reason. In a stream everything is repeated by
the terminal event (`response.completed`, `.incomplete` or `.failed`), so that only this one is read; a stream that is
cut before it leaves the id and model of `response.created`. Fetching a response consumes no tokens, so a fetch has no
usage.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Message
from llmtrace_otel.wire.decode import Count, Reader, Real, loads
from llmtrace_otel.wire.errors import UNNAMED, set_error
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.openai_chat import tool_definitions
from llmtrace_otel.wire.openai_usage import OpenAIUsage, set_usage
from llmtrace_otel.wire.sent import set_input

FETCH = "fetch_response"


class Reasoning(Struct):
    effort: str | None = None


class TextFormat(Struct):
    type: str | None = None


class TextOptions(Struct):
    format: TextFormat | None = None


class Identified(Struct):
    id: str | None = None


class ResponsesRequest(Struct):
    model: str | None = None
    stream: bool | None = None
    top_p: Real | None = None
    temperature: Real | None = None
    max_output_tokens: Count | None = None
    reasoning: Reasoning | None = None
    text: TextOptions | None = None
    service_tier: str | None = None
    previous_response_id: str | None = None
    conversation: str | Identified | None = None
    instructions: Raw = Raw()
    input: Raw = Raw()
    tools: Raw = Raw()

    def fits(self) -> bool:
        return self.model is not None and bytes(self.input)[:1] in (b'"', b"[")

    def write(self, call: Call) -> None:
        if isinstance(instructions := loads(self.instructions), str):
            call.system_instructions = [parts.text(instructions)]
        set_input(call, self.input, input_messages)
        call.tool_definitions = tool_definitions(loads(self.tools)) or None


class IncompleteDetails(Struct):
    reason: str | None = None


class Response(Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    incomplete_details: IncompleteDetails | None = None
    usage: OpenAIUsage | None = None
    service_tier: str | None = None
    conversation: str | Identified | None = None
    output: Raw = Raw()
    error: Raw = Raw()


class Event(Struct):
    type: str | None = None
    response: Response | None = None
    code: str | None = None
    message: str | None = None
    error: Raw = Raw()


class ItemDone(Struct):
    """`response.output_item.done`: what a stream that never ends has to show."""

    type: str | None = None
    item: Raw = Raw()


_read_request = Reader(ResponsesRequest)
_read_response = Reader(Response)
_read_event = Reader(Event)
_read_item = Reader(ItemDone)


def read_request(body: bytes, call: Call) -> ResponsesRequest | None:
    call.api_type = "responses"
    request = _read_request(body)
    if request is None:
        return None
    call.request_model = request.model or call.request_model
    call.stream = request.stream or None
    call.top_p = request.top_p
    call.temperature = request.temperature
    call.max_tokens = request.max_output_tokens
    call.reasoning_level = request.reasoning.effort if request.reasoning else None
    call.request_service_tier = request.service_tier
    call.previous_response_id = request.previous_response_id
    call.conversation_id = _id(request.conversation)
    if request.text is not None and request.text.format is not None:
        call.output_type = {"json_object": "json", "json_schema": "json", "text": "text"}.get(
            request.text.format.type or ""
        )
    return request


def read_response(body: bytes, call: Call) -> None:
    response = _read_response(body)
    if response is not None:
        call.complete = True
        _set_response(response, call)


class ResponseStream:
    """Reads the events of one streamed response."""

    last = False
    marks: tuple[bytes, ...] = (
        b"response.created",
        b"response.completed",
        b"response.incomplete",
        b"response.failed",
        b'"error"',
    )

    def __init__(self, call: Call) -> None:
        self._call = call
        self.every = False
        if call.capture:
            self.marks = (*self.marks, b"response.output_item.done")
        self._items: list[Any] = []

    def event(self, data: bytes) -> None:
        event = _read_event(data)
        if event is None:
            return
        call = self._call
        match event.type:
            case "response.completed" | "response.incomplete" | "response.failed" if event.response is not None:
                call.complete = True
                _set_response(event.response, call)
            case "response.created" if event.response is not None:
                call.response_id = event.response.id or None
                call.response_model = event.response.model or None
            case "response.output_item.done" if (item := _read_item(data)) is not None:
                self._items.append(loads(item.item))
            case "error" | "response.error":
                set_error(loads(event.error) or {"code": event.code, "message": event.message}, call)
            case None if bytes(event.error):  # gateways' own
                set_error(loads(event.error), call)

    def close(self) -> None:
        call = self._call
        if call.capture and not call.output_messages and self._items:
            call.output_messages = [parts.output(output_parts(self._items), None)]


def _set_response(response: Response, call: Call) -> None:
    call.response_id = response.id or None
    call.response_model = response.model or None
    call.service_tier = response.service_tier
    call.response_status = response.status
    if call.operation != FETCH:
        call.conversation_id = call.conversation_id or _id(response.conversation)
        set_usage(response.usage, call)
        if bytes(response.error):
            set_error(loads(response.error), call)
        if response.status == "failed":
            call.error_type = call.error_type or UNNAMED
    if call.capture:
        found = output_parts(loads(response.output))
        call.output_messages = [parts.output(found, _finish_reason(response, found))] if found else []


def _finish_reason(response: Response, found: list[Message]) -> str | None:
    if response.status == "incomplete":
        return response.incomplete_details.reason if response.incomplete_details else "length"
    if response.status in ("failed", "cancelled"):
        return "error"
    return "tool_call" if any(part["type"] == "tool_call" for part in found) else "stop"


def _id(conversation: str | Identified | None) -> str | None:
    return conversation.id if isinstance(conversation, Identified) else conversation


def input_messages(given: Any) -> list[Message]:
    if isinstance(given, str):
        return [parts.message("user", [parts.text(given)])]
    return parts.each(given, input_message)


def input_message(item: dict[str, Any]) -> Message:
    """One input item: a message, or a call, its output or reasoning of an earlier turn."""
    kind = item.get("type", "message")
    if kind == "message":
        content = item.get("content")
        found = [parts.text(content)] if isinstance(content, str) else parts.each(content, _content)
        return parts.message(item.get("role"), found)
    if kind in ("function_call_output", "custom_tool_call_output"):
        told = parts.tool_content(item.get("output"), _content)
        return parts.message("tool", [parts.tool_response(item.get("call_id"), told)])
    return parts.message("assistant", output_parts([item]))


def output_parts(output: Any) -> list[Message]:
    """The parts of output items, in order, as of one assistant message."""
    return [part for item in parts.items(output) for part in _item_parts(item)]


def _item_parts(item: dict[str, Any]) -> list[Message]:
    kind = str(item.get("type", ""))
    match kind:
        case "message":
            return parts.each(item.get("content"), _content)
        case "reasoning":
            thoughts = parts.items(item.get("summary")) + parts.items(item.get("content"))
            return [parts.reasoning(thought.get("text", "")) for thought in thoughts]
        case "function_call":
            return [parts.tool_call(item.get("call_id"), item.get("name"), item.get("arguments"))]
        case "custom_tool_call":
            return [parts.tool_call(item.get("call_id"), item.get("name"), item.get("input"))]
        case "compaction":
            return [{"type": "compaction"}]
        case _ if kind.endswith("_call"):
            return [parts.server_tool_call(item.get("id"), kind.removesuffix("_call"), {"type": kind})]
        case _:
            return [parts.generic(item)]


def _content(part: dict[str, Any]) -> Message:
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return parts.text(part.get("text", ""))
        case "refusal":
            return parts.text(part.get("refusal", ""))
        case "input_image":
            if isinstance(part.get("file_id"), str):
                return parts.file("image", part["file_id"])
            return parts.media("image", part.get("image_url"))
        case "input_file":
            if isinstance(part.get("file_id"), str):
                return parts.file("document", part["file_id"])
            return parts.media("document", part.get("file_url") or part.get("file_data"))
        case _:
            return parts.generic(part)


OPENAI_RESPONSES = Format("openai.responses", "chat", "openai", read_request, read_response, ResponseStream)
OPENAI_FETCH_RESPONSE = OPENAI_RESPONSES._replace(name="openai.responses.get", operation=FETCH)
