"""A trace as one JSON document: the derived fields of its spans, nested. `llmtrace show --json` prints one per line.

    TRACE = {"trace_id", "sessions": [str], "start": ISO 8601 in UTC or null, "duration_s": float,
             "totals": {"llm", "embed", "tools", "errors": int, "usage": USAGE, "cost_usd": float or null,
                        "actual", "estimated", "unpriced": int},
             "spans": [SPAN]}

    SPAN = {"span_id", "parent_id": str or null, "orphan": bool,
            "kind": agent | workflow | llm | tool | embed | fetch | process | http | span, "name": str,
            "start": ISO 8601 in UTC or null, "duration_s": float or null,
            "model", "provider", "session", "agent": str or null,
            "usage": USAGE, "usage_estimated": bool, "cost": {"usd": float or null, "status": str or null},
            "cache_hit", "incomplete": bool, "error": str or null, "content": CONTENT or null, "children": [SPAN]}

    CONTENT = {"system_instructions", "tool_definitions": [PART] or null, "input_messages": [MESSAGE or GAP],
               "output_messages": [MESSAGE]}

    GAP = {"messages": int, "why": str, "trace_id", "span_id": str}

    USAGE = {"input", "output", "cache_read", "cache_write", "reasoning": int or null}

`content` is there only with `--content`, and holds the whole conversation, put together from the spans that have parts
of it: see `read/conversation.py`. Messages are those of the GenAI conventions, a gap counts messages that cannot be had
and says of which span. Without `--content` nothing of what was said to or by a model is in the document.

Totals are over llm and embed spans, as `read.totals` has them; a number that no call reported is null. Of the calls,
`actual` have a cost that a provider stated, `estimated` one from a price table, `unpriced` none. It is ASCII, so that a
terminal shows a hostile string as text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from llmtrace_otel.read.text import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmtrace_otel.read.conversation import Conversations, Turn
    from llmtrace_otel.read.tree import Node, Trace


def document(trace: Trace, conversations: Conversations | None = None) -> str:
    """The trace as JSON on one line; with what was said, if conversations are given."""
    head = {
        "trace_id": trace.id,
        "sessions": trace.sessions,
        "start": _iso(trace.start),
        "duration_s": trace.duration,
        "totals": msgspec.to_builtins(trace.totals),
    }
    return "".join([json.dumps(head)[:-1], ', "spans": [', *_nested(trace, conversations), "]}"])


def _nested(trace: Trace, conversations: Conversations | None) -> Iterator[str]:
    """The spans' objects, written as they are met rather than built inside each other: depth is no limit."""
    open_spans = 0
    for depth, node in trace.walk():
        if depth < open_spans:
            yield "]}" * (open_spans - depth) + ", "
        said = "" if conversations is None else f', "content": {_content(conversations.turn(node.span))}'
        yield json.dumps(_fields(node))[:-1] + said + ', "children": ['
        open_spans = depth + 1
    yield "]}" * open_spans


def _fields(node: Node) -> dict[str, Any]:
    span = node.span
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id or None,
        "orphan": node.orphan,
        "kind": span.kind_of,
        "name": span.name,
        "start": _iso(span.start),
        "duration_s": span.duration,
        "model": span.model,
        "provider": span.provider,
        "session": span.session,
        "agent": span.agent,
        "usage": msgspec.to_builtins(span.usage),
        "usage_estimated": span.usage_estimated,
        "cost": msgspec.to_builtins(span.cost),
        "cache_hit": span.cache_hit,
        "incomplete": span.incomplete,
        "error": span.error,
    }


def _content(turn: Turn | None) -> str:
    if turn is None:
        return "null"
    said = {
        "system_instructions": turn.system_instructions,
        "tool_definitions": turn.tool_definitions,
        "input_messages": turn.input(),
        "output_messages": turn.answers,
    }
    try:
        return json.dumps(msgspec.to_builtins(said))
    except RecursionError:  # the file nests its messages as deep as can be read
        return "null"


def _iso(nanos: int) -> str | None:
    time = moment(nanos)
    return time.isoformat(timespec="microseconds") if time else None
