"""The attempts of an SDK that retries are one call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from llmtrace_otel.proxy.attempts import Attempts
from llmtrace_otel.wire.call import Call

BODY = b'{"model": "gpt-5-mini"}'


def call(status: int | None, **told: Any) -> Call:
    return Call("chat", "openai", server_address="api.openai.com", server_port=443, http_status=status, **told)


class SDK:
    """Sends requests, and knows what is told of them."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int | None, int, int]] = []
        self.attempts = Attempts(self._seen)

    def _seen(self, child: str, call: Call, traceparent: str | None) -> None:
        self.told.append((child, call.http_status, call.attempts, call.start_ns))

    def send(self, count: str | None, status: int | None, *, at: int = 0, child: str = "a", **answer: str) -> None:
        """One request and its answer, with headers whose hyphens are written as underscores."""
        headers = {} if count is None else {"x-stainless-retry-count": count}
        sent = call(status, start_ns=at, complete=status == 200)
        key = self.attempts.begin(child, "/v1/chat/completions", headers, BODY, sent)
        answered = {name.replace("_", "-"): value for name, value in answer.items()}
        self.attempts.end(key, child, sent, answered, None)


def in_loop(play: Callable[[SDK], None]) -> list[tuple[str, int | None, int, int]]:
    async def playing() -> SDK:
        sdk = SDK()
        play(sdk)
        return sdk

    return asyncio.run(playing()).told


def test_a_failed_attempt_and_the_one_that_repeats_it_are_one_call_from_the_first_on():
    def play(sdk: SDK) -> None:
        sdk.send("0", 429, at=1)
        sdk.send("1", 503, at=2)
        sdk.send("2", 200, at=3)

    assert in_loop(play) == [("a", 200, 3, 1)]


def test_a_request_that_got_no_answer_is_repeated_too():
    def play(sdk: SDK) -> None:
        sdk.send("0", None, at=1)
        sdk.send("1", 200, at=2)

    assert in_loop(play) == [("a", 200, 2, 1)]


@pytest.mark.parametrize(
    ("count", "status", "answer"),
    [(None, 429, {}), ("0", 400, {}), ("0", 200, {}), ("0", 503, {"x_should_retry": "false"})],
    ids=["another client", "an error for good", "a success", "a server that says no"],
)
def test_what_nobody_repeats_is_told_at_once(count: str | None, status: int, answer: dict[str, str]):
    assert in_loop(lambda sdk: sdk.send(count, status, **answer)) == [("a", status, 1, 0)]


def test_another_childs_retry_is_another_call():
    def play(sdk: SDK) -> None:
        sdk.send("0", 500, child="a")
        sdk.send("1", 200, child="b")
        sdk.attempts.tell_all("b")
        sdk.attempts.tell_all("a")

    assert in_loop(play) == [("b", 200, 1, 0), ("a", 500, 1, 0)]


def test_a_new_call_with_the_same_body_takes_nothing_over():
    def play(sdk: SDK) -> None:
        sdk.send("0", 500, at=1)
        sdk.send("0", 200, at=2)
        sdk.attempts.tell_all()

    assert in_loop(play) == [("a", 200, 1, 2), ("a", 500, 1, 1)]


def test_an_attempt_that_nobody_repeats_is_told_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("llmtrace_otel.proxy.attempts._GRACE", 0.0)

    async def playing() -> None:
        sdk = SDK()
        sdk.send("0", 429, retry_after_ms="1")
        assert sdk.told == []
        async with asyncio.timeout(10):
            while not sdk.told:
                await asyncio.sleep(0.001)
        assert sdk.told == [("a", 429, 1, 0)]

    asyncio.run(playing())


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ({}, 8.0),
        ({"retry-after": "20"}, 20.0),
        ({"retry-after-ms": "1500", "retry-after": "20"}, 1.5),
        ({"retry-after": "3600"}, 8.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 8.0),
        ({"retry-after": "nan"}, 8.0),
    ],
    ids=str,
)
def test_an_sdk_waits_as_long_as_it_is_told_within_reason(answer: dict[str, str], seconds: float):
    from llmtrace_otel.proxy.attempts import wait_seconds

    assert wait_seconds(answer) == seconds


def test_each_of_two_attempts_alike_has_its_own_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("llmtrace_otel.proxy.attempts._GRACE", 0.0)

    async def playing() -> None:
        sdk = SDK()
        sdk.send("0", 500, at=1, retry_after="60")
        sdk.send("0", 429, at=2, retry_after_ms="1")
        async with asyncio.timeout(10):
            while not sdk.told:
                await asyncio.sleep(0.001)
        assert sdk.told == [("a", 429, 1, 2)]
        sdk.send("1", 200, at=3)
        assert sdk.told == [("a", 429, 1, 2), ("a", 200, 2, 1)]

    asyncio.run(playing())
