"""A first rule file from a good run: what each trace used and a quarter more, the models and tools it called."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from llmtrace_otel.check.amounts import Unknown
from llmtrace_otel.check.errors import NotEvaluableError
from llmtrace_otel.check.rules.engine import check
from llmtrace_otel.check.rules.groups import groups
from llmtrace_otel.check.rules.judges import USED
from llmtrace_otel.check.rules.load import loads
from llmtrace_otel.check.rules.recorded import MEASURED, PRICED, Recording
from llmtrace_otel.read.outline import named
from llmtrace_otel.read.text import clean, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llmtrace_otel.check.rules.groups import Group
    from llmtrace_otel.check.rules.recorded import Recorded
    from llmtrace_otel.read.lines import Problem

    OnProblem = Callable[[str, Problem], None]

ROOM: Final = 1.25
MAX_LINE: Final = 100
LOOPS: Final = (3, 5, 10, 20, 50, 100)

_HEAD: Final = """\
# Rules of `llmtrace check`, from {traces} in {files}.
# Lower what is too generous; run it with: llmtrace check FILE
version = 1

[defaults]
group = "trace"            # budgets and rules are about each: trace, session, file, or attr:KEY

[budget]                   # what one used at most, and a quarter more
{limits}
[[rule]]
id = "models"
models = {models}
why = "another model costs and answers otherwise"

[[rule]]
id = "tools"
tools = {tools}
why = "it was not called when all was well"

[[rule]]
id = "errors"
errors = {errors}
"""

_LOOPS: Final = """
[[rule]]
id = "loops"
loops = {count}                  # the same step, given the same so often, is one
"""


def first_rules(files: Sequence[str], on_problem: OnProblem) -> str:
    """The text of a rule file that these recordings keep to.

    Raises NotEvaluableError if no call of a model is in them; OSError if one cannot be opened.
    """
    seen = _Seen()
    recording = Recording(files, on_problem, {*MEASURED, *PRICED})
    for group in groups(recording, "trace", keep=False, see=seen.see):
        seen.add(group)
    if not seen.calls:
        raise NotEvaluableError("no LLM call is in it")
    text = _HEAD.format(
        traces=plural(seen.traces, "trace"),
        files=", ".join(clean(file) for file in files),
        limits="".join(_limits(seen)),
        models=_listed(seen.models),
        tools=_listed(seen.tools),
        errors=f'"<={seen.errors}"' if seen.errors else 0,
    )
    return text + _loops(files)


class _Seen:
    """What traces used at most, and of which names."""

    def __init__(self) -> None:
        self.traces = self.calls = self.errors = 0
        self.most: dict[str, float] = {}
        """By name of the limit, in its unit."""
        self.unknown: dict[str, str] = {}
        self.models: set[str] = set()
        self.tools: set[str] = set()

    def see(self, span: Recorded) -> None:
        """Notes the name of a call's model."""
        if span.inference:
            self.models.add(named(span))

    def add(self, group: Group) -> None:
        """Notes what a trace used."""
        measure = group.measure
        self.traces += 1
        self.calls += measure.calls
        self.errors = max(self.errors, measure.errors)
        self.tools |= measure.tools.keys()
        for name, used in USED.items():
            amount = used(measure)
            if isinstance(amount, Unknown):
                self.unknown[name] = amount.why
            else:
                self.most[name] = max(self.most.get(name, 0), amount)


def _limits(seen: _Seen) -> Iterator[str]:
    for name in USED:
        if name in seen.unknown:
            yield f"# {name} is not known: {clean(seen.unknown[name], 300)}\n"
        elif most := seen.most[name]:
            line = f"{name} = {_rounded(name, most)}"
            yield f"# {line}, if no machine of yours is slower\n" if name == "duration" else f"{line}\n"


def _rounded(name: str, most: float) -> str:
    """With room on top, rounded up to two digits: `0.0284` for 0.02271."""
    amount = most * ROOM
    step = 10.0 ** (math.floor(math.log10(amount)) - 1)
    if name == "cost":
        return f"{math.ceil(round(amount / step, 6)) * step:.12f}".rstrip("0").rstrip(".")
    whole = math.ceil(amount) if step < 1 else math.ceil(round(amount / step, 6)) * round(step)
    return f'"{whole}s"' if name == "duration" else f"{whole:_}"


def _listed(names: set[str]) -> str:
    """Globs that match these names alone, as TOML has a list; a line each if they are many."""
    globs = [_quoted(re.sub(r"([*?[])", r"[\1]", name)) for name in sorted(names)]
    line = f"[{', '.join(globs)}]"
    return line if len(line) <= MAX_LINE else "".join(("[\n", *(f"    {glob},\n" for glob in globs), "]"))


def _quoted(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in plain) + '"'


def _loops(files: Sequence[str]) -> str:
    """The rule with the least number that these recordings keep to; a comment if that cannot be told."""
    for count in LOOPS:
        rule = _LOOPS.format(count=count)
        outcome = check(loads(rule, "loops"), files, lambda file, problem: None).outcomes[0]
        if outcome.status == "pass":
            return rule
        if outcome.untold and not outcome.failed:
            return f"\n# Loops cannot be told: {clean(outcome.doubts[0], 300)}\n"
    return ""
