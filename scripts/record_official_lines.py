"""Records what the official OpenTelemetry collector's file exporter writes for a list of export requests.

    python scripts/record_official_lines.py path/to/otelcol

The collector needs the components `otlp` (receiver) and `file` (exporter), as `scripts/install_interop_tools.py` builds
it. Each request below is posted to it by itself, over HTTP; what then stands in its file, or the status with
which it refused the request, goes to `tests/collector/data/official_lines.json`, with which the collector's tests
compare their own lines.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from google.protobuf import text_format

from llmtrace_collector.otlp.signals import SIGNALS, Signal

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD = Path(__file__).resolve().parent.parent / "tests/collector/data/official_lines.json"

CONFIG = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters:
  file/traces: {{path: "{folder}/traces", append: true, flush_interval: 20ms}}
  file/metrics: {{path: "{folder}/metrics", append: true, flush_interval: 20ms}}
  file/logs: {{path: "{folder}/logs", append: true, flush_interval: 20ms}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [file/traces]}}
    metrics: {{receivers: [otlp], exporters: [file/metrics]}}
    logs: {{receivers: [otlp], exporters: [file/logs]}}
"""

# What stands for itself in the requests below, which are protobuf's text format.
SHORT = {
    "ids": r"""trace_id: "\240\241\242\243\244\245\246\247\250\251\252\253\254\255\256\257"
        span_id: "\300\301\302\303\304\305\306\307" """,
    "attribute": "attributes { key: 'a' value { int_value: 1 } }",
    "point": "attributes { key: 'a' } start_time_unix_nano: 1 time_unix_nano: 2 flags: 1",
    "exemplars": """exemplars { as_int: -1 } exemplars { } exemplars {
        filtered_attributes { key: 'a' value { int_value: 1 } } time_unix_nano: 3 as_double: 0 $ids }""",
}

VALUES = {
    "a string": r'string_value: "chat \"quoted\" \\ \010\014\n\r\t\001\177 <&> \342\200\250 \360\237\230\200"',
    "an empty string": 'string_value: ""',
    "true": "bool_value: true",
    "false": "bool_value: false",
    "an integer": "int_value: 9223372036854775807",
    "a negative integer": "int_value: -9223372036854775808",
    "zero": "int_value: 0",
    "a double": "double_value: 1.5",
    "a long double": "double_value: 0.1234567890123456789",
    "a large double": "double_value: 1e300",
    "a small double": "double_value: -5e-324",
    "a whole double": "double_value: 1e21",
    "a zero double": "double_value: 0",
    "a negative zero": "double_value: -0.0",
    "not a number": "double_value: nan",
    "infinity": "double_value: inf",
    "negative infinity": "double_value: -inf",
    "bytes": r'bytes_value: "\373\377"',
    "empty bytes": 'bytes_value: ""',
    "an array": "array_value { values { int_value: 1 } values { } values { string_value: 'x' } }",
    "an empty array": "array_value { }",
    "a map": "kvlist_value { values { key: 'k' value { string_value: 'v' } } values { key: 'unset' } values { } }",
    "an empty map": "kvlist_value { }",
    "arrays and maps in one another": """kvlist_value { values { key: 'k' value { array_value {
        values { array_value { values { kvlist_value { values { key: 'x' value { bool_value: false } } } } } }
        values { array_value { } } } } } }""",
    "a string's index": "string_value_strindex: 3",
    "nothing": "",
}

SPANS = {
    **{f"attribute: {name}": f"attributes {{ key: 'k' value {{ {text} }} }}" for name, text in VALUES.items()},
    "attribute without a value": "attributes { key: 'k' }",
    "attribute without a key": "attributes { value { int_value: 1 } }",
    "empty attribute": "attributes { }",
    "attribute with a key's index": "attributes { key: 'k' key_strindex: 7 value { int_value: 1 } }",
    "attribute twice": "attributes { key: 'k' value { int_value: 1 } } attributes { key: 'k' }",
    "empty span": "",
    "span with everything": r"""$ids trace_state: 'a=b' parent_span_id: "\300\301\302\303\304\305\306\307" flags: 257
        name: 'chat \303\251' kind: SPAN_KIND_CLIENT start_time_unix_nano: 1700000000000000001
        end_time_unix_nano: 18446744073709551615 $attribute dropped_attributes_count: 1
        events { time_unix_nano: 5 name: 'e' $attribute dropped_attributes_count: 4294967295 } events { }
        dropped_events_count: 2 links { $ids trace_state: 'c=d' $attribute dropped_attributes_count: 3 flags: 256 }
        links { } dropped_links_count: 4 status { message: 'cut' code: STATUS_CODE_ERROR }""",
    "span as SDKs send it": r"""$ids parent_span_id: "\300\301\302\303\304\305\306\307" flags: 257
        name: 'chat \303\251' kind: SPAN_KIND_CLIENT start_time_unix_nano: 1700000000000000001
        end_time_unix_nano: 1700000000000000002 $attribute status { }""",
    "root span": """$ids name: 'root' kind: SPAN_KIND_INTERNAL start_time_unix_nano: 1 end_time_unix_nano: 2
        attributes { key: 'k' value { string_value: 'a value long enough for the span to have a hundred bytes' } }""",
    "ids of zeros": r"""trace_id: "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
        span_id: "\000\000\000\000\000\000\000\000" name: 'x'""",
    "empty ids": "trace_id: '' span_id: '' parent_span_id: '' name: 'x'",
    "trace id of wrong length": "trace_id: 'short'",
    "span id of wrong length": "span_id: 'too long for one'",
    "kind that nobody knows": "kind: 77",
    "negative kind": "kind: -1",
    "status of success": "status { code: STATUS_CODE_OK }",
}

RESOURCES = {
    "empty resource and scope": "resource_spans { resource { } scope_spans { scope { } spans { } } }",
    "resource and scope with everything": """resource_spans {
        resource { $attribute dropped_attributes_count: 2
            entity_refs { schema_url: 's' type: 'service' id_keys: ['a', ''] description_keys: 'd' } entity_refs { } }
        scope_spans { scope { name: 'n' version: 'v' $attribute dropped_attributes_count: 1 }
            spans { name: 'x' } schema_url: 'https://example.com/2' }
        schema_url: 'https://example.com/1' }""",
    "several resources, scopes and spans": """resource_spans { scope_spans { spans { } spans { name: 'b' } }
        scope_spans { } } resource_spans { scope_spans { spans { name: 'c' } } } resource_spans { }""",
}

# The point behind those without any keeps the collector from leaving out the whole request.
METRICS = {
    "gauge": """name: 'n' description: 'd' unit: 'u' gauge { data_points { $point as_double: 1.5 $exemplars }
        data_points { as_double: 0 } data_points { as_int: 0 } data_points { as_int: -7 }
        data_points { as_double: nan } data_points { } } metadata { key: 'm' value { int_value: 1 } }""",
    "gauge without points": "name: 'n' gauge { } } metrics { gauge { data_points { } }",
    "metric without data": "name: 'n' } metrics { gauge { data_points { } }",
    "sum": """name: 'n' sum { data_points { $point as_int: 9223372036854775807 $exemplars } data_points { }
        aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE is_monotonic: true }""",
    "histogram": """name: 'n' histogram {
        data_points { $point count: 18446744073709551615 sum: 0 bucket_counts: [0, 1, 2] explicit_bounds: [-1.5, 0]
            $exemplars min: 0 max: inf }
        data_points { sum: -0.0 } data_points { } aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA }""",
    "exponential histogram": """name: 'n' exponential_histogram {
        data_points { $point count: 3 sum: 0 scale: -5 zero_count: 1 negative { }
            positive { offset: -3 bucket_counts: [0, 300, 18446744073709551615] }
            $exemplars min: -1 max: 0 zero_threshold: 0.5 }
        data_points { zero_threshold: -0.0 } }""",
    "summary": """name: 'n' summary {
        data_points { $point count: 3 sum: 1.25 quantile_values { quantile: 0.5 value: 2 } quantile_values { }
            quantile_values { quantile: nan value: -0.0 } }
        data_points { sum: -0.0 } }""",
}

LOGS = {
    **{f"body: {name}": f"body {{ {text} }}" for name, text in VALUES.items()},
    "log record with everything": """time_unix_nano: 1 observed_time_unix_nano: 2 severity_number: SEVERITY_NUMBER_ERROR
        severity_text: 'E' body { string_value: 'b' } $attribute dropped_attributes_count: 3 flags: 1 $ids
        event_name: 'gen_ai.client.inference.operation.details'""",
    "empty log record": "",
}


def requests() -> Iterator[tuple[Signal, str, str]]:
    """Signal, name and text of each request."""
    for signal, template, texts in (
        ("traces", "resource_spans { scope_spans { spans { %s } } }", SPANS),
        ("traces", "%s", RESOURCES),
        ("metrics", "resource_metrics { scope_metrics { metrics { %s } } }", METRICS),
        ("logs", "resource_logs { scope_logs { log_records { %s } } }", LOGS),
    ):
        for name, text in texts.items():
            whole = Template(Template(template % text).substitute(SHORT)).safe_substitute(SHORT)
            yield SIGNALS[signal], name, " ".join(whole.split())


def serialised(signal: Signal, text: str) -> bytes:
    message: bytes = text_format.Parse(text, signal.request()).SerializeToString()
    return message


def post(url: str, body: bytes) -> int:
    request = urllib.request.Request(url, body, {"Content-Type": "application/x-protobuf"})
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def record(url: str, folder: Path, signal: Signal, name: str, text: str) -> dict[str, object]:
    """Posts one request; its file is empty again afterwards."""
    status = post(url + signal.path, serialised(signal, text))
    entry = {"signal": signal.name, "name": name, "request": text, "status": status}
    if status == 200:
        entry["line"] = json.loads(next_line(folder / signal.name))
    return entry


def next_line(path: Path) -> str:
    for _ in range(200):
        time.sleep(0.02)
        text = path.read_text()
        if text.endswith("\n"):
            path.write_text("")
            return text
    raise SystemExit(f"{path.name}: the collector took a request and wrote no line")


def wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("the collector does not listen")


def main(binary: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(CONFIG.format(port=port, folder=folder))
        with subprocess.Popen([binary, "--config", str(folder / "config.yaml")]) as collector:
            try:
                wait_for(port)
                entries = [record(f"http://127.0.0.1:{port}", folder, *request) for request in requests()]
            finally:
                collector.terminate()
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(entries)} requests recorded in {RECORD}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
