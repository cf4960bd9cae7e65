"""Gemini's generateContent and streamGenerateContent: the Gemini API, Vertex AI, and Code Assist's `v1internal:`.

`promptTokenCount` includes cached tokens but not those of tool results, `candidatesTokenCount` excludes thoughts: both
pairs are added. A stream states its counts so far in many of its chunks: the last ones stated count, and none once an
error has ended it. It is Server-Sent Events or, without `alt=sse`, a JSON array in pieces; nothing but a finish reason
says that it is whole.

Code Assist wraps requests in `{"model", "request"}` and answers in `{"response"}`. Protocol buffers' JSON lets
requests name a field `maxOutputTokens` or `max_output_tokens`, and answers name enums or, asked so, number them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Raw, Struct, defstruct, field, json
from msgspec.structs import fields

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Message, Usage
from llmtrace_otel.wire.decode import Count, Integer, Reader, Real, loads
from llmtrace_otel.wire.errors import set_error
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.framing import JSONArray
from llmtrace_otel.wire.sent import set_input

_UPPER = re.compile("[A-Z]")
_FIRST_REASONS = ("", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")
_GEMINI_REASONS = (
    *_FIRST_REASONS,
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_OTHER",
    "NO_IMAGE",
    "IMAGE_RECITATION",
)
"""`Candidate.FinishReason` of google.ai.generativelanguage.v1beta, by number."""
_VERTEX_REASONS = (
    *_FIRST_REASONS,
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "UNEXPECTED_TOOL_CALL",
    "NO_IMAGE",
)
"""`Candidate.FinishReason` of google.cloud.aiplatform.v1beta1, by number: the same names, numbered differently."""
_AUDIO = ("AUDIO", 4)
_TIERS = {
    "ON_DEMAND": "standard",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
    1: "standard",
    3: "priority",
    4: "flex",
}
"""Vertex AI's traffic types, by name and number, as the Gemini API's service tiers, which is how prices name them."""
_FILTERED = "content_filter"
_MESSAGE_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "MODEL_ARMOR",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
        ),
        _FILTERED,
    ),
}


class GenerateRequest(Struct):
    model: str | None = None
    request: Raw = Raw()
    contents: Raw = Raw()
    tools: Raw = Raw()
    system_instruction: Raw = Raw()
    camel_system_instruction: Raw = field(default=Raw(), name="systemInstruction")
    generation_config: Raw = Raw()
    camel_generation_config: Raw = field(default=Raw(), name="generationConfig")
    service_tier: str | None = None
    camel_service_tier: str | None = field(default=None, name="serviceTier")

    def fits(self) -> bool:
        return bytes(self.contents)[:1] in (b"[", b"{")

    def write(self, call: Call) -> None:
        system = _either(self.camel_system_instruction, self.system_instruction)
        call.system_instructions = [part for part in content_parts(system) if part["type"] == "text"] or None
        set_input(call, self.contents, input_messages)
        call.tool_definitions = tool_definitions(loads(self.tools)) or None


class GenerationConfig(Struct):
    """How to generate, in the words that the Interactions API uses too."""

    seed: Integer | None = None
    top_k: Integer | None = None
    top_p: Real | None = None
    temperature: Real | None = None
    max_output_tokens: Count | None = None
    candidate_count: Count | None = None
    stop_sequences: list[str] | None = None
    presence_penalty: Real | None = None
    frequency_penalty: Real | None = None
    response_mime_type: str | None = None
    response_modalities: list[str] | None = None
    thinking_config: dict[str, Any] | None = None
    thinking_level: str | None = None


class ModalityCount(Struct, rename="camel", gc=False):
    modality: str | int | None = None
    token_count: Count | None = None


class UsageMetadata(Struct, rename="camel", gc=False):
    prompt_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    prompt_tokens_details: list[ModalityCount] | None = None
    candidates_tokens_details: list[ModalityCount] | None = None
    cache_tokens_details: list[ModalityCount] | None = None
    service_tier: str | int | None = None
    traffic_type: str | int | None = None


class PromptFeedback(Struct, rename="camel", gc=False):
    block_reason: str | int | None = None


class Candidate(Struct, rename="camel", gc=False):
    index: int | None = None
    finish_reason: str | int | None = None


class Answer(Struct, rename="camel", gc=False):
    """A whole answer, or one chunk of a streamed one, with content off."""

    response_id: str | None = None
    model_version: str | None = None
    candidates: list[Candidate] | None = None
    usage_metadata: UsageMetadata | None = None
    prompt_feedback: PromptFeedback | None = None
    error: Any = None

    @property
    def is_blocked(self) -> bool:
        """The prompt was refused, so that there are no candidates."""
        return self.prompt_feedback is not None and bool(self.prompt_feedback.block_reason)


class MaybeWrapped(Answer, gc=False):
    """An answer, or Code Assist's wrapper around one."""

    response: Answer | None = None


class FullCandidate(Candidate, rename="camel", gc=False):
    content: Any = None


class FullAnswer(Answer, rename="camel", gc=False):
    """The same with content on."""

    candidates: list[FullCandidate] | None = None  # type: ignore[assignment]


class FullMaybeWrapped(FullAnswer, rename="camel", gc=False):
    response: FullAnswer | None = None


# What nearly all chunks of a stream say: pieces of text, of an answer or of a thought. A content or a part with any
# other key does not fit, so that what fits says the same as a `FullAnswer`.


class PlainPart(Struct, rename="camel", gc=False, forbid_unknown_fields=True):
    text: str | None = None
    thought: Any = None
    thought_signature: Any = None


class PlainContent(Struct, gc=False, forbid_unknown_fields=True):
    parts: list[PlainPart] | None = None
    role: Any = None


class PlainCandidate(FullCandidate, rename="camel", gc=False):
    content: PlainContent | None = None


class PlainAnswer(FullAnswer, rename="camel", gc=False):
    candidates: list[PlainCandidate] | None = None  # type: ignore[assignment]


class PlainMaybeWrapped(PlainAnswer, rename="camel", gc=False):
    response: PlainAnswer | None = None


_read_request = Reader(GenerateRequest)
_read_config = Reader(GenerationConfig)
_read_camel_config: Reader[Any] = Reader(
    defstruct("CamelConfig", [(known.name, known.type, None) for known in fields(GenerationConfig)], rename="camel")
)
"""The same, in the words that JSON usually has."""
_read_answer = Reader(MaybeWrapped)
_read_full_answer = Reader(FullMaybeWrapped)
_read_plain_answer = Reader(PlainMaybeWrapped)


def read_request(body: bytes, call: Call) -> GenerateRequest | None:
    request = _read_request(body)
    if request is None:
        return None
    if request.model:  # Code Assist's paths name no model
        call.request_model = call.request_model or request.model.rpartition("/")[2]
    if bytes(request.request):
        request = _read_request(request.request) or request
    call.request_service_tier = request.camel_service_tier or request.service_tier
    given = bytes(request.camel_generation_config) or bytes(request.generation_config)
    if given:
        set_config(_read_camel_config(given) if b"_" not in given else read_config(loads(given)), call)
    return request


def _either(camel: Raw, snake: Raw) -> Any:
    return loads(camel if bytes(camel) else snake)


def read_config(given: Any) -> GenerationConfig | None:
    """How to generate, whatever its spelling is."""
    return _read_config(json.encode(snake_keys(given)))


def set_config(config: GenerationConfig | None, call: Call) -> None:
    """Puts what a request says of how to generate on the call."""
    if config is None:
        return
    level = config.thinking_level
    if config.thinking_config:
        level = snake_keys(config.thinking_config).get("thinking_level") or level
    call.seed = config.seed
    call.top_k = config.top_k
    call.top_p = config.top_p
    call.temperature = config.temperature
    call.max_tokens = config.max_output_tokens
    call.choice_count = config.candidate_count if config.candidate_count != 1 else None
    call.stop_sequences = config.stop_sequences
    call.presence_penalty = config.presence_penalty
    call.frequency_penalty = config.frequency_penalty
    call.reasoning_level = level if isinstance(level, str) else None
    if config.response_modalities or config.response_mime_type:
        call.output_type = output_type(config.response_modalities, config.response_mime_type)


def output_type(modalities: list[str] | None, mime_type: str | None) -> str | None:
    """The conventions' word for what a request wants to get; `None` when it does not say."""
    wanted = {modality.upper() for modality in modalities or ()}
    if "IMAGE" in wanted:
        return "image"
    if "AUDIO" in wanted:
        return "speech"
    if mime_type == "application/json":
        return "json"
    return "text" if mime_type == "text/plain" or "TEXT" in wanted else None


def read_response(body: bytes, call: Call) -> None:
    found = (_read_full_answer if call.capture else _read_answer)(body)
    if found is None:
        return
    answer = found.response or found
    call.complete = True
    _identify(answer, call)
    _set_usage(answer.usage_metadata, call)
    candidates = answer.candidates or []
    if len(candidates) > 1:
        candidates.sort(key=lambda candidate: candidate.index or 0)
    reasons = [_reason(candidate, call) for candidate in candidates]
    call.finish_reasons = [reason for reason in reasons if reason] or None
    if call.capture:
        call.output_messages = [
            _output(content_parts(candidate.content), reason)
            for candidate, reason in zip(candidates, reasons, strict=True)
            if isinstance(candidate, FullCandidate)
        ] or _refusal(answer.is_blocked)


class GenerateStream:
    """Reads the chunks of one streamed answer."""

    last = True  # the counts so far; and an error, which ends a stream
    marks: tuple[bytes, ...] = (b'"finishReason"',)

    def __init__(self, call: Call) -> None:
        self.every = True
        self._call = call
        self._read = _read_full_answer if call.capture else _read_answer
        self.lines = _lines if call.capture else None
        self._reasons: dict[int, str] = {}
        self._contents: defaultdict[int, list[Message]] = defaultdict(list)
        self._stated: UsageMetadata | None = None
        """What was counted last, and is not on the call yet: most chunks only count on from the one before."""
        self._blocked = False

    def event(self, data: bytes) -> None:
        found, call = self._read(data), self._call
        if found is not None:
            self.take(found)
            if call.response_id and call.response_model and not call.capture:
                self.every = False  # from here on the marks, and the last event, tell what is needed

    def take(self, found: MaybeWrapped | FullMaybeWrapped | PlainMaybeWrapped) -> None:
        answer, call = found.response or found, self._call
        if answer.error:
            set_error(answer.error, call)
            self._set_usage()
            call.usage = None
            return
        if not (call.response_id and call.response_model):
            _identify(answer, call)
        if (stated := answer.usage_metadata) is not None:
            if not (self._stated is None or _counts_on(self._stated, stated)):
                self._set_usage()
            self._stated = stated
        if answer.prompt_feedback is not None:
            self._blocked = self._blocked or answer.is_blocked
        for candidate in answer.candidates or ():
            self._candidate(candidate)

    def close(self) -> None:
        call = self._call
        self._set_usage()
        call.complete = bool(self._reasons) or self._blocked
        call.finish_reasons = [self._reasons[index] for index in sorted(self._reasons)] or None
        if call.capture:
            call.output_messages = [
                _output(joined(self._contents[index]), self._reasons.get(index)) for index in sorted(self._contents)
            ] or _refusal(self._blocked)

    def _candidate(self, candidate: Candidate) -> None:
        index = candidate.index or 0
        if candidate.finish_reason and (reason := _reason(candidate, self._call)):
            self._reasons[index] = reason
        match candidate:
            case PlainCandidate():
                given = candidate.content.parts if candidate.content else None
                self._contents[index] += [
                    {"type": "reasoning" if part.thought else "text", "content": part.text}
                    for part in given or ()
                    if part.text
                ]
            case FullCandidate():
                self._contents[index] += content_parts(candidate.content)

    def _set_usage(self) -> None:
        _set_usage(self._stated, self._call)
        self._stated = None


def _lines(text: bytes) -> list[PlainMaybeWrapped] | list[FullMaybeWrapped] | None:
    """The chunks of `text`: plain ones, if they all are."""
    return _read_plain_answer.lines(text) or _read_full_answer.lines(text)


def _identify(answer: Answer, call: Call) -> None:
    call.response_id = call.response_id or answer.response_id or None
    call.response_model = call.response_model or answer.model_version or None


def _reason(candidate: Candidate, call: Call) -> str | None:
    stated = candidate.finish_reason
    if not isinstance(stated, int):
        return stated or None
    names = _VERTEX_REASONS if call.provider == "gcp.vertex_ai" else _GEMINI_REASONS
    return (names[stated] if 0 <= stated < len(names) else str(stated)) or None


def _counts_on(before: UsageMetadata, after: UsageMetadata) -> bool:
    """Whether `after` states all that `before` does, so that nothing is left of that."""
    return (
        after.prompt_token_count is not None
        and after.tool_use_prompt_token_count is None
        and after.service_tier == before.service_tier
        and after.traffic_type == before.traffic_type
    )


def _set_usage(stated: UsageMetadata | None, call: Call) -> None:
    if stated is None:
        return
    total_input = added(stated.prompt_token_count, stated.tool_use_prompt_token_count)
    output = added(stated.candidates_token_count, stated.thoughts_token_count)
    tier = stated.service_tier or _TIERS.get(stated.traffic_type or "")
    call.service_tier = tier.lower() if isinstance(tier, str) else call.service_tier
    if total_input is not None or output is not None:
        call.usage = Usage(
            input=total_input,
            output=output,
            cache_read=stated.cached_content_token_count,
            reasoning=stated.thoughts_token_count,
            input_audio=_audio(stated.prompt_tokens_details),
            cached_audio=(_audio(cached) or 0) if (cached := stated.cache_tokens_details) else None,
            output_audio=_audio(stated.candidates_tokens_details),
        )


def added(*counts: int | None) -> int | None:
    """The sum of those counts that are stated; `None` when none is, or when nobody could carry it."""
    total = None
    for count in counts:
        if count is not None:
            total = count if total is None else total + count
    return total if total is None or total < 2**63 else None


def _audio(details: list[ModalityCount] | None) -> int | None:
    if details is None:
        return None
    return added(*[detail.token_count for detail in details if detail.modality in _AUDIO])


def _output(found: list[Message], reason: str | None) -> Message:
    if reason == "STOP" and any(part["type"] == "tool_call" for part in found):
        return parts.output(found, "tool_call")
    return parts.output(found, _MESSAGE_REASONS.get(reason or "", reason))


def _refusal(blocked: bool) -> list[Message]:
    return [parts.output([], _FILTERED)] if blocked else []


_IN_PIECES = ("text", "reasoning")


def joined(found: Iterable[Message]) -> list[Message]:
    """The parts of a stream, with the pieces of each text and of each thought put together."""
    whole: list[Message] = []
    pieces: list[str] = []
    for part in found:
        kind = part["type"]
        if kind not in _IN_PIECES:
            whole.append(part)
        elif whole and whole[-1]["type"] == kind:
            pieces.append(part["content"])
        else:
            pieces = [part["content"]]
            whole.append({"type": kind, "content": pieces})
    return [{**part, "content": "".join(part["content"])} if part["type"] in _IN_PIECES else part for part in whole]


def listed(value: Any) -> list[dict[str, Any]]:
    """The objects of a repeated field, which may be written as its only item."""
    return parts.items([value] if isinstance(value, dict) else value)


def snake_keys(value: Any) -> dict[str, Any]:
    """An object's own keys spelt with underscores, however they were spelt; nothing for what is no object."""
    if not isinstance(value, dict):
        return {}
    return {_UPPER.sub(lambda upper: "_" + upper[0].lower(), key): item for key, item in value.items()}


def speaker(role: Any) -> Any:
    """The conventions' word for the role of a message."""
    return {"model": "assistant", "function": "tool"}.get(role, role) if isinstance(role, str) else role


def input_messages(given: Any) -> list[Message]:
    return parts.each(listed(given), input_message)


def input_message(content: dict[str, Any]) -> Message:
    return parts.message(speaker(content.get("role")), content_parts(content))


def content_parts(content: Any) -> list[Message]:
    """The parts of a `Content`, without those that say nothing."""
    given = content.get("parts") if isinstance(content, dict) else None
    items = given if isinstance(given, list) else [given]
    return [part for item in items if isinstance(item, dict) and (part := _part(item)) is not None]


def _part(item: dict[str, Any]) -> Message | None:
    if text := item.get("text"):
        return parts.reasoning(text) if item.get("thought") else parts.text(text)
    item = snake_keys(item)
    for kind, build in _PARTS.items():
        if isinstance(item.get(kind), dict):
            return build(snake_keys(item[kind]))
    unknown = next((kind for kind in item if kind not in _SAYING_NOTHING), None)
    return parts.generic({"type": unknown}) if unknown else None


def _function_call(call: dict[str, Any]) -> Message | None:
    # Arguments that are streamed go on in calls without a name; they are left out.
    return parts.tool_call(call.get("id"), call["name"], call.get("args")) if call.get("name") else None


def _function_response(told: dict[str, Any]) -> Message:
    return parts.tool_response(told.get("id"), told.get("response"))


def _inline_data(data: dict[str, Any]) -> Message:
    return parts.blob(modality_of(data.get("mime_type")), data.get("data"), data.get("mime_type"))


def _file_data(data: dict[str, Any]) -> Message:
    return parts.media(modality_of(data.get("mime_type")), data.get("file_uri"), data.get("mime_type"))


def _executable_code(code: dict[str, Any]) -> Message:
    details = {"type": "code_execution", "language": code.get("language"), "code": code.get("code")}
    return parts.server_tool_call(code.get("id"), "code_execution", details)


def _code_result(told: dict[str, Any]) -> Message:
    details = {"type": "code_execution", "outcome": told.get("outcome"), "output": told.get("output")}
    return parts.server_tool_response(told.get("id"), details)


def _tool_call(call: dict[str, Any]) -> Message:
    kind = str(call.get("tool_type"))
    return parts.server_tool_call(call.get("id"), kind, {"type": kind, "args": call.get("args")})


def _tool_response(told: dict[str, Any]) -> Message:
    return parts.server_tool_response(told.get("id"), {"type": str(told.get("tool_type"))})


_PARTS: dict[str, Callable[[dict[str, Any]], Message | None]] = {
    "function_call": _function_call,
    "function_response": _function_response,
    "inline_data": _inline_data,
    "file_data": _file_data,
    "executable_code": _executable_code,
    "code_execution_result": _code_result,
    "tool_call": _tool_call,
    "tool_response": _tool_response,
}
_SAYING_NOTHING = ("text", "thought", "thought_signature", "part_metadata", *_PARTS)


def modality_of(mime_type: Any) -> str:
    """`image`, `audio` or `video` for what is one, else `document`."""
    kind = mime_type.partition("/")[0] if isinstance(mime_type, str) else ""
    return kind if kind in ("image", "audio", "video") else "document"


def tool_definitions(tools: Any) -> list[Message]:
    """Declared functions flattened, as the conventions want them; Google's own tools by name."""
    return [found for tool in listed(tools) for found in _definitions(snake_keys(tool))]


def _definitions(tool: dict[str, Any]) -> list[Message]:
    declared = [_declaration(snake_keys(item)) for item in listed(tool.pop("function_declarations", None))]
    own: list[Message] = [{"type": kind, "name": kind} for kind, options in tool.items() if options is not None]
    return [found for found in declared if found is not None] + own


def _declaration(item: dict[str, Any]) -> Message | None:
    parameters = item.get("parameters") or item.get("parameters_json_schema")
    return parts.function_definition(item.get("name"), item.get("description"), parameters)


GEMINI = Format(
    "gemini.generate",
    "generate_content",
    "gcp.gemini",
    read_request,
    read_response,
    GenerateStream,
    framing=JSONArray,
)
GEMINI_STREAM = GEMINI._replace(name="gemini.stream", streams=True)
