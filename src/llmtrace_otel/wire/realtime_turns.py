"""The turns of a conversation over one connection: each turn of the model is a Call, open until it is over.

A dialect says which frames begin and end a turn, and what they tell; this module keeps the open turns and tells whoever
carries the frames of each that begins and ends.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import time_ns
from typing import Any, TypeAlias

from msgspec import structs

from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.errors import set_error

_log = logging.getLogger("llmtrace_otel")

Listener: TypeAlias = Callable[[Call], None]


class Turns(ABC):
    """The state of one conversation, fed its frames as bytes of JSON."""

    operation = "chat"
    provider = "openai"
    """The vendor whose dialect this is, for hosts of nobody's."""

    def __init__(self, template: Call, began: Listener, ended: Listener) -> None:
        self.template = template
        """What is known of every turn of this conversation; each begins as a copy of it."""
        self.open: list[Call] = []
        self.last_error: Any = None
        """What the other side said last, if that was an error of no turn in particular."""
        self._began = began
        self._ended = ended

    @abstractmethod
    def sent(self, data: bytes) -> None:
        """A frame on its way out."""

    @abstractmethod
    def received(self, data: bytes) -> None:
        """A frame that has come in."""

    @abstractmethod
    def write(self, call: Call) -> None:
        """Puts on a call that is about to end what only its end can tell, and its messages if they are wanted."""

    def new(self) -> Call:
        """A turn that is yet to begin."""
        return structs.replace(self.template)

    def begin(self, call: Call) -> Call:
        self.open.append(call)
        self._began(call)
        return call

    def end(self, call: Call) -> None:
        self.open = [other for other in self.open if other is not call]
        try:
            self.write(call)
        except Exception as error:  # what else is open is still to end
            _log.debug("llmtrace: unexpected content in a turn of %s: %r", call.server_address, error)
        self._ended(call)

    def close(self) -> None:
        """The connection is over: what is open ends incomplete, with the error that was said last, if one was."""
        for call in list(self.open):
            set_error(self.last_error, call)
            self.end(call)


def mark_first_chunk(call: Call) -> None:
    """A piece of the turn's answer has come."""
    if call.first_chunk_ns is None:
        call.first_chunk_ns = time_ns()
