"""The configuration: a subset of the official collector's YAML file, so that one file serves both engines.

Read: the `otlp` receiver, the exporters `file`, `otlp_http` and `debug`, and the `traces` pipeline. What is not in the
subset is refused rather than ignored: better a collector that does not start than a redaction that does not happen.
Names and defaults are the official ones, but for a body limit of 64 MiB, which the OTLP specification recommends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NewType
from urllib.parse import urlsplit

from llmtrace_collector.schema import Document

if TYPE_CHECKING:
    from pathlib import Path

Duration = NewType("Duration", float)
BaseURL = NewType("BaseURL", str)


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address, and a TCP port; port 0 means any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads `HOST:PORT`, an IPv6 host in brackets. Raises ValueError."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


@dataclass(frozen=True, slots=True)
class HTTPServer:
    """Where OTLP/HTTP is served. `max_request_body_size` is in bytes, after decompression."""

    endpoint: Address = Address("localhost", 4318)
    max_request_body_size: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GRPCServer:
    """Where OTLP/gRPC would be served: read, not served yet."""

    endpoint: Address = Address("localhost", 4317)
    max_recv_msg_size_mib: int = 64


@dataclass(frozen=True, slots=True)
class Protocols:
    """A protocol that is not named is off."""

    http: HTTPServer | None = None
    grpc: GRPCServer | None = None


@dataclass(frozen=True, slots=True)
class OTLPReceiver:
    """`receivers.otlp`."""

    protocols: Protocols


@dataclass(frozen=True, slots=True)
class FileExporter:
    """`exporters.file`. Without `append` the file is emptied at start, as the official exporter does."""

    path: str
    append: bool = False


@dataclass(frozen=True, slots=True)
class OTLPHTTPExporter:
    """`exporters.otlp_http`: another OTLP/HTTP endpoint. `timeout` is in seconds, for one request."""

    endpoint: BaseURL
    headers: dict[str, str] = field(default_factory=dict)
    compression: Literal["gzip", "none"] = "gzip"
    timeout: Duration = Duration(30.0)

    @property
    def traces_url(self) -> str:
        """`endpoint` with the path of the traces signal."""
        base = self.endpoint.rstrip("/")
        return base if base.endswith("/v1/traces") else f"{base}/v1/traces"


@dataclass(frozen=True, slots=True)
class DebugExporter:
    """`exporters.debug`."""

    verbosity: Literal["basic"] = "basic"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`service.pipelines.traces`: names of components."""

    receivers: tuple[str, ...]
    exporters: tuple[str, ...]
    processors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipelines:
    """`service.pipelines`."""

    traces: Pipeline


@dataclass(frozen=True, slots=True)
class Service:
    """`service`."""

    pipelines: Pipelines


Exporter = FileExporter | OTLPHTTPExporter | DebugExporter
RECEIVERS = {"otlp": OTLPReceiver}
EXPORTERS = {
    "file": FileExporter,
    "otlp_http": OTLPHTTPExporter,
    "otlphttp": OTLPHTTPExporter,
    "debug": DebugExporter,
}
SECTIONS = ("receivers", "processors", "exporters", "service")
TRACES = ("service", "pipelines", "traces")


@dataclass(frozen=True, slots=True)
class Config:
    """What to serve: one HTTP server and the traces pipeline's exporters. `notes` are lines for the user to see."""

    http: HTTPServer
    exporters: tuple[Exporter, ...]
    notes: tuple[str, ...] = ()


DEFAULT = Config(HTTPServer(Address("127.0.0.1", 4318)), (FileExporter("traces.jsonl", append=True),))


def load(path: Path) -> Config:
    """Reads a collector configuration. Raises ConfigError with file and line."""
    document = Document(path, {Address: Address.parse, Duration: duration, BaseURL: base_url})
    for key, _ in document.entries(document.root, "the file"):
        if key.value not in SECTIONS:
            document.unknown(key, "section", SECTIONS)
    receivers = _components(document, "receivers", RECEIVERS)
    exporters = _components(document, "exporters", EXPORTERS)
    service: Service = document.read(Service, document.section("service"), "service")
    pipeline = service.pipelines.traces
    _refuse_processors(document, pipeline)
    protocols = _protocols(document, _chosen(document, "receivers", pipeline.receivers, receivers))
    if protocols.http is None:
        document.fail(document.at("receivers"), "the otlp receiver needs protocols.http; only OTLP/HTTP is served")
    notes = (f"{path}: receivers.otlp.protocols.grpc is not served yet; send OTLP/HTTP",) if protocols.grpc else ()
    return Config(protocols.http, _chosen(document, "exporters", pipeline.exporters, exporters), notes)


def _components(document: Document, section: str, kinds: dict[str, Any]) -> dict[str, Any]:
    """The components of a section by their id, which is `type` or `type/name`."""
    components = {}
    for key, value in document.entries(document.section(section), section):
        kind = kinds.get(key.value.partition("/")[0])
        if kind is None:
            document.unknown(key, f"component in {section}:", kinds)
        components[key.value] = document.read(kind, value, f"{section}.{key.value}")
    return components


def _chosen(document: Document, section: str, names: tuple[str, ...], components: dict[str, Any]) -> tuple[Any, ...]:
    """The components that the traces pipeline names."""
    node = document.at(*TRACES, section)
    if not names:
        document.fail(node, f"service.pipelines.traces.{section} is empty")
    for name in names:
        if name not in components:
            document.fail(node, f"service.pipelines.traces.{section} names {name!r}, which {section} does not define")
    return tuple(components[name] for name in names)


def _protocols(document: Document, receivers: tuple[OTLPReceiver, ...]) -> Protocols:
    if len(receivers) > 1:
        document.fail(
            document.at(*TRACES, "receivers"), "service.pipelines.traces.receivers: only one receiver is served"
        )
    return receivers[0].protocols


def _refuse_processors(document: Document, pipeline: Pipeline) -> None:
    for name in pipeline.processors:
        message = f"processor {name!r} is not supported; remove it, or run otelcol-contrib with this file"
        document.fail(document.at(*TRACES, "processors"), message)


UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


def duration(text: str) -> Duration:
    """A Go duration such as `1m30s`, in seconds. Raises ValueError."""
    if not re.fullmatch(f"(?:{DURATION.pattern})+", text):
        raise ValueError(f"{text!r} is not a duration such as 30s or 500ms")
    return Duration(sum(float(number) * UNITS[unit] for number, unit in DURATION.findall(text)))


def base_url(text: str) -> BaseURL:
    """An http or https URL without query. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or parts.query:
        raise ValueError(f"{text!r} is not a URL such as http://127.0.0.1:4318")
    return BaseURL(text)
