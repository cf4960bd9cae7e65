"""A call that is recorded above its requests: what they show becomes part of it."""

from __future__ import annotations

from opentelemetry.context import Context, get_current

from llmtrace_otel.telemetry.owner import frame_of, framed
from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.telemetry.within import Frame, Part, merge
from llmtrace_otel.wire.call import Call, Usage
from support.spans import Recorded


def asked(**known: object) -> Call:
    """A call as a library knows it when it starts."""
    return Call("chat", "openai", request_model="fast", **known)


def seen(**shown: object) -> Call:
    """A request's call."""
    return Call("chat", "openai", request_model="gpt-5-mini", **shown)


def test_what_the_request_shows_fills_the_gaps() -> None:
    call = asked(temperature=0.5)
    merge(call, [seen(temperature=1.0, max_tokens=64, server_address="api.openai.com", http_status=200)])
    assert (call.temperature, call.max_tokens, call.server_address, call.http_status) == (
        0.5,
        64,
        "api.openai.com",
        200,
    )


def test_the_request_knows_models_and_ids_better() -> None:
    call = asked(response_id="made up", response_model="fast")
    merge(call, [seen(response_id="chatcmpl-1", response_model="gpt-5-mini-2025-08-07")])
    assert (call.request_model, call.response_id, call.response_model) == (
        "gpt-5-mini",
        "chatcmpl-1",
        "gpt-5-mini-2025-08-07",
    )


def test_an_attempt_that_failed_counts_and_says_no_more() -> None:
    call = asked()
    merge(
        call,
        [seen(http_status=429, error_type="429"), seen(http_status=200, usage=Usage(input=10, output=5), attempts=2)],
    )
    assert (call.attempts, call.http_status, call.error_type, call.usage) == (3, 200, None, Usage(input=10, output=5))


def test_the_tokens_of_every_answer_were_used() -> None:
    """A library may let the model call a tool, and answer, within one call of its own."""
    call = asked()
    merge(call, [seen(usage=Usage(input=10, output=5, cache_read=0)), seen(usage=Usage(input=20, output=7))])
    assert call.usage == Usage(input=30, output=12, cache_read=0)


def test_a_request_is_a_part_only_while_the_call_runs(recorded: Recorded) -> None:
    recorder = Recorder(**recorded.providers)
    frame = Frame(recorder.start_call(asked()))
    context = framed(get_current(), frame)
    assert frame_of(context) is None
    frame.sending = True
    assert frame_of(context) is frame
    assert frame_of(Context()) is None


def test_a_request_that_is_still_read_is_settled_when_the_call_ends(recorded: Recorded) -> None:
    call = asked()
    frame = Frame(Recorder(**recorded.providers).start_call(call))
    part = frame.part(seen())
    assert isinstance(part, Part)

    def settle() -> None:
        part.call.usage = Usage(input=10)

    part.settle = settle
    frame.merge()
    assert call.usage == Usage(input=10)


def test_an_ended_request_is_left_alone(recorded: Recorded) -> None:
    frame = Frame(Recorder(**recorded.providers).start_call(asked()))
    part = frame.part(seen())
    settled: list[bool] = []
    part.settle = lambda: settled.append(True)
    part.end()
    frame.merge()
    assert settled == []
    assert recorded.spans == ()
