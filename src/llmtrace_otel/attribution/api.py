"""`session()`, `agent()`, `tool()`, `workflow()`: what a program writes to say who its calls belong to.

Each is a context manager, an async context manager and a decorator. `session()` makes no span: it only says whose the
calls inside are. The other three also make the standard INTERNAL span around the work.

Names and attributes: OpenTelemetry GenAI conventions, agent spans (autumn 2026).
"""

from __future__ import annotations

from typing import cast

from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.trace import Span

from llmtrace_otel.attribution.entry import Entered
from llmtrace_otel.attribution.identity import identify, left_behind
from llmtrace_otel.attribution.operations import INVOKE_AGENT, INVOKE_WORKFLOW, Operation, ToolCall, ToolOperation
from llmtrace_otel.attribution.scope import Scope
from llmtrace_otel.telemetry import semconv as sc

__all__ = ["agent", "session", "tool", "workflow"]


def session(
    id: str | None = None,  # noqa: A002
    *,
    user: str | None = None,
    data_id: str | None = None,
    combo_id: str | None = None,
    conversation: str | None = None,
    **metadata: object,
) -> Scope[None]:
    """Say whose the calls inside are; no span is made.

    `id` becomes `session.id`, `user` `user.id`, `conversation` `gen_ai.conversation.id`, the rest
    `llmtrace.session.data_id`, `.combo_id` and `.metadata.<key>`, on every span started inside. Nothing is invented:
    what is not given is not set. Values are recorded as `str(value)`; one that has no string form loses its key only.

    Inside another session the inner values win. An `id` other than the outer one leaves the outer session behind, all
    but its user; without a new `id` the values are added to the session around.
    """
    _require_value("session", id)
    given = {
        sc.SESSION_ID: id,
        sc.USER_ID: user,
        sc.CONVERSATION_ID: conversation,
        sc.SESSION_DATA_ID: data_id,
        sc.SESSION_COMBO_ID: combo_id,
        **{sc.SESSION_METADATA + key: value for key, value in metadata.items()},
    }
    entries = {key: value for key, value in given.items() if value is not None}

    def enter(context: Context) -> Entered:
        return Entered(identify(left_behind(id, context) | entries, context))

    return Scope(enter)


def agent(
    name: str,
    *,
    description: str | None = None,
    type: str | None = None,  # noqa: A002
    parent_session: str | None = None,
    task_id: str | None = None,
    turn: int | None = None,
) -> Scope[Span]:
    """Make the span `invoke_agent {name}` and say that the calls inside are this agent's; yields the span.

    `type` is `main`, or `subagent` inside another agent, unless given. `turn` counts from whatever the caller counts
    from. An agent's entries are its own: one nested inside it inherits none but its name, as
    `llmtrace.agent.parent`.
    """
    _require_value("agent", name)

    def enter(context: Context) -> Entered:
        parent = baggage.get_baggage(sc.AGENT_NAME, context)
        entries = {
            sc.AGENT_NAME: name,
            sc.AGENT_PARENT: parent,
            sc.AGENT_TYPE: type or ("subagent" if parent else "main"),
            sc.AGENT_PARENT_SESSION: parent_session,
            sc.TASK_ID: task_id,
            sc.TURN_COUNT: turn,
        }
        return Operation(INVOKE_AGENT, name, {sc.AGENT_DESCRIPTION: description}, identify(entries, context))

    return Scope(enter)


def tool(
    name: str,
    *,
    arguments: object = None,
    call_id: str | None = None,
    type: str = "function",  # noqa: A002
    description: str | None = None,
) -> Scope[ToolCall]:
    """Make the span `execute_tool {name}`; yields a `ToolCall`, whose `result` may be set.

    Arguments and result are recorded, as JSON, only when content capture is on. `arguments` may be the JSON text that
    a model sent. A decorated function needs neither: its bound arguments and its return value are taken (of a
    generator, the arguments).
    """
    _require_value("tool", name)
    attributes = {sc.TOOL_TYPE: type, sc.TOOL_CALL_ID: call_id, sc.TOOL_DESCRIPTION: description}

    def enter(context: Context) -> Entered:
        caller = {sc.AGENT_NAME: cast("str | None", baggage.get_baggage(sc.AGENT_NAME, context))}
        return ToolOperation(name, attributes | caller, context, arguments)

    return Scope(enter)


def workflow(name: str) -> Scope[Span]:
    """Make the span `invoke_workflow {name}` around several agents or calls; yields the span. Keep names few."""
    _require_value("workflow", name)
    return Scope(lambda context: Operation(INVOKE_WORKFLOW, name, {}, context))


def _require_value(function: str, value: object) -> None:
    if callable(value):
        raise TypeError(f'{function}() decorates with a name: write @{function}("…") instead of @{function}')
