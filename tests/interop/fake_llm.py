"""The providers' own hosts, played by `tests/provider` behind TLS on 127.0.0.1:443, with Gemini and WebSockets added.

Every request is written to a file, and answered as the `Play` wants it.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from provider import Provider, Request, gemini
from provider.ask import Ask
from provider.reply import Reply, json_reply, travel
from provider.routes import inference, respond
from provider.server import Handler, parsed

from . import certificates, websocket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .play import Play

HOSTS = ("api.anthropic.com", "api.openai.com", "chatgpt.com", "generativelanguage.googleapis.com")
GEMINI = {":generateContent": gemini.GENERATE, ":streamGenerateContent": gemini.STREAM}
WEBSOCKET = "WEBSOCKET"
"""The method under which a message on a WebSocket is recorded, with the headers of the handshake."""


class FakeLLM(Provider):
    """Serves all of `HOSTS` until its `with` block ends; `folder` gets `ca.pem` and `requests.jsonl`."""

    def __init__(self, folder: Path, play: Play) -> None:
        super().__init__(port=443)
        self.play = play
        self.log = folder / "requests.jsonl"
        certificates.write(folder, HOSTS)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        context.set_alpn_protocols(["http/1.1"])
        # The handshake is left to the connection's own thread.
        listener = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.socket, self.server.RequestHandlerClass = listener, Spoken

    def record(self, request: Request) -> int:
        number = super().record(request)
        line = json.dumps(asdict(request) | {"body": request.body.decode()})
        with self.lock, self.log.open("a") as log:
            log.write(line + "\n")
        return number

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
        ending = ":" + ask.path.partition("?")[0].rpartition(":")[2]
        return inference(ask, GEMINI[ending], None) if ending in GEMINI else respond(ask, self.failures)


class Spoken(Handler):
    """Adds WebSockets to the provider's connections."""

    def do_GET(self) -> None:
        if self.headers.get("upgrade", "").lower() != "websocket":
            return self.do_POST()
        request = Request(self.command, self.path, tuple(self.headers.items()), b"")
        self.server.provider.record(request)
        websocket.converse(self, lambda text: self.told(replace(request, method=WEBSOCKET, body=text.encode())))
        self.close_connection = True
        return None

    def told(self, message: Request) -> Iterator[str]:
        """The messages that answer one, with the play's pauses between them."""
        llm = self.server.provider
        assert isinstance(llm, FakeLLM)
        ask = llm.asked(message)
        for number, text in enumerate(websocket.story(ask)):
            self.pause(ask.seconds("x-chunk-delay") if number else 0)
            yield text
