"""Amazon Bedrock's Converse: `POST /model/{model}/converse`, and `…/converse-stream` in AWS's frames.

One shape for every vendor's models. `inputTokens` excludes cached tokens, as Anthropic has it, so the three counts are
added. An answer names neither itself nor its model. A content block is an object whose key is its kind. The native
bodies of Amazon's own Nova models have this shape too, but for a few names.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import Raw, Struct, field

from llmtrace_otel.wire import anthropic_messages, parts
from llmtrace_otel.wire.anthropic_messages import CacheCreation, MessagesUsage
from llmtrace_otel.wire.call import Call, Message
from llmtrace_otel.wire.decode import Count, Integer, Reader, Real, loads
from llmtrace_otel.wire.errors import set_error
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.sent import set_input

T = TypeVar("T")
_DOCUMENT_TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
_MEDIA = ("image", "document", "video", "audio")
_FINISH_REASONS = {"guardrail_intervened": "content_filter", "content_filtered": "content_filter"}
"""Reasons that only Bedrock has, in the conventions' words."""


class InferenceConfig(Struct, rename="camel"):
    max_tokens: Count | None = None
    nova_max_tokens: Count | None = field(name="max_new_tokens", default=None)
    temperature: Real | None = None
    top_p: Real | None = None
    top_k: Integer | None = None
    stop_sequences: list[str] | None = None


class NovaReasoning(Struct, rename="camel"):
    max_reasoning_effort: str | None = None


class Effort(Struct):
    effort: str | None = None


class ModelFields(Struct):
    """What is handed on to the model, in the words of its vendor."""

    top_k: Integer | None = None
    reasoning_effort: str | None = None
    reasoning_config: str | dict[str, Any] | None = None
    output_config: Effort | None = None
    nova_reasoning: NovaReasoning | None = field(name="reasoningConfig", default=None)
    nova_inference: InferenceConfig | None = field(name="inferenceConfig", default=None)

    def effort(self) -> str | None:
        if self.output_config is not None and self.output_config.effort:
            return self.output_config.effort
        if self.nova_reasoning is not None:
            return self.nova_reasoning.max_reasoning_effort
        return self.reasoning_effort or (self.reasoning_config if isinstance(self.reasoning_config, str) else None)


class Typed(Struct):
    type: str | None = None


class OutputConfig(Struct, rename="camel"):
    effort: str | None = None
    text_format: Typed | None = None


class ToolConfig(Struct):
    tools: Raw = Raw()


class ConverseRequest(Struct, rename="camel"):
    model_id: str | None = None
    """Of the path, where the model is named."""
    inference_config: InferenceConfig | None = None
    additional_model_request_fields: ModelFields | None = None
    reasoning_config: NovaReasoning | None = None
    output_config: OutputConfig | None = None
    service_tier: Typed | None = None
    system: Raw = Raw()
    messages: Raw = Raw()
    tool_config: ToolConfig | None = None

    def fits(self) -> bool:
        return self.model_id is not None and bytes(self.messages)[:1] == b"["

    def write(self, call: Call) -> None:
        call.system_instructions = content_parts(loads(self.system)) or None
        set_input(call, self.messages, _input_messages)
        tools = loads(self.tool_config.tools) if self.tool_config is not None else None
        call.tool_definitions = [found for item in parts.items(tools) if (found := _definition(item))] or None


class CacheDetail(Struct, rename="camel"):
    ttl: str | None = None
    input_tokens: Count | None = None


class TokenUsage(Struct, rename="camel"):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_write_input_tokens: Count | None = None
    nova_cache_read: Count | None = field(name="cacheReadInputTokenCount", default=None)
    nova_cache_write: Count | None = field(name="cacheWriteInputTokenCount", default=None)
    cache_details: list[CacheDetail] | None = None
    """What was written to the cache, by how long it is kept there."""


class Output(Struct):
    message: Raw = Raw()


class ConverseResponse(Struct, rename="camel"):
    stop_reason: str | None = None
    usage: TokenUsage | None = None
    service_tier: Typed | None = None
    output: Output | None = None


class BlockStart(Struct, rename="camel"):
    content_block_index: int | None = None
    start: Raw = Raw()


class BlockDelta(Struct, rename="camel"):
    content_block_index: int | None = None
    delta: Raw = Raw()


class MessageStop(Struct, rename="camel"):
    stop_reason: str | None = None


class Metadata(Struct, rename="camel"):
    usage: TokenUsage | None = None
    service_tier: Typed | None = None


class Event(Struct, rename="camel"):
    """A stream's event has one of these."""

    content_block_start: BlockStart | None = None
    content_block_delta: BlockDelta | None = None
    message_stop: MessageStop | None = None
    metadata: Metadata | None = None
    error: Raw = Raw()


_read_request = Reader(ConverseRequest)
_read_response = Reader(ConverseResponse)
_read_event = Reader(Event)


def read_request(body: bytes, call: Call) -> ConverseRequest | None:
    request = _read_request(body)
    if request is not None:
        request.model_id = call.request_model = call.request_model or request.model_id
        _set_request(request, call)
    return request


def _set_request(request: ConverseRequest, call: Call) -> None:
    config = request.inference_config or InferenceConfig()
    fields = request.additional_model_request_fields or ModelFields(nova_reasoning=request.reasoning_config)
    nova = fields.nova_inference or config
    call.max_tokens = config.max_tokens or config.nova_max_tokens
    call.temperature = config.temperature
    call.top_p = config.top_p
    call.top_k = nova.top_k if fields.top_k is None else fields.top_k
    call.stop_sequences = config.stop_sequences
    call.reasoning_level = fields.effort()
    call.request_service_tier = request.service_tier.type if request.service_tier is not None else None
    if (output := request.output_config) is not None:
        call.reasoning_level = output.effort or call.reasoning_level
        call.output_type = "json" if output.text_format and output.text_format.type == "json_schema" else None


def read_response(body: bytes, call: Call) -> None:
    response = _read_response(body)
    if response is None:
        return
    call.complete = True
    call.finish_reasons = [response.stop_reason] if response.stop_reason else None
    _set_end(response, call)
    if call.capture:
        message = loads(response.output.message) if response.output is not None else None
        content = message.get("content") if isinstance(message, dict) else None
        call.output_messages = [_output(content_parts(content), response.stop_reason)]


def _set_end(end: ConverseResponse | Metadata, call: Call) -> None:
    if end.usage is not None:
        set_usage(end.usage, call)
    if end.service_tier is not None:
        call.service_tier = end.service_tier.type


def set_usage(stated: TokenUsage, call: Call) -> None:
    """Puts stated usage on the call, total input included."""
    kept_an_hour = (detail.input_tokens for detail in stated.cache_details or () if detail.ttl == "1h")
    anthropic_messages.set_usage(
        MessagesUsage(
            input_tokens=stated.input_tokens,
            output_tokens=stated.output_tokens,
            cache_read_input_tokens=first(stated.cache_read_input_tokens, stated.nova_cache_read),
            cache_creation_input_tokens=first(stated.cache_write_input_tokens, stated.nova_cache_write),
            cache_creation=CacheCreation(next(kept_an_hour, 0)) if stated.cache_details else None,
        ),
        call,
    )


def first(*values: T | None) -> T | None:
    """The first that is there, where one thing has several names."""
    return next((value for value in values if value is not None), None)


class ConverseStream:
    """Reads the events of one streamed answer."""

    last = False
    marks: tuple[bytes, ...] = (b"messageStop", b"metadata")

    def __init__(self, call: Call) -> None:
        self._call = call
        self.every = call.capture
        self._stop_reason: str | None = None
        self._blocks: dict[int, _Block] = {}

    def event(self, data: bytes) -> None:
        event = _read_event(data)
        if event is None:
            return
        if bytes(event.error):
            set_error(loads(event.error), self._call)
        if event.message_stop is not None:
            self._call.complete = True
            self._stop_reason = event.message_stop.stop_reason
        if event.metadata is not None:
            _set_end(event.metadata, self._call)
        if self._call.capture:
            self._content(event)

    def close(self) -> None:
        call = self._call
        call.finish_reasons = [self._stop_reason] if self._stop_reason else None
        if call.capture:
            found = content_parts([block for index in sorted(self._blocks) for block in self._blocks[index].content()])
            call.output_messages = [_output(found, self._stop_reason)] if found or self._stop_reason else []

    def _content(self, event: Event) -> None:
        if (start := event.content_block_start) is not None:
            self._blocks[start.content_block_index or 0] = _Block(loads(start.start))
        if (piece := event.content_block_delta) is not None and isinstance(delta := loads(piece.delta), dict):
            self._blocks.setdefault(piece.content_block_index or 0, _Block({})).add(delta)


class _Block:
    """One content block of a stream, put together from its deltas into the shape that a whole answer has."""

    def __init__(self, start: Any) -> None:
        items = start.items() if isinstance(start, dict) else ()
        self._start = {kind: item for kind, item in items if isinstance(item, dict)}
        self._pieces: dict[str, list[str]] = {"text": [], "thought": [], "input": []}
        self._others: dict[str, dict[str, Any]] = {}
        self._told: list[Any] = []

    def add(self, delta: dict[str, Any]) -> None:
        match delta:
            case {"text": str(piece)}:
                self._pieces["text"].append(piece)
            case {"toolUse": {"input": str(piece)}}:
                self._pieces["input"].append(piece)
            case {"reasoningContent": {"text": str(piece)}}:
                self._pieces["thought"].append(piece)
            case {"reasoningContent": {"redactedContent": _}}:
                self._others["reasoningContent"] = {"redactedContent": ""}
            case {"toolResult": list(told)}:
                self._told += told
            case {"image": dict(image)}:
                self._others["image"] = image

    def content(self) -> list[dict[str, Any]]:
        text, thought, arguments = ("".join(self._pieces[key]) for key in ("text", "thought", "input"))
        found: list[dict[str, Any]] = []
        if thought:
            found.append({"reasoningContent": {"reasoningText": {"text": thought}}})
        if text:
            found.append({"text": text})
        kinds = dict.fromkeys((*self._start, *self._others))
        return found + [{kind: self._whole(kind, arguments)} for kind in kinds]

    def _whole(self, kind: str, arguments: str) -> dict[str, Any]:
        whole = self._start.get(kind, {}) | self._others.get(kind, {})
        if kind == "toolUse":
            parsed = loads(arguments.encode("utf-8", "surrogatepass")) if arguments else {}
            whole["input"] = arguments if parsed is None else parsed
        elif kind == "toolResult":
            whole["content"] = self._told
        return whole


def _input_messages(given: Any) -> list[Message]:
    return parts.each(given, _input_message)


def _input_message(item: dict[str, Any]) -> Message:
    return parts.message(item.get("role"), content_parts(item.get("content")))


def content_parts(content: Any) -> list[Message]:
    """The parts of a list of blocks; where the cache ends is none."""
    return parts.each([block for block in parts.items(content) if "cachePoint" not in block], _part)


def _part(block: dict[str, Any]) -> Message:
    match block:
        case {"text": str(content)} | {"text": {"text": str(content)}}:
            return parts.text(content)
        case {"toolUse": dict() as use}:
            return _tool_use(use)
        case {"toolResult": dict() as result}:
            return _tool_result(result)
        case {"reasoningContent": {"reasoningText": {"text": thought}}}:
            return parts.reasoning(thought)
        case {"citationsContent": {"content": cited}}:
            return parts.text("".join(str(item.get("text", "")) for item in parts.items(cited)))
        case {"guardContent": dict() as inner}:
            return _part(inner)
        case _:
            return _media(block)


def _tool_use(use: dict[str, Any]) -> Message:
    call_id, name, arguments = use.get("toolUseId"), use.get("name"), use.get("input")
    if use.get("type") == "server_tool_use":
        return parts.server_tool_call(call_id, name, {"type": "server_tool_use", "input": arguments})
    return parts.tool_call(call_id, name, arguments)


def _tool_result(result: dict[str, Any]) -> Message:
    call_id, kind = result.get("toolUseId"), result.get("type")
    if isinstance(kind, str) and kind != "tool_result":  # such as `nova_grounding_result`
        return parts.server_tool_response(call_id, {"type": kind})
    told = [item["json"] if "json" in item else _part(item) for item in parts.items(result.get("content"))]
    return parts.tool_response(call_id, told)


def _media(block: dict[str, Any]) -> Message:
    kind = next(iter(block), "unknown")
    item = block.get(kind)
    if kind not in _MEDIA or not isinstance(item, dict):
        return parts.generic({"type": kind})
    mime_type = _mime_type(kind, item.get("format"))
    match item.get("source"):
        case {"text": str(content)}:
            return parts.text(content)
        case {"content": list(blocks)}:
            return parts.text("".join(str(inner.get("text", "")) for inner in parts.items(blocks)))
        case {"s3Location": {"uri": uri}}:
            return parts.media(kind, uri, mime_type)
        case {"bytes": data}:
            return parts.blob(kind, data, mime_type)
        case _:
            return parts.generic({"type": kind})


def _mime_type(kind: str, name: Any) -> str | None:
    if not isinstance(name, str):
        return None
    return _DOCUMENT_TYPES.get(name) if kind == "document" else f"{kind}/{name}"


def _definition(item: dict[str, Any]) -> Message | None:
    match item:
        case {"toolSpec": dict() as spec}:
            schema = spec.get("inputSchema")
            parameters = schema.get("json") if isinstance(schema, dict) else None
            return parts.function_definition(spec.get("name"), spec.get("description"), parameters)
        case {"systemTool": {"name": str(name)}}:
            return {"type": "systemTool", "name": name}
    return None


def _output(found: list[Message], stop_reason: str | None) -> Message:
    return parts.output(found, _FINISH_REASONS.get(stop_reason or "", stop_reason))


BEDROCK_CONVERSE = Format("bedrock.converse", "chat", "aws.bedrock", read_request, read_response, ConverseStream)
BEDROCK_CONVERSE_STREAM = BEDROCK_CONVERSE._replace(name="bedrock.converse_stream", streams=True)
