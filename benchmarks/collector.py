"""What a million spans cost a collector: ours and the official one, fed the same bytes, in turns.

    python benchmarks/collector.py                  ours and, after `make tools`, the official collector beside it
    python benchmarks/collector.py --memory 10      resident memory over ten million spans

A span has 25 attributes with 2 kB of messages among them, a request 100 spans. Every request of a round differs in its
ids, times and texts. Each row is one configuration file, given to both engines as it is. The figures are CPU-seconds
per million spans of the collector's own process, from /proc: the client is not in them, nor is what takes the forwarded
spans and throws them away. Machines differ, and one differs from hour to hour, so each figure is also told as a
multiple of what protobuf's own parser takes for the same bytes, measured right before it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from install_interop_tools import OTELCOL
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SPANS = 100
DISTINCT = 150
CONNECTIONS = 4
WORDS = [
    "naïve",
    "“quotes”",
    "and\nnew",
    "lines",
    "\\",
    "日本",
    "need",
    "care",
    "in",
    "JSON",
    "when",
    "it",
    "is",
    "sunny",
]
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
GRPC_PATH = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


# What is sent


def messages(chance: random.Random, role: str, size: int) -> str:
    """About `size` bytes of one message, as the attribute has it: JSON in a string."""
    text = " ".join(chance.choices(WORDS, k=size // 7))
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}], ensure_ascii=False)


def attributes(chance: random.Random) -> dict[str, str | int | float | bool]:
    """25 attributes of one chat span."""
    tokens = chance.randrange(1000)
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.response.model": "gpt-5-mini-2025-08-07",
        "gen_ai.response.id": f"chatcmpl-{chance.randbytes(12).hex()}",
        "gen_ai.response.finish_reasons": "stop",
        "gen_ai.usage.input_tokens": tokens,
        "gen_ai.usage.output_tokens": chance.randrange(1000),
        "gen_ai.usage.cache_read.input_tokens": tokens // 2,
        "gen_ai.usage.reasoning.output_tokens": 64,
        "gen_ai.request.temperature": 0.7,
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": f"conv-{chance.randrange(20)}",
        "gen_ai.agent.name": "researcher",
        "server.address": "api.openai.com",
        "server.port": 443,
        "llmtrace.cost.usd": tokens * 0.000003,
        "llmtrace.cost.status": "estimated",
        "llmtrace.cost.source": "genai-prices",
        "llmtrace.layer": "httpx",
        "session.id": f"session-{chance.randrange(20)}",
        "gen_ai.input.messages": messages(chance, "user", 1400),
        "gen_ai.output.messages": messages(chance, "assistant", 600),
    }


def request(chance: random.Random) -> bytes:
    """One serialised export request."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    for number in range(8):
        resource.resource.attributes.add(key=f"host.label.{number}").value.string_value = f"value {number}"
    scope = resource.scope_spans.add()
    scope.scope.name = "llmtrace_otel"
    start = 1_790_000_000_000_000_000 + chance.randrange(10**15)
    for number in range(SPANS):
        span = scope.spans.add(
            trace_id=chance.randbytes(16),
            span_id=chance.randbytes(8),
            parent_span_id=chance.randbytes(8),
            name="chat gpt-5-mini",
            kind=3,
            start_time_unix_nano=start + number * 1000,
            end_time_unix_nano=start + number * 1000 + chance.randrange(10**9),
            flags=0x101,
        )
        for key, value in attributes(chance).items():
            any_value = span.attributes.add(key=key).value
            kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[type(value)]
            setattr(any_value, kind, value)
    return bytes(message.SerializeToString())


# How it is sent


def post(port: int, bodies: list[bytes], count: int) -> None:
    """Sends `count` requests over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for number in range(count):
        body = bodies[number % len(bodies)]
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"the collector answered {answer.status}")
    connection.close()


def call(port: int, bodies: list[bytes], count: int) -> None:
    """Sends `count` requests as gRPC calls."""
    with grpc.insecure_channel(
        f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    ) as channel:
        export = channel.unary_unary(GRPC_PATH)
        for number in range(count):
            export(bodies[number % len(bodies)], timeout=60)


def load(send: Callable[[int, list[bytes], int], None], port: int, bodies: list[bytes], requests: int) -> None:
    """`requests` requests over all connections, each waiting for its answers."""
    share = len(bodies) // CONNECTIONS
    workers = [
        threading.Thread(target=send, args=(port, bodies[n * share : (n + 1) * share], requests // CONNECTIONS))
        for n in range(CONNECTIONS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


# Where it goes


def sink(listener: socket.socket) -> None:
    """Answers every POST with 200, for ever."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=swallow, args=(connection,), daemon=True).start()


def swallow(connection: socket.socket) -> None:
    """One connection of the sink."""
    stream = connection.makefile("rb", buffering=1 << 20)
    while stream.readline():
        length = 0
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        stream.read(length)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def sinking() -> Iterator[int]:
    """The sink as a process; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = os.fork()
        if process == 0:
            sink(listener)
        try:
            yield listener.getsockname()[1]
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


FORWARD = 'otlp_http: {endpoint: "http://127.0.0.1:SINK", compression: none, sending_queue: {QUEUE}}'
EXPORTERS = {
    "file": "file: {path: ./traces.jsonl, append: true}",
    "forward": FORWARD.replace("QUEUE", "enabled: false"),
    "spool": FORWARD.replace("QUEUE", "storage: file_storage"),
}


def configuration(row: str, http_port: int, grpc_port: int, sink_port: int) -> str:
    """The YAML of a row, for either engine."""
    exporter = EXPORTERS[row.removesuffix("-grpc")].replace("SINK", str(sink_port))
    name = exporter.partition(":")[0]
    return f"""
extensions:
  file_storage: {{directory: ./spool, create_directory: true}}
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:{http_port}", max_request_body_size: 67108864}}
      grpc: {{endpoint: "127.0.0.1:{grpc_port}", max_recv_msg_size_mib: 64}}
exporters:
  {exporter}
service:
  extensions: [file_storage]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [{name}]}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class Engine:
    """A collector that can be started with a configuration."""

    name: str
    command: list[str]
    figures: dict[str, list[float]] = field(default_factory=dict)
    parses: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def running(self, row: str, sink_port: int, directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
        """The process and its ports, HTTP and gRPC."""
        ports = free_port(), free_port()
        file = directory / "collector.yaml"
        file.write_text(configuration(row, *ports, sink_port))
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen([*self.command, "--config", str(file)], cwd=directory, stderr=log, stdout=log)
        try:
            wait_for(ports, process, directory / "log")
            yield process, *ports
        finally:
            process.terminate()
            process.wait(60)


def wait_for(ports: tuple[int, ...], process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns when all ports answer."""
    for port in ports:
        while True:
            if process.poll() is not None:
                raise SystemExit(f"the collector ended: {log.read_text()[-2000:]}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)


def cpu(pid: int) -> float:
    """Seconds of a process and its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def resident(pid: int) -> float:
    """MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1048576


def measure(engine: Engine, row: str, bodies: list[bytes], spans: int) -> None:
    """One round of one row: warm up, then CPU over `spans` spans."""
    with (
        tempfile.TemporaryDirectory() as directory,
        sinking() as sink_port,
        engine.running(row, sink_port, Path(directory)) as (process, http_port, grpc_port),
    ):
        send, port = (call, grpc_port) if row.endswith("-grpc") else (post, http_port)
        load(send, port, bodies, 2 * CONNECTIONS)
        engine.parses.setdefault(row, []).append(parse(bodies))
        before, started = cpu(process.pid), time.monotonic()
        load(send, port, bodies, spans // SPANS)
        engine.rates.setdefault(row, []).append(spans / (time.monotonic() - started))
        engine.memory.setdefault(row, []).append(resident(process.pid))
        before_end = cpu(process.pid)
        if row.startswith("spool"):
            before_end = settled(process.pid)
        engine.figures.setdefault(row, []).append((before_end - before) * 1e6 / spans)


def parse(bodies: list[bytes]) -> float:
    """CPU-seconds per million spans that parsing them alone takes, here and now."""
    started = time.process_time()
    for body in bodies:
        ExportTraceServiceRequest.FromString(body)
    return (time.process_time() - started) * 1e6 / (len(bodies) * SPANS)


def settled(pid: int) -> float:
    """The CPU time once it stands still: what waits in a queue belongs to the figure."""
    last = -1.0
    while (now := cpu(pid)) != last:
        last = now
        time.sleep(0.5)
    return now


def soak(engine: Engine, bodies: list[bytes], millions: int) -> None:
    """Resident memory at every million spans; the file is emptied meanwhile, for the disk's sake."""
    with tempfile.TemporaryDirectory() as directory, engine.running("file", 1, Path(directory)) as (process, port, _):
        print(f"{engine.name}: MiB resident after each million spans:", end="", flush=True)
        for _ in range(millions):
            for _ in range(10):
                load(post, port, bodies, 1_000_000 // SPANS // 10)
                os.truncate(Path(directory) / "traces.jsonl", 0)
            print(f" {resident(process.pid):.0f}", end="", flush=True)
        print()


TITLES = {"file": "to a file", "forward": "forwarded", "spool": "forwarded through a queue on disk"}


def table(engines: list[Engine], rows: list[str]) -> dict[str, dict[str, list[float]]]:
    """What each round found, by figure and engine."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        kind, _, protocol = row.partition("-")
        title = f"{'gRPC' if protocol else 'HTTP'}, {TITLES[kind]}"
        for engine in engines:
            parses = [figure / parsed for figure, parsed in zip(engine.figures[row], engine.parses[row], strict=True)]
            found.setdefault(f"{title}: CPU of a million spans, s", {})[engine.name] = engine.figures[row]
            found.setdefault(f"{title}: the same, in parses", {})[engine.name] = parses
            found.setdefault(f"{title}: memory, MiB", {})[engine.name] = engine.memory[row]
    return found


def report(engines: list[Engine], rows: list[str]) -> None:
    print(
        "CPU-seconds per million spans, median (range), and in parses of the same bytes; "
        f"spans/s over {CONNECTIONS} connections; MiB resident"
    )
    for row in rows:
        for engine in engines:
            figures = engine.figures[row]
            multiples = [figure / parsed for figure, parsed in zip(figures, engine.parses[row], strict=True)]
            print(
                f"{row:14} {engine.name:10} {statistics.median(figures):6.1f} ({min(figures):.1f}–{max(figures):.1f})"
                f" {statistics.median(multiples):5.1f} parses"
                f" {statistics.median(engine.rates[row]):9,.0f} spans/s {max(engine.memory[row]):5.0f} MiB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", nargs="+", default=["file", "file-grpc", "forward", "forward-grpc", "spool"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spans", type=int, default=100_000, help="spans of a round")
    parser.add_argument(
        "--memory", type=int, default=0, metavar="N", help="resident memory over N million spans instead"
    )
    args = parser.parse_args()
    chance = random.Random(7)
    bodies = [request(chance) for _ in range(DISTINCT)]
    print(f"{len(bodies[0]) / SPANS / 1000:.1f} kB per span, {SPANS} spans per request")
    code = "from llmtrace_otel.cli import main; raise SystemExit(main())"
    engines = [Engine("llmtrace", [sys.executable, "-c", code, "collect"])]
    if OTELCOL.is_installed:
        engines.append(Engine("official", [str(OTELCOL.path)]))
    if args.memory:
        for engine in engines:
            soak(engine, bodies, args.memory)
        return
    for _ in range(args.rounds):
        for row in args.rows:
            for engine in engines:
                measure(engine, row, bodies, args.spans)
    report(engines, args.rows)


if __name__ == "__main__":
    main()
