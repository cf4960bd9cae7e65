"""A local WebSocket server that a test scripts, and the frames that models send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from websockets.sync.server import ServerConnection, serve

Handler = Callable[[ServerConnection], None]

SESSION = {"type": "session.created", "session": {"model": "gpt-realtime-2025-08-28", "output_modalities": ["text"]}}
USAGE = {
    "input_tokens": 20,
    "output_tokens": 7,
    "input_token_details": {"cached_tokens": 16},
    "output_token_details": {"reasoning_tokens": 2},
}


@contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """A server whose connections `handler` answers; gives its address, `127.0.0.1:port`."""
    with serve(handler, "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def say(connection: ServerConnection, *events: dict[str, Any]) -> None:
    for event in events:
        connection.send(json.dumps(event))


def heard(connection: ServerConnection) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(connection.recv())
    return event


def created(number: int) -> dict[str, Any]:
    response = {"id": f"resp_{number}", "conversation_id": "conv_1", "status": "in_progress", "usage": None}
    return {"type": "response.created", "response": response}


def delta(number: int) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "response_id": f"resp_{number}", "delta": "Hello"}


def done(number: int, status: str = "completed", **more: Any) -> dict[str, Any]:
    text = {"type": "output_text", "text": "Hello"}
    message = {"id": f"item_{number}", "type": "message", "role": "assistant", "content": [text]}
    response = {"id": f"resp_{number}", "status": status, "output": [message], "usage": USAGE, **more}
    return {"type": "response.done", "response": response}


def answers(connection: ServerConnection) -> None:
    """Answers each `response.create` of a Realtime session, one after the other."""
    say(connection, SESSION)
    number = 0
    for frame in connection:
        if json.loads(frame)["type"] == "response.create":
            number += 1
            say(connection, created(number), delta(number), done(number))
