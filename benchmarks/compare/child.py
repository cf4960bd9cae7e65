"""The measured process: reads jobs from its standard input, and tells what each took, one JSON object per line each.

    python -m compare.child SDK PEER [functions|counter]

With `functions` the functions called, of Python and of C, in all threads, can be counted.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import json
import os
import random
import re
import selectors
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent import futures
from typing import Any
from weakref import WeakSet

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from compare import rest
from compare.cases import Case
from compare.counter import Counter
from compare.peers import BARE, PEERS, distributions
from compare.starts import STARTS
from compare.workloads import MARK, TOKENS, call_of, gathered

_PACKAGES, _MODULES = (asyncio, futures), (selectors, WeakSet, threading, rest)
CHANCE = (*(os.path.dirname(inspect.getfile(package)) for package in _PACKAGES), *map(inspect.getfile, _MODULES))
"""How often event loops turn, how many tasks they see, and whether a pool's thread is idle when it is given work, is
chance: their functions are not counted."""


POOL, SIZES = 16_384, range(48, 513, 16)
"""Bytes of a pool of Python's, and of the objects that have pools, as far as `bytes` can be as small."""


class Dropping(SpanExporter):
    """Drops its spans; keeps those of the last batch when it is told to."""

    def __init__(self) -> None:
        self.keep = False
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Any) -> SpanExportResult:
        if self.keep:
            self.spans += spans
        return SpanExportResult.SUCCESS


class Functions:
    """Counts the functions that are called: of threads to come always, of this one while it is told to, since LiteLLM,
    say, calls millions when it is imported."""

    def __init__(self) -> None:
        self._count = itertools.count()
        threading.setprofile(self._called)

    def _called(self, frame: Any, event: str, _: Any) -> None:
        if event in ("call", "c_call") and not frame.f_code.co_filename.startswith(CHANCE):
            next(self._count)

    def of(self, work: Callable[[], None]) -> int:
        """How many are called meanwhile. What cycles do that are found then, and when they are, is chance."""
        gc.collect()
        gc.disable()
        before = next(self._count)
        sys.setprofile(self._called)
        try:
            work()
        finally:
            sys.setprofile(None)
            gc.enable()
        return next(self._count) - before


class Process:
    """A peer that is switched on, and the calls made under it."""

    def __init__(self, sdk: str, peer: str, functions: Functions | None = None, counter: Counter | None = None) -> None:
        self._peer, self._functions, self._counter = peer, functions, counter
        self._exporter = Dropping()
        STARTS[PEERS[peer].start](self._exporter, distributions(peer, sdk))
        self._runner = asyncio.Runner()
        self._calls: dict[Case, Any] = {}
        self._attributes: dict[str, Any] = {}
        self._ballast: list[bytes] = []
        self._chance = random.Random(7)

    # What a job can ask for

    def warm(self, case: Case, calls: int, attributes: dict[str, Any]) -> dict[str, Any]:
        """Makes the first calls; a bare span has these attributes from now on."""
        self._attributes = attributes
        self._calls[case] = call_of(case)
        self._run(case, calls)
        self._rest(case)
        gc.collect()
        gc.freeze()  # what is there to stay is not looked through again and again
        return {}

    def look(self, case: Case) -> dict[str, Any]:
        """What a call leaves: how many spans, whether they carry tokens and content, and the last one's attributes."""
        self._exporter.keep = True
        self._run(case, 1)
        self._rest(case)
        spans, self._exporter.spans, self._exporter.keep = self._exporter.spans, [], False
        texts = json.dumps([_told(span) for span in spans], default=str)
        tokens = any(_is_usage(key, value) for span in spans for key, value in (span.attributes or {}).items())
        attributes = dict(spans[-1].attributes or {}) if spans else {}
        return {"spans": len(spans), "tokens": tokens, "content": MARK in texts, "attributes": attributes}

    def time(self, case: Case, calls: int) -> dict[str, Any]:
        """Seconds: of CPU, all threads, per call; and elapsed, of each call."""
        started = time.process_time()
        elapsed = self._run(case, calls)
        self._rest(case)
        return {"cpu": (time.process_time() - started) / calls, "elapsed": elapsed}

    def shake(self, case: Case) -> dict[str, Any]:
        """Fills the last pools of Python's memory anew: whether a call's last object needs another is chance."""
        self._ballast = [bytes(size - 33) for size in SIZES for _ in range(self._chance.randrange(POOL // size))]
        return {}

    def run(self, case: Case, calls: int) -> dict[str, Any]:
        """Makes calls, and tells the instructions, if whoever runs this process does not count them.

        Garbage is collected once, at the end: what calls leave is looked through as often as that of others, whereas
        the collections that happen to be due after so many calls would be one more or one less.
        """
        gc.collect()
        gc.disable()
        before = self._counter.read() if self._counter else 0
        self._run(case, calls)
        gc.collect(0)
        self._rest(case)
        told = {"instructions": self._counter.read() - before} if self._counter else {}
        gc.enable()
        return told

    def functions(self, case: Case, calls: int) -> dict[str, Any]:
        """The functions called, by so many calls."""
        assert self._functions is not None

        def work() -> None:
            self._run(case, calls)
            self._rest(case)

        return {"functions": self._functions.of(work)}

    def memory(self, case: Case) -> dict[str, Any]:
        """The most bytes of Python's that one call has at a time."""
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        self._run(case, 1)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return {"bytes": most - before}

    # How

    def _run(self, case: Case, calls: int) -> list[float]:
        """Makes calls, one after the other or all at once, and gives the seconds that each took."""
        if case.shape == "concurrent":
            started = time.perf_counter()
            self._runner.run(gathered(self._asynchronous(case), calls))
            return [(time.perf_counter() - started) / calls]
        if case.mode == "async":
            return self._runner.run(self._run_async(case, calls))
        call, elapsed = self._synchronous(case), []
        for _ in range(calls):
            started = time.perf_counter()
            call()
            elapsed.append(time.perf_counter() - started)
        return elapsed

    async def _run_async(self, case: Case, calls: int) -> list[float]:
        call, elapsed = self._asynchronous(case), []
        for _ in range(calls):
            started = time.perf_counter()
            await call()
            elapsed.append(time.perf_counter() - started)
        return elapsed

    def _synchronous(self, case: Case) -> Any:
        call, tracer, attributes = self._calls[case], trace.get_tracer("bare"), self._attributes
        if self._peer != BARE:
            return call

        def traced() -> None:
            with tracer.start_as_current_span("chat gpt-5-mini", kind=trace.SpanKind.CLIENT) as span:
                call()
                span.set_attributes(attributes)

        return traced

    def _asynchronous(self, case: Case) -> Any:
        call, tracer, attributes = self._calls[case], trace.get_tracer("bare"), self._attributes
        if self._peer != BARE:
            return call

        async def traced() -> None:
            with tracer.start_as_current_span("chat gpt-5-mini", kind=trace.SpanKind.CLIENT) as span:
                await call()
                span.set_attributes(attributes)

        return traced

    def _rest(self, case: Case) -> None:
        """Lets what the calls left to other threads and tasks come to its end; LiteLLM leaves much."""
        for worker in threading.enumerate():
            if worker.name == "llmtrace-prices":
                worker.join()
        if case.sdk == "litellm":
            for pause in rest.pauses():
                self._runner.run(asyncio.sleep(pause))
                rest.wait_for_litellms_thread()
        provider: Any = trace.get_tracer_provider()
        provider.force_flush()


def _is_usage(key: str, value: Any) -> bool:
    """Whether an attribute says how many tokens were used, as a number or in JSON; `max_tokens` does not."""
    return ("token" in key or "usage" in key) and not TOKENS.isdisjoint(re.findall(r"[\d.]+", str(value)))


def _told(span: ReadableSpan) -> list[Any]:
    return [dict(span.attributes or {}), *(dict(event.attributes or {}) for event in span.events)]


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a peer prints is no answer
    sdk, peer = sys.argv[1:3]
    counter = Counter() if "counter" in sys.argv else None  # before there are threads
    process = Process(sdk, peer, Functions() if "functions" in sys.argv else None, counter)
    print(json.dumps({}), file=answers, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        told = getattr(process, job.pop("do"))(Case(*job.pop("case")), **job)
        print(json.dumps(told, default=list), file=answers, flush=True)


if __name__ == "__main__":
    main()
