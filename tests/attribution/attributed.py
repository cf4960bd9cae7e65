"""What the attribution tests share: spans as values, and LLM calls as any library records them."""

from __future__ import annotations

from typing import NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

MAIN = {"gen_ai.agent.name": "planner", "llmtrace.agent.type": "main"}
CALC = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "calc", "gen_ai.tool.type": "function"}


class Exported(NamedTuple):
    name: str
    attributes: dict[str, object]
    parent: str | None = None
    status: str = "UNSET"
    description: str | None = None
    kind: str = "INTERNAL"


class Spans(InMemorySpanExporter):
    @property
    def all(self) -> list[Exported]:
        """Every ended span, in the order of their ends."""
        names = {span.context.span_id: span.name for span in self.get_finished_spans()}
        return [
            Exported(
                span.name,
                dict(span.attributes),
                names[span.parent.span_id] if span.parent else None,
                span.status.status_code.name,
                span.status.description,
                span.kind.name,
            )
            for span in self.get_finished_spans()
        ]


def call(name: str = "chat", **options) -> None:
    """An LLM call, as any other library would record it."""
    llm(name, **options).end()


def llm(name: str = "chat", **options) -> trace.Span:
    return trace.get_tracer("some.library").start_span(name, **options)


AGENT_SPAN = Exported("invoke_agent planner", {"gen_ai.operation.name": "invoke_agent", **MAIN})
INSIDE = Exported("chat", MAIN, parent="invoke_agent planner")
OUTSIDE = Exported("outside", {})
