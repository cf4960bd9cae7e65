"""The OTLP/HTTP receiver: an ASGI application that answers `POST /v1/traces`, `/v1/metrics` and `/v1/logs`.

It answers 200 only after the pipelines returned, which is after the items are safe. Every refusal carries a
`google.rpc.Status` in the request's encoding (OTLP specification, "OTLP/HTTP Response"); a request that names no known
encoding gets plain text, as from the official collector.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmtrace_collector.errors import (
    MethodNotAllowedError,
    RequestError,
    TooLargeError,
    TooSlowError,
    UnauthenticatedError,
    UnavailableError,
    UnknownPathError,
    UnsupportedMediaTypeError,
)
from llmtrace_collector.receivers import answers
from llmtrace_collector.receivers.answers import JSON, MEDIA_TYPES
from llmtrace_collector.receivers.binding import bind, place_of, warn_if_exposed
from llmtrace_collector.receivers.inflate import Body
from llmtrace_collector.receivers.intake import Intake
from llmtrace_collector.receivers.serving import Web
from llmtrace_collector.receivers.tls import server_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from llmtrace_collector.config.settings import HTTPServer
    from llmtrace_collector.figures.counts import Counts
    from llmtrace_collector.otlp.signals import Signal
    from llmtrace_collector.receivers.intake import Authenticator, Consumer

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_SECONDS = 60.0
"""The time that a body has to come: a client that stops in the middle holds nothing for longer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response."""

    status: int
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)


class ClientGoneError(Exception):
    """The client went away before its request was whole: there is nobody to answer."""


class HTTPReceiver:
    """Serves OTLP/HTTP; itself the ASGI application.

    `intakes` has what stands behind each signal that is taken; the path of any other is unknown. `say` shows one line
    to the user. `receiver` is the component's id, a label of the counters.
    """

    def __init__(
        self,
        settings: HTTPServer,
        intakes: Mapping[Signal, Consumer],
        say: Callable[[str], None],
        counts: Counts,
        authenticator: Authenticator | None = None,
        *,
        allow_remote: bool = False,
        receiver: str = "otlp",
    ) -> None:
        self._settings = settings
        self._limit = settings.max_request_body_size
        self._say = say
        self._authenticator = authenticator
        self._allow_remote = allow_remote
        self._intakes = {
            getattr(settings, f"{signal.name}_url_path"): Intake(signal, consumer, counts, receiver, "http")
            for signal, consumer in intakes.items()
        }
        self._web: Web | None = None
        self.url = ""

    async def start(self) -> None:
        """Begins to serve, in the running event loop. Raises ConfigError."""
        context = None if self._settings.tls is None else server_context(self._settings.tls)
        listener = bind(self._settings.endpoint, allow_remote=self._allow_remote)
        place = place_of(listener)
        self.url = f"{'http' if context is None else 'https'}://{place.text}"
        warn_if_exposed(place, self._settings, self._say)
        self._web = Web(self, listener, context)
        await self._web.start()

    async def stop(self, grace_seconds: float) -> None:
        """Answers what is under way, within so much time; what is left is answered 503."""
        if self._web is not None:
            await self._web.stop(grace_seconds)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request. A client that leaves meanwhile takes its request along: see `Connection`."""
        scope["task"] = asyncio.current_task()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            await self._accept(scope, headers, media_type, receive)
            answer = Answer(200, answers.success(media_type), media_type)
        except ClientGoneError:
            return
        except asyncio.CancelledError:  # shutting down; what is not written must come again
            answer = self._refused(UnavailableError("the collector is shutting down"), media_type)
        except RequestError as refusal:
            answer = self._refused(refusal, media_type)
        except Exception as error:  # a defect of ours must be seen, and must not look like an accepted request
            self._say(f"internal error, a request was refused: {error!r}")
            answer = self._refused(RequestError("internal error"), media_type)
        await respond(answer, send)

    async def _accept(self, scope: dict[str, Any], headers: dict[str, str], media_type: str, receive: Receive) -> None:
        self._authenticate(headers)
        intake = self._intakes.get(scope["path"])
        if intake is None:
            served = " and ".join(self._intakes)
            raise UnknownPathError(f"nothing is served at {scope['path']}; only {served}")
        if scope["method"] != "POST":
            raise MethodNotAllowedError(f"{scope['method']} is not served at {scope['path']}; use POST")
        if media_type not in MEDIA_TYPES:
            raise UnsupportedMediaTypeError(f"unsupported Content-Type {media_type!r}; use {' or '.join(MEDIA_TYPES)}")
        body = await self._read(headers, receive)
        await (intake.accept_json(body) if media_type == JSON else intake.accept_protobuf(body))

    def _authenticate(self, headers: dict[str, str]) -> None:
        if (known := self._authenticator) is not None and not known.accepts(headers.get(known.name.lower())):
            raise UnauthenticatedError(f"no accepted token in the header {known.name}")

    async def _read(self, headers: dict[str, str], receive: Receive) -> bytes:
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._limit:
            raise TooLargeError(f"the body is larger than {self._limit} bytes")
        body = Body(headers.get("content-encoding", "").strip().lower(), self._limit)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await _collect(body, receive)
        except TimeoutError:
            raise TooSlowError(f"the body did not come within {BODY_SECONDS:g} s") from None
        return body.end()

    def _refused(self, refusal: RequestError, media_type: str) -> Answer:
        headers = self._headers_of(refusal)
        if media_type not in MEDIA_TYPES:
            text = f"{answers.text_of(refusal)}\n".encode()
            return Answer(refusal.status, text, "text/plain; charset=utf-8", headers)
        return Answer(refusal.status, answers.failure(refusal, media_type), media_type, headers)

    def _headers_of(self, refusal: RequestError) -> dict[str, str]:
        if isinstance(refusal, MethodNotAllowedError):
            return {"allow": "POST"}
        if isinstance(refusal, UnauthenticatedError) and self._authenticator is not None:
            return {"www-authenticate": self._authenticator.challenge}
        return {} if refusal.retry_after is None else {"retry-after": str(math.ceil(refusal.retry_after))}


async def _collect(body: Body, receive: Receive) -> None:
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGoneError
        body.feed(event.get("body", b""))
        more = event.get("more_body", False)


async def respond(answer: Answer, send: Send) -> None:
    """Sends one response as ASGI events."""
    headers = {"content-type": answer.content_type, "content-length": str(len(answer.body)), **answer.headers}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": answer.body})
