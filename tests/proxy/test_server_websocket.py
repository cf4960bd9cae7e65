"""OpenAI's Responses over a WebSocket through the proxy, with real peers: codex speaks like this."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from test_frames import COMPLETED, CREATE
from test_taps import USAGE
from websockets.sync.client import connect
from websockets.sync.server import serve
from world import OPENED, World


@pytest.fixture
def responses(world: World) -> Iterator[str]:
    """The URL of a server that completes whatever it is asked."""

    def answer(socket: Any) -> None:
        for _ in socket:
            socket.send(json.dumps(COMPLETED))

    with serve(answer, "127.0.0.1", 0, ssl=world.ca.context(OPENED)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"wss://{OPENED}:{server.socket.getsockname()[1]}/v1/responses"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("compression", ["deflate", None], ids=str)
def test_each_turn_is_a_call(world: World, responses: str, compression: Any):
    with connect(responses, proxy=world.url, ssl=world.trusting(), compression=compression) as socket:
        for turn in (1, 2):
            socket.send(json.dumps(CREATE))
            assert json.loads(socket.recv()) == COMPLETED
            assert len(world.wait_for_calls(turn)) == turn  # while the connection is open
    assert [(child, call.request_model, call.usage, call.layer) for child, call, _ in world.calls] == [
        ("child", "gpt-5-codex", USAGE, "proxy")
    ] * 2
