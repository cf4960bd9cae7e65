"""Message content: where it goes in which mode, in which shape, and that nothing leaves unredacted."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import httpx2
import pytest
from message_schema import SCHEMAS, validate
from printed import Printed

from llmtrace_otel.telemetry import content
from provider import Provider

SECRET = "4711-SECRET"
CONTENT = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions")
TOOL = {"name": "find", "description": "Finds.", "input_schema": {"type": "object", "properties": {}}}
MESSAGES = {
    "model": "claude-haiku-4-5",
    "max_tokens": 64,
    "system": f"The password is {SECRET}.",
    "messages": [
        {"role": "user", "content": f"Find {SECRET}!"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "find", "input": {"what": SECRET}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [SECRET, {"a": SECRET}]}]},
    ],
    "tools": [TOOL],
}
INPUT = [
    {"role": "user", "parts": [{"type": "text", "content": f"Find {SECRET}!"}]},
    {
        "role": "assistant",
        "parts": [{"type": "tool_call", "name": "find", "id": "t1", "arguments": {"what": SECRET}}],
    },
    {
        "role": "user",
        "parts": [{"type": "tool_call_response", "id": "t1", "response": [SECRET, {"a": SECRET}]}],
    },
]


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Asks for a mode of content."""

    def ask(mode: str) -> None:
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", mode)
        content.refresh()

    return ask


@pytest.fixture
def call(provider: Provider) -> Iterator[Callable[..., None]]:
    """Sends the request with the secret to the local provider."""
    with httpx2.Client() as client:

        def send(**headers: str) -> None:
            client.post(f"{provider.url}/v1/messages", json=MESSAGES, headers=headers)

        yield send


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def has_content(document: dict[str, Any]) -> bool:
    return any(name in document["attributes"] for name in CONTENT)


@pytest.mark.parametrize(
    ("mode", "on_span", "on_event"),
    [
        ("", False, None),
        ("NO_CONTENT", False, None),
        ("false", False, None),
        ("SPAN_ONLY", True, None),
        ("span_only", True, None),
        (" Span_Only ", True, None),
        ("true", True, None),
        ("EVENT_ONLY", False, True),
        ("event_only", False, True),
        ("SPAN_AND_EVENT", True, True),
        ("Span_And_Event", True, True),
    ],
)
def test_content_goes_where_the_mode_says(
    printed: Printed,
    capture: Callable[[str], None],
    call: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    mode: str,
    on_span: bool,
    on_event: bool | None,
) -> None:
    capture(mode)
    call()
    assert has_content(printed.span) is on_span
    assert [has_content(event) for event in printed.events] == ([] if on_event is None else [on_event])
    assert (SECRET in printed.text) is (on_span or on_event is not None)
    assert warnings(caplog) == []


def test_an_unknown_mode_captures_nothing_and_says_so_once(
    printed: Printed, capture: Callable[[str], None], call: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    capture("everything")
    call()
    call()
    assert SECRET not in printed.text
    (line,) = warnings(caplog)
    assert line.startswith("llmtrace: OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=EVERYTHING is none of")


def test_on_spans_content_is_json_text_of_the_conventions_shape(
    printed: Printed, capture: Callable[[str], None], call: Callable[..., None]
) -> None:
    capture("SPAN_ONLY")
    call()
    found = {name: json.loads(printed.span["attributes"][name]) for name in CONTENT}
    for name, value in found.items():
        validate(name, value)
    assert found["gen_ai.input.messages"] == INPUT
    assert found["gen_ai.system_instructions"] == [{"type": "text", "content": f"The password is {SECRET}."}]
    assert found["gen_ai.tool.definitions"] == [
        {"type": "function", "name": "find", "description": "Finds.", "parameters": TOOL["input_schema"]}
    ]
    assert [message["finish_reason"] for message in found["gen_ai.output.messages"]] == ["stop"]


def test_on_events_content_is_structured_and_linked_to_the_span(
    printed: Printed, capture: Callable[[str], None], call: Callable[..., None]
) -> None:
    capture("SPAN_AND_EVENT")
    call()
    span, event = printed.span, printed.event
    attributes = event["attributes"]
    found = {name: attributes.pop(name) for name in CONTENT}
    for name, value in found.items():
        validate(name, value)
        assert value == json.loads(span["attributes"].pop(name))
    assert attributes == span["attributes"]
    assert (event["event_name"], event["severity_number"]) == ("gen_ai.client.inference.operation.details", 5)
    assert (event["trace_id"], event["span_id"]) == (span["context"]["trace_id"], span["context"]["span_id"])


def test_a_chats_messages_have_the_conventions_shape(
    printed: Printed, capture: Callable[[str], None], provider: Provider
) -> None:
    capture("SPAN_ONLY")
    request = {
        "model": "gpt-5-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Rain?"}],
        "tools": [{"type": "function", "function": {"name": "rain", "parameters": {"type": "object"}}}],
        "stream": True,
    }
    with httpx2.Client() as client:
        client.post(f"{provider.url}/v1/chat/completions", json=request)
    found = {name: json.loads(value) for name, value in printed.span["attributes"].items() if name in SCHEMAS}
    for name, value in found.items():
        validate(name, value)
    (answer,) = found["gen_ai.output.messages"]
    (tool_call,) = answer["parts"]
    assert (answer["finish_reason"], tool_call["name"], tool_call["arguments"]) == ("tool_call", "rain", {})
    assert [message["role"] for message in found["gen_ai.input.messages"]] == ["system", "user"]
    assert found["gen_ai.tool.definitions"] == [{"type": "function", "name": "rain", "parameters": {"type": "object"}}]


def masked(text: str) -> str:
    return text.replace(SECRET, "***")


@pytest.fixture(params=["set_redaction", "LLMTRACE_REDACT"])
def redact(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], Any]], None]:
    """Sets the redaction function, in each of the two ways there are."""

    def install(function: Callable[[str], Any]) -> None:
        if request.param == "set_redaction":
            content.set_redaction(function)
            return
        module = ModuleType("redaction_of_the_program")
        module.hide = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setenv("LLMTRACE_REDACT", f"{module.__name__}:hide")
        content.refresh()

    return install


Redact = Callable[[Callable[[str], Any]], None]


def test_no_content_leaves_unredacted(
    printed: Printed, capture: Callable[[str], None], call: Callable[..., None], redact: Redact
) -> None:
    capture("SPAN_AND_EVENT")
    redact(masked)
    call()
    assert SECRET not in printed.text
    redacted = json.loads(json.dumps(INPUT).replace(SECRET, "***"))
    assert json.loads(printed.span["attributes"]["gen_ai.input.messages"]) == redacted
    assert printed.event["attributes"]["gen_ai.input.messages"] == redacted


@pytest.mark.parametrize("mode", ["NO_CONTENT", "SPAN_AND_EVENT"])
def test_an_errors_message_is_redacted_with_content_off_too(
    printed: Printed, capture: Callable[[str], None], redact: Redact, mode: str
) -> None:
    capture(mode)
    redact(masked)
    error = {"error": {"type": "invalid_request_error", "message": f"Bad prompt: {SECRET}"}}
    with httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(400, json=error))) as client:
        client.post("https://api.anthropic.com/v1/messages", json=MESSAGES)
    assert printed.span["status"] == {"status_code": "ERROR", "description": "Bad prompt: ***"}
    assert SECRET not in printed.text


def test_an_exceptions_message_is_redacted(printed: Printed, redact: Redact) -> None:
    redact(masked)

    def fail(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError(f"no route to {SECRET}", request=request)

    with (
        httpx2.Client(transport=httpx2.MockTransport(fail)) as client,
        pytest.raises(httpx2.ConnectError, match=SECRET),
    ):
        client.post("https://api.anthropic.com/v1/messages", json=MESSAGES)
    assert printed.span["status"] == {"status_code": "ERROR", "description": "no route to ***"}
    assert SECRET not in printed.text


def test_the_function_that_was_set_wins_over_the_named_one(
    printed: Printed,
    capture: Callable[[str], None],
    call: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capture("SPAN_ONLY")
    monkeypatch.setenv("LLMTRACE_REDACT", "no_such_module:hide")
    content.set_redaction(masked)
    call()
    assert json.loads(printed.span["attributes"]["gen_ai.system_instructions"]) == [
        {"type": "text", "content": "The password is ***."}
    ]


def failing() -> Callable[[str], str]:
    """A redaction function that fails; a new one each time, for of each it is said once a process."""

    def fail(text: str) -> str:
        raise RuntimeError("out of order")

    return fail


def test_a_failing_function_withholds_content_and_is_logged_once(
    printed: Printed,
    capture: Callable[[str], None],
    call: Callable[..., None],
    redact: Redact,
    caplog: pytest.LogCaptureFixture,
) -> None:
    capture("SPAN_ONLY")
    redact(failing())
    call()
    call(**{"x-mode": "fail-400"})
    assert SECRET not in printed.text
    assert [has_content(span) for span in printed.spans] == [True, True]
    assert printed.spans[1]["status"]["description"] == content.WITHHELD
    (line,) = warnings(caplog)
    assert line.endswith("failed with RuntimeError: content is withheld")


def test_a_failing_function_does_not_cost_the_event(
    printed: Printed, capture: Callable[[str], None], call: Callable[..., None], redact: Redact
) -> None:
    capture("EVENT_ONLY")
    redact(failing())
    call()
    assert printed.event["attributes"]["gen_ai.usage.output_tokens"] == 5
    assert SECRET not in printed.text


def test_a_function_that_fails_with_the_content_in_its_error_leaks_nothing_into_the_log(
    printed: Printed,
    capture: Callable[[str], None],
    call: Callable[..., None],
    redact: Redact,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(text: str) -> str:
        raise ValueError(f"cannot redact {text!r}")

    capture("SPAN_ONLY")
    redact(fail)
    call()
    assert SECRET not in printed.text
    assert SECRET not in caplog.text
    assert len(warnings(caplog)) == 1


@dataclass
class Redactor:
    """A redaction with state of its own and, like every dataclass with `==`, without a hash."""

    secrets: list[str]

    def __call__(self, text: str) -> str:
        raise RuntimeError("out of order")


def redact_but_fail(secrets: list[str], text: str) -> str:
    raise RuntimeError("out of order")


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(Redactor([SECRET])),
        pytest.param(partial(redact_but_fail, [SECRET])),
    ],
    ids=["instance", "partial"],
)
def test_a_failing_function_that_holds_the_secrets_costs_content_only(
    printed: Printed,
    capture: Callable[[str], None],
    call: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    function: Callable[[str], str],
) -> None:
    capture("SPAN_AND_EVENT")
    content.set_redaction(function)
    call()
    assert printed.span["attributes"]["gen_ai.usage.output_tokens"] == 5
    assert SECRET not in printed.text
    assert len(printed.events) == 1
    (line,) = warnings(caplog)
    assert SECRET not in line


@pytest.mark.parametrize("named", ["no_such_module:hide", "json:no_such_function", "json", ":hide"])
def test_a_function_that_cannot_be_loaded_withholds_content_and_says_so_once(
    printed: Printed,
    capture: Callable[[str], None],
    call: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    named: str,
) -> None:
    monkeypatch.setenv("LLMTRACE_REDACT", named)
    capture("SPAN_AND_EVENT")
    call()
    call()
    assert SECRET not in printed.text
    assert len(printed.spans) == len(printed.events) == 2
    (line,) = warnings(caplog)
    assert line.startswith(f"llmtrace: LLMTRACE_REDACT={named} cannot be loaded")


TELLING = "sk-" + "4f9Kq2ZxW7bNcV1mLpR8tYhGdJsAeU3i of ann@example.com"


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("", "[redacted] of ann@example.com"),
        ("none", TELLING),
        ("secrets", "[redacted] of ann@example.com"),
        ("personal", TELLING.replace("ann@example.com", "[email]")),
        ("secrets,personal", "[redacted] of [email]"),
        (" Personal , secrets ", "[redacted] of [email]"),
        ("secrets,redaction_of_the_program:shout", "[REDACTED] OF ANN@EXAMPLE.COM"),
        ("redaction_of_the_program:shout,personal", TELLING.upper().replace("ANN@EXAMPLE.COM", "[email]")),
    ],
)
def test_redactions_of_ours_are_named_by_a_word_and_follow_one_another(
    printed: Printed,
    capture: Callable[[str], None],
    call: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    left: str,
) -> None:
    module = ModuleType("redaction_of_the_program")
    module.shout = str.upper  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("LLMTRACE_REDACT", asked)
    monkeypatch.setitem(MESSAGES, "system", TELLING)
    capture("SPAN_ONLY")
    call()
    (instructions,) = json.loads(printed.span["attributes"]["gen_ai.system_instructions"])
    assert instructions == {"type": "text", "content": left}


@pytest.mark.parametrize(("asked", "wrong"), [("secret", "secret"), ("secrets,all", "all"), ("secrets,", "")])
def test_an_unknown_word_withholds_content_and_the_known_ones_are_said(
    printed: Printed,
    capture: Callable[[str], None],
    call: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    asked: str,
    wrong: str,
) -> None:
    monkeypatch.setenv("LLMTRACE_REDACT", asked)
    capture("SPAN_ONLY")
    call()
    assert SECRET not in printed.text
    reason = f"'{wrong}' is none of secrets, personal, module:function, and none alone"
    assert warnings(caplog) == [f"llmtrace: LLMTRACE_REDACT={asked} cannot be loaded ({reason}): content is withheld"]


def test_when_one_of_several_fails_content_is_withheld(
    printed: Printed,
    capture: Callable[[str], None],
    call: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("LLMTRACE_REDACT", "secrets,json:loads")
    capture("SPAN_ONLY")
    call()
    assert SECRET not in printed.text
    (line,) = warnings(caplog)
    assert line == "llmtrace: the redaction function json:loads failed with JSONDecodeError: content is withheld"


def test_the_structure_of_messages_stays_and_all_else_is_redacted(
    printed: Printed, capture: Callable[[str], None], call: Callable[..., None], redact: Redact
) -> None:
    capture("SPAN_ONLY")
    redact(lambda _: "***")
    call()
    found = {name: json.loads(printed.span["attributes"][name]) for name in CONTENT}
    assert found == {
        "gen_ai.input.messages": [
            {"role": "user", "parts": [{"type": "text", "content": "***"}]},
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "name": "find", "id": "t1", "arguments": {"what": "***"}}],
            },
            {"role": "user", "parts": [{"type": "tool_call_response", "id": "t1", "response": ["***", {"a": "***"}]}]},
        ],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "***"}], "finish_reason": "stop"}
        ],
        "gen_ai.system_instructions": [{"type": "text", "content": "***"}],
        "gen_ai.tool.definitions": [
            {
                "type": "function",
                "name": "find",
                "description": "***",
                "parameters": {"type": "***", "properties": {}},
            }
        ],
    }
    for name, value in found.items():
        validate(name, value)


def test_a_key_tells_of_a_secret_that_its_value_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTRACE_REDACT", "secrets")
    content.refresh()
    part = {"type": "tool_call", "arguments": {"password": "correct horse", "user": "correct horse"}}
    kept = {"type": "tool_call", "arguments": {"password": "[redacted]", "user": "correct horse"}}
    assert content.redacted_messages([part]) == [kept]


@pytest.mark.parametrize("key", ["type", "role"])
def test_a_tools_arguments_are_redacted_whatever_their_names(
    printed: Printed, capture: Callable[[str], None], redact: Redact, provider: Provider, key: str
) -> None:
    capture("SPAN_AND_EVENT")
    redact(masked)
    part = {"type": "tool_use", "id": "t1", "name": "find", "input": {key: SECRET}}
    request = {**MESSAGES, "messages": [{"role": "assistant", "content": [part]}]}
    with httpx2.Client() as client:
        client.post(f"{provider.url}/v1/messages", json=request)
    assert SECRET not in printed.text
