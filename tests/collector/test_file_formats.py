"""`format` and `compression`: read back by the same reader as what the official exporter wrote."""

import base64
import json
import os

import pytest
import zstandard
from file_helpers import batch_of, close, exporter_of, names_in, span_names, write
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmtrace_collector.config.settings import Rotation
from llmtrace_collector.errors import ConfigError, UnavailableError

# What the official exporter, contrib 0.158, wrote for `batch_of("recorded")`
OFFICIAL = {
    ("proto", ""): ("AAAANAoyEi4SKnoAKghyZWNvcmRlZCIAEggAAAAAAAAAAQoQAAAAAAAAAAAAAAAAAAAAAQoACgA="),
    ("json", "zstd"): (
        "AAAAZyi1L/0EANUCAGIFERWghRoAM74MLZExNyEwXHpQ9Q5cNWFLlizZXbYO6pQuNmgSFcxtHNxZPM4lXTyEbQPAcqkSKrrYZQts"
        "PZcCWHJAivkKBwBP0RwnvCodPRNkNgBURAqeYXbCjOU="
    ),
    ("proto", "zstd"): ("AAAANii1L/0EAE0BAAQCCjISLhIqegAqCHJlY29yZGVkIgASCAABChAAAQoACgACEAJIEqwJt7UO3Q=="),
}
MIB = 1024 * 1024
FORMATS = [("proto", ""), ("json", "zstd"), ("proto", "zstd")]
every_format = pytest.mark.parametrize(("kind", "compression"), FORMATS)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "traces.bin"


def frames(data):
    """The messages of a file, each behind its length."""
    while data:
        length = int.from_bytes(data[:4], "big")
        assert len(data) >= 4 + length
        yield data[4 : 4 + length]
        data = data[4 + length :]


def names_of(frame, kind, compression):
    """The span names of one message."""
    message = zstandard.ZstdDecompressor().decompress(frame, max_output_size=MIB) if compression else frame
    if kind == "json":
        assert not message.endswith(b"\n")
        return span_names(json.loads(message))
    request = ExportTraceServiceRequest.FromString(message)
    return [span.name for entry in request.resource_spans for scope in entry.scope_spans for span in scope.spans]


def names_in_frames(data, kind, compression):
    return [name for frame in frames(data) for name in names_of(frame, kind, compression)]


@every_format
def test_a_file_is_read_as_the_official_one_is(path, kind, compression):
    exporter = exporter_of(path, format=kind, compression=compression)
    write(exporter, batch_of("recorded"), batch_of("recorded"))
    close(exporter)
    official = base64.b64decode(OFFICIAL[kind, compression])
    assert names_in_frames(official, kind, compression) == ["recorded"]
    assert names_in_frames(path.read_bytes(), kind, compression) == ["recorded", "recorded"]


def test_zstd_has_a_checksum_as_the_official_one_has(path):
    exporter = exporter_of(path, compression="zstd")
    write(exporter, batch_of("recorded"))
    close(exporter)
    files = [path.read_bytes(), base64.b64decode(OFFICIAL["json", "zstd"])]
    assert [zstandard.get_frame_parameters(next(frames(data))).has_checksum for data in files] == [True, True]


@every_format
def test_a_torn_end_is_cut_off_wherever_it_was_torn(path, kind, compression):
    exporter = exporter_of(path, format=kind, compression=compression)
    write(exporter, batch_of("first"))
    end = path.stat().st_size
    write(exporter, batch_of("second"))
    close(exporter)
    whole = path.read_bytes()
    for torn in range(end + 1, len(whole)):
        path.write_bytes(whole[:torn])
        said = []
        exporter = exporter_of(path, said.append, format=kind, compression=compression)
        write(exporter, batch_of("third"))
        close(exporter)
        assert names_in_frames(path.read_bytes(), kind, compression) == ["first", "third"]
        assert said == [f"{path}: its last {torn - end} bytes were the beginning of a request, and are cut off"]


@every_format
def test_a_file_of_another_format_is_left_as_it_is(path, kind, compression):
    path.write_bytes(batch_of("a line").line)
    with pytest.raises(ConfigError) as mistake:
        exporter_of(path, format=kind, compression=compression)
    reason = "it does not hold requests behind their lengths"
    assert str(mistake.value) == f"cannot write {path}: {reason}; make it writable or choose another path"
    assert names_in(path) == ["a line"]


def test_two_writers_of_one_file_of_frames_are_refused(path):
    exporter = exporter_of(path, format="proto")
    with pytest.raises(ConfigError) as mistake:
        exporter_of(path, format="proto")
    reason = "another process or exporter is writing it"
    assert str(mistake.value) == f"cannot write {path}: {reason}; make it writable or choose another path"
    close(exporter)


def test_frames_are_not_appended_to_a_file_that_another_took_meanwhile(path):
    exporter = exporter_of(path, format="proto")
    os.rename(path, f"{path}.1")
    second = exporter_of(path, format="proto")
    with pytest.raises(UnavailableError) as refusal:
        write(exporter, batch_of("lost"))
    assert str(refusal.value) == f"cannot write {path}: another process or exporter is writing it"
    close(second)
    write(exporter, batch_of("again"))
    close(exporter)
    assert names_in_frames(path.read_bytes(), "proto", "") == ["again"]


@every_format
def test_frames_are_rotated_whole(path, kind, compression):
    exporter = exporter_of(path, format=kind, compression=compression, rotation=Rotation(max_megabytes=1))
    names = [f"{number}-{os.urandom(150_000).hex()}" for number in range(12)]
    write(exporter, *map(batch_of, names))
    close(exporter)
    files = sorted(path.parent.iterdir())
    assert len(files) > 1
    assert names_in_frames(b"".join(file.read_bytes() for file in files), kind, compression) == names
    assert max(file.stat().st_size for file in files) <= MIB
