"""A client of an engine: OTLP requests in every form that they are sent in, and what the answer to them is."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import grpc
import httpx
from google.protobuf.json_format import MessageToDict

from .engines import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from .engines import Otelcol

PROTOBUF = "application/x-protobuf"
SERVICES = {"traces": "trace.v1.TraceService", "metrics": "metrics.v1.MetricsService", "logs": "logs.v1.LogsService"}
IDS = ("traceId", "spanId", "parentSpanId")
CHANNEL = [("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", -1)]


def post(engine: Otelcol, signal: str, body: bytes, media_type: str = PROTOBUF, encoding: str = "identity") -> int:
    """The HTTP status that a body is answered with."""
    headers = {"content-type": media_type, **({"content-encoding": encoding} if encoding != "identity" else {})}
    # Without verify=False every client would load the machine's authorities, which takes longer than the request.
    with httpx.Client(base_url=engine.otlp_http, trust_env=False, timeout=PATIENCE, verify=False) as client:
        return client.post(f"/v1/{signal}", content=body, headers=headers).status_code


def call(
    engine: Otelcol, signal: str, body: bytes, compression: grpc.Compression = grpc.Compression.NoCompression
) -> grpc.StatusCode:
    """The gRPC status that a message is answered with."""
    with grpc.insecure_channel(engine.otlp_grpc, options=CHANNEL) as channel:
        export = channel.unary_unary(f"/opentelemetry.proto.collector.{SERVICES[signal]}/Export")
        try:
            export(body, timeout=PATIENCE, compression=compression)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def over_http(engine: Otelcol, signal: str, request: Message) -> bool:
    return post(engine, signal, request.SerializeToString()) == httpx.codes.OK


def over_http_gzip(engine: Otelcol, signal: str, request: Message) -> bool:
    return post(engine, signal, gzip.compress(request.SerializeToString()), encoding="gzip") == httpx.codes.OK


def over_http_json(engine: Otelcol, signal: str, request: Message) -> bool:
    body = json.dumps(as_json(request), ensure_ascii=False).encode()
    return post(engine, signal, body, "application/json") == httpx.codes.OK


def over_grpc(engine: Otelcol, signal: str, request: Message) -> bool:
    return call(engine, signal, request.SerializeToString()) is grpc.StatusCode.OK


def over_grpc_gzip(engine: Otelcol, signal: str, request: Message) -> bool:
    return call(engine, signal, request.SerializeToString(), grpc.Compression.Gzip) is grpc.StatusCode.OK


TRANSPORTS: list[Callable[[Otelcol, str, Message], bool]] = [
    over_http,
    over_http_gzip,
    over_http_json,
    over_grpc,
    over_grpc_gzip,
]
"""Each sends a request and tells whether it succeeded."""


def as_json(request: Message) -> Any:
    """A request as OTLP JSON: that of protobuf, but for its ids."""
    return with_ids(MessageToDict(request, use_integers_for_enums=True))


def with_ids(value: Any) -> Any:
    """The same with ids in hexadecimal instead of base64."""
    if isinstance(value, list):
        return [with_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: base64.b64decode(item).hex() if key in IDS else with_ids(item) for key, item in value.items()}
