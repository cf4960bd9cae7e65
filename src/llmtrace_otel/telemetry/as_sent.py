"""How much of a request was sent before, told by its bytes: that need not be decoded and built to be known.

Remembered of each message is the fingerprint of the bytes of all messages up to there, beside that of what they become.
They are looked up by the sum of Python's hashes of each message, which is had without a step of ours for any of them;
the fingerprint then tells whether it is so. What is between messages does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from llmtrace_otel.telemetry.latest import Latest

if TYPE_CHECKING:
    from msgspec import Raw

    from llmtrace_otel.wire.call import Message
    from llmtrace_otel.wire.sent import Sent


class Known(NamedTuple):
    """A conversation up to a message: the fingerprint of it as it was sent, and as it was built."""

    sent: bytes
    built: bytes


KNOWN: Final[Latest[int, Known]] = Latest()
KNOWN.go_on_after_fork()


class Request:
    """The messages of a request, in a conversation that begins at the fingerprint `start`."""

    def __init__(self, sent: Sent, start: bytes) -> None:
        self._sent = sent
        self._items = sent.items()
        self._key = blake2b(sent.kind, digest_size=16, key=start).digest()
        self._sums = list(accumulate(map(hash, map(bytes, self._items)), initial=hash(self._key)))[1:]
        self._hashed = blake2b(digest_size=16, key=self._key)
        self._count = 0
        """How many items are hashed."""

    def known(self) -> tuple[int, bytes] | None:
        """How many messages it began with that were sent before, and the fingerprint of what they became."""
        count, known = KNOWN.longest(self._sums)
        if known is None:
            return None
        self._hash(count)
        return (count, known.built) if known.sent == self._hashed.digest() else None

    def after(self, count: int) -> list[Message] | None:
        """Its messages without so many; `None` where they cannot be told without these. Never raises."""
        return self._sent.of(self._items[count:]) if self._items else None

    def remember(self, count: int, built: Sequence[bytes]) -> None:
        """Remembers the fingerprints after each message but `count`, where all items are messages."""
        if len(self._items) == count + len(built):
            self._hash(count)
            KNOWN.add(self._sums[count:], map(Known, self._fingerprints(self._items[count:]), built))

    def _hash(self, count: int) -> None:
        """Goes to where so many items are hashed."""
        if count != self._count:
            self._hashed = blake2b(b"".join(self._items[:count]), digest_size=16, key=self._key)
            self._count = count

    def _fingerprints(self, items: list[Raw]) -> Iterator[bytes]:
        """Of what is hashed already and each of the items that follow it."""
        for item in items:
            self._hashed.update(item)
            yield self._hashed.digest()
