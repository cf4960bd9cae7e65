"""What reading a file of spans takes: ours, against `json.loads` of each line and, where it is installed, `jq`.

    python benchmarks/reading.py                   a million spans, some 1.1 GB in the temporary folder meanwhile
    python benchmarks/reading.py --spans 100000

Each reader is a process of its own that counts the spans, in turns; the figures are CPU seconds and the most memory,
as /proc tells of each process. (What `wait4` tells of memory is also what the parent had when it was forked.)
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5-mini",
    "gen_ai.response.model": "gpt-5-mini-2025-08-07",
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 207,
    "server.address": "api.openai.com",
    "server.port": 443,
    "llmtrace.cost.usd": 0.000416,
    "llmtrace.cost.status": "estimated",
}
KINDS = {str: "stringValue", int: "intValue", float: "doubleValue"}
READERS = {
    "llmtrace": "import sys; from llmtrace_otel.read import read_spans; print(sum(1 for _ in read_spans(sys.argv[1])))",
    "json.loads": (
        "import json, sys; print(sum(len(s['spans']) for line in open(sys.argv[1], 'rb')"
        " for r in json.loads(line)['resourceSpans'] for s in r['scopeSpans']))"
    ),
}
JQ = "[.resourceSpans[].scopeSpans[].spans[].spanId] | length"


def line(chance: random.Random, start: int) -> str:
    """One span as the exporter writes it."""
    attributes = [
        {"key": key, "value": {KINDS[type(value)]: str(value) if isinstance(value, int) else value}}
        for key, value in CHAT.items()
    ]
    span = {
        "traceId": chance.randbytes(16).hex(),
        "spanId": chance.randbytes(8).hex(),
        "name": "chat gpt-5-mini",
        "kind": 3,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + chance.randrange(10**9)),
        "attributes": attributes,
        "status": {},
    }
    scopes = [{"scope": {"name": "llmtrace_otel"}, "spans": [span]}]
    return json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": scopes}]}, separators=(",", ":")) + "\n"


def write(path: Path, spans: int) -> None:
    chance = random.Random(7)
    with path.open("w") as file:
        file.writelines(line(chance, 1_790_000_000_000_000_000 + 1000 * number) for number in range(spans))


def commands(path: Path) -> dict[str, list[str]]:
    found = {name: [sys.executable, "-c", code, str(path)] for name, code in READERS.items()}
    return found | ({"jq": ["jq", JQ, str(path)]} if shutil.which("jq") else {})


def read(command: list[str]) -> tuple[float, float]:
    """CPU seconds, and the most megabytes resident."""
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(command, stdout=nowhere)
    memory, ended = 0.0, 0
    while not ended:
        memory = max(memory, most_resident(process.pid))
        time.sleep(0.01)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"reading: {command[0]} failed with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime, memory


def most_resident(pid: int) -> float:
    """Megabytes that a process has had at most until now; none of one that has ended."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM")), 0.0)


def measure(spans: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """What each round found, by figure and reader."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "traces.jsonl")
        write(path, spans)
        taken: dict[str, list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for name, command in commands(path).items():
                taken.setdefault(name, []).append(read(command))
    return {
        f"CPU of {spans:,} spans, s": {name: [cpu for cpu, _ in all_] for name, all_ in taken.items()},
        "most memory, MB": {name: [memory for _, memory in all_] for name, all_ in taken.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What reading a file of spans takes.")
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    for figure, readers in measure(args.spans, args.rounds).items():
        print(figure + ": " + ", ".join(f"{name} {statistics.median(all_):,.1f}" for name, all_ in readers.items()))


if __name__ == "__main__":
    main()
