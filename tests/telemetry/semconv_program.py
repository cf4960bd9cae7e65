"""Makes one streamed Anthropic call against a mock and prints its span's attributes and its metrics as JSON.

Run in a process of its own, because `LLMTRACE_SEMCONV` is read when the table of names is imported.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from llmtrace_otel.instrument.httpx import HTTPXInstrumentor
from support.spans import Recorded

EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "model": "claude-haiku-4-5-20251001",
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20},
        },
    },
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]


def answer(_: httpx2.Request) -> httpx2.Response:
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS)
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=iter([body.encode()]))


def tokens(metric: Any) -> dict[str, int] | None:
    """Sums by `gen_ai.token.type`, for a metric of tokens; `{"": sum}` where there is no type."""
    if metric.unit == "s":
        return None
    points = metric.data.data_points
    return {
        point.attributes.get("gen_ai.token.type", ""): getattr(point, "sum", None) or point.value for point in points
    }


def main() -> None:
    recorded = Recorded()
    HTTPXInstrumentor().instrument(**recorded.providers)
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        request = {"model": "claude-haiku-4-5", "max_tokens": 9, "stream": True, "messages": []}
        with client.stream("POST", "https://api.anthropic.com/v1/messages", json=request) as response:
            response.read()
    metrics = {name: [metric.unit, tokens(metric)] for name, metric in sorted(recorded.metrics.items())}
    print(json.dumps({"attributes": dict(recorded.span.attributes or {}), "metrics": metrics}))


if __name__ == "__main__":
    main()
