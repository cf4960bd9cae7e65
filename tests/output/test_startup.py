"""The start-up hook: which provider, which exporters, which context a program starts with, and what it is told."""

from __future__ import annotations

import json
import re
import socket
import stat
from contextlib import closing

import pytest

from llmtrace_otel.output.startup import default_variables

SHOW_PROCESSORS = """
    import json
    def exporter(processor):
        exporter = getattr(processor, '_exporter', processor)
        processor.on_start(None)
        made = getattr(exporter, '_exporter', exporter)
        return type(made).__name__
    processors = trace.get_tracer_provider()._active_span_processor._span_processors
    print(json.dumps([exporter(processor) for processor in processors]))
    os._exit(0)
"""


@pytest.fixture
def nobody():
    """The URL of a port on which nobody listens."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def distro(tmp_path):
    """PYTHONPATH of a minimal distro that makes a provider with an exporter that prints span names."""
    info = tmp_path / "distro" / "fake_distro-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-distro\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_distro]\nfake = fake_distro:Distro\n"
        "[opentelemetry_configurator]\nfake = fake_distro:Configurator\n"
    )
    (info.parent / "fake_distro.py").write_text(
        "from opentelemetry import trace\n"
        "from opentelemetry.instrumentation.distro import BaseDistro\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor\n"
        "class Distro(BaseDistro):\n"
        "    def _configure(self, **kwargs): pass\n"
        "class Configurator:\n"
        "    def configure(self, **kwargs):\n"
        "        console = ConsoleSpanExporter(formatter=lambda span: f'distro: {span.name}\\n')\n"
        "        provider = TracerProvider()\n"
        "        provider.add_span_processor(SimpleSpanProcessor(console))\n"
        "        trace.set_tracer_provider(provider)\n"
    )
    return str(info.parent)


TRACES, METRICS, LOGS, PROTOCOL = (
    {"OTEL_TRACES_EXPORTER": "otlp"},
    {"OTEL_METRICS_EXPORTER": "otlp"},
    {"OTEL_LOGS_EXPORTER": "otlp"},
    {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
)


@pytest.mark.parametrize(
    ("given", "defaults"),
    [
        ({}, TRACES | PROTOCOL),
        ({"LLMTRACE_OUTPUT": "t.jsonl"}, PROTOCOL),
        ({"LLMTRACE_OUTPUT": "t.jsonl", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}, TRACES | PROTOCOL),
        ({"LLMTRACE_OUTPUT": "t.jsonl", "OTEL_TRACES_EXPORTER": "console"}, PROTOCOL),
        ({"LLMTRACE_OUTPUT": "", "OTEL_TRACES_EXPORTER": " "}, TRACES | PROTOCOL),
        ({"OTEL_TRACES_EXPORTER": "none"}, PROTOCOL),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, TRACES | PROTOCOL),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318"}, TRACES | METRICS | PROTOCOL),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c:4318"}, TRACES | LOGS | PROTOCOL),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_METRICS_EXPORTER": "otlp"}, TRACES | PROTOCOL),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c", "OTEL_LOGS_EXPORTER": "none"}, TRACES | PROTOCOL),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, TRACES),
        ({"OTEL_TRACES_EXPORTER": "otlp_proto_grpc"}, {}),
    ],
)
def test_what_unset_variables_mean(given, defaults):
    assert default_variables(given) == defaults


@pytest.mark.parametrize(
    ("output", "variables", "exporters"),
    [
        ("t.jsonl", {}, ["JSONLSpanExporter"]),
        ("t.jsonl", {"OTEL_TRACES_EXPORTER": "otlp"}, ["OTLPSpanExporter", "JSONLSpanExporter"]),
        ("t.jsonl", {"OTEL_TRACES_EXPORTER": "llmtrace_jsonl"}, ["JSONLSpanExporter"]),
        (None, {"OTEL_TRACES_EXPORTER": "console,llmtrace_jsonl"}, ["ConsoleSpanExporter", "JSONLSpanExporter"]),
        (
            None,
            {"OTEL_TRACES_EXPORTER": "otlp,llmtrace_jsonl", "OTEL_METRICS_EXPORTER": "console"},
            ["OTLPSpanExporter", "JSONLSpanExporter"],
        ),
        (None, {"OTEL_TRACES_EXPORTER": "none"}, []),
    ],
)
def test_the_variables_choose_the_exporters(run, output, variables, exporters):
    assert json.loads(run(SHOW_PROCESSORS, output=output, **variables).stdout) == exporters


@pytest.mark.parametrize(
    ("variables", "module"),
    [
        ({}, "opentelemetry.exporter.otlp.proto.http.trace_exporter"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"),
        ({"OTEL_TRACES_EXPORTER": "otlp_proto_grpc"}, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"),
    ],
)
def test_otlp_is_http_protobuf_unless_said_otherwise(run, variables, module):
    program = """
        [processor] = trace.get_tracer_provider()._active_span_processor._span_processors
        processor.on_start(None)
        print(type(processor._exporter._exporter).__module__, os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL"))
        os._exit(0)
    """
    shown = run(program, output=None, **variables)
    assert shown.stdout.split() == [module, variables.get("OTEL_EXPORTER_OTLP_PROTOCOL", "None")]


ALL_SIGNALS = """
    from opentelemetry import _logs, metrics
    span('work')
    metrics.get_meter('program').create_counter('calls').add(1)
    _logs.get_logger('program').emit(_logs.LogRecord(body='done'))
"""


@pytest.mark.parametrize(
    ("asked", "paths"),
    [
        ({}, ["/v1/traces"]),
        (METRICS, ["/v1/metrics", "/v1/traces"]),
        (METRICS | LOGS, ["/v1/logs", "/v1/metrics", "/v1/traces"]),
    ],
    ids=["traces", "metrics too", "all signals"],
)
def test_an_endpoint_for_all_signals_carries_traces_and_what_is_asked_for(run, collector, asked, paths):
    done = run(ALL_SIGNALS, output=None, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **asked)
    assert (sorted(collector.paths), done.stderr) == (paths, "")


def test_an_endpoint_of_its_own_asks_for_a_signal(run, collector):
    own = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{collector.url}/own/metrics"}
    done = run(ALL_SIGNALS, output=None, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **own)
    assert (sorted(collector.paths), done.stderr) == (["/own/metrics", "/v1/traces"], "")


def test_a_disabled_sdk_stays_untouched(run):
    done = run("print(type(trace.get_tracer_provider()).__name__); span('x')", OTEL_SDK_DISABLED="true")
    assert (done.stdout, done.stderr, done.output.exists()) == ("ProxyTracerProvider\n", "", False)


def test_the_file_joins_the_exporter_of_a_distro(run, distro):
    done = run("span('work')", PYTHONPATH=distro)
    assert (done.stdout, done.stderr, done.names) == ("distro: work\n", "", {"work": 1})


def test_without_a_file_a_distro_is_left_alone(run, distro):
    program = "span('work'); print(len(trace.get_tracer_provider()._active_span_processor._span_processors))"
    done = run(program, output=None, PYTHONPATH=distro)
    assert (done.stdout, done.stderr) == ("distro: work\n1\n", "")


def test_the_hook_runs_once(run):
    done = run("from llmtrace_otel.output.startup import pre_instrument\npre_instrument()\nspan('work')")
    assert done.names == {"work": 1}


def test_the_environment_names_the_parent(run):
    trace_id, parent_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    [span] = run("span('child')", TRACEPARENT=f"00-{trace_id}-{parent_id}-01", TRACESTATE="vendor=1").spans
    links = {name: span[name] for name in ("traceId", "parentSpanId", "traceState", "flags")}
    assert links == {"traceId": trace_id, "parentSpanId": parent_id, "traceState": "vendor=1", "flags": 0x300}


def test_a_broken_traceparent_is_no_parent(run):
    done = run("span('root')", TRACEPARENT="00-nonsense-01")
    assert ([span.get("parentSpanId") for span in done.spans], done.stderr) == ([None], "")


def test_baggage_of_the_environment_is_the_programs(run):
    program = """
        import json
        from opentelemetry import baggage
        print(json.dumps(dict(baggage.get_all())))
    """
    done = run(program, BAGGAGE="session.id=s-1,team=a%20b")
    assert (json.loads(done.stdout), done.stderr) == ({"session.id": "s-1", "team": "a b"}, "")


def test_a_session_in_baggage_is_stamped_on_spans(run):
    [span] = run("span('work')", BAGGAGE="session.id=s-1").spans
    assert {"key": "session.id", "value": {"stringValue": "s-1"}} in span["attributes"]


@pytest.mark.parametrize("ending", ["import sys; sys.exit(4)", "os._exit(4)"])
def test_without_a_collector_one_line_tells_what_to_do(run, nobody, ending):
    program = f"span('one'); span('two')\n{ending}"
    done = run(program, output=None, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=nobody.replace("//", "//user:secret@"))
    line = (
        f"llmtrace: no collector at {nobody}: 2 spans not sent; set LLMTRACE_OUTPUT=FILE or start 'llmtrace collect'\n"
    )
    assert (done.stderr, done.returncode) == (line, 4)


def test_without_a_collector_few_attempts_are_made(run):
    program = """
        import socket
        attempts = []
        def refuse(self, address):
            attempts.append(address)
            raise ConnectionRefusedError("refused")
        socket.socket.connect = refuse
        span('work')
        trace.get_tracer_provider().shutdown()
        print({address[1] for address in attempts}, len(attempts) <= 8)  # of IPv4 and IPv6
    """
    assert run(program, output=None, OTEL_EXPORTER_OTLP_TIMEOUT="0.5").stdout == "{4318} True\n"


def test_metrics_and_logs_share_the_line_and_the_wait(run, nobody):
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": nobody, "OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"}
    done = run(ALL_SIGNALS, output=None, **variables, **METRICS, **LOGS)
    assert re.fullmatch(r"llmtrace: no collector at .*: 1 span not sent; .*\n", done.stderr)


def test_an_exporter_that_is_not_installed_costs_one_line_and_not_the_file(run):
    done = run("span('work'); raise SystemExit(3)", OTEL_TRACES_EXPORTER="zipkin")
    line = (
        "llmtrace: could not set up OpenTelemetry: the traces exporter 'zipkin' is not installed;"
        " the program goes on without it\n"
    )
    assert (done.stderr, done.returncode, done.names) == (line, 3, {"work": 1})


def test_an_output_that_cannot_be_written_costs_one_line(run, tmp_path):
    (tmp_path / "file").touch()
    done = run("span('one'); span('two'); raise SystemExit(3)", output="file/traces.jsonl")
    line = f"llmtrace: cannot write spans to {done.output}: Not a directory; the program goes on without them\n"
    assert (done.stderr, done.returncode) == (line, 3)


def test_the_file_and_its_directories_are_private(run, tmp_path):
    run("span('work')", output="new/deep/traces.jsonl")
    modes = {
        name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "new/deep", "new/deep/traces.jsonl")
    }
    assert modes == {"new": 0o700, "new/deep": 0o700, "new/deep/traces.jsonl": 0o600}


def test_the_program_sees_no_variable_of_ours(run):
    program = "print(sorted(name for name in os.environ if name.startswith('OTEL_')))"
    assert run(program, output=None).stdout == "['OTEL_PYTHON_DISABLED_INSTRUMENTATIONS']\n"


def test_a_file_alone_loads_no_exporter_and_no_configurator(run):
    program = """
        import sys
        span('work')
        heavy = ('requests', 'grpc', 'google.protobuf', 'opentelemetry.sdk._configuration', 'opentelemetry.sdk.metrics')
        print([name for name in heavy if name in sys.modules])
    """
    # the absence of every exporter is also the absence of every attempt to reach a collector
    assert run(program).stdout == "[]\n"
