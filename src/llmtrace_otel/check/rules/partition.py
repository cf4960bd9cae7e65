"""Any number of spans in constant memory, those that belong together all at once.

Few are held as they are. When there are more, they are put away in a temporary file, in parts by a hash of what they
belong to, and each part is then taken alone; one that is still too large is divided again.
"""

from __future__ import annotations

import tempfile
from array import array
from typing import IO, TYPE_CHECKING, Final

import msgspec

from llmtrace_otel.check.rules.recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HELD: Final = 6_000
"""Spans in memory, of one to two kB each."""

PARTS: Final = 256
MAX_DEPTH: Final = 4

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Recorded])


def partitioned(
    spans: Iterable[Recorded], key: Callable[[Recorded], str], held: int = HELD, depth: int = 0
) -> Iterator[Iterable[Recorded]]:
    """Spans in parts: all that have the same key are in the same part, in their order.

    A part is to be used up before the next one is asked for. It holds more than `held` spans only if one key does.
    """
    first: list[Recorded] = []
    rest = iter(spans)
    for span in rest:
        first.append(span)
        if len(first) > held:
            break
    else:
        yield first
        return
    with tempfile.TemporaryFile(prefix="llmtrace-") as file:
        parts = _Parts(file, key, depth)
        parts.add(first)
        del first
        while chunk := _taken(rest, held):
            parts.add(chunk)
        for part in parts:
            if part.mixed and depth < MAX_DEPTH:
                yield from partitioned(part, key, held, depth + 1)
            else:
                yield part


def _taken(spans: Iterator[Recorded], count: int) -> list[Recorded]:
    return [span for _, span in zip(range(count), spans, strict=False)]


class _Parts:
    """The parts of one file, and how to fill them."""

    def __init__(self, file: IO[bytes], key: Callable[[Recorded], str], depth: int) -> None:
        self._file = file
        self._key = key
        self._depth = depth
        self._parts: dict[int, _Part] = {}

    def __iter__(self) -> Iterator[_Part]:
        return iter(self._parts.values())

    def add(self, spans: list[Recorded]) -> None:
        """Puts spans away, those of each part together."""
        chunks: dict[int, list[Recorded]] = {}
        for span in spans:
            key = self._key(span)
            number = hash((self._depth, key)) % PARTS
            if (part := self._parts.get(number)) is None:
                self._parts[number] = _Part(self._file, key)
            elif not part.mixed and part.first != key:
                part.mixed = True
            chunks.setdefault(number, []).append(span)
        for number, chunk in chunks.items():
            self._parts[number].append(_encoder.encode(chunk))


class _Part:
    """Spans that are put away. `mixed`: they have more keys than one."""

    def __init__(self, file: IO[bytes], first: str) -> None:
        self.first = first
        self.mixed = False
        self._file = file
        self._places = array("Q")
        """Where its chunks are in the file: offset, length, offset, length, …"""

    def append(self, data: bytes) -> None:
        self._places.extend((self._file.tell(), len(data)))
        self._file.write(data)

    def __iter__(self) -> Iterator[Recorded]:
        places = iter(self._places)
        for offset, length in zip(places, places, strict=True):
            self._file.seek(offset)
            yield from _decoder.decode(self._file.read(length))
