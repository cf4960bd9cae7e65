"""What it costs the collector to write a span as a line of OTLP JSON, from the protobuf request that came in.

    python benchmarks/collector_lines.py

Microseconds of CPU per span, the lowest of several passes, for requests of 100 spans with 25 attributes:

- *parse*: protobuf's own parser, which says whether a request is valid;
- *reference*: parse, dictionaries (`json_form`), JSON;
- *lines*: `lines.line_and_count`, which needs no parser.

*Unseen* requests differ in what differs in practice (ids, times, counts of tokens, messages) and are met once each;
*repeated* is one request over and over.
"""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from llmtrace_collector.otlp import json_form, lines
from llmtrace_collector.otlp.signals import TRACES

if TYPE_CHECKING:
    from collections.abc import Callable

SPANS, REQUESTS, PASSES = 100, 20, 5

CONSTANT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.model": "gpt-5-2025-08-07",
    "gen_ai.output.type": "text",
    "server.address": "api.openai.com",
    "server.port": 443,
    "openai.request.service_tier": "auto",
    "openai.response.service_tier": "default",
    "gen_ai.request.max_tokens": 1024,
    "gen_ai.request.temperature": 0.7,
    "gen_ai.request.top_p": 0.95,
    "gen_ai.request.stream": True,
    "gen_ai.request.choice.count": 1,
    "http.response.status_code": 200,
}
PHRASES = (
    'He said "yes"\n',
    "Grüße aus Köln ",
    "plain words of an answer ",
    "C:\\tmp\t",
    "日本語 ",
    "many more words ",
)


def messages(draw: random.Random, role: str, size: int) -> str:
    """About `size` characters of a conversation as the semantic conventions have it in an attribute."""
    text = "".join(draw.choices(PHRASES, k=size // 16))
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}], ensure_ascii=False)


def attributes_of(draw: random.Random, content: bool) -> dict[str, str | bool | int | float]:
    varied = {
        "user.id": f"user {draw.randrange(50)}",
        "gen_ai.conversation.id": f"conv_{draw.randrange(10**9)}",
        "gen_ai.response.id": f"chatcmpl-{draw.randbytes(12).hex()}",
        "gen_ai.usage.input_tokens": draw.randrange(5000),
        "gen_ai.usage.output_tokens": draw.randrange(2000),
        "gen_ai.usage.cache_read.input_tokens": draw.randrange(3) * 1024,
        "llmtrace.cost.usd": draw.random() / 100,
    }
    if content:
        varied["gen_ai.input.messages"] = messages(draw, "user", 1300)
        varied["gen_ai.output.messages"] = messages(draw, "assistant", 600)
    return {**CONSTANT, **varied}


def span(draw: random.Random, content: bool) -> Span:
    start = 1_700_000_000_000_000_000 + draw.randrange(10**15)
    written = Span(
        trace_id=draw.randbytes(16),
        span_id=draw.randbytes(8),
        parent_span_id=draw.randbytes(8),
        flags=257,
        name="chat gpt-5",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=start,
        end_time_unix_nano=start + draw.randrange(10**10),
        status=Status(),
    )
    for key, value in attributes_of(draw, content).items():
        kind = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
        setattr(written.attributes.add(key=key).value, kind, value)
    reasons = written.attributes.add(key="gen_ai.response.finish_reasons").value
    reasons.array_value.values.add(string_value="stop")
    return written


def request(seed: int, content: bool) -> bytes:
    draw = random.Random(seed)
    whole = ExportTraceServiceRequest()
    resource_spans = whole.resource_spans.add()
    for number in range(8):
        resource_spans.resource.attributes.add(key=f"resource.{number}").value.string_value = f"value {number}"
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "benchmark"
    scope_spans.spans.extend(span(draw, content) for _ in range(SPANS))
    body: bytes = whole.SerializeToString()
    return body


def parse(body: bytes) -> object:
    return TRACES.request.FromString(body)


def reference(body: bytes) -> bytes:
    return msgspec.json.encode(json_form.write(TRACES.request.FromString(body))) + b"\n"


def fast(body: bytes) -> bytes | None:
    return lines.line(TRACES, body)


def cost(write: Callable[[bytes], object], bodies: list[bytes]) -> float:
    """Microseconds of CPU per span."""
    start = time.process_time()
    for body in bodies:
        write(body)
    return (time.process_time() - start) / len(bodies) / SPANS * 1e6


def lowest(write: Callable[[bytes], object], content: bool, *, repeated: bool) -> float:
    costs = []
    for number in range(PASSES):
        seeds = [number * REQUESTS] * REQUESTS if repeated else range(number * REQUESTS, (number + 1) * REQUESTS)
        bodies = {seed: request(seed, content) for seed in set(seeds)}
        costs.append(cost(write, [bodies[seed] for seed in seeds]))
    return min(costs)


def main() -> None:
    print(f"{'us of CPU per span':32}{'parse':>10}{'reference':>10}{'lines':>10}")
    for content in (True, False):
        body = request(0, content)
        assert fast(body) == reference(body)
        title = f"{len(body) // SPANS} bytes per span"
        for repeated in (False, True):
            figures = [lowest(write, content, repeated=repeated) for write in (parse, reference, fast)]
            row = "".join(f"{figure:10.1f}" for figure in figures)
            print(f"{title}, {'repeated' if repeated else 'unseen':8}".ljust(32) + row)


if __name__ == "__main__":
    main()
