"""Content codings, undone on a copy: the caller's bytes stay as they came.

A coding whose library is missing raises `UnknownCoding`; the call then goes on unread.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any, Protocol


class UnknownCoding(Exception):  # noqa: N818 - a condition of the data, named as h11 names its own
    """The body has a content coding that this environment cannot undo."""


class Decoder(Protocol):
    """Undoes a content coding piece by piece."""

    def decompress(self, data: bytes, /) -> bytes: ...


class _Deflate:
    """`deflate` is zlib by the book and raw deflate in the wild; the first two bytes tell."""

    def __init__(self) -> None:
        self._start = b""
        self._inflate: Decoder | None = None

    def decompress(self, data: bytes) -> bytes:
        if self._inflate is None:
            self._start += data
            if len(self._start) < 2:
                return b""
            data, is_zlib = self._start, int.from_bytes(self._start[:2], "big") % 31 == 0 and self._start[0] & 15 == 8
            self._inflate = zlib.decompressobj() if is_zlib else zlib.decompressobj(-zlib.MAX_WBITS)
        return self._inflate.decompress(data)


class _Frames:
    """A coding whose data may be several frames, or gzip members, one after the other."""

    def __init__(self, new: Callable[[], Any]) -> None:
        self._new = new
        self._current = new()

    def decompress(self, data: bytes) -> bytes:
        decoded = []
        while data:
            if self._current.eof:
                self._current = self._new()
            decoded.append(self._current.decompress(data))
            data = self._current.unused_data if self._current.eof else b""
        return b"".join(decoded)


class _Brotli:
    def __init__(self) -> None:
        module = _first_of("brotli", "brotlicffi")
        self._decompressor = module.Decompressor()
        self._step = getattr(self._decompressor, "process", None) or self._decompressor.decompress

    def decompress(self, data: bytes) -> bytes:
        return bytes(self._step(data))


class _Chain:
    """Several codings, undone in the reverse order of their application."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def decompress(self, data: bytes) -> bytes:
        for decoder in self._decoders:
            data = decoder.decompress(data)
        return data


def decoder(content_encoding: str) -> Decoder | None:
    """The decoder for a Content-Encoding header; `None` where there is nothing to undo.

    Raises:
        UnknownCoding: the coding is unknown, or its library is not installed here.
    """
    codings = [
        coding for part in content_encoding.split(",") if (coding := part.strip().lower()) not in ("", "identity")
    ]
    decoders = [_decoder(coding) for coding in reversed(codings)]
    if not decoders:
        return None
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)


def _decoder(coding: str) -> Decoder:
    match coding:
        case "gzip" | "x-gzip":
            return _Frames(lambda: zlib.decompressobj(16 + zlib.MAX_WBITS))
        case "deflate":
            return _Deflate()
        case "br":
            return _Brotli()
        case "zstd":
            return _zstd()
        case _:
            raise UnknownCoding(coding)


def _zstd() -> Decoder:
    module = _first_of("compression.zstd", "backports.zstd", "zstandard")
    if module.__name__ == "zstandard":
        return _Frames(lambda: module.ZstdDecompressor().decompressobj())
    return _Frames(module.ZstdDecompressor)


def _first_of(*names: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - untyped optional libraries
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise UnknownCoding(" or ".join(names))
