"""Compares what was read of a replayed exchange with what is expected of it, field by field."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from corpus.disputed import DISPUTED
from corpus.reading import content_reading
from corpus.records import Record
from llmtrace_otel.telemetry import semconv

ATTRIBUTES = {
    "operation": semconv.OPERATION,
    "provider": semconv.PROVIDER,
    "request_model": semconv.REQUEST_MODEL,
    "response_model": semconv.RESPONSE_MODEL,
    "response_id": semconv.RESPONSE_ID,
    "finish_reasons": semconv.RESPONSE_FINISH_REASONS,
    "input_tokens": semconv.USAGE_INPUT,
    "output_tokens": semconv.USAGE_OUTPUT,
    "cache_read": semconv.USAGE_CACHE_READ,
    "cache_creation": semconv.USAGE_CACHE_WRITE,
    "reasoning": semconv.USAGE_REASONING,
    "error_type": semconv.ERROR_TYPE,
}
CONTENT_FIELDS = ("n_tool_calls", "n_server_tool_calls", "output_text_sha256")

Mismatch = tuple[str, Any, Any]
"""A field, what was expected of it, what was found."""


def span_reading(span: ReadableSpan, *, content: bool) -> dict[str, Any]:
    """The scored fields, as a span has them."""
    attributes = dict(span.attributes or {})
    found = {field: attributes.get(name) for field, name in ATTRIBUTES.items()}
    found["finish_reasons"] = list(found["finish_reasons"]) if found["finish_reasons"] else None
    if content:
        found |= content_reading(json.loads(attributes.get(semconv.OUTPUT_MESSAGES, "[]")))
    return found


def mismatches(record: Record, found: list[dict[str, Any]]) -> list[Mismatch]:
    """Each scored field that is not as expected, or is where its record is disputed.

    That there is one call, or none, is a field too.
    """
    calls = 0 if record.expected["operation"] is None else 1
    if len(found) != calls:
        return [("replays", calls, len(found))]
    return [
        (field, wanted, value)
        for reading in found
        for field, value in reading.items()
        if field not in record.unscored
        and ((wanted := _wanted(record, field)) != value) != ((record.id, field) in DISPUTED)
    ]


def _wanted(record: Record, field: str) -> Any:
    wanted = record.expected.get(field)
    if field == "finish_reasons":  # a choice without a reason is null there, and left out of an attribute
        return [reason for reason in wanted or () if reason] or None
    if field == "error_type" and wanted is None and record.status >= 400:
        return str(record.status)  # the conventions want a name for every error: the HTTP status is the last resort
    if field in CONTENT_FIELDS and wanted is None:
        return _ANYTHING
    if wanted == "":  # nothing is nothing
        return None
    return wanted


class _Anything:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


_ANYTHING = _Anything()


TITLES = {
    "request_model": "request model",
    "response_model": "response model",
    "response_id": "response id",
    "finish_reasons": "finish",
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read": "cache read",
    "cache_creation": "cache write",
    "error_type": "error",
    "n_tool_calls": "tools",
    "n_server_tool_calls": "server tools",
    "output_text_sha256": "text",
}


class Table:
    """For each provider and field, how many replays were as expected, of those that had something to tell."""

    def __init__(self) -> None:
        self._told: dict[str, Counter[str]] = defaultdict(Counter)
        self._wrong: dict[str, Counter[str]] = defaultdict(Counter)
        self.lines: list[str] = []

    def add(self, record: Record, found: list[dict[str, Any]], how: str) -> None:
        """Compares one replay, and remembers what is wrong in `lines`."""
        provider = record.expected["provider"] if record.expected["operation"] else "(no LLM call)"
        told = self._told[provider]
        wrong = mismatches(record, found)
        nothing = {field for reading in found for field, value in reading.items() if value in (None, 0)}
        told.update({field for reading in found for field in reading} - nothing | {"replays"} | {w[0] for w in wrong})
        for field, wanted, value in wrong:
            self._wrong[provider][field] += 1
            self.lines.append(
                f"{record.file} {record.id} {record.api} [{how}] {field}: expected {wanted!r}, got {value!r}"
            )

    @property
    def summary(self) -> str:
        replays = sum(told["replays"] for told in self._told.values())
        return f"{replays} replays, {len(self.lines)} fields wrong"

    def __str__(self) -> str:
        fields = ("replays", *ATTRIBUTES, *CONTENT_FIELDS)
        rows = [["provider", *(TITLES.get(field, field) for field in fields)]]
        rows += [[provider, *(self._cell(provider, field) for field in fields)] for provider in sorted(self._told)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, ["-" * width for width in widths])
        return "\n".join(
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
        )

    def _cell(self, provider: str, field: str) -> str:
        told, wrong = self._told[provider][field], self._wrong[provider][field]
        return f"{told - wrong} of {told}" if wrong else str(told or "·")
