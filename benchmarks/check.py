"""What `llmtrace check` costs on a large file: CPU beside `json.loads` of the same lines, and the highest memory.

    python benchmarks/check.py [--spans 1000000] [--content 0] [--rounds 1] [--only NAME …]

A span has about 25 attributes and is a line of its own; `--content` adds so many bytes of messages to each call. Traces
have 25 spans, one after another; `single` makes every span a trace of its own, `interleaved` mixes a thousand traces at
a time. Every measurement is a process of its own; of several rounds the least CPU counts. The target is 12 CPU seconds
and 60 MB for a million spans, where `json.loads` takes 13.1 seconds: 0.92 times as much.
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
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

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
CHECK = "import sys\nfrom llmtrace_otel.cli import main\nsys.exit(main(['check', *sys.argv[1:]]))"

LIMITS = ("--max-cost", "100", "--max-calls", "100", "--max-tokens", "1M")


class Row(NamedTuple):
    """What is measured: a layout of the file, and options of `llmtrace check`, the text of a rule file."""

    layout: str
    options: tuple[str, ...] = LIMITS
    rules: str = ""


ROWS = {
    "budgets": Row("traces"),
    "one span per trace": Row("single"),
    "interleaved traces": Row("interleaved"),
    "by session": Row("traces", (*LIMITS, "--group", "session")),
    "rules of steps": Row("traces", (), RULES),
    "loops": Row("traces", (), LOOPS),
}


class Cost(NamedTuple):
    """Of `llmtrace check`: CPU seconds, the highest resident memory in MB; and the CPU seconds of `json.loads`."""

    seconds: float
    memory: float
    reading: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.reading


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
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"it ended with {child.returncode}: {arguments}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def cost(file: Path, options: tuple[str, ...], rounds: int) -> Cost:
    """Reading and checking take turns, so that a machine that is busy for a while is so for both."""
    reading, checking = [], []
    for _ in range(rounds):
        reading.append(measured(JSON_LOADS, str(file)))
        checking.append(measured(CHECK, str(file), *options))
    return Cost(min(checking)[0], max(memory for _, memory in checking), min(reading)[0])


def costs(folder: Path, spans: int, content: int, rounds: int, names: list[str]) -> Iterator[tuple[str, Cost]]:
    """Measures the rows of those names, those of one layout together: only one file is there at a time."""
    file, rules = folder / "traces.jsonl", folder / "rules.toml"
    written = ""
    for name in sorted(names, key=lambda name: ROWS[name].layout):
        row = ROWS[name]
        if row.layout != written:
            write(file, spans, content, row.layout)
            written = row.layout
        rules.write_text(row.rules)
        yield name, cost(file, (*row.options, *(("--rules", str(rules)) if row.rules else ())), rounds)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--content", type=int, default=0, metavar="BYTES")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=ROWS, nargs="+", default=list(ROWS), metavar="NAME")
    args = parser.parse_args(arguments)
    print(f"{args.spans:,} spans; × json.loads, CPU seconds, highest memory")
    with tempfile.TemporaryDirectory() as folder:
        for name, found in costs(Path(folder), args.spans, args.content, args.rounds, args.only):
            print(f"{name:<20}{found.ratio:6.2f} ×{found.seconds:8.2f} s{found.memory:7.1f} MB", flush=True)


if __name__ == "__main__":
    main()
