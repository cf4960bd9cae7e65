"""What a test asks of recorded spans: one step, and a selection of steps.

Numbers are plain when they are known and refuse to be compared when they are not. A selection that is empty has a
count, names and no more: a sum over nothing, or an `all` of nothing, would pass for the wrong reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, get_args, overload

from llmtrace_otel.check import pricing
from llmtrace_otel.check.amounts import Unknown, exact_sum, some
from llmtrace_otel.check.errors import NotEvaluableError, RuleError, is_answer
from llmtrace_otel.read.outline import label, named
from llmtrace_otel.read.span import Kind
from llmtrace_otel.read.text import plural
from llmtrace_otel.telemetry import semconv

if TYPE_CHECKING:
    from llmtrace_otel.read.span import Span

__tracebackhide__ = is_answer

CONTENT_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
KINDS: Final[tuple[str, ...]] = get_args(Kind)
MIN_FOR_PERCENTILE: Final = 5
MAX_SHOWN: Final = 4

Pattern = str | Callable[[Any], bool]
"""A glob that the value is matched with, case counting, or a function of the value."""


class Step:
    """One recorded span in its place: an LLM call, a tool, an agent, a process, …"""

    def __init__(self, span: Span, parent: Step | None) -> None:
        self.span = span
        self.kind: Kind = span.kind_of
        """agent, workflow, llm, tool, embed, fetch, process, http or span."""
        self.parent = parent
        self.child_list: list[Step] = []

    def __repr__(self) -> str:
        return f"<{self.label}>"

    @cached_property
    def name(self) -> str:
        """The tool's, agent's or program's name, the model of a call, else the span's name."""
        return named(self.span)

    @property
    def label(self) -> str:
        """Kind and name: `llm gpt-5-mini`."""
        return label(self.span)

    @property
    def model(self) -> str | None:
        return self.span.model

    @property
    def provider(self) -> str | None:
        return self.span.provider

    @property
    def agent(self) -> str | None:
        """The agent that took the step: its own attribute, else the nearest agent above."""
        step: Step | None = self
        while step is not None:
            if step.span.agent is not None:
                return step.span.agent
            step = step.parent
        return None

    @property
    def session(self) -> str | None:
        return self.span.session

    @property
    def error(self) -> str | None:
        """The error's type, None if the step did not fail."""
        return self.span.error

    @property
    def status(self) -> str:
        """unset, ok or error."""
        return self.span.status

    @property
    def attributes(self) -> dict[str, Any]:
        return self.span.attributes

    @property
    def children(self) -> Steps:
        return Steps(self.child_list, f"steps below {self.label}")

    @property
    def duration(self) -> float:
        """Seconds. Raises NotEvaluableError for a span that never ended."""
        if (seconds := self.span.duration) is None:
            raise NotEvaluableError(f"{self.label} has no duration: it never ended, or its times contradict each other")
        return seconds

    @property
    def args(self) -> dict[str, Any]:
        """The arguments of a tool's call. Raises NotEvaluableError if they were not recorded."""
        arguments = _content(self, semconv.TOOL_CALL_ARGUMENTS, "arguments")
        return arguments if isinstance(arguments, dict) else {"": arguments}

    @property
    def result(self) -> Any:
        """What a tool returned. Raises NotEvaluableError if it was not recorded."""
        return _content(self, semconv.TOOL_CALL_RESULT, "result")

    @property
    def input(self) -> Any:
        """The messages that a model was given. Raises NotEvaluableError if they were not recorded."""
        return _content(self, semconv.INPUT_MESSAGES, "input messages")

    @property
    def output(self) -> Any:
        """The messages that a model answered. Raises NotEvaluableError if they were not recorded."""
        return _content(self, semconv.OUTPUT_MESSAGES, "output messages")

    @property
    def cost(self) -> float | Unknown:
        """USD of the calls in it, itself included."""
        return Steps([self], self.label).cost

    @property
    def tokens(self) -> Tokens:
        """Tokens of the calls in it, itself included."""
        return Steps([self], self.label).tokens

    def walk(self) -> Iterator[Step]:
        """Itself and every step below, parents first."""
        stack = [self]
        while stack:
            step = stack.pop()
            yield step
            stack.extend(reversed(step.child_list))


def _content(step: Step, attribute: str, what: str) -> Any:
    """What was said, decoded from the JSON that it is recorded as; text that is no JSON as it is."""
    held = step.attributes.get(attribute)
    if held is None:
        raise NotEvaluableError(f"the {what} of {step.label} are not recorded; set {CONTENT_VARIABLE}=span_only")
    try:
        return json.loads(held) if isinstance(held, str) else held
    except (ValueError, RecursionError):
        return held


class Steps:
    """A selection of steps, in order of their starts. `what` names it in messages: `llm calls`."""

    def __init__(self, steps: Sequence[Step], what: str) -> None:
        self._steps = steps
        self._what = what

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> Steps: ...
    def __getitem__(self, index: int | slice) -> Step | Steps:
        if isinstance(index, slice):
            return Steps(self._steps[index], self._what)
        self._some("step")
        return self._steps[index]

    def __contains__(self, name: object) -> bool:
        """Whether a step is in it, or one whose name matches a glob: `"delete_*" in llmtrace.tools`."""
        if isinstance(name, str):
            return any(fnmatchcase(step.name, name) for step in self._steps)
        return any(step is name for step in self._steps)

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:MAX_SHOWN]) + (", …" if len(self) > MAX_SHOWN else "")
        return f"<{len(self)} {self._what}: {shown}>" if self._steps else f"<no {self._what}>"

    @property
    def count(self) -> int:
        return len(self._steps)

    @property
    def names(self) -> list[str]:
        """The steps' names, in order."""
        return [step.name for step in self._steps]

    @property
    def models(self) -> list[str]:
        """The models that were asked, each once, in order."""
        return list(dict.fromkeys(step.model for step in self._steps if step.model))

    @property
    def first(self) -> Step:
        return self[0]

    @property
    def last(self) -> Step:
        return self[-1]

    def one(self, name: str = "*") -> Step:
        """The only step whose name matches a glob. Raises NotEvaluableError if there is none, or more than one."""
        found = [step for step in self._steps if fnmatchcase(step.name, name)]
        if len(found) != 1:
            raise NotEvaluableError(f"{name!r} matches {len(found)} of the {self._what}: {some(self.names) or 'none'}")
        return found[0]

    def where(
        self,
        test: Callable[[Step], bool] | None = None,
        *,
        kind: str | None = None,
        name: Pattern | None = None,
        model: Pattern | None = None,
        provider: Pattern | None = None,
        agent: Pattern | None = None,
        session: Pattern | None = None,
        error: Pattern | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Steps:
        """The steps that meet all conditions: globs, functions of the value, for attributes also values.

        `error="*"` selects those that failed. The result may be empty; sums over it raise then. Raises RuleError for a
        kind that no step can be of.
        """
        _check_kind(kind)
        wanted = {"kind": kind, "name": name, "model": model, "provider": provider}
        wanted |= {"agent": agent, "session": session, "error": error}
        conditions = {key: pattern for key, pattern in wanted.items() if pattern is not None}
        chosen = [
            step
            for step in self._steps
            if all(matches(pattern, getattr(step, key)) for key, pattern in conditions.items())
            and all(matches(pattern, step.attributes.get(key)) for key, pattern in (attributes or {}).items())
            and (test is None or test(step))
        ]
        told = [f"{key} {pattern}" for key, pattern in (conditions | dict(attributes or {})).items()]
        return Steps(chosen, " ".join([self._what, *(["of"] if told else []), ", ".join(told)]).strip())

    def any(self, test: Callable[[Step], bool]) -> bool:
        """Whether the test holds for a step. Raises NotEvaluableError if there are no steps."""
        return any(test(step) for step in self._some("any()"))

    def all(self, test: Callable[[Step], bool]) -> bool:
        """Whether the test holds for every step. Raises NotEvaluableError if there are no steps."""
        return all(test(step) for step in self._some("all()"))

    @cached_property
    def calls(self) -> list[Step]:
        """The inference calls among the steps and below them, each once: those that have tokens and a cost."""
        found = {id(inner): inner for step in self._steps for inner in step.walk() if inner.span.inference}
        return list(found.values())

    @property
    def cost(self) -> float | Unknown:
        """USD of the calls among the steps and below them; what a replayed call would have cost counts."""
        costs = [(call, pricing.charged(call.span)) for call in self._calls("cost")]
        known = exact_sum(usd for _, usd in costs if usd is not None)
        unpriced = [call.model or call.name for call, usd in costs if usd is None]
        if not unpriced:
            return known
        why = f"the cost of {len(unpriced)} of {plural(len(costs), 'call')} is unknown: no price, or no token counts, "
        return Unknown(why + f"for {some(unpriced)}; price it in LLMTRACE_PRICES, or assert on .tokens", known)

    @property
    def tokens(self) -> Tokens:
        """Tokens of the calls among the steps and below them."""
        return Tokens(self._calls("tokens"))

    @property
    def cached_ratio(self) -> float:
        """The share of the input tokens that was read from a provider's cache, 0 to 1."""
        tokens = self.tokens
        return tokens.cache_read / tokens.input if tokens.input else 0.0

    @property
    def duration(self) -> Durations:
        """Seconds that the steps took."""
        return Durations([step.duration for step in self._some("duration")], self._what)

    def _some(self, wanted: str) -> Sequence[Step]:
        if not self._steps:
            raise NotEvaluableError(f"there are no {self._what}, so they have no {wanted}")
        return self._steps

    def _calls(self, wanted: str) -> list[Step]:
        self._some(wanted)
        if not self.calls:
            raise NotEvaluableError(f"no LLM call is among the {self._what} or below, so there is no {wanted}")
        return self.calls


def _check_kind(kind: str | None) -> None:
    if isinstance(kind, str) and not any(fnmatchcase(known, kind) for known in KINDS):
        near = get_close_matches(kind, KINDS, 1)
        raise RuleError(f"there is no kind {kind!r}; " + (f"did you mean {near[0]}?" if near else ", ".join(KINDS)))


def matches(pattern: Any, value: Any) -> bool:
    """Whether a value is what a glob, a function or another value asks for. An absent value matches a function only."""
    if callable(pattern):
        return bool(pattern(value))
    if isinstance(pattern, str) and isinstance(value, str):
        return fnmatchcase(value, pattern)
    return value is not None and bool(value == pattern)


class Tokens:
    """Sums of tokens. `input` includes cached ones, `output` reasoning ones. Each is an int, or Unknown."""

    def __init__(self, calls: Sequence[Step]) -> None:
        self._calls = calls

    def __repr__(self) -> str:
        return f"<tokens: {self.input!r} input, {self.output!r} output>"

    @property
    def input(self) -> int | Unknown:
        return self._sum("input")

    @property
    def output(self) -> int | Unknown:
        return self._sum("output")

    @property
    def cache_read(self) -> int | Unknown:
        return self._sum("cache_read", required=False)

    @property
    def cache_write(self) -> int | Unknown:
        return self._sum("cache_write", required=False)

    @property
    def reasoning(self) -> int | Unknown:
        return self._sum("reasoning", required=False)

    @property
    def total(self) -> int | Unknown:
        """Input and output."""
        into, out = self.input, self.output
        if isinstance(into, Unknown):
            return into
        return out if isinstance(out, Unknown) else into + out

    def _sum(self, count: str, *, required: bool = True) -> int | Unknown:
        """A detail that a provider leaves out is none; what a call must have and does not is unknown."""
        counts = [(call, getattr(call.span.usage, count)) for call in self._calls]
        known: int = sum(number for _, number in counts if number is not None)
        lacking = [
            call.model or call.name for call, number in counts if number is None and required and _tells(call, count)
        ]
        if not lacking:
            return known
        told = f"{count} tokens of {len(lacking)} of {plural(len(counts), 'call')} are not known: {some(lacking)}"
        return Unknown(f"the {told}; was the stream cut, or asked without usage (`include_usage`)?", known)


def _tells(call: Step, count: str) -> bool:
    """Whether a call has to tell a count: an embedding puts nothing out, one that failed without usage used nothing."""
    if count == "output" and call.kind == "embed":
        return False
    return call.error is None or call.span.usage.input is not None


class Durations:
    """Seconds that steps took."""

    def __init__(self, seconds: Sequence[float], what: str) -> None:
        self._seconds = sorted(seconds)
        self._what = what

    def __repr__(self) -> str:
        return f"<{self.sum:.3g} s in {len(self._seconds)} {self._what}>"

    @property
    def sum(self) -> float:
        return sum(self._seconds)

    @property
    def max(self) -> float:
        return self._seconds[-1]

    @property
    def p50(self) -> float:
        return self.percentile(50)

    @property
    def p95(self) -> float:
        return self.percentile(95)

    def percentile(self, percent: float) -> float:
        """The smallest duration that so many percent do not exceed. Raises NotEvaluableError for fewer than 5."""
        count = len(self._seconds)
        if count < MIN_FOR_PERCENTILE:
            raise NotEvaluableError(
                f"{count} {self._what} are too few for a percentile; use .max, or {MIN_FOR_PERCENTILE}"
            )
        return self._seconds[max(0, -(-count * percent // 100).__trunc__() - 1)]
