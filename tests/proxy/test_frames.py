"""What is read of a WebSocket: OpenAI's Responses as codex speaks them, plain and compressed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_taps import USAGE, Connection, head
from wsproto import ConnectionType
from wsproto.connection import Connection as Peer
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import ParseFailed

CREATE = {"type": "response.create", "model": "gpt-5-codex", "input": "hi"}
COMPLETED = {
    "type": "response.completed",
    "response": {
        "id": "resp_1",
        "model": "gpt-5-codex",
        "status": "completed",
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
    },
}
DEFLATE = ("permessage-deflate", "permessage-deflate; client_max_window_bits=10; server_max_window_bits=9")
NO_CONTEXT = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"


def extended(agreed: str | None) -> list[Any]:
    """What one of the two peers compresses with."""
    if agreed is None:
        return []
    deflate = PerMessageDeflate()
    deflate.finalize(agreed)
    return [deflate]


class Socket:
    """A WebSocket to OpenAI, as the tap sees it."""

    def __init__(self, agreed: str | None, path: str = "/v1/responses") -> None:
        self.connection = Connection()
        self.client = Peer(ConnectionType.CLIENT, extended(agreed))
        self.server = Peer(ConnectionType.SERVER, extended(agreed))
        upgrade = ["Host: a", "Connection: Upgrade", "Upgrade: websocket", "Traceparent: 00-1-2-01"]
        self.connection.tap.sent(head(f"GET {path} HTTP/1.1", *upgrade))
        lines = ["Connection: Upgrade", "Upgrade: websocket"]
        lines += [f"Sec-WebSocket-Extensions: {agreed}"] if agreed else []
        self.early = head("HTTP/1.1 101 Switching Protocols", *lines)

    def says(self, *events: Any) -> None:
        """The client speaks."""
        self.connection.tap.sent(b"".join(self.client.send(event) for event in events))

    def hears(self, *events: Any) -> None:
        """The server speaks."""
        early, self.early = self.early, b""
        self.connection.tap.received(early + b"".join(self.server.send(event) for event in events))


def text(value: Any) -> TextMessage:
    return TextMessage(json.dumps(value))


def expected(count: int) -> list[Any]:
    return [("gpt-5-codex", 101, USAGE, True, None)] * count


@pytest.mark.parametrize("agreed", [None, *DEFLATE, NO_CONTEXT], ids=str)
def test_each_turn_is_a_call(agreed: str | None):
    socket = Socket(agreed)
    socket.hears()
    for turn in (1, 2):
        socket.says(text(CREATE))
        socket.hears(Ping(b"?"), text({"type": "response.created", "response": {"id": "resp_1"}}), text(COMPLETED))
        assert socket.connection.outcome == expected(turn)
    call = socket.connection.calls[0]
    assert call.end_ns is not None
    assert call.layer == "proxy"
    assert call.end_ns >= call.start_ns > 0
    assert socket.connection.told[0][2] == "00-1-2-01"


def test_a_message_may_come_in_many_frames_and_bytes():
    socket = Socket("permessage-deflate")
    socket.hears()
    whole = json.dumps(CREATE)
    socket.says(TextMessage(whole[:20], message_finished=False), TextMessage(whole[20:]))
    raw = json.dumps(COMPLETED).encode()
    socket.hears(BytesMessage(raw[:9], message_finished=False), Ping(), BytesMessage(raw[9:]))
    assert socket.connection.outcome == expected(1)


def test_what_comes_with_the_switch_is_read_too():
    socket = Socket(None)
    socket.says(text(CREATE))  # the client does not wait
    socket.hears(text(COMPLETED))
    assert socket.connection.outcome == expected(1)


@given(st.lists(st.integers(1, 200), max_size=6))
def test_frames_may_be_cut_anywhere(sizes: list[int]):
    socket = Socket("permessage-deflate")
    socket.hears()
    said = socket.client.send(text(CREATE))
    for size in sizes:
        socket.connection.tap.sent(said[:size])
        said = said[size:]
    socket.connection.tap.sent(said)
    socket.hears(text(COMPLETED))
    assert socket.connection.outcome == expected(1)


@pytest.mark.parametrize(
    ("code", "error"), [(1000, None), (1001, None), (1011, "ConnectionError"), (None, "ConnectionError")]
)
def test_a_server_that_closes_in_the_middle_of_a_turn(code: int | None, error: str | None):
    socket = Socket(None)
    socket.hears()
    socket.says(text(CREATE))
    if code is not None:
        socket.hears(CloseConnection(code))
    socket.connection.tap.lost(None)
    assert socket.connection.outcome == [("gpt-5-codex", 101, None, False, error)]


def test_a_client_that_leaves_in_the_middle_of_a_turn():
    socket = Socket(None)
    socket.hears()
    socket.says(text(CREATE))
    socket.connection.tap.left()
    assert socket.connection.outcome == [("gpt-5-codex", 101, None, False, None)]


def test_a_socket_on_which_no_model_is_spoken_with_is_not_read():
    socket = Socket(None, "/v1/live-updates")
    socket.hears()
    socket.says(text(CREATE))
    socket.hears(text(COMPLETED))
    socket.connection.tap.left()
    assert socket.connection.told == []


def test_what_are_no_frames_raises_for_the_tee_to_know():
    socket = Socket(None)
    socket.hears()
    with pytest.raises(ParseFailed):
        socket.connection.tap.received(b"\xff" * 20)
