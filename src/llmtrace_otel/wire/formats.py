"""What a wire format is: how one kind of request and answer is read. One module per format declares one of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.framing import EventReader, Framing


class Request(Protocol):
    """What a request said, kept so that its messages can be built once the call is over."""

    def fits(self) -> bool:
        """Whether the body has this format's shape, which decides for a host that is not known."""
        ...

    def write(self, call: Call) -> None:
        """Builds the call's input messages, system instructions and tool definitions."""
        ...


class StreamReader(EventReader, Protocol):
    """Reads the events of one streamed answer into its call."""

    def close(self) -> None:
        """The stream is over: writes what only the end can tell, and the output messages if they are wanted."""
        ...


class Format(NamedTuple):
    """One wire format. Its functions read bytes into a call and never raise."""

    name: str
    operation: str
    provider: str
    """The provider to name when the host is nobody's: the vendor whose format this is."""
    read_request: Callable[[bytes, Call], Request | None]
    read_response: Callable[[bytes, Call], None]
    stream: Callable[[Call], StreamReader]
    streams: bool = False
    """Whether the path itself asks for a stream."""
    framing: type[Framing] | None = None
    """How a stream of this format is framed whose first byte looks like that of a JSON document."""
    read_headers: Callable[[Mapping[str, str], Call], None] | None = None
    """Reads the head of an answer that is no error, once its body has been, for what only the head has."""
