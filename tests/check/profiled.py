"""Spans to profile, prices that do not change, and any spans at all."""

import json

import pytest
from hypothesis import strategies as st

from llmtrace_otel.read import Span
from llmtrace_otel.telemetry import cost, semconv

PRICES = """
version = "test prices"
[prices."acme/small"]
input = 1
output = 10
cache_read = 0.1
[prices."acme/long"]
input = 1
output = 10
[[prices."acme/long".tiers]]
above = 200_000
input = 2
"""


@pytest.fixture(autouse=True)
def prices(tmp_path, monkeypatch):
    """The only prices of acme's models; the file, to be changed."""
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    monkeypatch.setenv("LLMTRACE_PRICES", str(path))
    cost.refresh()
    yield path
    cost.refresh()


_number = iter(range(1, 10**9))


def step(attributes, failed=None, **fields):
    """A span with an id of its own."""
    number = next(_number)
    if failed:
        fields |= {"status": "error"}
        attributes = attributes | {semconv.ERROR_TYPE: failed}
    times = {"start": 1_000_000_000, "end": 2_000_000_000}
    return Span(**{"trace_id": "a" * 32, "span_id": f"{number:016x}", "attributes": attributes} | times | fields)


def call(into=None, out=None, model="small", *, failed=None, cached=None, **attributes):
    told = {semconv.USAGE_INPUT: into, semconv.USAGE_OUTPUT: out, semconv.USAGE_CACHE_READ: cached}
    told = {name: count for name, count in told.items() if count is not None}
    named = {semconv.OPERATION: "chat", semconv.PROVIDER: "acme", semconv.REQUEST_MODEL: model}
    return step(named | told | attributes, failed)


def tool(name, failed=None):
    return step({semconv.OPERATION: "execute_tool", semconv.TOOL_NAME: name}, failed)


def any_spans():
    """Lists of spans, each with an id of its own, of calls, tools and steps of no account."""
    tokens = st.none() | st.integers(0, 600_000)
    failed = st.sampled_from([None, "timeout"])
    marks = st.sampled_from([{}, {semconv.CACHE_HIT: True}, {semconv.STREAM_INCOMPLETE: True}])
    models = st.sampled_from(["small", "long", "nobody-knows"])
    calls = st.builds(
        lambda into, out, model, why, cached, mark: call(into, out, model, failed=why, cached=cached, **mark),
        *(tokens, tokens, models, failed, tokens, marks),
    )
    tools = st.builds(tool, st.sampled_from(["search", "answer"]), failed)
    return st.lists(calls | tools | st.builds(step, st.just({}), failed), max_size=12)


def line(*spans):
    """The spans as a line of OTLP JSON."""
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [_encoded(span) for span in spans]}]}]}) + "\n"


def _encoded(span):
    kinds = {bool: "boolValue", int: "intValue", str: "stringValue"}
    values = [{"key": key, "value": {kinds[type(value)]: value}} for key, value in span.attributes.items()]
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.end),
        "attributes": values,
        "status": {"code": {"unset": 0, "ok": 1, "error": 2}[span.status]},
    }
