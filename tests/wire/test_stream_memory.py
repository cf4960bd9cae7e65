"""A stream of any length: constant memory with content off, no more than in proportion to its text with content on."""

from __future__ import annotations

import tracemalloc
from urllib.parse import urlsplit

import bodies
import pytest

from llmtrace_otel.wire import framing
from llmtrace_otel.wire.exchange import Exchange

STREAMS = [name for name in bodies.FORMATS if name.endswith("-stream")]


def begun(call: bodies.Exchanged, *, capture: bool) -> Exchange:
    url = urlsplit(call.url)
    exchange = Exchange.begin("POST", url.hostname or "", 443, url.path, bodies._json(call.request), capture=capture)
    assert exchange is not None
    exchange.response(200, {"content-type": call.content_type})
    return exchange


def most_held(name: str, chunks: int, *, capture: bool = False) -> int:
    """The most bytes that reading a stream of so many chunks has allocated at any time."""
    call = bodies.FORMATS[name](chunks)
    exchange = begun(call, capture=capture)
    tracemalloc.start()
    try:
        for piece in call.pieces:
            exchange.feed(bytes(bytearray(piece)))  # a new object, as from a socket
        exchange.end()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_read_to_its_end(name: str):
    call = bodies.FORMATS[name](300)
    exchange = begun(call, capture=True)
    for piece in call.pieces:
        exchange.feed(piece)
    exchange.end()
    found = exchange.call
    assert (found.complete, found.unreadable, found.error_type) == (True, None, None)
    assert found.usage is not None
    assert found.usage.input is not None
    assert found.output_messages is not None
    (message,) = found.output_messages
    assert message["parts"][-1]["content"].count("word") in (300, 0)  # some end with the whole text again


@pytest.mark.parametrize("name", STREAMS)
def test_ten_times_the_chunks_take_no_more_memory_with_content_off(name: str):
    most_held(name, 100)  # what is made once per process
    some, many = (most_held(name, chunks) for chunks in (1_000, 10_000))
    # What a provider itself repeats at the end grows with the text; nothing of ours does.
    assert many - some <= 4 * framing._LOOK_AFTER


@pytest.mark.long
@pytest.mark.parametrize("name", STREAMS)
def test_ten_times_the_chunks_take_ten_times_the_memory_at_most_with_content_on(name: str):
    some, many = (most_held(name, chunks, capture=True) for chunks in (1_000, 10_000))
    assert many <= 12 * some
