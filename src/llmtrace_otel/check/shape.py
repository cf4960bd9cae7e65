"""Steps as text that is the same on every run that did the same: for snapshot tools, which compare texts.

    agent planner
      llm gpt-5-mini
      ||
        tool search {"q": "cats"}
        tool weather {"day": "<date>"}
      llm gpt-5-mini {error = RateLimitError}

What a run cannot repeat is left out: ids, times, durations, resources. Siblings stand in order of their starts; those
whose times overlap stand below `||`, in order of their text, since which is first is chance. Without arguments the text
is an expected tree (`check/trees/expected.py`) that the same steps match; `*` stands for ids and such in a name.
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from glob import escape
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from llmtrace_otel.check.arguments import canonical
from llmtrace_otel.check.errors import RuleError, is_answer
from llmtrace_otel.read.text import clean
from llmtrace_otel.telemetry import semconv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llmtrace_otel.check.steps import Step

__tracebackhide__ = is_answer

Tokens = Literal["drop", "bucket", "exact"]
Models = Literal["exact", "family"]
Args = Literal["drop", "keep"]

VOLATILE: Final = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?(?![\w-])"), "<date>"),
    (re.compile(r"(?:/private)?/(?:tmp|var/tmp|var/folders)/[^\s\"'`,;)\]}]+"), "<tmp>"),
    (re.compile(r"[A-Za-z]:[\\/][^\s\"']*?[\\/]Te?mp[\\/][^\s\"']+", re.IGNORECASE), "<tmp>"),
    (re.compile(r"(?<=localhost:)\d+|(?<=127\.0\.0\.1:)\d+|(?<=0\.0\.0\.0:)\d+|(?<=\[::1\]:)\d+"), "<port>"),
    (re.compile(r"\b0x[0-9a-fA-F]{6,}\b|\b(?=[a-fA-F]*\d)[0-9a-fA-F]{16,}\b"), "<hex>"),
)
_VERSION = re.compile(
    r"(?:[-@:](?:\d{4}-\d\d-\d\d|\d\d-\d{4}|\d\d-\d\d|\d{8}|\d{6}|\d{4}|0\d\d|latest|preview|v\d+(?::\d+)?))+$"
)
_NEEDS_QUOTES = re.compile(r"^$|^\s|\s$|[\"{]|(?:^|\s)#|(?:^|\s)x[\d*.]\S*$")
_BARE = re.compile(r"[\w.:/-]+", re.ASCII)
GAP: Final = "\0"  # in no name


class _Options(NamedTuple):
    tokens: str
    models: str
    args: str


def shape(roots: Sequence[Step], *, tokens: Tokens = "drop", models: Models = "exact", args: Args = "keep") -> str:
    """The steps as text, a line for each.

    Args:
        roots: The steps without one above.
        tokens: drop them, tell each count `exact`, or as a `bucket`: the next of 1, 2, 5, 10, 20, … above it.
        models: `family` leaves out a model's version: `gpt-5-mini` for `gpt-5-mini-2026-01-31`.
        args: keep a tool's arguments, if they were recorded, as JSON in which `<uuid>`, `<date>`, `<tmp>`, `<port>`
            and `<hex>` stand for what changes with every run; or drop them.

    Raises RuleError for another option.
    """
    options = _Options(tokens, models, args)
    for name, allowed in (("tokens", Tokens), ("models", Models), ("args", Args)):
        _check(name, getattr(options, name), get_args(allowed))
    below: dict[Step, list[list[Step]]] = {}
    heads: dict[Step, str] = {}
    every = [step for root in roots for step in root.walk()]
    for step in reversed(every):
        heads[step] = _head(step, options)
        below[step] = _arranged(step.child_list, heads, below)
    return "\n".join(_lines(_arranged(roots, heads, below), heads, below))


def _check(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        near = get_close_matches(str(value), allowed, 1)
        raise RuleError(f"{name}={value!r}: " + (f"did you mean {near[0]!r}?" if near else f"one of {allowed}"))


def _arranged(steps: Sequence[Step], heads: dict[Step, str], below: dict[Step, list[list[Step]]]) -> list[list[Step]]:
    """Siblings in groups of those that overlap in time."""
    groups: list[list[Step]] = []
    end = -1
    for step in sorted(steps, key=lambda step: step.span.start):
        start = step.span.start
        if groups and (start < end or start == groups[-1][-1].span.start):
            groups[-1].append(step)
        else:
            groups.append([step])
        end = max(end, start, step.span.end)
    for group in groups:
        if len(group) > 1:
            group.sort(key=lambda step: list(_lines([[step]], heads, below)))
    return groups


def _lines(groups: list[list[Step]], heads: dict[Step, str], below: dict[Step, list[list[Step]]]) -> Iterator[str]:
    """Groups of siblings and all below them, indented."""
    stack = _stacked(groups, 0)
    while stack:
        depth, step = stack.pop()
        if step is None:
            yield "  " * depth + "||"
        else:
            yield "  " * depth + heads[step]
            stack += _stacked(below[step], depth + 1)


def _stacked(groups: list[list[Step]], depth: int) -> list[tuple[int, Step | None]]:
    """Groups, the last first; None is a line `||`."""
    found: list[tuple[int, Step | None]] = []
    for group in groups:
        side_by_side = len(group) > 1
        found += [(depth, None)] * side_by_side
        found += [(depth + side_by_side, step) for step in group]
    return found[::-1]


def _head(step: Step, options: _Options) -> str:
    parts = [step.kind, _name(step, options.models), *_args(step, options.args)]
    if conditions := [*_tokens(step, options.tokens), *_error(step)]:
        parts.append(f"{{{', '.join(conditions)}}}")
    return " ".join(parts)


def _name(step: Step, models: str) -> str:
    """A name as an expected tree has it. A model's may have a date, which is no chance."""
    name = step.name
    if step.kind not in ("llm", "embed", "fetch"):
        name = _without_volatile(name, lambda _: GAP)
    elif models == "family":
        name = _VERSION.sub("", name)
    glob = escape(name).replace(GAP, "*")
    return json.dumps(glob, ensure_ascii=False) if _NEEDS_QUOTES.search(glob) else glob


def _without_volatile(text: str, instead: Callable[[str], str]) -> str:
    for pattern, placeholder in VOLATILE:
        text = pattern.sub(instead(placeholder), text)
    return text


def _args(step: Step, keep: str) -> list[str]:
    if keep == "drop" or semconv.TOOL_CALL_ARGUMENTS not in step.attributes:
        return []
    text = _without_volatile(canonical(step.args), str)
    return [clean(text, len(text))]


def _tokens(step: Step, how: str) -> list[str]:
    """Conditions on the tokens that a call told."""
    if how == "drop" or not step.span.inference:
        return []
    usage = step.span.usage
    told = [(name, count) for name, count in (("input", usage.input), ("output", usage.output)) if count is not None]
    if how == "exact":
        return [f"tokens.{name} = {count}" for name, count in told]
    return [f"tokens.{name} < {_above(count)}" for name, count in told]


def _above(count: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50, … that is more."""
    power: int = 10 ** (len(str(count)) - 1)
    return next(bound for bound in (power, 2 * power, 5 * power, 10 * power) if bound > count)


def _error(step: Step) -> list[str]:
    error = step.error
    return [f"error = {error if _BARE.fullmatch(error) else json.dumps(error)}"] if error else []
