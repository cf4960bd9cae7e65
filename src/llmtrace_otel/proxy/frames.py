"""The frames of a WebSocket, read from a copy of its bytes in both directions and put together to messages.

`permessage-deflate` is undone as the handshake agreed. Raises for what is no WebSocket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from zlib import MAX_WBITS, decompressobj

from wsproto.extensions import Extension
from wsproto.frame_protocol import FrameProtocol, Opcode, RsvBits

from llmtrace_otel.wire.realtime import Conversation

LARGEST_MESSAGE: Final = 64 * 1024 * 1024
"""Bytes."""
_LEFT_OUT: Final = b"\0\0\xff\xff"
"""The end of every compressed message, which is not sent."""
_NORMAL: Final = (1000, 1001, 1005)
"""Close codes of RFC 6455 that tell of no failure: normal, going away, none given."""


class Frames:
    """Shows the messages of one connection to a conversation."""

    def __init__(
        self, conversation: Conversation, about_to_send: Callable[[bytes | None], None], extensions: str | None
    ) -> None:
        self._conversation = conversation
        self._about_to_send = about_to_send
        self._from_client = _Direction(extensions, is_client=True)
        self._from_server = _Direction(extensions, is_client=False)

    def sent(self, data: bytes) -> None:
        """Bytes of the client's."""
        for message in self._from_client.messages(data):
            self._about_to_send(message)
            self._conversation.sent(message)
            self._about_to_send(None)

    def received(self, data: bytes) -> None:
        """Bytes of the server's."""
        for message in self._from_server.messages(data):
            self._conversation.received(message)

    def left(self) -> None:
        """The client is gone, or nothing more can be read."""
        self._conversation.closed()

    def lost(self, error: Exception | None) -> None:
        """The server is gone."""
        code = self._from_server.close_code
        if error is None and (code in _NORMAL or self._from_client.close_code is not None):
            self._conversation.closed()
        else:
            told = code if code is not None else "without a word"
            self._conversation.fail(error or ConnectionError(f"the server closed the connection: {told}"))


class _Direction:
    """What one of the two says."""

    def __init__(self, extensions: str | None, *, is_client: bool) -> None:
        self._protocol = FrameProtocol(not is_client, _inflate(extensions, is_client=is_client))
        self._parts: list[bytes] = []
        self._size = 0
        self.close_code: int | None = None

    def messages(self, data: bytes) -> list[bytes]:
        """The messages that `data` makes whole."""
        self._protocol.receive_bytes(data)
        found = []
        for frame in self._protocol.received_frames():
            if frame.opcode is Opcode.CLOSE:
                self.close_code = int(frame.payload[0])  # of a code and a reason
            elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION):
                self._add(frame.payload)
                if frame.message_finished:
                    found.append(b"".join(self._parts))
                    self._parts.clear()
                    self._size = 0
        return found

    def _add(self, payload: Any) -> None:
        part = payload.encode() if isinstance(payload, str) else bytes(payload)
        self._size += len(part)
        if self._size > LARGEST_MESSAGE:
            raise ValueError("a WebSocket message that is too large")
        self._parts.append(part)


class _Inflate(Extension):
    """Undoes `permessage-deflate` (RFC 7692) in one direction; with the largest window, which reads what any wrote.

    wsproto's own takes a message for uncompressed from the first ping within it on.
    """

    name = "permessage-deflate"

    def __init__(self, *, keeps_context: bool) -> None:
        self._keeps_context = keeps_context
        self._inflate = decompressobj(-MAX_WBITS)
        self._is_compressed = False
        self._is_control = False

    def offer(self) -> bool:
        return False

    def enabled(self) -> bool:
        return True

    def frame_inbound_header(self, proto: Any, opcode: Opcode, rsv: RsvBits, payload_length: int) -> RsvBits:
        self._is_control = opcode.iscontrol()
        if not self._is_control and opcode is not Opcode.CONTINUATION:
            self._is_compressed = rsv.rsv1
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes:
        if self._is_control or not self._is_compressed:
            return data
        return self._inflate.decompress(bytes(data))

    def frame_inbound_complete(self, proto: Any, fin: bool) -> bytes | None:
        if self._is_control or not self._is_compressed or not fin:
            return None
        data = self._inflate.decompress(_LEFT_OUT)
        if not self._keeps_context:
            self._inflate = decompressobj(-MAX_WBITS)
        return data


def _inflate(extensions: str | None, *, is_client: bool) -> list[Extension]:
    """What undoes that which the handshake agreed for one of the two."""
    name, *agreed = (part.strip() for part in (extensions or "").split(";"))
    if name != _Inflate.name:
        return []
    return [_Inflate(keeps_context=f"{'client' if is_client else 'server'}_no_context_takeover" not in agreed)]
