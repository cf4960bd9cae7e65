"""`llmtrace show --content` as people run it: whole outputs compared."""

import json
import sys

import pytest

from llmtrace_otel.cli import main

TRACE = "7f3a91c2d4e5f60718293a4b5c6d7e8f"
OTHER = "c0ffee00d4e5f60718293a4b5c6d7e8f"
SECOND = 1_000_000_000
START = 1_795_000_000 * SECOND
TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {}, "days": {}}},
}


def said(role, *parts):
    return {
        "role": role,
        "parts": [{"type": "text", "content": part} if isinstance(part, str) else part for part in parts],
    }


def step(span_id, parent="", trace=TRACE, start=0, seconds=1, **attributes):
    """A line of a file of traces: a span with the attributes, of which lists are JSON text."""
    values = {name.replace("__", "."): value for name, value in attributes.items()}
    values = {name: json.dumps(value) if isinstance(value, list) else value for name, value in values.items()}
    values = {name: value if isinstance(value, int) else str(value) for name, value in values.items()}
    fields = {str: "stringValue", int: "intValue"}
    recorded = {
        "traceId": trace,
        "spanId": span_id,
        "parentSpanId": parent,
        "name": span_id,
        "startTimeUnixNano": START + start * SECOND,
        "endTimeUnixNano": START + (start + seconds) * SECOND,
        "attributes": [{"key": name, "value": {fields[type(value)]: value}} for name, value in values.items()],
    }
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [recorded]}]}]}) + "\n"


def call(span_id, given, *answer, reason="stop", **attributes):
    """An LLM call: what it was given, and the parts of its answer."""
    spoken = {"gen_ai__output__messages": [{**said("assistant", *answer), "finish_reason": reason}]} if answer else {}
    return step(
        span_id,
        gen_ai__operation__name="chat",
        gen_ai__request__model="gpt-5-mini",
        gen_ai__input__messages=given,
        **spoken,
        **attributes,
    )


def goes_on(span_id, messages):
    return {"llmtrace__content__previous_span_id": span_id, "llmtrace__content__omitted_messages": messages}


@pytest.fixture
def show(capsys, tmp_path):
    """Runs the command on a file of these lines: (exit code, standard output, standard error)."""

    def show(lines, *arguments):
        path = tmp_path / "t.jsonl"
        path.write_text("".join(lines))
        code = main(["show", *arguments[:1], str(path), *arguments[1:]])
        return code, *capsys.readouterr()

    return show


ASKED = {"type": "tool_call", "id": "c1", "name": "get_weather", "arguments": {"city": "Paris", "days": [1, 2]}}
TOLD = {"type": "tool_call_response", "id": "c1", "response": {"sky": "clear", "high": 21}}
AGENT = [
    step("a" * 16, seconds=5, gen_ai__operation__name="invoke_agent", gen_ai__agent__name="planner"),
    call(
        "b" * 16,
        [said("user", "Is tomorrow a good day for Paris?\n\nI would like to walk.")],
        {"type": "reasoning", "content": "They want the weather."},
        ASKED,
        reason="tool_call",
        parent="a" * 16,
        gen_ai__system_instructions=[{"type": "text", "content": "You plan journeys."}],
        gen_ai__tool__definitions=[TOOL, {"type": "function", "name": "stop"}],
    ),
    step("c" * 16, "b" * 16, http__request__method="POST", server__address="api.example.com"),
    call("d" * 16, [said("tool", TOLD)], "Yes. " * 20, parent="a" * 16, start=1, **goes_on("b" * 16, 2)),
    call(
        "e" * 16,
        [said("user", "And this?", {"type": "blob", "modality": "image", "mime_type": "image/png", "size": 12_345,
                                    "sha256": "9f86d081884c7d65"}, {"type": "uri", "modality": "image",
                                                                    "uri": "https://example.com/a.png"})],
        "It is",
        reason="length",
        parent="a" * 16,
        start=2,
        **goes_on("d" * 16, 4),
    ),
]  # fmt: skip

AGENT_TREE = """\
trace 7f3a91c2  2026-11-18 11:06:40Z  5.0s  – tokens  ?  3 llm
span                             0s                                 5.0s  time  in→out  cached  cost
agent planner                    ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  5.0s
├─ llm gpt-5-mini                ━━━━━━━━                                 1.0s       –       –     ?
│  │ system     You plan journeys.
│  │ tools      get_weather(city, days), stop
│  │ user       Is tomorrow a good day for Paris?
│  │
│  │            I would like to walk.
│  │ assistant  (thinking) They want the weather.
│  │            → get_weather(city="Paris", days=[1,2])
│  └─ http POST api.example.com  ━━━━━━━━                                 1.0s
├─ llm gpt-5-mini                       ━━━━━━━━                          1.0s       –       –     ?
│    … 2 earlier messages
│    tool       ← {"sky":"clear","high":21}
│    assistant  Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes.
│               Yes. Yes. Yes.
└─ llm gpt-5-mini                               ━━━━━━━━                  1.0s       –       –     ?
     … 4 earlier messages
     user       And this?
                [image, image/png, 12.3 kB, sha256 9f86d081]
                [image, https://example.com/a.png]
     assistant  It is
     (finish reason: length)
"""


def test_each_call_shows_what_is_new_in_its_conversation(show):
    assert show(AGENT, "--content") == (0, AGENT_TREE, "")


def test_spans_that_repeat_the_whole_conversation_look_the_same(show):
    asked = said("user", "Is tomorrow a good day for Paris?\n\nI would like to walk.")
    answered = said("assistant", {"type": "reasoning", "content": "They want the weather."}, ASKED)
    setting = {
        "gen_ai__system_instructions": [{"type": "text", "content": "You plan journeys."}],
        "gen_ai__tool__definitions": [TOOL, {"type": "function", "name": "stop"}],
    }
    again = call("d" * 16, [asked, answered, said("tool", TOLD)], "Yes. " * 20, parent="a" * 16, start=1, **setting)
    assert show([*AGENT[:3], again, AGENT[4]], "--content") == (0, AGENT_TREE, "")


def below(output, number):
    """What stands below the llm row with this number, from 0, without the tree."""
    lines = output.partition("llm gpt-5-mini")[2].split("llm gpt-5-mini")[number].splitlines()[1:]
    return [line.lstrip("│ ") for line in lines if "─ " not in line]


def test_the_whole_conversation_of_each_call(show):
    _, out, _ = show(AGENT, "--content=full")
    assert below(out, 2) == [
        "system     You plan journeys.",
        "tools      get_weather(city, days), stop",
        "user       Is tomorrow a good day for Paris?",
        "",
        "I would like to walk.",
        "assistant  (thinking) They want the weather.",
        '→ get_weather(city="Paris", days=[1,2])',
        'tool       ← {"sky":"clear","high":21}',
        "assistant  Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes. Yes.",
        "Yes. Yes. Yes.",
        "user       And this?",
        "[image, image/png, 12.3 kB, sha256 9f86d081]",
        "[image, https://example.com/a.png]",
        "assistant  It is",
        "(finish reason: length)",
    ]


def test_a_conversation_that_began_elsewhere_says_where(show):
    lines = [
        call("b" * 16, [said("user", "Hi")], "Hello."),
        call(
            "d" * 16,
            [said("user", "Rain?")],
            "No.",
            trace=OTHER,
            start=9,
            llmtrace__content__previous_trace_id=TRACE,
            **goes_on("b" * 16, 2),
        ),
    ]
    assert below(show(lines, "--content", "c0ff")[1], 0) == [
        "… 2 earlier messages, see trace 7f3a91c2",
        "user       Rain?",
        "assistant  No.",
    ]
    assert below(show(lines[1:], "--content")[1], 0) == [
        f"… 2 earlier messages in span bbbbbbbbbbbbbbbb of trace {TRACE}, not in",
        "this file",
        "user       Rain?",
        "assistant  No.",
    ]
    assert below(show(lines, "--content=full", "c0ff")[1], 0) == [
        "user       Hi",
        "assistant  Hello.",
        "user       Rain?",
        "assistant  No.",
    ]


def test_a_span_of_the_same_trace_that_is_missing_is_named(show):
    assert below(show(AGENT[3:4], "--content")[1], 0)[0] == (
        "… 2 earlier messages in span bbbbbbbbbbbbbbbb, not in this file"
    )


LONG = [call("b" * 16, [said("user", "line\n" * 20), said("user", "x" * 1_500)], "Hello.")]


def test_long_texts_are_cut_at_first_sight_and_whole_when_asked_for(show):
    _, out, _ = show(LONG, "--content", "--width", "60")
    assert below(out, 0)[:13] == ["user       line", *["line"] * 11, "… [41 more characters]"]
    assert below(out, 0)[13] == "user       " + "x" * 47
    assert "".join(below(out, 0)[14:-1]) == "x" * (1_000 - 47) + "… [500 more characters]"
    _, out, _ = show(LONG, "--content=full", "--width", "60")
    assert "".join(below(out, 0)[:-1]) == "user       line" + "line" * 19 + "user       " + "x" * 1_500


def test_a_text_cannot_drive_the_terminal_and_fits_its_column(show):
    hostile = "\x1b[2J\x1b]0;x\x07\u202e模型模型模型模型模型模型模型模型模型模型\r\nnext\tline"
    given = [{"role": "\x1b[31muser", "parts": [{"type": "text", "content": hostile}, {"type": "\x1b[1m"}]}]
    tool = {"type": "function", "name": "\x1b[2Jf", "parameters": {"type": "object", "properties": {"\x07": {}}}}
    _, out, _ = show([call("b" * 16, given, gen_ai__tool__definitions=[tool])], "--content", "--width", "50")
    assert below(out, 0) == [
        "tools      �[2Jf(�)",
        "�[31muser  �[2J�]0;x��模型模型模型模型模型模型模",
        "型模型模型模型",
        "next line",
        "[�[1m]",
    ]


def test_json_holds_the_whole_conversation(show):
    code, out, err = show(AGENT, "--json", "--content")
    (agent,) = json.loads(out)["spans"]
    assert (code, err, agent["content"]) == (0, "", None)
    assert agent["children"][1]["content"] == {
        "system_instructions": [{"type": "text", "content": "You plan journeys."}],
        "tool_definitions": [TOOL, {"type": "function", "name": "stop"}],
        "input_messages": [
            said("user", "Is tomorrow a good day for Paris?\n\nI would like to walk."),
            said("assistant", {"type": "reasoning", "content": "They want the weather."}, ASKED),
            said("tool", TOLD),
        ],
        "output_messages": [{**said("assistant", "Yes. " * 20), "finish_reason": "stop"}],
    }


def test_json_says_which_messages_are_missing(show):
    _, out, _ = show(AGENT[3:4], "--json", "--content")
    (span,) = json.loads(out)["spans"]
    assert span["content"]["input_messages"][0] == {
        "messages": 2,
        "why": "not in this file",
        "trace_id": "",
        "span_id": "b" * 16,
    }
    assert (span["content"]["system_instructions"], span["content"]["tool_definitions"]) == (None, None)


def test_without_the_option_nothing_of_what_was_said_is_shown(show):
    _, out, _ = show(AGENT)
    assert out == "".join(
        line
        for line in AGENT_TREE.splitlines(keepends=True)
        if line.startswith(("trace", "span", "agent")) or "─ " in line
    )
    assert "content" not in show(AGENT, "--json")[1]


def test_where_no_content_was_recorded_it_is_said_how_to_record_it(show):
    code, out, err = show(AGENT[:1], "--content")
    assert (code, out) == (0, show(AGENT[:1])[1])
    assert err == (
        "llmtrace show: no content here. Record it with: OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only\n"
    )


def test_content_that_is_nested_as_deep_as_can_be_read_is_no_traceback(show):
    most = sys.getrecursionlimit()
    deep = [
        call(f"{depth:016x}", [said("tool", {"type": "tool_call", "arguments": "X"})]).replace(
            '\\"X\\"', "[" * depth + "]" * depth
        )
        for depth in range(most - 200, most + 20, 3)
    ]
    for arguments in (["--content"], ["--content=full"], ["--json", "--content"]):
        assert show(deep, *arguments)[0] == 0
