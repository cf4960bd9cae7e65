"""Reads from a client's socket what is wanted and no more, before a transport has it: TLS or a tunnel has the rest."""

from __future__ import annotations

import asyncio
import socket

from llmtrace_otel.proxy import heads, hello
from llmtrace_otel.proxy.hello import Hello

_PATIENCE_SECONDS = 10.0
"""How long a client may take from the first byte of its greeting to the last."""
_LOOK_SECONDS = 0.001


async def read_head(client: socket.socket) -> bytes:
    """Takes one head from the socket, its empty last line included.

    Raises:
        BadHead: it is too large.
        ConnectionError: the client has left before its end.
    """
    head = b""
    while not head.endswith(heads.END):
        seen = await peek(client)
        if not seen:
            raise ConnectionAbortedError("a client left before it asked for anything")
        found = (head + seen).find(heads.END)
        head += client.recv(len(seen) if found < 0 else found + len(heads.END) - len(head))
        if len(head) > heads.LARGEST:
            raise heads.BadHead("the request's head is too large")
    return head


async def peek_hello(client: socket.socket) -> Hello | None:
    """What a client says first after it has been given a tunnel, left in the socket; `None` when it is no TLS."""
    data, found = await peek(client), None
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while data and (found := hello.read_hello(data)) is None and len(data) < hello.LARGEST:
                await asyncio.sleep(_LOOK_SECONDS)  # what is there already makes the socket readable
                data = await peek(client)
    except (ValueError, TimeoutError):
        return None
    if not data:
        raise ConnectionAbortedError("a client left as soon as it had a tunnel")
    return found


async def peek(client: socket.socket) -> bytes:
    """What is there to be read, left where it is; nothing at the connection's end."""
    while True:
        try:
            return client.recv(hello.LARGEST, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            await _readable(client)


async def _readable(client: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(client, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(client)
