"""Compressed bodies: every container, in any pieces, and what bombs and floods cost."""

import gzip
import tracemalloc
import zlib

import pytest
import zstandard

from llmtrace_collector.errors import MalformedError, TooLargeError
from llmtrace_collector.receivers.inflate import ZSTD_WINDOW, Body

TEXT = b"What is the capital of France? " * 1000
COMPRESS = {"gzip": gzip.compress, "deflate": zlib.compress, "zlib": zlib.compress, "zstd": zstandard.compress}
MIB = 1024 * 1024


def inflate(encoding, data, limit=MIB, step=None):
    body = Body(encoding, limit)
    step = step or max(1, len(data))
    for start in range(0, len(data), step):
        body.feed(data[start : start + step])
    return body.end()


@pytest.mark.parametrize("encoding", COMPRESS)
@pytest.mark.parametrize("step", [None, 1, 7, 1000])
def test_a_body_comes_out_as_it_went_in(encoding, step):
    assert inflate(encoding, COMPRESS[encoding](TEXT), step=step) == TEXT


@pytest.mark.parametrize("encoding", COMPRESS)
@pytest.mark.parametrize("step", [None, 1, 7])
def test_several_parts_are_one_body(encoding, step):
    compress = COMPRESS[encoding]
    assert inflate(encoding, compress(TEXT) + compress(b"") + compress(b"!"), step=step) == TEXT + b"!"


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_cut_body_is_malformed(encoding):
    whole = COMPRESS[encoding](TEXT)
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        with pytest.raises(MalformedError):
            inflate(encoding, whole[:length])


@pytest.mark.parametrize("encoding", COMPRESS)
def test_the_limit_is_exact(encoding):
    whole = COMPRESS[encoding](TEXT)
    assert inflate(encoding, whole, limit=len(TEXT)) == TEXT
    with pytest.raises(TooLargeError, match=f"the body is larger than {len(TEXT) - 1} bytes"):
        inflate(encoding, whole, limit=len(TEXT) - 1)


def test_an_uncompressed_body_has_the_same_limit():
    assert inflate("", TEXT, limit=len(TEXT), step=100) == TEXT
    with pytest.raises(TooLargeError):
        inflate("", TEXT, limit=len(TEXT) - 1, step=100)


def test_what_goes_in_has_the_limit_too():
    with pytest.raises(TooLargeError):
        inflate("gzip", gzip.compress(b"") * 100, limit=1000)


@pytest.mark.parametrize(("encoding", "allowed"), [("gzip", MIB), ("deflate", MIB), ("zstd", 40 * MIB)])
def test_a_bomb_is_refused_before_it_is_inflated(encoding, allowed):
    bomb = COMPRESS[encoding](bytes(256 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            inflate(encoding, bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB + allowed


def test_a_zstd_frame_that_wants_a_large_window_is_malformed():
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert ZSTD_WINDOW < 1 << 27
    with pytest.raises(MalformedError, match="the body is not valid zstd: "):
        inflate("zstd", stream.compress(TEXT) + stream.flush())


def test_an_unknown_encoding_is_named():
    with pytest.raises(
        MalformedError, match="unsupported Content-Encoding 'br'; use gzip, deflate, zlib, zstd or none"
    ):
        Body("br", MIB)
