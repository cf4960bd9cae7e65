"""A trace as rows to print: what stands on each line, before colours and columns.

Siblings that say nothing new are folded: consecutive calls of one tool with one outcome are a single row, `search ×11`,
unless something worth a row of its own (anything but an HTTP request) happened inside.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from llmtrace_otel.read.span import EXECUTABLE_NAME, HTTP_METHOD
from llmtrace_otel.read.text import clean
from llmtrace_otel.telemetry import semconv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmtrace_otel.read.span import Span
    from llmtrace_otel.read.tree import Node, Trace

MAX_INDENT: Final = 30  # characters; deeper levels are drawn at this one
BELOW: Final = {"": "", "├─ ": "│  ", "└─ ": "   "}  # a row's branch → what its children's rows begin with

NAMED_BY: Final = {
    "agent": semconv.AGENT_NAME,
    "workflow": semconv.WORKFLOW_NAME,
    "tool": semconv.TOOL_NAME,
    "process": EXECUTABLE_NAME,
}


class Row(NamedTuple):
    """One line: the tree's branches, what it says, and the node it stands for, or several folded into one."""

    branches: str
    nodes: list[Node]

    @property
    def span(self) -> Span:
        return self.nodes[0].span

    @property
    def label(self) -> str:
        return label(self.span)

    @property
    def below(self) -> str:
        """The branches on lines between this row and the next one."""
        branch = self.branches[-len("├─ ") :]
        return self.branches[: -len(branch) or None] + BELOW[branch] + ("│" if self.nodes[0].children else " ")

    @property
    def notes(self) -> list[str]:
        """What is unusual about it."""
        return notes(self.nodes[0]) if len(self.nodes) == 1 else [f"×{len(self.nodes)}", *notes(self.nodes[0])]


def rows(trace: Trace, *, fold: bool = True) -> Iterator[Row]:
    """The rows of a trace from top to bottom."""
    return tree_rows(trace.roots, fold_key if fold else _alone)


def tree_rows(roots: list[Node], key: Callable[[Node], object]) -> Iterator[Row]:
    """The rows of trees from top to bottom. Consecutive siblings whose keys are equal share one."""
    stack = _branched(roots, "", key, roots=True)
    while stack:
        lead, branch, nodes = stack.pop()
        yield Row(lead + branch, nodes)
        if len(nodes) == 1:
            lead = (lead + BELOW[branch])[:MAX_INDENT]
            stack += _branched(nodes[0].children, lead, key)


def _branched(
    siblings: list[Node], lead: str, key: Callable[[Node], object], *, roots: bool = False
) -> list[tuple[str, str, list[Node]]]:
    """The siblings' rows to come, the last one first."""
    groups = [list(group) for _, group in groupby(siblings, key=key)]
    branches = [""] * len(groups) if roots else ["├─ "] * (len(groups) - 1) + ["└─ "]
    return [(lead, branch, nodes) for branch, nodes in zip(branches, groups, strict=False)][::-1]


def fold_key(node: Node) -> object:
    """Equal for siblings that may share a row; the node itself, equal to nothing else, for one that may not."""
    plain = all(child.span.kind_of == "http" and not child.children for child in node.children)
    return (label(node.span), *notes(node)) if node.span.kind_of == "tool" and plain else node


def _alone(node: Node) -> object:
    return node


def label(span: Span) -> str:
    """Kind and name, printable: `agent planner`, `llm gpt-5-mini`, `http GET api.example.com 200`."""
    kind = span.kind_of
    return named(span) or "span" if kind == "span" else clean(f"{kind} {named(span)}")


def named(span: Span) -> str:
    """The name without the kind: a tool's, an agent's, a program's, a request's, a call's model, else the span's."""
    kind = span.kind_of
    if kind == "span":
        return clean(span.name)
    if kind == "http":
        return clean(_request(span))
    own = span.text(NAMED_BY[kind]) if kind in NAMED_BY else span.model
    return clean(own or span.name)


def _request(span: Span) -> str:
    parts = (span.text(HTTP_METHOD), span.text(semconv.SERVER_ADDRESS), span.count(semconv.HTTP_STATUS))
    return " ".join(str(part) for part in parts if part is not None) or span.name


def notes(node: Node) -> list[str]:
    """What is unusual about a span: a sub-agent's call, its error, a cut stream, a cached answer, a missing end."""
    span = node.span
    unusual = {
        f"by {clean(span.agent or 'a sub-agent', 40)}": span.inference and span.is_sub_agents,
        f"✗ {short_error(span)}": span.error is not None,
        "✂ incomplete": span.incomplete,
        "replayed": span.replayed,
        "cache hit": span.cache_hit and not span.replayed,
        "… unfinished": not span.end,
        "(parent missing)": node.orphan,
    }
    return [note for note, holds in unusual.items() if holds]


def short_error(span: Span) -> str:
    """`openai.RateLimitError` → `RateLimitError`; codes such as `429` stay."""
    return clean((span.error or "").rpartition(".")[2] or span.error or "", 40)
