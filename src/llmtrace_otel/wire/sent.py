"""Input messages as a request sent them: a JSON array, of which each object is one message by itself.

A recorder that knows how a conversation began has no need of the messages it began with, only of those that are new:
they are built when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec import Raw

from llmtrace_otel.wire.decode import loads

if TYPE_CHECKING:
    from llmtrace_otel.wire.call import Call, Message

Build: TypeAlias = "Callable[[Any], list[Message]]"
"""Makes messages of a decoded array: of each object by itself, so that a part of the array gives those of its part."""

_items = msgspec.json.Decoder(list[Raw]).decode
_values = msgspec.json.Decoder(list[Any]).decode
_NOT_PLAIN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Sent:
    """An array of messages that are not built yet, and what builds them."""

    __slots__ = ("_array", "_build")

    def __init__(self, array: Raw, build: Build) -> None:
        self._array = array
        self._build = build

    @property
    def kind(self) -> bytes:
        """Tells arrays of which the same bytes become the same messages."""
        return f"{self._build.__module__}.{self._build.__qualname__}".encode()

    def items(self) -> list[Raw]:
        """The bytes of each item; none where they cannot be told apart. Never raises."""
        try:
            return _items(self._array)
        except _NOT_PLAIN:
            return []

    def of(self, items: list[Raw]) -> list[Message] | None:
        """The messages of some of the items.

        `None` where they are JSON to lenient parsers only: these judge an array as a whole. Never raises.
        """
        try:
            values = _values(b"[%b]" % b",".join(items))
        except _NOT_PLAIN:
            return None
        return self._build(values)

    def messages(self) -> list[Message]:
        """All messages. Never raises."""
        return self._build(loads(self._array))


def set_input(call: Call, array: Raw, build: Build) -> None:
    """Puts a request's messages on its call, as they were sent if that will do."""
    sent = Sent(array, build)
    if call.keeps_sent and bytes(memoryview(array)[:1]) == b"[":
        call.sent = sent
    else:
        call.input_messages = sent.messages()
