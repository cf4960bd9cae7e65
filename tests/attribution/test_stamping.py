"""Spans of whatever tracer provider there is are stamped, and a provider that takes no stamps breaks nothing."""

from __future__ import annotations

from attributed import Exported, call
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from llmtrace_otel import agent, session, tool
from llmtrace_otel.attribution.stamping import stamp_spans


def test_spans_are_stamped_once_however_often_it_is_asked(monkeypatch):
    added = []
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(provider, "add_span_processor", added.append)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)

    stamp_spans()
    stamp_spans()
    with session("s"), agent("planner"):
        pass

    assert [type(processor).__name__ for processor in added] == ["_Stamp"]


def test_before_an_sdk_provider_is_set_nothing_breaks_and_afterwards_it_works(monkeypatch, spans):
    sdk = trace.get_tracer_provider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    with session("early"), agent("planner"), tool("calc") as calc:
        calc.result = 1
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", sdk)
    with session("late"):
        call()

    assert spans.all == [Exported("chat", {"session.id": "late"})]


def test_a_provider_that_refuses_processors_costs_the_stamps_only(monkeypatch, spans, caplog):
    def refuse(processor):
        raise RuntimeError("closed")

    monkeypatch.setattr(trace.get_tracer_provider(), "add_span_processor", refuse)
    for _ in range(2):
        with session("s"):
            call()

    assert spans.all == [Exported("chat", {})] * 2
    assert caplog.messages == [
        "llmtrace: spans will not show their session: no span processor can be added (RuntimeError('closed'))"
    ]


def test_after_shutdown_nothing_breaks_and_what_was_recorded_stays(spans):
    with session("s"):
        call()
        trace.get_tracer_provider().shutdown()
        with agent("planner"):
            call()

    assert spans.all == [Exported("chat", {"session.id": "s"})]
