"""The sockets: an HTTP/1.1 server on 127.0.0.1 that records every request and answers by `routes.py`."""

from __future__ import annotations

import json
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any

from .ask import Ask
from .errors import openai_error
from .reply import Reply, json_reply, travel
from .routes import Failures, respond

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True)
class Request:
    """A request as it came: `path` with its query, `headers` in order and in the client's spelling, the whole body."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name in any spelling, or None."""
        return self.lowered.get(name.lower())

    @property
    def lowered(self) -> dict[str, str]:
        return {name.lower(): value for name, value in reversed(self.headers)}


class Provider:
    """A provider that runs in threads of this process: `with Provider() as provider: provider.url`.

    `realistic` makes the usage of every answer follow from the sizes of the bodies. `requests` grows as they arrive.
    """

    def __init__(self, *, realistic: bool = False, port: int = 0) -> None:
        self.realistic = realistic
        self.requests: list[Request] = []
        self.failures = Failures()
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.server = Server(("127.0.0.1", port), self)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), name="provider")

    def __enter__(self) -> Provider:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.disconnect()
        self.server.server_close()
        self.thread.join()

    def record(self, request: Request) -> int:
        """Keeps the request and returns its number, counted from 1."""
        with self.lock:
            self.requests.append(request)
            return len(self.requests)

    def answer(self, request: Request) -> tuple[Reply, Ask]:
        number, headers = self.record(request), request.lowered
        realistic = self.realistic or headers.get("x-usage") == "realistic"
        body = parsed(request.body)
        ask = Ask(number, request.method, request.path, headers, request.body, body or {}, realistic)
        if body is None:
            return json_reply(openai_error(400), status=400), ask
        return travel(respond(ask, self.failures), ask), ask


def parsed(body: bytes) -> dict[str, Any] | None:
    """The JSON object of a body, empty for an empty body, None for anything else."""
    with suppress(ValueError):
        value = json.loads(body or b"{}")
        return value if isinstance(value, dict) else None
    return None


class Server(ThreadingTCPServer):
    """A thread for every connection; all of them are closed and joined when the provider stops."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], provider: Provider) -> None:
        self.provider = provider
        self.connections: set[socket.socket] = set()
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def disconnect(self) -> None:
        """Wakes the threads that wait for a next request on a connection that is kept alive."""
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is part of the game; anything else is a bug here and is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        request = Request(self.command, self.path, tuple(self.headers.items()), self.read_body())
        reply, ask = self.server.provider.answer(request)
        self.pause(ask.seconds("x-delay"))
        self.write_head(reply)
        self.write_body(reply, ask.seconds("x-chunk-delay"))
        self.close_connection |= reply.cut

    do_GET = do_POST  # noqa: N815 - the base class's name

    def read_body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(iter(self.read_chunk, b""))
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def read_chunk(self) -> bytes:
        """The next HTTP chunk; empty for the last one."""
        size = int(self.rfile.readline().partition(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def write_head(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        framing = ("transfer-encoding", "chunked") if reply.length is None else ("content-length", str(reply.length))
        self.send_header(*framing)
        self.end_headers()

    def write_body(self, reply: Reply, delay: float) -> None:
        for number, piece in enumerate(filter(None, reply.pieces)):
            self.pause(delay if number else 0)
            self.wfile.write(piece if reply.length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
        if reply.length is None and not reply.cut:
            self.wfile.write(b"0\r\n\r\n")

    def pause(self, seconds: float) -> None:
        """Waits, but not past the end of the provider."""
        if seconds:
            self.server.provider.stopping.wait(seconds)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Says nothing: what came is in `Provider.requests`."""
