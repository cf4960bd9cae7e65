"""What tracing adds to a call of LiteLLM, side by side: ours, LiteLLM's own, OpenInference's, and one bare span.

    python benchmarks/litellm_calls.py                         every row
    python benchmarks/litellm_calls.py sync startup            some of them
    python benchmarks/litellm_calls.py --rounds 1 --calls 30   the short form, for continuous integration

Fails when, in a row, ours is not the least of the three by the functions called, of Python and of C, in all threads,
which are nearly the same in every run. Seconds are shown, and fail nothing. Under valgrind LiteLLM takes too long.

Every variant has the same SDK provider, a batch processor, and an exporter that drops its spans. What LiteLLM does
later in its logging thread or its event loop counts too: CPU time is the whole process's, until it is at rest again.
LiteLLM logs in one thread here, so that counts don't hang on how threads are scheduled. The environment is made in the
user's cache folder, as `scripts/matrix.py` makes them, with what the index resolves.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from matrix import REPOSITORY, Environment, made

HERE = Path(__file__).parent
PEERS = Environment(["--editable", str(REPOSITORY), "litellm", "openinference-instrumentation-litellm", "httpx2"], [])
ROWS = ("sync", "async", "stream")
VARIANTS = ("none", "llmtrace", "litellm-otel", "openinference", "bare")
RIVALS = ("llmtrace", "litellm-otel", "openinference")
LITELLM = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LOGGING_EXECUTOR_MAX_THREADS": "1", "LITELLM_LOG": "ERROR"}
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
CONTENT = {
    "off": {CAPTURE: "no_content", "OPENINFERENCE_HIDE_INPUTS": "true", "OPENINFERENCE_HIDE_OUTPUTS": "true"},
    "on": {CAPTURE: "span_only"},
}
NOTE = f"""
none is LiteLLM alone, and its figures are whole ones. litellm-otel is `callbacks=["otel"]`. bare is one SDK span that
carries what ours does. Content is on and off by {CAPTURE}, which ours and
LiteLLM's read; OpenInference's is on unless OPENINFERENCE_HIDE_INPUTS and OPENINFERENCE_HIDE_OUTPUTS say otherwise.
"""
STARTUP = """
import sys, time
from opentelemetry import trace
from opentelemetry.instrumentation.auto_instrumentation import _load
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
found, prefix = _load.entry_points, sys.argv[1]
_load.entry_points = lambda **group: [entry for entry in found(**group) if entry.value.startswith(prefix)]
_load._load_instrumentors(_load._load_distro())
if "litellm" in sys.modules:
    sys.exit("litellm was imported, which the program had not asked for")
print(time.process_time())
"""
"""What `opentelemetry-instrument` does, with the entry points of one package alone."""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


class Case(NamedTuple):
    """A kind of call, and whether its content is recorded."""

    row: str
    content: str


class Found(NamedTuple):
    """What a variant takes per call: CPU seconds in each round, functions called, spans exported."""

    cpu: list[float]
    functions: float
    spans: float


class Nursery:
    """The process that has imported LiteLLM, and forks one for every job."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [python, HERE / "litellm_workloads.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment(), **LITELLM},
        )

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, case: Case, variant: str, warm_up: int, calls: int, **more: Any) -> dict[str, Any]:
        """What one process found, per call."""
        job = {"attributes": {}, **more, "row": case.row, "variant": variant, "warm_up": warm_up, "calls": calls}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({**job, "environ": CONTENT[case.content]}), file=self._process.stdin, flush=True)
        if not (line := self._process.stdout.readline()):
            raise SystemExit(f"{case.row}, content {case.content}, {variant}: the process broke, as said above")
        found: dict[str, Any] = json.loads(line)
        return found


def measured(nursery: Nursery, cases: list[Case], rounds: int, calls: int) -> dict[Case, dict[str, Found]]:
    """Every variant of every case: counted once, then timed in interleaved processes."""
    counts = {case: counted(nursery, case) for case in cases}
    times: dict[Case, dict[str, list[float]]] = {case: {variant: [] for variant in VARIANTS} for case in cases}
    for _ in range(rounds):
        for case in cases:
            for variant in VARIANTS:
                times[case][variant].append(seconds(nursery, case, variant, calls, counts[case]))
    return {
        case: {variant: Found(times[case][variant], one["functions"], one["spans"]) for variant, one in found.items()}
        for case, found in counts.items()
    }


def counted(nursery: Nursery, case: Case) -> dict[str, dict[str, Any]]:
    """The counts of each variant; the bare span's attributes are those of ours."""
    found: dict[str, dict[str, Any]] = {}
    for variant in VARIANTS:
        attributes = found["llmtrace"]["attributes"] if variant == "bare" else {}
        calls = 2 if case.row == "stream" else 20
        found[variant] = nursery.ask(case, variant, 1, calls, attributes=attributes, profiled=True)
        if variant != "none" and found[variant]["spans"] < 1:
            raise SystemExit(f"{case.row}, content {case.content}: {variant} did not export a span for every call")
    return found


def seconds(nursery: Nursery, case: Case, variant: str, calls: int, counts: dict[str, dict[str, Any]]) -> float:
    """CPU seconds of a call; of streams, which take long, a tenth as many are made."""
    times = max(calls // 10, 2) if case.row == "stream" else calls
    attributes = counts["llmtrace"]["attributes"]
    taken: float = nursery.ask(case, variant, max(times // 5, 2), times, attributes=attributes)["cpu"]
    return taken


def added(found: dict[str, Found], variant: str) -> list[float]:
    """CPU seconds that a variant adds to a call, in each round."""
    if variant == "none":
        return found["none"].cpu
    return [with_it - without for with_it, without in zip(found[variant].cpu, found["none"].cpu, strict=True)]


def report(results: dict[Case, dict[str, Found]]) -> list[Case]:
    """Prints the table, and gives back the cases in which ours is not the least by count."""
    print("\n| call | content | variant | spans | added CPU, ms: median [range] | added functions |")
    print("|---|---|---|---|---|---|")
    for case, found in results.items():
        for variant in VARIANTS:
            print(f"| {case.row} | {case.content} | {variant} | {_columns(found, variant)} |")
    print(NOTE)
    return [case for case, found in results.items() if _least(case, found) != "llmtrace"]


def _columns(found: dict[str, Found], variant: str) -> str:
    one, times = found[variant], sorted(1000 * seconds for seconds in added(found, variant))
    spread = f"{statistics.median(times):.2f} [{times[0]:.2f}..{times[-1]:.2f}]"
    functions = one.functions if variant == "none" else one.functions - found["none"].functions
    return f"{one.spans:.1f} | {spread} | {functions:.0f}"


def _least(case: Case, found: dict[str, Found]) -> str:
    """Says which variant adds the least, and gives back the one that does by count."""
    quickest = min(RIVALS, key=lambda variant: statistics.median(added(found, variant)))
    least = min(RIVALS, key=lambda variant: found[variant].functions)
    print(f"{case.row}, content {case.content}: {least} calls the fewest functions, {quickest} took the least CPU")
    return least


def report_startup(python: Path, rounds: int) -> None:
    """What our instrumentors cost a process that never imports LiteLLM."""
    times: dict[str, list[float]] = {"none": [], "llmtrace_otel": []}
    for _ in range(rounds):
        for prefix in times:
            times[prefix].append(_started(python, prefix))
    pairs = zip(times["llmtrace_otel"], times["none"], strict=True)
    costs = sorted(1000 * (with_it - without) for with_it, without in pairs)
    base = 1000 * statistics.median(times["none"])
    print("\n| a process without LiteLLM | CPU, ms: median [range] |\n|---|---|")
    print(f"| with an SDK provider | {base:.0f} |")
    print(f"| added by all our instrumentors | {statistics.median(costs):.0f} [{costs[0]:.0f}..{costs[-1]:.0f}] |")
    print("\nlitellm was imported by neither.")


def _started(python: Path, prefix: str) -> float:
    done = subprocess.run([python, "-c", STARTUP, prefix], capture_output=True, text=True, env=environment())
    if done.returncode:
        raise SystemExit(f"startup with {prefix}: {done.stderr}")
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="What tracing adds to a call of LiteLLM.")
    parser.add_argument("rows", nargs="*", choices=[*ROWS, "startup", []], default=[])
    parser.add_argument("--rounds", type=int, default=7, help="interleaved processes per variant")
    parser.add_argument("--calls", type=int, default=200, help="calls that are timed in each; of streams a tenth")
    args = parser.parse_args()
    python = made("litellm-peers", PEERS) / "bin" / "python"
    rows = args.rows or [*ROWS, "startup"]
    cases = [Case(row, content) for row in ROWS if row in rows for content in CONTENT]
    lost: list[Case] = []
    if cases:
        with Nursery(python) as nursery:
            lost = report(measured(nursery, cases, args.rounds, args.calls))
    if "startup" in rows:
        report_startup(python, 3 * args.rounds)
    if lost:
        raise SystemExit("ours does not call the fewest functions in: " + ", ".join(" ".join(case) for case in lost))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as failed:
        raise SystemExit(f"litellm_calls: a step failed with exit code {failed.returncode}") from None
