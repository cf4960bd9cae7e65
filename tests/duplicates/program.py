"""Runs in a peer's environment: `program.py CASE URL OUTPUT`, where CASE is a `Case` as JSON.

Loads the peer and ours as `opentelemetry-instrument` would, makes every call under a root span of its own, and writes
what was exported and logged to OUTPUT, as JSON.
"""

from __future__ import annotations

import asyncio
import faulthandler
import inspect
import json
import logging
import re
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Any

from calls import CALLS, Call
from opentelemetry import trace
from opentelemetry.instrumentation.distro import DefaultDistro
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from peers import LIBRARIES, OURS, PEERS, Case

GROUP = "opentelemetry_instrumentor"
SECONDS = 90
"""After this long the program says where it hangs, and ends."""


class Warnings(logging.Handler):
    """Keeps what OpenTelemetry complains about."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        logging.getLogger("opentelemetry").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()}")

    def taken(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


class LateLogging:
    """LiteLLM's callbacks, which run on threads and tasks of its own after a call: they are waited for."""

    def __init__(self) -> None:
        from litellm.litellm_core_utils import thread_pool_executor

        self.pending: list[Future[Any]] = []
        submit = thread_pool_executor.executor.submit

        def submitted(*args: Any, **kwargs: Any) -> Future[Any]:
            self.pending.append(submit(*args, **kwargs))
            return self.pending[-1]

        thread_pool_executor.executor.submit = submitted

    def settle(self) -> None:
        while self.pending:
            wait([self.pending.pop()])

    async def settle_async(self) -> None:
        from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

        for _ in range(20):  # tasks of this turn put work into its queue; it belongs to this loop
            await asyncio.sleep(0)
        await GLOBAL_LOGGING_WORKER.flush()
        await GLOBAL_LOGGING_WORKER.stop()
        await asyncio.to_thread(self.settle)


def load(entry_point: EntryPoint) -> None:
    DefaultDistro().load_instrumentor(entry_point, skip_dep_check=True)


def load_ours(names: tuple[str, ...]) -> None:
    for name in names:
        found = entry_points(group=GROUP, name=name)
        if not found:
            sys.exit(f"there is no entry point {name} here: the environment is older than the project's entry points")
        load(next(iter(found)))


def start_entry_points(packages: tuple[str, ...]) -> None:
    for entry_point in entry_points(group=GROUP):
        if entry_point.dist is not None and entry_point.dist.name in packages:
            load(entry_point)


def start_logfire(_: tuple[str, ...]) -> None:
    import logfire

    logfire.instrument_openai()
    logfire.instrument_anthropic()
    logfire.instrument_litellm()


def start_callback(_: tuple[str, ...]) -> None:
    import litellm

    litellm.callbacks = ["otel"]


def start_nothing(_: tuple[str, ...]) -> None:
    pass


STARTS: dict[str, Callable[[tuple[str, ...]], None]] = {
    "entry points": start_entry_points,
    "logfire": start_logfire,
    "litellm callback": start_callback,
    "nothing": start_nothing,
}


def set_provider(start: str, exporter: InMemorySpanExporter) -> None:
    """Sets the global tracer provider; Logfire insists on one of its own making."""
    if start == "logfire":
        import logfire

        processors = [SimpleSpanProcessor(exporter)]
        logfire.configure(send_to_logfire=False, console=False, additional_span_processors=processors)
        return
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def load_all(case: Case) -> None:
    peer, ours = PEERS[case.peer], OURS.get(case.ours, ())
    if case.order == "ours first":
        load_ours(ours)
    STARTS[peer.start](peer.packages)
    if case.order != "ours first":
        load_ours(ours)


def run(call: Call, url: str, late: LateLogging) -> None:
    """Makes the call under a root span, which ends when everything that the call left behind has been done."""
    with trace.get_tracer("program").start_as_current_span("agent"):
        if inspect.iscoroutinefunction(call.run):
            asyncio.run(_awaited(call.run(url), late))
        else:
            call.run(url)
            late.settle()


async def _awaited(call: Awaitable[None], late: LateLogging) -> None:
    await call
    await late.settle_async()


def written(span: ReadableSpan) -> dict[str, Any]:
    return {
        "name": span.name,
        "scope": span.instrumentation_scope.name if span.instrumentation_scope else "",
        "id": f"{span.context.trace_id:x}-{span.context.span_id:x}",
        "parent": f"{span.parent.trace_id:x}-{span.parent.span_id:x}" if span.parent else None,
        "start": span.start_time,
        "attributes": dict(span.attributes or {}),
    }


def observed(call: Call, url: str, late: LateLogging, exporter: InMemorySpanExporter, log: Warnings) -> dict[str, Any]:
    error = None
    try:
        run(call, url, late)
    except Exception as raised:
        error = repr(raised)
    spans = [written(span) for span in exporter.get_finished_spans()]
    exporter.clear()
    return {"error": error, "spans": spans, "log": log.taken()}


def versions(peer: str) -> dict[str, str]:
    names = (*(re.split(r"[\[<]", package)[0] for package in PEERS[peer].packages), *LIBRARIES)
    return {name: version(name) for name in names}


def main() -> None:
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    case, url, output = Case(*json.loads(sys.argv[1])), sys.argv[2], Path(sys.argv[3])
    exporter, log = InMemorySpanExporter(), Warnings()
    set_provider(PEERS[case.peer].start, exporter)
    load_all(case)
    late = LateLogging()
    started = log.taken()
    calls = {name: observed(call, url, late, exporter, log) for name, call in CALLS.items()}
    output.write_text(json.dumps({"versions": versions(case.peer), "log": started, "calls": calls}, default=str))


if __name__ == "__main__":
    main()
