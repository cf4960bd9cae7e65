"""OTLP/gRPC to another endpoint, such as a collector or Jaeger: a unary call for each request, its bytes untouched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from llmtrace_collector.errors import ConfigError, RejectedError, UnavailableError
from llmtrace_collector.exporters.tls import channel_credentials
from llmtrace_collector.exporters.transport import USER_AGENT, Delivered, outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmtrace_collector.config.settings import OTLPGRPCExporter
    from llmtrace_collector.exporters.transport import Credential
    from llmtrace_collector.otlp.signals import Signal

RETRYABLE = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
# How often a lost connection is tried anew is decided here; when a request is tried again, by `retry_on_failure`.
RECONNECT = {"grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 5000}


class GRPCTransport:
    """A destination that speaks OTLP/gRPC."""

    def __init__(
        self, name: str, settings: OTLPGRPCExporter, signals: Iterable[Signal], credential: Credential | None = None
    ) -> None:
        """Raises ConfigError."""
        self.url = re.sub(r"^dns:///?", "", settings.endpoint)
        self._name = name
        self._settings = settings
        self._signals = tuple(signals)
        self._credential = credential
        self._metadata = metadata(name, settings.headers)
        self._credentials = channel_credentials(name, settings.tls) if is_secure(settings) else None
        self._channel: grpc.aio.Channel | None = None
        self._calls: dict[str, Any] = {}

    async def send(self, signal: Signal, body: bytes) -> Delivered:
        """See Transport."""
        if self._channel is None:
            self._open()
        try:
            answer = await self._calls[signal.name](
                body, timeout=self._settings.timeout, metadata=self._sent_metadata()
            )
        except grpc.aio.AioRpcError as error:
            raise refusal(error) from error
        try:
            return outcome(signal, signal.response.FromString(answer))
        except DecodeError:
            return Delivered()

    async def close(self) -> None:
        """See Transport."""
        if self._channel is not None:
            await self._channel.close()

    def _open(self) -> None:
        """A channel belongs to the event loop in which it is made."""
        target = re.sub(r"^https?://", "", self.url).rstrip("/")
        options: dict[str, Any] = {**RECONNECT, "grpc.primary_user_agent": USER_AGENT}
        if name := self._settings.tls.server_name_override:
            options["grpc.ssl_target_name_override"] = name
        compression = grpc.Compression.Gzip if self._settings.compression == "gzip" else None
        if self._credentials is None:
            self._channel = grpc.aio.insecure_channel(target, list(options.items()), compression)
        else:
            self._channel = grpc.aio.secure_channel(target, self._credentials, list(options.items()), compression)
        self._calls = {signal.name: self._channel.unary_unary(signal.rpc) for signal in self._signals}

    def _sent_metadata(self) -> tuple[tuple[str, str], ...]:
        pair = self._credential() if self._credential is not None else None
        return self._metadata if pair is None else (*self._metadata, (pair[0].lower(), pair[1]))


def is_secure(settings: OTLPGRPCExporter) -> bool:
    """TLS is the rule; `insecure` switches it off, except for an https URL or when an authority is named."""
    return settings.endpoint.startswith("https://") or not settings.tls.insecure or bool(settings.tls.ca_file)


def metadata(name: str, headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Headers as gRPC carries them. Raises ConfigError for those that it cannot carry."""
    for key, value in headers.items():
        if not re.fullmatch(r"[0-9A-Za-z_.-]+", key) or not re.fullmatch(r"[ -~]*", value):
            raise ConfigError(f"exporters.{name}.headers.{key}: gRPC carries printable ASCII only")
    return tuple((key.lower(), value) for key, value in headers.items())


def refusal(error: grpc.aio.AioRpcError) -> UnavailableError | RejectedError:
    """What a failed call means: RESOURCE_EXHAUSTED may be tried again only if the destination says when."""
    told = f"{error.code().name}: {error.details()}"
    if "WRONG_VERSION_NUMBER" in told:
        told = "it does not speak TLS; if that is meant, set tls: {insecure: true}"
    wait = retry_delay(error)
    if error.code() in RETRYABLE or (error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and wait is not None):
        return UnavailableError(told, wait or None)
    return RejectedError(told)


def retry_delay(error: grpc.aio.AioRpcError) -> float | None:
    """Seconds that the RetryInfo of a failed call asks to wait, None without RetryInfo."""
    info = RetryInfo()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                details = Status.FromString(value).details
                if any(detail.Unpack(info) for detail in details):
                    return float(info.retry_delay.ToMilliseconds()) / 1000
            except DecodeError:
                return None
    return None
