"""What was sent before is known by its bytes: the spans are the same as if all had been built, and nothing old is."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from delta_helpers import CONTENT, Program, said
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmtrace_otel.telemetry import as_sent, content, delta
from llmtrace_otel.telemetry.latest import Latest
from llmtrace_otel.wire import anthropic_messages, bedrock_converse, cohere_chat, gemini, openai_chat, openai_responses
from llmtrace_otel.wire.call import Call, Message
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.sent import Sent


@pytest.fixture(autouse=True)
def nothing_sent_before():
    """Delta content on spans, in a process that has sent nothing yet."""
    with pytest.MonkeyPatch.context() as patch:
        begin(patch)
        yield
        content.set_redaction(None)
    content.refresh()


def begin(patch: pytest.MonkeyPatch, size: int = 1_000) -> None:
    patch.setattr(delta, "PLACES", delta.Places(size))
    patch.setattr(as_sent, "KNOWN", Latest(size))
    patch.setenv(content.MODE_VARIABLE, "span_only")
    patch.setenv(content.EXTENT_VARIABLE, "delta")
    patch.delenv(content.LIMIT_VARIABLE, raising=False)
    content.refresh()
    content.set_redaction(None)


# What is built ------------------------------------------------------------------------------------------------------


class Builder:
    """Builds messages of `{"role", "text"}`, and knows of which."""

    def __init__(self) -> None:
        self.built: list[list[str]] = []

    def messages(self, given: Any) -> list[Message]:
        objects = [item for item in given if isinstance(item, dict)]
        self.built.append([item["text"] for item in objects])
        return [said(item["role"], item["text"]) for item in objects]


def sent_by(program: Program, build: Builder, array: str, answer: str = "Yes.") -> None:
    program.call(None, answer, sent=Sent(Raw(array.encode()), build.messages))


def turn(text: str, role: str = "user") -> str:
    return json.dumps({"role": role, "text": text})


def array(*items: str, between: str = ", ") -> str:
    return f"[{between.join(items)}]"


def test_what_was_sent_before_is_not_built_again():
    program, build = Program(), Builder()
    told = [turn("Be brief.", "system"), turn("Rain?")]
    for number in range(4):
        sent_by(program, build, array(*told))
        told += [turn("Yes.", "assistant"), turn(f"And {number}?")]
    assert build.built == [["Be brief.", "Rain?"], ["Yes.", "And 0?"], ["Yes.", "And 1?"], ["Yes.", "And 2?"]]
    assert [found.get("omitted_messages") for found in program.content] == [None, 3, 5, 7]


def test_a_way_on_from_the_middle_of_a_request_is_known_too():
    program, build = Program(), Builder()
    begun = [turn("1"), turn("2", "assistant"), turn("3")]
    sent_by(program, build, array(*begun, turn("4")))
    sent_by(program, build, array(*begun, turn("four")))
    sent_by(program, build, array(*begun[:2], turn("three")))
    assert build.built == [["1", "2", "3", "4"], ["four"], ["three"]]


def test_what_is_between_messages_does_not_count_and_what_is_in_them_does():
    program, build = Program(), Builder()
    sent_by(program, build, array(turn("1"), turn("2")))
    sent_by(program, build, array(turn("1"), turn("2"), turn("3"), between="\n ,"))
    sent_by(program, build, array(turn("1").replace(": ", ":"), turn("2")))
    assert build.built == [["1", "2"], ["3"], ["1", "2"]]
    assert [found.get("omitted_messages") for found in program.content] == [None, 2, 2]


def test_requests_that_have_only_the_system_message_in_common_are_no_conversation():
    program, build = Program(), Builder()
    system = turn("Be brief.", "system")
    sent_by(program, build, array(system, turn("Rain?")))
    sent_by(program, build, array(system, turn("Snow?")))
    sent_by(program, build, array(system))
    assert build.built == [["Be brief.", "Rain?"], ["Be brief.", "Snow?"], ["Be brief."]]
    assert [found.get("omitted_messages") for found in program.content] == [None, None, None]


def test_what_only_lenient_parsers_take_is_read_as_a_whole():
    program, build = Program(), Builder()
    for text in ("Rain?", "Snow?", "Snow?"):
        program.call(None, sent=Sent(Raw(array(turn("1"), turn(text)).encode().replace(b"w", b"\xff")), build.messages))
    program.call(None, sent=Sent(Raw(b'[{"role": "user", "text": "1"}, NaN]'), build.messages))
    mended = ["1", "Sno\N{REPLACEMENT CHARACTER}?"]
    assert build.built == [["1", "Rain?"], mended, mended, ["1"]]
    assert [found.get("omitted_messages") for found in program.content] == [None, 1, 2, 1]


def test_where_no_span_has_it_the_whole_is_built(monkeypatch: pytest.MonkeyPatch):
    program, build = Program(), Builder()
    sent_by(program, build, array(turn("1")))
    monkeypatch.setattr(delta, "PLACES", delta.Places())
    sent_by(program, build, array(turn("1"), turn("2")))
    assert build.built == [["1"], ["2"], ["1", "2"]]
    assert "omitted_messages" not in program.content[1]


def request(text: str, kind: Callable[[Any], list[Message]] = openai_chat.input_messages, start: bytes = b"s"):
    return as_sent.Request(Sent(Raw(text.encode()), kind), start)


def test_another_order_another_session_and_another_format_are_not_known():
    one, other = turn("1"), turn("2")
    request(array(one, other)).remember(0, [b"a", b"b"])
    assert request(array(one, other, one)).known() == (2, b"b")
    assert request(array(one)).known() == (1, b"a")
    assert request(array(other, one)).known() is None  # the sum of their hashes is the same
    assert request(array(one, other), start=b"t").known() is None
    assert request(array(one, other), anthropic_messages.input_messages).known() is None
    assert request("[]").known() is None
    assert request("{}").known() is None


def test_an_array_whose_items_are_not_all_messages_is_not_remembered():
    request(array(turn("1"), "2")).remember(0, [b"a"])
    assert request(array(turn("1"), "2")).known() is None


# The same spans -----------------------------------------------------------------------------------------------------

texts = st.sampled_from(["", "a", "b", "\N{SNOWMAN}", "\ud800", "\N{GRINNING FACE}", "c" * 300, 'x",{"}'])
MARK = "a number that only lenient parsers take"


class Wire(NamedTuple):
    """How a format says things."""

    format: Format
    body: Callable[[str], str]
    say: Callable[[str, str], dict[str, Any]]
    """One item, by who says what."""


def _content(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def _parts(role: str, text: str) -> dict[str, Any]:
    return {"role": "model" if role == "assistant" else role, "parts": [{"text": text}]}


def _blocks(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}]}


WIRES = {
    "chat": Wire(openai_chat.OPENAI_CHAT, '{{"model":"m","messages":{}}}'.format, _content),
    "responses": Wire(openai_responses.OPENAI_RESPONSES, '{{"model":"m","input":{}}}'.format, _content),
    "anthropic": Wire(anthropic_messages.ANTHROPIC_MESSAGES, '{{"model":"m","messages":{}}}'.format, _content),
    "gemini": Wire(gemini.GEMINI, '{{"contents":{}}}'.format, _parts),
    "converse": Wire(bedrock_converse.BEDROCK_CONVERSE, '{{"messages":{}}}'.format, _blocks),
    "cohere": Wire(cohere_chat.COHERE_CHAT, '{{"model":"m","messages":{}}}'.format, _content),
}

spoken = st.tuples(st.sampled_from(["user", "user", "assistant", "system"]), texts)
odd = st.sampled_from([1, "x", None, [], {}, {"role": 7}, {"content": {}}, {"number": MARK}])
items = st.one_of(spoken, spoken, spoken, spoken, odd)


class Step(NamedTuple):
    """A request that goes on from an earlier one: what becomes of its history, and how it is written."""

    earlier: int
    change: str
    at: int
    new: list[Any]
    answer: str | None
    wire: str
    separators: tuple[str, str]
    is_ascii: bool
    session: str
    limit: int | None
    redacts: bool


steps = st.lists(
    st.builds(
        Step,
        earlier=st.sampled_from([-1, -1, -1, -2, 0, 3]),
        change=st.sampled_from(["", "", "", "", "begin", "edit", "cut", "drop", "swap", "double", "none"]),
        at=st.integers(0, 8),
        new=st.lists(items, max_size=3),
        answer=st.none() | texts,
        wire=st.sampled_from(["chat", "chat", *WIRES]),
        separators=st.sampled_from([(",", ":"), (",", ":"), (", ", ": "), (" ,\n", ":")]),
        is_ascii=st.sampled_from([True, True, False]),
        session=st.sampled_from(["", "", "", "s"]),
        limit=st.none() | st.none() | st.none() | st.integers(0, 400),
        redacts=st.sampled_from([False, False, False, True]),
    ),
    max_size=12,
)


def changed(history: list[Any], step: Step) -> list[Any]:
    history, at = list(history), step.at % max(1, len(history))
    match step.change:
        case "edit" if history:
            history[at] = ("user", "edited")
        case "cut":
            history = history[:at]
        case "drop":
            history = history[1:]
        case "swap" if len(history) > 1:
            history[at - 1], history[at] = history[at], history[at - 1]
        case "double":
            history += history[at:]
        case "begin":
            history = history[:1]
        case "none":
            history = []
    return history + step.new


def written(history: list[Any], step: Step) -> bytes:
    wire = WIRES[step.wire]
    said = [wire.say(*item) if isinstance(item, tuple) else item for item in history]
    text = json.dumps(said, separators=step.separators, ensure_ascii=step.is_ascii)
    return wire.body(text.replace(json.dumps(MARK), "NaN")).encode(errors="surrogatepass")


def spans_of(steps: list[Step], size: int, *, keeps_sent: bool) -> list[Any]:
    """What the spans tell of their content, with their numbers in the place of their ids."""
    with pytest.MonkeyPatch.context() as patch:
        begin(patch, size)
        program = Program()
        histories: list[list[Any]] = [[]]
        for step in steps:
            history = changed(histories[step.earlier % len(histories)], step)
            patch.setenv(content.LIMIT_VARIABLE, "" if step.limit is None else str(step.limit))
            content.refresh()
            content.set_redaction((lambda text: text.replace("a", "*")) if step.redacts else None)
            call = Call("chat", "openai", capture=True, keeps_sent=keeps_sent)
            found = WIRES[step.wire].format.read_request(written(history, step), call)
            if found is not None:
                found.write(call)
            fields = {"sent": call.sent, "system_instructions": call.system_instructions}
            session = {"session.id": step.session} if step.session else {}
            program.call(call.input_messages, step.answer, session, **fields)
            histories.append([*history, *([] if step.answer is None else [("assistant", step.answer)])])
    content.set_redaction(None)
    content.refresh()
    numbers = {span.context.span_id: number for number, span in enumerate(program.recorded.spans)}
    found = []
    for span in program.recorded.spans:
        told = {
            name: value
            for name, value in (span.attributes or {}).items()
            if name in CONTENT or name.startswith("llmtrace.content.")
        }
        if before := told.get("llmtrace.content.previous_span_id"):
            told["llmtrace.content.previous_span_id"] = numbers[int(str(before), 16)]
            told["llmtrace.content.previous_trace_id"] = "llmtrace.content.previous_trace_id" in told
        found.append(told)
    return found


@given(steps, st.sampled_from([1, 3, 10, 1_000]))
def test_spans_are_the_same_as_if_everything_were_built(steps: list[Step], size: int):
    assert spans_of(steps, size, keeps_sent=True) == spans_of(steps, size, keeps_sent=False)


@pytest.mark.parametrize("name", WIRES)
def test_a_turn_takes_as_many_steps_after_many_as_after_few(name: str):
    program, wire, steps = Program(), WIRES[name], []
    for before in (4, 40, 400):
        history = [wire.say(("user", "assistant")[number % 2], f"{before} {number}") for number in range(before)]
        for text in ("first", "then"):
            body = wire.body(json.dumps([*history, wire.say("user", text)])).encode()
            counted = Counted()
            with counted:
                call = Call("chat", "openai", capture=True, keeps_sent=True)
                found = wire.format.read_request(body, call)
                assert found is not None
                found.write(call)
                program.call(None, sent=call.sent)
        steps.append(counted.steps)
        assert program.content[-1]["omitted_messages"] == before
    assert steps[0] == steps[1] == steps[2]


class Counted:
    """Counts the functions that are called."""

    def __init__(self) -> None:
        self.steps = 0

    def __enter__(self) -> None:
        gc.disable()
        sys.setprofile(self._count)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        gc.enable()

    def _count(self, frame: Any, event: str, _: Any) -> None:
        self.steps += event in ("call", "c_call") and "llmtrace_otel" in frame.f_code.co_filename
