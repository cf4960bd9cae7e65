"""The kernel's counter, by an event that virtual machines have, too: nanoseconds of CPU."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest
from compare.counter import Counter, works
from compare.peers import REPOSITORY

TASK_CLOCK = (1, 1)
"""PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK"""
NO_EVENT = (99, 0)

counts = pytest.mark.skipif(not works(TASK_CLOCK), reason="the kernel lets us count nothing")


def test_where_nothing_can_be_counted_nothing_is():
    assert not works(NO_EVENT)
    with pytest.raises(OSError, match=r"."):
        Counter(NO_EVENT)


def busy() -> None:
    ends = time.thread_time() + 0.05
    while time.thread_time() < ends:
        pass


@counts
def test_threads_to_come_are_counted_while_they_run_and_when_they_have_ended():
    counter, wait = Counter(TASK_CLOCK), threading.Event()
    running = threading.Thread(target=lambda: (busy(), wait.wait()))
    ended = threading.Thread(target=busy)
    running.start()
    ended.start()
    ended.join()
    until = time.monotonic() + 30
    while counter.read() < 100_000_000 and time.monotonic() < until:
        time.sleep(0.01)
    assert running.is_alive()
    wait.set()
    running.join()
    assert 100_000_000 <= counter.read() < 1_000_000_000
    counter.close()


CALLS = f"""
import json
from compare.cases import Case
from compare.child import Process
from compare.counter import Counter
counter = Counter({TASK_CLOCK})
process, case = Process("openai", "none", counter=counter), Case("openai")
process.warm(case, 3, {{}})
print(json.dumps([process.run(case, calls)["instructions"] for calls in (1, 40)]))
"""


@counts
def test_a_measured_process_tells_what_its_calls_took():
    ran = subprocess.run(
        [sys.executable, "-c", CALLS],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{REPOSITORY / 'benchmarks'}", "BENCHMARK_SDK": "openai"},
    )
    one, many = json.loads(ran.stdout)
    assert 0 < 4 * one < many
