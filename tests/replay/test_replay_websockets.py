"""WebSockets are not recorded: where recordings are to answer, none to a model is opened, and the program is told."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest
from tapes import Tape
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

from llmtrace_otel.instrument.websockets import WebSocketsInstrumentor
from llmtrace_otel.replay import CannotReplayError

SAID = "llmtrace replay: WebSockets are not recorded, and one to api.openai.com is not opened; use plain HTTP"


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_none_is_opened_to_a_model(asynchronous: bool, tape: Tape) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    heard: list[bytes] = []
    listening = threading.Thread(target=lambda: heard.append(theirs.recv(1)))
    listening.start()
    url = "ws://api.openai.com/v1/realtime?model=gpt-realtime"

    async def open_async() -> Any:
        return await connect_async(url, sock=ours, proxy=None)

    with tape.replay(WebSocketsInstrumentor()), pytest.raises(CannotReplayError) as error:
        asyncio.run(open_async()) if asynchronous else connect(url, sock=ours, proxy=None)
    ours.close()
    listening.join()
    theirs.close()
    assert (str(error.value), tape.misses, heard) == (SAID, [SAID], [b""])
