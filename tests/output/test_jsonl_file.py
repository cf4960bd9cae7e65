"""The file of lines: whole lines from any number of writers, on disks that fill up and files that go away."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from llmtrace_otel.output import jsonl
from llmtrace_otel.output.jsonl import JSONLSpanExporter, JSONLSpanProcessor, LineFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "traces.jsonl"


@pytest.fixture
def traced(path):
    """A tracer whose spans go to `path`, and its exporter."""
    exporter = JSONLSpanExporter(path)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(JSONLSpanProcessor(exporter))
    yield provider.get_tracer("test"), exporter
    provider.shutdown()


class Disk:
    """`os.write` onto a disk that has room for `room` more bytes."""

    def __init__(self, monkeypatch, room):
        self.room = room
        self._write = os.write
        monkeypatch.setattr(jsonl.os, "write", self.write)

    def write(self, descriptor, data):
        fits = data[: self.room]
        self.room -= len(fits)
        if data and not fits:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(descriptor, fits)


APPEND = """
import multiprocessing, sys
from llmtrace_otel.output.jsonl import LineFile

def append(letter):
    for _ in range(40):
        lines.write(letter * 100_000 + b"\\n")

lines = LineFile(sys.argv[1])
context = multiprocessing.get_context("fork")
writers = [context.Process(target=append, args=(bytes([byte]),)) for byte in b"abcdefgh"]
for writer in writers:
    writer.start()
for writer in writers:
    writer.join()
"""


def test_lines_of_eight_processes_stay_whole(path):
    subprocess.run([sys.executable, "-c", APPEND, str(path)], check=True)
    expected = [bytes([byte]) * 100_000 for byte in b"abcdefgh" for _ in range(40)]
    assert sorted(path.read_bytes().splitlines()) == expected


def test_nothing_is_opened_before_the_first_line(path):
    lines = LineFile(path)
    assert not path.exists()
    lines.write(b"a\n")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"a\n", 0o600)


def test_an_existing_file_is_appended_to_and_keeps_its_mode(path):
    path.write_bytes(b"old\n")
    path.chmod(0o644)
    LineFile(path).write(b"new\n")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"old\nnew\n", 0o644)


def test_a_relative_path_means_the_directory_at_the_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = LineFile("traces.jsonl")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    lines.write(b"a\n")
    assert (tmp_path / "traces.jsonl").read_bytes() == b"a\n"


def test_a_deleted_file_is_made_again(path):
    lines = LineFile(path)
    lines.write(b"a\n")
    path.unlink()
    lines.write(b"b\n")
    assert path.read_bytes() == b"b\n"


def test_a_descriptor_that_the_program_took_over_is_not_written_to(path, tmp_path):
    lines = LineFile(path)
    lines.write(b"a\n")
    descriptor = lines._opened[0]
    os.close(descriptor)  # as daemons do with all descriptors
    theirs = os.open(tmp_path / "theirs", os.O_CREAT | os.O_WRONLY)
    assert theirs == descriptor
    lines.write(b"b\n")
    lines.close()
    os.write(theirs, b"still open")
    os.close(theirs)
    assert (path.read_bytes(), (tmp_path / "theirs").read_bytes()) == (b"a\nb\n", b"still open")


def test_a_write_cut_short_is_finished(path, monkeypatch):
    write = os.write
    monkeypatch.setattr(jsonl.os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    LineFile(path).write(b"0123456789\n")
    assert path.read_bytes() == b"0123456789\n"


def test_a_line_that_a_full_disk_cut_is_taken_back_and_later_lines_go_on(path, monkeypatch):
    lines, disk = LineFile(path), Disk(monkeypatch, room=14)
    lines.write(b"first\n")
    with pytest.raises(OSError, match="No space left"):
        lines.write(b"0123456789\n")
    disk.room = 100
    lines.write(b"last\n")
    assert path.read_bytes() == b"first\nlast\n"


def test_a_cut_line_behind_which_others_wrote_is_ended(path, monkeypatch):
    lines, disk = LineFile(path), Disk(monkeypatch, room=4)
    monkeypatch.setattr(jsonl, "took_back", lambda *_: False)
    with pytest.raises(OSError, match="No space left"):
        lines.write(b"0123456789\n")
    disk.room = 100
    lines.write(b"last\n")
    assert path.read_bytes() == b"0123\nlast\n"


def test_a_full_disk_is_told_once_and_heals(traced, path, monkeypatch, capsys):
    tracer, _ = traced
    disk = Disk(monkeypatch, room=100)
    for name in ("lost", "lost too"):
        tracer.start_span(name).end()
    disk.room = 10_000
    tracer.start_span("kept").end()
    line = f"llmtrace: cannot write spans to {path}: No space left on device; the program goes on without them\n"
    assert capsys.readouterr().err == line
    assert [b'"name":"kept"' in written for written in path.read_bytes().splitlines()] == [True]


def test_spans_that_end_after_the_shutdown_are_written(path, traced):
    tracer, exporter = traced
    exporter.shutdown()
    tracer.start_span("late").end()
    assert len(path.read_bytes().splitlines()) == 1


def test_a_directory_as_output_fails_with_its_reason(tmp_path, traced, capsys):
    tracer, _ = traced
    exporter = JSONLSpanExporter(tmp_path)
    span = tracer.start_span("s")
    span.end()
    assert exporter.export([span]) is SpanExportResult.FAILURE
    assert "Is a directory" in capsys.readouterr().err


def test_the_variable_names_the_file(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("s")
    span.end()
    monkeypatch.setenv("LLMTRACE_OUTPUT", "named.jsonl")
    JSONLSpanExporter().export([span])
    monkeypatch.delenv("LLMTRACE_OUTPUT")
    JSONLSpanExporter().export([span])
    assert (tmp_path / "named.jsonl").read_bytes() == (tmp_path / "traces.jsonl").read_bytes()
