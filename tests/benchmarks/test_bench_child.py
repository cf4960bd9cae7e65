"""How a measured process counts: in all its threads, and until nothing is done any more."""

from __future__ import annotations

import threading
import time

import pytest
from compare import rest
from compare.child import Functions


@pytest.fixture
def functions():
    yield Functions()
    threading.setprofile(None)


def calls(count: int) -> None:
    for _ in range(count):
        abs(-1)


def in_a_thread(count: int) -> None:
    thread = threading.Thread(target=calls, args=(count,))
    thread.start()
    thread.join()


@pytest.mark.parametrize("work", [calls, in_a_thread])
def test_functions_are_counted_in_this_thread_and_in_those_to_come(functions, work):
    assert functions.of(lambda: work(1000)) - functions.of(lambda: work(0)) == 1000


def test_functions_of_this_thread_are_not_counted_before_and_after(functions):
    once = functions.of(lambda: calls(1))
    calls(1000)
    assert functions.of(lambda: calls(1)) == once


def test_a_process_is_at_rest_after_pauses_in_which_it_did_little():
    busy = 5
    for pauses, pause in enumerate(rest.pauses(), start=1):
        until = time.process_time() + pause
        while pauses <= busy and time.process_time() < until:
            pass
        time.sleep(pause)
    assert pauses >= busy + rest.LOOKS
