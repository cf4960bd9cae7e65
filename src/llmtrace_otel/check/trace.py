"""Everything that a test, a command or a file recorded: the object that assertions are made on.

    assert llmtrace.llm.count <= 4
    assert llmtrace.tools.names == ["search", "answer"]
    llmtrace.assert_tree("agent planner\\n  llm gpt-5*\\n  ...")

It reads its source again whenever that has grown, so that a test may act, ask, act and ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmtrace_otel.check.errors import NotEvaluableError, is_answer
from llmtrace_otel.check.steps import Step, Steps
from llmtrace_otel.read.text import plural
from llmtrace_otel.read.tree import group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmtrace_otel.check.amounts import Unknown
    from llmtrace_otel.check.loops import Loop
    from llmtrace_otel.check.steps import Tokens
    from llmtrace_otel.check.tools import Mode
    from llmtrace_otel.read.span import Span

__tracebackhide__ = is_answer


class Trace:
    """Recorded spans as steps. Every question raises NotEvaluableError, which says why, when there are no spans.

    Args:
        source: Gives the spans recorded so far; the same list object as long as there are no more.
        why_empty: Says why there may be none, and what to do.
    """

    def __init__(self, source: Callable[[], Sequence[Span]], why_empty: Callable[[], str]) -> None:
        self._source = source
        self._why_empty = why_empty
        self._read: Sequence[Span] | None = None
        self._count = -1
        self._roots: list[Step] = []
        self._steps: list[Step] = []

    def __repr__(self) -> str:
        self._refresh()
        return f"<trace of {plural(len(self._steps), 'span')}>" if self._steps else "<empty trace>"

    @property
    def empty(self) -> bool:
        """Whether nothing was recorded at all: `assert llmtrace.empty` is how to say that nothing was asked."""
        self._refresh()
        return not self._steps

    @property
    def roots(self) -> list[Step]:
        """The steps that have none above them, in order of their starts."""
        self._some()
        return self._roots

    @property
    def spans(self) -> Steps:
        """Every step."""
        return Steps(self._some(), "spans")

    @property
    def llm(self) -> Steps:
        return self._of("llm calls", "llm")

    @property
    def embeddings(self) -> Steps:
        return self._of("embeddings", "embed")

    @property
    def tools(self) -> Steps:
        return self._of("tools", "tool")

    @property
    def agents(self) -> Steps:
        return self._of("agents", "agent", "workflow")

    @property
    def http(self) -> Steps:
        return self._of("http requests", "http")

    @property
    def processes(self) -> Steps:
        return self._of("processes", "process")

    @property
    def errors(self) -> Steps:
        """The steps that failed, without those that only pass on the failure of a step below."""
        failed = [step for step in self._some() if step.error and not any(below.error for below in step.child_list)]
        return Steps(failed, "errors")

    @property
    def sessions(self) -> list[str]:
        return list(dict.fromkeys(step.session for step in self._some() if step.session))

    @property
    def cost(self) -> float | Unknown:
        """USD of all calls."""
        return self.spans.cost

    @property
    def tokens(self) -> Tokens:
        """Tokens of all calls."""
        return self.spans.tokens

    @property
    def duration(self) -> float:
        """Seconds from the first start to the last end."""
        starts = [step.span.start for step in self._some() if step.span.start]
        return (max(step.span.end for step in self._steps) - min(starts)) / 1e9 if starts else 0.0

    def where(self, *args: object, **conditions: object) -> Steps:
        """The steps that meet all conditions; see `Steps.where`."""
        __tracebackhide__ = True  # so that a condition that there is not is shown where it is asked for
        return self.spans.where(*args, **conditions)  # type: ignore[arg-type]

    def loops(self, min_repeat: int = 3) -> list[Loop]:
        """The same step taken again and again: see `check.loops`."""
        from llmtrace_otel.check.loops import loops

        return loops(self.roots, min_repeat)

    def assert_tools(self, *expected: str, mode: Mode = "exact", include_failed: bool = False) -> None:
        """Fails unless the tools that were called are those expected: see `check.tools`."""
        from llmtrace_otel.check.tools import difference

        if found := difference(expected, self.tools, mode, include_failed=include_failed):
            raise AssertionError(found)

    def assert_tree(self, expected: str) -> None:
        """Fails unless the steps have the expected shape: see `check.trees`."""
        from llmtrace_otel.check.trees.expected import difference, parse_tree

        if found := difference(parse_tree(expected), self.roots):
            raise AssertionError(found)

    def shape(self, **options: str) -> str:
        """The steps as text that is the same on every run: see `check.shape`."""
        __tracebackhide__ = True
        from llmtrace_otel.check.shape import shape

        return shape(self.roots, **options)  # type: ignore[arg-type]

    def _of(self, what: str, *kinds: str) -> Steps:
        return Steps([step for step in self._some() if step.kind in kinds], what)

    def _some(self) -> list[Step]:
        self._refresh()
        if not self._steps:
            raise NotEvaluableError(f"no spans were recorded: {self._why_empty()}")
        return self._steps

    def _refresh(self) -> None:
        spans = self._source()
        if spans is self._read and len(spans) == self._count:
            return
        self._read, self._count = spans, len(spans)
        self._roots, self._steps = forest(spans)


def forest(spans: Sequence[Span]) -> tuple[list[Step], list[Step]]:
    """The steps of spans, linked: the roots, and all of them, in order of their starts."""
    roots: list[Step] = []
    steps: list[Step] = []
    for trace in group(spans):
        above: list[Step] = []
        for depth, node in trace.walk():
            del above[depth:]
            step = Step(node.span, above[-1] if above else None)
            (above[-1].child_list if above else roots).append(step)
            above.append(step)
            steps.append(step)
    return roots, sorted(steps, key=lambda step: step.span.start)
