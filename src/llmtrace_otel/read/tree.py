"""Traces: the spans of one trace id as a tree, whatever their parent links say.

Files are incomplete: a parent may be in another file or was never written, and links may be plain wrong. Every span
is in the tree exactly once. A span whose parent is not there is a root, marked as an orphan; of a circle of parents,
one span is taken as an orphaned root. Nothing here recurses, so depth is no limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from llmtrace_otel.read.totals import Totals, totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmtrace_otel.read.span import Span


@dataclass(eq=False, slots=True)
class Node:
    """A span's place in the tree. `orphan`: it names a parent that is not in the tree above it."""

    span: Span
    children: list[Node] = field(default_factory=list)
    orphan: bool = False


class Trace:
    """The spans of one trace id. `nodes` holds them by start time, `roots` as trees."""

    def __init__(self, trace_id: str, spans: Iterable[Span]) -> None:
        self.id = trace_id
        self.nodes = [Node(span) for span in sorted(spans, key=lambda span: span.start)]
        self.roots = _link(self.nodes)

    @property
    def spans(self) -> list[Span]:
        return [node.span for node in self.nodes]

    @cached_property
    def start(self) -> int:
        """Nanoseconds since 1970 of the first start that is recorded, 0 if none is."""
        return next((node.span.start for node in self.nodes if node.span.start), 0)

    @cached_property
    def end(self) -> int:
        """Nanoseconds since 1970 of the last time that is recorded."""
        return max((max(node.span.start, node.span.end) for node in self.nodes), default=0)

    @property
    def duration(self) -> float:
        """Seconds from the first start to the last end."""
        return (self.end - self.start) / 1e9

    @property
    def sessions(self) -> list[str]:
        """The sessions that its spans name, in order of appearance."""
        return list(dict.fromkeys(session for node in self.nodes if (session := node.span.session)))

    @cached_property
    def totals(self) -> Totals:
        return totals(self.nodes)

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Every (depth from 0, node), parents before children, siblings by start."""
        stack = [(0, node) for node in reversed(self.roots)]
        while stack:
            depth, node = stack.pop()
            yield depth, node
            stack.extend((depth + 1, child) for child in reversed(node.children))


def group(spans: Iterable[Span]) -> list[Trace]:
    """Spans → traces, the earliest first. Of a span recorded twice (a retried export) the later record is kept."""
    by_trace: dict[str, dict[str, Span]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, {})[span.span_id] = span
    traces = [Trace(trace_id, by_id.values()) for trace_id, by_id in by_trace.items()]
    return sorted(traces, key=lambda trace: trace.start)


def _link(nodes: list[Node]) -> list[Node]:
    """Hangs each node under its parent and returns the roots, in the order of `nodes`."""
    by_id = {node.span.span_id: node for node in nodes}
    for node in _circles(nodes, by_id):
        node.orphan = True
    roots = []
    for node in nodes:
        parent = None if node.orphan else by_id.get(node.span.parent_id)
        if parent is not None:
            parent.children.append(node)
        else:
            node.orphan = bool(node.span.parent_id)
            roots.append(node)
    return roots


def _circles(nodes: list[Node], by_id: dict[str, Node]) -> Iterator[Node]:
    """One node of every circle of parents: climbing from each node, one that this same climb has already passed."""
    passed: dict[str, int] = {}  # span id → the climb that came by
    for climb, start in enumerate(nodes):
        node: Node | None = start
        while node is not None and node.span.span_id not in passed:
            passed[node.span.span_id] = climb
            node = by_id.get(node.span.parent_id)
        if node is not None and passed[node.span.span_id] == climb:
            yield node
