"""A proxy in a thread, and servers for it to reach: names lead to 127.0.0.1, each with a certificate of a test's CA."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmtrace_otel.proxy.authority import Authority
from llmtrace_otel.proxy.credentials import Credentials
from llmtrace_otel.proxy.messages import Child
from llmtrace_otel.proxy.server import Server
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.providers import Providers
from provider import Provider

OPENED = "api.openai.com"
UNOPENED = "files.example"
TOKEN = "the-secret-token"
PATIENCE = 10.0
"""Seconds until a test fails that waits for something."""


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


AUTHORIZATION = basic("child", TOKEN)


def connect(target: str, authorization: str | None = None) -> bytes:
    """The head that asks for a tunnel."""
    told = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{told}\r\n".encode()


class World:
    """The proxy, its CA, the servers' CA, and the calls that the proxy has told of."""

    def __init__(self, directory: Path, *, capture: bool = False, providers: Providers | None = None) -> None:
        self.authority = Authority([OPENED])
        self.ca = Authority([OPENED, UNOPENED])
        self.ca_file = directory / "servers-ca.pem"
        self.ca_file.write_bytes(self.ca.pem)
        self.credentials = Credentials()
        self.child = Child("child", TOKEN, {}, trust=[str(self.ca_file)], only=True)
        self.credentials.add(self.child)
        self.calls: list[tuple[str, Call, str | None]] = []
        self._changed = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://child:{TOKEN}@127.0.0.1:{self.port}"
        self.server = Server(
            authority=self.authority,
            permitted=frozenset([OPENED]),
            credentials=self.credentials,
            seen=self._seen,
            providers=providers or Providers(),
            capture=capture,
        )
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> World:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()
        self.listener.close()

    async def _serve(self) -> None:
        serving = asyncio.ensure_future(self.server.serve(self.listener))
        await self._stopping.wait()
        serving.cancel()
        self.server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.01)  # closed transports let go of their sockets

    def in_loop(self, asked: Any) -> Any:
        """What a coroutine gives in the proxy's thread."""
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(PATIENCE)

    def _seen(self, child: str, call: Call, traceparent: str | None) -> None:
        with self._changed:
            self.calls.append((child, call, traceparent))
            self._changed.notify_all()

    def wait_for_calls(self, count: int) -> list[Call]:
        """The calls, as soon as there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls) >= count, PATIENCE), f"only {self.calls}"
            return [call for _, call, _ in self.calls]

    # Clients

    def dial(self) -> socket.socket:
        """A connection to the proxy."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def tunnel(self, host: str, port: int) -> socket.socket:
        """A connection through it, by CONNECT."""
        client = self.dial()
        client.sendall(connect(f"{host}:{port}", AUTHORIZATION))
        head = read_until(client, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        return client

    def trusting(self, *pems: bytes, protocols: list[str] | None = None) -> ssl.SSLContext:
        """The client's side of TLS, for one who trusts the proxy's CA, or the ones given."""
        context = ssl.create_default_context(cadata="".join(pem.decode() for pem in pems or (self.authority.pem,)))
        if protocols is not None:
            context.set_alpn_protocols(protocols)
        return context

    def secure(self, host: str, port: int, *pems: bytes, protocols: list[str] | None = None) -> ssl.SSLSocket:
        """A connection through it, with TLS."""
        context = self.trusting(*pems, protocols=protocols)
        return context.wrap_socket(self.tunnel(host, port), server_hostname=host)


def read_until(client: socket.socket, end: bytes) -> bytes:
    """What comes up to and with `end`, byte by byte; or up to the connection's end."""
    data = b""
    while not data.endswith(end) and (piece := client.recv(1)):
        data += piece
    return data


def read_all(client: socket.socket) -> bytes:
    """What comes until the connection's end, orderly or not."""
    data = b""
    with suppress(OSError):
        while piece := client.recv(1 << 16):
            data += piece
    return data


def read_exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := client.recv(count - len(data))):
        data += piece
    return data


class Scripted:
    """A server that does with each connection what a test says, in a thread of its own."""

    def __init__(self, play: Callable[[Any], None], context: ssl.SSLContext | None = None) -> None:
        self._play = play
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        self.failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)

    def __enter__(self) -> Scripted:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for connection in self.connections:
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self.connections.append(connection)
            connection.settimeout(PATIENCE)
            self._play(connection)
        except (OSError, ValueError) as error:
            self.failures.append(error)
        finally:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            connection.close()


def secured(provider: Provider, context: ssl.SSLContext) -> int:
    """Puts TLS before a provider that is not started yet; gives its port."""
    provider.server.socket = context.wrap_socket(
        provider.server.socket, server_side=True, do_handshake_on_connect=False
    )
    port: int = provider.server.server_address[1]
    return port


def eventually(is_so: Callable[[], bool]) -> bool:
    """Whether something becomes so."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True
