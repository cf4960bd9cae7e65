"""Our redaction changes the texts of messages and nothing else: shape, numbers, models, ids and files stay."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_helpers import made, processed

from llmtrace_collector.config.settings import LLMRedaction
from llmtrace_collector.processors.llmtrace_redaction import Texts

# Put together here, so that nobody's scanner takes this file for a leak.
KEY = "sk-" + "4f9Kq2ZxW7bNcV1mLpR8tYhGdJsAeU3i"
BOTH = {"secrets": True, "personal": True}


def text_value(text):
    return {"stringValue": text}


def attributes(given):
    return [
        {"key": key, "value": text_value(value) if isinstance(value, str) else value} for key, value in given.items()
    ]


def redacted_span(span, **asked):
    """A span after redaction."""
    line = processed(
        made("llmtrace_redaction", asked or BOTH), {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    )
    return line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]


def redacted_record(record):
    """A log record after redaction."""
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    return processed(made("llmtrace_redaction", BOTH), request, "logs")["resourceLogs"][0]["scopeLogs"][0][
        "logRecords"
    ][0]


def redacted_attributes(given, **asked):
    """A span's attributes after redaction: plain texts and numbers."""
    after = redacted_span({"attributes": attributes(given)}, **asked)["attributes"]
    return {each["key"]: next(iter(each["value"].values())) for each in after}


def test_texts_of_messages_are_redacted_and_the_span_says_how_often():
    messages = [
        {"role": "user", "parts": [{"type": "text", "content": f"I am ann@example.com, my key is {KEY}"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "Call +49 30 1234567."}], "finish_reason": "stop"},
    ]
    after = redacted_attributes({"gen_ai.input.messages": json.dumps(messages)})
    messages[0]["parts"][0]["content"] = "I am [email], my key is [redacted]"
    messages[1]["parts"][0]["content"] = "Call [phone]."
    assert after == {"gen_ai.input.messages": json.dumps(messages), "llmtrace.redaction.count": "3"}


@pytest.mark.parametrize(
    "name",
    [
        *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions"),
        *("gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.retrieval.query.text"),
        *("gen_ai.retrieval.documents", "gen_ai.prompt", "gen_ai.prompt.0.content", "gen_ai.completion"),
        *("exception.message", "exception.stacktrace", "error.message"),
    ],
)
@pytest.mark.parametrize("around", ["{}", '["{}"]', '{{"content": "{}"}}'])
def test_content_is_redacted_wherever_it_is(name, around):
    after = redacted_attributes({name: around.format(KEY)})
    assert after == {name: around.format("[redacted]"), "llmtrace.redaction.count": "1"}


@pytest.mark.parametrize(
    "name",
    [
        *("gen_ai.request.model", "gen_ai.response.id", "gen_ai.conversation.id", "gen_ai.tool.call.id", "user.id"),
        *("session.id", "http.url", "anything.else"),
    ],
)
def test_what_is_no_content_is_never_touched(name):
    assert redacted_attributes({name: f"{KEY} ann@example.com"}) == {name: f"{KEY} ann@example.com"}


def test_json_keeps_its_shape_and_every_number_its_spelling():
    text = '{ "id": 4111111111111111,  "price": 1.10, "big": 123456789012345678901234567890, "e": 1E5, "mail":\n"%s" }'
    after = redacted_attributes({"gen_ai.tool.call.arguments": text % "ann@example.com"})
    assert after["gen_ai.tool.call.arguments"] == text % "[email]"


def test_json_within_a_text_is_redacted_as_json():
    arguments = json.dumps({"to": "ann@example.com", "body": 'She said:\n"call +49 30 1234567"', "n": [1.0, 2]})
    part = {"type": "tool_call", "id": "call_1", "name": "mail", "arguments": arguments}
    messages = json.dumps([{"role": "assistant", "parts": [part]}])
    after = redacted_attributes({"gen_ai.output.messages": messages})
    (message,) = json.loads(after["gen_ai.output.messages"])
    assert json.loads(message["parts"][0].pop("arguments")) == {
        "to": "[email]",
        "body": 'She said:\n"call [phone]"',
        "n": [1.0, 2],
    }
    assert message == {"role": "assistant", "parts": [{"type": "tool_call", "id": "call_1", "name": "mail"}]}
    assert after["llmtrace.redaction.count"] == "2"


def test_the_key_that_a_text_stands_under_says_that_it_is_a_secret():
    after = redacted_attributes({"gen_ai.tool.call.arguments": '{"user": "ann", "password": "tulip"}'})
    assert after["gen_ai.tool.call.arguments"] == '{"user": "ann", "password": "[redacted]"}'


def test_roles_names_and_ids_of_messages_stay_but_not_those_within_content():
    structure = {"role": "ann@example.com", "name": "ann@example.com", "finish_reason": "ann@example.com"}
    part = {
        "type": "tool_call",
        "id": "ann@example.com",
        "name": "f",
        "arguments": {"name": "ann@example.com", "id": "ann@example.com"},
    }
    after = redacted_attributes({"gen_ai.input.messages": json.dumps([{**structure, "parts": [part]}])})
    part["arguments"] = {"name": "[email]", "id": "[email]"}
    assert json.loads(after["gen_ai.input.messages"]) == [{**structure, "parts": [part]}]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "blob", "modality": "image", "content": "4111111111111111"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,4111111111111111"}},
        {"type": "file", "data": "4111111111111111" * 40 + "=="},
    ],
    ids=["a blob", "a data URL", "base64"],
)
def test_files_stay(part):
    messages = json.dumps([{"role": "user", "parts": [part]}])
    assert redacted_attributes({"gen_ai.input.messages": messages}) == {"gen_ai.input.messages": messages}


def test_structured_values_are_redacted_like_json():
    def message(text):
        part = {"kvlistValue": {"values": attributes({"type": "text", "content": text})}}
        values = attributes({"role": "ann@example.com", "parts": {"arrayValue": {"values": [part]}}})
        return {"arrayValue": {"values": [{"kvlistValue": {"values": values}}]}}

    blob = {"kvlistValue": {"values": attributes({"content": KEY, "type": "blob"})}}
    span = {"attributes": attributes({"gen_ai.input.messages": message(KEY), "gen_ai.output.messages": blob})}
    assert redacted_span(span)["attributes"] == [
        {"key": "gen_ai.input.messages", "value": message("[redacted]")},
        {"key": "gen_ai.output.messages", "value": blob},
        {"key": "llmtrace.redaction.count", "value": {"intValue": "1"}},
    ]


def test_a_key_that_stands_twice_hides_nothing():
    after = redacted_attributes({"gen_ai.tool.call.result": f'{{"a": "{KEY}", "a": 1, "b": "ann@example.com"}}'})
    assert after["gen_ai.tool.call.result"] == '{"a": "[redacted]", "a": 1, "b": "[email]"}'


@pytest.mark.parametrize(
    "text",
    [
        "[unclosed {}",
        "{{broken: {}}}",
        "[" * 20000 + ' "{}"' + "]" * 20000,
        '["é\\ud800", "{}"]',
        "[" + "9" * 5000 + ', "{}"]',
    ],
    ids=["not closed", "no string", "nested deeply", "half a surrogate pair", "a very large number"],
)
def test_what_is_no_json_is_redacted_as_text(text):
    after = redacted_attributes({"gen_ai.tool.call.result": text.format(KEY)})
    assert after["gen_ai.tool.call.result"] == text.format("[redacted]")


def test_an_error_is_redacted_in_status_and_events():
    event = {
        "name": "exception",
        "attributes": attributes({"exception.message": f"bad key {KEY}", "exception.type": KEY}),
    }
    after = redacted_span({"events": [event], "status": {"code": 2, "message": f"bad key {KEY}"}})
    assert after["status"] == {"code": 2, "message": "bad key [redacted]"}
    assert after["events"][0]["attributes"] == attributes(
        {"exception.message": "bad key [redacted]", "exception.type": KEY}
    )
    assert after["attributes"] == [{"key": "llmtrace.redaction.count", "value": {"intValue": "2"}}]


def test_the_count_of_an_earlier_redaction_is_added_to():
    given = {"gen_ai.prompt": KEY, "llmtrace.redaction.count": {"intValue": "4"}}
    assert redacted_attributes(given)["llmtrace.redaction.count"] == "5"


def test_bodies_and_attributes_of_genai_events_are_redacted():
    body = {"kvlistValue": {"values": attributes({"role": "user", "content": f"my key {KEY}"})}}
    given = attributes({"gen_ai.input.messages": f'[{{"parts": ["{KEY}"]}}]', "gen_ai.request.model": KEY})
    after = redacted_record({"eventName": "gen_ai.user.message", "body": body, "attributes": given})
    assert after["body"] == {"kvlistValue": {"values": attributes({"role": "user", "content": "my key [redacted]"})}}
    assert after["attributes"] == attributes(
        {"gen_ai.input.messages": '[{"parts": ["[redacted]"]}]', "gen_ai.request.model": KEY}
    )


def test_an_event_may_be_named_by_an_attribute():
    given = attributes({"event.name": "gen_ai.choice"})
    assert redacted_record({"body": text_value(KEY), "attributes": given})["body"] == text_value("[redacted]")


def test_bodies_of_other_logs_stay():
    assert redacted_record({"body": text_value(KEY)})["body"] == text_value(KEY)


def test_what_is_taken_out_is_chosen():
    text = f"{KEY} ann@example.com project Tulip"
    chosen = [
        redacted_attributes({"gen_ai.prompt": text}, **asked)["gen_ai.prompt"]
        for asked in (
            {"secrets": True},
            {"secrets": False, "personal": True},
            {"secrets": False, "patterns": ["(?i)tulip"]},
            {"secrets": False, "patterns": ["project \\w+", "ann"], "replacement": "…"},
        )
    ]
    assert chosen == [
        "[redacted] ann@example.com project Tulip",
        f"{KEY} [email] project Tulip",
        f"{KEY} ann@example.com project [redacted]",
        f"{KEY} …@example.com …",
    ]


def test_one_of_two_texts_that_are_alike_but_for_their_key_is_a_secret():
    after = redacted_attributes({"gen_ai.prompt": '{"word": "tulip", "password": "tulip", "other": "tulip"}'})
    assert after["gen_ai.prompt"] == '{"word": "tulip", "password": "[redacted]", "other": "tulip"}'


def test_keys_of_content_are_redacted_and_keys_of_messages_stay():
    message = {"role": "user", "a@example.com": 1, "parts": [{"type": "tool_call", "arguments": {KEY: {KEY: 1}}}]}
    after = redacted_attributes({"gen_ai.input.messages": json.dumps([message])})
    message["parts"][0]["arguments"] = {"[redacted]": {"[redacted]": 1}}
    assert after == {"gen_ai.input.messages": json.dumps([message]), "llmtrace.redaction.count": "2"}
    nested = {"kvlistValue": {"values": [{"key": KEY, "value": {"intValue": "1"}}]}}
    after = redacted_attributes({"gen_ai.tool.call.arguments": nested})
    assert after["gen_ai.tool.call.arguments"] == {"values": [{"key": "[redacted]", "value": {"intValue": "1"}}]}


def test_what_follows_a_file_in_base64_is_no_file():
    after = redacted_attributes({"gen_ai.prompt": f"data:text/plain;base64,aGVsbG8= and {KEY}"})
    assert after["gen_ai.prompt"] == "data:text/plain;base64,aGVsbG8= and [redacted]"


TEXTS = st.text() | st.sampled_from(["ann@example.com", 'x\n"ann@example.com"\\', '{"a": "ann@example.com"}', "[1.50]"])
NUMBERS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(TEXTS | NUMBERS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)


def same_shape(one, other):
    """Whether two JSON values, objects as tuples of pairs, differ in nothing but texts."""
    if isinstance(one, str) and isinstance(other, str):
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same_shape, one, other))
    return one == other


@given(st.lists(VALUES), st.booleans())
def test_whatever_the_json_it_has_the_same_shape_and_holds_no_mail_address(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    after, count = Texts(LLMRedaction(personal=True)).redacted(text)
    assert same_shape(*(json.loads(each, object_pairs_hook=tuple) for each in (after, text)))
    assert (after == text) == (count == 0)
    assert '"ann@example.com"' not in after
