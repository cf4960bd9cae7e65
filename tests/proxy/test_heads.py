"""What clients ask a proxy for, and what goes on to the server."""

from __future__ import annotations

import pytest
from world import AUTHORIZATION, TOKEN

from llmtrace_otel.proxy.heads import Asked, BadHead, Destination, authority, onward, read_asked, read_head

CREDENTIALS = ("child", TOKEN)


def head(first: str, *lines: str) -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("target", "destination"),
    [
        ("api.openai.com:443", Destination("tunnel", "api.openai.com", 443)),
        ("API.OpenAI.com:8443", Destination("tunnel", "api.openai.com", 8443)),
        ("[::1]:443", Destination("tunnel", "::1", 443)),
    ],
)
def test_a_tunnel_is_asked_for_with_credentials(target: str, destination: Destination):
    asked = read_asked(read_head(head(f"CONNECT {target} HTTP/1.1", f"proxy-authorization: {AUTHORIZATION}")))
    assert asked == Asked(destination, CREDENTIALS, "")


@pytest.mark.parametrize(
    ("url", "destination", "target"),
    [
        ("http://gateway:4000/v1/messages?beta=true", Destination("http", "gateway", 4000), "/v1/messages?beta=true"),
        ("http://gateway", Destination("http", "gateway", 80), "/"),
        ("http://gateway?q=1", Destination("http", "gateway", 80), "/?q=1"),
        ("HTTP://user:pass@[::1]:80/a", Destination("http", "::1", 80), "/a"),
        ("https://gateway/a", Destination("https", "gateway", 443), "/a"),
    ],
)
def test_an_absolute_url_is_taken_apart(url: str, destination: Destination, target: str):
    assert read_asked(read_head(head(f"GET {url} HTTP/1.1"))) == Asked(destination, None, target)


@pytest.mark.parametrize(
    ("rest", "destination", "target"),
    [
        ("https/api.openai.com:443/v1/a?b=/c", Destination("https", "api.openai.com", 443), "/v1/a?b=/c"),
        ("http/127.0.0.1:4000", Destination("http", "127.0.0.1", 4000), "/"),
        ("http/127.0.0.1:4000?a=b", Destination("http", "127.0.0.1", 4000), "/?a=b"),
        ("https/[::1]/v1", Destination("https", "::1", 443), "/v1"),
    ],
)
def test_a_relayed_url_holds_credentials_and_destination(rest: str, destination: Destination, target: str):
    asked = read_asked(read_head(head(f"GET /t/child:{TOKEN}/{rest} HTTP/1.1")))
    assert asked == Asked(destination, CREDENTIALS, target)


@pytest.mark.parametrize(
    "first",
    [
        "GET / HTTP/1.1",
        "GET ftp://host/ HTTP/1.1",
        "GET http:/// HTTP/1.1",
        "GET http://host:port/ HTTP/1.1",
        "GET /t/child/https/host:443/ HTTP/1.1",
        "GET /t/child:s3cret/gopher/host:70/ HTTP/1.1",
        "CONNECT host HTTP/1.1",
        "CONNECT [::1 HTTP/1.1",
        "CONNECT host:443 HTTP/2",
        "hello",
    ],
)
def test_what_no_proxy_could_serve_is_refused_without_being_repeated(first: str):
    with pytest.raises(BadHead) as refused:
        read_asked(read_head(head(first)))
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("value", ["Bearer x", "Basic !", "Basic " + "=" * 5, "Basic", ""])
def test_credentials_that_cannot_be_read_are_none(value: str):
    asked = read_asked(read_head(head("CONNECT host:443 HTTP/1.1", f"Proxy-Authorization: {value}")))
    assert asked.credentials in (None, ("", ""))


def test_the_head_goes_on_as_it_came_but_for_what_was_the_proxys():
    came = read_head(
        head(
            "POST http://gateway:4000/v1/messages HTTP/1.1",
            "Host: gateway:4000",
            "x-Odd:  spelling ",
            f"PROXY-Authorization: {AUTHORIZATION}",
            "Proxy-Connection: keep-alive",
            "Connection: keep-alive",
            "content-length: 2",
        )
    )
    assert onward(came, read_asked(came)) == head(
        "POST /v1/messages HTTP/1.1",
        "Host: gateway:4000",
        "x-Odd:  spelling ",
        "Connection: keep-alive",
        "content-length: 2",
    )


def test_the_next_proxy_gets_the_url_and_its_own_credentials():
    came = read_head(head("GET http://gateway/a HTTP/1.1", "Host: gateway", f"Proxy-Authorization: {AUTHORIZATION}"))
    assert onward(came, read_asked(came), absolute=True, added=b"Proxy-Authorization: Basic b3RoZXI=") == head(
        "GET http://gateway/a HTTP/1.1", "Host: gateway", "Proxy-Authorization: Basic b3RoZXI="
    )


def test_a_relayed_request_names_the_server_as_its_host():
    came = read_head(head(f"GET /t/child:{TOKEN}/https/api.openai.com:443/v1 HTTP/1.1", "HOST: 127.0.0.1:4", "a: b"))
    assert onward(came, read_asked(came)) == head("GET /v1 HTTP/1.1", "Host: api.openai.com", "a: b")


@pytest.mark.parametrize(("text", "found"), [("h", ("h", 1)), ("[::1]", ("::1", 1)), ("h:2", ("h", 2))])
def test_an_authority_may_leave_its_port_out(text: str, found: tuple[str, int]):
    assert authority(text, 1) == found
