"""The file exporter where it is killed, or its disk is full, read-only or limited, for real."""

import asyncio
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from file_helpers import batch_of, close, exporter_of, names_in, write, write_all

from llmtrace_collector.config.settings import GroupBy, Rotation
from llmtrace_collector.errors import UnavailableError

WRITER = """
import asyncio, os, sys
from file_helpers import batch_of, exporter_of
from llmtrace_collector.config.settings import Rotation

path, run, fsync, rotated = sys.argv[1:]
options = {"rotation": Rotation(max_megabytes=1)} if rotated == "True" else {}
exporter = exporter_of(path, lambda line: None, fsync=fsync == "True", **options)

async def client(number):
    for turn in range(100_000):
        name = f"{run}-{number}-{turn}"
        await exporter.export(batch_of(name, "x" * 30_000), kept=False)
        os.write(1, f"{name}\\n".encode())

async def clients():
    await asyncio.gather(*map(client, range(4)))

asyncio.run(clients())
"""


def killed_while_writing(path, run, *, fsync, rotated):
    """The names that a writer acknowledged before it was killed in the middle of its work."""
    command = [sys.executable, "-c", WRITER, str(path), str(run), str(fsync), str(rotated)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        acknowledged = [process.stdout.readline() for _ in range(30 + 10 * run)]
        process.kill()
        acknowledged += process.stdout.readlines()
    assert all(acknowledged)
    return [line.decode().strip() for line in acknowledged]


@pytest.mark.parametrize(("fsync", "rotated"), [(False, False), (False, True), (True, False)])
def test_what_was_acknowledged_before_a_kill_is_in_the_file_once(tmp_path, fsync, rotated):
    path = tmp_path / "traces.jsonl"
    acknowledged = [name for run in range(5) for name in killed_while_writing(path, run, fsync=fsync, rotated=rotated)]
    exporter = exporter_of(path, lambda line: None, rotation=Rotation(max_megabytes=1) if rotated else None)
    write(exporter, batch_of("after"))
    close(exporter)
    written = [name for name in names_in(*sorted(tmp_path.iterdir())) if not name.startswith("x")]
    assert set(acknowledged) <= set(written)
    assert len(set(written)) == len(written)
    assert written[-1] == "after"


@pytest.fixture
def small_disk(tmp_path):
    """A directory on a disk of its own, of 256 KiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = shutil.which("mount")
    if not mount or subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", directory]).returncode:
        pytest.skip("may not mount a tmpfs")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def fill(exporter, **attributes):
    """Writes until the disk is full; what was acknowledged, and the refusal."""
    acknowledged = []
    for number in range(1000):
        try:
            write(exporter, batch_of(str(number), "x" * 1000, resource=attributes))
        except UnavailableError as refusal:
            return acknowledged, str(refusal)
        acknowledged.append(str(number))
    raise AssertionError("the disk was never full")


def numbers_in(*paths):
    return [name for name in names_in(*paths) if not name.startswith("x")]


@pytest.mark.parametrize("fsync", [False, True])
def test_a_full_disk_refuses_leaves_whole_lines_and_heals_by_itself(small_disk, fsync):
    path, said = small_disk / "traces.jsonl", []
    (small_disk / "ballast").write_bytes(bytes(100_000))
    exporter = exporter_of(path, said.append, fsync=fsync)
    acknowledged, refusal = fill(exporter)
    assert refusal == f"cannot write {path}: No space left on device"
    assert numbers_in(path) == acknowledged
    (small_disk / "ballast").unlink()
    write(exporter, batch_of("healed"))
    close(exporter)
    assert numbers_in(path) == [*acknowledged, "healed"]
    assert said == [
        f"cannot write {path}: No space left on device; clients are asked to send again",
        f"{path} can be written again",
    ]


def test_groups_on_a_full_disk_heal_too(small_disk):
    (small_disk / "ballast").write_bytes(bytes(100_000))
    exporter = exporter_of(small_disk / "t-*.jsonl", group_by=GroupBy(True, "k"))
    acknowledged, _ = fill(exporter, k="a")
    (small_disk / "ballast").unlink()
    write(exporter, batch_of("other", resource={"k": "b"}), batch_of("healed", resource={"k": "a"}))
    close(exporter)
    assert numbers_in(small_disk / "t-a.jsonl") == [*acknowledged, "healed"]
    assert numbers_in(small_disk / "t-b.jsonl") == ["other"]


def test_a_disk_that_turned_read_only_refuses_until_it_can_be_written(small_disk):
    path = small_disk / "traces.jsonl"
    exporter = exporter_of(path)
    os.rename(path, small_disk / "moved")
    close(exporter)  # a file that is open for writing keeps a disk from turning read-only
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(UnavailableError) as refusal:
        write(exporter, batch_of("lost"))
    assert str(refusal.value) == f"cannot write {path}: Read-only file system"
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    write(exporter, batch_of("again"))
    close(exporter)
    assert names_in(path) == ["again"]


@contextmanager
def largest_file(size):
    """No file of this process grows beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_limit_in_the_middle_of_a_line_leaves_no_half_of_it(tmp_path):
    path = tmp_path / "traces.jsonl"
    exporter = exporter_of(path, lambda line: None)
    write(exporter, batch_of("first"))
    with largest_file(path.stat().st_size + 1000):
        results = asyncio.run(write_all(exporter, [batch_of("x" * 2000), batch_of("fits"), batch_of("x" * 2000)]))
    assert [str(result) for result in results] == [
        f"cannot write {path}: File too large",
        "None",
        f"cannot write {path}: File too large",
    ]
    write(exporter, batch_of("last"))
    close(exporter)
    assert names_in(path) == ["first", "fits", "last"]
