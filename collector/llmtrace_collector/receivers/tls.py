"""The certificates of a server, read once at start. With a client authority every client must show a certificate."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]

from llmtrace_collector.errors import ConfigError

if TYPE_CHECKING:
    from llmtrace_collector.config.settings import TLSServer

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(settings: TLSServer) -> ssl.SSLContext:
    """What asyncio's servers take. Raises ConfigError naming the key and the file."""
    for key in ("cert_file", "key_file", "client_ca_file"):
        _contents(settings, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[settings.min_version]
    context.set_alpn_protocols(["http/1.1"])
    try:  # an encrypted key must fail here, not ask for its password on the terminal
        context.load_cert_chain(settings.cert_file, settings.key_file, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = _reason(error)
        raise ConfigError(
            f"tls: cert_file {settings.cert_file} and key_file {settings.key_file} cannot be used: {reason}"
        ) from error
    if settings.client_ca_file:
        _require_client_certificates(context, settings.client_ca_file)
    return context


def _require_client_certificates(context: ssl.SSLContext, authority: str) -> None:
    try:
        context.load_verify_locations(authority)
    except ssl.SSLError as error:
        raise ConfigError(f"tls: client_ca_file {authority} cannot be used: {_reason(error)}") from error
    context.verify_mode = ssl.CERT_REQUIRED


def server_credentials(settings: TLSServer) -> Any:
    """What gRPC's servers take. Raises ConfigError naming the key and the file."""
    server_context(settings)  # gRPC itself says nothing about files that do not fit
    if settings.min_version != "1.2":
        raise ConfigError("tls: min_version 1.3 cannot be enforced for gRPC; leave it out there, or serve HTTP only")
    authority = _contents(settings, "client_ca_file")
    pair = (_contents(settings, "key_file"), _contents(settings, "cert_file"))
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)


def _contents(settings: TLSServer, key: str) -> bytes | None:
    path: str = getattr(settings, key)
    try:
        return Path(path).read_bytes() if path else None
    except OSError as error:
        raise ConfigError(f"tls: {key} {path} cannot be read: {error.strerror}") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)
