# ruff: noqa: E501  (a message is one line, here too)
"""The configuration file: what it may say, and the one line for everything else."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from config_helpers import MINIMAL, load_text, with_exporter, with_processor

from llmtrace_collector.config import settings
from llmtrace_collector.config.explain import explain
from llmtrace_collector.config.loader import load
from llmtrace_collector.config.values import Address, compiled, duration
from llmtrace_collector.errors import ConfigError

LOCALHOST = Address("localhost", 4318)


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("UNSET", "OTELCOL_HOST"):
        monkeypatch.delenv(name, raising=False)


def refusal(text):
    with pytest.raises(ConfigError) as mistake:
        load_text(text)
    return str(mistake.value)


def test_nothing_behind_a_key_means_its_defaults():
    assert load_text(MINIMAL) == settings.Config(
        receivers={"otlp": settings.OTLPReceiver(settings.Protocols(http=settings.HTTPServer(LOCALHOST, 67108864)))},
        exporters={"file": settings.FileExporter("traces.jsonl", append=True)},
        service=settings.Service({"traces": settings.PipelineSettings(("otlp",), ("file",))}),
    )


def test_a_whole_configuration_is_read():
    config = load_text("""\
receivers:
  otlp/in:
    protocols:
      grpc: {endpoint: "0.0.0.0:4317", tls: {cert_file: c.pem, key_file: k.pem, client_ca_file: ca.pem}}
      http: {endpoint: "[::1]:0", max_request_body_size: 1024, auth: {authenticator: bearertokenauth}}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 512}
  attributes/2:
    include: {match_type: regexp, services: ["a.*"], attributes: [{key: k, value: v}]}
    actions: [{key: a, action: INSERT, value: 1.50}, {action: delete, pattern: "^x"}]
  redaction: {allow_all_keys: true, blocked_values: ["sk-[a-z]+", "4[0-9]{12}"], summary: info}
exporters:
  otlp/old: {endpoint: "dns:///jaeger:4317", headers: {x: "1.10"}, sending_queue: {sizer: bytes, storage: file_storage}}
  otlp_http:
    endpoint: https://example.com/otlp/
    headers: [{name: a, value: b}]
    compression: none
    timeout: 1m30s
    sending_queue: {batch: {flush_timeout: 1s}}
  debug: {verbosity: Detailed}
extensions:
  file_storage: {directory: ./spool, create_directory: true, fsync: true}
  bearertokenauth: {token: secret}
service:
  extensions: [file_storage, bearertokenauth]
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: 9999}}}}]}}
  pipelines:
    traces: {receivers: [otlp/in], processors: [memory_limiter, attributes/2, redaction], exporters: [otlp/old, debug]}
    logs/2: {receivers: [otlp/in], exporters: [otlp_http]}
""")
    tls = settings.TLSServer("c.pem", "k.pem", "ca.pem")
    auth = settings.Authentication("bearertokenauth")
    reader = settings.Reader(settings.Pull(settings.PullExporter(settings.Prometheus("127.0.0.1", 9999))))
    assert config == settings.Config(
        receivers={
            "otlp/in": settings.OTLPReceiver(
                settings.Protocols(
                    http=settings.HTTPServer(Address("::1", 0), 1024, auth=auth),
                    grpc=settings.GRPCServer(Address("0.0.0.0", 4317), tls=tls),
                )
            )
        },
        processors={
            "memory_limiter": settings.MemoryLimiter(1.0, limit_mib=512),
            "attributes/2": settings.Attributes(
                include=settings.Match("regexp", services=("a.*",), attributes=(settings.KeyValue("k", "v"),)),
                actions=(settings.Action("a", "insert", value=1.5), settings.Action("", "delete", pattern="^x")),
            ),
            "redaction": settings.Redaction(
                allow_all_keys=True, blocked_values=("sk-[a-z]+", "4[0-9]{12}"), summary="info"
            ),
        },
        exporters={
            "otlp/old": settings.OTLPGRPCExporter(
                "dns:///jaeger:4317",
                headers={"x": "1.10"},
                sending_queue=settings.SendingQueue(sizer="bytes", storage="file_storage"),
            ),
            "otlp_http": settings.OTLPHTTPExporter(
                "https://example.com/otlp/",
                headers={"a": "b"},
                compression="none",
                timeout=90.0,
                sending_queue=settings.SendingQueue(batch=settings.QueueBatch(flush_timeout=1.0)),
            ),
            "debug": settings.DebugExporter("detailed"),
        },
        extensions={
            "file_storage": settings.FileStorage("./spool", create_directory=True, fsync=True),
            "bearertokenauth": settings.BearerToken(token="secret"),
        },
        service=settings.Service(
            pipelines={
                "traces": settings.PipelineSettings(
                    ("otlp/in",), ("otlp/old", "debug"), ("memory_limiter", "attributes/2", "redaction")
                ),
                "logs/2": settings.PipelineSettings(("otlp/in",), ("otlp_http",)),
            },
            extensions=("file_storage", "bearertokenauth"),
            telemetry=settings.Telemetry(settings.Metrics(readers=(reader,))),
        ),
    )


@pytest.mark.parametrize(
    ("batch", "queue", "measured"),
    [
        ("batch: {}", "", "items"),
        ("batch: {min_size: 1}", "sizer: bytes, ", "bytes"),
        ("batch: {min_size: 1, sizer: items}", "sizer: bytes, ", "items"),
        ("batch: {sizer: bytes}", "", "bytes"),
    ],
)
def test_batches_are_measured_as_the_queue_is_if_that_can_be(batch, queue, measured):
    config = load_text(with_exporter(f"otlp_grpc:\n  endpoint: h:1\n  sending_queue: {{{queue}{batch}}}"))
    assert config.exporters["otlp_grpc"].sending_queue.batch_sizer == measured


def test_what_a_pipeline_names_twice_is_there_once():
    config = load_text(MINIMAL.replace("[otlp]", "[otlp, otlp]").replace("[file]", "[file, file]"))
    assert config.service.pipelines == {"traces": settings.PipelineSettings(("otlp",), ("file",))}


# The environment and other files


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${env:FOLDER}/t.jsonl", "/data/t.jsonl"),
        ("${FOLDER}/t.jsonl", "/data/t.jsonl"),
        ("${env:FOLDER:-/tmp}/t.jsonl", "/data/t.jsonl"),
        ("${env:UNSET:-/tmp}/t.jsonl", "/tmp/t.jsonl"),
        ("${env:UNSET:-}t.jsonl", "t.jsonl"),
        ("${env:EMPTY:-x}t.jsonl", "t.jsonl"),
        ("${env:UNSET:-${env:FOLDER}}", "/data"),
        ("${env:INDIRECT}", "/data/x"),
        ("${env:NUMBER}", "1.10"),
        ("a${NUMBER}b${FOLDER}", "a1.10b/data"),
        ("$$FOLDER.jsonl", "$FOLDER.jsonl"),
        ("$${env:FOLDER}", "${env:FOLDER}"),
        ("$$${env:FOLDER}", "$/data"),
        ("$FOLDER", "$FOLDER"),
        ("${file:name.txt}", "from-a-file"),
        ("${yaml:x}", "x"),
    ],
)
def test_references_are_replaced(monkeypatch, text, expected):
    variables = {"FOLDER": "/data", "EMPTY": "", "NUMBER": "1.10", "INDIRECT": "${env:FOLDER}/x"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    Path("name.txt").write_text("from-a-file", encoding="utf-8")
    config = load_text(MINIMAL.replace("path: traces.jsonl", f'path: "{text}"'))
    assert config.exporters == {"file": settings.FileExporter(expected, append=True)}


def test_a_value_that_is_one_reference_may_be_a_number_or_a_whole_mapping(monkeypatch):
    monkeypatch.setenv("SIZE", "77")
    monkeypatch.setenv("ROTATION", "max_days: ${env:SIZE}")
    Path("exporters.yaml").write_text("file:\n  path: x\n  rotation: ${env:ROTATION}\n", encoding="utf-8")
    text = MINIMAL.replace("      http:", "      http:\n        max_request_body_size: ${env:SIZE}")
    head, _, tail = text.partition("  file:\n    path: traces.jsonl\n    append: true\n")
    config = load_text(head.replace("exporters:", "exporters: ${file:exporters.yaml}") + tail)
    assert config.receivers["otlp"].protocols.http == settings.HTTPServer(LOCALHOST, 77)
    assert config.exporters == {"file": settings.FileExporter("x", rotation=settings.Rotation(max_days=77))}


def test_a_mistake_in_a_file_that_is_put_in_is_shown_there():
    Path("exporter.yaml").write_text("path: x\n\naped: true\n", encoding="utf-8")
    text = MINIMAL.replace("  file:\n    path: traces.jsonl\n    append: true\n", "  file: ${file:exporter.yaml}\n")
    assert refusal(text) == "exporter.yaml:3: unknown key in exporters.file: 'aped'; did you mean 'append'?"


def test_a_variable_that_is_not_set_is_nothing_and_noted():
    config = load_text(MINIMAL.replace("path: traces.jsonl", "path: ${env:UNSET}/x"))
    assert config.exporters["file"].path == "/x"
    assert config.notes == (
        "c.yaml:7: environment variable UNSET is not set: nothing stands for it; or write ${env:UNSET:-default}",
    )


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("${env:LOOP}", "too many references; one that leads to itself never ends"),
        ("${env:1X}", "'1X' is not the name of an environment variable; write $$ for a dollar sign"),
        ("${vault:secret}", "${vault:secret} cannot be read: only env:, file: and yaml: can"),
        ("${file:none}", "cannot read ${file:none}: No such file or directory"),
        ("${1:2}", "${1:2} is not a reference such as ${env:NAME}; write $$ for a dollar sign"),
        ("${env:TWICE}", "longer than 64 KiB once its references are replaced"),
    ],
)
def test_a_reference_that_cannot_be_replaced_is_named(monkeypatch, reference, message):
    monkeypatch.setenv("LOOP", "${env:LOOP}")
    monkeypatch.setenv("TWICE", "${env:TWICE}x${env:TWICE}")
    assert refusal(MINIMAL.replace("path: traces.jsonl", f"path: {reference}")) == f"c.yaml:7: {message}"


# Several files


def test_of_several_files_the_later_wins_mappings_merge_and_lists_are_replaced():
    Path("a.yaml").write_text(MINIMAL, encoding="utf-8")
    Path("b.yaml").write_text(
        "exporters:\n  file: {append: false, rotation: {max_days: 3}}\n  debug:\n"
        "service: {pipelines: {traces: {exporters: [debug, file]}}}\n",
        encoding="utf-8",
    )
    config = load(Path("a.yaml"), Path("b.yaml"))
    assert config.exporters == {
        "file": settings.FileExporter("traces.jsonl", rotation=settings.Rotation(max_days=3)),
        "debug": settings.DebugExporter(),
    }
    assert config.service.pipelines == {"traces": settings.PipelineSettings(("otlp",), ("debug", "file"))}


def test_a_mistake_is_shown_in_the_file_that_has_it():
    Path("a.yaml").write_text(MINIMAL.replace("append: true", "append: yes"), encoding="utf-8")
    Path("b.yaml").write_text("\nexporters: {file: {format: jsn}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^a\.yaml:8: exporters\.file\.append: 'yes' is neither true nor false$"):
        load(Path("a.yaml"), Path("b.yaml"))
    Path("a.yaml").write_text(MINIMAL, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^b\.yaml:2: exporters\.file\.format: 'jsn' is not one of json, proto$"):
        load(Path("a.yaml"), Path("b.yaml"))


# Mistakes


PATH = "    path: traces.jsonl"
HTTP = "      http:"
LISTED = "[file]"


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        (HTTP, "      http:\n        endpont: x", "5: unknown key in receivers.otlp.protocols.http: 'endpont'; did you mean 'endpoint'?"),
        (HTTP, "      tcp:", "4: unknown key in receivers.otlp.protocols: 'tcp'; known here: grpc, http"),
        (HTTP, "      http: {endpoint: 4318}", "4: receivers.otlp.protocols.http.endpoint: 4318 is a number, not text; write it in quotes"),
        (HTTP, "      http: {endpoint: localhost}", "4: receivers.otlp.protocols.http.endpoint: 'localhost' is not HOST:PORT"),
        (HTTP, "      http: {max_request_body_size: 64MiB}", "4: receivers.otlp.protocols.http.max_request_body_size: '64MiB' is not a number"),
        (HTTP, "      http: {max_request_body_size: '64'}", "4: receivers.otlp.protocols.http.max_request_body_size: '64' is not a number"),
        (HTTP, "      http: {tls: {}}", "4: receivers.otlp.protocols.http.tls needs 'cert_file'"),
        (HTTP, "      http: {cors: {allowed_origins: ['*']}}", "4: only the official collector reads receivers.otlp.protocols.http.cors; run: otelcol-contrib --config c.yaml"),
        (HTTP, "      http: {transport: unix}", "4: only the official collector knows receivers.otlp.protocols.http.transport: unix; run: otelcol-contrib --config c.yaml"),
        (HTTP, "      http: {auth: {authenticator: x}}", "2: receivers.otlp.protocols.http.auth.authenticator names 'x', which service.extensions does not name"),
        (HTTP, "", "3: receivers.otlp.protocols needs http or grpc, or both"),
        ("  otlp:", "  otlp: 3\n  otlp/2:", "2: receivers.otlp must be a mapping"),
        ("  otlp:", "  zipkin:", "2: only the official collector has receivers.zipkin; run: otelcol-contrib --config c.yaml"),
        ("exporters:", "exporters:\n  kafka/2:", "6: only the official collector has exporters.kafka/2; run: otelcol-contrib --config c.yaml"),
        ("exporters:\n  file:", "exporters:\n  fil:", "6: unknown component in exporters: 'fil'; did you mean 'file'?"),
        ("exporters:\n  file:", "exporters:\n  file/:", "6: exporters: 'file/' has no name that one can use after the /"),
        ("exporters:\n  file:", "exporters:\n  debug:\n  'debug ':\n  file:", "7: 'debug' appears twice in exporters"),
        ("service:", "connectors: {forward: }\nservice:", "9: only the official collector has connectors.forward; run: otelcol-contrib --config c.yaml"),
        ("service:", "extension: {health_check: }\nservice:", "9: unknown section 'extension'; did you mean 'extensions'?"),
        ("service:", "service:\n  extensions: [health_check]", "10: service.extensions names 'health_check', which extensions does not define"),
        ("    traces:", "    trace:", "11: service.pipelines: 'trace' is no pipeline; a pipeline is traces, metrics or logs, or for example traces/2"),
        ("    traces:", "    profiles:", "11: service.pipelines: profiles are experimental; only traces, metrics and logs have pipelines"),
        ("    traces:", "    'traces / 2': {receivers: [otlp], exporters: [file]}\n    traces/2:", "12: 'traces/2' appears twice in service.pipelines"),
        (PATH, "    format: json", "7: exporters.file needs 'path'"),
        (PATH, "    path:", "7: exporters.file.path must be the path of a file"),
        (PATH, "    path: 1.10", "7: exporters.file.path: 1.1 is a number, not text; write it in quotes"),
        (PATH, "    path: {a: b}", "7: exporters.file.path: a mapping stands where text is expected"),
        (PATH, "    path: a\n    path: b", "8: not valid YAML: the key 'path' appears twice in one mapping"),
        (PATH, "    path: a\n    rotation:", "9: exporters.file.append and rotation exclude each other"),
        (PATH, "    path: a\n    encoding: x", "8: only the official collector reads exporters.file.encoding; run: otelcol-contrib --config c.yaml"),
        (PATH, "    path: a\n    directory_permissions: '0755'", "8: exporters.file.directory_permissions needs create_directory: true"),
        (PATH, "    path: a\n    group_by: {enabled: true}", "7: exporters.file.path must have one *, and not in front, when group_by is enabled"),
        ("append: true", "append: 'true'", "8: exporters.file.append: 'true' is neither true nor false, but text; write it without quotes"),
        (LISTED, "[file, debug]", "13: service.pipelines.traces.exporters names 'debug', which exporters does not define"),
        (LISTED, "[]", "13: service.pipelines.traces.exporters must not be empty"),
        (LISTED, "file", "13: service.pipelines.traces.exporters must be a list"),
        (LISTED, "[file]\n      processors: [batch]", "14: service.pipelines.traces.processors names 'batch', which processors does not define"),
        (LISTED, "[file]\n      processors: [a, a]", "14: service.pipelines.traces.processors has 'a' more than once"),
        (MINIMAL, "receivers: {}\nexporters: {}\n", "1: the section 'service' is missing"),
        (MINIMAL, "[a, b]: 1\n", "1: not valid YAML: a key must be a plain word"),
        (MINIMAL, "- a\n", "1: the file must be a mapping"),
        (MINIMAL, "a: [1\nb: 2\n", "2: not valid YAML: expected ',' or ']', but got ':'"),
        (MINIMAL, "a: \0\n", "1: not valid YAML: special characters are not allowed"),
        (MINIMAL, "a: &a [*a]\n", "1: not valid YAML: an anchor contains itself"),
        (MINIMAL, "a: " + "[" * 5000 + "]" * 5000, "1: not valid YAML: nested too deeply"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_and_line(was, becomes, message):
    assert refusal(MINIMAL.replace(was, becomes, 1)) == f"c.yaml:{message}"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("otlp_http: {endpoint: 'localhost:4318'}", "6: exporters.otlp_http.endpoint: 'localhost:4318' is not a URL such as http://127.0.0.1:4318"),
        ("otlp_http:", "6: exporters.otlp_http needs 'endpoint'"),
        ("otlp_http: {logs_endpoint: 'http://h'}", "6: exporters.otlp_http needs 'endpoint' or 'traces_endpoint' for traces"),
        ("otlp_http: {endpoint: 'http://h', compression: brotli}", "6: exporters.otlp_http.compression: 'brotli' is not one of gzip, zstd, deflate, zlib, none"),
        ("otlp_http: {endpoint: 'http://h', compression: snappy}", "6: only the official collector knows exporters.otlp_http.compression: snappy; run: otelcol-contrib --config c.yaml"),
        ("otlp_http: {endpoint: 'http://h', timeout: 30}", "6: exporters.otlp_http.timeout: '30' is not a duration such as 30s or 500ms"),
        ("otlp_http: {endpoint: 'http://h', timeout: -1s}", "6: exporters.otlp_http.timeout: '-1s' is negative"),
        ("otlp_http: {endpoint: 'http://h', headers: {x: 1.10}}", "6: exporters.otlp_http.headers.x: 1.1 is a number, not text; write it in quotes"),
        ("otlp_http: {endpoint: 'http://h', tls: {cert_file: c}}", "6: exporters.otlp_http.tls needs both cert_file and key_file, or neither"),
        ("otlp_grpc: {endpoint: h}", "6: exporters.otlp_grpc.endpoint: 'h' is not HOST:PORT"),
        ("otlp_grpc:\n  endpoint: h:1\n  retry_on_failure:\n    max_elapsed_time: 10s", "9: exporters.otlp_grpc.retry_on_failure.max_elapsed_time must not be less than max_interval, or 0 for no end"),
        ("otlp_grpc:\n  endpoint: h:1\n  sending_queue:\n    queue_size: 0", "9: exporters.otlp_grpc.sending_queue.queue_size must be above 0"),
        ("otlp_grpc:\n  endpoint: h:1\n  sending_queue: {batch: {min_size: 2, max_size: 1}}", "8: exporters.otlp_grpc.sending_queue.batch.max_size must not be less than min_size, which is 2"),
        ("otlp_grpc:\n  endpoint: h:1\n  sending_queue: {sizer: items, batch: {}}", "8: exporters.otlp_grpc.sending_queue.batch min_size (8192) must not be above queue_size (1000)"),
        ("otlp_grpc:\n  endpoint: h:1\n  sending_queue: {storage: file_storage}", "6: exporters.otlp_grpc.sending_queue.storage names 'file_storage', which service.extensions does not name"),
        ("debug: {verbosity: all}", "6: exporters.debug.verbosity: 'all' is not one of basic, normal, detailed"),
    ],
)  # fmt: skip
def test_an_exporter_is_told_what_is_wrong(lines, message):
    assert refusal(with_exporter(lines)) == f"c.yaml:{message}"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("memory_limiter:\n  check_interval: 1s", "7: processors.memory_limiter needs limit_mib or limit_percentage"),
        ("memory_limiter:\n  check_interval: 0\n  limit_mib: 1", "7: processors.memory_limiter.check_interval must be above 0"),
        ("memory_limiter: {check_interval: 1s, limit_mib: 1, spike_limit_mib: 1}", "6: processors.memory_limiter.spike_limit_mib must be below limit_mib"),
        ("memory_limiter: {check_interval: 1s, limit_mib: -1}", "6: processors.memory_limiter.limit_mib: -1 is not a number between 0 and 4294967295"),
        ("attributes: {actions: [{key: a}]}", "6: processors.attributes.actions needs 'action'"),
        ("attributes: {actions: [{action: hash}]}", "6: processors.attributes.actions needs 'key' or 'pattern'"),
        ("attributes: {actions: [{key: a, action: insert}]}", "6: processors.attributes.actions needs 'value' or 'from_attribute' for the action insert"),
        ("attributes: {actions: [{key: a, action: insert, value: 1, from_attribute: b}]}", "6: processors.attributes.actions needs 'value' or 'from_attribute', not both for the action insert"),
        ("attributes: {actions: [{key: a, action: delete, value: 1}]}", "6: processors.attributes.actions.value is not used by the action delete"),
        ("attributes: {actions: [{key: a, action: extract, pattern: '(x)'}]}", "6: processors.attributes.actions.pattern must name all its groups, as in (?P<name>...), and have one"),
        ("attributes: {actions: [{key: a, action: delete, pattern: '(?<=a)b'}]}", "6: processors.attributes.actions.pattern: '(?<=a)b' is not a regular expression (RE2): invalid perl operator: (?<="),
        ("attributes: {actions: [{key: a, action: insert, value: 1, default_value: 2}]}", "6: only the official collector reads processors.attributes.actions.default_value; run: otelcol-contrib --config c.yaml"),
        ("attributes: {include: {match_type: strict}, actions: [{key: a, action: delete}]}", "6: processors.attributes.include needs a condition for traces: services, span_names, span_kinds, attributes, resources, libraries"),
        ("attributes: {include: {match_type: strict, span_kinds: [CLIENT]}, actions: [{key: a, action: delete}]}", "6: processors.attributes.include.span_kinds 'CLIENT' is not one of SPAN_KIND_INTERNAL, SPAN_KIND_SERVER, SPAN_KIND_CLIENT, SPAN_KIND_PRODUCER, SPAN_KIND_CONSUMER"),
        ("attributes: {include: {match_type: regexp, libraries: [{name: '('}]}, actions: [{key: a, action: delete}]}", "6: processors.attributes.include.libraries '(' is not a regular expression (RE2): missing ): ("),
        ("resource: {attributes: []}", "6: processors.resource.attributes must not be empty"),
        ("redaction:\n  blocked_values:\n    - a\n    - '('", "9: processors.redaction.blocked_values: '(' is not a regular expression (RE2): missing ): ("),
        ("llmtrace_redaction: {secrets: false}", "6: processors.llmtrace_redaction redacts nothing: needs secrets, personal or patterns"),
        ("llmtrace_redaction: {patterns: ['${env:UNSET}']}", "6: processors.llmtrace_redaction.patterns has an empty pattern, which matches everywhere"),
        ("redaction: {hash_function: hmac-sha256}", "6: only the official collector knows processors.redaction.hash_function: hmac-sha256; run: otelcol-contrib --config c.yaml"),
        ("probabilistic_sampler: {sampling_percentage: -1}", "6: processors.probabilistic_sampler.sampling_percentage cannot be -1.0"),
        ("transform: {}", "6: only the official collector has processors.transform; run: otelcol-contrib --config c.yaml"),
        ("tail_sampling: {}", "6: only the official collector has processors.tail_sampling; run: otelcol-contrib --config c.yaml"),
    ],
)  # fmt: skip
def test_a_processor_is_told_what_is_wrong(lines, message):
    assert refusal(with_processor(lines)) == f"c.yaml:{message}"


@pytest.mark.parametrize(
    ("lines", "signal", "message"),
    [
        ("probabilistic_sampler: {sampling_percentage: 1}", "metrics", "processors.probabilistic_sampler cannot sample metrics"),
        ("attributes: {include: {match_type: strict, services: [a]}, actions: [{key: a, action: delete}]}", "logs", "processors.attributes.include services is no condition for logs"),
    ],
)  # fmt: skip
def test_a_processor_is_refused_where_it_cannot_be(lines, signal, message):
    assert refusal(with_processor(lines, signal)) == f"c.yaml:6: {message}"


@pytest.mark.parametrize(
    ("extensions", "message"),
    [
        ("health_check: {path: x}", "1: extensions.health_check.path must start with /"),
        ("health_check: {response_body: {healthy: ok}}", "1: only the official collector reads extensions.health_check.response_body; run: otelcol-contrib --config c.yaml"),
        ("file_storage: {directory: ./none}", "1: extensions.file_storage.directory './none' does not exist; set create_directory: true to make it"),
        ("file_storage: {directory: c.yaml}", "1: extensions.file_storage.directory 'c.yaml' is not a directory"),
        ("bearertokenauth: {scheme: '', tokens: [a, '${env:UNSET}']}", "1: extensions.bearertokenauth.tokens has an empty token, which would let everybody in"),
        ("bearertokenauth: {token: a, tokens: [b]}", "1: extensions.bearertokenauth.tokens and token exclude each other"),
        ("basicauth: {}", "1: only the official collector has extensions.basicauth; run: otelcol-contrib --config c.yaml"),
    ],
)  # fmt: skip
def test_an_extension_is_told_what_is_wrong(extensions, message):
    assert refusal(f"extensions: {{{extensions}}}\n{MINIMAL}") == f"c.yaml:{message}"


def test_a_queue_is_stored_by_a_storage():
    text = "extensions: {health_check: }\n" + with_exporter(
        "otlp_grpc: {endpoint: 'h:1', sending_queue: {storage: health_check}}"
    ).replace("service:", "service:\n  extensions: [health_check]")
    message = "c.yaml:7: exporters.otlp_grpc.sending_queue.storage names 'health_check', which is no file_storage"
    assert refusal(text) == message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=re.escape(f"cannot read {tmp_path}/none.yaml: No such file")):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "c.yaml: the file is empty"),
        (b"# nothing\n", "c.yaml: the file is empty"),
        (b"a: 1\nb: \xff\n", "c.yaml:2: not UTF-8: invalid start byte"),
        (b"a" * 10_000_000, "c.yaml: larger than 256 KiB, which is no configuration"),
        (b"a: &a [1,2,3,4,5,6,7,8,9]\n" + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1) if i else b"*a"] * 9)) for i in range(9)), "c.yaml:1: not valid YAML: more than 100000 values, counting what aliases repeat"),
    ],
)  # fmt: skip
def test_what_is_no_configuration_at_all_is_one_line(content, message):
    Path("c.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as mistake:
        load(Path("c.yaml"))
    assert str(mistake.value) == message


# Notes


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (MINIMAL.replace("    append: true\n", ""), ["c.yaml:7: exporters.file is emptied at every start; set append: true, or rotation, to keep what it holds"]),
        (with_processor("batch: {timeout: 1s}"), ["c.yaml:6: processors.batch does nothing here, and newer official collectors refuse it; use sending_queue.batch of the exporters", "c.yaml: read by the official collector only: processors.batch.timeout"]),
        (with_processor("redaction: {allow_all_keys: true}"), ["c.yaml:6: processors.redaction redacts nothing: list blocked_values or blocked_key_patterns, or leave allow_all_keys out"]),
        (with_processor("redaction: {allow_all_keys: true, blocked_key_patterns: ['']}"), ["c.yaml:6: processors.redaction has an empty pattern in blocked_key_patterns, which matches everywhere"]),
        (with_processor("redaction: {allow_all_keys: true, blocked_values: 'A{2,3}'}"), ["c.yaml:6: processors.redaction.blocked_values is one text, so each of its commas ends a pattern; write a list"]),
        (with_processor("redaction:"), ["c.yaml:6: processors.redaction removes every attribute: set allow_all_keys: true, or list allowed_keys"]),
        (with_processor("probabilistic_sampler:"), ["c.yaml:6: processors.probabilistic_sampler keeps nothing: sampling_percentage is 0"]),
        (MINIMAL.replace("service:", "service:\n  telemetry: {logs: {level: debug}}"), ["c.yaml: read by the official collector only: service.telemetry.logs"]),
        (MINIMAL, []),
    ],
)  # fmt: skip
def test_what_is_easily_overlooked_is_noted(text, notes):
    assert list(load_text(text).notes) == notes


# What a configuration does


def test_a_configuration_is_explained():
    config = load_text("""\
extensions:
  health_check: {endpoint: "[::1]:13133"}
  file_storage: {directory: ./spool, create_directory: true}
  bearertokenauth: {filename: tokens}
receivers:
  otlp:
    protocols:
      grpc: {tls: {cert_file: c, key_file: k}, auth: {authenticator: bearertokenauth}}
      http:
  otlp/unused: {protocols: {http: {endpoint: "localhost:1"}}}
processors: {memory_limiter: {check_interval: 1s, limit_mib: 512}}
exporters:
  file: {path: ./traces.jsonl}
  otlp_grpc/jaeger: {endpoint: "localhost:14317"}
  otlp_http: {endpoint: "http://localhost:14318"}
  debug:
service:
  extensions: [health_check, file_storage, bearertokenauth]
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: localhost, port: 8888}}}}]}}
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter], exporters: [file, otlp_grpc/jaeger]}
    logs/2: {receivers: [otlp], exporters: [otlp_http, debug]}
""")
    assert explain(config) == [
        "otlp: OTLP/HTTP on localhost:4318, OTLP/gRPC on localhost:4317 (TLS, authenticated)",
        "traces: otlp → memory_limiter → file (./traces.jsonl), otlp_grpc/jaeger (localhost:14317)",
        "logs/2: otlp → otlp_http (http://localhost:14318), debug",
        "health_check: http://[::1]:13133/",
        "file_storage: ./spool",
        "bearertokenauth: a file of tokens",
        "metrics: http://localhost:8888/metrics",
        "note: c.yaml:13: exporters.file is emptied at every start; set append: true, or rotation, to keep what it holds",
        "note: c.yaml:10: receivers.otlp/unused does nothing: no pipeline names it",
    ]


def test_a_password_in_a_url_is_not_shown():
    config = load_text(with_exporter("otlp_http: {endpoint: 'https://ann:tulip@example.com:4318/x'}"))
    assert explain(config)[1] == "traces: otlp → otlp_http (https://***@example.com:4318/x)"
    wrong = refusal(with_exporter("otlp_http: {endpoint: 'https://ann:tulip@example.com:99999'}"))
    assert (
        wrong
        == "c.yaml:6: exporters.otlp_http.endpoint: 'https://***@example.com:99999' is not a URL such as http://127.0.0.1:4318"
    )
    assert "tulip" not in refusal(with_exporter("otlp_grpc: {endpoint: 'https://ann:tulip@example.com:4317'}"))


@pytest.mark.parametrize(
    ("section", "of"),
    [("processors: {redaction: {allow_all_keys: true, blocked_values: [a]}}", "no pipeline names it"),
     ("extensions: {health_check: {}}", "service.extensions does not name it")],
)  # fmt: skip
def test_a_component_that_is_only_written_down_is_told(section, of):
    name = section.replace(": {", ".", 1).split(":")[0]
    assert load_text(f"{section}\n{MINIMAL}").notes == (f"c.yaml:1: {name} does nothing: {of}",)


def test_llmtrace_redaction_of_metrics_is_refused():
    assert (
        refusal(with_processor("llmtrace_redaction:", "metrics"))
        == "c.yaml:6: processors.llmtrace_redaction finds nothing in metrics; leave it out of their pipelines"
    )


def test_metrics_that_are_off_are_not_explained():
    reader = "{pull: {exporter: {prometheus: {port: 8888}}}}"
    text = MINIMAL.replace("service:", f"service:\n  telemetry: {{metrics: {{level: none, readers: [{reader}]}}}}")
    assert explain(load_text(text)) == [
        "otlp: OTLP/HTTP on localhost:4318",
        "traces: otlp → file (traces.jsonl)",
    ]


def test_the_default_is_explained():
    assert explain(replace(settings.DEFAULT)) == [
        "otlp: OTLP/HTTP on 127.0.0.1:4318, OTLP/gRPC on 127.0.0.1:4317",
        "traces: otlp → file/traces (traces.jsonl)",
        "metrics: otlp → file/metrics (metrics.jsonl)",
        "logs: otlp → file/logs (logs.jsonl)",
    ]


# Scalars


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1.5s", 1.5), ("500ms", 0.5), ("2m", 120), ("1h1m1s", 3661), ("+.5s", 0.5), ("0", 0), ("-0", None),
     ("", None), ("1d", None), ("5", None), ("-5s", None), ("1s ", None), ("٣s", None), ("9999999h", None)],
)  # fmt: skip
def test_durations_are_written_as_in_go(text, seconds):
    if seconds is None:
        with pytest.raises(ValueError, match=r"duration|negative|years"):
            duration(text)
    else:
        assert duration(text) == seconds


def test_an_address_is_shown_as_it_is_written():
    assert [str(Address.parse(text)) for text in ("localhost:1", "[::1]:2", ":3")] == ["localhost:1", "[::1]:2", ":3"]


def test_a_pattern_is_of_re2():
    assert compiled("(?P<a>x)(?P<b>y)").groupindex == {"a": 1, "b": 2}
