"""Queues on disk: what is committed is there again, whatever happens to the process, the disk or the file."""

import asyncio
import sqlite3
import subprocess
import sys

import pytest
from destinations import until

from llmtrace_collector.config.settings import FileStorage
from llmtrace_collector.errors import ConfigError, UnavailableError
from llmtrace_collector.exporters import spool as spools
from llmtrace_collector.exporters.spool import Spool, Totals, directory


def opened(folder, said=None, **options):
    return Spool(
        folder, "otlp_http/jaeger-traces", fsync=False, say=[].append if said is None else said.append, **options
    )


async def bodies(spool, after=0):
    return [stored.body for stored in await spool.read(after)]


def test_what_was_put_is_read_in_order_and_again_after_a_restart(tmp_path):
    async def fill():
        spool = opened(tmp_path)
        await asyncio.gather(*(spool.put(b"%d" % number, 10 + number) for number in range(3)))
        await spool.put(b"last", 1)
        await spool.close()
        return spool.totals

    async def look():
        spool = opened(tmp_path)
        totals, found = spool.totals, await spool.read(0)
        await spool.close()
        return totals, [(stored.items, stored.body) for stored in found]

    totals = asyncio.run(fill())
    assert totals == Totals(requests=4, items=34, bytes=7)
    assert asyncio.run(look()) == (totals, [(10, b"0"), (11, b"1"), (12, b"2"), (1, b"last")])


def test_what_was_removed_does_not_come_again(tmp_path):
    async def fill():
        spool = opened(tmp_path)
        for body in (b"a", b"bb", b"ccc"):
            await spool.put(body, 1)
        spool.remove((await spool.read(0))[1])
        await spool.close()

    async def look():
        spool = opened(tmp_path)
        found = spool.totals, await bodies(spool)
        await spool.close()
        return found

    asyncio.run(fill())
    assert asyncio.run(look()) == (Totals(requests=2, items=2, bytes=4), [b"a", b"ccc"])


def test_a_file_is_named_after_its_component(tmp_path):
    async def run():
        spool = opened(tmp_path)
        await spool.close()
        return spool.path

    assert asyncio.run(run()) == tmp_path / "otlp_http%2Fjaeger-traces.db"


def test_its_files_are_private_to_their_owner(tmp_path):
    async def run():
        spool = opened(tmp_path)
        await spool.put(b"a", 1)
        await spool.close()

    asyncio.run(run())
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600, 0o600]


def test_reading_takes_some_megabytes_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(spools, "AT_ONCE", 5)

    async def run():
        spool = opened(tmp_path)
        for body in (b"aaa", b"bbb", b"ccc"):
            await spool.put(body, 1)
        first = await spool.read(0)
        second = await spool.read(first[-1].key)
        await spool.close()
        return [stored.body for stored in first], [stored.body for stored in second]

    assert asyncio.run(run()) == ([b"aaa", b"bbb"], [b"ccc"])


def test_clients_that_wait_at_the_same_time_share_a_commit(tmp_path, monkeypatch):
    commits = []
    transact = Spool._transact
    monkeypatch.setattr(
        Spool, "_transact", lambda self, puts, gone: (commits.append(len(puts)), transact(self, puts, gone))
    )

    async def run():
        spool = opened(tmp_path)
        await asyncio.gather(*(spool.put(b"x", 1) for _ in range(20)))
        await spool.close()

    asyncio.run(run())
    assert commits == [20]


def test_a_second_collector_is_refused_as_long_as_the_first_one_runs(tmp_path):
    async def run():
        first = opened(tmp_path)
        with pytest.raises(ConfigError) as refusal:
            opened(tmp_path)
        await first.close()
        await opened(tmp_path).close()
        return str(refusal.value)

    path = tmp_path / "otlp_http%2Fjaeger-traces.db"
    assert asyncio.run(run()) == f"{path} is in use by another collector; give each its own file_storage directory"


def test_a_second_process_is_refused_too(tmp_path):
    program = """
import pathlib, sys
from llmtrace_collector.errors import ConfigError
from llmtrace_collector.exporters.spool import Spool
try:
    Spool(pathlib.Path(sys.argv[1]), "otlp_http/jaeger-traces", fsync=False, say=print)
except ConfigError as error:
    print(error)
"""

    async def run():
        first = opened(tmp_path)
        await first.put(b"x", 1)
        other = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
        )
        await first.close()
        return other.stdout

    assert "is in use by another collector" in asyncio.run(run())


@pytest.mark.parametrize("content", [b"no database at all" * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_file_is_set_aside_and_said(tmp_path, content):
    path = tmp_path / "otlp_http%2Fjaeger-traces.db"
    path.write_bytes(content)
    said = []

    async def run():
        spool = opened(tmp_path, said)
        await spool.put(b"new", 1)
        found = await bodies(spool)
        await spool.close()
        return found

    assert asyncio.run(run()) == [b"new"]
    [aside] = tmp_path.glob("*.damaged-*")
    assert aside.read_bytes() == content
    [line] = said
    assert line.startswith(f"{path} is damaged (")
    assert line.endswith(f"it is now {aside.name}, and a new one is begun")


def test_damage_that_shows_later_is_set_aside_too(tmp_path):
    said = []

    async def run():
        spool = opened(tmp_path, said)
        for _ in range(50):
            await spool.put(b"x" * 100_000, 1)
        spool._file.execute("PRAGMA cache_size = 1").fetchall()
        with spool.path.open("r+b") as file:
            file.seek(spools.PAGE)
            file.write(b"\xff" * (spool.path.stat().st_size - spools.PAGE))
        last, counted = 0, 0
        while found := await spool.read(last):
            last, counted = found[-1].key, counted + len(found)
        await spool.put(b"new", 1)
        found = await bodies(spool, last)
        await spool.close()
        return found, spool.totals

    assert asyncio.run(run()) == ([b"new"], Totals(1, 1, 3))
    assert len(said) == len(list(tmp_path.glob("*.damaged-*"))) == 1


def test_a_full_disk_refuses_until_there_is_room(tmp_path):
    said = []

    async def run():
        spool = opened(tmp_path, said)
        await spool.put(b"first", 1)
        pages = spool._file.execute("PRAGMA page_count").fetchone()[0]
        spool._file.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall()
        with pytest.raises(UnavailableError) as refusal:
            await spool.put(b"x" * 1_000_000, 1)
        await spool.put(b"small", 1)
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await spool.put(b"x" * 1_000_000, 1)
        spool.remove((await spool.read(0))[0])
        spool._file.execute("PRAGMA max_page_count = 1000000").fetchall()
        await spool.put(b"later", 1)
        found = await bodies(spool)
        await spool.close()
        return str(refusal.value), refusal.value.retry_after, found

    path = tmp_path / "otlp_http%2Fjaeger-traces.db"
    full = f"cannot write {path}: database or disk is full"
    assert asyncio.run(run()) == (full, 1.0, [b"small", b"later"])
    begins, ends = f"{full}; requests are refused until it can be written", f"{path} can be written again"
    assert said == [begins, ends, begins, ends]


def test_what_is_removed_leaves_a_full_disk_though_what_comes_with_it_finds_no_room(tmp_path):
    body = b"x" * 300_000

    async def run():
        spool = opened(tmp_path)
        await spool.put(body, 1)
        pages = spool._file.execute("PRAGMA page_count").fetchone()[0]
        spool._file.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        spool.remove((await spool.read(0))[0])
        with pytest.raises(UnavailableError):
            await spool.put(body * 2, 1)
        await spool.close()
        return spool.totals

    assert asyncio.run(run()) == Totals()


def test_removing_needs_no_space_that_a_full_disk_would_not_have(tmp_path):
    async def run():
        spool = opened(tmp_path)
        journal = tmp_path / f"{spool.path.name}-journal"
        sizes = [journal.stat().st_size]
        for size in (20_000, 200):
            for _ in range(300):
                await spool.put(b"x" * size, 1)
            for stored in await all_of(spool):
                spool.remove(stored)
            await until(lambda: not spool.totals.requests)
            sizes.append(journal.stat().st_size)
        await spool.close()
        return sizes

    assert asyncio.run(run()) == [spools.RESERVE] * 3


async def all_of(spool):
    found = []
    while more := await spool.read(found[-1].key if found else 0):
        found += more
    return found


def test_space_is_used_again_and_given_back_when_all_is_delivered(tmp_path, monkeypatch):
    monkeypatch.setattr(spools, "SPARE", 2_000_000)
    body = b"x" * 500_000

    async def run():
        spool = opened(tmp_path)
        for _ in range(10):
            await spool.put(body, 1)
        full = spool.path.stat().st_size
        found = await all_of(spool)
        for stored in found[:5]:
            spool.remove(stored)
        for _ in range(5):
            await spool.put(body, 1)
        reused = spool.path.stat().st_size
        for stored in found[5:] + await spool.read(found[-1].key):
            spool.remove(stored)
        await until(lambda: not spool.totals.requests)
        await spool.put(b"new", 1)
        found = await bodies(spool)
        await spool.close()
        return full, reused, spool.path.stat().st_size, found

    full, reused, empty, found = asyncio.run(run())
    assert (reused <= full + spools.PAGE * 40, empty < 200_000, found) == (True, True, [b"new"])


def test_with_fsync_commits_are_synced(tmp_path):
    async def level(fsync):
        spool = Spool(tmp_path, f"fsync-{fsync}", fsync=fsync, say=print)
        [found] = spool._file.execute("PRAGMA synchronous").fetchone()
        await spool.close()
        return found

    assert (asyncio.run(level(True)), asyncio.run(level(False))) == (2, 0)


def test_a_directory_is_made_if_told(tmp_path):
    path = tmp_path / "a" / "b"
    with pytest.raises(ConfigError) as refusal:
        directory(FileStorage(str(path)), "file_storage")
    expected = f"extensions.file_storage.directory: {path} does not exist; make it, or set create_directory: true"
    assert str(refusal.value) == expected
    assert directory(FileStorage(str(path), create_directory=True), "file_storage").is_dir()


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is not a directory"):
        directory(FileStorage(str(tmp_path / "file")), "file_storage")
    with pytest.raises(ConfigError, match="cannot create"):
        directory(FileStorage(str(tmp_path / "file" / "below"), create_directory=True), "file_storage")


def test_a_client_that_left_before_the_commit_leaves_nothing(tmp_path):
    async def run():
        spool = opened(tmp_path)
        leaving = asyncio.ensure_future(spool.put(b"left", 1))
        await asyncio.sleep(0)
        leaving.cancel()
        await spool.put(b"stays", 1)
        found = await bodies(spool)
        await spool.close()
        return found

    assert asyncio.run(run()) == [b"stays"]


def test_the_file_is_plain_sqlite(tmp_path):
    async def run():
        spool = opened(tmp_path)
        await spool.put(b"body", 7)
        await spool.close()
        return spool.path

    with sqlite3.connect(asyncio.run(run())) as file:
        assert file.execute("SELECT * FROM requests").fetchall() == [(1, 7, b"body")]
    file.close()
