"""Messages are built for somebody who will see them: not for a span that the sampler has dropped."""

from __future__ import annotations

import pytest
from opentelemetry.context import attach, detach, get_current
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from llmtrace_otel.telemetry import content
from llmtrace_otel.telemetry.owner import framed
from llmtrace_otel.telemetry.spans import CallSpan, Recorder
from llmtrace_otel.telemetry.within import Frame
from llmtrace_otel.wire.call import Call


def captured(sampler: Sampler) -> tuple[bool, bool]:
    """Whether the messages of a call, and of a request within it, are wanted once their span has been started."""
    recorder = Recorder(TracerProvider(sampler=sampler, shutdown_on_exit=False))
    call, request = Call("chat", "openai", capture=True), Call("chat", "openai", capture=True)
    span = recorder.start(call)
    assert isinstance(span, CallSpan)
    frame = Frame(span)
    frame.sending = True
    token = attach(framed(get_current(), frame))
    try:
        recorder.start(request)
    finally:
        detach(token)
    return call.capture, request.capture


@pytest.mark.parametrize(
    ("sampler", "mode", "wanted"),
    [
        (ALWAYS_ON, "span_only", True),
        (ALWAYS_OFF, "span_only", False),
        (ALWAYS_OFF, "event_only", True),
        (ALWAYS_OFF, "span_and_event", True),
    ],
)
def test_a_call_and_its_requests_want_the_content_that_somebody_will_see(
    sampler: Sampler, mode: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(content.MODE_VARIABLE, mode)
    content.refresh()
    assert captured(sampler) == (wanted, wanted)
