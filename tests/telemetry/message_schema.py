"""JSON schemas of message content, after the GenAI conventions (August 2026): messages, instructions, tools."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]

_STRING: dict[str, Any] = {"type": "string"}


def _part(kind: str, **required: dict[str, Any]) -> dict[str, Any]:
    return {
        "if": {"properties": {"type": {"const": kind}}},
        "then": {"required": list(required), "properties": required},
    }


_PART = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": _STRING},
    "allOf": [
        _part("text", content=_STRING),
        _part("reasoning", content=_STRING),
        _part("tool_call", name=_STRING),
        _part("tool_call_response", response={}),
        _part("server_tool_call", name=_STRING, server_tool_call={"type": "object", "required": ["type"]}),
        _part("server_tool_call_response", server_tool_call_response={"type": "object", "required": ["type"]}),
        _part("blob", modality=_STRING, content=_STRING),
        _part("file", modality=_STRING, file_id=_STRING),
        _part("uri", modality=_STRING, uri=_STRING),
    ],
}
_PARTS = {"type": "array", "items": _PART}


def _message(*required: str) -> dict[str, Any]:
    properties = {"role": _STRING, "parts": _PARTS, "finish_reason": _STRING}
    return {"type": "array", "items": {"type": "object", "required": list(required), "properties": properties}}


SCHEMAS = {
    "gen_ai.input.messages": _message("role", "parts"),
    "gen_ai.output.messages": _message("role", "parts", "finish_reason"),
    "gen_ai.system_instructions": _PARTS,
    "gen_ai.tool.definitions": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["type", "name"],
            "properties": {"type": _STRING, "name": _STRING, "parameters": {"type": "object"}},
            "not": {"required": ["function"]},  # OpenAI's nesting is not the conventions'
        },
    },
}


def validate(name: str, value: Any) -> None:
    """Raises `jsonschema.ValidationError` unless `value` is what the attribute `name` may hold."""
    jsonschema.validate(value, SCHEMAS[name])
