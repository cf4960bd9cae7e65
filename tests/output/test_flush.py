"""The exit hooks as objects: put in once, taken out without a trace, bounded, silent about foreign errors."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from opentelemetry import trace

from llmtrace_otel.output import flush


@pytest.fixture
def installed():
    before = {name: getattr(os, name) for name in flush.EXITS}, signal.getsignal(signal.SIGTERM)
    yield before
    flush.uninstall()
    assert ({name: getattr(os, name) for name in flush.EXITS}, signal.getsignal(signal.SIGTERM)) == before


class Provider:
    """A tracer provider whose flush does what the test says."""

    def __init__(self, force_flush):
        self.force_flush = force_flush


@pytest.fixture
def provider(monkeypatch):
    """Makes `force_flush` that of the global provider."""

    def use(force_flush):
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: Provider(force_flush))

    return use


def test_uninstall_restores_the_very_same_objects(installed):
    functions, action = installed
    flush.install()
    ours = {name: getattr(os, name) for name in flush.EXITS}
    flush.install()
    assert {name: getattr(os, name) for name in flush.EXITS} == ours
    assert all(ours[name] is not functions[name] for name in flush.EXITS)
    flush.uninstall()
    assert all(getattr(os, name) is functions[name] for name in flush.EXITS)
    assert signal.getsignal(signal.SIGTERM) is action


def test_a_wrapper_around_ours_is_left_in_place(installed, monkeypatch):
    flush.install()
    theirs = lambda *args: None  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(os, "execv", theirs)
        flush.uninstall()
        assert os.execv is theirs
    os.execv = installed[0]["execv"]


def test_a_handler_of_the_programs_own_is_left_in_place(installed):
    handler = lambda *args: None  # noqa: E731
    signal.signal(signal.SIGTERM, handler)
    flush.install()
    kept = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, installed[1])
    assert kept is handler


def test_installing_from_another_thread_leaves_signals_alone(installed):
    thread = threading.Thread(target=flush.install)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is installed[1]


def test_flush_gives_a_provider_its_time_and_says_that_all_is_out(provider):
    given = []
    provider(given.append)
    assert flush.flush(2.0)
    assert [0 < milliseconds <= 2000 for milliseconds in given] == [True]


def test_a_stuck_exporter_is_asked_and_waited_for_once(provider, installed):
    stuck, asked, timeouts = threading.Event(), [], []
    provider(lambda _: asked.append("flush") or stuck.wait(30))
    flush.install(lambda: timeouts.append("timeout"))
    assert [flush.flush(0.01), flush.flush(30)] == [False, False]
    stuck.set()
    flush._flusher.join()
    assert (asked, timeouts) == (["flush"], ["timeout", "timeout"])


def test_an_exporter_that_raises_changes_nothing(provider):
    def fail(_):
        raise RuntimeError("broken")

    provider(fail)
    assert flush.flush(2.0)
