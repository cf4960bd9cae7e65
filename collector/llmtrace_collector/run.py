"""Runs the collector: binds, opens the exporters, serves until SIGINT or SIGTERM, then flushes and sums up."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import signal
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import uvicorn

from llmtrace_collector import config as configuration
from llmtrace_collector.errors import ConfigError
from llmtrace_collector.exporters.debug import DebugExporter
from llmtrace_collector.exporters.file import FileExporter
from llmtrace_collector.exporters.otlp_http import Forwarder
from llmtrace_collector.pipeline import Pipeline
from llmtrace_collector.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmtrace_collector.config import Address, Config

FLUSH_SECONDS = 5
KEEP_ALIVE_SECONDS = 75  # longer than any SDK's export interval, so that a connection is not closed under a new batch


def collect(config: Config, say: Callable[[str], None], *, allow_remote: bool = False) -> None:
    """Serves until a signal ends it. `say` shows one line to the user. Raises ConfigError when it cannot start."""
    with bind(config.http.endpoint, allow_remote=allow_remote) as listener:
        _refuse_loop(config, listener)
        pipeline = build(config, say)
        asyncio.run(_serve(config, pipeline, listener, say))
    say(pipeline.summary())


def bind(address: Address, *, allow_remote: bool) -> socket.socket:
    """A listening socket. Raises ConfigError, also for an address that other machines reach unless `allow_remote`."""
    shown = f"{address.host}:{address.port}"
    try:
        family, _, _, _, target = _resolve(address)
        if not allow_remote and not ipaddress.ip_address(target[0]).is_loopback:
            raise ConfigError(f"{shown} can be reached from other machines; use 127.0.0.1, or say --allow-remote")
        return socket.create_server(target[:2], family=family, backlog=512)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"{shown} is in use already; stop what listens there, or choose another port with --endpoint"
            raise ConfigError(message) from error
        raise ConfigError(f"cannot listen on {shown}: {error.strerror}") from error


def _resolve(address: Address) -> Any:
    """The first address, IPv4 before IPv6: `localhost` is 127.0.0.1. An empty host is every interface."""
    found = socket.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return min(found, key=lambda entry: entry[0] != socket.AF_INET)


def url_of(listener: socket.socket) -> str:
    """Where clients send to, with the port that was really taken."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refuse_loop(config: Config, listener: socket.socket) -> None:
    """Forwarding to oneself would multiply every span for ever."""
    host, port = listener.getsockname()[:2]
    for exporter in config.exporters:
        if isinstance(exporter, configuration.OTLPHTTPExporter):
            target = urlsplit(exporter.endpoint)
            if target.port == port and target.hostname in (host, "localhost", "127.0.0.1", "::1"):
                raise ConfigError(f"{exporter.endpoint} is this collector itself; choose another port with --endpoint")


def build(config: Config, say: Callable[[str], None]) -> Pipeline:
    """Opens the exporters. Raises ConfigError."""
    pipeline = Pipeline()
    for exporter in config.exporters:
        match exporter:
            case configuration.FileExporter():
                pipeline.files.append(FileExporter(exporter.path, say, append=exporter.append))
            case configuration.OTLPHTTPExporter():
                pipeline.forwarders.append(Forwarder(exporter, say))
            case configuration.DebugExporter():
                pipeline.debuggers.append(DebugExporter(say))
    return pipeline


def _destinations(pipeline: Pipeline) -> str:
    words = [f"writing {file.path}" for file in pipeline.files]
    words += [f"forwarding to {forwarder.url}" for forwarder in pipeline.forwarders]
    words += ["printing counts" for _ in pipeline.debuggers]
    return ", ".join(words)


async def _serve(config: Config, pipeline: Pipeline, listener: socket.socket, say: Callable[[str], None]) -> None:
    application: Any = Receiver(pipeline, config.http.max_request_body_size, say)
    server = _Server(
        uvicorn.Config(
            application,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=FLUSH_SECONDS,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    pipeline.start()
    for line in (*config.notes, f"listening on {url_of(listener)} (OTLP/HTTP), {_destinations(pipeline)}"):
        say(line)
    await server.serve(sockets=[listener])
    await pipeline.close(FLUSH_SECONDS)


class _Server(uvicorn.Server):
    """Uvicorn's server, but a signal ends it with exit code 0: its own handling raises the signal again at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Stops gracefully; asked twice, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
