"""OpenAI Responses over a WebSocket with permessage-deflate, on a connection whose upgrade has just been read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from provider import openai_responses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from http.server import BaseHTTPRequestHandler

    from provider.ask import Ask

    Answers = Callable[[str], Iterable[str]]


def converse(handler: BaseHTTPRequestHandler, answers: Answers) -> None:
    """Answers each text message by those of `answers`, until the client leaves."""
    wire = WSConnection(ConnectionType.SERVER)
    heard: list[str] = []
    for event in events(handler, wire):
        for reply in replies(event, heard, answers):
            handler.wfile.write(wire.send(reply))


def events(handler: BaseHTTPRequestHandler, wire: WSConnection) -> Iterator[Event]:
    headers = [(name.encode(), value.encode()) for name, value in handler.headers.items()]
    wire.initiate_upgrade_connection(headers, handler.path)
    yield from wire.events()
    while data := handler.rfile.read1(65536):
        wire.receive_data(data)
        yield from wire.events()


def replies(event: Event, heard: list[str], answers: Answers) -> Iterator[Event]:
    """What is sent for an event; `heard` holds the parts of a message that is not whole yet."""
    match event:
        case Request():
            yield AcceptConnection(extensions=[PerMessageDeflate()])
        case Ping() | CloseConnection():
            yield event.response()
        case TextMessage():
            heard.append(event.data)
            if event.message_finished:
                whole = "".join(heard)
                heard.clear()
                yield from (TextMessage(data=answer) for answer in answers(whole))


def story(ask: Ask) -> Iterator[str]:
    """The messages that answer a `response.create`."""
    told = warmed_up(ask) if ask.body.get("generate") is False else openai_responses.story(ask)
    for number, data in enumerate(told):
        yield json.dumps(in_namespaces(data) | {"sequence_number": number})


def warmed_up(ask: Ask) -> Iterator[dict[str, Any]]:
    """The answer to `generate: false`, which only sends ahead what a later request refers to."""
    yield {"type": "response.created", "response": openai_responses.response(ask, "in_progress")}
    yield {"type": "response.completed", "response": openai_responses.response(ask, "completed")}


def in_namespaces(data: dict[str, Any]) -> dict[str, Any]:
    """The same event with a called tool's namespace beside its name."""
    namespace, dot, name = data.get("item", {}).get("name", "").rpartition(".")
    return data | {"item": data["item"] | {"namespace": namespace, "name": name}} if dot else data
