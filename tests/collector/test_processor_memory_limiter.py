"""The memory limiter refuses at the soft limit, tells it once, and measures no more often than it was told to."""

from __future__ import annotations

from pathlib import Path

import pytest
from collector_helpers import request_of

from llmtrace_collector.config.settings import MemoryLimiter
from llmtrace_collector.config.values import Duration
from llmtrace_collector.errors import UnavailableError
from llmtrace_collector.figures import process
from llmtrace_collector.figures.counts import Counts
from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.otlp.signals import TRACES
from llmtrace_collector.processors import memory_limiter
from llmtrace_collector.processors.memory_limiter import (
    MIB,
    MemoryLimiterProcessor,
    limits,
    resident_bytes,
    total_bytes,
)


class Machine:
    """A clock and a memory to set, and what the limiter did and said."""

    def __init__(self, **settings):
        self.time, self.mib, self.after_collection = 100.0, 0, None
        self.collections, self.measured, self.said, self.counts = 0, 0, [], Counts()
        self.limiter = MemoryLimiterProcessor(
            "memory_limiter/a",
            MemoryLimiter(check_interval=Duration(1.0), **settings),
            self.counts,
            self.said.append,
            used=self.used,
            give_back=self.collect,
            clock=lambda: self.time,
        )

    def used(self):
        self.measured += 1
        return self.mib * MIB

    def collect(self):
        self.collections += 1
        self.mib = self.mib if self.after_collection is None else self.after_collection

    def accepts(self, mib, seconds=1.0):
        """Whether a request is accepted when so much time has passed and so much memory is used."""
        self.time, self.mib = self.time + seconds, mib
        batch = Batch(TRACES, request_of("a", "b"))
        try:
            return self.limiter.process(batch) is batch
        except UnavailableError:
            return False


def test_requests_are_refused_from_the_soft_limit_on():
    machine = Machine(limit_mib=100, spike_limit_mib=30)
    assert [machine.accepts(mib) for mib in (69, 70, 99, 69)] == [True, False, False, True]


def test_a_refused_client_is_asked_to_try_again_in_a_second():
    machine = Machine(limit_mib=100)
    machine.mib = 100
    with pytest.raises(UnavailableError) as raised:
        machine.limiter.process(Batch(TRACES, request_of("a")))
    assert (raised.value.status, raised.value.retry_after) == (503, 1.0)


def test_the_spike_is_a_fifth_unless_something_else_is_said():
    assert limits(MemoryLimiter(Duration(1.0), limit_mib=100)) == (100 * MIB, 80 * MIB)


def test_percentages_are_of_all_memory(monkeypatch):
    monkeypatch.setattr(memory_limiter, "total_bytes", lambda: 1000 * MIB)
    settings = MemoryLimiter(Duration(1.0), limit_percentage=50, spike_limit_percentage=10)
    assert limits(settings) == (500 * MIB, 400 * MIB)


def test_memory_is_measured_once_in_an_interval():
    machine = Machine(limit_mib=100)
    before = machine.measured
    assert [machine.accepts(mib, 0.4) for mib in (10, 90, 90, 90, 10)] == [True, True, True, False, False]
    assert machine.measured - before == 3  # at first, after 1.2 seconds, and then again after a collection


def test_at_the_hard_limit_memory_is_given_back_before_a_request_is_refused():
    machine = Machine(limit_mib=100)
    machine.after_collection = 50
    assert [machine.accepts(120), machine.accepts(120)] == [True, True]
    assert (machine.collections, machine.said) == (2, [])


def test_at_the_soft_limit_memory_is_given_back_seldom():
    machine = Machine(limit_mib=100)
    assert not any(machine.accepts(90) for _ in range(20))
    assert machine.collections == 2


def test_refusing_is_told_once_and_its_end_too():
    machine = Machine(limit_mib=100)
    for mib in (90, 95, 10, 10, 90):
        machine.accepts(mib)
    refused = "of memory in use, 80 MiB allowed: requests are refused until it is less, to be sent again"
    assert machine.said == [
        f"memory_limiter: 90 MiB {refused}",
        "memory_limiter: 10 MiB of memory in use, 80 MiB allowed: requests are accepted again",
        f"memory_limiter: 90 MiB {refused}",
    ]


def test_items_are_counted_under_the_official_names():
    machine = Machine(limit_mib=100)
    for mib in (10, 10, 90):
        machine.accepts(mib)
    labels = (("processor", "memory_limiter/a"),)
    assert machine.counts.totals == {
        ("otelcol_processor_memory_limiter_accepted_spans", labels): 4,
        ("otelcol_processor_memory_limiter_refused_spans", labels): 2,
    }


def test_this_process_has_memory_and_less_than_the_machine():
    assert MIB < resident_bytes() < total_bytes()


def test_without_proc_ps_is_asked(monkeypatch, tmp_path):
    program = tmp_path / "ps"
    program.write_text('#!/bin/sh\n[ "$1 $2 $3" = "-o rss= -p" ] && echo " 2048"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(process, "STATM", Path("/no/such/file"))
    assert resident_bytes() == 2 * MIB


def test_a_system_that_tells_nothing_has_no_limiter(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(process, "STATM", Path("/no/such/file"))
    with pytest.raises(ValueError, match="does not tell how much memory the process uses"):
        MemoryLimiterProcessor("m", MemoryLimiter(Duration(1.0), limit_mib=10), Counts(), print)


@pytest.mark.parametrize(("written", "total"), [("1048576\n", MIB), ("max\n", None), ("99999999999999999\n", None)])
def test_a_container_has_the_memory_that_it_may_use(monkeypatch, tmp_path, written, total):
    machine = total_bytes()
    (tmp_path / "memory.max").write_text(written)
    monkeypatch.setattr(memory_limiter, "_CGROUP_LIMITS", (tmp_path / "memory.max", tmp_path / "missing"))
    assert total_bytes() == total or (total is None and total_bytes() >= machine)
