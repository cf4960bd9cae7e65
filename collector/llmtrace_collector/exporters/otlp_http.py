"""OTLP/HTTP to another endpoint, such as a collector or Jaeger: one POST for each request."""

from __future__ import annotations

import asyncio
import time
import zlib
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import h11
import msgspec
import zstandard
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from llmtrace_collector.errors import ConfigError, MalformedError, RejectedError, UnavailableError
from llmtrace_collector.exporters.http_connections import Poster, Response, authority
from llmtrace_collector.exporters.tls import client_context
from llmtrace_collector.exporters.transport import USER_AGENT, Delivered, outcome
from llmtrace_collector.otlp import json_form
from llmtrace_collector.otlp.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmtrace_collector.config.settings import OTLPHTTPExporter
    from llmtrace_collector.exporters.transport import Credential
    from llmtrace_collector.otlp.signals import Signal

CONTENT_TYPES = {"proto": "application/x-protobuf", "json": "application/json"}
RETRYABLE = (429, 502, 503, 504)
IN_THREAD = 256 * 1024  # bytes; what is larger is compressed beside the event loop


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, 1, wbits=31)


def _zlib(body: bytes) -> bytes:
    return zlib.compress(body, 1)


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(body)


COMPRESSORS = {"gzip": _gzip, "zstd": _zstd, "deflate": _zlib, "zlib": _zlib}


class HTTPTransport:
    """A destination that speaks OTLP/HTTP. Redirects are not followed: they are refusals."""

    def __init__(
        self, name: str, settings: OTLPHTTPExporter, signals: Sequence[Signal], credential: Credential | None = None
    ) -> None:
        """Raises ConfigError."""
        if urlsplit(settings.proxy_url).scheme == "https":
            raise ConfigError(f"exporters.{name}.proxy_url: only http:// proxies are spoken to")
        self._settings = settings
        self._credential = credential
        self._compress: Callable[[bytes], bytes] | None = COMPRESSORS.get(settings.compression)
        context = client_context(name, settings.tls)
        self._posters = {
            signal.name: Poster(
                _url(name, settings, signal),
                context,
                proxy=settings.proxy_url,
                server_name=settings.tls.server_name_override,
            )
            for signal in signals
        }
        self._check(name)
        urls = [_shown(_url(name, settings, signal)) for signal in signals]
        self.url = urls[0] if len(urls) == 1 else _shown(settings.endpoint or urls[0])

    async def send(self, signal: Signal, body: bytes) -> Delivered:
        """See Transport."""
        response = await self._post(signal, await self._encoded(signal, body))
        if 200 <= response.status < 300:
            return delivered(signal, response)
        told = f"answered {response.status}{reason(response)}"
        if response.status in RETRYABLE:
            raise UnavailableError(told, retry_after(response))
        raise RejectedError(told)

    async def close(self) -> None:
        """See Transport."""
        for poster in self._posters.values():
            await poster.close()

    async def _post(self, signal: Signal, body: bytes) -> Response:
        try:
            return await self._posters[signal.name].post(self._headers(), body, self._settings.timeout)
        except (OSError, h11.ProtocolError) as error:
            raise UnavailableError(str(error) or "no answer in time") from error

    async def _encoded(self, signal: Signal, body: bytes) -> bytes:
        if self._settings.encoding == "json":
            try:
                body = Batch.from_protobuf(signal, body).line.rstrip(b"\n")
            except MalformedError as error:
                raise RejectedError(str(error)) from error
        if self._compress is None:
            return body
        return await asyncio.to_thread(self._compress, body) if len(body) > IN_THREAD else self._compress(body)

    def _headers(self) -> list[tuple[str, str]]:
        headers = {"User-Agent": USER_AGENT, **self._settings.headers}
        headers["Content-Type"] = CONTENT_TYPES[self._settings.encoding]
        if self._compress is not None:
            headers["Content-Encoding"] = self._settings.compression
        if self._credential is not None and (pair := self._credential()) is not None:
            headers[pair[0]] = pair[1]
        return list(headers.items())

    def _check(self, name: str) -> None:
        try:
            for poster in self._posters.values():
                poster.request(list(self._settings.headers.items()), 0)
        except h11.ProtocolError as error:
            raise ConfigError(f"exporters.{name}.headers: {error}") from error


def _url(name: str, settings: OTLPHTTPExporter, signal: Signal) -> str:
    own: str = getattr(settings, f"{signal.name}_endpoint")
    if not own and not settings.endpoint:
        raise ConfigError(f"exporters.{name}: say where to with endpoint, or {signal.name}_endpoint")
    return own or settings.endpoint.rstrip("/") + signal.path


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{authority(parts)}{parts.path}"


def delivered(signal: Signal, response: Response) -> Delivered:
    """What an answer of success says; one that cannot be read says nothing, for the spans have arrived."""
    message = signal.response()
    try:
        if response.headers.get("content-type", "").startswith("application/json"):
            json_form.read(msgspec.json.decode(response.body), message)
        else:
            message.ParseFromString(response.body)
    except (DecodeError, msgspec.MsgspecError, ValueError, RecursionError):
        return Delivered()
    return outcome(signal, message)


def reason(response: Response) -> str:
    """The words of a refusal's Status, after a colon; empty when there are none."""
    if not response.headers.get("content-type", "").startswith("application/x-protobuf"):
        return ""
    try:
        message = Status.FromString(response.body).message
    except DecodeError:
        return ""
    return f": {message}" if message else ""


def retry_after(response: Response) -> float | None:
    """Seconds that the destination asks to wait: `Retry-After` is a number of seconds or an HTTP date."""
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
