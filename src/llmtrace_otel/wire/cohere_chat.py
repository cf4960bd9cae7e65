"""Cohere chat, version 2: `POST /v2/chat`, JSON and SSE; and what all of Cohere's formats share.

Cohere states its tokens twice. `billed_units` is what the caller pays for and what the conventions want; `tokens` adds
what Cohere puts around a prompt. `cached_tokens` and `reasoning_tokens` are parts of the latter, often larger than the
billed counts, so they are told only where nothing was billed; that nothing came from the cache is true of either.
Answers name no model. A generation that fails ends a good stream with the finish reason `ERROR`.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Message, Usage
from llmtrace_otel.wire.decode import Count, Integer, Reader, Real, loads
from llmtrace_otel.wire.errors import set_error
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.openai_chat import ResponseFormat, ToolCallDelta, content_parts, message_parts, tool_definitions
from llmtrace_otel.wire.sent import set_input

_FINISH_REASONS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_call",
    "ERROR_TOXIC": "content_filter",
    "ERROR": "error",
}


class Sampling(Struct):
    """What Cohere's chat and generate requests ask for in the same words."""

    model: str | None = None
    stream: bool | None = None
    k: Integer | None = None
    p: Real | None = None
    seed: Integer | None = None
    temperature: Real | None = None
    max_tokens: Count | None = None
    frequency_penalty: Real | None = None
    presence_penalty: Real | None = None
    stop_sequences: list[str] | None = None
    response_format: ResponseFormat | None = None


class ChatRequest(Sampling):
    messages: Raw = Raw()
    tools: Raw = Raw()

    def fits(self) -> bool:
        return self.model is not None and bytes(self.messages)[:1] == b"["

    def write(self, call: Call) -> None:
        set_input(call, self.messages, _input_messages)
        call.tool_definitions = tool_definitions(loads(self.tools)) or None


class Counts(Struct):
    """Tokens, as floats on the wire. Those of images are beside the input's, not in it."""

    input_tokens: Count | None = None
    image_tokens: Count | None = None
    output_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class CohereUsage(Struct):
    """`usage` in version 2, `meta` in version 1 and in embeddings."""

    billed_units: Counts | None = None
    tokens: Counts | None = None
    cached_tokens: Count | None = None


class Ending(Struct):
    """How an answer ended: the end of a JSON answer and of a stream alike."""

    finish_reason: str | None = None
    usage: CohereUsage | None = None
    error: str | None = None
    error_type: str | None = None


class ChatResponse(Ending):
    id: str | None = None
    message: Raw = Raw()


class ContentDelta(Struct):
    text: str | None = None
    thinking: str | None = None


class MessageDelta(Struct):
    """A piece of the message; the first event has empty lists where later ones have one object."""

    tool_plan: str | None = None
    content: ContentDelta | list[Any] | None = None
    tool_calls: ToolCallDelta | list[Any] | None = None


class Delta(Ending):
    message: MessageDelta | None = None


class Event(Struct):
    type: str | None = None
    id: str | None = None
    index: int | None = None
    delta: Delta | None = None
    error: Raw = Raw()


_read_request = Reader(ChatRequest)
_read_response = Reader(ChatResponse)
_read_event = Reader(Event)


def read_request(body: bytes, call: Call) -> ChatRequest | None:
    request = _read_request(body)
    if request is not None:
        set_sampling(request, call)
    return request


def set_sampling(request: Sampling, call: Call) -> None:
    call.request_model = request.model or call.request_model
    call.stream = request.stream or None
    call.top_k = request.k
    call.top_p = request.p
    call.seed = request.seed
    call.temperature = request.temperature
    call.max_tokens = request.max_tokens
    call.frequency_penalty = request.frequency_penalty
    call.presence_penalty = request.presence_penalty
    call.stop_sequences = request.stop_sequences
    if request.response_format is not None:
        call.output_type = {"json_object": "json", "text": "text"}.get(request.response_format.type or "")


def read_response(body: bytes, call: Call) -> None:
    response = _read_response(body)
    if response is None:
        return
    call.response_id = response.id or None
    _end(response, call)
    if call.capture:
        item = loads(response.message)
        found = _message_parts(item) if isinstance(item, dict) else []
        call.output_messages = [output(found, response.finish_reason)]


def _end(ending: Ending, call: Call) -> None:
    call.complete = True
    call.finish_reasons = [ending.finish_reason] if ending.finish_reason else None
    set_usage(ending.usage, call)
    set_failure(ending.finish_reason, ending.error, call, ending.error_type)


def set_usage(stated: CohereUsage | None, call: Call) -> None:
    """Puts the billed counts on the call, else the consumed ones; nothing stated changes nothing."""
    if stated is None:
        return
    if (billed := _counted(stated.billed_units)) is not None:
        billed.cache_read = 0 if stated.cached_tokens == 0 else None
        call.usage = billed
    elif stated.tokens is not None and (consumed := _counted(stated.tokens)) is not None:
        consumed.cache_read = stated.cached_tokens
        consumed.reasoning = stated.tokens.reasoning_tokens
        call.usage = consumed


def _counted(counts: Counts | None) -> Usage | None:
    if counts is None:
        return None
    given = [count for count in (counts.input_tokens, counts.image_tokens) if count is not None]
    if not given and counts.output_tokens is None:
        return None
    total = sum(given)
    return Usage(input=total if given and total < 2**63 else None, output=counts.output_tokens)


def set_failure(reason: str | None, message: str | None, call: Call, name: str | None = None) -> None:
    """A generation that failed inside a good answer is an error, though the HTTP status says nothing of it."""
    if reason == "ERROR" or message:
        set_error({"type": name, "message": message}, call)


def output(found: list[Message], finish_reason: str | None) -> Message:
    """An answer's message, its finish reason in the conventions' words."""
    return parts.output(found, _FINISH_REASONS.get(finish_reason or "", finish_reason))


class ChatStream:
    """Reads the events of one streamed answer."""

    last = False
    marks: tuple[bytes, ...] = (b"message-start", b"message-end", b'"error"', b"[DONE]")

    def __init__(self, call: Call) -> None:
        self._call = call
        self.every = call.capture
        self._answer = _Answer()
        self._reason: str | None = None

    def event(self, data: bytes) -> None:
        call = self._call
        if data.startswith(b"[DONE]"):
            call.complete = True
            return
        event = _read_event(data)
        if event is None:
            return
        call.response_id = call.response_id or event.id or None
        if bytes(event.error):
            set_error(loads(event.error), call)
        if event.delta is None:
            return
        if event.type == "message-end":
            self._reason = event.delta.finish_reason
            _end(event.delta, call)
        elif call.capture and event.delta.message is not None:
            self._answer.add(event.index or 0, event.delta.message)

    def close(self) -> None:
        call = self._call
        if call.capture:
            found = _message_parts(self._answer.message())
            call.output_messages = [output(found, self._reason)] if found or self._reason else []


class _Answer:
    """The message of a stream, put together from its pieces into the shape that a JSON answer has."""

    def __init__(self) -> None:
        self._plan: list[str] = []
        self._content: dict[tuple[int, str], list[str]] = {}
        self._calls: dict[int, ToolCallDelta] = {}
        self._arguments: dict[int, list[str]] = {}

    def add(self, index: int, piece: MessageDelta) -> None:
        if piece.tool_plan:
            self._plan.append(piece.tool_plan)
        if isinstance(piece.content, ContentDelta):
            for kind in ("thinking", "text"):
                if said := getattr(piece.content, kind):
                    self._content.setdefault((index, kind), []).append(said)
        if isinstance(piece.tool_calls, ToolCallDelta):
            self._tool(index, piece.tool_calls)

    def message(self) -> dict[str, Any]:
        return {
            "tool_plan": "".join(self._plan),
            "content": [{"type": kind, kind: "".join(said)} for (_, kind), said in self._content.items()],
            "tool_calls": [self._whole_tool(index) for index in sorted(self._calls)],
        }

    def _tool(self, index: int, piece: ToolCallDelta) -> None:
        self._calls.setdefault(index, piece)
        if piece.function is not None and piece.function.arguments:
            self._arguments.setdefault(index, []).append(piece.function.arguments)

    def _whole_tool(self, index: int) -> dict[str, Any]:
        start = self._calls[index]
        name = start.function.name if start.function is not None else None
        return {"id": start.id, "function": {"name": name, "arguments": "".join(self._arguments.get(index, ()))}}


def _input_messages(given: Any) -> list[Message]:
    return parts.each(given, _input_message)


def _input_message(item: dict[str, Any]) -> Message:
    if item.get("role") == "tool":
        told = parts.tool_content(item.get("content"), _told_part)
        return parts.message("tool", [parts.tool_response(item.get("tool_call_id"), told)])
    return parts.message(item.get("role"), _message_parts(item))


def _told_part(item: dict[str, Any]) -> Message:
    """What a tool told: a document is the result itself, data that holds no binary."""
    return item if item.get("type") == "document" else content_parts([item])[0]


def _message_parts(item: dict[str, Any]) -> list[Message]:
    """OpenAI's parts, behind the plan that the model thought up before it called tools."""
    plan = item.get("tool_plan")
    return ([parts.reasoning(plan)] if isinstance(plan, str) and plan else []) + message_parts(item)


COHERE_CHAT = Format("cohere.chat", "chat", "cohere", read_request, read_response, ChatStream)
