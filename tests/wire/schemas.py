"""The JSON schemas of message content in the GenAI conventions, written compactly.

A part whose `type` the conventions name must have what that type requires; any other type is a generic part.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

ANYTHING: dict[str, Any] = {}
TEXT = {"type": "string"}
TYPED = {"type": "object", "required": ["type"], "properties": {"type": TEXT}}

REQUIRED: dict[str, dict[str, Any]] = {
    "text": {"content": TEXT},
    "reasoning": {"content": TEXT},
    "tool_call": {"name": TEXT},
    "tool_call_response": {"response": ANYTHING},
    "server_tool_call": {"name": TEXT, "server_tool_call": TYPED},
    "server_tool_call_response": {"server_tool_call_response": TYPED},
    "blob": {"modality": TEXT, "content": TEXT},
    "file": {"modality": TEXT, "file_id": TEXT},
    "uri": {"modality": TEXT, "uri": TEXT},
    "compaction": {},
}
OPTIONAL = {"id": {"type": ["string", "null"]}, "mime_type": {"type": ["string", "null"]}}


def _when(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    then = {"required": list(fields), "properties": fields | OPTIONAL}
    return {"if": {"properties": {"type": {"const": kind}}}, "then": then}


PART = TYPED | {"allOf": [_when(kind, fields) for kind, fields in REQUIRED.items()]}


def _message(*required: str) -> dict[str, Any]:
    properties = {
        "role": TEXT,
        "parts": {"type": "array", "items": PART},
        "finish_reason": TEXT,
        "name": {"type": ["string", "null"]},
    }
    return {"type": "object", "required": ["role", "parts", *required], "properties": properties}


SYSTEM_PART = PART | {"not": {"properties": {"type": {"enum": sorted(REQUIRED.keys() - {"text"})}}}}
FUNCTION = {
    "required": ["name"],
    "properties": {"name": TEXT, "description": {"type": ["string", "null"]}, "parameters": {"type": "object"}},
    "not": {"required": ["function"]},  # OpenAI's nested shape is not the conventions'
}
TOOL = {"type": "object", "required": ["type", "name"], "properties": {"type": TEXT, "name": TEXT}} | {
    "if": {"properties": {"type": {"const": "function"}}},
    "then": FUNCTION,
}

SCHEMAS = {
    "input_messages": {"type": "array", "items": _message()},
    "output_messages": {"type": "array", "items": _message("finish_reason")},
    "system_instructions": {"type": "array", "items": SYSTEM_PART},
    "tool_definitions": {"type": "array", "items": TOOL},
}
"""A schema for each field of a call that holds content."""

_VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}


def violations(call: Any) -> list[str]:
    """What the content of a call has that the schemas forbid; content that is absent violates nothing."""
    return [
        f"{name}{error.json_path[1:]}: {error.message}"
        for name, validator in _VALIDATORS.items()
        if (value := getattr(call, name)) is not None
        for error in validator.iter_errors(value)
    ]
