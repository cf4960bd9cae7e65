"""Recorded spans → conversation records, of the LLM calls among them, in the order in which they were recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmtrace_otel.conversations.record import Record, clean, clean_messages, counted, finish_reason, iso
from llmtrace_otel.read import Conversations, Gap
from llmtrace_otel.telemetry import semconv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmtrace_otel.read import Span, Turn
    from llmtrace_otel.wire.call import Message

EXCEPTION_MESSAGE: Final = "exception.message"


def records(spans: Iterable[Span]) -> Iterator[Record]:
    """One record for each LLM call; a span that was exported twice counts once. Holds all spans in memory."""
    unique = list({(span.trace_id, span.span_id): span for span in spans}.values())
    conversations = Conversations(unique)
    return (_record(span, conversations.turn(span)) for span in unique if span.inference)


def _record(span: Span, turn: Turn | None) -> Record:
    answers = turn.answers if turn else []
    key, session = span.text(semconv.CONVERSATION_ID), span.text(semconv.SESSION_ID)
    return Record(
        event_type="failure" if span.error else "success",
        call_id=span.span_id,
        start_time=iso(span.start / 1e9) if span.start else None,
        end_time=iso(span.end / 1e9) if span.end else None,
        duration_s=None if span.duration is None else round(span.duration, 6),
        operation=span.text(semconv.OPERATION),
        provider=span.provider,
        model=span.model,
        session_key=key or session,
        session_id=session if key and session != key else None,
        agent_type=span.text(semconv.AGENT_TYPE),
        parent_session=span.text(semconv.AGENT_PARENT_SESSION),
        task_id=span.text(semconv.TASK_ID),
        turn_count=span.count(semconv.TURN_COUNT),
        metadata=clean(_metadata(span)),
        messages=clean_messages(_input(turn)) if turn else None,
        response_messages=clean_messages(answers),
        finish_reason=finish_reason(span.attributes.get(semconv.RESPONSE_FINISH_REASONS), answers),
        usage=counted(span.usage),
        usage_estimated=span.usage_estimated,
        cost_usd=0.0 if span.cache_hit else span.cost.usd,
        cache_hit=span.cache_hit,
        saved_cost_usd=span.amount(semconv.COST_SAVED_USD),
        error_type=span.error and span.error.rpartition(".")[2],  # without the module that the class is in
        error_message=clean(_error_message(span)),
    )


def _metadata(span: Span) -> dict[str, Any]:
    prefix = semconv.SESSION_METADATA
    return {name.removeprefix(prefix): value for name, value in span.attributes.items() if name.startswith(prefix)}


def _input(turn: Turn) -> list[Message]:
    """All that the model was given; where messages cannot be had, one of the role `omitted` says so."""
    system: list[Message] = []
    if turn.system_instructions:
        system = [{"role": "system", "parts": turn.system_instructions}]
    return system + [_gap(message) if isinstance(message, Gap) else message for message in turn.input()]


def _gap(gap: Gap) -> Message:
    return {"role": "omitted", "parts": [{"type": "text", "content": str(gap)}]}


def _error_message(span: Span) -> str | None:
    if not span.error:
        return None
    raised = (event.attributes.get(EXCEPTION_MESSAGE) for event in span.events)
    return span.status_message or next((text for text in raised if isinstance(text, str) and text), None)
