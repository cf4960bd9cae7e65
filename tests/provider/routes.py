"""From a request to its answer: which format a path speaks, and what `x-mode` makes of it. No sockets here.

Only the end of a path counts, so every prefix works: `/v1`, `/openai/v1`, an Azure deployment, a gateway's own.
"""

from __future__ import annotations

import re
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Any

from . import anthropic_messages, bedrock, completions, embeddings, gemini, openai_chat, openai_responses
from .errors import openai_error
from .reply import HTML, Reply, json_reply, plain
from .sse import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .ask import Ask
    from .format import Format, Stream

FORMATS = {
    "/chat/completions": openai_chat.FORMAT,
    "/completions": completions.FORMAT,
    "/embeddings": embeddings.FORMAT,
    "/responses": openai_responses.FORMAT,
    "/messages": anthropic_messages.FORMAT,
    "/converse": bedrock.CONVERSE,
    "/converse-stream": bedrock.CONVERSE_STREAM,
    "/invoke": bedrock.INVOKE,
    "/invoke-with-response-stream": bedrock.INVOKE_STREAM,
    ":generateContent": gemini.GENERATE,
    ":streamGenerateContent": gemini.STREAM,
}
MODELS = ("gpt-5-mini", "claude-haiku-4-5", "text-embedding-3-small")
RETRY_AT_ONCE = {"retry-after-ms": "1"}
BROKEN = '{"id": "broken", "object": '
failing = re.compile(r"fail-(\d{3})(?:-times-(\d+))?")


class Failures:
    """How often a test's requests have failed so far, for `fail-<status>-times-<n>`."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.lock = Lock()

    def status(self, ask: Ask) -> int | None:
        """The status that this request fails with, or None when it succeeds."""
        for match in filter(None, map(failing.fullmatch, ask.modes)):
            status, times = match.groups()
            if times is None or self.again(ask.headers.get("x-test-id", ""), int(times)):
                return int(status)
        return None

    def again(self, test: str, times: int) -> bool:
        with self.lock:
            self.seen[test] += 1
            return self.seen[test] <= times


def respond(ask: Ask, failures: Failures) -> Reply:
    """The answer to any request; a path that no format speaks is a 404."""
    path = ask.path.partition("?")[0]
    if ask.method == "GET":
        return looked_up(ask, path)
    if ask.method == "POST" and path.endswith("/messages/count_tokens"):
        return json_reply(anthropic_messages.token_count(ask))
    for ending, spoken in FORMATS.items():
        if ask.method == "POST" and path.endswith(ending):
            return inference(ask, spoken, failures.status(ask))
    return json_reply(openai_error(404), status=404)


def looked_up(ask: Ask, path: str) -> Reply:
    if path == "/health":
        return json_reply({"status": "ok"})
    if path.endswith("/models"):
        return json_reply({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})
    if retrieved := re.search(r"/responses/([^/]+)$", path):
        return json_reply(openai_responses.retrieved(ask, retrieved[1]))
    return json_reply(openai_error(404), status=404)


def inference(ask: Ask, spoken: Format, failed: int | None) -> Reply:
    headers = {spoken.request_id: ask.id("req_"), **spoken.headers(ask, failed or 200)}
    if failed is not None:
        return json_reply(spoken.error(ask, failed), status=failed, headers=headers | RETRY_AT_ONCE)
    if "html" in ask.modes:
        return plain(HTML, "text/html; charset=utf-8")
    if spoken.stream and (ask.streamed or spoken.answer is None):
        return spoken.stream.reply(streamed(ask, spoken.stream), ask, headers)
    if "invalid-json" in ask.modes:
        return plain(BROKEN.encode(), "application/json", headers=headers)
    return json_reply(usage_told(spoken.answer(ask), ask), headers=headers)


def streamed(ask: Ask, stream: Stream) -> Iterable[Event]:
    """The events of an answer; an error or a broken event comes third, in place of all that would have followed."""
    told = [Event(usage_told(event.data, ask), event.name) for event in stream.events(ask)]
    if "error-in-stream" in ask.modes:
        return [*told[:2], *stream.error(ask)]
    if "invalid-json" in ask.modes:
        return [*told[:2], Event(BROKEN, told[2].name)]
    return told


def usage_told(value: Any, ask: Ask) -> Any:
    return without_usage(value) if "no-usage" in ask.modes else value


def without_usage(value: Any) -> Any:
    """The same JSON value with every `usage` taken out, at any depth."""
    if isinstance(value, dict):
        return {key: without_usage(inner) for key, inner in value.items() if key != "usage"}
    return [without_usage(inner) for inner in value] if isinstance(value, list) else value
