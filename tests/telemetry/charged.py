"""Calls that have ended, for the tests of what they cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from llmtrace_otel.telemetry.cost import Cost
from llmtrace_otel.wire.call import Call, Usage

NOW = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
UNKNOWN = Cost(None, "unknown")
PLAIN = Usage(input=1_234, output=567)


def call(usage: Usage | None = None, at: datetime = NOW, **fields: Any) -> Call:
    fields = {"provider": "openai", "request_model": "gpt-5-mini", **fields}
    return Call("chat", usage=usage, start_ns=int(at.timestamp() * 1e9), **fields)
