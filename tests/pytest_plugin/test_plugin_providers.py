"""Beside other users of OpenTelemetry: whoever has set a tracer provider keeps it, and gets what it would get."""

from __future__ import annotations

TESTS = """
from asking import ask

def test_first(llmtrace, exporter):
    ask()
    assert llmtrace.llm.count == 1
    assert [span.name for span in exporter.get_finished_spans()] == ["chat gpt-4o-mini"]

def test_second(llmtrace):
    ask()
    assert llmtrace.llm.count == 1
    assert "gen_ai.input.messages" not in llmtrace.llm.one().attributes

def test_third(llmtrace):
    ask()
    assert llmtrace.spans.count == 2
"""
ASK_ONCE = """
from asking import ask

def test_agent(llmtrace):
    ask()
"""
SHOWN = """
E   assert 1 == 2
E    +  where 1 = <1 spans: gpt-4o-mini>.count
E    +    where <1 spans: gpt-4o-mini> = <trace of 1 span>.spans
---------------------------------- LLM trace -----------------------------------
llm gpt-4o-mini  1000→100 tok  $0.00021
"""
PROVIDER = """
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

@pytest.fixture(scope="session", autouse=True)
def exporter():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter
"""
SPAN_PER_TEST = """
@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with trace.get_tracer("pytest").start_as_current_span(item.name):
        return (yield)
"""
CLOSED = """
from opentelemetry import trace

class Provider(trace.TracerProvider):
    def get_tracer(self, *args, **kwargs):
        return trace.NoOpTracer()

trace.set_tracer_provider(Provider())
"""


def test_a_provider_that_a_fixture_sets_is_used_and_a_span_around_the_test_is_not_part_of_it(suite):
    suite.write("conftest.py", PROVIDER + SPAN_PER_TEST)
    suite.write("test_agent.py", TESTS)
    ran = suite.run()
    assert (ran.code, ran.outcomes) == (1, {"passed": 2, "failed": 1}), ran.out
    assert ran.block("test_third").endswith(SHOWN)


def test_a_provider_that_takes_no_processor_is_told_of(suite):
    suite.write("conftest.py", CLOSED)
    suite.write("test_agent.py", ASK_ONCE + "    llmtrace.llm\n")
    assert (
        "no spans were recorded: the tracer provider conftest takes no span processors; "
        "set a TracerProvider of opentelemetry-sdk, or none\n"
    ) in suite.run().block("test_agent")


def test_with_the_sdk_disabled_that_is_the_reason(suite):
    suite.write("test_agent.py", ASK_ONCE + "    llmtrace.llm\n")
    ran = suite.run(OTEL_SDK_DISABLED="true")
    assert "no spans were recorded: OTEL_SDK_DISABLED is true; unset it" in ran.block("test_agent")
