"""`fsync`: an answer comes after the disk has it, and many requests share one sync."""

import asyncio
import errno
import os
import threading
from collections import Counter

import pytest
from file_helpers import batch_of, close, exporter_of, failing, names_in, write, write_all

from llmtrace_collector.config.settings import GroupBy, Rotation
from llmtrace_collector.errors import UnavailableError
from llmtrace_collector.exporters import file_commit


@pytest.fixture
def path(tmp_path):
    return tmp_path / "traces.jsonl"


class Disk:
    """Stands in for `fdatasync`: remembers how much of each file was synced; can be held up."""

    def __init__(self):
        self.synced = []
        self.begun = threading.Event()
        self.proceed = threading.Event()
        self.proceed.set()
        self.failures = []

    def __call__(self, descriptor):
        self.begun.set()
        assert self.proceed.wait(10)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        self.synced.append((path, os.fstat(descriptor).st_size))
        if self.failures and (failure := self.failures.pop(0)):
            raise OSError(failure, os.strerror(failure))

    async def is_syncing(self):
        """Returns when a sync has begun."""
        assert await asyncio.to_thread(self.begun.wait, 10)

    def files(self):
        """How often each file was synced, directories left out."""
        return Counter(path for path, _ in self.synced if not os.path.isdir(path))


@pytest.fixture
def disk(monkeypatch):
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("needs /proc")
    disk = Disk()
    monkeypatch.setattr(file_commit, "sync_data", disk)
    return disk


def test_a_batch_is_on_disk_before_it_is_answered(path, disk):
    exporter = exporter_of(path, fsync=True)
    write(exporter, batch_of("one"))
    assert disk.synced[-1] == (str(path), len(batch_of("one").line))
    close(exporter)


def test_the_name_of_a_new_file_is_synced_too(path, disk):
    exporter = exporter_of(path, fsync=True)
    write(exporter, batch_of("one"), batch_of("two"))
    close(exporter)
    assert Counter(synced for synced, _ in disk.synced) == {str(path.parent): 1, str(path): 2}


def test_batches_that_come_during_a_sync_share_the_next_one(path, disk):
    exporter = exporter_of(path, fsync=True)
    names = [str(number) for number in range(50)]

    async def run():
        disk.proceed.clear()
        first = asyncio.create_task(exporter.export(batch_of("first"), kept=False))
        await disk.is_syncing()
        others = asyncio.gather(*(exporter.export(batch_of(name), kept=False) for name in names))
        await asyncio.sleep(0)
        assert names_in(path) == ["first", *names]
        assert [first.done(), others.done()] == [False, False]
        disk.proceed.set()
        await asyncio.gather(first, others)

    asyncio.run(run())
    close(exporter)
    assert disk.files() == {str(path): 2}


def test_a_failed_sync_refuses_the_group_and_whoever_wrote_meanwhile(path, disk):
    said = []
    exporter = exporter_of(path, said.append, fsync=True)

    async def run():
        disk.proceed.clear()
        disk.failures = [errno.EIO]
        group = asyncio.create_task(write_all(exporter, [batch_of("a"), batch_of("b")]))
        await disk.is_syncing()
        meanwhile = asyncio.create_task(write_all(exporter, [batch_of("c")]))
        await asyncio.sleep(0)
        disk.proceed.set()
        return [*await group, *await meanwhile]

    refusals = asyncio.run(run())
    message = f"cannot sync {path} to disk: Input/output error"
    assert [(type(refusal), str(refusal)) for refusal in refusals] == [(UnavailableError, message)] * 3
    assert [refusal.retry_after for refusal in refusals] == [1.0] * 3
    write(exporter, batch_of("d"))
    close(exporter)
    assert said == [f"{message}; clients are asked to send again", f"{path} is synced to disk again"]


def test_a_failure_in_one_file_keeps_no_other_from_being_synced(tmp_path, disk):
    exporter = exporter_of(tmp_path / "t-*.jsonl", fsync=True, group_by=GroupBy(True, "k"))
    disk.failures = [errno.EIO]
    both = [batch_of("a", resource={"k": "a"}), batch_of("b", resource={"k": "b"})]
    asyncio.run(write_all(exporter, both))
    close(exporter)
    assert disk.files() == {str(tmp_path / "t-a.jsonl"): 1, str(tmp_path / "t-b.jsonl"): 1}


def test_a_file_that_was_rotated_away_before_its_sync_is_synced_all_the_same(path, disk):
    exporter = exporter_of(path, fsync=True, rotation=Rotation(max_megabytes=1))
    batches = [batch_of(name, "x" * 600_000) for name in "abc"]
    assert asyncio.run(write_all(exporter, batches)) == [None] * 3
    close(exporter)
    files = {str(file) for file in path.parent.iterdir()}
    assert len(files) == 3
    assert disk.files() == dict.fromkeys(files, 1)


def test_a_client_that_goes_away_fails_nobody_else(path, disk):
    exporter = exporter_of(path, fsync=True)

    async def run():
        disk.proceed.clear()
        gone = asyncio.create_task(exporter.export(batch_of("gone"), kept=False))
        stays = asyncio.create_task(exporter.export(batch_of("stays"), kept=False))
        await disk.is_syncing()
        gone.cancel()
        disk.proceed.set()
        return await asyncio.gather(gone, stays, return_exceptions=True)

    gone, stays = asyncio.run(run())
    close(exporter)
    assert (type(gone), stays) == (asyncio.CancelledError, None)


def test_closing_waits_for_a_running_sync(path, disk):
    exporter = exporter_of(path, fsync=True)

    async def run():
        disk.proceed.clear()
        export = asyncio.create_task(exporter.export(batch_of("one"), kept=False))
        await disk.is_syncing()
        closing = asyncio.create_task(exporter.close(5))
        await asyncio.sleep(0)
        assert not closing.done()
        disk.proceed.set()
        await asyncio.gather(export, closing)

    asyncio.run(run())
    assert disk.files() == {str(path): 1}


def test_closing_without_time_acknowledges_nothing_that_waits_for_the_next_sync(path, disk):
    exporter = exporter_of(path, fsync=True)

    async def run():
        disk.proceed.clear()
        running = asyncio.create_task(exporter.export(batch_of("one"), kept=False))
        await disk.is_syncing()
        waiting = asyncio.create_task(exporter.export(batch_of("two"), kept=False))
        await asyncio.sleep(0)
        await exporter.close(0)
        disk.proceed.set()
        return await asyncio.gather(running, waiting, return_exceptions=True)

    running, waiting = asyncio.run(run())
    assert (running, str(waiting)) == (None, f"cannot sync {path} to disk: the collector is stopping")


def test_what_has_no_descriptor_left_for_its_sync_is_not_written(path, monkeypatch):
    exporter = exporter_of(path, fsync=True)
    with monkeypatch.context() as few:
        few.setattr(os, "dup", failing(errno.EMFILE))
        with pytest.raises(UnavailableError, match="Too many open files"):
            write(exporter, batch_of("lost"))
    write(exporter, batch_of("kept"))
    close(exporter)
    assert names_in(path) == ["kept"]


def test_many_requests_at_once_are_all_written(path):
    exporter = exporter_of(path, fsync=True)
    names = [str(number) for number in range(500)]
    assert asyncio.run(write_all(exporter, [batch_of(name) for name in names])) == [None] * 500
    close(exporter)
    assert names_in(path) == names
