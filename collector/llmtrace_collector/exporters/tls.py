"""`tls` of an exporter. Files are read at start: a wrong path is a clear error then, and no lasting outage."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import grpc  # type: ignore[import-untyped]

from llmtrace_collector.errors import ConfigError

if TYPE_CHECKING:
    from llmtrace_collector.config.settings import TLSClient

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def client_context(name: str, tls: TLSClient) -> ssl.SSLContext:
    """For HTTP. Raises ConfigError when a file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
        if tls.cert_file or tls.key_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ValueError) as error:
        files = ", ".join(filter(None, (tls.ca_file, tls.cert_file, tls.key_file)))
        raise ConfigError(f"exporters.{name}.tls: cannot use {files}: {error}") from error
    context.minimum_version = VERSIONS[tls.min_version]
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def channel_credentials(name: str, tls: TLSClient) -> grpc.ChannelCredentials:
    """For gRPC, whose library always verifies. Raises ConfigError for what it cannot do, or a file it cannot use."""
    if tls.insecure_skip_verify:
        raise ConfigError(
            f"exporters.{name}.tls.insecure_skip_verify: gRPC always verifies here; name the authority with ca_file"
        )
    if tls.min_version != "1.2":
        raise ConfigError(f"exporters.{name}.tls.min_version: only otlp_http can demand 1.3; gRPC takes 1.2 and later")
    client_context(name, tls)  # gRPC itself says nothing about files that are no certificates
    return grpc.ssl_channel_credentials(
        _read(tls.ca_file or os.environ.get("SSL_CERT_FILE", "")), _read(tls.key_file), _read(tls.cert_file)
    )


def _read(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None
