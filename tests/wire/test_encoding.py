"""Content codings undone piece by piece."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from llmtrace_otel.wire.encoding import Decoder, UnknownCoding, decoder

PLAIN = '{"answer": "naïve ☀ 日本", "numbers": [1, 2, 3]}'.encode() * 40


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate-zlib": ("deflate", zlib.compress),
    "deflate-raw": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "spelled-GZip": (" GZip ", gzip.compress),
    "identity-too": ("identity, gzip", gzip.compress),
    "chained": ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
    "chained-thrice": ("deflate,gzip,zstd", lambda d: zstandard.compress(gzip.compress(zlib.compress(d)))),
}
each_coding = pytest.mark.parametrize(("coding", "encode"), CODINGS.values(), ids=CODINGS)


def undo(coding: str) -> Decoder:
    found = decoder(coding)
    assert found is not None
    return found


@each_coding
def test_a_body_in_one_piece_comes_back(coding: str, encode: Callable[[bytes], bytes]):
    assert undo(coding).decompress(encode(PLAIN)) == PLAIN


@each_coding
def test_a_body_byte_by_byte_comes_back(coding: str, encode: Callable[[bytes], bytes]):
    decode, encoded = undo(coding).decompress, encode(PLAIN)
    assert b"".join(decode(encoded[at : at + 1]) for at in range(len(encoded))) == PLAIN


@each_coding
def test_a_body_that_is_cut_short_gives_what_came(coding: str, encode: Callable[[bytes], bytes]):
    encoded = encode(PLAIN)
    found = undo(coding).decompress(encoded[: len(encoded) - 3])
    assert PLAIN.startswith(found)


def test_raw_deflate_may_be_cut_after_its_first_byte():
    decode, encoded = undo("deflate").decompress, raw_deflate(PLAIN)
    assert decode(encoded[:1]) + decode(encoded[1:]) == PLAIN


def test_an_empty_piece_tells_nothing_about_deflate():
    decode = undo("deflate").decompress
    assert decode(b"") + decode(raw_deflate(PLAIN)) == PLAIN


def test_zstd_may_come_in_several_frames():
    compress = zstandard.ZstdCompressor().compress
    assert undo("zstd").decompress(compress(PLAIN) + compress(PLAIN)) == PLAIN * 2


def test_a_piece_after_the_end_is_no_error():
    decode = undo("zstd").decompress
    assert decode(zstandard.compress(PLAIN)) + decode(b"") == PLAIN


@pytest.mark.parametrize("header", ["", "identity", " , ", "Identity,identity"])
def test_where_there_is_nothing_to_undo_there_is_no_decoder(header: str):
    assert decoder(header) is None


@pytest.mark.parametrize("header", ["compress", "gzip, wat", "aes128gcm"])
def test_an_unknown_coding_is_said(header: str):
    with pytest.raises(UnknownCoding, match=header.rpartition(" ")[2]):
        decoder(header)


@pytest.mark.parametrize(
    ("coding", "libraries"),
    [("br", ("brotli", "brotlicffi")), ("zstd", ("compression.zstd", "backports.zstd", "zstandard"))],
)
def test_a_coding_whose_library_is_missing_is_unknown(
    coding: str, libraries: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    for library in libraries:
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UnknownCoding, match=libraries[-1]):
        decoder(coding)
