"""What a TLS client says first, as real clients say it."""

from __future__ import annotations

import ssl
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.proxy.hello import Hello, read_hello


def greeting(name: str | None, protocols: list[str] = []) -> bytes:  # noqa: B006 - only read
    """A ClientHello of Python's."""
    context = ssl.create_default_context(cadata=None)
    context.check_hostname = name is not None
    if protocols:
        context.set_alpn_protocols(protocols)
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def in_records(data: bytes, size: int) -> bytes:
    """The same handshake, in records of that size."""
    body = data[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def test_the_name_and_the_protocols_are_read():
    assert read_hello(greeting("api.openai.com", ["h2", "http/1.1"])) == Hello("api.openai.com", (b"h2", b"http/1.1"))
    assert read_hello(greeting("api.openai.com")) == Hello("api.openai.com", ())
    assert read_hello(greeting(None)) == Hello(None, ())


def test_a_greeting_in_many_records_is_one():
    assert read_hello(in_records(greeting("api.openai.com", ["h2"]), 7)) == Hello("api.openai.com", (b"h2",))


def test_a_greeting_that_is_not_all_there_is_waited_for():
    whole = greeting("api.openai.com", ["http/1.1"])
    assert {read_hello(whole[:count]) for count in range(len(whole))} == {None}


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9",
        b"\x16\x02\x01\x00\x05",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
    ],
    ids=["http", "ssh", "version", "server hello", "too long", "cut"],
)
def test_anything_else_is_no_greeting(said: bytes):
    with pytest.raises(ValueError, match=r"ClientHello|handshake"):
        read_hello(said)


@given(st.binary(max_size=200).map(lambda data: b"\x16\x03\x01" + data))
def test_whatever_comes_is_a_greeting_or_the_start_of_one_or_none(data: bytes):
    with suppress(ValueError):
        assert isinstance(read_hello(data), Hello | None)


@pytest.mark.parametrize(
    ("hello", "suits"),
    [
        (Hello("api.openai.com", ()), True),
        (Hello("API.OpenAI.com", (b"h2", b"http/1.1")), True),
        (Hello(None, ()), True),
        (Hello("api.openai.com", (b"h2",)), False),
        (Hello("other.example", (b"http/1.1",)), False),
    ],
    ids=str,
)
def test_only_who_speaks_http_1_with_the_host_can_be_served_in_its_place(hello: Hello, suits: bool):
    assert hello.suits("api.openai.com.") is suits
