"""`rotation`: full files move aside under the official names, and no line is lost, split or overwritten."""

import asyncio
import errno
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from file_helpers import batch_of, close, exporter_of, failing, names_in, write, write_all

from llmtrace_collector.config.settings import Rotation
from llmtrace_collector.errors import UnavailableError
from llmtrace_collector.exporters import file_rotation
from llmtrace_collector.exporters.file_rotation import Backups

MIB = 1024 * 1024
NOON = datetime(2026, 11, 21, 12, 41, 58, 795_900, tzinfo=UTC)
SMALL = Rotation(max_megabytes=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "traces.jsonl"


@pytest.fixture
def noon(monkeypatch):
    """A clock that stands still."""
    monkeypatch.setattr(file_rotation, "now", lambda: NOON)


def large(name):
    """A batch whose line fills more than half of a file of 1 MiB."""
    return batch_of(name, "x" * 600_000)


def first_names(*paths):
    return [name for name in names_in(*paths) if not name.startswith("x")]


def listing(directory):
    return sorted(path.name for path in directory.iterdir())


# From the official exporter, contrib 0.158, of files that were full at that time; the second one in Tokyo.
OFFICIAL = [
    ("rot.jsonl", "UTC", "rot-2026-11-21T12-41-58.795-size.jsonl"),
    ("noext", "Asia/Tokyo", "noext-2026-11-21T21-41-58.795-size"),
    ("a.b.jsonl", "UTC", "a.b-2026-11-21T12-41-58.795-size.jsonl"),
    (".hid", "UTC", "-2026-11-21T12-41-58.795-size.hid"),
]


@pytest.fixture
def zone(monkeypatch):
    """Moves this process to a time zone."""

    def move(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("name", "where", "official"), OFFICIAL)
def test_a_full_file_has_the_official_name(tmp_path, noon, zone, name, where, official):
    zone(where)
    (tmp_path / name).touch()
    Backups(tmp_path / name, Rotation(localtime=where != "UTC")).move()
    assert listing(tmp_path) == [official]


def test_names_are_in_utc_wherever_the_machine_is(tmp_path, noon, zone):
    zone("Asia/Tokyo")
    (tmp_path / "rot.jsonl").touch()
    Backups(tmp_path / "rot.jsonl", Rotation()).move()
    assert listing(tmp_path) == ["rot-2026-11-21T12-41-58.795-size.jsonl"]


def test_a_line_that_does_not_fit_begins_a_new_file(path, noon):
    exporter = exporter_of(path, rotation=SMALL)
    write(exporter, large("one"), large("two"))
    close(exporter)
    full = path.with_name("traces-2026-11-21T12-41-58.795-size.jsonl")
    assert (first_names(full), first_names(path)) == (["one"], ["two"])


def test_a_file_is_filled_to_its_last_byte(path, noon):
    exporter = exporter_of(path, rotation=SMALL)
    room = MIB - 2 * len(batch_of("").line.replace(b'"name":""', b"")) - 2 * len('"name":"",')
    write(exporter, batch_of("x" * (room // 2)), batch_of("x" * (room - room // 2)))
    assert (listing(path.parent), path.stat().st_size) == (["traces.jsonl"], MIB)
    write(exporter, batch_of("next"))
    close(exporter)
    assert names_in(path) == ["next"]


def test_two_rotations_in_the_same_millisecond_overwrite_nothing(path, noon):
    exporter = exporter_of(path, rotation=SMALL)
    write(exporter, *(large(name) for name in ("one", "two", "three", "four")))
    close(exporter)
    stamps = ["58.795", "58.796", "58.797"]
    full = [path.with_name(f"traces-2026-11-21T12-41-{stamp}-size.jsonl") for stamp in stamps]
    assert listing(path.parent) == [*(each.name for each in full), "traces.jsonl"]
    assert first_names(*full, path) == ["one", "two", "three", "four"]


def test_a_line_larger_than_a_file_may_be_has_a_file_of_its_own(path):
    exporter = exporter_of(path, rotation=SMALL)
    write(exporter, batch_of("small"), batch_of("huge", "x" * 2 * MIB), batch_of("next"))
    close(exporter)
    files = sorted(path.parent.iterdir())
    assert [first_names(file) for file in files] == [["small"], ["huge"], ["next"]]


def test_a_large_line_leaves_no_empty_file_behind(path):
    exporter = exporter_of(path, rotation=SMALL)
    write(exporter, batch_of("huge", "x" * 2 * MIB))
    close(exporter)
    assert (listing(path.parent), first_names(path)) == (["traces.jsonl"], ["huge"])


def test_a_new_start_goes_on_with_the_same_file(path):
    for name in ("one", "two"):
        exporter = exporter_of(path, rotation=SMALL)
        write(exporter, batch_of(name))
        close(exporter)
    assert (listing(path.parent), names_in(path)) == (["traces.jsonl"], ["one", "two"])


@pytest.mark.parametrize("fsync", [False, True])
def test_under_load_every_line_is_in_exactly_one_file(path, fsync):
    exporter = exporter_of(path, rotation=SMALL, fsync=fsync)
    names = [str(number) for number in range(200)]
    results = asyncio.run(write_all(exporter, [batch_of(name, "x" * 50_000) for name in names]))
    close(exporter)
    assert results == [None] * len(names)
    files = sorted(path.parent.iterdir())
    assert first_names(*files) == names
    assert len(files) == 10
    assert max(file.stat().st_size for file in files) <= MIB


def test_two_exporters_that_share_a_file_lose_nothing_to_each_others_rotation(path):
    exporters = [exporter_of(path, rotation=SMALL) for _ in range(2)]
    names = [str(number) for number in range(40)]
    for number, name in enumerate(names):
        write(exporters[number % 2], batch_of(name, "x" * 100_000))
    for exporter in exporters:
        close(exporter)
    assert first_names(*sorted(path.parent.iterdir())) == names


def backup(path, moment, reason="-size"):
    file = path.with_name(f"traces-{moment.strftime('%Y-%m-%dT%H-%M-%S.000')}{reason}.jsonl")
    file.touch()
    return file.name


def test_of_too_many_full_files_the_oldest_are_removed(path, noon):
    old = [backup(path, NOON - timedelta(days=age), reason) for age, reason in ((1, "-size"), (2, ""), (3, "-time"))]
    close(exporter_of(path, rotation=Rotation(max_backups=2)))
    assert listing(path.parent) == sorted(old[:2])


def test_full_files_older_than_the_given_days_are_removed(path, noon):
    old = [backup(path, NOON - age) for age in (timedelta(hours=47), timedelta(hours=49), timedelta(days=900))]
    close(exporter_of(path, rotation=Rotation(max_days=2)))
    assert listing(path.parent) == [old[0]]


def test_without_limits_every_full_file_is_kept(path, noon):
    old = [backup(path, NOON - timedelta(days=age)) for age in range(120)]
    close(exporter_of(path, rotation=Rotation(max_backups=0)))
    assert listing(path.parent) == sorted(old)


def test_files_of_others_are_never_removed(path, noon):
    others = [
        "traces-2026.jsonl",
        "traces-2026-13-41T12-41-58.795-size.jsonl",
        "other-2001-01-01T00-00-00.000-size.jsonl",
    ]
    for name in others:
        path.with_name(name).touch()
    path.with_name("traces-2001-01-01T00-00-00.000-size.jsonl").mkdir()
    backup(path, NOON)
    close(exporter_of(path, rotation=Rotation(max_backups=1, max_days=1)))
    assert set(others) < set(listing(path.parent))
    assert path.with_name("traces-2001-01-01T00-00-00.000-size.jsonl").is_dir()


def test_rotation_removes_as_it_goes(path):
    exporter = exporter_of(path, rotation=Rotation(max_megabytes=1, max_backups=2))
    write(exporter, *(large(str(number)) for number in range(6)))
    close(exporter)
    assert first_names(*sorted(path.parent.iterdir())) == ["3", "4", "5"]


def test_what_cannot_be_rotated_grows_on_and_says_so_once(path, monkeypatch):
    said = []
    exporter = exporter_of(path, said.append, rotation=SMALL)
    with monkeypatch.context() as broken:
        broken.setattr(os, "rename", failing(errno.EACCES))
        write(exporter, large("one"), large("two"), large("three"))
    assert (listing(path.parent), first_names(path)) == (["traces.jsonl"], ["one", "two", "three"])
    write(exporter, large("four"))
    close(exporter)
    assert first_names(path) == ["four"]
    assert said == [
        f"cannot rotate {path}: Permission denied; everything is written all the same",
        f"{path} can be rotated again",
    ]


def test_a_full_disk_does_not_rotate_again_and_again(path, monkeypatch):
    exporter = exporter_of(path, rotation=SMALL)
    write(exporter, large("one"))
    with monkeypatch.context() as full:
        full.setattr(os, "write", failing(errno.ENOSPC))
        for _ in range(3):
            with pytest.raises(UnavailableError):
                write(exporter, large("two"))
    write(exporter, large("three"))
    close(exporter)
    assert [first_names(file) for file in sorted(path.parent.iterdir())] == [["one"], ["three"]]
