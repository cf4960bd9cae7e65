"""Anthropic Messages, JSON and SSE: `POST …/v1/messages`; and the legacy `POST …/v1/complete`.

`usage.input_tokens` excludes cached tokens; the conventions want the total, so the three counts are added. In a stream
`message_delta.usage` is cumulative: what it states replaces what `message_start` said and is never added to it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from msgspec import Raw, Struct, structs

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Besides, Call, Message, Usage
from llmtrace_otel.wire.decode import Amount, Count, Integer, Reader, Real, loads
from llmtrace_otel.wire.errors import set_error
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.openai_usage import CostDetails, with_upstream
from llmtrace_otel.wire.sent import set_input


class OutputFormat(Struct):
    type: str | None = None


class OutputConfig(Struct):
    effort: str | None = None
    format: OutputFormat | None = None


class MessagesRequest(Struct):
    model: str | None = None
    stream: bool | None = None
    max_tokens: Count | None = None
    max_tokens_to_sample: Count | None = None
    temperature: Real | None = None
    top_k: Integer | None = None
    top_p: Real | None = None
    stop_sequences: list[str] | None = None
    output_config: OutputConfig | None = None
    system: Raw = Raw()
    messages: Raw = Raw()
    tools: Raw = Raw()
    prompt: Raw = Raw()

    def fits(self) -> bool:
        return self.model is not None and (bytes(self.messages)[:1] == b"[" or bytes(self.prompt)[:1] == b'"')

    def write(self, call: Call) -> None:
        system = loads(self.system)
        call.system_instructions = content_parts(system) or None
        if isinstance(prompt := loads(self.prompt), str):
            call.input_messages = [parts.message("user", [parts.text(prompt)])]
        else:
            set_input(call, self.messages, input_messages)
        definitions = [found for item in parts.items(loads(self.tools)) if (found := _definition(item))]
        call.tool_definitions = definitions or None


class CacheCreation(Struct):
    ephemeral_1h_input_tokens: Count | None = None


class OutputDetails(Struct):
    thinking_tokens: Count | None = None


class Counts(Struct):
    input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: Count | None = None
    output_tokens_details: OutputDetails | None = None


class Iteration(Counts):
    """One run of a model inside a call. The call's own counts are those of its messages alone."""

    type: str | None = None
    model: str | None = None


class MessagesUsage(Counts):
    iterations: list[Iteration] | None = None
    service_tier: str | None = None
    speed: str | None = None
    cost: Amount | None = None
    """What OpenRouter adds, in USD, like the two below."""
    is_byok: bool | None = None
    cost_details: CostDetails | None = None


class MessagesResponse(Struct):
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: MessagesUsage | None = None
    content: Raw = Raw()
    completion: Raw = Raw()


class Successor(Struct):
    model: str | None = None


class Fallback(Struct):
    """A content block in which another model takes over from one that declined."""

    type: str | None = None
    to: Successor | None = None


class Delta(Struct, gc=False):
    """What is new in a content block, or in the message itself."""

    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class Event(Struct, gc=False):
    """A stream's event, and the chunk of a legacy completion, whose fields do not collide."""

    type: str | None = None
    message: MessagesResponse | None = None
    delta: Delta | None = None
    usage: MessagesUsage | None = None
    index: int | None = None
    content_block: Raw = Raw()
    error: Raw = Raw()
    model: str | None = None
    id: str | None = None
    stop_reason: str | None = None
    completion: str | None = None


_read_request = Reader(MessagesRequest)
_read_response = Reader(MessagesResponse)
_read_event = Reader(Event)
_read_fallback = Reader(Fallback)


def read_request(body: bytes, call: Call) -> MessagesRequest | None:
    request = _read_request(body)
    if request is None:
        return None
    call.request_model = request.model or call.request_model
    call.stream = request.stream or None
    call.max_tokens = request.max_tokens or request.max_tokens_to_sample
    call.temperature = request.temperature
    call.top_k = request.top_k
    call.top_p = request.top_p
    call.stop_sequences = request.stop_sequences
    if (config := request.output_config) is not None:
        call.reasoning_level = config.effort
        call.output_type = "json" if config.format and config.format.type == "json_schema" else None
    return request


def read_response(body: bytes, call: Call) -> None:
    response = _read_response(body)
    if response is None:
        return
    call.complete = True
    call.response_id = response.id or None
    call.response_model = response.model or None
    call.finish_reasons = [response.stop_reason] if response.stop_reason else None
    set_usage(response.usage, call)
    if call.capture:
        completion = loads(response.completion)
        found = [parts.text(completion)] if isinstance(completion, str) else content_parts(loads(response.content))
        call.output_messages = [parts.output(found, response.stop_reason)]


def set_usage(stated: MessagesUsage | None, call: Call) -> None:
    """Puts stated usage on the call, total input included; nothing stated changes nothing."""
    if stated is None:
        return
    usage = _usage(stated)
    call.service_tier = "fast" if stated.speed == "fast" else stated.service_tier  # billed as a tier of its own
    call.stated_cost = with_upstream(stated.cost, stated.cost_details) if stated.is_byok else stated.cost
    if usage.input is not None or usage.output is not None:
        call.usage = usage
    if stated.iterations:
        others = [run for run in stated.iterations if run.type != "message"]  # compactions, an advisor's answers
        call.besides = [Besides(_usage(run), run.model) for run in others] or None


def _usage(stated: Counts) -> Usage:
    plain, read, write = stated.input_tokens, stated.cache_read_input_tokens, stated.cache_creation_input_tokens
    total = (plain or 0) + (read or 0) + (write or 0)
    return Usage(
        input=None if (plain is None and read is None and write is None) or total >= 2**63 else total,
        output=stated.output_tokens,
        cache_read=read,
        cache_write=write,
        cache_write_1h=stated.cache_creation.ephemeral_1h_input_tokens if stated.cache_creation else None,
        reasoning=stated.output_tokens_details.thinking_tokens if stated.output_tokens_details else None,
    )


class MessageStream:
    """Reads the events of one streamed message, or of a legacy completion."""

    last = False

    def __init__(self, call: Call) -> None:
        self._call = call
        self.every = True
        self.lines = _read_event.lines if call.capture else None
        self.marks = (
            b"message_start",
            b"message_delta",
            b"message_stop",
            b'"error"',
            b'"fallback"',
            b'"stop_reason":"',
            b'"stop_reason": "',
        )
        self._usage = MessagesUsage()
        self._counted = False
        self._stop_reason: str | None = None
        self._blocks: dict[int, _Block] = {}
        self._legacy: list[str] = []

    def event(self, data: bytes) -> None:
        event = _read_event(data)
        if event is not None:
            self.take(event)
            self.every = self._call.capture or not self._call.response_id  # once it is known the marks tell the rest

    def take(self, event: Event) -> None:
        call = self._call
        match event.type:
            case "content_block_delta" if event.delta is not None and (event.index or 0) in self._blocks:
                self._blocks[event.index or 0].add(event.delta)
            case "message_start" if event.message is not None:
                call.response_id = event.message.id or None
                call.response_model = event.message.model or None
                self._stated(event.message.usage)
            case "message_delta":
                self._counted = self._counted or (event.usage is not None and event.usage.output_tokens is not None)
                self._stated(event.usage)
                self._stop_reason = (event.delta.stop_reason if event.delta else None) or self._stop_reason
            case "message_stop":
                call.complete = True
            case "error":
                set_error(loads(event.error) or {"type": "error"}, call)
            case "content_block_start":
                self._start(event)
            case "completion" | None if event.completion is not None:
                self._legacy_chunk(event)

    def close(self) -> None:
        call = self._call
        if not self._counted:  # what message_start says of the output is only a beginning
            self._usage.output_tokens = None
        set_usage(self._usage, call)
        if self._stop_reason:
            call.complete = True
            call.finish_reasons = [self._stop_reason]
        if call.capture:
            found = content_parts([self._blocks[index].content() for index in sorted(self._blocks)])
            if self._legacy:
                found = [parts.text("".join(self._legacy))]
            call.output_messages = [parts.output(found, self._stop_reason)] if found or self._stop_reason else []

    def _start(self, event: Event) -> None:
        self._blocks[event.index or 0] = _Block(loads(event.content_block))
        block = _read_fallback(event.content_block)
        if block is not None and block.type == "fallback" and block.to is not None:
            self._call.response_model = block.to.model or self._call.response_model

    def _stated(self, usage: MessagesUsage | None) -> None:
        if usage is not None:
            changes = {name: value for name, value in structs.asdict(usage).items() if value is not None}
            self._usage = structs.replace(self._usage, **changes)

    def _legacy_chunk(self, event: Event) -> None:
        call = self._call
        call.response_id = call.response_id or event.id
        call.response_model = call.response_model or event.model
        self._stop_reason = event.stop_reason or self._stop_reason
        if call.capture and event.completion:
            self._legacy.append(event.completion)


class _Block:
    """One content block of a stream, put together from its deltas."""

    def __init__(self, start: Any) -> None:
        self._block: dict[str, Any] = start if isinstance(start, dict) else {}
        self._pieces: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, delta: Delta) -> None:
        if delta.text is not None:
            self._pieces["text"].append(delta.text)
        if delta.thinking is not None:
            self._pieces["thinking"].append(delta.thinking)
        if delta.partial_json is not None:
            self._pieces["partial_json"].append(delta.partial_json)

    def content(self) -> dict[str, Any]:
        block = dict(self._block)
        for key, pieces in self._pieces.items():
            joined = "".join(pieces)
            if key == "partial_json":
                block["input"] = joined or block.get("input")
            else:
                block[key] = str(block.get(key) or "") + joined
        return block


def input_messages(given: Any) -> list[Message]:
    return parts.each(given, input_message)


def input_message(item: dict[str, Any]) -> Message:
    return parts.message(item.get("role"), content_parts(item.get("content")))


def content_parts(content: Any) -> list[Message]:
    """Content that is a string or a list of blocks."""
    if isinstance(content, str):
        return [parts.text(content)] if content else []
    return parts.each(content, _part)


def _part(block: dict[str, Any]) -> Message:
    kind = str(block.get("type", ""))
    match kind:
        case "text":
            return parts.text(block.get("text", ""))
        case "thinking":
            return parts.reasoning(block.get("thinking", ""))
        case "tool_use":
            return parts.tool_call(block.get("id"), block.get("name"), block.get("input"))
        case "tool_result":
            return parts.tool_response(block.get("tool_use_id"), parts.tool_content(block.get("content"), _part))
        case "server_tool_use" | "mcp_tool_use":
            details = {"type": kind, "input": block.get("input")}
            return parts.server_tool_call(block.get("id"), block.get("name"), details)
        case "image" | "document":
            return _media(kind, block.get("source"))
        case _ if kind.endswith("_tool_result"):
            return parts.server_tool_response(block.get("tool_use_id"), {"type": kind})
        case _:
            return parts.generic(block)


def _media(modality: str, source: Any) -> Message:
    if not isinstance(source, dict):
        return parts.generic({"type": modality})
    match source.get("type"):
        case "url":
            return parts.media(modality, source.get("url"))
        case "file":
            return parts.file(modality, source.get("file_id"))
        case "text":
            return parts.text(source.get("data", ""))
        case _:
            return parts.blob(modality, source.get("data"), source.get("media_type"))


def _definition(item: dict[str, Any]) -> Message | None:
    if isinstance(item.get("input_schema"), dict) or item.get("type", "custom") == "custom":
        return parts.function_definition(item.get("name"), item.get("description"), item.get("input_schema"))
    return {"type": str(item["type"]), "name": str(item.get("name") or item["type"])}


ANTHROPIC_MESSAGES = Format("anthropic.messages", "chat", "anthropic", read_request, read_response, MessageStream)
ANTHROPIC_COMPLETE = ANTHROPIC_MESSAGES._replace(name="anthropic.complete", operation="text_completion")
