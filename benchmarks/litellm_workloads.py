"""The measured processes of `litellm_calls.py`: LiteLLM's calls, with one kind of instrumentation, so many times.

LiteLLM takes seconds to import, and again with its first call. So one process imports it, reads jobs from its standard
input, one JSON object per line, and forks a process for each, which instruments, calls, comes to rest and tells what
that took; the answer is one JSON object per line of standard output. A transport in memory answers LiteLLM's requests.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import itertools
import json
import multiprocessing
import os
import selectors
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import thread
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakSet

import httpx
import litellm
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from workloads import MESSAGES, MODEL, Dropped, answer, chunks, settle

CHUNKS = 200
CHANCE = (os.path.dirname(asyncio.__file__), *map(inspect.getfile, (selectors, WeakSet, threading, thread)))
"""How often event loops turn, how many tasks they see, and whether a pool's thread is idle when it is given work, is
chance: their functions are not counted."""
PAUSE, LOOKS = 0.03, 3
"""A process is at rest when it takes less than a fifth of the time in each of LOOKS pauses of PAUSE seconds."""


class Job(NamedTuple):
    """What a process is to do. `attributes` are those of the bare span; `environ` is set before anything is loaded."""

    row: str
    variant: str
    warm_up: int
    calls: int
    environ: dict[str, str]
    attributes: dict[str, Any]
    profiled: bool = False


class Counting(Dropped):
    """Counts the spans that it drops, and keeps the attributes of the last one."""

    def __init__(self) -> None:
        self.spans = 0
        self.attributes: dict[str, Any] = {}

    def export(self, spans: Any) -> Any:
        self.spans += len(spans)
        last: ReadableSpan = spans[-1]
        self.attributes = dict(last.attributes or {})
        return super().export(spans)


# The calls


def in_memory(content_type: str, pieces: list[bytes]) -> None:
    """Has LiteLLM's clients answer from memory."""

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": content_type}, content=iter(pieces))

    async def respond_async(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": content_type}, content=_async(pieces))

    litellm.client_session = httpx.Client(transport=httpx.MockTransport(respond))
    litellm.aclient_session = httpx.AsyncClient(transport=httpx.MockTransport(respond_async))


async def _async(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


ARGUMENTS: dict[str, Any] = {"model": f"openai/{MODEL}", "messages": MESSAGES, "api_key": "x"}


def sync() -> Callable[[], Any]:
    in_memory("application/json", [answer()])
    return lambda: litellm.completion(**ARGUMENTS)


def asynchronous() -> Callable[[], Any]:
    in_memory("application/json", [answer()])
    return lambda: litellm.acompletion(**ARGUMENTS)


def stream() -> Callable[[], Any]:
    in_memory("text/event-stream", chunks(CHUNKS))
    options = {"include_usage": True}

    def call() -> None:
        for _ in litellm.completion(stream=True, stream_options=options, **ARGUMENTS):
            pass

    return call


ROWS = {"sync": sync, "async": asynchronous, "stream": stream}


# What they are instrumented with


def nothing(call: Callable[[], Any], job: Job) -> Callable[[], Any]:
    return call


def bare(call: Callable[[], Any], job: Job) -> Callable[[], Any]:
    """One SDK span around the call, which carries what ours does."""
    tracer = trace.get_tracer("bare")

    def traced() -> Any:
        with tracer.start_as_current_span(f"chat {MODEL}", kind=trace.SpanKind.CLIENT) as span:
            result = call()
            span.set_attributes(job.attributes)
            return result

    async def traced_async() -> Any:
        with tracer.start_as_current_span(f"chat {MODEL}", kind=trace.SpanKind.CLIENT) as span:
            result = await call()
            span.set_attributes(job.attributes)
            return result

    return traced_async if job.row == "async" else traced


def ours(call: Callable[[], Any], job: Job) -> Callable[[], Any]:
    from llmtrace_otel import HTTPXInstrumentor
    from llmtrace_otel.instrument.litellm import LiteLLMInstrumentor

    HTTPXInstrumentor().instrument()
    LiteLLMInstrumentor().instrument()
    return call


def litellms_own(call: Callable[[], Any], job: Job) -> Callable[[], Any]:
    litellm.callbacks = ["otel"]
    return call


def openinference(call: Callable[[], Any], job: Job) -> Callable[[], Any]:
    from openinference.instrumentation.litellm import LiteLLMInstrumentor

    LiteLLMInstrumentor().instrument()
    return call


VARIANTS = {
    "none": nothing,
    "bare": bare,
    "llmtrace": ours,
    "litellm-otel": litellms_own,
    "openinference": openinference,
}


# One process


class Reading(NamedTuple):
    """Where a process at rest stands: CPU seconds of all its threads, functions called, spans exported."""

    cpu: float
    functions: int
    spans: int


class Process:
    """One job's own process."""

    def __init__(self, job: Job) -> None:
        os.environ.update(job.environ)
        self._functions = itertools.count()
        if job.profiled:
            self._profile()
        self._exported = Counting()
        self._provider = TracerProvider()
        self._provider.add_span_processor(BatchSpanProcessor(self._exported))
        trace.set_tracer_provider(self._provider)
        self._job = job
        self._call = VARIANTS[job.variant](ROWS[job.row](), job)

    def _profile(self) -> None:
        """Counts every function called, of Python and of C, in this thread and those to come."""

        def called(frame: Any, event: str, argument: Any) -> None:
            if event in ("call", "c_call") and not frame.f_code.co_filename.startswith(CHANCE):
                next(self._functions)

        gc.disable()
        threading.setprofile(called)
        sys.setprofile(called)

    def run(self) -> dict[str, Any]:
        """What a call takes, in CPU seconds, functions and spans; and the last span's attributes."""
        if self._job.row == "async":
            before, after = asyncio.run(self._calls_async())
        else:
            before, after = self._calls()
        taken = [(there - here) / self._job.calls for here, there in zip(before, after, strict=True)]
        return {**Reading(*taken)._asdict(), "attributes": self._exported.attributes}

    def _calls(self) -> tuple[Reading, Reading]:
        readings = []
        for calls in (self._job.warm_up, self._job.calls):
            for _ in range(calls):
                self._call()
            for pause in self._pauses():
                time.sleep(pause)
            readings.append(self._reading())
        return readings[0], readings[1]

    async def _calls_async(self) -> tuple[Reading, Reading]:
        readings = []
        for calls in (self._job.warm_up, self._job.calls):
            for _ in range(calls):
                await self._call()
            for pause in self._pauses():
                await asyncio.sleep(pause)
            readings.append(self._reading())
        return readings[0], readings[1]

    def _pauses(self) -> Iterator[float]:
        """How long to sleep, again and again, until what the calls left to other threads and tasks is done."""
        settle()
        looks, spent = 0, time.process_time()
        while looks < LOOKS:
            yield PAUSE
            before, spent = spent, time.process_time()
            looks = looks + 1 if spent - before < PAUSE / 5 else 0

    def _reading(self) -> Reading:
        self._provider.force_flush()
        return Reading(time.process_time(), next(self._functions), self._exported.spans)


def work(job: Job) -> dict[str, Any]:
    return Process(job).run()


def modules_of_a_call(row: str) -> list[str]:
    """What LiteLLM has imported by the end of a call."""
    Process(Job(row, "none", 0, 1, {}, {})).run()
    return list(sys.modules)


def forked(task: Callable[[Any], Any], given: Any) -> Any:
    """What a task returns in a process of its own."""

    def run() -> None:
        there.send(task(given))

    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=run)
    process.start()
    there.close()
    try:
        return here.recv()
    finally:
        process.join()


def preload() -> None:
    """Imports what LiteLLM leaves for its first call. A call itself would start threads, which no fork takes along."""
    for row in ROWS:
        for name in forked(modules_of_a_call, row):
            with suppress(Exception):
                importlib.import_module(name)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a job prints is no answer
    preload()
    gc.freeze()  # what is imported is the same for all, and is not looked through again and again
    for line in sys.stdin:
        print(json.dumps(forked(work, Job(**json.loads(line))), default=list), file=answers, flush=True)


if __name__ == "__main__":
    main()
