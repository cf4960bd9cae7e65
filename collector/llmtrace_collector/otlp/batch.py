"""What travels through the collector: the items of one request, in whichever form somebody asks for.

A request comes as protobuf or as JSON; exporters want protobuf (forwarding) or a line of JSON (files); processors want
the message. Each form is made at its first use, from whichever is there, and kept.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from llmtrace_collector.errors import MalformedError
from llmtrace_collector.otlp import ids, json_form, lines
from llmtrace_collector.otlp.signals import Signal

PAIR, HALF = (
    rb"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}",
    rb"(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})",
)
ESCAPE = re.compile(rb"\\(?:%s|%s|.)" % (PAIR, HALF), re.DOTALL)


class Batch:
    """The items of one request, or what processors left of them. Whoever holds one may read every form, not change it.

    `items` counts spans, data points or log records; a batch without items needs no exporting.
    """

    __slots__ = ("_line", "_message", "_protobuf", "items", "signal")

    def __init__(self, signal: Signal, message: Any, protobuf: bytes | None = None) -> None:
        """`message` is the signal's export request; `protobuf` is the same serialised, if somebody has it."""
        self.signal = signal
        self.items = signal.count(message)
        self._message = message
        self._protobuf = protobuf
        self._line: bytes | None = None

    @classmethod
    def from_protobuf(cls, signal: Signal, body: bytes, *, as_line: bool = False) -> Batch:
        """Reads a serialised export request. Raises MalformedError when it is not one.

        `as_line` says that the line is what will be wanted: it is then made at once, without parsing a message first.
        """
        if as_line and (written := lines.line_and_count(signal, body)):
            batch = cls.__new__(cls)
            batch.signal, batch._protobuf, batch._message = signal, body, None
            batch._line, batch.items = written
            return batch
        message = parsed(signal, body)
        ids.check(signal, message)
        return cls(signal, message, body)

    @classmethod
    def from_json(cls, signal: Signal, body: bytes) -> Batch:
        """Reads an export request in OTLP's JSON form. Raises MalformedError when it is not one."""
        message = signal.request()
        try:
            json_form.read(decoded(body), message)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise MalformedError(f"the body is not JSON: {error}") from error
        except ValueError as error:
            raise MalformedError(f"the body is not an {signal.request.DESCRIPTOR.name}: {error}") from error
        except RecursionError as error:
            raise MalformedError("the body is nested too deeply") from error
        ids.check(signal, message)
        return cls(signal, message)

    @property
    def message(self) -> Any:
        """The signal's export request."""
        if self._message is None:
            self._message = parsed(self.signal, self.protobuf)
        return self._message

    @property
    def protobuf(self) -> bytes:
        """The serialised export request. Several of them behind one another are one larger request."""
        if self._protobuf is None:
            self._protobuf = self.message.SerializeToString()
        return self._protobuf

    @property
    def line(self) -> bytes:
        """One line of OTLP JSON with its line feed, as the OpenTelemetry file format has it."""
        if self._line is None:
            written = lines.line(self.signal, self.protobuf)
            self._line = written or msgspec.json.encode(json_form.write(self.message)) + b"\n"
        return self._line

    def copy(self) -> Batch:
        """The same items with a message of their own, for a processor to change."""
        message = self.signal.request()
        message.CopyFrom(self.message)
        return Batch(self.signal, message, self._protobuf)


def parsed(signal: Signal, body: bytes) -> Any:
    """An export request. Raises MalformedError."""
    message = signal.request()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise MalformedError(f"the body is not a protobuf {signal.request.DESCRIPTOR.name}") from error
    return message


def decoded(body: bytes) -> Any:
    """A JSON document. Half a surrogate pair, which is left where somebody cut an emoji in two, becomes U+FFFD.

    Raises msgspec.DecodeError, UnicodeDecodeError.
    """
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        if b"\\u" not in body:
            raise
        return msgspec.json.decode(ESCAPE.sub(_whole, body))


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["half"] else escape[0]
