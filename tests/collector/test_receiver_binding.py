"""Where receivers listen: the same rules for HTTP and gRPC."""

import asyncio

import pytest
from receiver_helpers import Receivers, serving

from llmtrace_collector.config.values import Address
from llmtrace_collector.errors import ConfigError

EVERYWHERE = Address("0.0.0.0", 0)


@pytest.fixture(params=["http", "grpc"])
def made(request):
    """Receivers, and what makes one of them."""
    receivers = Receivers()
    return receivers, getattr(receivers, request.param)


def test_a_port_in_use_is_a_clear_error_not_a_shared_port(made):
    _, receiver = made

    async def twice():
        async with serving(receiver()) as server:
            port = int(server.url.rpartition(":")[2])
            message = f"127.0.0.1:{port} is in use already; stop what listens there, or choose another port"
            with pytest.raises(ConfigError, match=message):
                await receiver(endpoint=Address("127.0.0.1", port)).start()

    asyncio.run(twice())


def test_other_machines_are_let_in_only_when_that_was_said(made):
    receivers, receiver = made

    async def start():
        with pytest.raises(ConfigError, match=r"0\.0\.0\.0:0 can be reached from other machines; use 127\.0\.0\.1"):
            await receiver(endpoint=EVERYWHERE).start()
        async with serving(receiver(endpoint=EVERYWHERE, allow_remote=True)) as server:
            return server.url.removeprefix("http://")

    place = asyncio.run(start())
    warning = "can be reached from other machines without TLS and without authentication"
    assert receivers.said == [f"warning: {place} {warning}"]
