"""Attribute, metric and event names: the one table, importable without OpenTelemetry.

`gen_ai.*` names are those of the OpenTelemetry GenAI conventions of autumn 2026. A few were spelled
otherwise in the registry of August 2026; `LLMTRACE_SEMCONV=2026-08` selects those. Everything that the
conventions lack is ours and lives under `llmtrace.*` (`operation.cost` is what Logfire reads).
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai/1.42.0"
SCOPE: Final = "llmtrace_otel"
VERSION: Final = version("llmtrace-otel")

OLD_NAMES: Final = os.environ.get("LLMTRACE_SEMCONV", "").strip() == "2026-08"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
OUTPUT_TYPE: Final = "gen_ai.output.type"

REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
REQUEST_PREVIOUS_RESPONSE_ID: Final = "gen_ai.request.previous_response.id"
REQUEST_STREAM_CURSOR: Final = "gen_ai.request.stream_cursor"
REQUEST_ENCODING_FORMATS: Final = "gen_ai.request.encoding_formats"
EMBEDDINGS_DIMENSIONS: Final = "gen_ai.embeddings.dimension.count"

RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_STATUS: Final = "gen_ai.response.status"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"

USAGE_INPUT: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE: Final = (
    "gen_ai.usage.cache_creation.input_tokens" if OLD_NAMES else "gen_ai.usage.cache_write.input_tokens"
)
USAGE_CACHE_WRITE_NAMES: Final = ("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens")
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"

INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"

AGENT_ID: Final = "gen_ai.agent.id"
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_DESCRIPTION: Final = "gen_ai.agent.description"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"

OPENAI_API_TYPE: Final = "openai.api.type"
OPENAI_REQUEST_SERVICE_TIER: Final = "openai.request.service_tier"
OPENAI_RESPONSE_SERVICE_TIER: Final = "openai.response.service_tier"
OPENAI_SYSTEM_FINGERPRINT: Final = "openai.response.system_fingerprint"

SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"
HTTP_STATUS: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
SESSION_ID: Final = "session.id"
USER_ID: Final = "user.id"

COST_USD: Final = "llmtrace.cost.usd"
COST_OPERATION: Final = "operation.cost"
COST_STATUS: Final = "llmtrace.cost.status"
COST_SOURCE: Final = "llmtrace.cost.source"
COST_PRICING_VERSION: Final = "llmtrace.cost.pricing_version"
COST_SAVED_USD: Final = "llmtrace.cost.saved_usd"
COST_BREAKDOWN: Final = "llmtrace.cost.breakdown."
CACHE_HIT: Final = "llmtrace.cache.hit"
REPLAY: Final = "llmtrace.replay"
REPLAY_ORIGINAL_DURATION: Final = "llmtrace.replay.original_duration"
USAGE_ESTIMATED: Final = "llmtrace.usage.estimated"
USAGE_MISSING: Final = "llmtrace.usage.missing"
STREAM_INCOMPLETE: Final = "llmtrace.stream.incomplete"
ATTEMPTS: Final = "llmtrace.attempts"
CONTENT_OMITTED_MESSAGES: Final = "llmtrace.content.omitted_messages"
CONTENT_OMITTED_ITEMS: Final = "llmtrace.content.omitted_items"
CONTENT_PREVIOUS_TRACE_ID: Final = "llmtrace.content.previous_trace_id"
CONTENT_PREVIOUS_SPAN_ID: Final = "llmtrace.content.previous_span_id"
REDACTION_COUNT: Final = "llmtrace.redaction.count"
ORIGINAL_MODEL: Final = "llmtrace.request.original_model"
LAYER: Final = "llmtrace.layer"
SESSION_DATA_ID: Final = "llmtrace.session.data_id"
SESSION_COMBO_ID: Final = "llmtrace.session.combo_id"
SESSION_METADATA: Final = "llmtrace.session.metadata."
AGENT_TYPE: Final = "llmtrace.agent.type"
AGENT_PARENT: Final = "llmtrace.agent.parent"
AGENT_PARENT_ID: Final = "llmtrace.agent.parent_id"
AGENT_PARENT_SESSION: Final = "llmtrace.agent.parent_session"
TASK_ID: Final = "llmtrace.task.id"
TURN_COUNT: Final = "llmtrace.turn.count"

EVENT_INFERENCE_DETAILS: Final = "gen_ai.client.inference.operation.details"

_OLD: Final = OLD_NAMES
METRIC_DURATION: Final = "gen_ai.client.operation.duration" if _OLD else "gen_ai.client.inference.duration"
METRIC_TIME_TO_FIRST_CHUNK: Final = (
    "gen_ai.client.operation.time_to_first_chunk" if _OLD else "gen_ai.client.inference.time_to_first_chunk"
)
METRIC_TOKEN_USAGE_OLD: Final = "gen_ai.client.token.usage"  # noqa: S105
METRIC_INPUT_TOKENS: Final = "gen_ai.client.inference.operation.input_tokens"
METRIC_OUTPUT_TOKENS: Final = "gen_ai.client.inference.operation.output_tokens"
METRIC_AGENT_DURATION: Final = "gen_ai.invoke_agent.duration"
METRIC_TOOL_DURATION: Final = "gen_ai.execute_tool.duration"
METRIC_WORKFLOW_DURATION: Final = "gen_ai.workflow.duration" if _OLD else "gen_ai.invoke_workflow.duration"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105
TOKEN_MODALITY: Final = "gen_ai.token.modality"  # noqa: S105

PROCESS_EXECUTABLE_NAME: Final = "process.executable.name"
PROCESS_EXECUTABLE_PATH: Final = "process.executable.path"
PROCESS_COMMAND_ARGS: Final = "process.command_args"
PROCESS_PID: Final = "process.pid"
PROCESS_EXIT_CODE: Final = "process.exit.code"
