"""What a reader of the numbers should know is on the span, and is logged once per host."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx2
import pytest

from provider import Provider
from support.spans import Recorded

CHAT = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-5-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
}
_numbers = count(1)


@pytest.fixture
def host() -> str:
    """A host that no test has called before: what is said of a host is said once for all the process."""
    return f"doubtful-{next(_numbers)}.test"


def ask(host: str, answer: Callable[[], httpx2.Response], **body: Any) -> None:
    with httpx2.Client(transport=httpx2.MockTransport(lambda _: answer())) as client:
        client.post(f"https://{host}/v1/chat/completions", json={**CHAT, **body})


def doubts(recorded: Recorded) -> list[dict[str, Any]]:
    """What each span says of usage, completeness and the cost."""
    names = ("llmtrace.usage.missing", "llmtrace.stream.incomplete", "llmtrace.cost.status")
    spans: list[dict[str, Any]] = [dict(span.attributes or {}) for span in recorded.spans]
    return [{name: span[name] for name in names if name in span} for span in spans]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "llmtrace_otel"]


def stream(*chunks: dict[str, Any], done: bool = True) -> httpx2.Response:
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"] * done

    def pieces() -> Iterator[bytes]:
        yield from (line.encode() for line in lines)

    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=pieces())


def delta(finish_reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": "Hi."}, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "model": "gpt-5-mini", "choices": [choice]}


def test_an_answer_without_usage_is_marked_and_its_keys_are_named(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    ask(host, lambda: httpx2.Response(200, json=ANSWER))
    assert doubts(recorded) == [{"llmtrace.usage.missing": True, "llmtrace.cost.status": "unknown"}]
    assert warnings(caplog) == [
        f"llmtrace: answers of {host} have no usage, so their tokens and cost are unknown "
        "(it stated choices, id, model)"
    ]


def test_the_host_is_warned_of_once_and_every_span_is_marked(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    for _ in range(3):
        ask(host, lambda: httpx2.Response(200, json=ANSWER))
    ask(f"other-{host}", lambda: httpx2.Response(200, json=ANSWER))
    assert doubts(recorded) == [{"llmtrace.usage.missing": True, "llmtrace.cost.status": "unknown"}] * 4
    assert [line.split(" have ")[0] for line in warnings(caplog)] == [
        f"llmtrace: answers of {host}",
        f"llmtrace: answers of other-{host}",
    ]


def test_a_stream_that_was_not_asked_for_usage_says_that_it_has_none(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    ask(host, lambda: stream(delta(None), delta("stop")), stream=True)
    assert doubts(recorded) == [{"llmtrace.usage.missing": True, "llmtrace.cost.status": "unknown"}]
    (line,) = warnings(caplog)
    assert "streams may need to be asked for it" in line


def test_a_stream_that_ends_too_soon_is_marked_and_not_warned_of(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    ask(host, lambda: stream(delta(None), done=False), stream=True)
    assert doubts(recorded) == [{"llmtrace.stream.incomplete": True, "llmtrace.cost.status": "unknown"}]
    assert warnings(caplog) == []


def test_a_stream_that_its_reader_leaves_is_incomplete_and_no_error(recorded: Recorded, host: str) -> None:
    transport = httpx2.MockTransport(lambda _: stream(delta(None), delta(None), delta("stop")))
    with (
        httpx2.Client(transport=transport) as client,
        client.stream("POST", f"https://{host}/v1/chat/completions", json={**CHAT, "stream": True}) as response,
    ):
        next(response.iter_bytes())
    assert doubts(recorded) == [{"llmtrace.stream.incomplete": True, "llmtrace.cost.status": "unknown"}]
    assert recorded.span.status.status_code.name == "UNSET"


def test_a_stream_that_the_connection_cuts_is_incomplete_and_an_error(recorded: Recorded, provider: Provider) -> None:
    request: dict[str, Any] = {"json": {**CHAT, "stream": True}, "headers": {"x-mode": "cut"}}
    with (
        httpx2.Client() as client,
        client.stream("POST", f"{provider.url}/v1/chat/completions", **request) as response,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        response.read()
    assert doubts(recorded) == [{"llmtrace.stream.incomplete": True}]
    assert recorded.span.status.status_code.name == "ERROR"


def test_an_error_is_no_doubt(recorded: Recorded, caplog: pytest.LogCaptureFixture, host: str) -> None:
    ask(host, lambda: httpx2.Response(500, json={"error": {"type": "server_error", "message": "Sorry."}}), stream=True)
    assert doubts(recorded) == [{}]
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        (
            {"content-type": "application/json"},
            b'{"id": "chatcmpl-',
            "it is not JSON of the format that its request has",
        ),
        ({"content-type": "text/html"}, b"<html></html>", "it is neither JSON nor a stream of events"),
    ],
    ids=["broken JSON", "HTML"],
)
def test_an_answer_that_cannot_be_read_takes_one_line(
    recorded: Recorded,
    caplog: pytest.LogCaptureFixture,
    host: str,
    headers: dict[str, str],
    body: bytes,
    reason: str,
) -> None:
    for _ in range(2):
        ask(host, lambda: httpx2.Response(200, headers=headers, content=body))
    assert doubts(recorded) == [{"llmtrace.cost.status": "unknown"}] * 2
    assert warnings(caplog) == [
        f"llmtrace: an answer of {host} could not be read ({reason}); its call is recorded without it"
    ]


def test_a_response_that_is_still_queued_is_not_missing_its_usage_and_has_no_cost_yet(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, provider: Provider
) -> None:
    with httpx2.Client() as client:
        client.post(f"{provider.url}/v1/responses", json={"model": "gpt-5-mini", "input": "hi", "background": True})
    assert doubts(recorded) == [{}]
    assert warnings(caplog) == []
