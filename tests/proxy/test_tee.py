"""Two connections joined: bytes go by unchanged, whatever a tap does, and no faster than they are taken."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_taps import asked

from llmtrace_otel.proxy.readings import Calls, Where
from llmtrace_otel.proxy.taps import HTTPTap
from llmtrace_otel.proxy.tee import Tap, Tee
from llmtrace_otel.proxy.upstream import Waiting
from llmtrace_otel.wire.providers import Providers


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.written = b""
        self.state = "open"
        self.is_read = True
        self.is_ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Never full of itself."""

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.is_ended = True

    def is_closing(self) -> bool:
        return self.state != "open"

    def close(self) -> None:
        self.state = "closed"

    def abort(self) -> None:
        self.state = "aborted"


class Broken:
    """A tap that cannot read a thing."""

    def __init__(self) -> None:
        self.asked = 0

    def sent(self, data: bytes) -> None:
        self.asked += 1
        raise RuntimeError("secret " + data.decode("latin-1"))

    received = sent

    def left(self) -> None:
        raise RuntimeError("still broken")

    def lost(self, error: Exception | None) -> None:
        raise RuntimeError("still broken")


class Joined:
    """A tee between two wires."""

    def __init__(self, tap: Tap | None = None, kept: bytes = b"") -> None:
        self.over: list[Tee] = []
        self.client, self.upstream = Wire(), Wire()
        self.tee = Tee(self.over.append)
        self.tee.tap(tap)
        waiting = Waiting()
        waiting.transport = self.upstream
        waiting.kept += kept
        self.tee.connect(waiting)
        self.tee.client.connection_made(self.client)

    @property
    def states(self) -> tuple[str, str]:
        return self.client.state, self.upstream.state


def http_tap() -> HTTPTap:
    return HTTPTap(Calls(lambda *_: None, Providers(), capture=True), Where("child", "api.openai.com", 443))


HTTP = (asked(), asked()[:40], b"HTTP/1.1 200 OK\r\n\r\n")
pieces = st.lists(st.binary(min_size=1) | st.sampled_from(HTTP))


@given(st.lists(st.tuples(st.booleans(), pieces)))
def test_whatever_is_said_arrives_as_it_was_said(said: list[tuple[bool, list[bytes]]]):
    joined = Joined(http_tap())
    for is_client, data in said:
        side = joined.tee.client if is_client else joined.tee.upstream
        for piece in data:
            side.data_received(piece)
    joined.tee.upstream.connection_lost(None)
    assert joined.upstream.written == b"".join(piece for is_client, data in said for piece in data if is_client)
    assert joined.client.written == b"".join(piece for is_client, data in said for piece in data if not is_client)


def test_a_tap_that_breaks_is_asked_no_more_and_quoted_nowhere(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    tap = Broken()
    joined = Joined(tap)
    for _ in range(3):
        joined.tee.client.data_received(b"hello")
        joined.tee.upstream.data_received(b"world")
    joined.tee.client.connection_lost(None)
    assert (joined.upstream.written, joined.client.written) == (b"hello" * 3, b"world" * 3)
    assert tap.asked == 1
    assert "secret" not in caplog.text
    assert "RuntimeError" in caplog.text


def test_what_the_server_said_first_is_not_lost():
    assert Joined(kept=b"220 ready\r\n").client.written == b"220 ready\r\n"


def test_a_side_is_read_no_faster_than_the_other_takes_it():
    joined = Joined()
    joined.tee.client.pause_writing()
    assert (joined.client.is_read, joined.upstream.is_read) == (True, False)
    joined.tee.client.resume_writing()
    joined.tee.upstream.pause_writing()
    assert (joined.client.is_read, joined.upstream.is_read) == (False, True)
    joined.tee.upstream.resume_writing()
    assert (joined.client.is_read, joined.upstream.is_read) == (True, True)


@pytest.mark.parametrize(("error", "state"), [(None, "closed"), (ConnectionResetError(), "aborted")], ids=str)
def test_the_end_of_one_side_is_the_others_and_is_of_its_kind(error: Exception | None, state: str):
    joined = Joined()
    joined.tee.upstream.connection_lost(error)
    joined.tee.client.connection_lost(None)
    assert joined.states == (state, "open")  # the upstream's own transport is over already
    assert joined.over == [joined.tee]


def test_a_tunnel_may_be_over_in_one_direction():
    joined = Joined()
    assert joined.tee.client.eof_received() is True
    assert joined.upstream.is_ended
    joined.tee.upstream.data_received(b"the rest")
    assert joined.client.written == b"the rest"
    assert joined.tee.upstream.eof_received() is False


def test_a_client_that_is_read_and_says_no_more_has_gone():
    assert Joined(http_tap()).tee.client.eof_received() is False


def test_a_client_that_comes_too_late_for_its_server_is_let_go():
    tee = Tee(lambda _: None)
    waiting = Waiting()
    waiting.transport = Wire()
    tee.connect(waiting)
    tee.upstream.connection_lost(None)
    client = Wire()
    tee.client.connection_made(client)
    assert client.state == "closed"
