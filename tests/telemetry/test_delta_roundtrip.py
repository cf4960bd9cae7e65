"""Whatever was said, in whatever order: put together again, it is what was sent, and its size is that of its text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from delta_helpers import CONTENT, Program, assistant, said
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan

from llmtrace_otel.output.encoding import encode
from llmtrace_otel.read import Conversations, Gap
from llmtrace_otel.read.conversation import LEFT_OUT
from llmtrace_otel.read.otlp import parse
from llmtrace_otel.telemetry import content, delta
from support.spans import Recorded

texts = st.sampled_from(["", "a", "b", "\N{SNOWMAN}" * 40, "c" * 300])
tool_calls = st.builds(
    lambda value: {"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {"x": value}}]},
    texts | st.lists(st.integers(), max_size=30),
)
answers = st.builds(assistant, texts) | tool_calls
settings_of_calls = st.lists(st.builds(lambda text: {"type": "text", "content": text}, texts), max_size=2)


@dataclass
class Step:
    """A call that goes on from some point of some earlier conversation, or begins one."""

    conversation: int
    kept: int
    new: list[dict[str, Any]]
    answers: list[dict[str, Any]]
    system: list[dict[str, Any]]
    session: str
    limit: int | None


steps = st.lists(
    st.builds(
        Step,
        conversation=st.integers(0, 30),
        kept=st.integers(0, 30),
        new=st.lists(st.builds(said, st.sampled_from(["user", "system"]), texts), min_size=1, max_size=3),
        answers=st.lists(answers, max_size=2),
        system=settings_of_calls,
        session=st.sampled_from(["", "", "s"]),
        limit=st.none() | st.none() | st.integers(0, 400),
    ),
    max_size=15,
)


class Sent:
    """What the program sends, call by call, while the places that are remembered are as few as `size`."""

    def __init__(self, patch: pytest.MonkeyPatch, size: int) -> None:
        self._patch = patch
        self.program = Program()
        self.calls: list[tuple[list[Any], list[Any], list[Any]]] = []
        self._conversations: list[list[Any]] = [[]]
        patch.setattr(delta, "PLACES", delta.Places(size))
        patch.setenv(content.MODE_VARIABLE, "span_only")
        patch.setenv(content.EXTENT_VARIABLE, "delta")

    def call(self, step: Step) -> None:
        begun = self._conversations[step.conversation % len(self._conversations)]
        told = [*begun[: step.kept], *step.new]
        self._patch.setenv(content.LIMIT_VARIABLE, "" if step.limit is None else str(step.limit))
        content.refresh()
        self.program.call(
            told,
            None,
            {"session.id": step.session} if step.session else {},
            system_instructions=step.system or None,
            output_messages=[{**answer, "finish_reason": "stop"} for answer in step.answers],
        )
        self.calls.append((told, step.answers, step.system))
        self._conversations.append([*told, *step.answers])


def cut(found: Any, whole: Any) -> bool:
    """Whether `found` is `whole`, but for notes in the place of what was cut."""
    if isinstance(whole, str) and isinstance(found, str) and found != whole:
        note = re.search(r"… \[(\d+) more (characters|bytes)\]$", found)
        return note is not None and whole.startswith(found[: note.start()])
    if isinstance(whole, list) and isinstance(found, list):
        return len(found) == len(whole) and all(map(cut, found, whole))
    if isinstance(whole, dict) and isinstance(found, dict):
        return found.keys() == whole.keys() and all(cut(found[key], whole[key]) for key in whole)
    return bool(found == whole)


def is_what_was_sent(found: list[Any], whole: list[Any]) -> bool:
    """With cuts, and where the first item says that some are missing, the last ones."""
    if found and isinstance(found[0], Gap):
        gap, *found = found
        missing = len(whole) - len(found)
        return gap == Gap(missing, LEFT_OUT) and cut(found, whole[missing:])
    return cut(found, whole)


@given(steps, st.sampled_from([1, 3, 10, 1_000]))
def test_every_conversation_is_put_together_as_it_was_sent(steps: list[Step], size: int):
    with pytest.MonkeyPatch.context() as patch:
        sent = Sent(patch, size)
        for step in steps:
            sent.call(step)
    content.refresh()
    limited = any(step.limit is not None for step in steps)
    for turn, (told, answers, system) in zip(sent.program.turns, sent.calls, strict=True):
        if limited:
            assert is_what_was_sent(turn.input(), told)
        else:
            assert turn.input() == told
            assert turn.answers == [{**answer, "finish_reason": "stop"} for answer in answers]
            assert turn.system_instructions == system


@given(steps)
def test_the_last_span_alone_tells_how_many_messages_are_missing_and_where(steps: list[Step]):
    with pytest.MonkeyPatch.context() as patch:
        sent = Sent(patch, 1_000)
        for step in steps:
            step.limit = None
            sent.call(step)
    content.refresh()
    spans = sent.program.spans
    for span, (told, _, _) in zip(spans, sent.calls, strict=True):
        turn = Conversations([span]).turn(span)
        assert turn is not None
        first, *_ = found = turn.input()
        if isinstance(first, Gap):
            assert first.span_id in {span.span_id for span in spans}
            assert found[1:] == told[first.messages :]
        else:
            assert found == told


# A conversation over the wire --------------------------------------------------------------------------------------

TURNS = 200
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": f"look_up_{name}",
            "description": f"Looks up the {name} of a customer and returns it as text, or an error if there is none.",
            "parameters": {"type": "object", "properties": {"customer": {"type": "string"}}, "required": ["customer"]},
        },
    }
    for name in ("address", "orders", "invoices", "complaints")
]
SYSTEM = {"role": "system", "content": "You are the support desk of a bookshop. Look things up before you answer. " * 5}


def answer(request: httpx2.Request) -> httpx2.Response:
    """Calls a tool where a user asks, else says something of two or three sentences."""
    told = json.loads(request.content)["messages"]
    number = len(told)
    if told[-1]["role"] == "user":
        function = {"name": "look_up_orders", "arguments": json.dumps({"customer": f"number {number}"})}
        message = {"content": None, "tool_calls": [{"id": f"call_{number}", "type": "function", "function": function}]}
    else:
        message = {"content": f"As of today, order {number} has been packed and will be with you in two days. " * 2}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return httpx2.Response(200, json={"id": f"r{number}", "model": "gpt-5-mini", "choices": [choice]})


def talk() -> list[dict[str, Any]]:
    """A conversation of 200 turns, of a question and what its tool says alternately; returns all messages."""
    messages: list[dict[str, Any]] = [SYSTEM]
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        for number in range(TURNS):
            if number % 2 == 0:
                messages.append(
                    {"role": "user", "content": f"Where is my order {number}? I have waited for weeks now."}
                )
            else:
                told = {"orders": [f"order {number - 1}: packed, waiting for the carrier since Monday"] * 2}
                call_id = messages[-1]["tool_calls"][0]["id"]
                messages.append({"role": "tool", "tool_call_id": call_id, "content": json.dumps(told)})
            body = {"model": "gpt-5-mini", "messages": messages, "tools": TOOLS}
            response = client.post("https://api.openai.com/v1/chat/completions", json=body)
            messages.append(response.json()["choices"][0]["message"])
    return messages


def exported(span: ReadableSpan) -> int:
    """Bytes of all that a span tells of content."""
    attributes = span.attributes or {}
    found = [value for name, value in attributes.items() if name in CONTENT or name.startswith("llmtrace.content.")]
    return sum(len(str(value).encode()) for value in found)


@pytest.fixture
def as_delta(with_content: Recorded, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    monkeypatch.setattr(delta, "PLACES", delta.Places())
    monkeypatch.setenv(content.EXTENT_VARIABLE, "delta")
    content.refresh()
    return with_content


def test_two_hundred_turns_cost_at_most_five_times_their_text(
    as_delta: Recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    messages = talk()
    text = sum(len(str(message["content"] or message["tool_calls"]).encode()) for message in messages)
    text += len(json.dumps(TOOLS))
    size = sum(map(exported, as_delta.spans))
    with capsys.disabled():
        print(f"\n200 turns as a delta: {size:,} bytes, {size / text:.2f} times their text")
    assert len(as_delta.spans) == TURNS
    assert size <= 5 * text

    monkeypatch.setenv(content.EXTENT_VARIABLE, "full")
    content.refresh()
    whole = as_delta.spans
    as_delta.clear()
    talk()
    in_full = sum(map(exported, as_delta.spans))
    with capsys.disabled():
        print(f"200 turns in full: {in_full:,} bytes, {in_full / text:.2f} times their text")
    for turn, again in zip(turns_of(whole), turns_of(as_delta.spans), strict=True):
        assert (turn.input(), turn.answers, turn.tool_definitions) == (
            again.input(),
            again.answers,
            again.tool_definitions,
        )


def turns_of(recorded: tuple[ReadableSpan, ...]) -> list[Any]:
    spans = [span for one in recorded for span in parse(encode(one))]
    conversations = Conversations(spans)
    return [conversations.turn(span) for span in spans]
