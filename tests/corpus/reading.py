"""Records played to a bare exchange, and what its call says, in the words of a record's `expected`."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any
from urllib.parse import unquote, urlsplit

from corpus.records import Record
from llmtrace_otel.wire.call import Call, Message, Usage
from llmtrace_otel.wire.exchange import Exchange

_NO_USAGE = Usage()


def exchanged(record: Record, *, capture: bool) -> Exchange | None:
    """The record, played to a bare exchange."""
    url = urlsplit(record.url)
    exchange = Exchange.begin(
        record.method,
        url.hostname or "",
        url.port or 443,
        unquote(url.path),
        record.request_body,
        query=url.query,
        headers=record.request_headers,
        capture=capture,
    )
    if exchange is not None:
        exchange.response(record.status, record.headers, decoded=True)
        for piece in record.pieces(seed=7):
            exchange.feed(piece)
        exchange.end()
        exchange.write_content()
    return exchange


def reading(call: Call) -> dict[str, Any]:
    """The scored fields of a call; those of the content only if it was captured."""
    usage = call.usage or _NO_USAGE
    found: dict[str, Any] = {
        "provider": call.provider,
        "operation": call.operation,
        "request_model": call.request_model,
        "response_model": call.response_model,
        "response_id": call.response_id,
        "finish_reasons": call.finish_reasons,
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read": usage.cache_read,
        "cache_creation": usage.cache_write,
        "reasoning": usage.reasoning,
        "error_type": call.error_type,
    }
    return found | content_reading(call.output_messages or []) if call.capture else found


def content_reading(messages: list[Message]) -> dict[str, Any]:
    """How many tools the messages call, and the hash of their text: the text parts in order, with nothing between."""
    parts = [part for message in messages for part in message["parts"]]
    kinds = Counter(part["type"] for part in parts)
    text = "".join(part["content"] for part in parts if part["type"] == "text")
    return {
        "n_tool_calls": kinds["tool_call"],
        "n_server_tool_calls": kinds["server_tool_call"],
        "output_text_sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
    }
