"""The `file` exporter: whole lines or none, whatever happens to the disk and the path."""

import errno
import os
import stat

import pytest

from llmtrace_collector.errors import ConfigError, UnavailableError
from llmtrace_collector.exporters.file import FileExporter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "traces.jsonl"


@pytest.fixture
def exporter(path):
    exporter = FileExporter(str(path), print, append=True)
    yield exporter
    exporter.close()


class FullDisk:
    """Stands in for `os.write`: takes `room` bytes, a few at a time, then has no space left."""

    def __init__(self, room, at_once=4):
        self.room = room
        self.at_once = at_once
        self.write = os.write

    def __call__(self, descriptor, data):
        taken = min(len(data), self.room, self.at_once)
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= taken
        return self.write(descriptor, data[:taken])


def test_file_and_directories_are_private_to_their_owner(tmp_path):
    path = tmp_path / "a" / "b" / "traces.jsonl"
    FileExporter(str(path), print, append=True).close()
    modes = [stat.S_IMODE(os.stat(each).st_mode) for each in (path.parent.parent, path.parent, path)]
    assert modes == [0o700, 0o700, 0o600]


def test_lines_are_appended_to_what_is_there(path):
    path.write_text("before\n")
    exporter = FileExporter(str(path), print, append=True)
    exporter.write(b"after\n")
    exporter.close()
    assert path.read_text() == "before\nafter\n"


def test_without_append_the_file_is_emptied_first(path):
    path.write_text("before\n")
    exporter = FileExporter(str(path), print, append=False)
    exporter.write(b"after\n")
    exporter.close()
    assert path.read_text() == "after\n"


def test_an_unfinished_last_line_does_not_swallow_the_next_one(path):
    path.write_text("torn")
    exporter = FileExporter(str(path), print, append=True)
    exporter.write(b"whole\n")
    exporter.close()
    assert path.read_text() == "torn\nwhole\n"


def test_a_line_that_the_kernel_takes_in_pieces_is_completed(exporter, path, monkeypatch):
    monkeypatch.setattr(os, "write", FullDisk(room=100, at_once=3))
    exporter.write(b"a longer line\n")
    assert path.read_text() == "a longer line\n"


def test_a_disk_that_fills_up_leaves_no_half_line_and_recovers(exporter, path, monkeypatch):
    exporter.write(b"first\n")
    with monkeypatch.context() as full:
        full.setattr(os, "write", FullDisk(room=5))
        with pytest.raises(UnavailableError) as refusal:
            exporter.write(b"does not fit\n")
    assert str(refusal.value) == f"cannot write {path}: No space left on device"
    assert path.read_text() == "first\n"
    exporter.write(b"second\n")
    assert path.read_text() == "first\nsecond\n"


def test_a_full_disk_is_told_once_and_its_end_once(path, monkeypatch):
    said = []
    exporter = FileExporter(str(path), said.append, append=True)
    with monkeypatch.context() as full:
        full.setattr(os, "write", FullDisk(room=0))
        for _ in range(3):
            with pytest.raises(UnavailableError):
                exporter.write(b"line\n")
    for _ in range(2):
        exporter.write(b"line\n")
    exporter.close()
    assert said == [
        f"cannot write {path}: No space left on device; clients are asked to send again",
        f"{path} can be written again",
    ]


def test_a_half_line_that_cannot_be_cut_off_at_once_is_cut_off_before_the_next(exporter, path, monkeypatch):
    def broken(descriptor, length):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as full:
        full.setattr(os, "write", FullDisk(room=5))
        full.setattr(os, "ftruncate", broken)
        for _ in range(2):
            with pytest.raises(UnavailableError):
                exporter.write(b"does not fit\n")
    assert path.read_text() == "does "
    exporter.write(b"second\n")
    assert path.read_text() == "second\n"


def test_a_line_of_another_writer_behind_a_half_line_is_never_cut_off(exporter, path, monkeypatch):
    def another_writes_first(descriptor, length):
        with path.open("a") as other:
            other.write("\nother\n")
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as full:
        full.setattr(os, "write", FullDisk(room=5))
        full.setattr(os, "ftruncate", another_writes_first)
        with pytest.raises(UnavailableError):
            exporter.write(b"does not fit\n")
    exporter.write(b"second\n")
    assert path.read_text() == "does \nother\nsecond\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_device_is_unavailable():
    exporter = FileExporter("/dev/full", print, append=True)
    with pytest.raises(UnavailableError) as refusal:
        exporter.write(b"line\n")
    exporter.close()
    assert str(refusal.value) == "cannot write /dev/full: No space left on device"


@pytest.mark.parametrize("rotate", [os.remove, lambda path: os.rename(path, f"{path}.1")])
def test_a_file_that_was_rotated_away_is_created_anew(exporter, path, rotate):
    exporter.write(b"first\n")
    rotate(path)
    exporter.write(b"second\n")
    assert path.read_text() == "second\n"


def test_a_path_that_cannot_be_opened_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError) as mistake:
        FileExporter(str(tmp_path), print, append=True)
    assert str(mistake.value) == f"cannot write {tmp_path}: Is a directory"
