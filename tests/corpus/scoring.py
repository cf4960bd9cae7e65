"""Compares the span of a replayed exchange with what is expected of it, field by field."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from corpus.records import Record
from llmtrace_otel.telemetry import semconv

ATTRIBUTES = {
    "provider": semconv.PROVIDER,
    "operation": semconv.OPERATION,
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


def mismatches(record: Record, spans: tuple[ReadableSpan, ...], *, content: bool) -> list[tuple[str, Any, Any]]:
    """`(field, expected, found)` for each scored field that is not as expected; one span, or none, is a field too."""
    expected = record.expected
    if expected["operation"] is None:
        return [("span", 0, len(spans))] if spans else []
    if len(spans) != 1:
        return [("span", 1, len(spans))]
    found = _found(spans[0], content=content)
    return [
        (field, wanted, found[field])
        for field in found
        if field not in record.unscored and (wanted := _wanted(record, field)) != found[field]
    ]


def _wanted(record: Record, field: str) -> Any:
    wanted = record.expected.get(field)
    if field == "finish_reasons":  # a choice without a reason is null there, and left out of an attribute
        return [reason for reason in wanted or () if reason] or None
    if field == "error_type" and wanted is None and record.status >= 400:
        return str(record.status)  # the conventions want a name for every error: the HTTP status is the last resort
    if field == "provider_cost" and wanted is not None:
        return round(wanted, 12)
    if field in CONTENT_FIELDS and wanted is None:
        return _NOT_SCORED
    return wanted


class _Anything:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


_NOT_SCORED = _Anything()


def _found(span: ReadableSpan, *, content: bool) -> dict[str, Any]:
    attributes = dict(span.attributes or {})
    found = {field: attributes.get(name) for field, name in ATTRIBUTES.items()}
    found["finish_reasons"] = list(found["finish_reasons"]) if found["finish_reasons"] else None
    if attributes.get(semconv.COST_STATUS) == "actual" and found["operation"] != "embeddings":
        found["provider_cost"] = round(attributes[semconv.COST_USD], 12)
    if content:
        found |= _content(attributes)
    return found


def _content(attributes: dict[str, Any]) -> dict[str, Any]:
    messages = json.loads(attributes.get(semconv.OUTPUT_MESSAGES, "[]"))
    parts = [part for message in messages for part in message["parts"]]
    kinds = Counter(part["type"] for part in parts)
    text = "".join(part["content"] for part in parts if part["type"] == "text")
    return {
        "n_tool_calls": kinds["tool_call"],
        "n_server_tool_calls": kinds["server_tool_call"],
        "output_text_sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
    }


class Table:
    """Records and mismatches per provider, for people to read."""

    def __init__(self) -> None:
        self._records: Counter[str] = Counter()
        self._wrong: dict[str, Counter[str]] = defaultdict(Counter)
        self.lines: list[str] = []

    def add(self, record: Record, wrong: list[tuple[str, Any, Any]], how: str) -> None:
        provider = record.expected["provider"] or "(no LLM call)"
        self._records[provider] += 1
        for field, wanted, found in wrong:
            self._wrong[provider][field] += 1
            self.lines.append(
                f"{record.file} {record.id} {record.api} [{how}] {field}: expected {wanted!r}, got {found!r}"
            )

    def __str__(self) -> str:
        rows = [f"{'provider':<22}{'replays':>8}{'wrong':>7}  fields"]
        for provider, count in sorted(self._records.items()):
            wrong = self._wrong[provider]
            fields = ", ".join(f"{field} {number}" for field, number in wrong.most_common())
            rows.append(f"{provider:<22}{count:>8}{sum(wrong.values()):>7}  {fields}")
        return "\n".join(rows)
