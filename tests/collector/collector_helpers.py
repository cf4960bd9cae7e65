"""What the collector tests share: spans to send, an in-process ASGI client, a collector as a child process."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


def request_of(*names):
    """An ExportTraceServiceRequest with one span per name; the n-th has span id n."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, name in enumerate(names, 1):
        spans.add(trace_id=bytes(15) + b"\x01", span_id=number.to_bytes(8, "big"), name=name)
    return request


def line_of(*names):
    """The line that `request_of` the same names becomes."""
    spans = [
        {"traceId": f"{1:032x}", "spanId": f"{number:016x}", "name": name, "status": {}}
        for number, name in enumerate(names, 1)
    ]
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": spans}]}]}


def lines_in(path):
    """The lines of a file, each of which must be whole and JSON."""
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


@dataclass
class Answer:
    """What the application answered."""

    status: int
    headers: dict
    body: bytes


def call(application, *, method="POST", path="/v1/traces", headers=PROTOBUF, body=b"", chunks=None):
    """Drives an ASGI application through one request whose body comes in chunks."""
    waiting = list(chunks if chunks is not None else [body])
    sent = []

    async def receive():
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(event):
        sent.append(event)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    asyncio.run(application(scope, receive, send))
    start, end = sent
    answered = {name.decode(): value.decode() for name, value in start["headers"]}
    assert answered.pop("content-length") == str(len(end["body"]))
    return Answer(start["status"], answered, end["body"])


@dataclass
class Collector:
    """A running `llmtrace collect`."""

    process: subprocess.Popen
    said: list = field(default_factory=list)
    url: str = ""

    def wait_for(self, words):
        """Reads standard error up to the line with these words; a collector that never says them is killed."""
        deadline = threading.Timer(30, self.process.kill)
        deadline.start()
        try:
            for line in self.process.stderr:
                self.said.append(line.rstrip("\n").removeprefix("llmtrace collect: "))
                if words in line:
                    return self.said[-1]
        finally:
            deadline.cancel()
        raise AssertionError(f"{words!r} was never said: {self.said}")

    def stop(self, number=signal.SIGTERM):
        """Sends a signal; the exit code and the lines that were not read yet."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=20)
        return self.process.returncode, [line.removeprefix("llmtrace collect: ") for line in rest.splitlines()]


def command(*arguments):
    """The command line of `llmtrace`, run by this interpreter."""
    return [sys.executable, "-c", "from llmtrace_otel.cli import main; raise SystemExit(main())", *map(str, arguments)]
