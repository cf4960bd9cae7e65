"""The same step again and again: what an agent does that makes no progress, and what no budget notices in time.

Tool calls are the same if name and arguments are; calls of a model if the model and all that it was given are. They
count within the nearest agent or workflow above, else within the trace, wherever they stand among other steps: an agent
asks its model between two tools. A call that failed counts; a request that a client repeated inside one call is one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from llmtrace_otel.check.arguments import brief, canonical
from llmtrace_otel.check.errors import NotEvaluableError, RuleError
from llmtrace_otel.check.steps import CONTENT_VARIABLE
from llmtrace_otel.read.conversation import Conversations, Turn
from llmtrace_otel.read.text import plural
from llmtrace_otel.telemetry import semconv

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from llmtrace_otel.check.steps import Step

LLM_INPUT: Final = (semconv.INPUT_MESSAGES, semconv.CONTENT_PREVIOUS_SPAN_ID)


class Loop(Struct, frozen=True):
    """A step that was taken `count` times; `args` are a tool's arguments, None for a call of a model."""

    kind: str
    name: str
    args: Any
    count: int
    steps: list[Step]

    def __str__(self) -> str:
        what = "with the same messages" if self.args is None else brief(self.args)
        return f"{self.kind} {self.name} {what} ×{self.count}"

    def __repr__(self) -> str:
        return str(self)


def loops(roots: Sequence[Step], min_repeat: int = 3) -> list[Loop]:
    """What was done at least `min_repeat` times, in order of the first time.

    Raises NotEvaluableError if there is none, but contents that were not recorded could tell of one; RuleError for a
    `min_repeat` below 2.
    """
    if not isinstance(min_repeat, int) or min_repeat < 2:
        raise RuleError(f"min_repeat={min_repeat!r}: write a whole number, 2 or more")
    scopes = _scopes(roots)
    steps = sorted((step for step in scopes if step.kind in ("llm", "tool")), key=lambda step: step.span.start)
    told = [step for step in steps if _told(step)]
    found = [_loop(same) for same in _repeated(told, scopes, min_repeat)]
    if not found and len(told) < len(steps):
        _doubt(steps, scopes, min_repeat)
    return found


def _repeated(told: list[Step], scopes: dict[Step, Hashable], min_repeat: int) -> list[list[Step]]:
    """The steps that were given the same. What they were given is read only where their names come often enough."""
    names = {step: (scopes[step], step.kind, step.name) for step in told}
    times = Counter(names.values())
    often = [step for step in told if times[names[step]] >= min_repeat]
    talk = any(step.kind == "llm" for step in often)
    turns = Conversations(step.span for step in (scopes if talk else ()))
    groups = _groups(often, lambda step: (names[step], _content(step, turns)))
    return [same for same in groups if len(same) >= min_repeat]


def _loop(steps: list[Step]) -> Loop:
    first = steps[0]
    return Loop(first.kind, first.name, first.args if first.kind == "tool" else None, len(steps), steps)


def _scopes(roots: Iterable[Step]) -> dict[Step, Hashable]:
    """Within what each step counts: the nearest agent or workflow above, else the trace; and the agent it names."""
    around: dict[Step, str] = {}
    for root in roots:
        for step in root.walk():
            above = step.parent if step.parent in around else None
            inside = above is not None and above.kind in ("agent", "workflow")
            around[step] = step.span.trace_id if above is None else above.span.span_id if inside else around[above]
    return {step: (scope, step.span.agent) for step, scope in around.items()}


def _groups(steps: Iterable[Step], key: Callable[[Step], Hashable]) -> list[list[Step]]:
    groups: defaultdict[Hashable, list[Step]] = defaultdict(list)
    for step in steps:
        groups[key(step)].append(step)
    return list(groups.values())


def _told(step: Step) -> bool:
    """Whether what the step was given is recorded."""
    wanted = (semconv.TOOL_CALL_ARGUMENTS,) if step.kind == "tool" else LLM_INPUT
    return any(name in step.attributes for name in wanted)


def _content(step: Step, turns: Conversations) -> Hashable:
    if step.kind == "tool":
        return canonical(step.args)
    turn = turns.turn(step.span)
    return step if turn is None else _place(turn)


def _place(turn: Turn) -> Hashable:
    """The turn that an input's last message is part of, and how far into it: `Conversations` holds each text once."""
    end = turn.known + len(turn.new)
    while turn.before is not None and end <= turn.shared:
        turn = turn.before
    return id(turn), end


def _doubt(steps: list[Step], scopes: dict[Step, Hashable], min_repeat: int) -> None:
    """Raises NotEvaluableError if steps may be the same for all that is recorded of them.

    Calls of a model that took different numbers of tokens were not given the same.
    """
    tools = _groups((s for s in steps if s.kind == "tool"), lambda step: (scopes[step], step.name))
    calls = (s for s in steps if s.kind == "llm" and not _told(s))
    alike = _groups(calls, lambda step: (scopes[step], step.name, step.span.count(semconv.USAGE_INPUT)))
    doubtful = [group for group in tools if not all(map(_told, group))] + alike
    for group in doubtful:
        if len(group) >= min_repeat:
            what = "arguments" if group[0].kind == "tool" else "messages"
            raise NotEvaluableError(
                f"{group[0].label} was called {plural(len(group), 'time')}, perhaps with the same {what}: "
                f"they are not recorded; set {CONTENT_VARIABLE}=span_only"
            )
