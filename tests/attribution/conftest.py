"""Providers of the test's own, for spans and for metrics, and content capture that is off until it is asked for."""

from __future__ import annotations

import pytest
from attributed import Spans
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from llmtrace_otel.telemetry import content


@pytest.fixture
def spans(monkeypatch) -> Spans:
    exporter = Spans()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


@pytest.fixture(autouse=True)
def capture(monkeypatch):
    """Content is off; `capture(mode)` asks for it."""

    def ask(mode: str) -> None:
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", mode)
        content.refresh()

    ask("NO_CONTENT")
    yield ask
    content.set_redaction(None)
    content.refresh()


@pytest.fixture
def reader(monkeypatch) -> InMemoryMetricReader:
    reader = InMemoryMetricReader()
    monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", MeterProvider([reader], shutdown_on_exit=False))
    return reader
