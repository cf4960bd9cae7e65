"""What a configuration does, in a few lines: `llmtrace collect --check` prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmtrace_collector.config import settings
from llmtrace_collector.config.values import without_password

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmtrace_collector.config.settings import Config, OTLPReceiver, PipelineSettings, Settings


def explain(config: Config) -> list[str]:
    """Addresses, then one line a pipeline, extensions, metrics, and the notes."""
    return [
        *(f"{name}: {', '.join(_served(config.receivers[name]))}" for name in _receivers(config)),
        *(f"{name}: {_path(config, pipeline)}" for name, pipeline in config.service.pipelines.items()),
        *(_extension(name, config.extensions[name]) for name in config.service.extensions),
        *(f"metrics: http://{host}:{port}/metrics" for host, port in _metrics(config)),
        *(f"note: {note}" for note in config.notes),
    ]


def _receivers(config: Config) -> list[str]:
    """Those that a pipeline names, in the order of the file."""
    named = {name for pipeline in config.service.pipelines.values() for name in pipeline.receivers}
    return [name for name in config.receivers if name in named]


def _served(receiver: OTLPReceiver) -> Iterator[str]:
    protocols = {"OTLP/HTTP": receiver.protocols.http, "OTLP/gRPC": receiver.protocols.grpc}
    for protocol, server in protocols.items():
        if server:
            marks = ", ".join((*(["TLS"] if server.tls else []), *(["authenticated"] if server.auth else [])))
            yield f"{protocol} on {server.endpoint}" + (f" ({marks})" if marks else "")


def _path(config: Config, pipeline: PipelineSettings) -> str:
    exporters = (_destination(name, config.exporters[name]) for name in pipeline.exporters)
    return " → ".join((", ".join(pipeline.receivers), *pipeline.processors, ", ".join(exporters)))


def _destination(name: str, exporter: Settings) -> str:
    match exporter:
        case settings.FileExporter():
            return f"{name} ({exporter.path})"
        case settings.OTLPGRPCExporter():
            return f"{name} ({exporter.endpoint})"
        case settings.OTLPHTTPExporter():
            return f"{name} ({without_password(exporter.endpoint or exporter.traces_endpoint)})"
    return name


def _extension(name: str, extension: Settings) -> str:
    match extension:
        case settings.HealthCheck():
            return f"{name}: http://{extension.endpoint}{extension.path}"
        case settings.FileStorage():
            return f"{name}: {extension.directory}"
    return f"{name}: {'a file of tokens' if getattr(extension, 'filename', '') else 'tokens of the configuration'}"


def _metrics(config: Config) -> Iterator[tuple[str, int]]:
    metrics = config.service.telemetry.metrics
    if metrics.level != "none":
        for reader in metrics.readers:
            yield reader.pull.exporter.prometheus.host, reader.pull.exporter.prometheus.port
