"""The OTLP/HTTP receiver: an ASGI application that answers `POST /v1/traces`.

It answers 200 only after the pipeline returned, which is after the spans are written. Every refusal carries a
`google.rpc.Status` in the request's encoding (OTLP specification, "OTLP/HTTP Response"); a request that names no known
encoding gets plain text, as from the official collector.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmtrace_collector import otlp
from llmtrace_collector.errors import (
    MethodNotAllowedError,
    RequestError,
    TooLargeError,
    UnavailableError,
    UnknownPathError,
    UnsupportedMediaTypeError,
)
from llmtrace_collector.inflate import Body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmtrace_collector.pipeline import Pipeline

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

TRACES_PATH = "/v1/traces"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response."""

    status: int
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)


class ClientGoneError(Exception):
    """The client went away before its request was whole: there is nobody to answer."""


class Receiver:
    """The application. `max_body` is in bytes, after decompression."""

    def __init__(self, pipeline: Pipeline, max_body: int, say: Callable[[str], None]) -> None:
        self._pipeline = pipeline
        self._max_body = max_body
        self._say = say

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            await self._accept(scope, headers, media_type, receive)
            answer = Answer(200, otlp.success(media_type), media_type)
        except ClientGoneError:
            return
        except asyncio.CancelledError:  # shutting down; what is not written must come again
            answer = refused(UnavailableError("the collector is shutting down"), media_type)
        except RequestError as refusal:
            answer = refused(refusal, media_type)
        except Exception as error:  # a defect of ours must be seen, and must not look like an accepted request
            self._say(f"internal error, a request was refused: {error!r}")
            answer = refused(RequestError("internal error"), media_type)
        await respond(answer, send)

    async def _accept(self, scope: dict[str, Any], headers: dict[str, str], media_type: str, receive: Receive) -> None:
        if scope["path"] != TRACES_PATH:
            raise UnknownPathError(f"nothing is served at {scope['path']}; traces go to {TRACES_PATH}")
        if scope["method"] != "POST":
            raise MethodNotAllowedError(f"{scope['method']} is not served at {TRACES_PATH}; use POST")
        if media_type not in otlp.MEDIA_TYPES:
            raise UnsupportedMediaTypeError(
                f"unsupported Content-Type {media_type!r}; use {' or '.join(otlp.MEDIA_TYPES)}"
            )
        body = await self._read(headers, receive)
        await self._pipeline.accept(otlp.decode(body, media_type))

    async def _read(self, headers: dict[str, str], receive: Receive) -> bytes:
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._max_body:
            raise TooLargeError(f"the body is larger than {self._max_body} bytes")
        body = Body(headers.get("content-encoding", "").strip().lower(), self._max_body)
        more = True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise ClientGoneError
            body.feed(event.get("body", b""))
            more = event.get("more_body", False)
        return body.end()


def refused(refusal: RequestError, media_type: str) -> Answer:
    """The answer to a request that was not accepted."""
    headers = {"allow": "POST"} if isinstance(refusal, MethodNotAllowedError) else {}
    if refusal.retry_after is not None:
        headers["retry-after"] = str(math.ceil(refusal.retry_after))
    if media_type not in otlp.MEDIA_TYPES:
        return Answer(refusal.status, f"{refusal}\n".encode(), "text/plain; charset=utf-8", headers)
    return Answer(refusal.status, otlp.failure(refusal.code, str(refusal), media_type), media_type, headers)


async def respond(answer: Answer, send: Send) -> None:
    """Sends one response as ASGI events."""
    headers = {"content-type": answer.content_type, "content-length": str(len(answer.body)), **answer.headers}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": answer.body})
