"""What `llmtrace check` costs on a large file, beside only reading it: CPU seconds and the highest memory.

    python benchmarks/check.py [--spans 1000000] [--content 0] [--layout traces|single|interleaved]

A span has about 25 attributes; `--content` adds so many bytes of messages to each call. Traces have 25 spans, one after
another; `single` makes every span a trace of its own, `interleaved` mixes a thousand traces at a time. Every
measurement is a process of its own. The target is 12 CPU seconds and 60 MB for a million spans.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

TRACE_SPANS = 25
MIXED = 1000

RULES = """\
version = 1
[budget]
cost = 100
calls = 100
[[rule]]
id = "tools"
match = "tool delete_*"
count = 0
[[rule]]
id = "latency"
match = "llm *"
duration_p95 = "<1h"
"""
"""Budgets, and rules that need every step in its place."""

LOOPS = """\
[[rule]]
id = "loops"
loops = 1000
"""
"""A rule that compares what was said and done."""

JSON_LOADS = "import json,sys\nfor line in open(sys.argv[1],'rb'): json.loads(line)"
READ_SPANS = "import sys\nfrom llmtrace_otel.read import read_spans\nfor span in read_spans(sys.argv[1]): pass"
CHECK = "import sys\nfrom llmtrace_otel.cli import main\nsys.exit(main(['check', *sys.argv[1:]]))"

MODELS = {"gpt-5": "openai", "gpt-5-mini": "openai", "claude-sonnet-5": "anthropic"}
RESOURCE = {
    "service.name": "agents",
    "service.version": "1.4.2",
    "telemetry.sdk.language": "python",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.version": "1.45.0",
    "host.name": "worker-17",
}


def value(held: object) -> dict[str, object]:
    if isinstance(held, bool):
        return {"boolValue": held}
    if isinstance(held, int):
        return {"intValue": str(held)}
    if isinstance(held, float):
        return {"doubleValue": held}
    if isinstance(held, list):
        return {"arrayValue": {"values": [value(item) for item in held]}}
    return {"stringValue": held}


def attributes(held: dict[str, object]) -> list[dict[str, object]]:
    return [{"key": key, "value": value(item)} for key, item in held.items()]


def llm(draw: random.Random, session: str, content: int) -> dict[str, object]:
    model = draw.choice(list(MODELS))
    said = {"gen_ai.input.messages": messages(draw, "user", content)} if content else {}
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": MODELS[model],
        "gen_ai.request.model": model,
        "gen_ai.response.model": f"{model}-2026-08-07",
        "gen_ai.response.id": f"chatcmpl-{draw.randbytes(12).hex()}",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.output.type": "text",
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.temperature": 0.7,
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": draw.random(),
        "gen_ai.usage.input_tokens": draw.randrange(5000),
        "gen_ai.usage.output_tokens": draw.randrange(2000),
        "gen_ai.usage.cache_read.input_tokens": draw.randrange(3) * 1024,
        "gen_ai.usage.reasoning.output_tokens": draw.randrange(500),
        "gen_ai.agent.name": "planner",
        "session.id": session,
        "user.id": f"user {draw.randrange(50)}",
        "server.address": "api.example.com",
        "server.port": 443,
        "http.response.status_code": 200,
        "llmtrace.cost.usd": draw.randrange(100000) / 1e7,
        "llmtrace.cost.status": "estimated",
        "llmtrace.cost.source": "genai-prices",
        "llmtrace.cost.pricing_version": "2026-11-18",
        **said,
    }


def messages(draw: random.Random, role: str, size: int) -> str:
    text = " ".join(draw.choices(("plain", "words", "of an", "answer\n", '"quoted"', "Grüße"), k=size // 7))
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def tool(draw: random.Random, session: str, number: int) -> dict[str, object]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": draw.choice(("search", "read_file", "run_tests", "write_file")),
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": f"call_{draw.randbytes(8).hex()}",
        "gen_ai.tool.call.arguments": json.dumps({"path": f"src/module_{number}.py", "lines": draw.randrange(900)}),
        "gen_ai.agent.name": "planner",
        "session.id": session,
        "user.id": f"user {draw.randrange(50)}",
        **{f"app.detail.{index}": f"value {draw.randrange(1000)}" for index in range(17)},
    }


def agent(session: str) -> dict[str, object]:
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "planner",
        "session.id": session,
        **{f"app.detail.{index}": f"value {index}" for index in range(22)},
    }


def span(draw: random.Random, number: int, size: int, content: int) -> bytes:
    """A line: the span with that number, of traces that have `size` spans."""
    trace, place = divmod(number, size)
    session = f"session-{trace // 5}"
    first = place == 0 and size > 1
    held = agent(session) if first else tool(draw, session, number) if number % 2 else llm(draw, session, content)
    start = 1_780_000_000_000_000_000 + trace * 60_000_000_000 + place * 2_000_000_000
    written = {
        "traceId": f"{(trace + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}",
        "spanId": f"{number + 1:016x}",
        **({} if place == 0 else {"parentSpanId": f"{trace * size + 1:016x}"}),
        "name": "invoke_agent planner" if first else "step",
        "kind": 3,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + draw.randrange(2 * 10**9)),
        "attributes": attributes(held),
        "status": {},
    }
    scope = {"scope": {"name": "llmtrace_otel", "version": "0.1.0"}, "spans": [written]}
    whole = {"resourceSpans": [{"resource": {"attributes": attributes(RESOURCE)}, "scopeSpans": [scope]}]}
    return json.dumps(whole, separators=(",", ":")).encode() + b"\n"


def write(path: Path, spans: int, content: int, layout: str) -> None:
    """Lines of one span each, as the exporter in a program writes them."""
    draw = random.Random(7)
    size = 1 if layout == "single" else TRACE_SPANS
    numbers: range | list[int] = range(spans)
    if layout == "interleaved":  # the first spans of a thousand traces, their second ones, …
        block = MIXED * size
        numbers = sorted(range(spans), key=lambda number: (number // block, number % size))
    with path.open("wb", buffering=1 << 20) as file:
        for number in numbers:
            file.write(span(draw, number, size, content))


def measured(program: str, *arguments: str) -> tuple[float, float]:
    """CPU seconds and the highest resident memory in MB of a process."""
    child = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"it ended with {code}: {arguments}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--content", type=int, default=0, metavar="BYTES")
    parser.add_argument("--layout", choices=("traces", "single", "interleaved"), default="traces")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(Path(folder), args.spans, args.content, args.layout)


def report(folder: Path, spans: int, content: int, layout: str) -> None:
    file, steps, loops = folder / "traces.jsonl", folder / "steps.toml", folder / "loops.toml"
    write(file, spans, content, layout)
    steps.write_text(RULES)
    loops.write_text(LOOPS)
    print(f"{spans:,} spans, {file.stat().st_size / 1e9:.2f} GB, {layout}")
    limits = ("--max-cost", "100", "--max-calls", "100")
    rows = {
        "read_spans": (READ_SPANS,),
        "json.loads": (JSON_LOADS,),
        "check, budgets": (CHECK, *limits, "--max-tokens", "1M"),
        "check, budgets of sessions": (CHECK, *limits, "--group", "session"),
        "check, rules of steps": (CHECK, "--rules", str(steps)),
        "check, loops": (CHECK, "--rules", str(loops)),
    }
    reading = 0.0
    for name, (program, *options) in rows.items():
        seconds, memory = measured(program, str(file), *options)
        reading = reading or seconds
        print(f"{name:<28}{seconds:8.2f} CPU-s{memory:8.1f} MB{seconds / reading:8.2f} × reading", flush=True)


if __name__ == "__main__":
    main()
