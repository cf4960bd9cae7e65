"""One recorded span and what a reader asks of it: the kind of step, the model, tokens, cost, error.

The attribute names are the conventions' (telemetry/semconv.py). Attributes come from anywhere, so their types are
checked here: a property holds a value of its own type or None, and an absent number is None, never 0.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal

from msgspec import Struct, field

from llmtrace_otel.telemetry import semconv

Kind = Literal["agent", "workflow", "llm", "tool", "embed", "fetch", "process", "http", "span"]

EXECUTABLE_NAME: Final = "process.executable.name"
HTTP_METHOD: Final = "http.request.method"
EXCEPTION_TYPE: Final = "exception.type"

OPERATIONS: Final[dict[str, Kind]] = {
    "chat": "llm",
    "generate_content": "llm",
    "text_completion": "llm",
    "embeddings": "embed",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "workflow",
    "fetch_response": "fetch",
    "plan": "span",
    "retrieval": "span",
    "search_memory": "span",
    "create_memory": "span",
    "update_memory": "span",
    "upsert_memory": "span",
    "delete_memory": "span",
    "create_memory_store": "span",
    "delete_memory_store": "span",
}


class Usage(Struct, frozen=True):
    """Tokens of a call; `input` includes the cached ones, `output` the reasoning ones. None: not reported."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


class Cost(Struct, frozen=True):
    """US dollars, and how they are known: `actual`, `estimated`, `included`, `unknown`. None: not recorded."""

    usd: float | None = None
    status: str | None = None


class Event(Struct, frozen=True, gc=False):
    """An event of a span; `time` is in nanoseconds since 1970."""

    name: str
    time: int
    attributes: dict[str, Any]


class Span(Struct, frozen=True, gc=False, kw_only=True):
    """A span as recorded. Times are nanoseconds since 1970, 0 when not recorded; `parent_id` is "" for a root.

    `kind` is internal, server, client, producer, consumer or unspecified; `status` is unset, ok or error. Spans of one
    resource share the dictionary `resource`: do not change it.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    name: str = ""
    kind: str = "unspecified"
    start: int = 0
    end: int = 0
    status: str = "unset"
    status_message: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    scope: str = ""
    events: list[Event] = field(default_factory=list)

    @property
    def kind_of(self) -> Kind:
        """What the step is. An operation that the conventions do not list is an LLM call if it names a model."""
        operation = self.text(semconv.OPERATION)
        if operation is not None:
            return OPERATIONS.get(operation) or ("llm" if self.model else "span")
        if EXECUTABLE_NAME in self.attributes:
            return "process"
        return "http" if HTTP_METHOD in self.attributes else "span"

    @property
    def inference(self) -> bool:
        """Whether tokens and cost of this span count: agents and workflows repeat those of the calls below them."""
        return self.kind_of in ("llm", "embed")

    @property
    def model(self) -> str | None:
        """The model asked for; the one that answered if the request named none."""
        return self.text(semconv.REQUEST_MODEL) or self.text(semconv.RESPONSE_MODEL)

    @property
    def provider(self) -> str | None:
        return self.text(semconv.PROVIDER)

    @property
    def usage(self) -> Usage:
        new, old = semconv.USAGE_CACHE_WRITE_NAMES
        written = self.count(new)
        return Usage(
            input=self.count(semconv.USAGE_INPUT),
            output=self.count(semconv.USAGE_OUTPUT),
            cache_read=self.count(semconv.USAGE_CACHE_READ),
            cache_write=self.count(old) if written is None else written,
            reasoning=self.count(semconv.USAGE_REASONING),
        )

    @property
    def usage_estimated(self) -> bool:
        """Whether a library computed the token counts because the provider reported none."""
        return self.attributes.get(semconv.USAGE_ESTIMATED) is True

    @property
    def cost(self) -> Cost:
        usd = self.amount(semconv.COST_USD)
        return Cost(self.amount(semconv.COST_OPERATION) if usd is None else usd, self.text(semconv.COST_STATUS))

    @property
    def spend(self) -> float | None:
        """US dollars added to a bill: 0.0 for a cached answer and under a subscription, None if unknown."""
        cost = self.cost
        return 0.0 if self.cache_hit or cost.status == "included" else cost.usd

    @property
    def unpriced(self) -> bool:
        """Whether an inference call cost something nobody knows. A failed call that used no tokens costs nothing."""
        return self.inference and self.spend is None and (self.error is None or self.usage != Usage())

    @property
    def session(self) -> str | None:
        return self.text(semconv.SESSION_ID) or self.text(semconv.CONVERSATION_ID)

    @property
    def agent(self) -> str | None:
        return self.text(semconv.AGENT_NAME)

    @property
    def is_sub_agents(self) -> bool:
        """Whether it is of a sub-agent that is known by an id, and so may have no span of its own around it."""
        return self.text(semconv.AGENT_TYPE) == "subagent" and self.text(semconv.AGENT_ID) is not None

    @property
    def cache_hit(self) -> bool:
        return self.attributes.get(semconv.CACHE_HIT) is True

    @property
    def replayed(self) -> bool:
        """Whether a recording answered it; `cache_hit` is then true as well."""
        return self.attributes.get(semconv.REPLAY) is True

    @property
    def incomplete(self) -> bool:
        """Whether the answer's stream was cut or abandoned."""
        return self.attributes.get(semconv.STREAM_INCOMPLETE) is True

    @property
    def duration(self) -> float | None:
        """Seconds; None for a span that has not ended or whose times contradict each other."""
        return (self.end - self.start) / 1e9 if 0 < self.start <= self.end else None

    @property
    def error(self) -> str | None:
        """The error's type, None if the span did not fail; `error` when it failed and nothing says how."""
        declared = self.text(semconv.ERROR_TYPE)
        if self.status != "error":
            return declared
        raised = (event.attributes.get(EXCEPTION_TYPE) for event in self.events)
        return declared or next((kind for kind in raised if isinstance(kind, str) and kind), "error")

    def text(self, name: str) -> str | None:
        """The attribute if it is a string and not empty."""
        value = self.attributes.get(name)
        return value if isinstance(value, str) and value else None

    def count(self, name: str) -> int | None:
        """The attribute if it is a whole number that counts something."""
        value = self.attributes.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None

    def amount(self, name: str) -> float | None:
        """The attribute if it is a finite number that is not negative."""
        value = self.attributes.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return float(value) if 0 <= value < math.inf else None
