"""Messages and their parts as the GenAI conventions' JSON schemas have them, built from what providers send.

Binary content is described (size in bytes, sha256), not copied. Tool arguments become objects where they are JSON.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any

from llmtrace_otel.wire.call import Message
from llmtrace_otel.wire.decode import loads

FINISH_REASONS = {
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "tool_use": "tool_call",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
"""Providers' reasons that have a well-known value in the message schema; the others are kept as they are."""


_RESERVED = frozenset(
    {
        "text",
        "reasoning",
        "tool_call",
        "tool_call_response",
        "server_tool_call",
        "server_tool_call_response",
        "blob",
        "file",
        "uri",
        "compaction",
    }
)
"""Types whose parts have required fields."""


def message(role: Any, parts: list[Message], name: Any = None) -> Message:
    found: Message = {"role": role if isinstance(role, str) else "user", "parts": parts}
    if isinstance(name, str):
        found["name"] = name
    return found


def output(parts: list[Message], finish_reason: str | None, role: str = "assistant") -> Message:
    reason = FINISH_REASONS.get(finish_reason or "", finish_reason)
    return {"role": role, "parts": parts, "finish_reason": reason or "error"}


def spoken(pieces: list[str], finish_reasons: list[str] | None) -> Message:
    """An answer that is one text, which came in pieces."""
    whole = "".join(pieces)
    return output([text(whole)] if whole else [], finish_reasons[0] if finish_reasons else None)


def text(content: Any) -> Message:
    return {"type": "text", "content": content if isinstance(content, str) else str(content)}


def reasoning(content: Any) -> Message:
    return {"type": "reasoning", "content": content if isinstance(content, str) else str(content)}


def tool_call(call_id: Any, name: Any, arguments: Any) -> Message:
    part: Message = {"type": "tool_call", "name": name if isinstance(name, str) else ""}
    if isinstance(call_id, str) and call_id:
        part["id"] = call_id
    if arguments is not None:
        part["arguments"] = _object(arguments)
    return part


def tool_response(call_id: Any, response: Any) -> Message:
    part: Message = {"type": "tool_call_response", "response": response}
    if isinstance(call_id, str) and call_id:
        part["id"] = call_id
    return part


def server_tool_call(call_id: Any, name: Any, details: Message) -> Message:
    part: Message = {"type": "server_tool_call", "name": str(name), "server_tool_call": details}
    if isinstance(call_id, str) and call_id:
        part["id"] = call_id
    return part


def server_tool_response(call_id: Any, details: Message) -> Message:
    part: Message = {"type": "server_tool_call_response", "server_tool_call_response": details}
    if isinstance(call_id, str) and call_id:
        part["id"] = call_id
    return part


def media(modality: str, source: Any, mime_type: Any = None) -> Message:
    """An image, a sound or a document given as a URL or a `data:` URL."""
    if not isinstance(source, str):
        return {"type": modality}
    if source.startswith("data:"):
        head, _, data = source[5:].partition(",")
        return blob(modality, data, head.partition(";")[0] or mime_type)
    part: Message = {"type": "uri", "modality": modality, "uri": source}
    if isinstance(mime_type, str):
        part["mime_type"] = mime_type
    return part


def blob(modality: str, data: Any, mime_type: Any = None) -> Message:
    """Base64 content, told by its size and hash instead of copied."""
    raw = _from_base64(data)
    part: Message = {"type": "blob", "modality": modality, "content": ""}
    if isinstance(mime_type, str) and mime_type:
        part["mime_type"] = mime_type
    if raw is not None:
        part["size"] = len(raw)
        part["sha256"] = hashlib.sha256(raw).hexdigest()
    return part


def file(modality: str, file_id: Any) -> Message:
    return {"type": "file", "modality": modality, "file_id": str(file_id)}


def generic(item: Any) -> Message:
    """A part of a kind that the schema has no name for: its own type, nothing copied but short strings."""
    kind = item.get("type") if isinstance(item, dict) else None
    return {"type": kind if isinstance(kind, str) and kind and kind not in _RESERVED else "unknown"}


def function_definition(name: Any, description: Any, parameters: Any) -> Message | None:
    if not isinstance(name, str):
        return None
    found: Message = {"type": "function", "name": name}
    if isinstance(description, str):
        found["description"] = description
    if isinstance(parameters, dict):
        found["parameters"] = parameters
    return found


def items(value: Any) -> list[dict[str, Any]]:
    """The objects of a list that may be anything."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def each(value: Any, build: Callable[[dict[str, Any]], Message]) -> list[Message]:
    """A message or part for each object of a list; one of a surprising shape loses itself, not the others."""
    return [_built(item, build) for item in items(value)]


def tool_content(value: Any, build: Callable[[dict[str, Any]], Message]) -> Any:
    """What a tool gave back: typed items become parts, so that no binary is copied; anything else stays as it is."""
    if not isinstance(value, list):
        return value
    return [
        _built(item, build) if isinstance(item, dict) and isinstance(item.get("type"), str) else item for item in value
    ]


def _built(item: dict[str, Any], build: Callable[[dict[str, Any]], Message]) -> Message:
    try:
        return build(item)
    except Exception:
        return message(item["role"], []) if "role" in item else generic(item)


def _object(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    parsed = loads(arguments.encode("utf-8", "surrogatepass"))
    return arguments if parsed is None else parsed


def _from_base64(data: Any) -> bytes | None:
    if not isinstance(data, str):
        return None
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError):
        return None
