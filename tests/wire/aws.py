"""Builds AWS's binary frames: `event("messageStop", {...})`, `exception("throttlingException", "Slow down")`."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any
from zlib import crc32

Value = str | tuple[int, bytes]
"""A header's value: a text, or the number of any type with the bytes that follow it."""


def header(name: str, value: Value) -> bytes:
    kind, raw = (7, struct.pack(">H", len(value.encode())) + value.encode()) if isinstance(value, str) else value
    return bytes([len(name.encode())]) + name.encode() + bytes([kind]) + raw


def framed(headers: bytes, payload: bytes = b"", *, headers_size: int | None = None) -> bytes:
    """A frame with checksums that are right, whatever it holds."""
    size = 12 + len(headers) + len(payload) + 4
    head = prelude(size, len(headers) if headers_size is None else headers_size)
    return head + headers + payload + struct.pack(">I", crc32(head + headers + payload))


def prelude(size: int, headers_size: int) -> bytes:
    lengths = struct.pack(">II", size, headers_size)
    return lengths + struct.pack(">I", crc32(lengths))


def frame(headers: dict[str, Value], payload: bytes = b"") -> bytes:
    return framed(b"".join(header(name, value) for name, value in headers.items()), payload)


def event(kind: str, payload: Any) -> bytes:
    headers: dict[str, Value] = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(payload).encode())


def exception(kind: str, message: str) -> bytes:
    headers: dict[str, Value] = {":exception-type": kind, ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


def chunks(*documents: Any) -> bytes:
    """The stream of an invoked model whose own events these are."""
    return b"".join(
        event("chunk", {"bytes": base64.b64encode(json.dumps(document).encode()).decode(), "p": "abc"})
        for document in documents
    )


def events(*named: tuple[str, Any]) -> bytes:
    return b"".join(event(kind, payload) for kind, payload in named)
