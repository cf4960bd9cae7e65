"""One HTTP/1.1 POST per connection, on asyncio streams and h11: all that forwarding needs, cancellable at any point."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import h11

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT_BODY = 64 * 1024  # bytes of an answer that are looked at


@dataclass(frozen=True, slots=True)
class Response:
    """The destination's answer. Header names are lower-case; `body` holds its first 64 KiB."""

    status: int
    headers: dict[str, str]
    body: bytes


async def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Response:
    """Posts `body` to an http or https URL and returns the answer, whatever its status.

    `timeout` is in seconds, for the whole exchange. Raises OSError (TimeoutError and TLS errors included) or
    h11.ProtocolError when there is no answer.
    """
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port or (443 if secure else 80), ssl=secure
        )
        try:
            connection = h11.Connection(h11.CLIENT)
            request = h11.Request(
                method="POST",
                target=parts.path,
                headers=[
                    ("Host", parts.netloc.rpartition("@")[2]),
                    ("Content-Length", str(len(body))),
                    ("Connection", "close"),
                    *headers.items(),
                ],
            )
            for event in (request, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
            return await _response(connection, reader)
        finally:
            writer.close()


async def _response(connection: h11.Connection, reader: asyncio.StreamReader) -> Response:
    status, headers, body = 0, dict[str, str](), bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(KEPT_BODY))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data[: KEPT_BODY - len(body)]
        elif isinstance(event, h11.EndOfMessage):
            return Response(status, headers, bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("the connection was closed without an answer")
