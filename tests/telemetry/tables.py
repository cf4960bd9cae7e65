"""The attribute tables of the GenAI conventions (autumn 2026) for the client spans of calls, and the project's own.

Transcribed by hand from the documents, never from the code that they test: attribute → type, one table per kind of
span. `json` is an attribute that the conventions call `any`, which a Python span holds as JSON text.
"""

from __future__ import annotations

import json
from typing import Any

COMMON = {
    "gen_ai.operation.name": "string",
    "gen_ai.provider.name": "string",
    "error.type": "string",
    "server.address": "string",
    "server.port": "int",
    "http.response.status_code": "int",  # of the HTTP conventions, for clients that speak HTTP
}

INFERENCE = {
    **COMMON,
    "gen_ai.conversation.id": "string",
    "gen_ai.output.type": "string",
    "gen_ai.request.choice.count": "int",
    "gen_ai.request.model": "string",
    "gen_ai.request.seed": "int",
    "gen_ai.request.stream": "boolean",
    "gen_ai.request.top_k": "int",
    "gen_ai.request.frequency_penalty": "double",
    "gen_ai.request.max_tokens": "int",
    "gen_ai.request.presence_penalty": "double",
    "gen_ai.request.previous_response.id": "string",
    "gen_ai.request.reasoning.level": "string",
    "gen_ai.request.stop_sequences": "string[]",
    "gen_ai.request.temperature": "double",
    "gen_ai.request.top_p": "double",
    "gen_ai.response.finish_reasons": "string[]",
    "gen_ai.response.id": "string",
    "gen_ai.response.model": "string",
    "gen_ai.response.time_to_first_chunk": "double",
    "gen_ai.usage.cache_read.input_tokens": "int",
    "gen_ai.usage.cache_write.input_tokens": "int",
    "gen_ai.usage.input_tokens": "int",
    "gen_ai.usage.output_tokens": "int",
    "gen_ai.usage.reasoning.output_tokens": "int",
    "gen_ai.input.messages": "json",
    "gen_ai.output.messages": "json",
    "gen_ai.system_instructions": "json",
    "gen_ai.tool.definitions": "json",
}

EMBEDDINGS = {
    **COMMON,
    "gen_ai.request.model": "string",
    "gen_ai.embeddings.dimension.count": "int",
    "gen_ai.request.encoding_formats": "string[]",
    "gen_ai.response.model": "string",
    "gen_ai.usage.input_tokens": "int",
}

FETCH_RESPONSE = {
    **COMMON,
    "gen_ai.response.id": "string",
    "gen_ai.request.stream_cursor": "string",
    "gen_ai.response.finish_reasons": "string[]",
    "gen_ai.response.model": "string",
    "gen_ai.response.status": "string",
    "gen_ai.output.messages": "json",
    "gen_ai.system_instructions": "json",
    "gen_ai.tool.definitions": "json",
}

OPENAI = {
    "openai.request.service_tier": "string",
    "openai.response.service_tier": "string",
    "openai.response.system_fingerprint": "string",
    "openai.api.type": "string",
}
"""What OpenAI's own spans may hold besides."""

OURS = {
    "llmtrace.cost.usd": "double",
    "operation.cost": "double",
    "llmtrace.cost.status": "string",
    "llmtrace.cost.source": "string",
    "llmtrace.cost.pricing_version": "string",
    "llmtrace.cost.saved_usd": "double",
    "llmtrace.request.original_model": "string",
    "llmtrace.content.previous_span_id": "string",
    "llmtrace.content.previous_trace_id": "string",
    "llmtrace.content.omitted_messages": "int",
    "llmtrace.content.omitted_items": "int",
    "llmtrace.redaction.count": "int",
    "llmtrace.cache.hit": "boolean",
    "llmtrace.usage.estimated": "boolean",
    "llmtrace.usage.missing": "boolean",
    "llmtrace.stream.incomplete": "boolean",
    "llmtrace.attempts": "int",
    "llmtrace.layer": "string",
}

SAMPLING_RELEVANT = {
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "server.address",
    "server.port",
}
"""What must be on a span when it is created."""

_STANDARD = {"embeddings": EMBEDDINGS, "fetch_response": FETCH_RESPONSE}

DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


def violations(attributes: dict[str, Any]) -> list[str]:
    """The attributes of a span that its table does not have, or has with another type."""
    standard = _STANDARD.get(attributes["gen_ai.operation.name"], INFERENCE)
    openai = OPENAI if attributes["gen_ai.provider.name"] in ("openai", "azure.ai.openai") else {}
    table = {**standard, **openai, **OURS}
    return [
        f"{name}={value!r} is no {table.get(name, 'attribute of this span')}"
        for name, value in attributes.items()
        if not _is(table.get(name), value)
    ]


def _is(kind: str | None, value: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "int":
            return type(value) is int
        case "double":
            return type(value) is float
        case "boolean":
            return value is True
        case "string[]":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "json":
            return isinstance(json.loads(value), list)
        case _:
            return False
