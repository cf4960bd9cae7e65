"""What the receiver tests share: something to receive for, and servers that end with their test."""

import asyncio
import contextlib

from llmtrace_collector.config.settings import GRPCServer, HTTPServer
from llmtrace_collector.config.values import Address
from llmtrace_collector.figures.counts import Counts
from llmtrace_collector.otlp.signals import LOGS, TRACES
from llmtrace_collector.receivers.grpc import GRPCReceiver
from llmtrace_collector.receivers.http import HTTPReceiver

ANY_PORT = Address("127.0.0.1", 0)
LIMIT = 1024 * 1024


class Sink:
    """Takes batches, or fails in a given way."""

    wants_lines = False

    def __init__(self, error=None):
        self.error = error
        self.messages = []

    async def accept(self, batch):
        if self.error is not None:
            raise self.error
        self.messages.append(batch.message)


class Receivers:
    """Receivers of traces and logs, made with what a test wants to see: what was taken, said and counted."""

    def __init__(self, sink=None, authenticator=None):
        self.sink = sink or Sink()
        self.said = []
        self.counts = Counts()
        self.authenticator = authenticator
        self.intakes = {TRACES: self.sink, LOGS: self.sink}

    def http(self, *, allow_remote=False, **settings):
        settings = HTTPServer(**{"endpoint": ANY_PORT, "max_request_body_size": LIMIT, **settings})
        return HTTPReceiver(
            settings, self.intakes, self.said.append, self.counts, self.authenticator, allow_remote=allow_remote
        )

    def grpc(self, *, allow_remote=False, **settings):
        settings = GRPCServer(**{"endpoint": ANY_PORT, "max_recv_msg_size_mib": 1, **settings})
        return GRPCReceiver(
            settings, self.intakes, self.said.append, self.counts, self.authenticator, allow_remote=allow_remote
        )


@contextlib.asynccontextmanager
async def serving(server, grace_seconds=5):
    """A started server, stopped at the end."""
    await server.start()
    try:
        yield server
    finally:
        await server.stop(grace_seconds)


async def exchange(server, request):
    """Sends raw bytes; everything that comes back until the server closes."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()
