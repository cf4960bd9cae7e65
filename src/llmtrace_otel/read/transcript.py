"""What was said, as people read it: who speaks, and the text of each part, a tool call as `→ name(arguments)`.

Texts are as recorded, line breaks included: whoever prints them cleans them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from llmtrace_otel.read.conversation import LEFT_OUT, Gap, Turn, earlier
from llmtrace_otel.read.text import size
from llmtrace_otel.telemetry import semconv
from llmtrace_otel.telemetry.content import encoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmtrace_otel.read.conversation import Message

Kind = Literal["text", "thought", "call", "result", "media", "note"]

EXPECTED: Final = (None, "stop", "tool_call")
"""Finish reasons that need no mention."""
IN_RESULTS: Final = ("text", "blob", "uri", "file")


class Line(NamedTuple):
    """One part of what somebody said. The role is empty where the speaker goes on."""

    role: str
    kind: Kind
    text: str


def whole(turn: Turn) -> Iterator[Line]:
    """All that the model was given, and what it answered."""
    yield from _setting(turn.system_instructions, turn.tool_definitions)
    yield from _spoken(turn.input())
    yield from _answers(turn)


def news(turn: Turn) -> Iterator[Line]:
    """What the model was given that the conversation did not have before, and what it answered."""
    yield from _setting(*_new_setting(turn))
    if turn.before is not None:
        trace = turn.before.span.trace_id
        where = "" if trace == turn.span.trace_id else f", see trace {trace[:8]}"
        yield Line("", "note", earlier(turn.shared) + where)
    yield from _spoken([turn.gap] if turn.gap else [])
    yield from _spoken(turn.new)
    yield from _answers(turn)


def _new_setting(turn: Turn) -> tuple[list[Message] | None, list[Message] | None]:
    before = turn.before
    if before is None:
        return turn.system_instructions, turn.tool_definitions
    return (
        None if turn.system_instructions == before.system_instructions else turn.system_instructions,
        None if turn.tool_definitions == before.tool_definitions else turn.tool_definitions,
    )


def _setting(instructions: list[Message] | None, tools: list[Message] | None) -> Iterator[Line]:
    if instructions:
        yield from _parts("system", instructions)
    if tools:
        yield Line("tools", "note", ", ".join(map(_definition, tools)))


def _definition(tool: Message) -> str:
    """`get_weather(city, unit)`"""
    schema = tool.get("parameters")
    fields = schema.get("properties") if isinstance(schema, dict) else None
    name = str(tool.get("name") or tool.get("content") or "?")
    return f"{name}({', '.join(fields)})" if isinstance(fields, dict) else name


def _spoken(messages: Iterable[Message | Gap]) -> Iterator[Line]:
    for message in messages:
        if isinstance(message, Gap):
            yield Line("", "note", str(message))
        else:
            yield from _message(message)


def _answers(turn: Turn) -> Iterator[Line]:
    yield from _spoken(turn.answers)
    if left_out := turn.span.count(semconv.CONTENT_OMITTED_ITEMS):
        yield Line("", "note", f"… {left_out} more of answers, instructions and tools, {LEFT_OUT}")


def _message(message: Message) -> Iterator[Line]:
    role = str(message.get("role", "?"))
    parts = message.get("parts", message.get("content"))
    reason = message.get("finish_reason")
    yield from _parts(role, parts if isinstance(parts, list) else [parts])
    if reason not in EXPECTED:
        yield Line("", "note", f"(finish reason: {reason})")


def _parts(role: str, parts: list[Any]) -> Iterator[Line]:
    for part in parts or [{"type": "nothing"}]:
        yield Line(role, *_part(part))
        role = ""


def _part(part: Any) -> tuple[Kind, str]:
    if not isinstance(part, dict):
        return "text", _text(part)
    match part.get("type"):
        case "text":
            return "text", _text(part.get("content"))
        case "reasoning":
            return "thought", f"(thinking) {_text(part.get('content'))}"
        case "tool_call":
            return "call", f"→ {part.get('name', '?')}({_arguments(part.get('arguments'))})"
        case "tool_call_response":
            return "result", f"← {_result(part.get('response', part.get('result')))}"
        case "server_tool_call":
            return "call", f"→ {part.get('name', '?')}({_arguments(_without_type(part.get('server_tool_call')))})"
        case "server_tool_call_response":
            return "result", f"← {_result(_without_type(part.get('server_tool_call_response')))}"
        case _:
            return "media", f"[{', '.join(_described(part))}]"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else encoded(value)


def _arguments(arguments: Any) -> str:
    """`city="Paris", days=3`"""
    if isinstance(arguments, dict):
        return ", ".join(f"{name}={encoded(value)}" for name, value in arguments.items())
    return "" if arguments is None else _text(arguments)


def _result(response: Any) -> str:
    """A text as it is, typed parts as in a message, anything else as JSON."""
    typed = isinstance(response, list) and all(
        isinstance(part, dict) and part.get("type") in IN_RESULTS for part in response
    )
    if typed and response:
        return "\n".join(text for _, text in map(_part, response))
    return _text(response)


def _without_type(details: Any) -> Any:
    return {name: value for name, value in details.items() if name != "type"} if isinstance(details, dict) else details


def _described(part: Message) -> Iterator[str]:
    """`image`, `image/png`, `12.3 kB`, `sha256 9f86d081`: what there is to say of what is no text."""
    yield str(part.get("modality") or part.get("type") or "?")
    yield from (str(part[name]) for name in ("mime_type", "uri", "file_id") if part.get(name))
    if isinstance(count := part.get("size"), int):
        yield size(count)
    if isinstance(digest := part.get("sha256"), str):
        yield f"sha256 {digest[:8]}"
