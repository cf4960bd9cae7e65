"""Which way leads to a server, and which ones are closed."""

from __future__ import annotations

import asyncio

import pytest
from local_tls import ConnectProxy, running

from llmtrace_otel.proxy.heads import Destination
from llmtrace_otel.proxy.messages import Child
from llmtrace_otel.proxy.upstream import Denied, Proxy, Unreachable, check, dial, is_exempt, proxy_for

SERVER = Destination("tunnel", "api.openai.com", 443)


def child(**proxies: str) -> Child:
    return Child("child", "token", {}, proxies=proxies)


@pytest.mark.parametrize(
    ("proxies", "scheme", "found"),
    [
        ({}, "tunnel", None),
        ({"https": "http://corp:3128"}, "tunnel", Proxy("corp", 3128, None)),
        ({"https": "http://corp:3128"}, "https", Proxy("corp", 3128, None)),
        ({"https": "http://corp:3128"}, "http", None),
        ({"http": "http://corp:3128"}, "http", Proxy("corp", 3128, None)),
        ({"http": "http://corp:3128"}, "tunnel", None),
        ({"all": "http://corp"}, "tunnel", Proxy("corp", 80, None)),
        ({"all": "http://other:1", "https": "corp:3128"}, "tunnel", Proxy("corp", 3128, None)),
        (
            {"https": "http://me:p%40ss@corp:3128"},
            "tunnel",
            Proxy("corp", 3128, b"Proxy-Authorization: Basic bWU6cEBzcw=="),
        ),
        ({"https": "http://corp:3128", "no": "openai.com"}, "tunnel", None),
        ({"https": ""}, "tunnel", None),
    ],
    ids=str,
)
def test_the_childs_own_proxy_is_used(proxies: dict[str, str], scheme: str, found: Proxy | None):
    assert proxy_for(child(**proxies), SERVER._replace(scheme=scheme)) == found


@pytest.mark.parametrize("url", ["socks5://me:secret@corp:1080", "https://me:secret@corp:443", "http://me:secret@:x"])
def test_a_proxy_of_another_kind_is_named_as_the_reason_and_not_quoted(url: str):
    with pytest.raises(Unreachable) as failure:
        proxy_for(child(all=url), SERVER)
    assert str(failure.value) == "api.openai.com:443 is behind a proxy that is not an http:// one"


@pytest.mark.parametrize(
    ("listed", "host", "is_in_it"),
    [
        ("openai.com", "api.openai.com", True),
        ("openai.com", "openai.com", True),
        (".openai.com", "api.openai.com", True),
        ("*.openai.com", "api.openai.com", True),
        ("a.example, OpenAI.com ,b.example", "api.openai.com.", True),
        ("a.example openai.com", "api.openai.com", True),
        ("*", "api.openai.com", True),
        ("openai.com:443", "api.openai.com", True),
        ("openai.com:8443", "api.openai.com", False),
        ("penai.com", "api.openai.com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("[::1]:443", "::1", True),
        ("", "api.openai.com", False),
        (":x,,", "api.openai.com", False),
    ],
)
def test_hosts_that_need_no_proxy_are_listed_as_curl_reads_it(listed: str, host: str, is_in_it: bool):
    assert is_exempt({"no": listed}, SERVER._replace(host=host)) is is_in_it


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "169.254.0.1", "::ffff:169.254.169.254", "fe80::1%eth0", "fd00:ec2::254"]
)
def test_link_local_addresses_are_nobodys(address: str):
    with pytest.raises(Denied, match="link-local"):
        check(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "api.openai.com", "fd00::1", "::1"])
def test_other_addresses_are_not(host: str):
    check(host)


def test_a_name_that_leads_to_a_link_local_address_is_closed_before_anything_is_said(names: None):
    async def connect_there() -> None:
        with pytest.raises((Denied, Unreachable)):
            await dial(Destination("tunnel", "metadata.example", 9), None)

    asyncio.run(connect_there())


def test_a_proxys_refusal_is_told_without_its_credentials():
    async def dial_through(port: int) -> None:
        with pytest.raises(Unreachable) as failure:
            await dial(SERVER, Proxy("127.0.0.1", port, b"Proxy-Authorization: Basic c2VjcmV0"))
        assert str(failure.value) == f"cannot reach api.openai.com:443: the proxy 127.0.0.1:{port} answers 407"

    with running(ConnectProxy(0, "name:password")) as port:
        asyncio.run(dial_through(port))


def test_a_server_that_is_not_there_is_named():
    async def dial_nobody() -> None:
        with pytest.raises(Unreachable, match=r"^cannot reach 127\.0\.0\.1:1: "):
            await dial(Destination("tunnel", "127.0.0.1", 1), None)

    asyncio.run(dial_nobody())
