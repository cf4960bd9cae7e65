"""The official collector and ours, with one configuration: the same requests become the same files, read by either."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from ruamel.yaml import YAML

from llmtrace_otel.read import read_spans

from .engines import PATIENCE, Otelcol, needs_otelcol, otelcol_validate, wait_until
from .golden import GOLDEN, NOTHING, TRACES
from .otlp import TRANSPORTS, as_json, over_http
from .ours import LLMTRACE, Collect, both, files_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from google.protobuf.message import Message

    from llmtrace_otel.read import Problem

pytestmark = [pytest.mark.interop, needs_otelcol]

MAIN = Path(__file__).resolve().parents[2] / "otel-collector.yaml"
SIGNALS = ("traces", "metrics", "logs")
FILES = """
receivers: {otlp: {protocols: {grpc: , http: }}}
exporters:
  file/traces: {path: traces.jsonl, append: true}
  file/metrics: {path: metrics.jsonl, append: true}
  file/logs: {path: logs.jsonl, append: true}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [file/traces]}
    metrics: {receivers: [otlp], exporters: [file/metrics]}
    logs: {receivers: [otlp], exporters: [file/logs]}
"""
PROCESSED = """
receivers: {otlp: {protocols: {grpc: , http: }}}
processors:
  attributes:
    actions:
      - {key: team, value: blau, action: insert}
      - {key: text, value: replaced, action: update}
      - {key: int.zero, value: 7, action: upsert}
      - {key: copied, from_attribute: map, action: upsert}
      - {key: double.nan, action: delete}
      - {pattern: "^bytes", action: delete}
      - {key: user.email, action: hash}
      - {key: text.json, pattern: '"role":"(?P<role>[a-z]+)"', action: extract}
      - {key: int.largest, action: convert, converted_type: string}
  resource:
    attributes:
      - {key: deployment.environment.name, value: test, action: insert}
      - {key: text.escaped, action: delete}
  redaction:
    allow_all_keys: true
    blocked_key_patterns: ['.*token.*']
    blocked_values: ['sk-[A-Za-z0-9]{20,}', 'Z.rich']
    summary: debug
  probabilistic_sampler: {sampling_percentage: 50, hash_seed: 22}
exporters:
  file/traces: {path: traces.jsonl, append: true}
  file/logs: {path: logs.jsonl, append: true}
service:
  pipelines:
    traces:
      receivers: [otlp]
      processors: [attributes, resource, redaction, probabilistic_sampler]
      exporters: [file/traces]
    logs:
      receivers: [otlp]
      processors: [attributes, resource, redaction, probabilistic_sampler]
      exporters: [file/logs]
"""


@pytest.fixture(autouse=True)
def namespace() -> None:
    """In place of the package's: what runs here needs no network namespace."""


def health(engine: Otelcol) -> int | None:
    """What the health check answers; None when there is none."""
    try:
        return httpx.get(engine.health_url, trust_env=False, timeout=PATIENCE).status_code
    except httpx.ConnectError:
        return None


def feed(engine: Otelcol, signals: Sequence[str] = SIGNALS, send: Callable[..., bool] = over_http) -> None:
    """Sends all golden requests of these signals, each of which is acknowledged."""
    for signal in signals:
        assert [send(engine, signal, request) for request in GOLDEN[signal]] == [True] * len(GOLDEN[signal])


# One configuration


def test_the_official_collector_finds_no_fault_in_our_configuration():
    assert otelcol_validate(MAIN) == (0, "")


def test_both_do_the_same_with_our_configuration(tmp_path: Path):
    signals = list(YAML(typ="safe").load(MAIN)["service"]["pipelines"])
    with both([MAIN], tmp_path) as (official, ours):
        assert health(ours) == health(official)
        for engine in (official, ours):
            feed(engine, signals)
    assert in_any_order(files_of(ours)) == in_any_order(files_of(official))
    assert len(files_of(ours)["traces.jsonl"]) == len(GOLDEN["traces"])


# One input, two files


@pytest.mark.parametrize("send", TRANSPORTS)
def test_the_same_requests_become_the_same_lines(tmp_path: Path, send: Callable[..., bool]):
    with both(FILES, tmp_path) as engines:
        for engine in engines:
            feed(engine, send=send)
            assert all(send(engine, signal, NOTHING[signal]) for signal in SIGNALS)
    official, ours = map(files_of, engines)
    assert ours == official
    assert {name: len(lines) for name, lines in ours.items()} == {
        f"{signal}.jsonl": sum(map(has_items, GOLDEN[signal])) for signal in SIGNALS
    }


def test_processors_make_the_same_of_the_same_requests(tmp_path: Path):
    with both(PROCESSED, tmp_path) as engines:
        for engine in engines:
            feed(engine, ("traces", "logs"))
    official, ours = (in_any_order(files_of(engine)) for engine in engines)
    assert ours == official
    sent, kept = (len(list(trace_ids(lines))) for lines in (map(as_json, TRACES), ours["traces.jsonl"]))
    assert 0 < kept < sent


def has_items(request: Message) -> bool:
    """Whether there is anything that an engine keeps: metrics without points are nothing."""
    return any(f'"{name}": [' in json.dumps(as_json(request)) for name in ("spans", "dataPoints", "logRecords"))


def in_any_order(value: Any) -> Any:
    """The same with attributes sorted: the official redaction leaves them in an order that differs from run to run."""
    if isinstance(value, list):
        return [in_any_order(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: sorted(item, key=lambda pair: pair.get("key", "")) if key == "attributes" else in_any_order(item)
        for key, item in value.items()
    }


def trace_ids(lines: Any) -> Iterator[str]:
    for line in lines:
        for resource in line["resourceSpans"]:
            for scope in resource.get("scopeSpans", []):
                yield from (span.get("traceId", "") for span in scope.get("spans", []))


# Each reads what the other wrote


def test_the_official_reader_of_files_reads_ours(tmp_path: Path):
    for name in ("ours", "official"):
        (tmp_path / name).mkdir()
    with Collect(FILES, tmp_path / "ours") as ours:
        feed(ours)
    written = files_of(ours)
    with Otelcol(reading(ours.directory), tmp_path / "official") as official:
        wait_until(lambda: sizes(official) == sizes(ours))
    assert files_of(official) == written


def reading(directory: Path) -> str:
    """A configuration that reads the files in a directory and writes what they hold to others."""
    receiver = {"start_at": "beginning", "include_file_name": False, "max_log_size": "64MiB", "poll_interval": "50ms"}
    return json.dumps(
        {
            "receivers": {
                f"otlp_json_file/{signal}": {"include": [f"{directory}/{signal}.jsonl"], **receiver}
                for signal in SIGNALS
            },
            "exporters": {
                f"file/{signal}": {"path": f"{signal}.jsonl", "append": True, "flush_interval": "50ms"}
                for signal in SIGNALS
            },
            "service": {
                "pipelines": {
                    signal: {"receivers": [f"otlp_json_file/{signal}"], "exporters": [f"file/{signal}"]}
                    for signal in SIGNALS
                }
            },
        }
    )


def sizes(engine: Otelcol) -> dict[str, int]:
    """The number of lines in each file of an engine, the last of which may not be whole yet."""
    return {path.name: path.read_bytes().count(b"\n") for path in engine.directory.glob("*.jsonl")}


def test_our_reader_of_files_reads_theirs(tmp_path: Path):
    with both(FILES, tmp_path) as engines:
        for engine in engines:
            feed(engine, ["traces"])
    official, ours = (engine.directory / "traces.jsonl" for engine in engines)
    assert spans_in(official) == spans_in(ours)
    assert show(official) == show(ours)


def spans_in(path: Path) -> tuple[str, list[str]]:
    """What our reader finds in a file, spans and problems, as text: NaN is not equal to itself.

    The sign of zero is left out: the official collector writes -0, which readers of JSON take for an integer.
    """
    problems: list[Problem] = []
    spans = list(read_spans(path, problems.append))
    assert spans
    return repr(spans).replace(" -0.0,", " 0.0,"), list(map(str, problems))


def show(path: Path) -> str:
    """What `llmtrace show` says of a file."""
    command = [*LLMTRACE, "show", path.name]
    ran = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "chat gpt-5 「東京」" in ran.stdout
    return ran.stdout + ran.stderr
