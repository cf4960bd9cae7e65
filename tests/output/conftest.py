"""Real programs under the real `opentelemetry-instrument`, and the smallest collector that they can talk to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

INSTRUMENT = str(Path(sys.executable).with_name("opentelemetry-instrument"))


@dataclass
class Collector:
    """An OTLP/HTTP receiver: what was POSTed, and the names of the spans in it."""

    url: str
    paths: list[str] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)

    def receive(self, path: str, body: bytes) -> None:
        self.paths.append(path)
        if path == "/v1/traces":
            for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope_spans in resource_spans.scope_spans:
                    self.names.update(span.name for span in scope_spans.spans)


@pytest.fixture
def collector():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.receive(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield received
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Run:
    """What a program left behind."""

    returncode: int
    stdout: str
    stderr: str
    output: Path

    @property
    def spans(self) -> list[dict[str, Any]]:
        """The spans in the output file, in the order of its lines; each line must be whole and hold one span."""
        return [span_of(line) for line in self.output.read_text("utf-8").splitlines()]

    @property
    def names(self) -> Counter[str]:
        return Counter(span["name"] for span in self.spans)


def span_of(line: str) -> dict[str, Any]:
    [resource_spans] = json.loads(line)["resourceSpans"]
    [scope_spans] = resource_spans["scopeSpans"]
    [span] = scope_spans["spans"]
    return span


@pytest.fixture
def run(tmp_path):
    """Run a program under `opentelemetry-instrument` with only the given OTEL_* and LLMTRACE_* variables."""

    def run(program: str, *, output: str | None = "traces.jsonl", **variables: str) -> Run:
        script = tmp_path / "program.py"
        script.write_text(PREAMBLE + textwrap.dedent(program))
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        environment |= {"NO_PROXY": "*", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"} | variables
        environment["PYTHONUNBUFFERED"] = "1"  # what is printed before `os._exit` is printed
        if output:
            environment["LLMTRACE_OUTPUT"] = str(tmp_path / output)
        command = [INSTRUMENT, sys.executable, str(script)]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=50)
        return Run(done.returncode, done.stdout, done.stderr, tmp_path / (output or "traces.jsonl"))

    return run


FOREIGN = ("OTEL_", "LLMTRACE_", "TRACEPARENT", "TRACESTATE", "BAGGAGE", "PYTEST_", "COV_")
PREAMBLE = """\
import os
from opentelemetry import trace

def span(name):
    trace.get_tracer("program").start_span(name).end()

"""
