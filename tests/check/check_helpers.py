"""Recorded spans for tests, from text that looks like the tree they make.

    agent planner
      llm gpt-5-mini in=1200 out=85 cache=1100 usd=0.0011
      tool search {"q": "cats"} error=Timeout
      span my step start=2 end=5 llmtrace.cache.hit=true

A line is a kind, a name, a tool's arguments if they were recorded, and what else the span has: short names for tokens,
cost and the like, `start` and `end` in seconds of the trace, otherwise attributes, whose values are JSON or plain text.
A step begins when the one before it ends and takes a second, or as long as the steps below it.
"""

import json
import re
from itertools import count

from msgspec import structs

from llmtrace_otel.check import Trace
from llmtrace_otel.check.trace import forest
from llmtrace_otel.read import Span
from llmtrace_otel.telemetry import semconv

SECOND = 1_000_000_000
BEGIN = 1_800_000_000 * SECOND
NAMES = {
    "agent": ("invoke_agent", semconv.AGENT_NAME),
    "workflow": ("invoke_workflow", semconv.WORKFLOW_NAME),
    "llm": ("chat", semconv.REQUEST_MODEL),
    "embed": ("embeddings", semconv.REQUEST_MODEL),
    "fetch": ("fetch_response", semconv.REQUEST_MODEL),
    "tool": ("execute_tool", semconv.TOOL_NAME),
    "process": (None, semconv.PROCESS_EXECUTABLE_NAME),
    "http": (None, "http.request.method"),
    "span": (None, None),
}
SHORT = {
    "in": semconv.USAGE_INPUT,
    "out": semconv.USAGE_OUTPUT,
    "cache": semconv.USAGE_CACHE_READ,
    "reasoning": semconv.USAGE_REASONING,
    "usd": semconv.COST_USD,
    "error": semconv.ERROR_TYPE,
    "session": semconv.SESSION_ID,
    "agent": semconv.AGENT_NAME,
    "provider": semconv.PROVIDER,
    "input": semconv.INPUT_MESSAGES,
    "result": semconv.TOOL_CALL_RESULT,
}
LINE = re.compile(r"(?P<indent> *)(?P<kind>\w+)(?: (?P<name>.*?))?(?: (?P<args>\{.*?\}))?(?P<more>(?: [\w.]+=\S*)*)")


def spans(text, trace_id="7f3a91c2d4e5f60718293a4b5c6d7e8f"):
    """The spans that the text shows, in its order."""
    above = []  # (indent, fields) of the lines around
    found = []
    clock = 0.0
    for number, line in zip(count(1), filter(str.strip, text.splitlines()), strict=False):
        match = LINE.fullmatch(line.rstrip())
        while above and above[-1][0] >= len(match["indent"]):
            above.pop()
        fields = _fields(match, clock if not above or found[-1] is not above[-1][1] else found[-1]["start"])
        fields |= {"trace_id": trace_id, "span_id": f"{number:016x}"}
        fields["parent_id"] = above[-1][1]["span_id"] if above else ""
        clock = fields["end"]
        for _, outer in above:
            outer["end"] = max(outer["end"], clock) if outer["open"] else outer["end"]
        above.append((len(match["indent"]), fields))
        found.append(fields)
    return [_span(fields) for fields in found]


def steps(text):
    """The roots of the text's trees."""
    return forest(spans(text))[0]


def trace(text):
    """What a test is given that recorded the text's spans."""
    recorded = spans(text)
    return Trace(lambda: recorded, lambda: "nothing ran")


def chain(depth, innermost):
    """The root of as many spans, each below the one before; the last is the one named."""
    found = [*spans("span outer\n" * (depth - 1)), *spans(f"{innermost} start={depth}")]
    for number, span in enumerate(found):
        found[number] = structs.replace(span, span_id=f"{number:016x}", parent_id=f"{number - 1:016x}")
    return forest([structs.replace(found[0], parent_id=""), *found[1:]])[0]


def _fields(match, start):
    operation, named_by = NAMES[match["kind"]]
    attributes = {semconv.OPERATION: operation} if operation else {}
    if named_by:
        attributes[named_by] = match["name"] or ""
    if match["args"]:
        attributes[semconv.TOOL_CALL_ARGUMENTS] = match["args"]
    given = dict(word.split("=", 1) for word in match["more"].split())
    times = {key: float(given.pop(key)) for key in ("start", "end") if key in given}
    attributes |= {SHORT.get(key, key): _value(value) for key, value in given.items()}
    start = times.get("start", start)
    name = match["name"] or ""
    return {
        "name": name,
        "attributes": attributes,
        "start": start,
        "end": start + 1,
        "open": "end" not in times,
    } | times


def _value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def _span(fields):
    del fields["open"]
    times = {key: BEGIN + round(fields[key] * SECOND) for key in ("start", "end")}
    status = "error" if semconv.ERROR_TYPE in fields["attributes"] else "unset"
    return Span(**fields | times, status=status)
