"""`group_by`: a file per value, whatever the value is, and nothing lost for having none."""

import os
from pathlib import Path

import pytest
from file_helpers import batch_of, close, exporter_of, names_in, write
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from llmtrace_collector.config.settings import GroupBy, Rotation
from llmtrace_collector.errors import ConfigError
from llmtrace_collector.exporters import file
from llmtrace_collector.exporters.file_groups import GroupPaths, folds_case, split
from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.otlp.signals import LOGS, METRICS, TRACES

BY_SESSION = GroupBy(enabled=True, resource_attribute="session.id")


def grouped(tmp_path, pattern="pre-*.jsonl", **options):
    return exporter_of(tmp_path / pattern, group_by=BY_SESSION, **options)


def name_of(value, pattern="out/pre-*.jsonl", *, folding=False, rotated=False):
    return str(GroupPaths(pattern, folding=folding, rotated=rotated).of(value))


def attributes(**values):
    return [KeyValue(key=key.replace("_", "."), value=AnyValue(string_value=value)) for key, value in values.items()]


def contents(directory):
    return {str(path.relative_to(directory)): names_in(path) for path in directory.rglob("*") if path.is_file()}


# From the official exporter, contrib 0.158
SAME_AS_OFFICIAL = {
    "a": "out/pre-a.jsonl",
    "sess_01-Ab.c": "out/pre-sess_01-Ab.c.jsonl",
    "UPPER": "out/pre-UPPER.jsonl",
    "upper": "out/pre-upper.jsonl",
    "simple value": "out/pre-simple value.jsonl",
    "a:b": "out/pre-a:b.jsonl",
    "ünï": "out/pre-ünï.jsonl",
    "-": "out/pre--.jsonl",
}
SAFER_THAN_OFFICIAL = {
    "x/y": "out/pre-x%2fy.jsonl",
    "../../etc/passwd": "out/pre-%2e.%2f..%2fetc%2fpasswd.jsonl",
    ".": "out/pre-%2e.jsonl",
    "..": "out/pre-%2e%2e.jsonl",
    ".hidden": "out/pre-%2ehidden.jsonl",
    "": "out/pre-%.jsonl",
    "%": "out/pre-%25.jsonl",
    "_": "out/pre-%5f.jsonl",
    "~": "out/pre-%7e.jsonl",
    "a\\b": "out/pre-a%5cb.jsonl",
    "x\ny\0": "out/pre-x%0ay%00.jsonl",
    "a*b": "out/pre-a%2ab.jsonl",
}


@pytest.mark.parametrize(("value", "path"), (SAME_AS_OFFICIAL | SAFER_THAN_OFFICIAL).items())
def test_a_value_stands_in_the_path(value, path):
    assert name_of(value) == path


def test_what_has_no_value_has_a_name_that_no_value_has():
    assert name_of(None) == "out/pre-_.jsonl"


def test_a_long_value_is_shortened_and_told_apart_by_a_hash():
    assert name_of("a" * 128) == f"out/pre-{'a' * 128}.jsonl"
    assert name_of("é" * 5000) == f"out/pre-{'é' * 32}~349e5086ea495fe725baa7b08612d860.jsonl"


# Values that look like each other's names, next to any text at all
tricky = st.text(st.sampled_from("aAäÄ._-%~/\\ 2f5e\0:*\u212b\u00c5"), max_size=8)
values = st.one_of(tricky, st.text(max_size=300), st.sampled_from(["ab" * 64, "ab" * 65, "AB" * 64, "x-2026-11-21"]))


@given(values, values, st.booleans(), st.booleans())
def test_two_values_never_share_a_file(one, other, folding, rotated):
    names = [name_of(value, "out/*", folding=folding, rotated=rotated) for value in (None, one, other)]
    if folding:
        names = [name.casefold() for name in names]
    assert (len(set(names)) == 3) == (one != other)


@given(values, st.booleans(), st.sampled_from(["out/*", "out/*/traces.jsonl", "out/pre-*.jsonl"]))
def test_a_name_is_one_safe_part_of_a_path(value, folding, pattern):
    path = Path(name_of(value, pattern, folding=folding))
    assert path.parts[0] == "out"
    assert len(path.parts) == len(Path(pattern).parts)
    assert ".." not in path.parts
    assert all(len(part.encode()) <= 200 for part in path.parts)
    assert str(path).isprintable()


def test_where_case_does_not_tell_files_apart_upper_case_is_told_apart_by_a_hash():
    assert name_of("lower-1", folding=True) == "out/pre-lower-1.jsonl"
    assert name_of("UPPER", folding=True) == "out/pre-UPPER~9cba1c6593a62cf5e44b2d18a7331e5c.jsonl"


def test_a_file_system_is_asked_whether_it_folds_case(tmp_path):
    (tmp_path / "probe").touch()
    assert folds_case(tmp_path) == (tmp_path / "PROBE").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["probe"]


STAMP = "2026-11-21T12-41-58.795"


@pytest.mark.parametrize("value", [f"x-{STAMP}", f"x-{STAMP}-size"])
def test_a_value_is_not_taken_for_a_full_file_of_another(value):
    assert name_of(value) == f"out/pre-{value}.jsonl"
    assert name_of(value, rotated=True) == f"out/pre-{value.replace('-', '%2d')}.jsonl"


def test_a_file_per_resource_attribute(tmp_path):
    exporter = grouped(tmp_path)
    write(exporter, *(batch_of(name, resource={"session.id": value}) for name, value in ("1a", "2b", "3a")))
    close(exporter)
    assert contents(tmp_path) == {"pre-a.jsonl": ["1", "3"], "pre-b.jsonl": ["2"]}
    assert exporter.describe() == f"{tmp_path / 'pre-*.jsonl'}, a file per session.id"


def test_a_directory_per_value(tmp_path):
    exporter = grouped(tmp_path, "sessions/*/traces.jsonl")
    write(exporter, batch_of("1", resource={"session.id": "a"}), batch_of("2", resource={"session.id": "../b"}))
    close(exporter)
    assert contents(tmp_path) == {"sessions/a/traces.jsonl": ["1"], "sessions/%2e.%2fb/traces.jsonl": ["2"]}


def spans(*pairs):
    """A batch of one resource, its spans in two scopes, with session ids of their own."""
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add(schema_url="schema")
    entry.resource.attributes.extend(attributes(service_name="s"))
    for name, session in pairs:
        scope = entry.scope_spans.add(schema_url=f"schema of {name}")
        scope.scope.name = f"scope of {name}"
        scope.spans.append(Span(name=name, attributes=attributes(session_id=session) if session else []))
    return Batch(TRACES, request)


def test_spans_are_split_by_their_own_attribute_where_the_resource_has_none():
    parts = split(spans(("1", "a"), ("2", "b"), ("3", "a"), ("4", None)), "session.id")
    expected = {
        "a": spans(("1", "a"), ("3", "a")),
        "b": spans(("2", "b")),
        None: spans(("4", None)),
    }
    assert {value: part.message for value, part in parts.items()} == {
        value: part.message for value, part in expected.items()
    }
    assert {value: part.items for value, part in parts.items()} == {"a": 2, "b": 1, None: 1}


def test_a_batch_of_one_group_is_passed_on_as_it_is():
    batch = spans(("1", "a"), ("2", "a"))
    assert split(batch, "session.id") == {"a": batch}


def test_the_resource_decides_before_the_span():
    batch = spans(("1", "a"), ("2", "b"))
    batch.message.resource_spans[0].resource.attributes.extend(attributes(session_id="r"))
    assert split(batch, "session.id") == {"r": batch}


def test_log_records_are_split_as_spans_are():
    request = LOGS.request()
    records = request.resource_logs.add().scope_logs.add().log_records
    for session in ("a", "b", "a"):
        records.append(LogRecord(severity_text=session, attributes=attributes(session_id=session)))
    parts = split(Batch(LOGS, request), "session.id")
    assert {value: part.items for value, part in parts.items()} == {"a": 2, "b": 1}


def test_metrics_are_split_by_resource_only():
    request = METRICS.request()
    for session in ("a", None):
        entry = request.resource_metrics.add()
        entry.resource.attributes.extend(attributes(session_id=session) if session else [])
        entry.scope_metrics.add().metrics.append(Metric(name="m"))
    parts = split(Batch(METRICS, request), "session.id")
    assert [(value, len(part.message.resource_metrics)) for value, part in parts.items()] == [("a", 1), (None, 1)]


def test_an_attribute_that_is_no_text_counts_as_missing():
    batch = batch_of("1")
    batch.message.resource_spans[0].resource.attributes.add(key="session.id").value.int_value = 7
    assert split(batch, "session.id") == {None: batch}


def test_what_has_no_attribute_is_kept(tmp_path):
    exporter = grouped(tmp_path)
    write(exporter, batch_of("nameless"))
    close(exporter)
    assert contents(tmp_path) == {"pre-_.jsonl": ["nameless"]}


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_many_values_take_few_descriptors_and_lose_nothing(tmp_path):
    group_by = GroupBy(True, "session.id", max_open_files=3)
    exporter = exporter_of(tmp_path / "t-*.jsonl", append=False, group_by=group_by)
    before = len(os.listdir("/proc/self/fd"))
    values = [str(number % 20) for number in range(100)]
    for number, value in enumerate(values):
        write(exporter, batch_of(str(number), resource={"session.id": value}))
    assert len(os.listdir("/proc/self/fd")) == before + 3
    close(exporter)
    expected = {f"t-{value}.jsonl": [str(number) for number in range(int(value), 100, 20)] for value in values}
    assert contents(tmp_path) == expected


def test_files_of_groups_are_appended_to_after_a_new_start(tmp_path):
    for name in ("before", "after"):
        exporter = grouped(tmp_path, append=False)
        write(exporter, batch_of(name, resource={"session.id": "a"}))
        close(exporter)
    assert contents(tmp_path) == {"pre-a.jsonl": ["before", "after"]}


def test_files_of_groups_are_rotated_each_by_itself(tmp_path):
    exporter = grouped(tmp_path, rotation=Rotation(max_megabytes=1))
    for name in ("1", "2", "3"):
        write(exporter, batch_of(name, "x" * 600_000, resource={"session.id": "a"}))
        write(exporter, batch_of(name, resource={"session.id": "b"}))
    close(exporter)
    assert sorted(path.name.partition("-2")[0] for path in tmp_path.iterdir()) == ["pre-a"] * 2 + [
        "pre-a.jsonl",
        "pre-b.jsonl",
    ]
    assert names_in(tmp_path / "pre-b.jsonl") == ["1", "2", "3"]


def test_reopening_follows_every_file(tmp_path):
    exporter = grouped(tmp_path)
    write(exporter, *(batch_of("1", resource={"session.id": value}) for value in "ab"))
    for value in "ab":
        os.rename(tmp_path / f"pre-{value}.jsonl", tmp_path / f"{value}.1")
    exporter.reopen()
    close(exporter)
    assert contents(tmp_path) == {"a.1": ["1"], "b.1": ["1"], "pre-a.jsonl": [], "pre-b.jsonl": []}


def test_a_directory_that_folds_case_keeps_values_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(file, "folds_case", lambda directory: True)
    exporter = grouped(tmp_path)
    write(exporter, *(batch_of(value, resource={"session.id": value}) for value in ("upper", "UPPER", "Upper")))
    close(exporter)
    found = contents(tmp_path)
    assert sorted(found.values()) == [["UPPER"], ["Upper"], ["upper"]]
    assert len({name.casefold() for name in found}) == 3


def test_a_place_that_cannot_be_written_is_a_configuration_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as mistake:
        grouped(tmp_path, "file/*.jsonl")
    pattern = tmp_path / "file" / "*.jsonl"
    assert str(mistake.value) == f"cannot write {pattern}: Not a directory; make it writable or choose another path"
