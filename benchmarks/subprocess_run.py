"""What tracing adds to `subprocess.run(["true"])`: CPU time of this process, all its threads, and functions called.

    python benchmarks/subprocess_run.py [--rounds 40] [--runs 20]

Instrumented and not take turns within one process, in blocks of runs; the exporter behind the batch processor drops
what it gets. The budget is 0.2 ms. A run's own time goes into the child and into waiting for it, so it is shown, too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from llmtrace_otel.instrument.subprocess import SubprocessInstrumentor

BUDGET_MS = 0.2


class Dropping(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


@contextmanager
def instrumented(provider: TracerProvider | None):
    if provider is None:
        yield
        return
    SubprocessInstrumentor().instrument(tracer_provider=provider)
    try:
        yield
    finally:
        SubprocessInstrumentor().uninstrument()


def measured(runs: int) -> tuple[float, float]:
    """Milliseconds of CPU and of elapsed time that one run takes."""
    elapsed, cpu = time.perf_counter(), time.process_time()
    for _ in range(runs):
        subprocess.run(["true"])
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - elapsed
    return cpu / runs * 1000, elapsed / runs * 1000


def functions() -> int:
    """Python and C functions that one run calls, in all threads."""
    counted: list[None] = []

    def count(frame: Any, event: str, _: Any) -> None:
        if event in ("call", "c_call") and frame.f_code.co_filename != __file__:
            counted.append(None)

    threading.setprofile(count)
    subprocess.run(["true"])
    sys.setprofile(count)
    subprocess.run(["true"])
    sys.setprofile(None)
    threading.setprofile(None)
    return len(counted)


def report(rounds: int, runs: int) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    variants = {"off": None, "on": provider}
    calls = {}
    for name, variant in variants.items():
        with instrumented(variant):
            subprocess.run(["true"])
            calls[name] = functions()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            with instrumented(variant):
                measured(2)
                found[name].append(measured(runs))
    print("| variant | CPU ms: median [least..most] | elapsed ms: median | functions called |")
    print("|---|---|---|---|")
    for name, times in found.items():
        cpu, elapsed = (sorted(column) for column in zip(*times, strict=True))
        spread = f"{statistics.median(cpu):.3f} [{cpu[0]:.3f}..{cpu[-1]:.3f}]"
        print(f"| {name} | {spread} | {statistics.median(elapsed):.3f} | {calls[name]} |")
    added = [on[0] - off[0] for off, on in zip(found["off"], found["on"], strict=True)]
    ratio = statistics.median(cpu for cpu, _ in found["on"]) / statistics.median(cpu for cpu, _ in found["off"])
    print(
        f"\nadded CPU: {statistics.median(added):.3f} ms a run (budget {BUDGET_MS}), ratio on/off {ratio:.2f}", end="; "
    )
    print(f"{len(os.environ)} environment variables")


def main() -> None:
    parser = argparse.ArgumentParser(description="What tracing adds to a child process.")
    parser.add_argument("--rounds", type=int, default=40, help="blocks per variant")
    parser.add_argument("--runs", type=int, default=20, help="runs per block")
    args = parser.parse_args()
    report(args.rounds, args.runs)


if __name__ == "__main__":
    main()
