"""The bodies of answers: empty successes, and refusals as a `google.rpc.Status`, in protobuf and in JSON.

A refusal to be retried tells when in a `RetryInfo`, bad data is told as a `BadRequest` (OTLP specification, "Failures"
and "Throttling"). A partial success is never said: a pipeline takes a request whole or refuses it whole.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToJson  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import BadRequest, RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from llmtrace_collector.errors import MalformedError, RequestError

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
MEDIA_TYPES = (PROTOBUF, JSON)
LONGEST_MESSAGE = 1000
"""In characters: a refusal may quote what a client sent, but need not send all of it back."""


def success(media_type: str) -> bytes:
    """The body of a full success: a response message whose `partial_success` is not set."""
    return b"{}" if media_type == JSON else b""  # a protobuf message without fields has no bytes


def text_of(refusal: RequestError) -> str:
    """What to tell the client: valid Unicode, not too much of it."""
    return str(refusal).encode("utf-8", "replace").decode()[:LONGEST_MESSAGE]


def retry_info(refusal: RequestError) -> Any | None:
    """When the client may send again, for a refusal that says so."""
    if refusal.retry_after is None:
        return None
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(round(refusal.retry_after * 1000))
    return info


def status_of(refusal: RequestError) -> Any:
    """The `google.rpc.Status` of a refusal, with its details."""
    message = text_of(refusal)
    status = Status(code=refusal.code, message=message)
    if (info := retry_info(refusal)) is not None:
        status.details.add().Pack(info)
    if isinstance(refusal, MalformedError):
        violation = BadRequest.FieldViolation(field="body", description=message)
        status.details.add().Pack(BadRequest(field_violations=[violation]))
    return status


def failure(refusal: RequestError, media_type: str) -> bytes:
    """The body of an error in the request's encoding."""
    status = status_of(refusal)
    if media_type == JSON:
        return bytes(MessageToJson(status, indent=None, ensure_ascii=False).encode())
    return bytes(status.SerializeToString())
