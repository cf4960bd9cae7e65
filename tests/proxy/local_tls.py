"""An HTTPS server with a leaf of ours, and the least that a proxy can be, both on 127.0.0.1 and in threads."""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from llmtrace_otel.proxy.authority import Authority

PERMITTED = "api.llm.example"
OTHER = "bank.example"


class Hello(BaseHTTPRequestHandler):
    """Answers every GET with `hello`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


class HTTPSServer(ThreadingHTTPServer):
    """`context` is that of the host that it passes for."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Hello)
        self._context = context

    def finish_request(self, request: socket.socket, client_address: object) -> None:
        with self._context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that refuse the certificate hang up; that is theirs to tell."""


class ConnectProxy(socketserver.ThreadingTCPServer):
    """Leads every CONNECT with the right credentials to one port; notes the hosts asked for, and refuses the others."""

    daemon_threads = True

    def __init__(self, target: int, credentials: str) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target = target
        self.authorization = "Basic " + base64.b64encode(credentials.encode()).decode()
        self.hosts: list[str] = []


class _Connection(socketserver.StreamRequestHandler):
    server: ConnectProxy

    def handle(self) -> None:
        request = self.rfile.readline().decode().split()
        headers = dict(line.split(": ", 1) for line in iter(lambda: self.rfile.readline().decode().strip(), ""))
        given = {name.lower(): value for name, value in headers.items()}.get("proxy-authorization")
        if request[0] != "CONNECT" or given != self.server.authorization:
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        self.server.hosts.append(request[1])
        with socket.create_connection(("127.0.0.1", self.server.target)) as target:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_pump, args=(target, self.connection))
            back.start()
            _pump(self.connection, target)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        sink.close()


@contextmanager
def running(server: socketserver.BaseServer) -> Iterator[int]:
    """The server's port, while it runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serving(authority: Authority, host: str) -> Iterator[int]:
    """The port of a server that passes for `host`."""
    with running(HTTPSServer(authority.context(host))) as port:
        yield port


def written(authority: Authority, directory: Path) -> Path:
    """The directory as a proxy leaves it for children: with `ca.pem` in it. Gives that file."""
    path = directory / "ca.pem"
    path.write_bytes(authority.pem)
    return path
