"""Streams that are open when a program ends leave a span all the same, and a forked child leaves its parent's alone."""

from __future__ import annotations

import signal

import pytest
from instrument_helpers import CHAT_STREAM, OPENAI, STREAM, program

PROGRAM = f"""
import builtins, gc, os, sys, warnings
import httpx
from llmtrace_otel.instrument.httpx import HTTPXInstrumentor
HTTPXInstrumentor().instrument()
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

def told(span):
    return f"{{span.name}}, incomplete: {{span.attributes['llmtrace.stream.incomplete']}}\\n"

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(formatter=told)))
trace.set_tracer_provider(provider)

class Pieces(httpx.SyncByteStream):
    def __iter__(self):
        yield from {STREAM}

client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Pieces())))

def ask():
    response = client.send(client.build_request("POST", {OPENAI!r}, json={CHAT_STREAM}), stream=True)
    pieces = response.iter_raw()
    next(pieces)
    return [response, pieces]
"""
ONE = "chat gpt-4o-mini, incomplete: True"
IN_A_CYCLE = "left = ask()\nleft.append(left)\ndel left"


IN_AN_AGENT = """
from opentelemetry.context import attach, detach, set_value

class Agent:
    def run(self):
        token = attach(set_value("agent", self))
        self.left = ask()
        detach(token)

Agent().run()
gc.collect()
import threading
from llmtrace_otel.instrument import left_streams
served = left_streams._Served()
left_streams._left.put(served)
served.wait()
assert not left_streams._open, left_streams._open
"""


@pytest.mark.parametrize(
    "leave",
    [
        "left = ask()",
        IN_AN_AGENT,
        IN_A_CYCLE,
        f"{IN_A_CYCLE}\ngc.collect()",  # the span may be about to be ended, at the other side of a queue
        "builtins.left = ask()",  # outlives all modules
    ],
    ids=["in the program", "in an agent that its context holds", "in a cycle", "just collected", "where nobody looks"],
)
def test_a_stream_that_is_open_at_the_end_of_the_program_leaves_one_span(leave: str):
    assert program(f"{PROGRAM}\n{leave}") == ONE


def test_a_stream_that_a_thread_still_reads_at_the_end_of_the_program_leaves_one_span():
    read = "import threading\nstarted = threading.Event()"
    reader = "def read():\n    left = ask()\n    started.set()\n    threading.Event().wait()"
    start = "threading.Thread(target=read, daemon=True).start()\nstarted.wait()"
    assert program("\n".join([PROGRAM, read, reader, start])) == ONE


@pytest.mark.parametrize("leave", ["left = ask()", IN_A_CYCLE], ids=["in the program", "in a cycle"])
def test_a_forked_child_leaves_its_parents_streams_to_the_parent(leave: str):
    fork = "warnings.simplefilter('ignore')\ngc.disable()"
    child = "if os.fork() == 0:\n    gc.collect()\n    sys.exit()\nos.wait()"
    assert program("\n".join([PROGRAM, fork, leave, child])) == ONE


def test_a_forked_child_ends_its_own_streams():
    left = "left = ask()\nwarnings.simplefilter('ignore')"
    child = "if os.fork() == 0:\n    left = ask()\n    sys.exit()\nos.wait()"
    assert program("\n".join([PROGRAM, left, child])) == f"{ONE}\n{ONE}"


@pytest.mark.parametrize(
    ("end", "status"),
    [("os._exit(3)", 3), ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM)],
    ids=["_exit", "SIGTERM"],
)
def test_a_stream_that_is_open_at_an_abrupt_end_leaves_one_span_too(end: str, status: int):
    flushed = "import signal\nfrom llmtrace_otel.output import flush\nflush.install()"
    assert program("\n".join([PROGRAM, flushed, "left = ask()", end]), status) == ONE
