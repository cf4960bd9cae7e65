"""The providers' own hosts, played by `tests/provider` behind TLS on 127.0.0.1:443, with WebSockets added.

Every request is written to a file, and answered as the `Play` wants it.
"""

from __future__ import annotations

import json
import ssl
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from provider import Provider, Request
from provider.ask import Ask
from provider.reply import Reply, json_reply, travel
from provider.routes import respond
from provider.server import Handler, parsed

from . import certificates, websocket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .play import Play

HOSTS = ("api.anthropic.com", "api.openai.com", "chatgpt.com", "generativelanguage.googleapis.com")
WEBSOCKET = "WEBSOCKET"
"""The method under which a message on a WebSocket is recorded, with the headers of the handshake."""


class FakeLLM(Provider):
    """Serves all of `HOSTS` until its `with` block ends.

    `folder` gets `ca.pem`, `requests.jsonl`, and in `answers.txt` the time by the monotonic clock when the last byte of
    each answer had been written.
    """

    def __init__(self, folder: Path, play: Play) -> None:
        super().__init__(port=443)
        self.play = play
        self.log, self.answers = folder / "requests.jsonl", folder / "answers.txt"
        certificates.write(folder, HOSTS)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        context.set_alpn_protocols(["http/1.1"])
        # The handshake is left to the connection's own thread.
        listener = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.socket, self.server.RequestHandlerClass = listener, Spoken

    def record(self, request: Request) -> int:
        number = super().record(request)
        line = json.dumps(asdict(request) | {"body": request.body.decode(), "number": number})
        with self.lock, self.log.open("a") as log:
            log.write(line + "\n")
        return number

    def answered(self) -> None:
        with self.lock, self.answers.open("a") as answers:
            answers.write(f"{time.monotonic()}\n")

    def answer(self, request: Request) -> tuple[Reply, Ask]:
        ask = self.asked(request)
        return travel(self.reply(ask), ask), ask

    def asked(self, request: Request) -> Ask:
        """The request as the play wants it answered."""
        number, body = self.record(request), parsed(request.body) or {}
        with self.lock:
            played = self.play.body(body)
        return Ask(number, request.method, request.path, request.lowered | self.play.headers, request.body, played)

    def reply(self, ask: Ask) -> Reply:
        if ask.headers.get("host") == "chatgpt.com" and ask.path.partition("?")[0].endswith("/models"):
            return json_reply({"models": []})
        return respond(ask, self.failures)


class Spoken(Handler):
    """Adds WebSockets to the provider's connections."""

    @property
    def llm(self) -> FakeLLM:
        assert isinstance(self.server.provider, FakeLLM)
        return self.server.provider

    def handle(self) -> None:
        with suppress(ssl.SSLError):  # as `Server.handle_error` has it: a client that left is part of the game
            super().handle()

    def do_GET(self) -> None:
        if self.headers.get("upgrade", "").lower() != "websocket":
            return self.do_POST()
        request = Request(self.command, self.path, tuple(self.headers.items()), b"")
        self.llm.record(request)
        websocket.converse(self, lambda text: self.told(replace(request, method=WEBSOCKET, body=text.encode())))
        self.close_connection = True
        return None

    def write_body(self, reply: Reply, delay: float) -> None:
        super().write_body(reply, delay)
        self.llm.answered()

    def told(self, message: Request) -> Iterator[str]:
        """The messages that answer one, with the play's pauses between them."""
        ask = self.llm.asked(message)
        for number, text in enumerate(websocket.story(ask)):
            self.pause(ask.seconds("x-chunk-delay") if number else 0)
            yield text
