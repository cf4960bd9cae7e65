"""What the proxy costs: the same requests over TLS directly, and through it, in turns.

    python benchmarks/proxy.py                          ours
    python benchmarks/proxy.py --mitmproxy VENV         and mitmproxy of another environment, streaming, beside it
    python benchmarks/proxy.py --seconds 1 --no-download

Client, server and proxy are processes of their own; the client and the server do the least that Python can, so that the
machine's time goes to the proxy. On a machine that does other things too, the difference of a row to `direct` counts,
not the row; the CPU that the proxy's process takes, from /proc, hangs least on what else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from llmtrace_otel.proxy.authority import Authority
from llmtrace_otel.proxy.messages import Child, Inbox, Ready, Seen, Settings, encode
from llmtrace_otel.wire.vendors import Registration

HOST = "localhost"
TOKEN = "benchmark"
END = b"\r\n\r\n"
DOWNLOAD = 1 << 30
BODY = json.dumps(
    {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "What is the weather? " * 10}]}
).encode()
HEADERS = "".join(
    f"{name}: {value}\r\n"
    for name, value in {
        "Host": HOST,
        "Accept-Encoding": "gzip, deflate",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": "OpenAI/Python 3.0.0",
        "X-Stainless-Lang": "python",
        "X-Stainless-Arch": "x64",
        "Authorization": "Bearer sk-none",
        "Content-Length": str(len(BODY)),
    }.items()
).encode()
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-5-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Sunny. " * 20}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 120, "completion_tokens": 40, "total_tokens": 160},
    }
).encode()
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
EVENTS = 5


def request(path: bytes) -> bytes:
    return b"POST /v1/" + path + b" HTTP/1.1\r\n" + HEADERS + b"\r\n" + BODY


CHAT, STREAM = request(b"chat/completions"), request(b"stream/chat/completions")
FILE = b"GET /v1/files/f/content HTTP/1.1\r\nHost: localhost\r\n\r\n"


# The server: a process for each connection


def serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(OSError):
                answer(context.wrap_socket(connection, server_side=True))
            os._exit(0)
        connection.close()


def answer(connection: ssl.SSLSocket) -> None:
    while asked := whole_request(connection):
        if asked.startswith(b"GET"):
            download(connection)
        elif asked.startswith(b"POST /v1/stream"):
            stream(connection)
        else:
            connection.sendall(RESPONSE)


def whole_request(connection: ssl.SSLSocket) -> bytes:
    got = connection.recv(1 << 16)
    while got.startswith(b"POST") and not got.endswith(END + BODY):
        got += connection.recv(1 << 16)
    return got


def stream(connection: ssl.SSLSocket) -> None:
    connection.sendall(STREAM_HEAD)
    for _ in range(EVENTS):
        connection.sendall(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
        time.sleep(0.003)
    connection.sendall(b"0\r\n\r\n")


def download(connection: ssl.SSLSocket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % DOWNLOAD)
    piece = bytes(1 << 18)
    for _ in range(DOWNLOAD // len(piece)):
        connection.sendall(piece)


@contextmanager
def forked(run: Callable[[], None]) -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        try:
            run()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


# The client


@dataclass
class Way:
    """A way to the server, and what it costs."""

    name: str
    context: ssl.SSLContext
    connect: Callable[[], socket.socket]
    pid: int | None = None
    ready: float | None = None
    figures: dict[str, list[float]] = field(default_factory=dict)

    def open(self) -> ssl.SSLSocket:
        connection = self.connect()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(connection, server_hostname=HOST)

    def add(self, name: str, *values: float) -> None:
        self.figures.setdefault(name, []).extend(values)

    def cpu(self) -> float:
        """Seconds of the process, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, name: str) -> float:
        """MB of the process, by a line of its status."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in status.splitlines() if line.startswith(name))


def exchange(connection: ssl.SSLSocket) -> None:
    connection.sendall(CHAT)
    left = len(RESPONSE)
    while left > 0:
        left -= len(connection.recv(1 << 16)) or left


def keep_alive(connection: ssl.SSLSocket, count: int) -> list[float]:
    """Milliseconds of each exchange."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        exchange(connection)
        times.append((time.perf_counter() - start) * 1000)
    return times


def first_event(connection: ssl.SSLSocket) -> float:
    """Milliseconds until the first byte of the first event."""
    start, got = time.perf_counter(), b""
    connection.sendall(STREAM)
    while b"data:" not in got:
        got += connection.recv(1 << 16)
    took = (time.perf_counter() - start) * 1000
    while not got.endswith(b"0\r\n\r\n"):
        got += connection.recv(1 << 16)
    return took


def new_connection(way: Way) -> float:
    start = time.perf_counter()
    with way.open() as connection:
        exchange(connection)
    return (time.perf_counter() - start) * 1000


def throughput(way: Way, connections: int, seconds: float) -> float:
    """Exchanges per second, by as many processes."""
    readers = []
    for _ in range(connections):
        reader, writer = os.pipe()
        if os.fork() == 0:
            count, connection = 0, way.open()
            exchange(connection)
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                exchange(connection)
                count += 1
            os.write(writer, b"%d" % count)
            os._exit(0)
        os.close(writer)
        readers.append(reader)
    total = 0
    for reader in readers:
        total += int(os.read(reader, 100))
        os.close(reader)
        os.wait()
    return total / seconds


def fetch(way: Way) -> None:
    with way.open() as connection:
        connection.sendall(FILE)
        left, buffer = DOWNLOAD, bytearray(1 << 18)
        while left > 0:
            left -= connection.recv_into(buffer) or left


# The proxies


def tunnelled(port: int, target: int, authorization: str) -> Callable[[], socket.socket]:
    def connect() -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port))
        asked = f"CONNECT {HOST}:{target} HTTP/1.1\r\nHost: {HOST}:{target}\r\nProxy-Authorization: {authorization}"
        connection.sendall(asked.encode() + END)
        got = b""
        while not got.endswith(END):
            got += connection.recv(1)
        assert got.startswith(b"HTTP/1.1 200"), got
        return connection

    return connect


def trusting(*pems: bytes) -> ssl.SSLContext:
    return ssl.create_default_context(cadata="".join(pem.decode() for pem in pems))


BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from llmtrace_otel.proxy.sidecar import main
main(int(sys.argv[2]))
"""


@contextmanager
def ours(target: int, trust: str) -> Iterator[Way]:
    """The proxy's own process, as a program starts it; a thread here takes the calls that it tells of."""
    control, its = socket.socketpair()
    command = [sys.executable, "-IS", "-c", BOOT, json.dumps(sys.path), str(its.fileno())]
    start = time.perf_counter()
    process = subprocess.Popen(command, pass_fds=[its.fileno()])
    its.close()
    control.sendall(encode(Settings([Registration("openai", f"https://{HOST}:{target}/v1")])))
    inbox, messages = Inbox(of_proxy=False), []
    while not messages:
        messages += inbox.feed(control.recv(1 << 16))
    ready = messages[0]
    took = (time.perf_counter() - start) * 1000
    assert isinstance(ready, Ready), ready
    control.sendall(encode(Child("bench", TOKEN, {}, trust=[trust], only=True)))
    context = trusting(Path(ready.directory, "ca.pem").read_bytes())
    authorization = "Basic " + b64encode(f"bench:{TOKEN}".encode()).decode()
    way = Way("llmtrace", context, tunnelled(ready.port, target, authorization), process.pid, took)

    def take() -> None:
        with suppress(OSError):
            while data := control.recv(1 << 20):
                way.add("calls", *(1 for message in inbox.feed(data) if isinstance(message, Seen)))

    taking = threading.Thread(target=take)
    taking.start()
    try:
        yield way
    finally:
        process.kill()
        process.wait()
        taking.join()
        control.close()


ADDON = "def responseheaders(flow):\n    flow.response.stream = True\n"


@contextmanager
def mitmproxy(environment: str, target: int, trust: str, directory: Path) -> Iterator[Way]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    addon, home = directory / "stream.py", directory / "mitmproxy"
    addon.write_text(ADDON)
    options = [f"confdir={home}", f"ssl_verify_upstream_trusted_ca={trust}", "http2=false"]
    command = [f"{environment}/bin/mitmdump", "-q", "--listen-host", "127.0.0.1", "-p", str(port), "-s", str(addon)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, *(part for option in options for part in ("--set", option))])
    try:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.005)
        took = (time.perf_counter() - start) * 1000
        context = trusting((home / "mitmproxy-ca-cert.pem").read_bytes())
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        yield Way("mitmproxy", context, tunnelled(port, target, "Basic bm9uZTpub25l"), process.pid, took)
    finally:
        process.kill()
        process.wait()


# Together

EACH = ("an exchange, ms", "a stream's first event, ms", "an exchange by a new connection, ms")
RATE = "exchanges a second, of 8 connections (more is better)"


def measure(ways: list[Way], args: argparse.Namespace) -> None:
    connections = {way.name: way.open() for way in ways}
    for connection in connections.values():
        keep_alive(connection, 100)
    for _ in range(args.rounds):
        for way in ways:
            way.add("an exchange, ms", *keep_alive(connections[way.name], 50))
            way.add("a stream's first event, ms", *(first_event(connections[way.name]) for _ in range(5)))
            way.add("an exchange by a new connection, ms", *(new_connection(way) for _ in range(3)))
    for connection in connections.values():
        connection.close()
    for _ in range(3):
        for way in ways:
            before = way.cpu() if way.pid is not None else 0.0
            rate = throughput(way, 8, args.seconds)
            way.add(RATE, rate)
            if way.pid is not None:
                way.add("CPU of the proxy, µs per exchange", 1e6 * (way.cpu() - before) / (rate * args.seconds))
    for way in ways:
        if way.pid is not None:
            way.add("from its start until it is ready, ms", way.ready or 0.0)
            way.add("memory after all that, MB", way.memory("VmRSS"))
    for way in ways if args.download else []:
        start = time.perf_counter()
        fetch(way)
        way.add("download of 1 GB, MB/s (more is better)", DOWNLOAD / 1e6 / (time.perf_counter() - start))
        if way.pid is not None:
            way.add("most memory until then, MB", way.memory("VmHWM"))


def table(ways: list[Way]) -> dict[str, dict[str, list[float]]]:
    """By figure and way: of what each exchange took, the median and the 99th percentile; of the rest, every round."""
    found: dict[str, dict[str, list[float]]] = {}
    for way in ways:
        for name, values in way.figures.items():
            if name in EACH:
                percentiles = statistics.quantiles(values, n=100, method="inclusive")
                found.setdefault(f"{name}, p50", {})[way.name] = [percentiles[49]]
                found.setdefault(f"{name}, p99", {})[way.name] = [percentiles[98]]
            elif name != "calls":
                found.setdefault(name, {})[way.name] = values
    return found


def report(ways: list[Way]) -> None:
    print("| " + " | ".join(["", *(way.name for way in ways)]) + " |")
    print("|---" * (len(ways) + 1) + "|")
    for name, figures in table(ways).items():
        cells = [f"{statistics.median(figures[way.name]):,.2f}" if way.name in figures else "" for way in ways]
        print("| " + " | ".join([name, *cells]) + " |")
    for way in ways:
        if "calls" in way.figures:
            print(f"\n{way.name} told of {len(way.figures['calls']):,} calls.")


@contextmanager
def started(environment: str | None) -> Iterator[list[Way]]:
    """The server, and the ways to it: directly, through ours, and through mitmproxy of another environment."""
    authority = Authority([HOST])
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trust = directory / "ca.pem"
        trust.write_bytes(authority.pem)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        target = listener.getsockname()[1]
        stack.enter_context(forked(lambda: serve(listener, authority.context(HOST))))
        direct = Way("direct", trusting(authority.pem), lambda: socket.create_connection(("127.0.0.1", target)))
        ways = [direct, stack.enter_context(ours(target, str(trust)))]
        if environment:
            ways.append(stack.enter_context(mitmproxy(environment, target, str(trust), directory)))
        yield ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="of 50 exchanges each way")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run at 8 connections")
    parser.add_argument("--no-download", dest="download", action="store_false", help="without the 1 GB download")
    parser.add_argument("--mitmproxy", metavar="VENV", help="an environment that mitmproxy is installed in")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file, as JSON")
    args = parser.parse_args()
    with started(args.mitmproxy) as ways:
        measure(ways, args)
        report(ways)
        if args.json:
            args.json.write_text(json.dumps(table(ways)))


if __name__ == "__main__":
    main()
