"""The context goes along into threads, and nothing else changes."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import baggage, context

from llmtrace_otel import session
from llmtrace_otel.instrument.threads import ThreadsInstrumentor


@pytest.fixture
def _carried():
    ThreadsInstrumentor().instrument()
    yield
    ThreadsInstrumentor().uninstrument()


carried = pytest.mark.usefixtures("_carried")


def whose() -> object:
    return baggage.get_baggage("session.id")


class Asking:
    """Target of a thread: notes whose session it ran in."""

    answer: object = "did not run"

    def __call__(self) -> None:
        self.answer = whose()


class OwnRun(threading.Thread):
    answer: object = "did not run"

    def run(self) -> None:
        self.answer = whose()


def finished(thread: threading.Thread) -> threading.Thread:
    thread.start()
    thread.join()
    return thread


@carried
def test_a_thread_belongs_to_the_session_it_is_started_in():
    asking = Asking()
    thread = threading.Thread(target=asking)
    with session("s"):
        finished(thread)

    assert asking.answer == "s"
    assert "run" not in vars(thread)


@carried
def test_a_subclass_with_a_run_of_its_own_belongs_to_it_too():
    with session("s"):
        assert finished(OwnRun()).answer == "s"


@carried
def test_a_run_given_to_one_thread_is_kept():
    asking = Asking()
    thread = threading.Thread()
    thread.run = asking
    with session("s"):
        finished(thread)

    assert asking.answer == "s"
    assert thread.run is asking


@carried
def test_a_timer_belongs_to_the_session_it_is_started_in():
    asking = Asking()
    with session("s"):
        finished(threading.Timer(0, asking))

    assert asking.answer == "s"


@carried
def test_a_pools_work_belongs_to_the_session_it_is_submitted_in():
    with ThreadPoolExecutor(1) as pool:
        with session("first"):
            first = pool.submit(whose)
        with session("second"):
            second = list(pool.map(lambda _: whose(), range(2)))
        third = pool.submit(whose)

        assert [first.result(), *second, third.result()] == ["first", "second", "second", None]


@carried
def test_what_earlier_work_left_with_a_worker_is_not_the_next_works():
    def steps():
        with session("first"):
            yield whose()
            yield whose()

    steps_of_first = steps()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(next, steps_of_first).result() == "first"
        assert pool.submit(whose).result() is None


@carried
def test_asyncios_threads_belong_to_the_session_of_their_task():
    async def main():
        loop = asyncio.get_running_loop()
        with session("s"):
            return await asyncio.to_thread(whose), await loop.run_in_executor(None, whose)

    assert asyncio.run(main()) == ("s", "s")


@carried
def test_forty_children_of_eight_threads_belong_to_their_own_sessions():
    together = threading.Barrier(8)
    answers: dict[tuple[int, int], object] = {}

    def parent(number):
        for turn in range(5):
            together.wait(10)
            with session(f"s{number}"):
                answers[number, turn] = finished(OwnRun()).answer

    parents = [threading.Thread(target=parent, args=(number,)) for number in range(8)]
    for thread in parents:
        thread.start()
    for thread in parents:
        thread.join()

    assert answers == {(number, turn): f"s{number}" for number in range(8) for turn in range(5)}


@carried
def test_results_arguments_and_errors_are_the_programs_own():
    def divide(x, *, by):
        return x / by

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(divide, 6, by=3).result() == 2
        with pytest.raises(ZeroDivisionError):
            pool.submit(divide, 6, by=0).result()
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'fn'"):
            pool.submit()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(divide, 6, by=3)


@carried
def test_a_thread_started_twice_raises_what_it_always_raised():
    thread = finished(threading.Thread())
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        thread.start()

    assert "run" not in vars(thread)


@carried
def test_an_interpreter_pools_work_is_left_alone():
    class InterpreterPoolExecutor(ThreadPoolExecutor):
        """Stands for Python 3.14's, whose work must be picklable."""

    with InterpreterPoolExecutor(1) as pool:
        assert pool.submit(whose).result() is None  # the one worker begins outside any session
        with session("s"):
            assert pool.submit(whose).result() is None


def functions() -> tuple[object, object]:
    return vars(threading.Thread)["start"], vars(ThreadPoolExecutor)["submit"]


def test_uninstrumenting_restores_the_very_functions_however_often():
    start, submit = functions()
    instrumentor = ThreadsInstrumentor()
    for _ in range(2):
        instrumentor.instrument()
        instrumentor.instrument()
        assert functions()[0] is not start
        assert functions()[1] is not submit
        instrumentor.uninstrument()
        instrumentor.uninstrument()
        assert functions()[0] is start
        assert functions()[1] is submit


def test_a_wrapper_that_came_later_stays_and_ours_under_it_does_nothing(monkeypatch):
    instrumentor = ThreadsInstrumentor()
    instrumentor.instrument()
    ours = threading.Thread.start

    def theirs(thread):
        return ours(thread)

    monkeypatch.setattr(threading.Thread, "start", theirs)
    instrumentor.uninstrument()

    assert threading.Thread.start is theirs
    with session("s"):
        assert finished(OwnRun()).answer is None


def test_beside_a_wrapper_that_attaches_the_same_context_nothing_breaks(monkeypatch):
    plain_run = threading.Thread.run

    def run(thread):
        token = context.attach(thread.their_context)
        try:
            plain_run(thread)
        finally:
            context.detach(token)

    monkeypatch.setattr(threading.Thread, "run", run)
    ThreadsInstrumentor().instrument()
    asking = Asking()
    with session("s"):
        thread = threading.Thread(target=asking)
        thread.their_context = context.get_current()
        finished(thread)
    ThreadsInstrumentor().uninstrument()

    assert asking.answer == "s"


def test_it_depends_on_no_package():
    assert ThreadsInstrumentor().instrumentation_dependencies() == ()
