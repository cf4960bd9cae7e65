"""Gemini's Interactions: `POST …/interactions` creates, `GET …/interactions/{id}` fetches, JSON and SSE.

An interaction is a list of steps; older revisions call them `outputs`, older ones still in streams, whose events are
`interaction.start`, `content.*` and `interaction.complete` where newer ones say `interaction.created`, `step.*` and
`interaction.completed`. Both end with the status and the usage but leave out the steps, which only the deltas tell.
There is no finish reason on the wire. Fetching an interaction consumes no tokens, so a fetch has no usage.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Message, Usage
from llmtrace_otel.wire.decode import Count, Reader, loads
from llmtrace_otel.wire.errors import UNNAMED, set_error
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.gemini import added, joined, listed, output_type, read_config, set_config, speaker
from llmtrace_otel.wire.openai_responses import FETCH

_MESSAGE_REASONS = {
    "completed": "stop",
    "incomplete": "length",
    "requires_action": "tool_call",
    "failed": "error",
    "cancelled": "error",
}
_OUTPUT_TYPES = {"image": "image", "audio": "speech", "text": "text"}
_MEDIA = ("image", "audio", "video", "document")


class InteractionRequest(Struct):
    model: str | None = None
    agent: str | None = None
    stream: bool | None = None
    previous_interaction_id: str | None = None
    service_tier: str | None = None
    response_mime_type: str | None = None
    response_modalities: list[str] | None = None
    response_format: Raw = Raw()
    generation_config: Raw = Raw()
    system_instruction: Raw = Raw()
    input: Raw = Raw()
    tools: Raw = Raw()

    def fits(self) -> bool:
        return bool(self.model or self.agent) and bytes(self.input)[:1] in (b'"', b"[", b"{")

    def write(self, call: Call) -> None:
        instruction = loads(self.system_instruction)
        call.system_instructions = [parts.text(instruction)] if isinstance(instruction, str) else None
        call.input_messages = input_messages(loads(self.input))
        call.tool_definitions = [_definition(item) for item in parts.items(loads(self.tools))] or None


class ModalityTokens(Struct):
    modality: str | None = None
    tokens: Count | None = None


class InteractionUsage(Struct):
    total_input_tokens: Count | None = None
    total_tool_use_tokens: Count | None = None
    total_cached_tokens: Count | None = None
    total_output_tokens: Count | None = None
    total_thought_tokens: Count | None = None
    total_reasoning_tokens: Count | None = None
    """What older revisions call the thought tokens."""
    input_tokens_by_modality: list[ModalityTokens] | None = None
    output_tokens_by_modality: list[ModalityTokens] | None = None


class Interaction(Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    usage: InteractionUsage | None = None
    service_tier: str | None = None
    steps: Raw = Raw()
    outputs: Raw = Raw()
    errors: Raw = Raw()


class Event(Struct):
    event_type: str | None = None
    interaction: Interaction | None = None
    status: str | None = None
    index: int | None = None
    step: Raw = Raw()
    content: Raw = Raw()
    delta: Raw = Raw()
    error: Raw = Raw()


_read_request = Reader(InteractionRequest)
_read_interaction = Reader(Interaction)
_read_event = Reader(Event)


def read_request(body: bytes, call: Call) -> InteractionRequest | None:
    request = _read_request(body)
    if request is None:
        return None
    set_config(read_config(loads(request.generation_config)), call)
    call.request_model = request.model or call.request_model
    call.stream = request.stream or None
    call.previous_response_id = request.previous_interaction_id
    call.request_service_tier = request.service_tier
    call.output_type = _output_type(request)
    return request


def _output_type(request: InteractionRequest) -> str | None:
    formats = listed(loads(request.response_format))
    if not formats:
        return output_type(request.response_modalities, request.response_mime_type)
    kind, mime_type = formats[0].get("type"), formats[0].get("mime_type")
    if kind == "text" and mime_type == "application/json":
        return "json"
    return _OUTPUT_TYPES.get(kind, "json") if isinstance(kind, str) else "json"  # anything else is a JSON schema


def read_response(body: bytes, call: Call) -> None:
    interaction = _read_interaction(body)
    if interaction is None:
        return
    call.complete = True
    _set_interaction(interaction, call)
    if call.capture:
        told = parts.items(loads(interaction.steps)) or parts.items(loads(interaction.outputs))
        answer = [part for item in told if item.get("type") != "user_input" for part in step_parts(item)]
        call.output_messages = _output(answer, call)


class InteractionStream:
    """Reads the events of one streamed interaction."""

    last = False
    marks: tuple[bytes, ...] = (b'"interaction.', b'"error"')

    def __init__(self, call: Call) -> None:
        self._call = call
        self.every = call.capture
        self._steps: dict[int, _Step] = {}

    def event(self, data: bytes) -> None:
        event = _read_event(data)
        if event is None:
            return
        call = self._call
        match event.event_type:
            case "interaction.created" | "interaction.start" if event.interaction is not None:
                _set_interaction(event.interaction, call)
            case "interaction.completed" | "interaction.complete" if event.interaction is not None:
                call.complete = True
                _set_interaction(event.interaction, call)
            case "interaction.status_update":
                call.response_status = event.status or call.response_status
            case "error":
                set_error(loads(event.error) or {"type": "error"}, call)
            case "step.start" | "content.start" if call.capture:
                self._step(event).start(loads(event.step) or loads(event.content))
            case "step.delta" | "content.delta" if call.capture:
                self._step(event).add(loads(event.delta))

    def close(self) -> None:
        if self._call.capture:
            told = [part for index in sorted(self._steps) for part in self._steps[index].told()]
            self._call.output_messages = _output(joined(told), self._call)

    def _step(self, event: Event) -> _Step:
        return self._steps.setdefault(event.index or 0, _Step())


class _Step:
    """One step of a stream, or one output, put together from its deltas."""

    def __init__(self) -> None:
        self._itself: dict[str, Any] = {}
        self._arguments: list[str] = []
        self._contents: list[dict[str, Any]] = []

    def start(self, step: Any) -> None:
        if isinstance(step, dict):
            self._itself = step

    def add(self, delta: Any) -> None:
        if not isinstance(delta, dict):
            return
        kind = str(delta.get("type"))
        if kind == "arguments_delta":
            self._arguments.append(str(delta.get("arguments") or ""))
        elif kind.endswith(("_call", "_result")):
            self._itself = self._itself | {key: value for key, value in delta.items() if value is not None}
        else:
            self._contents.append(delta)

    def told(self) -> list[Message]:
        itself = self._itself | {"arguments": "".join(self._arguments)} if self._arguments else self._itself
        return [part for item in (itself, *self._contents) for part in step_parts(item)]


def _set_interaction(interaction: Interaction, call: Call) -> None:
    call.response_id = interaction.id or call.response_id
    call.response_model = interaction.model or call.response_model
    call.response_status = interaction.status or call.response_status
    call.service_tier = interaction.service_tier or call.service_tier
    if call.operation == FETCH:
        return
    _set_usage(interaction.usage, call)
    set_error(next(iter(parts.items(loads(interaction.errors))), None), call)
    if interaction.status == "failed":
        call.error_type = call.error_type or UNNAMED


def _set_usage(stated: InteractionUsage | None, call: Call) -> None:
    if stated is None:
        return
    thoughts = stated.total_thought_tokens if stated.total_thought_tokens is not None else stated.total_reasoning_tokens
    usage = Usage(
        input=added(stated.total_input_tokens, stated.total_tool_use_tokens),
        output=added(stated.total_output_tokens, thoughts),
        cache_read=stated.total_cached_tokens,
        reasoning=thoughts,
        input_audio=_audio(stated.input_tokens_by_modality),
        output_audio=_audio(stated.output_tokens_by_modality),
    )
    if usage.input is not None or usage.output is not None:
        call.usage = usage


def _audio(details: list[ModalityTokens] | None) -> int | None:
    return added(*(detail.tokens for detail in details or () if detail.modality == "audio"))


def _output(found: list[Message], call: Call) -> list[Message]:
    status = call.response_status or ""
    return [parts.output(found, _MESSAGE_REASONS.get(status, status))] if found else []


def input_messages(given: Any) -> list[Message]:
    """Input that is a text, contents of one message, turns with a role, or steps; one speaker's items go together."""
    if isinstance(given, str):
        return [parts.message("user", [parts.text(given)])]
    found: list[Message] = []
    for item in listed(given):
        role, told = _speaker(item), step_parts(item)
        if "role" not in item and found and found[-1]["role"] == role:
            found[-1]["parts"] += told
        else:
            found.append(parts.message(role, told))
    return found


def _speaker(item: dict[str, Any]) -> Any:
    kind = item.get("type")
    if "role" in item:
        return speaker(item["role"])
    if kind == "function_result":
        return "tool"
    return "user" if kind in (None, "user_input", "text", *_MEDIA) else "assistant"


def step_parts(item: dict[str, Any]) -> list[Message]:
    """The parts of a step, an output, a delta or a turn."""
    kind = str(item.get("type", ""))
    match kind:
        case "" | "model_output" | "user_input":
            return _contents(item.get("content"))
        case "text" if not item.get("text"):
            return []
        case "thought":
            return _thoughts(item.get("summary")) or _thoughts([item])
        case "thought_summary":
            return _thoughts([item.get("content")])
        case "function_call":
            return [parts.tool_call(item.get("id"), item.get("name"), item.get("arguments"))]
        case "function_result":
            told = parts.tool_content(item.get("result"), content_part)
            return [parts.tool_response(item.get("call_id"), told)]
        case "thought_signature" | "text_annotation_delta":
            return []
        case _ if kind.endswith("_call"):
            details = {"type": kind, "arguments": item.get("arguments")}
            return [parts.server_tool_call(item.get("id"), item.get("name") or kind.removesuffix("_call"), details)]
        case _ if kind.endswith("_result"):
            return [parts.server_tool_response(item.get("call_id"), {"type": kind})]
        case _:
            return [content_part(item)]


def _contents(content: Any) -> list[Message]:
    if isinstance(content, str):
        return [parts.text(content)] if content else []
    return [part for item in listed(content) for part in step_parts(item)]


def _thoughts(summary: Any) -> list[Message]:
    texts = (item.get("text") or item.get("thought") for item in parts.items(summary))
    return [parts.reasoning(text) for text in texts if text]


def content_part(item: dict[str, Any]) -> Message:
    """A text or a medium."""
    kind = item.get("type")
    if kind == "text":
        return parts.text(item.get("text") or "")
    if kind not in _MEDIA:
        return parts.generic(item)
    if item.get("uri"):
        return parts.media(kind, item["uri"], item.get("mime_type"))
    return parts.blob(kind, item.get("data"), item.get("mime_type"))


def _definition(tool: dict[str, Any]) -> Message:
    kind = str(tool.get("type", "function"))
    if kind == "function" and (
        found := parts.function_definition(tool.get("name"), tool.get("description"), tool.get("parameters"))
    ):
        return found
    return {"type": kind, "name": str(tool.get("name") or kind)}


GEMINI_INTERACTIONS = Format(
    "gemini.interactions", "generate_content", "gcp.gemini", read_request, read_response, InteractionStream
)
GEMINI_FETCH_INTERACTION = GEMINI_INTERACTIONS._replace(name="gemini.interactions.get", operation=FETCH)
