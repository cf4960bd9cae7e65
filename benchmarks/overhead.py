"""What tracing adds to a call, as a ratio to one bare OpenTelemetry SDK span with the same attributes.

    python benchmarks/overhead.py                      every workload
    python benchmarks/overhead.py plain stream         some of them
    python benchmarks/overhead.py formats              one table with a row per wire format
    python benchmarks/overhead.py --seconds            CPU time only, without valgrind

Instructions are counted with valgrind's callgrind where it is installed, from the end of the warm-up on: a process
makes N calls, another 2 N, and the difference is what N calls cost. CPU time is measured in interleaved processes
(A B C A B C …); the median is shown, with its range. A machine's noise is in the seconds, not in the instructions.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from bodies import FORMATS

HERE = Path(__file__).parent
VARIANTS = ("none", "bare", "llmtrace")
WORKLOADS = ("plain", "plain-async", "stream", "stream-async", "other")


def calls_of(workload: str) -> tuple[int, int]:
    """How many calls of a workload are timed, and how many counted."""
    if workload == "other":
        return 1000, 200
    return (40, 12) if "stream" in workload else (400, 60)


def child(workload: str, variant: str, calls: int) -> list[str]:
    return [sys.executable, str(HERE / "workloads.py"), workload, variant, str(calls)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def seconds(workload: str, variant: str) -> float:
    """CPU seconds of one call, in a process of its own."""
    run = subprocess.run(
        child(workload, variant, calls_of(workload)[0]), check=True, capture_output=True, text=True, env=environment()
    )
    return float(run.stdout)


def instructions(workload: str, variant: str) -> float:
    """Instructions of one call."""
    calls = calls_of(workload)[1]
    return (_counted(workload, variant, 2 * calls) - _counted(workload, variant, calls)) / calls


def _counted(workload: str, variant: str, calls: int) -> int:
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--instr-atstart=no"]
    run = subprocess.run(
        valgrind + child(workload, variant, calls),
        check=True,
        capture_output=True,
        text=True,
        env={**environment(), "CALLGRIND": "1"},
    )
    counted = re.search(r"Collected : (\d+)", run.stderr)
    if counted is None:
        raise SystemExit("valgrind counted nothing:\n" + run.stderr)
    return int(counted[1])


def report(workload: str, rounds: int, *, count: bool) -> None:
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(rounds):
        for variant in VARIANTS:
            times[variant].append(seconds(workload, variant))
    print(f"\n## {workload}\n")
    print("| variant | CPU per call, µs: median [range] | added µs | added instructions, thousands | ratio to bare |")
    print("|---|---|---|---|---|")
    counts = {variant: instructions(workload, variant) for variant in VARIANTS} if count else {}
    base = statistics.median(times["none"])
    for variant in VARIANTS:
        found = sorted(times[variant])
        added = (statistics.median(found) - base) * 1e6
        spread = f"{statistics.median(found) * 1e6:.0f} [{found[0] * 1e6:.0f}..{found[-1] * 1e6:.0f}]"
        print(f"| {variant} | {spread} | {added:.1f} | {_instruction_columns(counts, variant)} |")


def _instruction_columns(counts: dict[str, float], variant: str) -> str:
    if not counts:
        return "not counted | not counted"
    added = counts[variant] - counts["none"]
    bare = counts["bare"] - counts["none"]
    return f"{added / 1000:.0f} | {added / bare:.2f}" if bare > 0 else f"{added / 1000:.1f} | -"


def report_formats(rounds: int, *, count: bool) -> None:
    """One row per wire format: what a call of it costs more than the same call untraced."""
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for name in FORMATS:
            for variant in VARIANTS:
                times.setdefault((name, variant), []).append(seconds(name, variant))
    print("\n## formats: a whole answer, or 200 chunks where the name ends in -stream\n")
    print("| format | added CPU, µs: least, median | added instructions, thousands | ratio to a bare span |")
    print("|---|---|---|---|")
    for name in FORMATS:
        added = [ours - none for ours, none in zip(times[name, "llmtrace"], times[name, "none"], strict=True)]
        least = min(times[name, "llmtrace"]) - min(times[name, "none"])
        counts = {variant: instructions(name, variant) for variant in VARIANTS} if count else {}
        spread = f"{least * 1e6:.0f}, {statistics.median(added) * 1e6:.0f}"
        print(f"| {name} | {spread} | {_instruction_columns(counts, 'llmtrace')} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="What tracing adds to a call.")
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, "formats", []], default=[])
    parser.add_argument("--rounds", type=int, default=7, help="interleaved processes per variant")
    parser.add_argument("--seconds", action="store_true", help="measure CPU time only")
    args = parser.parse_args()
    count = not args.seconds and shutil.which("valgrind") is not None
    if not args.seconds and not count:
        print("valgrind is not installed: instructions are not counted (apt install valgrind)", file=sys.stderr)
    for workload in args.workloads or [*WORKLOADS, "formats"]:
        if workload == "formats":
            report_formats(args.rounds, count=count)
        else:
            report(workload, args.rounds, count=count)


if __name__ == "__main__":
    main()
