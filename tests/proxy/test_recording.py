"""Where a call that the proxy saw belongs in the trace."""

from __future__ import annotations

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, TraceFlags

from llmtrace_otel.proxy.recording import record
from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.wire.call import Call, Usage
from support.spans import Recorded

TRACE, CHILD, FINER = 0xABC, 0x1, 0x2
WITHIN = trace.set_span_in_context(
    trace.NonRecordingSpan(SpanContext(TRACE, CHILD, is_remote=False, trace_flags=TraceFlags(1))), Context()
)


@pytest.fixture
def spans():
    recorded = Recorded()
    yield recorded
    recorded.close()


def recorded_call(spans: Recorded, context: Context = WITHIN, traceparent: str | None = None):
    call = Call(
        "chat",
        "openai",
        request_model="gpt-4o-mini",
        layer="proxy",
        usage=Usage(input=10, output=5),
        start_ns=1_000,
        end_ns=2_000,
        complete=True,
    )
    record(Recorder(**spans.providers), call, context, traceparent)
    return spans.span


def test_it_is_under_its_child_at_the_time_when_it_was_made(spans: Recorded):
    span = recorded_call(spans)
    assert (span.name, span.parent.span_id, span.context.trace_id) == ("chat gpt-4o-mini", CHILD, TRACE)
    assert (span.start_time, span.end_time) == (1_000, 2_000)
    assert span.attributes["gen_ai.usage.input_tokens"] == 10
    assert span.attributes["llmtrace.layer"] == "proxy"


def test_a_span_of_the_same_trace_that_the_request_names_is_its_parent(spans: Recorded):
    span = recorded_call(spans, traceparent=f"00-{TRACE:032x}-{FINER:016x}-01")
    assert (span.parent.span_id, span.context.trace_id, span.links) == (FINER, TRACE, ())


def test_a_span_of_another_trace_is_linked_to(spans: Recorded):
    span = recorded_call(spans, traceparent=f"00-{0xDEF:032x}-{FINER:016x}-01")
    assert (span.parent.span_id, span.context.trace_id) == (CHILD, TRACE)
    assert [(link.context.trace_id, link.context.span_id) for link in span.links] == [(0xDEF, FINER)]


@pytest.mark.parametrize("traceparent", ["", "00-0-0-00", "nonsense", "00-" + "f" * 300])
def test_a_header_that_names_no_span_changes_nothing(spans: Recorded, traceparent: str):
    span = recorded_call(spans, traceparent=traceparent)
    assert (span.parent.span_id, span.links) == (CHILD, ())


def test_a_call_of_nobody_we_know_is_a_trace_of_its_own(spans: Recorded):
    assert recorded_call(spans, Context()).parent is None


def test_what_its_child_carries_in_baggage_is_current_while_its_span_starts(spans: Recorded):
    seen = []

    class Processor:
        def on_start(self, span, parent_context=None):
            seen.append(baggage.get_all(parent_context))

        def __getattr__(self, _):
            return lambda *args, **kwargs: True

    spans.tracer_provider.add_span_processor(Processor())
    recorded_call(spans, baggage.set_baggage("session.id", "s-1", WITHIN))
    assert seen == [{"session.id": "s-1"}]
