"""OTLP trace requests: bytes to a `Batch`, and the bodies of answers, in protobuf and in JSON. No sockets here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from llmtrace_collector import otlp_json
from llmtrace_collector.errors import MalformedError

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
MEDIA_TYPES = (PROTOBUF, JSON)


@dataclass(frozen=True, slots=True)
class Batch:
    """The spans of one request, in the two forms that exporters take.

    `protobuf` is an `ExportTraceServiceRequest`; `line` is the same as one line of OTLP JSON with its line feed, as the
    OpenTelemetry "file exporter" format has it. `spans` counts them; a batch without spans needs no exporting.
    """

    spans: int
    protobuf: bytes
    line: bytes


def decode(body: bytes, media_type: str) -> Batch:
    """Reads an `ExportTraceServiceRequest`. Raises MalformedError when it is not one."""
    request = _from_protobuf(body) if media_type == PROTOBUF else _from_json(body)
    return Batch(
        spans=sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans),
        protobuf=body if media_type == PROTOBUF else request.SerializeToString(),
        line=_line(request),
    )


def _from_protobuf(body: bytes) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise MalformedError("the body is not a protobuf ExportTraceServiceRequest") from error
    return request


def _from_json(body: bytes) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    try:
        otlp_json.read(msgspec.json.decode(body), request)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedError(f"the body is not JSON: {error}") from error
    except ValueError as error:
        raise MalformedError(f"the body is not an ExportTraceServiceRequest: {error}") from error
    except RecursionError as error:
        raise MalformedError("the body is nested too deeply") from error
    return request


def _line(request: ExportTraceServiceRequest) -> bytes:
    try:
        return msgspec.json.encode(otlp_json.write(request)) + b"\n"
    except ValueError as error:
        raise MalformedError(f"the request holds {error}") from error


def success(media_type: str) -> bytes:
    """The body of a full success: an `ExportTraceServiceResponse` whose `partial_success` is not set."""
    return b"{}" if media_type == JSON else b""  # a protobuf message without fields has no bytes


def failure(code: int, message: str, media_type: str) -> bytes:
    """The body of an error: a `google.rpc.Status`."""
    if media_type == JSON:
        return msgspec.json.encode({"code": code, "message": message})
    return bytes(Status(code=code, message=message).SerializeToString())


def rejected_spans(answer: bytes) -> tuple[int, str]:
    """How many spans a destination's protobuf answer says it did not take, and why; (0, "") if it cannot be read."""
    try:
        partial: Any = ExportTraceServiceResponse.FromString(answer).partial_success
    except DecodeError:
        return 0, ""
    return partial.rejected_spans, partial.error_message
