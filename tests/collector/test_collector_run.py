"""Starting and stopping: what runs is stopped at the same time, each part to its end."""

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest

from llmtrace_collector.errors import ConfigError
from llmtrace_collector.run import _start


class Part:
    """An exporter or a service that ends only together with others."""

    def __init__(self, ended, together=None, failure=None):
        self.ended, self.together, self.failure = ended, together, failure

    def start(self):
        pass

    async def close(self, timeout):
        if self.failure:
            raise self.failure
        if self.together:
            async with asyncio.timeout(3):  # so that waiting for one another ends, should they not come together
                await self.together.wait()
        self.ended.append(self)


class Service(Part):
    """The same, as receivers have it."""

    async def start(self):
        if self.failure:
            raise self.failure

    async def stop(self, grace_seconds):
        await self.close(grace_seconds)


def parts(exporters, receivers):
    return SimpleNamespace(exporters=exporters, services=(), receivers=receivers, health=(), refuse_loop=lambda: None)


async def started_and_stopped(running):
    async with AsyncExitStack() as stack:
        await _start(running, stack)


def test_parts_that_need_their_whole_time_to_end_take_it_at_the_same_time():
    async def run():
        ended = []
        exporters = [Part(ended, together) for together in [asyncio.Barrier(3)] for _ in range(3)]
        receivers = [Service(ended, together) for together in [asyncio.Barrier(2)] for _ in range(2)]
        await started_and_stopped(parts(exporters, receivers))
        return set(ended[:2]) == set(receivers), set(ended[2:]) == set(exporters)

    assert asyncio.run(run()) == (True, True)


def test_a_part_that_cannot_end_lets_others_end():
    async def run():
        ended = []
        whole = [Part(ended), Part(ended, failure=OSError(5, "Input/output error")), Part(ended)]
        with pytest.raises(OSError, match="Input/output error"):
            await started_and_stopped(parts(whole, []))
        return ended == [whole[0], whole[2]]

    assert asyncio.run(run())


def test_what_was_started_before_a_failure_is_stopped():
    async def run():
        ended = []
        exporter, receiver = Part(ended), Service(ended)
        taken = Service(ended, failure=ConfigError("4318 is in use already"))
        with pytest.raises(ConfigError):
            await started_and_stopped(parts([exporter], [receiver, taken]))
        return ended == [receiver, exporter]

    assert asyncio.run(run())
