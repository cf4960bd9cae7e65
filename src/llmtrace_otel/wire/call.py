"""What one LLM call leaves behind: plain data, no OpenTelemetry, no wire format.

A wire format fills a `Call`; telemetry turns it into a span, metrics and an event. `None` means "not on the wire":
a number is true or absent, never a stand-in zero.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from llmtrace_otel.wire.sent import Sent

Message: TypeAlias = dict[str, Any]
"""A message or a part of one, in the shape of the GenAI conventions' JSON schemas."""


class Usage(Struct):
    """Tokens of one call. `input` counts all input, cached too; `output` counts reasoning too."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    """The part of `cache_write` that is kept for an hour, which some providers bill higher."""
    reasoning: int | None = None
    input_audio: int | None = None
    cached_audio: int | None = None
    """The part of `cache_read` that is audio."""
    output_audio: int | None = None


class Besides(Struct):
    """Tokens that are billed for a call and that its own counts leave out."""

    usage: Usage
    model: str | None = None
    """`None` for the model that answered."""


class Library(Struct):
    """What the one who makes the request for the program, a library or an agent, knows of a call beyond its format."""

    session_id: str | None = None
    agent_name: str | None = None
    agent_id: str | None = None
    agent_type: str | None = None
    parent_agent_id: str | None = None
    parent_session: str | None = None
    task_id: str | None = None
    turn_count: int | None = None
    original_model: str | None = None
    """The model that the program asked for, where the library sent the request to another."""
    cache_hit: bool | None = None
    """Whether the library answered from a cache of its own, so that nothing was sent or spent."""
    cost: float | None = None
    """USD, as the library computes it."""
    cost_source: str | None = None
    cost_breakdown: dict[str, float] | None = None
    """USD: what the cost is made of, by name."""
    saved_cost: float | None = None
    """USD that a cached answer saved."""
    usage_estimated: bool | None = None
    """Whether the library counted the tokens itself, because the provider did not state them."""


class Call(Struct):
    """One logical LLM call, from the request to the end of the answer."""

    operation: str
    provider: str
    server_address: str | None = None
    server_port: int | None = None
    url_path: str | None = None
    """Where the path says more than the format does: a verb that names no model, as Code Assist's."""
    layer: str | None = None
    api_type: str | None = None

    request_model: str | None = None
    stream: bool | None = None
    """`True` or nothing: the conventions never state that a request does not stream."""
    choice_count: int | None = None
    seed: int | None = None
    top_k: int | None = None
    top_p: float | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop_sequences: list[str] | None = None
    reasoning_level: str | None = None
    previous_response_id: str | None = None
    stream_cursor: str | None = None
    conversation_id: str | None = None
    output_type: str | None = None
    encoding_formats: list[str] | None = None
    dimensions: int | None = None
    request_service_tier: str | None = None

    http_status: int | None = None
    response_id: str | None = None
    response_model: str | None = None
    response_status: str | None = None
    finish_reasons: list[str] | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: Usage | None = None
    besides: list[Besides] | None = None
    stated_cost: float | None = None
    """USD, as the provider's answer states it."""
    gateway_cost: float | None = None
    """USD, as a gateway between us and the provider computes it."""
    error_type: str | None = None
    error_message: str | None = None

    library: Library | None = None
    replayed_seconds: float | None = None
    """How long the recorded answer had taken that was given in place of the provider's; see `replay`."""

    start_ns: int = 0
    """Nanoseconds since the epoch, like `first_chunk_ns` and `end_ns`."""
    first_chunk_ns: int | None = None
    end_ns: int | None = None
    attempts: int = 1
    complete: bool = False
    """The answer arrived whole: its terminal event or the end of its JSON body was seen."""
    unreadable: str | None = None
    """Why the answer could not be read, in a few words."""
    keys_seen: list[str] | None = None
    """The top-level keys of a JSON answer that has no usage."""

    @property
    def cache_hit(self) -> bool:
        """Whether the answer is an earlier one, so that nothing was sent or spent."""
        return self.replayed_seconds is not None or (self.library is not None and self.library.cache_hit is True)

    @property
    def streamed(self) -> bool:
        """Whether an answer was asked for in pieces, and came so."""
        return self.stream is True and self.first_chunk_ns is not None and (self.http_status or 200) < 400

    capture: bool = False
    """Whether the messages below are wanted; off by default, and then they are never built."""
    keeps_sent: bool = False
    """Whether input messages may be left as they were sent: then `sent` may stand in the place of `input_messages`."""
    sent: Sent | None = None
    input_messages: list[Message] | None = None
    output_messages: list[Message] | None = None
    system_instructions: list[Message] | None = None
    tool_definitions: list[Message] | None = None
