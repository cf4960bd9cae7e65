"""Scopes over every kind of function, in tasks and threads: each call keeps to its own."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import logging
import threading
from contextlib import ExitStack, contextmanager

import pytest
from attributed import AGENT_SPAN, INSIDE, OUTSIDE, Exported, call
from opentelemetry import baggage, context

from llmtrace_otel import agent, session

# Decorated functions of every kind


def test_a_decorated_function_stays_what_it_was():
    def plain():
        """Its documentation."""

    async def coroutine(): ...

    def generator():
        yield

    async def async_generator():
        yield

    decorate = agent("planner")
    assert decorate(plain).__doc__ == "Its documentation."
    assert inspect.iscoroutinefunction(decorate(coroutine))
    assert inspect.isgeneratorfunction(decorate(generator))
    assert inspect.isasyncgenfunction(decorate(async_generator))


def test_a_decorated_coroutine_is_one_span_for_each_call(spans):
    @agent("planner")
    async def run(value):
        await asyncio.sleep(0)
        call()
        return value

    async def main():
        return await asyncio.gather(run(1), run(2))

    assert asyncio.run(main()) == [1, 2]
    assert spans.all == [INSIDE, AGENT_SPAN, INSIDE, AGENT_SPAN]


def test_a_decorated_generator_keeps_its_span_open_while_it_is_read(spans):
    @agent("planner")
    def run():
        call()
        got = yield 1
        call()
        try:
            yield got
        except KeyError:
            call()
            yield "caught"
        return "done"

    def read():
        generator = run()
        before = context.get_current()
        read = [next(generator), generator.send("sent"), generator.throw(KeyError())]
        assert context.get_current() is before
        call("outside")
        with pytest.raises(StopIteration) as stop:
            next(generator)
        return [*read, stop.value.value]

    assert read() == [1, "sent", "caught", "done"]
    assert spans.all == [INSIDE, INSIDE, INSIDE, OUTSIDE, AGENT_SPAN]


def test_a_decorated_async_generator_keeps_its_span_open_while_it_is_read(spans):
    @agent("planner")
    async def run():
        call()
        got = yield 1
        await asyncio.sleep(0)
        call()
        try:
            yield got
        except KeyError:
            call()
            yield "caught"

    async def read():
        generator = run()
        before = context.get_current()
        read = [await anext(generator), await generator.asend("sent"), await generator.athrow(KeyError())]
        assert context.get_current() is before
        call("outside")
        assert [item async for item in generator] == []
        return read

    assert asyncio.run(read()) == [1, "sent", "caught"]
    assert spans.all == [INSIDE, INSIDE, INSIDE, OUTSIDE, AGENT_SPAN]


def test_a_generator_left_early_cleans_up_inside_its_span_and_is_no_error(spans):
    @agent("planner")
    def run():
        try:
            yield 1
            yield 2
        finally:
            call()

    for _ in run():
        break
    gc.collect()

    assert spans.all == [INSIDE, AGENT_SPAN]


def test_an_async_generator_left_early_cleans_up_inside_its_span_and_is_no_error(spans):
    @agent("planner")
    async def run():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            call()

    async def read():
        generator = run()
        assert await anext(generator) == 1
        await generator.aclose()

    asyncio.run(read())

    assert spans.all == [INSIDE, AGENT_SPAN]


def test_a_generator_that_fails_is_an_error(spans):
    @agent("planner")
    def run():
        yield 1
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(run())

    assert spans.all == [
        AGENT_SPAN._replace(
            attributes={**AGENT_SPAN.attributes, "error.type": "ValueError"}, status="ERROR", description="no"
        )
    ]


# Tasks and threads


def test_concurrent_tasks_keep_to_their_own_sessions(spans):
    async def work(number):
        async with session(f"s{number}"), agent("planner"):
            await asyncio.sleep(0)
            call(f"chat {number}")

    async def main():
        await asyncio.gather(*(work(number) for number in range(10)))

    asyncio.run(main())

    calls = {span.name: span.attributes["session.id"] for span in spans.all if span.name.startswith("chat")}
    assert calls == {f"chat {number}": f"s{number}" for number in range(10)}


def test_threads_that_open_sessions_at_once_keep_to_their_own(spans):
    together = threading.Barrier(8)

    def work(number):
        for turn in range(5):
            together.wait(10)
            with session(f"s{number}"), agent("planner", turn=turn):
                call(f"chat {number}.{turn}")

    run_all(threading.Thread(target=work, args=(number,)) for number in range(8))

    calls = {
        span.name: (span.attributes["session.id"], span.attributes["llmtrace.turn.count"])
        for span in spans.all
        if span.name.startswith("chat")
    }
    assert calls == {f"chat {number}.{turn}": (f"s{number}", turn) for number in range(8) for turn in range(5)}


def test_threads_may_share_one_scope(spans):
    together = threading.Barrier(4)
    shared = session("shared")

    def work():
        with shared:
            together.wait(10)
            call()
            together.wait(10)
        call("outside")

    run_all(threading.Thread(target=work) for _ in range(4))

    assert sorted(spans.all, key=lambda span: span.name) == [
        *[Exported("chat", {"session.id": "shared"})] * 4,
        *[OUTSIDE] * 4,
    ]


def run_all(threads):
    started = list(threads)
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def test_leaving_in_another_task_ends_the_span_and_logs_nothing(spans, caplog):
    caplog.set_level(logging.DEBUG)
    scope = agent("planner")
    contextvars.copy_context().run(scope.__enter__)
    contextvars.copy_context().run(scope.__exit__, None, None, None)
    call("outside")

    assert spans.all == [AGENT_SPAN, OUTSIDE]
    assert caplog.messages == []


def test_what_was_left_attached_inside_does_not_outlive_the_session(spans):
    @contextmanager
    def careless():
        context.attach(baggage.set_baggage("theirs", "1"))
        yield

    with ExitStack() as stack:
        stack.enter_context(session("s"))
        stack.enter_context(careless())
    call("outside")

    assert spans.all == [OUTSIDE]
