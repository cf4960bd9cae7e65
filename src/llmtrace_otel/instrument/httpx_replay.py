"""Answers the LLM calls of httpx and httpx2 clients from recordings: in the place of whatever transport they have.

What is above a transport (authentication, redirects, event hooks, cookies, our own observation of the call) sees a
response like any other; what is no LLM call goes to the client's own transport.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from llmtrace_otel.instrument.wrapping import sending
from llmtrace_otel.replay.asked import is_call
from llmtrace_otel.replay.tape import Answer, Player

if TYPE_CHECKING:
    from llmtrace_otel.instrument.httpx_wrappers import HTTPXRequests


class Replayed:
    """Puts recorded answers in the place of one library's transports."""

    def __init__(self, library: ModuleType, requests: HTTPXRequests, player: Player) -> None:
        self._library = library
        self._requests = requests
        self._player = player
        self._stream = type("ReplayedStream", (_Stream, library.SyncByteStream, library.AsyncByteStream), {})

    def wrap(self, transport_for_url: Any) -> Any:
        """Wraps `_transport_for_url` of a client, of either kind."""

        @functools.wraps(transport_for_url)
        def choose(client: Any, url: Any) -> Any:
            transport = transport_for_url(client, url)
            return transport if self._requests.wrappers.retired else _Transport(self, transport)

        return choose

    def response(self, request: Any) -> Any:
        """The library's response to a request; `None` for one that is no LLM call."""
        asked = self._requests.asked(request)
        observation = sending()
        if observation is None and not is_call(asked, self._requests.providers):
            return None
        answer = self._player.answer(asked)
        if observation is not None and answer.seconds is not None:
            observation.replayed(answer.seconds)
        stream = self._stream(answer, self._library.RemoteProtocolError)
        return self._library.Response(answer.status, headers=answer.headers, stream=stream)


class _Transport:
    """A transport that asks for a recorded answer first."""

    def __init__(self, replayed: Replayed, transport: Any) -> None:
        self._replayed = replayed
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def handle_request(self, request: Any) -> Any:
        response = self._replayed.response(request)
        return self._transport.handle_request(request) if response is None else response

    async def handle_async_request(self, request: Any) -> Any:
        response = self._replayed.response(request)
        return await self._transport.handle_async_request(request) if response is None else response


class _Stream:
    """A recorded body, in the pieces in which it came."""

    def __init__(self, answer: Answer, cut: type[Exception]) -> None:
        self._answer = answer
        self._cut = cut

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.chunks
        if self._answer.cut is not None:
            raise self._cut(f"llmtrace replay: the recorded answer ends here: {self._answer.cut}")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk
