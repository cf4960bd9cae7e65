"""Recorded traces, read back: OTLP-JSON lines → spans → trees.

`read_spans` streams in constant memory, `read_traces` groups the spans into trees. Damage in the file is data, not an
exception: every `Problem` goes to the function that the caller names.
"""

from llmtrace_otel.read.lines import Problem
from llmtrace_otel.read.reader import read_spans, read_traces
from llmtrace_otel.read.span import Cost, Event, Span, Usage
from llmtrace_otel.read.totals import Totals
from llmtrace_otel.read.tree import Node, Trace, group

__all__ = [
    "Cost",
    "Event",
    "Node",
    "Problem",
    "Span",
    "Totals",
    "Trace",
    "Usage",
    "group",
    "read_spans",
    "read_traces",
]
