"""A client whose LLM calls are recorded, or answered from recordings: it is served request by request, as by `Forward`.

To replay, a request that may be an LLM call is read whole before anything else happens. One that is an LLM call is
answered here, and its server is never connected with; any other goes on to its server.

What is spoken over a WebSocket is not recorded. Clients that can do without one, as codex can, are told to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import h11

from llmtrace_otel.proxy import heads, http1, replies
from llmtrace_otel.proxy.forward import Forward
from llmtrace_otel.proxy.heads import Asked, Destination, Head
from llmtrace_otel.proxy.messages import Child
from llmtrace_otel.proxy.readings import Calls, Where, mapping
from llmtrace_otel.proxy.tee import Tee
from llmtrace_otel.replay import asked as asking
from llmtrace_otel.replay.tape import Answer
from llmtrace_otel.wire.realtime import Conversation

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Taped(Forward):
    """A client's connection. Within a tunnel, `tunnel` says whose it is, and to where."""

    def __init__(
        self,
        server: Any,
        calls: Calls,
        first: bytes,
        over: Callable[[Tee], None],
        tunnel: tuple[Child, Destination] | None = None,
    ) -> None:
        super().__init__(server, first, over)
        self._calls = calls
        self._tunnel = tunnel
        self._has_more = asyncio.Event()

    def take(self, data: bytes) -> None:
        super().take(data)
        self._has_more.set()

    async def read(self, head: Head) -> tuple[Asked, Child | None]:
        if self._tunnel is None:
            return await super().read(head)
        child, destination = self._tunnel
        return Asked(destination._replace(scheme="https"), None, head.target), child

    async def serve(self, head: Head, asked: Asked, child: Child) -> None:
        path, _, query = asked.target.partition("?")
        path, where = unquote(path), asked.destination
        if head.value(b"upgrade") is not None and _is_conversation(self._calls, where, path, query):
            self._refuse(replies.no_websocket())
            return
        if self._calls.player is None or not self._calls.providers.may_match(head.method, where.host, path):
            await super().serve(head, asked, child)
            return
        request = _Request(self, head, asked)
        await request.read()
        told = asking.Asked(head.method, where.host, where.port, path, query, request.headers, request.body)
        if not asking.is_call(told, self._calls.providers):
            self._pending[:0] = request.raw
            await super().serve(head, asked, child)
            return
        self._pending[:0] = request.rest
        self._answer(child, request.event, told, self._calls.player.answer(told, child.id))

    async def more(self) -> bytes:
        """What the client has said meanwhile, or says next."""
        while not self._pending:
            self._has_more.clear()
            self.client.transport.resume_reading()
            await self._has_more.wait()
        return self._taken(len(self._pending))

    def _answer(self, child: Child, event: h11.Request, told: asking.Asked, answer: Answer) -> None:
        """Gives a client an answer, and has it read as if it came from the server."""
        write = self.client.transport.write
        write(_head(answer))
        for chunk in filter(None, answer.chunks):
            write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if answer.cut is None:
            write(b"0\r\n\r\n")
        else:
            self.client.transport.close()
        reading = self._calls.reading(Where(child.id, told.host, told.port or 0), event, told.path, told.query)
        if reading is not None:
            reading.data(told.body or b"")
            reading.asked(is_whole=True)
            reading.replayed(answer)


class _Request:
    """A request that is read whole, and may yet go on as it came."""

    def __init__(self, client: Taped, head: Head, asked: Asked) -> None:
        self._client = client
        self._message = http1.request()
        self.event, *self._events = self._message.feed(heads.onward(head, asked))
        self.headers = mapping(self.event.headers)
        self.raw = bytearray()
        """All that came after its head."""
        self.body = b""

    async def read(self) -> None:
        """Waits until all of it is here."""
        if self.headers.get("expect", "").lower() == "100-continue":
            self._client.client.transport.write(_CONTINUE)
        while not self._message.is_over:
            data = await self._client.more()
            self.raw += data
            self._events += self._message.feed(data)
        self.body = b"".join(bytes(event.data) for event in self._events if type(event) is h11.Data)

    @property
    def rest(self) -> bytes:
        """What came after it."""
        return self._message.rest


def _is_conversation(calls: Calls, where: Destination, path: str, query: str) -> bool:
    """Whether a model is to be spoken with on a WebSocket."""
    found = Conversation.begin(
        where.host, where.port, path, query, began=_nothing, ended=_nothing, providers=calls.providers, capture=False
    )
    return found is not None


def _nothing(_: object) -> None:
    pass


def _head(answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_reason(answer.status)}"]
    lines += (f"{name}: {value}" for name, value in answer.headers.items())
    lines.append("transfer-encoding: chunked")
    return "\r\n".join(lines).encode("latin-1", "replace") + heads.END


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
