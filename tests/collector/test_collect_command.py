"""`llmtrace collect` as a real process: SDK exporters, kills, full disks, signals, forwarding, a user's mistakes."""

import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import suppress

import httpx
import pytest
from collector_helpers import PROTOBUF, command, line_of, lines_in, request_of
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from llmtrace_collector.assembly import reached_as


def retry_in(seconds):
    """What tells a client when to come again."""
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay={"seconds": seconds}))
    return detail


def send(collector, *names):
    """Posts one span per name; the response."""
    body = request_of(*names).SerializeToString()
    return httpx.post(f"{collector.url}/v1/traces", content=body, headers=PROTOBUF, timeout=20)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_spans_of_the_python_sdk_arrive(collect, tmp_path, compression):
    collector = collect()
    exporter = OTLPSpanExporter(f"{collector.url}/v1/traces", compression=compression)
    provider = TracerProvider(resource=Resource({"service.name": "agent"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    with provider.get_tracer("llmtrace").start_as_current_span("chat", attributes={"gen_ai.usage.input_tokens": 7}):
        pass
    provider.shutdown()
    collector.stop()
    [line] = lines_in(tmp_path / "traces.jsonl")
    [resource_spans] = line["resourceSpans"]
    assert resource_spans["resource"] == {"attributes": [{"key": "service.name", "value": {"stringValue": "agent"}}]}
    [scope_spans] = resource_spans["scopeSpans"]
    assert scope_spans["scope"] == {"name": "llmtrace"}
    [span] = scope_spans["spans"]
    assert {name: span[name] for name in ("name", "attributes", "status")} == {
        "name": "chat",
        "attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "7"}}],
        "status": {},
    }


def test_what_was_acknowledged_survives_a_kill(collect, tmp_path):
    collector = collect()
    for number in range(20):
        assert send(collector, f"span {number}").status_code == 200
    collector.stop(signal.SIGKILL)
    assert lines_in(tmp_path / "traces.jsonl") == [line_of(f"span {number}") for number in range(20)]


def test_a_restart_appends(collect, tmp_path):
    for name in ("first", "second"):
        collector = collect()
        send(collector, name)
        collector.stop()
    assert lines_in(tmp_path / "traces.jsonl") == [line_of("first"), line_of("second")]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit")
def test_a_full_disk_is_answered_503_and_recovers_when_there_is_room(collect, tmp_path):
    collector = collect()
    assert send(collector, "before").status_code == 200
    size = (tmp_path / "traces.jsonl").stat().st_size
    unlimited = resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, (size + 10, unlimited[1]))
    answer = send(collector, "does not fit")
    assert (answer.status_code, Status.FromString(answer.content)) == (
        503,
        Status(code=14, message="cannot write traces.jsonl: File too large", details=[retry_in(1)]),
    )
    assert lines_in(tmp_path / "traces.jsonl") == [line_of("before")]
    resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert send(collector, "after").status_code == 200
    assert lines_in(tmp_path / "traces.jsonl") == [line_of("before"), line_of("after")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_the_totals(collect, tmp_path, number):
    collector = collect("--output", "deep/er/spans.jsonl")
    send(collector, "a", "b")
    send(collector, "c")
    size = (tmp_path / "deep/er/spans.jsonl").stat().st_size
    assert collector.said == [
        f"listening on {collector.url} (OTLP/HTTP), writing deep/er/spans.jsonl, "
        "deep/er/metrics.jsonl, deep/er/logs.jsonl"
    ]
    assert collector.stop(number) == (0, [f"2 requests, 3 spans, {size} bytes written"])


def wait_until_refused(url):
    """Returns when nothing listens there any more."""
    parts = httpx.URL(url)
    with suppress(ConnectionError):
        while True:
            socket.create_connection((parts.host, parts.port)).close()


def test_a_second_interrupt_ends_it_at_once(collect):
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        collector = collect("--forward", f"http://127.0.0.1:{hangs.getsockname()[1]}")
        send(collector, "a")
        collector.process.send_signal(signal.SIGINT)
        wait_until_refused(collector.url)
        assert collector.stop(signal.SIGINT) == (-signal.SIGINT, [])


def test_a_second_collector_that_cannot_start_empties_no_file_of_the_first(collect, tmp_path, free_port):
    (tmp_path / "c.yaml").write_text(
        f"receivers: {{otlp: {{protocols: {{http: {{endpoint: 'localhost:{free_port}'}}}}}}}}\n"
        "exporters: {file: {path: spans.jsonl}}\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [file]}}}\n"
    )
    first = collect("--config", "c.yaml", endpoint=f"127.0.0.1:{free_port}")
    send(first, "a")
    assert fails(tmp_path, "--config", "c.yaml")[0] == 2
    first.stop()
    assert lines_in(tmp_path / "spans.jsonl") == [line_of("a")]


def test_a_pipe_takes_every_signal(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert check(tmp_path, "--output", "pipe") == [
        "traces: otlp → file/traces (pipe)",
        "metrics: otlp → file/metrics (pipe)",
        "logs: otlp → file/logs (pipe)",
    ]


def test_only_pipelines_that_wrote_a_file_write_the_output(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "receivers: {otlp: {protocols: {http: }}}\n"
        "exporters: {file: {path: unused.jsonl, append: true}, debug: }\n"
        "service:\n"
        "  pipelines:\n"
        "    traces/all: {receivers: [otlp], exporters: [file]}\n"
        "    traces/shown: {receivers: [otlp], exporters: [debug]}\n"
        "    logs: {receivers: [otlp], exporters: [debug]}\n"
    )
    assert check(tmp_path, "--config", "c.yaml", "--output", "used.jsonl") == [
        "traces/all: otlp → file/traces (used.jsonl)",
        "traces/shown: otlp → debug",
        "logs: otlp → debug, file/logs (logs.jsonl)",
    ]


def test_spans_are_forwarded_to_a_second_collector(collect, tmp_path):
    second = collect("--output", "second.jsonl")
    first = collect("--output", "first.jsonl", "--forward", second.url)
    assert first.said == [
        f"listening on {first.url} (OTLP/HTTP), writing first.jsonl, metrics.jsonl, logs.jsonl, "
        f"forwarding to {second.url}/v1/traces"
    ]
    for name in ("a", "b", "c"):
        send(first, name)
    _, [totals] = first.stop()
    second.stop()
    size = (tmp_path / "first.jsonl").stat().st_size
    assert (
        totals == f"3 requests, 3 spans, {size} bytes written; 3 spans forwarded to {second.url}/v1/traces, 0 dropped"
    )
    assert lines_in(tmp_path / "second.jsonl") == [line_of("a"), line_of("b"), line_of("c")]


def test_a_destination_that_comes_up_late_gets_everything(collect, tmp_path, free_port):
    url = f"http://127.0.0.1:{free_port}/v1/traces"
    first = collect("--output", "first.jsonl", "--forward", f"http://127.0.0.1:{free_port}")
    for name in ("a", "b"):
        assert send(first, name).status_code == 200
    first.wait_for("is unreachable")
    second = collect("--output", "second.jsonl", endpoint=f"127.0.0.1:{free_port}")
    assert first.wait_for("is back") == f"{url} is back"
    first.stop()
    second.stop()
    arrived = lines_in(tmp_path / "second.jsonl")
    assert sorted(arrived, key=str) == [line_of("a"), line_of("b")]  # requests overtake one another


FORWARD_ONLY = """\
receivers: {otlp: {protocols: {http: }}}
exporters: {otlp_http: {endpoint: "http://127.0.0.1:%d"}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http]}}}
"""


def test_without_a_file_only_what_the_destination_has_is_acknowledged(collect, tmp_path, free_port):
    (tmp_path / "c.yaml").write_text(FORWARD_ONLY % free_port)
    first = collect("--config", "c.yaml")
    assert send(first, "lost").status_code == 503
    second = collect("--output", "second.jsonl", endpoint=f"127.0.0.1:{free_port}")
    assert send(first, "kept").status_code == 200
    assert lines_in(tmp_path / "second.jsonl") == [line_of("kept")]
    assert first.stop()[0] == 0
    second.stop()


def test_words_of_the_command_line_replace_those_of_the_file(collect, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "receivers: {otlp: {protocols: {http: {endpoint: 'localhost:1'}}}}\n"
        "exporters: {file: {path: unused.jsonl}, debug: }\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [file, debug]}}}\n"
    )
    collector = collect("--config", "c.yaml", "--output", "used.jsonl")
    send(collector, "a")
    _, said = collector.stop()
    assert said[0] == f"debug: 1 span, {len(request_of('a').SerializeToString())} bytes"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["c.yaml", "used.jsonl"]


def fails(tmp_path, *arguments):
    """Runs a collector that cannot start: its exit code and what it says."""
    done = subprocess.run(command("collect", *arguments), cwd=tmp_path, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr


def check(tmp_path, *arguments):
    """The pipelines that `--check` tells of."""
    done = subprocess.run(
        command("collect", "--check", *arguments), cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()[1:]


def test_a_port_in_use_is_one_clear_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert fails(tmp_path, "--endpoint", f"127.0.0.1:{port}") == (
            2,
            f"llmtrace collect: 127.0.0.1:{port} is in use already; "
            "stop what listens there, or choose another port with --endpoint\n",
        )


def test_another_machines_access_must_be_asked_for(tmp_path):
    assert fails(tmp_path, "--endpoint", "0.0.0.0:0") == (
        2,
        "llmtrace collect: 0.0.0.0:0 can be reached from other machines; use 127.0.0.1, or say --allow-remote\n",
    )


def test_another_machines_access_can_be_allowed(collect):
    collector = collect("--allow-remote", endpoint="0.0.0.0:0")
    assert collector.url.startswith("http://0.0.0.0:")


def test_forwarding_to_itself_is_refused(tmp_path, free_port):
    url = f"http://localhost:{free_port}"
    assert fails(tmp_path, "--endpoint", f"127.0.0.1:{free_port}", "--forward", url) == (
        2,
        f"llmtrace collect: {url}/v1/traces is this collector itself; forward to another port\n",
    )


@pytest.mark.parametrize(
    ("listening", "to", "itself"),
    [
        ("0.0.0.0", "localhost", True),
        ("127.0.0.1", "localhost", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "127.0.0.1", False),
        ("127.0.0.1", "192.0.2.1", False),
    ],
)
def test_itself_is_what_is_reached_at_the_address_that_it_listens_on(listening, to, itself):
    assert (to in reached_as(listening)) is itself


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--endpoint", "4318"], "--endpoint: '4318' is not HOST:PORT"),
        (["--forward", "jaeger"], "--forward: 'jaeger' is not HOST:PORT"),
        (["--forward", "ftp://jaeger"], "--forward: 'ftp://jaeger' is not a URL such as http://127.0.0.1:4318"),
        (
            ["--jaeger", "http://localhost:16686"],
            "--jaeger: 16686 is the port of Jaeger's page; give that of its OTLP, 4318 by default",
        ),
        (
            ["--jaeger", "localhost:16686"],
            "--jaeger: 16686 is the port of Jaeger's page; give that of its OTLP, 4318 by default",
        ),
        (["--forward", "http://a:99999"], "--forward: 'http://a:99999' is not a URL such as http://127.0.0.1:4318"),
        (["--config", "none.yaml"], "cannot read none.yaml: No such file or directory"),
        (
            ["--endpoint", "127.0.0.1:0", "--output", "."],
            "cannot write .: Is a directory; make it writable or choose another path",
        ),
    ],
)
def test_a_users_mistake_is_one_line(tmp_path, arguments, message):
    assert fails(tmp_path, *arguments) == (2, f"llmtrace collect: {message}\n")


def test_a_missing_extra_is_named_with_the_command_that_installs_it(tmp_path):
    program = (
        "import sys; sys.modules['uvicorn'] = None; from llmtrace_otel.cli import main; sys.exit(main(['collect']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (
        2,
        "llmtrace collect: the collector is not installed (uvicorn is missing); "
        "run: pip install 'llmtrace-otel[collector]'\n",
    )


def test_traces_cannot_be_forwarded_where_there_are_none(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: }\n"
        "service: {pipelines: {logs: {receivers: [otlp], exporters: [debug]}}}\n"
    )
    assert fails(tmp_path, "--config", "c.yaml", "--jaeger", "127.0.0.1:4317") == (
        2,
        "llmtrace collect: --jaeger: the configuration has no pipeline of traces\n",
    )
