"""Nothing that was acknowledged is lost: whole collectors, killed and starved, and every span counted by its id."""

import gzip
import http.client
import os
import random
import signal
import subprocess
import threading
import time
from itertools import count
from pathlib import Path

import httpx
import pytest
from collector_helpers import JSON, PROTOBUF, lines_in
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

pytestmark = pytest.mark.long

SPANS = 5


def ids_in(*paths):
    """The span ids in files of lines, each of which is whole; in the order of the files."""
    return [
        span["spanId"]
        for path in paths
        for line in lines_in(path)
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def numbered(first, size=0):
    """A request of spans whose ids are numbers from `first` on, each with `size` bytes of content."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number in range(first, first + SPANS):
        span = spans.add(trace_id=bytes(15) + b"\x01", span_id=number.to_bytes(8, "big"), name="chat")
        if size:
            span.attributes.add(key="content").value.string_value = "x" * size
    return request.SerializeToString()


class Clients:
    """Clients that send requests one after the other, each until it is acknowledged, as SDKs do."""

    def __init__(self, url, clients=3, size=0):
        self.acknowledged = []
        self.refused = set()
        self._address = url.removeprefix("http://")
        self._size = size
        self._numbers = count(1, SPANS)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, requests):
        """Returns when so many more requests are acknowledged."""
        goal, deadline = len(self.acknowledged) + requests, time.monotonic() + 60
        while len(self.acknowledged) < goal:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} acknowledged, refused with {self.refused}"
            time.sleep(0.001)

    @property
    def ids(self):
        """The ids of all spans that were acknowledged."""
        return {f"{number:016x}" for first in self.acknowledged for number in range(first, first + SPANS)}

    def _run(self):
        while not self._ended.is_set():
            first = next(self._numbers)
            body = numbered(first, self._size)
            while not self._ended.is_set():
                status = self._send(body)
                if status == 200:
                    self.acknowledged.append(first)
                    break
                self.refused.add(status)
                time.sleep(0.01)

    def _send(self, body):
        connection = http.client.HTTPConnection(self._address, timeout=20)
        try:
            connection.request("POST", "/v1/traces", body, PROTOBUF)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()


def config(path, exporters, names, more=""):
    """A configuration file with these exporters."""
    path.write_text(f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}}}
{more}
exporters:
{exporters}
service:
  {"extensions: [file_storage]" if more else "extensions: []"}
  pipelines: {{traces: {{receivers: [otlp], exporters: [{names}]}}}}
""")
    return path


def forwarding(port, queue):
    """An otlp_http exporter that tries for ever."""
    return (
        f'  otlp_http: {{endpoint: "http://127.0.0.1:{port}", compression: none, sending_queue: {{{queue}}},'
        " retry_on_failure: {initial_interval: 50ms, max_interval: 200ms, max_elapsed_time: 0}}"
    )


SPOOL = "extensions: {file_storage: {directory: ./spool, create_directory: true}}"


def test_twenty_kills_at_any_moment_lose_nothing_acknowledged(collect, tmp_path, free_port):
    endpoint = f"127.0.0.1:{free_port}"
    with Clients(f"http://{endpoint}") as clients:
        for _ in range(20):
            collector = collect(endpoint=endpoint)
            clients.wait_for(random.randrange(1, 80))
            collector.stop(signal.SIGKILL)
    collect(endpoint=endpoint).stop()
    written = ids_in(tmp_path / "traces.jsonl")
    assert clients.ids <= set(written)
    assert len(written) - len(set(written)) <= 20 * 3 * SPANS  # a kill between writing and answering, for each client


def test_kills_lose_nothing_that_waits_on_disk(collect, tmp_path, free_port):
    file = config(tmp_path / "spool.yaml", forwarding(free_port, "storage: file_storage"), "otlp_http", SPOOL)
    acknowledged = set()
    for number in range(5):
        collector = collect("--config", file)
        with Clients(collector.url) as clients:
            clients.wait_for(random.randrange(5, 60))
            if number == 3:
                destination = collect("--output", "arrived.jsonl", endpoint=f"127.0.0.1:{free_port}")
            collector.stop(signal.SIGKILL)
        acknowledged |= clients.ids
    collector = collect("--config", file)
    collector.stop()
    destination.stop()
    assert acknowledged <= set(ids_in(tmp_path / "arrived.jsonl"))


def test_a_destination_that_is_down_takes_nothing_from_the_file(collect, tmp_path, free_port):
    exporters = "  file: {path: all.jsonl, append: true}\n" + forwarding(free_port, "queue_size: 3")
    collector = collect("--config", config(tmp_path / "two.yaml", exporters, "otlp_http, file"))
    with Clients(collector.url) as clients:
        clients.wait_for(50)
    assert clients.refused <= {0}
    assert sorted(clients.ids) == sorted(ids_in(tmp_path / "all.jsonl"))
    _, [*_, totals] = collector.stop()
    assert f"{len(clients.ids)} spans" in totals


@pytest.fixture
def small_disk(tmp_path):
    """A folder that takes 4 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a file system of 4 MB cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_asks_to_send_again_and_heals(collect, tmp_path, small_disk):
    collector = collect("--output", small_disk / "traces.jsonl")
    with Clients(collector.url, size=20_000) as clients:
        deadline = time.monotonic() + 60
        while 503 not in clients.refused:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (small_disk / "traces.jsonl").rename(small_disk / "first.jsonl")
        moved = tmp_path / "first.jsonl"
        moved.write_bytes((small_disk / "first.jsonl").read_bytes())
        (small_disk / "first.jsonl").unlink()
        clients.wait_for(10)
    collector.stop()
    assert clients.refused <= {0, 503}
    assert clients.ids <= set(ids_in(moved, small_disk / "traces.jsonl"))


def test_what_a_full_file_refuses_does_not_go_on_to_a_queue_on_disk(collect, tmp_path):
    destination = collect("--output", "arrived.jsonl")
    port = destination.url.rpartition(":")[2]
    exporters = "  file: {path: /dev/full}\n" + forwarding(port, "storage: file_storage")
    collector = collect("--config", config(tmp_path / "full.yaml", exporters, "otlp_http, file", SPOOL))
    answer = httpx.post(f"{collector.url}/v1/traces", content=numbered(1), headers=PROTOBUF, timeout=30)
    collector.stop()
    destination.stop()
    assert (answer.status_code, (tmp_path / "arrived.jsonl").exists()) == (503, False)


def test_prompts_of_a_megabyte_arrive(collect, tmp_path):
    collector = collect()
    with Clients(collector.url, clients=2, size=1_000_000) as clients:
        clients.wait_for(4)
    collector.stop()
    assert clients.refused <= {0}
    assert clients.ids <= set(ids_in(tmp_path / "traces.jsonl"))


def test_one_request_too_large_is_refused_for_good_while_others_pass(collect, tmp_path):
    collector = collect()
    with Clients(collector.url) as clients:
        clients.wait_for(5)
        large = b"\x0a" + bytes(65 * 1024 * 1024)
        bomb = gzip.compress(large)
        packed = {**PROTOBUF, "content-encoding": "gzip"}
        answers = [
            httpx.post(f"{collector.url}/v1/traces", content=body, headers=headers, timeout=30).status_code
            for body, headers in ((large, PROTOBUF), (bomb, packed), (b"[" * 100_000, JSON), (b"\xff", PROTOBUF))
        ]
        clients.wait_for(5)
    collector.stop()
    assert answers == [413, 413, 400, 400]
    assert clients.refused <= {0}
    assert clients.ids <= set(ids_in(tmp_path / "traces.jsonl"))


def test_memory_stays_in_bounds_while_a_destination_is_away(collect, tmp_path, free_port):
    queue = "storage: file_storage, sizer: bytes, queue_size: 500000000"
    file = config(tmp_path / "away.yaml", forwarding(free_port, queue), "otlp_http", SPOOL)
    collector = collect("--config", file)

    def resident():
        pages = Path(f"/proc/{collector.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    with Clients(collector.url, size=50_000) as clients:
        clients.wait_for(20)
        before = resident()
        clients.wait_for(200)  # 50 MB
        assert resident() - before < 30_000_000
        destination = collect("--output", "arrived.jsonl", endpoint=f"127.0.0.1:{free_port}")
        clients.wait_for(5)
    deadline = time.monotonic() + 60
    while not clients.ids <= set(whole_ids_in(tmp_path / "arrived.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    collector.stop()
    destination.stop()


def whole_ids_in(path):
    """The ids in a file that is being written, or is yet to be: what is behind the last line feed is not there yet."""
    text = path.read_bytes() if path.exists() else b""
    copy = path.with_suffix(".copy")
    copy.write_bytes(text[: text.rfind(b"\n") + 1])
    return ids_in(copy)
