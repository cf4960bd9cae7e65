"""The configuration file: what it may say, and the one line for everything else."""

from pathlib import Path

import pytest

from llmtrace_collector.config import (
    Address,
    Config,
    DebugExporter,
    FileExporter,
    HTTPServer,
    OTLPHTTPExporter,
    duration,
    load,
)
from llmtrace_collector.errors import ConfigError

MINIMAL = """\
receivers:
  otlp:
    protocols:
      http:
exporters:
  file:
    path: traces.jsonl
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [file]
"""


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Loads a text as `c.yaml`."""
    monkeypatch.chdir(tmp_path)

    def load_text(text):
        Path("c.yaml").write_text(text, encoding="utf-8")
        return load(Path("c.yaml"))

    return load_text


def test_nothing_behind_a_key_means_its_defaults(loaded):
    expected = Config(HTTPServer(Address("localhost", 4318), 67108864), (FileExporter("traces.jsonl", append=False),))
    assert loaded(MINIMAL) == expected


def test_the_whole_subset_is_read(loaded):
    config = loaded("""\
receivers:
  otlp/in: {protocols: {grpc: {endpoint: "localhost:4317"}, http: {endpoint: "[::1]:0", max_request_body_size: 1024}}}
processors:
exporters:
  file/kept: {path: ./a.jsonl, append: true}
  file/unused: {path: ./b.jsonl}
  otlp_http/jaeger:
    endpoint: http://127.0.0.1:14318
    headers: {X-Scope-OrgID: 007}
    compression: none
    timeout: 1m30s
  otlphttp: {endpoint: "https://example.com/otlp/"}
  debug:
service:
  pipelines:
    traces:
      receivers: [otlp/in]
      processors: []
      exporters: [file/kept, otlp_http/jaeger, otlphttp, debug]
""")
    assert config == Config(
        HTTPServer(Address("::1", 0), 1024),
        (
            FileExporter("./a.jsonl", append=True),
            OTLPHTTPExporter("http://127.0.0.1:14318", {"X-Scope-OrgID": "007"}, "none", 90.0),
            OTLPHTTPExporter("https://example.com/otlp/"),
            DebugExporter(),
        ),
        ("c.yaml: receivers.otlp.protocols.grpc is not served yet; send OTLP/HTTP",),
    )


def test_the_file_that_is_shipped_is_read(monkeypatch):
    monkeypatch.delenv("OTELCOL_HOST", raising=False)
    shipped = Path(__file__).parents[2] / "otel-collector.yaml"
    assert load(shipped) == Config(
        HTTPServer(Address("localhost", 4318), 67108864),
        (FileExporter("./traces.jsonl", append=True),),
        (f"{shipped}: receivers.otlp.protocols.grpc is not served yet; send OTLP/HTTP",),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${env:FOLDER}/t.jsonl", "/data/t.jsonl"),
        ("${FOLDER}/t.jsonl", "/data/t.jsonl"),
        ("${env:FOLDER:-/tmp}/t.jsonl", "/data/t.jsonl"),
        ("${env:UNSET:-/tmp}/t.jsonl", "/tmp/t.jsonl"),
        ("${env:UNSET:-}t.jsonl", "t.jsonl"),
        ("${env:EMPTY:-x}t.jsonl", "t.jsonl"),
        ("$$FOLDER.jsonl", "$FOLDER.jsonl"),
    ],
)
def test_environment_variables_are_replaced(loaded, monkeypatch, text, expected):
    monkeypatch.setenv("FOLDER", "/data")
    monkeypatch.setenv("EMPTY", "")
    config = loaded(MINIMAL.replace("path: traces.jsonl", f'path: "{text}"'))
    assert config.exporters == (FileExporter(expected),)


def test_a_number_may_come_from_the_environment(loaded, monkeypatch):
    monkeypatch.setenv("SIZE", "77")
    config = loaded(MINIMAL.replace("http:", "http: {max_request_body_size: '${env:SIZE}'}"))
    assert config.http.max_request_body_size == 77


FILE = "  file:\n    path: traces.jsonl"


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        (
            "      http:",
            "      http:\n        endpont: localhost:1",
            "c.yaml:5: unknown key in receivers.otlp.protocols.http: 'endpont'; did you mean 'endpoint'?",
        ),
        (
            "      http:",
            "      tcp:",
            "c.yaml:4: unknown key in receivers.otlp.protocols: 'tcp'; known here: grpc, http",
        ),
        (
            "    path: traces.jsonl",
            "    path: traces.jsonl\n    rotation: {max_days: 1}",
            "c.yaml:8: unknown key in exporters.file: 'rotation'; known here: append, path",
        ),
        (
            "exporters:\n  file:",
            "exporters:\n  fil:",
            "c.yaml:6: unknown component in exporters: 'fil'; did you mean 'file'?",
        ),
        ("  otlp:", "  zipkin:", "c.yaml:2: unknown component in receivers: 'zipkin'; known here: otlp"),
        (
            "service:",
            "extensions: {health_check: }\nservice:",
            "c.yaml:8: unknown section 'extensions'; known here: exporters, processors, receivers, service",
        ),
        ("    traces:", "    trace:", "c.yaml:10: unknown key in service.pipelines: 'trace'; did you mean 'traces'?"),
        ("    path: traces.jsonl", "    append: true", "c.yaml:7: exporters.file needs 'path'"),
        (
            "    path: traces.jsonl",
            "    path: x\n    append: yes",
            "c.yaml:8: exporters.file.append: 'yes' is neither true nor false",
        ),
        ("    path: traces.jsonl", "    path:", "c.yaml:7: exporters.file.path needs a value"),
        ("    path: traces.jsonl", "    path: a\n    path: b", "c.yaml:8: 'path' appears twice in exporters.file"),
        (
            "    path: traces.jsonl",
            "    path: ${env:UNSET}/x",
            "c.yaml:7: environment variable UNSET is not set; set it, or write ${env:UNSET:-default}",
        ),
        (
            "      http:",
            "      http: {endpoint: 4318}",
            "c.yaml:4: receivers.otlp.protocols.http.endpoint: '4318' is not HOST:PORT",
        ),
        (
            "      http:",
            "      http: {max_request_body_size: 64MiB}",
            "c.yaml:4: receivers.otlp.protocols.http.max_request_body_size: '64MiB' is not a whole number",
        ),
        ("      http:", "      grpc:", "c.yaml:2: the otlp receiver needs protocols.http; only OTLP/HTTP is served"),
        (
            FILE,
            "  otlp_http: {endpoint: 'localhost:4318'}",
            "c.yaml:6: exporters.otlp_http.endpoint: 'localhost:4318' is not a URL such as http://127.0.0.1:4318",
        ),
        (
            FILE,
            "  otlp_http: {endpoint: 'http://h', compression: zstd}",
            "c.yaml:6: exporters.otlp_http.compression: 'zstd' is not one of gzip, none",
        ),
        (
            FILE,
            "  otlp_http: {endpoint: 'http://h', timeout: 30}",
            "c.yaml:6: exporters.otlp_http.timeout: '30' is not a duration such as 30s or 500ms",
        ),
        (
            "[file]",
            "[file, debug]",
            "c.yaml:12: service.pipelines.traces.exporters names 'debug', which exporters does not define",
        ),
        ("[file]", "[]", "c.yaml:12: service.pipelines.traces.exporters is empty"),
        ("[file]", "file", "c.yaml:12: service.pipelines.traces.exporters must be a list"),
        (
            "[file]",
            "[file]\n      processors: [batch]",
            "c.yaml:13: processor 'batch' is not supported; remove it, or run otelcol-contrib with this file",
        ),
        (MINIMAL, "receivers: {}\nexporters: {}\n", "c.yaml:1: the section 'service' is missing"),
        (MINIMAL, "[a, b]: 1\n", "c.yaml:1: a key in the file must be a plain word"),
        (MINIMAL, "- a\n", "c.yaml:1: the file must be a mapping"),
        (MINIMAL, "", "c.yaml: the file is empty"),
        (MINIMAL, "a: [1\nb: 2\n", "c.yaml:2: not valid YAML: expected ',' or ']', but got ':'"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(loaded, was, becomes, message):
    with pytest.raises(ConfigError) as mistake:
        loaded(MINIMAL.replace(was, becomes, 1))
    assert str(mistake.value) == message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError) as mistake:
        load(tmp_path / "none.yaml")
    assert str(mistake.value) == f"cannot read {tmp_path}/none.yaml: No such file or directory"


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1.5s", 1.5), ("500ms", 0.5), ("2m", 120), ("1h1m1s", 3661)]
)
def test_durations_are_written_as_in_go(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://h:1", "http://h:1/v1/traces"),
        ("http://h:1/", "http://h:1/v1/traces"),
        ("http://h/otlp", "http://h/otlp/v1/traces"),
        ("http://h:1/v1/traces", "http://h:1/v1/traces"),
    ],
)
def test_the_signals_path_is_added_to_an_endpoint_once(endpoint, url):
    assert OTLPHTTPExporter(endpoint).traces_url == url
