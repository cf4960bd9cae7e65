"""What goes wrong, in two kinds: a configuration that cannot be served, and a request that is not accepted.

A refusal knows its HTTP status and its `google.rpc` code, so every transport answers the same mistake the same way.
Clients send again after 429, 502, 503 and 504 only (OTLP specification, "Failures"); after any other refusal they drop
the spans.
"""

from __future__ import annotations

from google.rpc import code_pb2 as rpc  # type: ignore[import-untyped]


class ConfigError(Exception):
    """A configuration, address or file that cannot be served: one line saying what, where and what to do."""


class RequestError(Exception):
    """A request that was not accepted. `retry_after` is in seconds, for refusals that a client may retry."""

    status = 500
    code: int = rpc.INTERNAL

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MalformedError(RequestError):
    """The body, or its encoding, cannot be read."""

    status, code = 400, rpc.INVALID_ARGUMENT


class UnauthenticatedError(RequestError):
    """The request carries no token that is accepted."""

    status, code = 401, rpc.UNAUTHENTICATED


class TooSlowError(RequestError):
    """The body did not come within the time that it has."""

    status, code = 408, rpc.DEADLINE_EXCEEDED


class UnknownPathError(RequestError):
    """Nothing is served under this path."""

    status, code = 404, rpc.NOT_FOUND


class MethodNotAllowedError(RequestError):
    """Only POST is served."""

    status, code = 405, rpc.UNIMPLEMENTED


class TooLargeError(RequestError):
    """The body is over the limit, measured after decompression."""

    status, code = 413, rpc.RESOURCE_EXHAUSTED


class UnsupportedMediaTypeError(RequestError):
    """The body is neither protobuf nor JSON."""

    status, code = 415, rpc.INVALID_ARGUMENT


class RejectedError(RequestError):
    """A destination will never take these spans: sending them again does not help."""


class UnavailableError(RequestError):
    """The spans could not be written or delivered now: the client should send them again."""

    status, code = 503, rpc.UNAVAILABLE
