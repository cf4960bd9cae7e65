"""A child's environment: what the caller says itself wins, and nobody's mapping is changed."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections import UserDict
from collections.abc import Mapping
from types import MappingProxyType

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from subprocess_helpers import instrumented, parent_of, run_program

from llmtrace_otel import session
from llmtrace_otel.instrument.subprocess import SubprocessInstrumentor
from support.spans import Recorded

ENV = "/usr/bin/env"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
THIRD = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203332-01"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch):
    with instrumented(monkeypatch) as recorded:
        yield recorded


def environment(*args, **kwargs) -> dict[str, str]:
    """What a child finds."""
    done = subprocess.run([ENV, "-0"], *args, stdout=subprocess.PIPE, check=True, **kwargs)
    return dict(os.fsdecode(entry).split("=", 1) for entry in done.stdout.split(b"\0")[:-1])


def untraced() -> dict[str, str]:
    """What a child finds that is started as if we were not there."""
    with suppress_instrumentation():
        return environment()


def test_a_child_inherits_all_that_it_would(recorded: Recorded, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ODD", "caf\udce9 = x\n")
    before = dict(os.environ)
    found = environment()

    assert found == {**untraced(), "TRACEPARENT": parent_of(recorded.span)}
    assert dict(os.environ) == before


def put_by_c(name: bytes, value: bytes) -> None:
    ctypes.CDLL(None).setenv(name, value, 1)


@pytest.mark.parametrize("put", [os.putenv, put_by_c], ids=["os.putenv", "setenv"])
def test_a_child_inherits_what_os_environ_does_not_know(recorded: Recorded, put):
    put(b"LEFT_BY_C", b"caf\xe9 = x")
    try:
        found = environment()
        assert found == {**untraced(), "LEFT_BY_C": "caf\udce9 = x", "TRACEPARENT": parent_of(recorded.span)}
        assert "LEFT_BY_C" not in environment(env=os.environ)
    finally:
        os.unsetenv("LEFT_BY_C")


def test_a_child_inherits_nothing_where_c_has_cleared_all(tmp_path):
    ran = run_program(
        tmp_path,
        f"""
        import ctypes
        ctypes.CDLL(None).clearenv()
        subprocess.run(["{ENV}"])
        """,
    )
    assert (ran.stderr, ran.stdout.partition("=")[0], ran.stdout.count("\n")) == ("", "TRACEPARENT", 1)


def test_an_empty_environment_gets_our_keys_only(recorded: Recorded):
    with session("s"):
        found = environment(env={})
    assert found.keys() == {"TRACEPARENT", "BAGGAGE"}
    assert found["TRACEPARENT"] == parent_of(recorded.span)


@pytest.mark.parametrize(
    "given",
    [
        {"A": "1"},
        {b"A": b"1"},
        {b"A": "1"},
        UserDict({"A": "1"}),
        MappingProxyType({"A": "1"}),
    ],
    ids=["text", "bytes", "both", "UserDict", "mappingproxy"],
)
def test_an_environment_may_be_any_mapping_and_stays_as_it_is(recorded: Recorded, given: Mapping):
    before = dict(given)
    assert environment(env=given) == {"A": "1", "TRACEPARENT": parent_of(recorded.span)}
    assert dict(given) == before


def test_an_environment_may_be_given_by_position(recorded: Recorded):
    given = {"A": "1"}
    with subprocess.Popen([ENV], -1, None, None, -1, None, None, True, False, None, given, True) as child:
        found = child.stdout.read().splitlines()
    assert found == ["A=1", f"TRACEPARENT={parent_of(recorded.span)}"]
    assert given == {"A": "1"}


def test_the_callers_own_parent_is_kept_with_its_state(recorded: Recorded):
    with session("s"):
        found = environment(env={"TRACEPARENT": OTHER, "TRACESTATE": "a=b"})
    assert {**found, "BAGGAGE": None} == {"TRACEPARENT": OTHER, "TRACESTATE": "a=b", "BAGGAGE": None}
    assert "session.id=s" in found["BAGGAGE"]


def test_the_callers_own_baggage_is_kept(recorded: Recorded):
    with session("s"):
        found = environment(env={"BAGGAGE": "a=b"})
    assert found == {"TRACEPARENT": parent_of(recorded.span), "BAGGAGE": "a=b"}


@pytest.mark.parametrize("given", [None, {}], ids=["inherited", "copied"])
def test_what_this_process_was_given_is_not_the_childs(recorded: Recorded, monkeypatch: pytest.MonkeyPatch, given):
    for name, value in {"TRACEPARENT": OTHER, "TRACESTATE": "a=b", "BAGGAGE": "a=b"}.items():
        monkeypatch.setenv(name, value)
    found = environment(env=None if given is None else dict(os.environ))

    assert found["TRACEPARENT"] == parent_of(recorded.span)
    assert "TRACESTATE" not in found
    assert "BAGGAGE" not in found


def test_a_changed_copy_says_only_what_it_changes(recorded: Recorded, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRACEPARENT", OTHER)
    assert environment(env={**os.environ, "A": "1"})["TRACEPARENT"] == parent_of(recorded.span)
    assert environment(env={**os.environ, "TRACEPARENT": THIRD})["TRACEPARENT"] == THIRD


def test_the_callers_own_proxy_is_kept(recorded: Recorded):
    assert environment(env={"HTTPS_PROXY": "http://custom:1"})["HTTPS_PROXY"] == "http://custom:1"


def test_propagators_of_ones_own_change_nothing(recorded: Recorded, monkeypatch: pytest.MonkeyPatch):
    from opentelemetry import propagate
    from opentelemetry.propagators.composite import CompositePropagator

    monkeypatch.setattr(propagate, "propagator", CompositePropagator([]))
    assert environment(env={}) == {"TRACEPARENT": parent_of(recorded.span)}


def test_a_child_that_is_not_sampled_knows_it(recorded: Recorded):
    SubprocessInstrumentor().uninstrument()
    SubprocessInstrumentor().instrument(tracer_provider=TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    assert int(environment(env={})["TRACEPARENT"][-2:], 16) & 1 == 0
    assert recorded.spans == ()


def test_a_grandchild_belongs_to_the_session(recorded: Recorded):
    with session("s"):
        done = subprocess.run(
            ["sh", "-c", "sh -c 'echo $TRACEPARENT $BAGGAGE'; :"], stdout=subprocess.PIPE, text=True, check=True
        )
    parent, baggage = done.stdout.split()
    assert parent == parent_of(recorded.span)
    assert "session.id=s" in baggage
