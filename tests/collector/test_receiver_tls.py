"""TLS of both receivers: who gets in, and what is said of files that cannot be used."""

import asyncio
import ssl

import grpc
import httpx
import pytest
import trustme
from collector_helpers import PROTOBUF, request_of
from grpc import aio
from receiver_helpers import Receivers, serving

from llmtrace_collector.config.settings import TLSServer
from llmtrace_collector.errors import ConfigError
from llmtrace_collector.otlp.signals import TRACES

ONE = request_of("chat").SerializeToString()


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def files(authority, tmp_path):
    """Paths of a certificate, its key, and the authority of clients."""
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return {name: str(tmp_path / f"{name.removesuffix('_file')}.pem") for name in ("cert_file", "key_file", "ca_file")}


@pytest.fixture
def server_only(files):
    return TLSServer(files["cert_file"], files["key_file"])


@pytest.fixture
def mutual(files):
    return TLSServer(files["cert_file"], files["key_file"], client_ca_file=files["ca_file"])


def client_context(authority, *, certificate=False):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if certificate:
        authority.issue_cert("client@test").configure_cert(context)
    return context


async def send_http(server, context):
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        return (await client.post(f"{server.url}/v1/traces", content=ONE, headers=PROTOBUF)).status_code


async def send_grpc(server, authority, *, certificate=False):
    issued = authority.issue_cert("client@test")
    pair = (issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes()) if certificate else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes(), *pair)
    async with aio.secure_channel(server.url.removeprefix("https://"), credentials) as channel:
        return await channel.unary_unary(TRACES.rpc)(ONE, timeout=30)


def test_http_is_served_over_tls(authority, server_only):
    async def send():
        async with serving(Receivers().http(tls=server_only)) as server:
            return await send_http(server, client_context(authority))

    assert asyncio.run(send()) == 200


def test_grpc_is_served_over_tls(authority, server_only):
    async def send():
        async with serving(Receivers().grpc(tls=server_only)) as server:
            return await send_grpc(server, authority)

    assert asyncio.run(send()) == b""


def test_http_lets_in_only_clients_with_a_certificate(authority, mutual):
    async def send():
        async with serving(Receivers().http(tls=mutual)) as server:
            with pytest.raises(httpx.TransportError):
                await send_http(server, client_context(authority))
            return await send_http(server, client_context(authority, certificate=True))

    assert asyncio.run(send()) == 200


def test_grpc_lets_in_only_clients_with_a_certificate(authority, mutual):
    async def send():
        async with serving(Receivers().grpc(tls=mutual)) as server:
            with pytest.raises(aio.AioRpcError) as refused:
                await send_grpc(server, authority)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
            return await send_grpc(server, authority, certificate=True)

    assert asyncio.run(send()) == b""


def test_http_can_ask_for_tls_1_3(authority, files):
    old = client_context(authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    async def send():
        tls = TLSServer(files["cert_file"], files["key_file"], min_version="1.3")
        async with serving(Receivers().http(tls=tls)) as server:
            with pytest.raises(httpx.ConnectError):
                await send_http(server, old)
            return await send_http(server, client_context(authority))

    assert asyncio.run(send()) == 200


def test_grpc_says_that_it_cannot_ask_for_tls_1_3(files):
    tls = TLSServer(files["cert_file"], files["key_file"], min_version="1.3")
    with pytest.raises(ConfigError, match=r"tls: min_version 1\.3 cannot be enforced for gRPC"):
        asyncio.run(Receivers().grpc(tls=tls).start())


@pytest.mark.parametrize("kind", ["http", "grpc"])
@pytest.mark.parametrize("key", ["cert_file", "key_file", "client_ca_file"])
def test_a_file_that_is_not_there_is_named_with_its_key(mutual, kind, key):
    tls = TLSServer(**{**vars(mutual), key: "/nowhere.pem"})
    with pytest.raises(ConfigError) as refused:
        asyncio.run(getattr(Receivers(), kind)(tls=tls).start())
    assert str(refused.value) == f"tls: {key} /nowhere.pem cannot be read: No such file or directory"


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_a_key_of_another_certificate_is_refused(authority, mutual, kind, tmp_path):
    other = tmp_path / "other.pem"
    authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(other)
    tls = TLSServer(mutual.cert_file, str(other))
    with pytest.raises(ConfigError, match=f"tls: cert_file {mutual.cert_file} and key_file {other} cannot be used: "):
        asyncio.run(getattr(Receivers(), kind)(tls=tls).start())


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_an_authority_that_is_no_certificate_is_refused(mutual, kind, tmp_path):
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("garbage")
    tls = TLSServer(mutual.cert_file, mutual.key_file, client_ca_file=str(garbage))
    with pytest.raises(ConfigError, match=f"tls: client_ca_file {garbage} cannot be used: "):
        asyncio.run(getattr(Receivers(), kind)(tls=tls).start())
