"""What a conversation record is: one LLM call as a JSON object on one line.

Its keys are always all there, in this order; null is what is not known, and a count that was not reported is not in
`usage`. Before it is written, the user's redaction function has seen every text of it, and what looks like a secret
has been taken out. If either fails, the text is withheld.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct, structs

from llmtrace_otel.conversations.chat import chat_messages
from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry.secrets import scrubbed_value
from llmtrace_otel.wire.parts import FINISH_REASONS

if TYPE_CHECKING:
    from llmtrace_otel.wire.call import Message

EventType = Literal["success", "failure"]

USAGE: Final = ("input", "output", "cache_read", "cache_write", "reasoning")


class Record(Struct, kw_only=True):
    """One call. Times are ISO 8601 in UTC, `duration_s` seconds, costs US dollars."""

    event_type: EventType
    call_id: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    duration_s: float | None = None
    operation: str | None = None
    """`chat`, `text_completion`, `embeddings`, …, as the GenAI conventions name it."""
    provider: str | None = None
    model: str | None = None
    session_key: str | None = None
    session_id: str | None = None
    litellm_session_id: str | None = None
    agent_type: str | None = None
    parent_session: str | None = None
    task_id: str | None = None
    turn_count: int | None = None
    metadata: dict[str, Any] = {}
    """What else the program said of the call."""
    messages: list[dict[str, Any]] | None = None
    """All that the model was given, as chat messages; null if it was not recorded."""
    response_messages: list[dict[str, Any]] | None = None
    """What it answered: one message, or as many as answers were asked for."""
    finish_reason: str | None = None
    """Of the first answer: `stop`, `length`, `tool_calls`, `content_filter`, or as the provider has it."""
    usage: dict[str, int] = {}
    """Tokens: `input` with the cached ones, `output` with `reasoning`; `cache_read` and `cache_write` of the input."""
    usage_estimated: bool = False
    """Whether a library counted the tokens because the provider did not state them."""
    cost_usd: float | None = None
    cache_hit: bool = False
    """Whether a response cache answered, so that nothing was spent."""
    saved_cost_usd: float | None = None
    """What the call would have cost without that cache."""
    error_type: str | None = None
    error_message: str | None = None

    @property
    def session(self) -> str | None:
        """What tells its conversation from others."""
        return self.session_key or self.session_id or self.litellm_session_id

    def line(self) -> bytes:
        """The record as JSON with the newline that ends it. Never raises."""
        return content.json_bytes(structs.asdict(self)) + b"\n"


def clean(value: Any) -> Any:
    """`value` as it may be written: redacted, without secrets. Never raises."""
    return _scrubbed(content.redacted(value))


def clean_messages(messages: list[Message]) -> list[dict[str, Any]] | None:
    """Messages of the conventions as they may be written, in chat form; None for none. Never raises."""
    cleaned = _scrubbed(content.redacted_messages(messages))
    if cleaned == content.WITHHELD:
        return [{"role": "user", "content": content.WITHHELD}]
    return chat_messages(cleaned) or None


def _scrubbed(value: Any) -> Any:
    try:
        return scrubbed_value(value)
    except Exception:  # nested too deep
        return content.WITHHELD


def finish_reason(stated: Any, answers: list[Message]) -> str | None:
    """The first answer's finish reason in the chat format's words, from those stated or from the answer itself."""
    first = stated[0] if isinstance(stated, list | tuple) and stated else None
    if first is None and answers and answers[0].get("finish_reason") != "error":
        first = answers[0].get("finish_reason")
    if not isinstance(first, str):
        return None
    reason = first.lower()
    reason = FINISH_REASONS.get(reason, reason)
    return "tool_calls" if reason == "tool_call" else reason


def counted(usage: Any) -> dict[str, int]:
    """The counts of a usage that were reported."""
    return {name: count for name in USAGE if (count := getattr(usage, name, None)) is not None}


def iso(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC, with microseconds."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        return None
