"""Content encodings whose output is flushed after every piece, as a provider's proxy does for streams."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Encoder(Protocol):
    def piece(self, data: bytes) -> bytes: ...
    def end(self) -> bytes: ...


class Zlib:
    """`deflate` (zlib's own frame) and `gzip`, told apart by the window bits."""

    def __init__(self, window_bits: int) -> None:
        self.encoder = zlib.compressobj(wbits=window_bits)

    def piece(self, data: bytes) -> bytes:
        return self.encoder.compress(data) + self.encoder.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self.encoder.flush()


class Brotli:
    def __init__(self) -> None:
        import brotli  # type: ignore[import-untyped]

        self.encoder = brotli.Compressor()

    def piece(self, data: bytes) -> bytes:
        return bytes(self.encoder.process(data) + self.encoder.flush())

    def end(self) -> bytes:
        return bytes(self.encoder.finish())


class Zstandard:
    def __init__(self) -> None:
        import zstandard

        self.encoder = zstandard.ZstdCompressor().compressobj()
        self.flush_block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def piece(self, data: bytes) -> bytes:
        return self.encoder.compress(data) + self.encoder.flush(self.flush_block)

    def end(self) -> bytes:
        return self.encoder.flush()


ENCODERS: dict[str, Callable[[], Encoder]] = {
    "gzip": lambda: Zlib(31),
    "deflate": lambda: Zlib(15),
    "br": Brotli,
    "zstd": Zstandard,
}


def encode(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Encodes piece by piece; raises KeyError for an encoding that is not in `ENCODERS`."""
    encoder = ENCODERS[encoding]()
    for piece in pieces:
        yield encoder.piece(piece)
    yield encoder.end()
