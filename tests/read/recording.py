"""Recorded files for the reader's tests: real bytes, written to disk as an exporter writes them."""

import json
from pathlib import Path

DATA = Path(__file__).parent / "data"
TRACE = "7f3a91c2d4e5f60718293a4b5c6d7e8f"


def line(*spans, resource=None):
    """One OTLP-JSON line, as bytes, that holds the spans."""
    group = {"resource": resource or {}, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}
    return json.dumps({"resourceSpans": [group]}).encode() + b"\n"


def span(span_id, parent="", trace=TRACE, start=1, end=2, attributes=None, **fields):
    """A span as OTLP JSON has it; attributes are plain Python values."""
    return {
        "traceId": trace,
        "spanId": span_id,
        "parentSpanId": parent,
        "name": span_id,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(end),
        "attributes": [{"key": key, "value": any_value(value)} for key, value in (attributes or {}).items()],
        **fields,
    }


def any_value(value):
    field = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}[type(value)]
    return {field: value}
