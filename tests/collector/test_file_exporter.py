"""The `file` exporter: whole lines or none, whatever happens to the disk and the path."""

import errno
import os
import stat
from pathlib import Path

import pytest
from file_helpers import FullDisk, batch_of, close, exporter_of, failing, names_in, write

from llmtrace_collector.config.settings import FileExporter as Options
from llmtrace_collector.config.settings import GroupBy, Rotation
from llmtrace_collector.errors import ConfigError, UnavailableError
from llmtrace_collector.exporters.file import check


@pytest.fixture
def path(tmp_path):
    return tmp_path / "traces.jsonl"


@pytest.fixture
def said():
    return []


@pytest.fixture
def exporter(path, said):
    exporter = exporter_of(path, said.append)
    yield exporter
    close(exporter)


def refusal_of(exporter, batch):
    with pytest.raises(UnavailableError) as refusal:
        write(exporter, batch)
    return str(refusal.value), refusal.value.retry_after


def modes(*paths):
    return [stat.S_IMODE(os.stat(path).st_mode) for path in paths]


def test_a_batch_is_the_line_that_it_says(exporter, path):
    batch = batch_of("one", "two")
    write(exporter, batch)
    assert path.read_bytes() == batch.line
    assert exporter.written_bytes == len(batch.line)


def test_it_says_what_it_writes(exporter, path):
    assert exporter.describe() == f"{path}"


def test_file_and_directories_are_private_to_their_owner(tmp_path):
    path = tmp_path / "a" / "b" / "traces.jsonl"
    exporter = exporter_of(path)
    assert modes(path.parent.parent, path.parent, path) == [0o700, 0o700, 0o600]
    close(exporter)


def test_directories_have_the_permissions_that_were_asked_for(tmp_path):
    path = tmp_path / "a" / "b" / "traces.jsonl"
    exporter = exporter_of(path, create_directory=True, directory_permissions=0o750)
    assert modes(path.parent.parent, path.parent, path) == [0o750, 0o750, 0o600]
    close(exporter)


def test_a_file_that_was_made_and_stayed_empty_is_removed_at_the_end(path):
    close(exporter_of(path))
    assert not path.exists()
    path.touch()
    close(exporter_of(path))
    assert path.exists()


def test_lines_are_appended_to_what_is_there(path):
    path.write_text("before\n")
    exporter = exporter_of(path)
    write(exporter, batch_of("after"))
    close(exporter)
    assert path.read_bytes() == b"before\n" + batch_of("after").line


def test_without_append_the_file_is_emptied_first(path):
    path.write_text("before\n")
    exporter = exporter_of(path, append=False)
    write(exporter, batch_of("after"))
    close(exporter)
    assert names_in(path) == ["after"]


def test_a_file_that_another_is_writing_is_not_emptied(exporter, path):
    write(exporter, batch_of("before"))
    second = exporter_of(path, append=False)
    write(second, batch_of("after"))
    close(second)
    assert names_in(path) == ["before", "after"]


def test_a_torn_end_is_cut_off_at_start_and_said(path, said):
    whole, torn = batch_of("whole").line, batch_of("torn" * 100_000).line[:300_000]
    path.write_bytes(whole + torn)
    exporter = exporter_of(path, said.append)
    write(exporter, batch_of("next"))
    close(exporter)
    assert names_in(path) == ["whole", "next"]
    assert said == [f"{path}: its last 300000 bytes were the beginning of a request, and are cut off"]


@pytest.mark.parametrize("length", range(1, 13))
def test_however_short_the_torn_end_is(path, length):
    path.write_bytes(batch_of("torn").line[:length])
    exporter = exporter_of(path)
    write(exporter, batch_of("next"))
    close(exporter)
    assert names_in(path) == ["next"]


def test_a_whole_request_that_only_lacks_its_line_feed_is_kept(path, said):
    path.write_bytes(batch_of("whole").line[:-1])
    exporter = exporter_of(path, said.append)
    write(exporter, batch_of("next"))
    close(exporter)
    assert (names_in(path), said) == (["whole", "next"], [])


def test_an_unfinished_line_that_is_not_ours_is_kept_and_does_not_swallow_the_next_one(path):
    path.write_text("notes")
    exporter = exporter_of(path)
    write(exporter, batch_of("next"))
    close(exporter)
    assert path.read_bytes() == b"notes\n" + batch_of("next").line


def test_nothing_is_cut_off_while_another_has_the_file_open(exporter, path, said):
    torn = batch_of("torn").line[:20]
    path.write_bytes(torn)
    second = exporter_of(path, said.append)
    write(second, batch_of("second"))
    write(exporter, batch_of("first"))
    close(second)
    assert path.read_bytes() == torn + b"\n" + batch_of("second").line + batch_of("first").line
    assert said == []


def test_a_line_that_another_left_unfinished_meanwhile_does_not_swallow_the_next_one(exporter, path):
    write(exporter, batch_of("first"))
    with path.open("a") as other:
        other.write('{"resourceSpans":[')
    write(exporter, batch_of("second"), batch_of("third"))
    rest = b'{"resourceSpans":[\n' + batch_of("second").line + batch_of("third").line
    assert path.read_bytes() == batch_of("first").line + rest


def test_a_file_that_was_emptied_meanwhile_is_written_from_its_start(exporter, path):
    write(exporter, batch_of("first"))
    os.truncate(path, 0)
    write(exporter, batch_of("second"))
    assert names_in(path) == ["second"]


def test_a_line_that_the_kernel_takes_in_pieces_is_completed(exporter, path, monkeypatch):
    monkeypatch.setattr(os, "write", FullDisk(room=1000, at_once=3))
    write(exporter, batch_of("a longer name"))
    assert names_in(path) == ["a longer name"]


def test_a_disk_that_fills_up_leaves_no_half_line_and_recovers(exporter, path, monkeypatch):
    write(exporter, batch_of("first"))
    with monkeypatch.context() as full:
        full.setattr(os, "write", FullDisk(room=5))
        assert refusal_of(exporter, batch_of("no room")) == (f"cannot write {path}: No space left on device", 1.0)
    assert names_in(path) == ["first"]
    write(exporter, batch_of("second"))
    assert names_in(path) == ["first", "second"]
    assert exporter.written_bytes == path.stat().st_size


def test_a_full_disk_is_told_once_and_its_end_once(exporter, path, said, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(os, "write", FullDisk(room=0))
        for _ in range(3):
            refusal_of(exporter, batch_of("no room"))
    write(exporter, batch_of("one"), batch_of("two"))
    assert said == [
        f"cannot write {path}: No space left on device; clients are asked to send again",
        f"{path} can be written again",
    ]


def test_a_half_line_that_cannot_be_cut_off_at_once_is_cut_off_before_the_next(exporter, path, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(os, "write", FullDisk(room=5))
        full.setattr(os, "ftruncate", failing(errno.EIO))
        for _ in range(2):
            refusal_of(exporter, batch_of("no room"))
    assert path.read_text() == '{"res'
    write(exporter, batch_of("second"))
    assert names_in(path) == ["second"]


def test_a_line_of_another_writer_behind_a_half_line_is_never_cut_off(exporter, path, monkeypatch):
    def another_writes_first(descriptor, length):
        with path.open("a") as other:
            other.write("\nother\n")
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as full:
        full.setattr(os, "write", FullDisk(room=5))
        full.setattr(os, "ftruncate", another_writes_first)
        refusal_of(exporter, batch_of("no room"))
    write(exporter, batch_of("second"))
    assert path.read_bytes() == b'{"res\nother\n' + batch_of("second").line


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("fsync", [False, True])
def test_a_full_device_is_unavailable(fsync):
    exporter = exporter_of("/dev/full", fsync=fsync)
    assert refusal_of(exporter, batch_of("a"))[0] == "cannot write /dev/full: No space left on device"
    close(exporter)


@pytest.mark.parametrize("rotate", [os.remove, lambda path: os.rename(path, f"{path}.1")])
def test_a_file_that_was_moved_away_is_created_anew(exporter, path, rotate):
    write(exporter, batch_of("first"))
    rotate(path)
    write(exporter, batch_of("second"))
    assert names_in(path) == ["second"]


@pytest.mark.parametrize("rotate", [os.remove, lambda path: os.rename(path, f"{path}.1")])
def test_reopening_creates_a_file_that_was_moved_away(exporter, path, rotate):
    rotate(path)
    exporter.reopen()
    assert path.read_bytes() == b""


def test_reopening_a_file_in_its_place_changes_nothing(exporter, path, said):
    write(exporter, batch_of("first"))
    exporter.reopen()
    write(exporter, batch_of("second"))
    assert (names_in(path), said) == (["first", "second"], [])


def test_reopening_what_cannot_be_opened_is_said(exporter, path, said):
    path.unlink()
    path.mkdir()
    exporter.reopen()
    assert said == [f"cannot write {path}: Is a directory; clients are asked to send again"]


def test_a_path_that_became_a_directory_is_unavailable_until_it_is_none(exporter, path, said):
    path.unlink()
    path.mkdir()
    assert refusal_of(exporter, batch_of("lost")) == (f"cannot write {path}: Is a directory", 1.0)
    path.rmdir()
    write(exporter, batch_of("again"))
    assert names_in(path) == ["again"]
    assert said == [
        f"cannot write {path}: Is a directory; clients are asked to send again",
        f"{path} can be written again",
    ]


def test_a_directory_that_became_a_file_is_unavailable(tmp_path):
    path = tmp_path / "logs" / "traces.jsonl"
    exporter = exporter_of(path)
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()
    assert refusal_of(exporter, batch_of("lost"))[0] == f"cannot write {path}: Not a directory"
    close(exporter)


def test_a_file_that_may_no_longer_be_opened_is_unavailable(exporter, path, monkeypatch):
    path.unlink()
    monkeypatch.setattr(os, "open", failing(errno.EACCES))
    assert refusal_of(exporter, batch_of("lost"))[0] == f"cannot write {path}: Permission denied"


def descriptors_of(path):
    """The descriptors of this process that lead to a file."""
    opened = Path("/proc/self/fd")
    return [each for each in os.listdir(opened) if os.path.realpath(opened / each) == str(path)]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_a_closed_exporter_holds_no_descriptor(path):
    exporter = exporter_of(path, fsync=True)
    write(exporter, batch_of("one"))
    assert descriptors_of(path)
    close(exporter)
    assert descriptors_of(path) == []


def test_a_path_that_cannot_be_opened_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError) as mistake:
        exporter_of(tmp_path)
    assert str(mistake.value) == f"cannot write {tmp_path}: Is a directory; make it writable or choose another path"


GROUPED = GroupBy(enabled=True, resource_attribute="session.id")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (Options("t.jsonl"), None),
        (Options("t-*.jsonl"), None),
        (Options("t.bin", append=True, compression="zstd"), None),
        (Options("t.jsonl", rotation=Rotation()), None),
        (Options("t-*.jsonl", group_by=GROUPED), None),
        (Options(""), "path must not be empty"),
        (
            Options("t.jsonl", append=True, rotation=Rotation()),
            "append and rotation exclude each other; rotation appends by itself, leave append out",
        ),
        (
            Options("t.jsonl", rotation=Rotation(max_days=-1)),
            "max_megabytes, max_days and max_backups of rotation must not be negative",
        ),
        (Options("t.jsonl", group_by=GROUPED), "path must contain exactly one * with group_by: t.jsonl"),
        (Options("*/*.jsonl", group_by=GROUPED), "path must contain exactly one * with group_by: */*.jsonl"),
        (Options("*.jsonl", group_by=GROUPED), "path must not start with * with group_by: write ./*.jsonl"),
        (Options("t-*", group_by=GroupBy(True, "")), "resource_attribute of group_by must not be empty"),
        (Options("t-*", group_by=GroupBy(True, "a", 0)), "max_open_files of group_by must be at least 1"),
    ],
)
def test_combinations_that_cannot_be_are_refused_by_name(options, problem):
    assert check(options) == problem


def test_what_is_refused_is_not_opened(path):
    with pytest.raises(ConfigError, match="append and rotation exclude each other"):
        exporter_of(path, append=True, rotation=Rotation())
    assert not path.exists()
