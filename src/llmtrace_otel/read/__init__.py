"""Recorded traces, read back: OTLP-JSON lines → spans → trees, and what was said in them.

`read_spans` streams in constant memory, `read_traces` groups the spans into trees, `Conversations` puts together what
was said in each call. Damage in the file is data, not an
exception: every `Problem` goes to the function that the caller names.
"""

from llmtrace_otel.read.conversation import Conversations, Gap, Turn
from llmtrace_otel.read.lines import Problem
from llmtrace_otel.read.reader import read_spans, read_traces
from llmtrace_otel.read.span import Cost, Event, Span, Usage
from llmtrace_otel.read.totals import Totals
from llmtrace_otel.read.tree import Node, Trace, group

__all__ = [
    "Conversations",
    "Cost",
    "Event",
    "Gap",
    "Node",
    "Problem",
    "Span",
    "Totals",
    "Trace",
    "Turn",
    "Usage",
    "group",
    "read_spans",
    "read_traces",
]
