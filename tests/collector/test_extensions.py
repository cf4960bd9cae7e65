"""Health check and bearer tokens: what is answered, who is let in, and how a token file is followed."""

import asyncio
import json
import re

import grpc
import pytest
from collector_helpers import JSON, PROTOBUF, Answer, call, request_of
from google.rpc.status_pb2 import Status
from grpc import aio
from receiver_helpers import ANY_PORT, Receivers, exchange, serving

from llmtrace_collector.config.settings import BearerToken, HealthCheck
from llmtrace_collector.errors import ConfigError
from llmtrace_collector.extensions.bearer_tokens import BearerTokens
from llmtrace_collector.extensions.health_check import HealthServer, go_duration
from llmtrace_collector.otlp.signals import TRACES

ONE = request_of("chat").SerializeToString()
NOT_AVAILABLE = {"status": "Server not available", "upSince": "0001-01-01T00:00:00Z", "uptime": ""}

# Health


def health(**settings):
    return HealthServer(HealthCheck(endpoint=ANY_PORT, **settings))


def test_health_is_503_before_and_after_the_collector_takes_requests():
    server = health()
    before = call(server, method="GET", path="/")
    server.ready()
    assert call(server, method="GET", path="/").status == 200
    server.not_ready()
    assert call(server, method="GET", path="/") == before
    assert (before.status, before.headers, json.loads(before.body)) == (503, JSON, NOT_AVAILABLE)


def test_health_tells_since_when_and_how_long():
    server = health()
    server.ready()
    told = json.loads(call(server, method="GET", path="/").body)
    assert told["status"] == "Server available"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", told["upSince"])
    assert re.fullmatch(r"[\d.]+s", told["uptime"])


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.25, "0.25s"), (59.5, "59.5s"), (60, "1m0s"), (3723.5, "1h2m3.5s"), (3600, "1h0m0s")]
)
def test_durations_are_shown_as_go_shows_them(seconds, shown):
    assert go_duration(seconds) == shown


def test_health_has_one_path_or_every_path():
    assert call(health(path="/health"), method="GET", path="/health").status == 503
    assert call(health(path="/health"), method="GET", path="/").status == 404
    assert call(health(path="/"), method="GET", path="/anything").status == 503


def test_health_is_served():
    async def ask():
        async with serving(health()) as server:
            server.ready()
            assert server.url.startswith("http://127.0.0.1:")
            plain = server.url.removesuffix("/")
            server.url = plain
            return await exchange(server, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 200 OK\r\n")


# Tokens

said: list[str] = []


@pytest.fixture(autouse=True)
def nothing_said_by_accident():
    said.clear()
    yield
    assert said == []


def tokens(**settings):
    return BearerTokens(BearerToken(**settings), said.append)


@pytest.mark.parametrize(
    ("settings", "accepted", "refused"),
    [
        ({"token": "a"}, ["Bearer a"], ["Bearer b", "bearer a", "a", "Bearer a ", "", None, "Bearer ä"]),
        ({"tokens": ("a", "b")}, ["Bearer a", "Bearer b"], ["Bearer ab"]),
        ({"token": "a", "scheme": "Token"}, ["Token a"], ["Bearer a"]),
        ({"token": "a", "scheme": ""}, ["a"], ["Bearer a", " a"]),
    ],
    ids=["one", "two", "scheme", "bare"],
)
def test_a_token_is_accepted_with_its_scheme(settings, accepted, refused):
    known = tokens(**settings)
    assert [known.accepts(value) for value in accepted] == [True] * len(accepted)
    assert [known.accepts(value) for value in refused] == [False] * len(refused)


def test_a_client_sends_the_first_token():
    assert tokens(tokens=("a", "b")).header() == ("Authorization", "Bearer a")
    assert tokens(token="a", header="X-Key", scheme="").header() == ("X-Key", "a")


def test_a_file_holds_a_token_a_line_with_comments(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("one  for alice\n\n\ttwo\n")
    known = tokens(filename=str(path))
    assert [known.accepts(f"Bearer {token}") for token in ("one", "two", "for", "")] == [True, True, False, False]


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("old")
    known = tokens(filename=str(path))
    assert known.accepts("Bearer old")
    path.write_text("newer")
    assert (known.accepts("Bearer old"), known.accepts("Bearer newer")) == (False, True)


def test_the_old_tokens_stay_while_the_file_is_gone_or_empty(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("old")
    known = tokens(filename=str(path))
    path.unlink()
    assert known.accepts("Bearer old")
    assert known.accepts("Bearer old")
    path.write_text("")
    assert known.accepts("Bearer old")
    path.write_text("new")
    assert known.accepts("Bearer new")
    gone = f"bearertokenauth: {path} cannot be read, the old tokens stay: No such file or directory"
    assert said == [gone, f"bearertokenauth: {path} is read again"]
    said.clear()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "bearertokenauth: no token; give token, tokens or filename"),
        ({"token": "a", "tokens": ("b",)}, "bearertokenauth: give either token or tokens, not both"),
        ({"filename": "/nowhere"}, "bearertokenauth: filename /nowhere cannot be read: No such file or directory"),
    ],
)
def test_settings_without_a_usable_token_are_refused(settings, message):
    with pytest.raises(ConfigError) as refused:
        tokens(**settings)
    assert str(refused.value) == message


def test_http_refuses_a_request_without_token_before_reading_it():
    receiver = Receivers(authenticator=tokens(token="secret")).http()
    expected = Status(code=16, message="no accepted token in the header Authorization").SerializeToString()
    refused = Answer(401, {**PROTOBUF, "www-authenticate": "Bearer"}, expected)
    assert call(receiver, chunks=[]) == refused
    assert call(receiver, headers={**PROTOBUF, "authorization": "Bearer wrong"}, chunks=[]) == refused
    taken = call(receiver, headers={**PROTOBUF, "authorization": "Bearer secret"}, body=ONE)
    assert taken == Answer(200, PROTOBUF, b"")


def test_grpc_refuses_a_request_without_token_before_reading_it():
    receivers = Receivers(authenticator=tokens(token="secret"))

    async def send():
        async with (
            serving(receivers.grpc()) as server,
            aio.insecure_channel(server.url.removeprefix("http://")) as channel,
        ):
            with pytest.raises(aio.AioRpcError) as refused:
                await channel.stream_unary(TRACES.rpc)(endless())
            assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
            assert refused.value.details() == "no accepted token in the metadata authorization"
            known = [("authorization", "Bearer secret")]
            return await channel.unary_unary(TRACES.rpc)(ONE, metadata=known, timeout=30)

    assert asyncio.run(send()) == b""
    assert receivers.sink.messages == [request_of("chat")]


async def endless():
    """A request that never comes to its end."""
    await asyncio.Event().wait()
    yield b""
