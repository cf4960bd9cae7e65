"""Starts the measured processes, has them take turns, and counts their instructions.

Instructions are counted where the kernel can: a process makes one call, then 1 + N, and the difference is what N cost.
Elsewhere functions called are counted, or, for whoever wants to wait, instructions by valgrind's callgrind; of LiteLLM,
whose threads take their turns by chance, functions everywhere. Counts hang on no clock, so several are made at once.
Times are taken while nothing else runs: the processes of all peers are started, and take turns.

What a process does by the clock, as a look-up once a minute, is no call's cost, and under valgrind, where a minute is a
second's work, would look like one: the median of several counts has none of it. Where objects happen to lie in memory
makes a difference, too, of one in a thousand; before each count they are laid out anew.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare import counter
from compare.cases import SDKS, Case
from compare.environments import FailedError, made
from compare.figures import Column, Figure, Row, percentile
from compare.peers import BARE, CONTENT, NONE, OURS, PEERS, REPOSITORY, distributions, home, recipe, supports

FEW, WARM = 3, 8
"""Calls that are made before others are timed or looked at; and before they are counted, WARM times `Case.calls`: the
interpreter takes a hundred calls to settle on its specialised instructions."""
VOLUME, TRIES = 125_000_000, 5
"""Calls are counted in such numbers that they have VOLUME instructions or more, so often; of tenfold calls, once."""
CALLGRIND = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--vgdb-poll=1000000000")
KERNEL = counter.works()
"""Whether the kernel counts instructions here."""
WAY = "instructions" if KERNEL else "functions"
"""What is counted here if nobody says."""


def environment(peer: str, sdk: str, content: str) -> dict[str, str]:
    """The variables of a measured process: nothing of the caller's telemetry, and what the peer wants."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LLMTRACE_"))}
    quiet = {
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(REPOSITORY / "benchmarks"),
        "PYTHONWARNINGS": "ignore",
        "BENCHMARK_SDK": sdk,
        "OTEL_BSP_SCHEDULE_DELAY": "600000",  # batches go out when they are full, and when a job is done
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "TRACELOOP_TELEMETRY": "false",
        "ANTHROPIC_OPEN_TELEMETRY": "false",  # the SDK's own spans, which are a peer, and would be in every column
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LOGGING_EXECUTOR_MAX_THREADS": "1",  # so that counts hang less on how threads are scheduled
        "OTEL_EXPORTER": "in_memory",
    }
    return {**inherited, **quiet, **CONTENT[content], **dict(PEERS[peer].environ)}


def python_of(peer: str, sdk: str) -> Path:
    """The interpreter that has a peer and the SDK. Raises FailedError."""
    return made(f"bench-{home(sdk)}", recipe(peer, sdk))


class Child:
    """A measured process; a context manager. `python` is any interpreter that has the peer and the SDK."""

    def __init__(self, python: Path, sdk: str, peer: str, content: str, way: str = "time") -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._dumps = Path(self._folder.name)
        command = [str(python), "-m", "compare.child", sdk, peer]
        self._valgrind = way == "instructions" and not KERNEL
        if self._valgrind:
            command = [*CALLGRIND, f"--callgrind-out-file={self._dumps}/out", *command]
        elif way == "instructions":
            command.append("counter")
        elif way == "functions":
            command.append("functions")
        self._errors = (self._dumps / "errors").open("w+")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=self._dumps,
            env=environment(peer, sdk, content),
        )
        self._name = f"{peer} with {sdk}"

    def __enter__(self) -> Child:
        try:
            self._read()
        except FailedError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            stack.callback(self._folder.cleanup)
            stack.callback(self._errors.close)
            self._process.kill()
            self._process.communicate()

    def ask(self, do: str, case: Case, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        print(json.dumps({"do": do, "case": case, **more}), file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            return answer
        self._process.wait()
        said = [line for line in (self._dumps / "errors").read_text().splitlines() if line and line[:2] != "=="]
        raise FailedError(said[-1] if said else f"{self._name} ended with {self._process.returncode}")

    def instructions(self, case: Case) -> float:
        """Instructions of a call."""
        self._control("instrumentation on")
        one = self._counted(case, 1)
        calls = case.calls if case.shape == "concurrent" else -(-VOLUME // one)
        again = range(TRIES if one < 10 * VOLUME else 1)
        fewer, more = ([self._counted(case, count) for _ in again] for count in (1, 1 + calls))
        self._control("instrumentation off")  # or the next case's first calls would take long
        return (statistics.median(more) - statistics.median(fewer)) / calls

    def functions(self, case: Case, calls: int) -> float:
        """Functions that a call calls."""
        once, twice = (self.ask("functions", case, calls=count)["functions"] for count in (calls, 2 * calls))
        return float(twice - once) / calls

    def _counted(self, case: Case, calls: int) -> int:
        self.ask("shake", case)
        self._control("zero")
        told = self.ask("run", case, calls=calls)
        return self._dumped() if self._valgrind else int(told["instructions"])

    def _dumped(self) -> int:
        self._control("dump")
        dump = max(self._dumps.glob("out.*"), key=lambda path: int(path.suffix[1:]))
        found = re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)
        dump.unlink()
        assert found is not None
        return int(found[1])

    def _control(self, order: str) -> None:
        """Tells valgrind something."""
        if self._valgrind:
            command = ["vgdb", f"--pid={self._process.pid}", *order.split()]
            if subprocess.run(command, capture_output=True).returncode:
                raise FailedError(f"{self._name}: valgrind could not be told {order!r}")


# The peers of an SDK, and what they take

INSTALLED = """
import json
from importlib.metadata import distributions
print(json.dumps({found.name: found.version for found in distributions()}))
"""
LIBRARIES = ("openai", "anthropic", "google-genai", "litellm", "httpx", "httpx2", "opentelemetry-sdk")


def versions(peer: str, sdk: str) -> dict[str, str]:
    """What is installed in a peer's environment, of the libraries and the peer. Raises FailedError."""
    ran = subprocess.run([python_of(peer, sdk), "-c", INSTALLED], check=True, capture_output=True, text=True)
    installed: dict[str, str] = json.loads(ran.stdout)
    return {name: installed[name] for name in (*LIBRARIES, *distributions(peer, sdk)) if name in installed}


@dataclass
class Lineup:
    """Who is measured with an SDK: columns, the versions that each has, and why others are missing."""

    sdk: str
    columns: list[Column]
    versions: dict[str, dict[str, str]]
    missing: dict[str, str]


def lineup(sdk: str, wanted: Iterable[str]) -> Lineup:
    """Makes the environments; a peer with other versions of the libraries brings its own baselines."""
    found = Lineup(sdk, [Column(NONE, NONE), Column(BARE, NONE)], {NONE: versions(NONE, sdk)}, {})
    for peer in wanted:
        if peer in (NONE, BARE) or not supports(peer, sdk):
            continue
        try:
            found.versions[peer] = versions(peer, sdk)
        except FailedError as failed:
            found.missing[peer] = str(failed)
            continue
        found.columns.append(Column(peer, peer))
        if any(found.versions[peer].get(name) != found.versions[NONE].get(name) for name in LIBRARIES):
            found.columns += [Column(NONE, peer), Column(BARE, peer)]
    return found


Found = dict[Case, dict[str, Figure]]
Attributes = dict[Case, dict[str, Any]]


class Group:
    """Cases of one SDK with one setting of content: they share their processes."""

    def __init__(self, lineup: Lineup, cases: list[Case]) -> None:
        self._lineup, self._cases = lineup, cases
        self.sdk, self.content = lineup.sdk, cases[0].content
        bare = () if self.sdk in ("httpx2", "subprocess") else (BARE,)
        self._columns = [
            column
            for column in lineup.columns
            if column.peer in (NONE, *bare) or (column.peer != BARE and self.content in PEERS[column.home].content)
        ]
        self.found: Found = {case: {} for case in cases}
        self.failed: dict[str, str] = {}

    def _child(self, column: Column, way: str = "time") -> Child:
        return Child(python_of(column.home, self.sdk), self.sdk, column.peer, self.content, way)

    def attributes(self) -> Attributes:
        """What our spans carry, which the bare ones are to carry, too."""
        with self._child(Column(OURS, OURS)) as child:
            found = {}
            for case in self._cases:
                child.ask("warm", case, calls=FEW, attributes={})
                looked = child.ask("look", case)
                if case.sdk in SDKS and not looked["spans"]:
                    raise FailedError(f"{OURS} left no span of {case}")
                found[case] = looked["attributes"]
            return found

    def count(self, attributes: Attributes, way: str, at_once: int) -> None:
        """Every column, in processes of their own, as many at once as told."""
        with ThreadPoolExecutor(at_once) as pool:
            jobs = {column: pool.submit(self._counted, column, attributes, way) for column in self._columns}
            for column, job in jobs.items():
                try:
                    figures = job.result()
                except FailedError as failed:
                    self.failed[str(column)] = str(failed)
                    continue
                for case, figure in figures.items():
                    self.found[case][str(column)] = figure

    def _counted(self, column: Column, attributes: Attributes, way: str) -> dict[Case, Figure]:
        with ExitStack() as stack:
            child = stack.enter_context(self._child(column, way if way == "functions" else "time"))
            figures = {case: _look(child, case, attributes[case]) for case in self._cases}
            if way != "functions":
                child = stack.enter_context(self._child(column, way))
            for case, figure in figures.items():
                if case.shape != "memory":
                    figure.count, figure.unit = count(child, case, attributes[case], way), way
        return figures

    def time(self, attributes: Attributes, rounds: int, at_once: int) -> None:
        """All columns, taking turns."""
        with ExitStack() as stack:
            children = self._started(stack, at_once)
            for case in (case for case in self._cases if case.shape != "memory"):
                self._time(children, case, attributes[case], rounds)

    def _time(self, children: dict[Column, Child], case: Case, attributes: dict[str, Any], rounds: int) -> None:
        elapsed: dict[Column, list[float]] = {column: [] for column in children}
        for column, child in children.items():
            child.ask("warm", case, calls=FEW, attributes=attributes)
            self.found[case][str(column)].cpu = []
        for _ in range(case.rounds(rounds)):
            for column, child in children.items():
                told = child.ask("time", case, calls=case.timed)
                self.found[case][str(column)].cpu.append(told["cpu"])
                elapsed[column] += told["elapsed"]
        for column, seconds in elapsed.items():
            self.found[case][str(column)].elapsed = [percentile(seconds, share) for share in (0.5, 0.99)]

    def _started(self, stack: ExitStack, at_once: int) -> dict[Column, Child]:
        """A process for each column that has been counted."""
        columns = [column for column in self._columns if all(str(column) in found for found in self.found.values())]
        with ThreadPoolExecutor(at_once) as pool:
            children = pool.map(lambda column: stack.enter_context(self._child(column)), columns)
            return dict(zip(columns, children, strict=True))


def _look(child: Child, case: Case, attributes: dict[str, Any]) -> Figure:
    child.ask("warm", case, calls=1 if case.shape == "memory" else FEW, attributes=attributes)
    looked = child.ask("look", case)
    memory = child.ask("memory", case)["bytes"] if case.shape == "memory" else None
    return Figure(looked["spans"], looked["tokens"], looked["content"], bytes=memory)


def count(child: Child, case: Case, attributes: dict[str, Any], way: str) -> float:
    """What a call takes, in instructions or functions, once it has been made often enough to be quick."""
    if way == "functions":  # which are the same in every call
        calls = case.calls if case.shape == "concurrent" else min(case.calls, 2 * FEW)
        child.ask("warm", case, calls=FEW * calls, attributes=attributes)
        return child.functions(case, calls)
    child.ask("warm", case, calls=WARM * case.calls, attributes=attributes)
    return child.instructions(case)


def way_of(sdk: str, wanted: str) -> str:
    """What is counted of an SDK's calls: LiteLLM takes too long under valgrind."""
    return "functions" if sdk == "litellm" else wanted


def measure(
    cases: list[Case], wanted: Iterable[str], rounds: int, way: str, at_once: int, known: Found | None = None
) -> tuple[list[Row], list[Lineup]]:
    """Everything about the cases: counts, unless they are known, then times. Says on standard error what it does."""
    rows: list[Row] = []
    lineups = [lineup(sdk, wanted) for sdk in dict.fromkeys(case.sdk for case in cases)]
    for line in lineups:
        for content in dict.fromkeys(case.content for case in cases if case.sdk == line.sdk):
            group = Group(line, [case for case in cases if (case.sdk, case.content) == (line.sdk, content)])
            attributes = group.attributes()
            if known is not None:
                group.found = {case: known[case] for case in group.found}
            else:
                print(f"{line.sdk}, content {content}: counting", file=sys.stderr, flush=True)
                group.count(attributes, way_of(line.sdk, way), at_once)
            if rounds:
                print(f"{line.sdk}, content {content}: taking times", file=sys.stderr, flush=True)
                group.time(attributes, rounds, at_once)
            line.missing |= group.failed
            rows += [Row(case, figures) for case, figures in group.found.items()]
    return rows, lineups
