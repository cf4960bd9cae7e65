"""httpx and httpx2, sync and async, behind one face, so that a test runs over all four as it is written once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import httpx
import httpx2


@dataclass(frozen=True)
class Answer:
    """What the caller saw."""

    status: int
    headers: Any
    body: bytes


@dataclass(frozen=True)
class Client:
    """One of the four. `request` sends one request with a new client and reads the whole answer."""

    library: ModuleType
    asynchronous: bool

    def __str__(self) -> str:
        return f"{self.library.__name__}-{'async' if self.asynchronous else 'sync'}"

    def request(
        self,
        method: str,
        url: str,
        *,
        stream: bool = False,
        stop_after: int | None = None,
        transport: Any = None,
        **kwargs: Any,
    ) -> Answer:
        """Sends a request.

        Args:
            stream: Ask the client for a stream and read it piece by piece.
            stop_after: Read so many pieces of the stream, then leave it.
        """
        if self.asynchronous:
            return asyncio.run(self._request_async(method, url, stream, stop_after, transport, kwargs))
        with self.library.Client(transport=transport) as client:
            if not stream:
                response = client.request(method, url, **kwargs)
                return Answer(response.status_code, response.headers, response.content)
            pieces = []
            with client.stream(method, url, **kwargs) as response:
                for piece in response.iter_bytes():
                    pieces.append(piece)
                    if len(pieces) == stop_after:
                        break
            return Answer(response.status_code, response.headers, b"".join(pieces))

    async def _request_async(
        self, method: str, url: str, stream: bool, stop_after: int | None, transport: Any, kwargs: Any
    ) -> Answer:
        async with self.library.AsyncClient(transport=transport) as client:
            if not stream:
                response = await client.request(method, url, **kwargs)
                return Answer(response.status_code, response.headers, response.content)
            pieces = []
            async with client.stream(method, url, **kwargs) as response:
                async for piece in response.aiter_bytes():
                    pieces.append(piece)
                    if len(pieces) == stop_after:
                        break
            return Answer(response.status_code, response.headers, b"".join(pieces))

    def post(self, url: str, **kwargs: Any) -> Answer:
        return self.request("POST", url, **kwargs)

    def transport(self, answer: Callable[[Any], tuple[int, dict[str, str], Iterable[bytes]]]) -> Any:
        """A mocked transport whose answers are streams of the given pieces."""
        library, asynchronous = self.library, self.asynchronous

        class Pieces(library.AsyncByteStream if asynchronous else library.SyncByteStream):
            def __init__(self, pieces: Iterable[bytes]) -> None:
                self._pieces = pieces

            def __iter__(self):
                yield from self._pieces

            async def __aiter__(self):
                for piece in self._pieces:
                    yield piece

        def handle(request: Any) -> Any:
            status, headers, pieces = answer(request)
            return library.Response(status, headers=headers, stream=Pieces(pieces))

        return library.MockTransport(handle)


CLIENTS = [Client(library, asynchronous) for library in (httpx, httpx2) for asynchronous in (False, True)]
