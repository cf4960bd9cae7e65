"""Children are led to the proxy where they are to be, and the proxy knows when they begin and end."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from subprocess_helpers import instrumented

from llmtrace_otel.instrument.subprocess import SubprocessInstrumentor
from llmtrace_otel.proxy import environment, link
from support.spans import Recorded

OFFER = environment.Offer("http://id:token@127.0.0.1:9", "id", "token", "/nowhere", relay=False)


class Admission:
    """Notes what it is told."""

    offer = OFFER

    def __init__(self) -> None:
        self.told: list[Any] = []

    def started(self, pid: int) -> None:
        self.told.append(pid)

    def ended(self) -> None:
        self.told.append("ended")


class Proxy:
    """Stands in the place of `link.admit`."""

    def __init__(self) -> None:
        self.contexts: list[Any] = []
        self.environs: list[dict[str, str]] = []
        self.admission: Admission | None = Admission()

    def admit(self, context, environ, providers, executable):
        self.contexts.append(context)
        self.environs.append(dict(environ))
        return self.admission


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch):
    with instrumented(monkeypatch) as recorded:
        monkeypatch.delenv("LLMTRACE_INTERCEPT")
        yield recorded


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """A proxy, and an environment whose only sign of it is its URL."""
    proxy = Proxy()
    monkeypatch.setattr(link, "admit", proxy.admit)
    monkeypatch.setattr(environment, "intercepted", lambda environ, _, offer: {**environ, "HTTPS_PROXY": offer.url})
    return proxy


SHOW = ["sh", "-c", 'echo "$HTTPS_PROXY"']


def test_a_child_is_led_to_the_proxy_in_its_spans_context(recorded: Recorded, proxy: Proxy):
    with subprocess.Popen(SHOW, stdout=subprocess.PIPE, env={"A": "1", b"B": b"2"}) as child:
        printed = child.stdout.read()

    assert printed.decode().strip() == OFFER.url
    assert proxy.environs == [{"A": "1", "B": "2"}]
    assert [trace.get_current_span(context).get_span_context() for context in proxy.contexts] == [recorded.span.context]
    assert proxy.admission.told == [child.pid, "ended"]


def test_a_child_that_cannot_start_has_ended_for_the_proxy(recorded: Recorded, proxy: Proxy):
    with pytest.raises(FileNotFoundError):
        subprocess.run(["no-such-program"])
    assert proxy.admission.told == ["ended"]


@pytest.mark.parametrize("mode", ["auto", "never"])
def test_who_is_not_to_be_led_there_is_not(
    recorded: Recorded, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, mode: str
):
    monkeypatch.setenv("LLMTRACE_INTERCEPT", mode)
    subprocess.run(["true"] if mode == "auto" else SHOW, check=True)
    assert proxy.contexts == []
    assert len(recorded.spans) == 1


def test_where_the_proxy_cannot_serve_nothing_is_put_in(recorded: Recorded, proxy: Proxy):
    proxy.admission = None
    done = subprocess.run(SHOW, stdout=subprocess.PIPE, env={}, check=True)
    assert done.stdout == b"\n"


@pytest.mark.parametrize("broken", [(link, "admit"), (environment, "intercepted")], ids=["admit", "intercepted"])
def test_a_proxy_that_breaks_costs_no_child(recorded: Recorded, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, broken):
    def breaks(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(*broken, breaks)
    done = subprocess.run(SHOW, stdout=subprocess.PIPE, env={}, check=True)
    assert done.stdout == b"\n"
    assert len(recorded.spans) == 1


def test_a_child_whose_span_is_not_recorded_is_not_led_there(recorded: Recorded, proxy: Proxy):
    SubprocessInstrumentor().uninstrument()
    SubprocessInstrumentor().instrument(tracer_provider=TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    done = subprocess.run(SHOW, stdout=subprocess.PIPE, env={}, check=True)
    assert done.stdout == b"\n"
    assert proxy.contexts == []


def test_a_program_behind_a_terminal_is_led_there_once(recorded: Recorded, proxy: Proxy, capfd):
    pty.spawn(SHOW, stdin_read=lambda _: b"")
    sys.stdout.flush()
    assert capfd.readouterr().out.strip() == OFFER.url
    assert (len(proxy.contexts), proxy.admission.told[1:]) == (1, ["ended"])


def test_an_exec_that_fails_has_ended_for_the_proxy(recorded: Recorded, proxy: Proxy, tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o700)
    with pytest.raises(OSError, match="Exec format error"):
        os.execv(broken, ["broken"])
    assert proxy.admission.told == [os.getpid(), "ended"]


def test_an_exec_asks_for_the_program_that_is_there(recorded: Recorded, proxy: Proxy, tmp_path):
    with pytest.raises(FileNotFoundError):
        os.execvp("no-such-program", ["program"])
    assert proxy.contexts == []
