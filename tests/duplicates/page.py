"""Writes docs/duplicates.md from what was observed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from duplicates.calls import CALLS, CLAUDE, MODEL
from duplicates.peers import OURS, PEERS, Case, cases
from duplicates.runs import COST, Observed, Run, Span, tokens

Runs = dict[Case, Run]

OUR_SCOPE = "llmtrace_otel"
HEAD = """\
# What else is installed, and what you get

One call has one inference span, whatever other instrumentation is there. The outermost one that knows a call owns its
span: ours around LiteLLM, then another's around an SDK, then ours where the request is sent. Where the span is not ours
it gets what it lacks: the cost, its status, and what else the answer shows. HTTP spans stay, below it.

This page is written by `python scripts/duplicates.py --write`, from real calls to a local provider with each of these
installed next to ours, loaded before and after it. Every call that ours see (`llmtrace_litellm` sees those of LiteLLM)
has its input tokens on one span, and our cost on the same one. Every trace has one root, no span is without its parent,
and OpenTelemetry logs no complaint. `make duplicates` checks it.

The tables show what is below the program's own span, `a > b` where b is within a: **bold** spans state the tokens of
the call; `(ours)` is our span, with its cost; `+ cost` is another's, to which we add ours.
"""
ANY = re.compile(rf"\{{[^}}]*\}}|{MODEL}|{CLAUDE}")
"""What says nothing in a span's name: the model's, and the holes in Logfire's templates."""
CODE = "`{}`".format
COLUMNS = ("alone", *(" and ".join(map(CODE, names)) for names in OURS.values()))


def page(runs: dict[str, Runs | str]) -> str:
    """The page's text. A peer's runs are a reason where it could not be tried."""
    tried = [done for done in runs.values() if isinstance(done, dict)]
    return "\n".join([HEAD, *(section(peer, done) for peer, done in runs.items()), gains(tried)])


def section(peer: str, done: Runs | str) -> str:
    head = f"## {PEERS[peer].title}"
    if isinstance(done, str):
        return f"{head}\n\nNot tried: {done}.\n"
    parts = [head, versions(done[Case(peer)]), table(peer, done)]
    if early := PEERS[peer].ends_early:
        parts.append(f"Without our cost: {', '.join(early)}. Its span ends before the answer has been read.")
    return "\n\n".join(parts) + "\n"


def versions(run: Run) -> str:
    return "With " + ", ".join(f"{name} {number}" for name, number in run.versions.items()) + "."


def table(peer: str, done: Runs) -> str:
    """One row for the calls that give the same."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for call in CALLS:
        rows.setdefault(cells(peer, done, call), []).append(call)
    return markdown(("call", *COLUMNS), [(", ".join(calls), *seen) for seen, calls in rows.items()])


def markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *rows))


def cells(peer: str, done: Runs, call: str) -> tuple[str, ...]:
    return seen_in([Case(peer)], done, call), *(
        seen_in([case for case in cases(peer) if case.ours == ours], done, call) for ours in OURS
    )


def seen_in(same: list[Case], done: Runs, call: str) -> str:
    """The tree that a call left; both, if it matters who was loaded first."""
    trees = {tree(done[case].calls[call].spans): case.order for case in same}
    if len(trees) == 1:
        return next(iter(trees))
    return "; ".join(f"{order}: {text}" for text, order in trees.items())


def gains(tried: list[Runs]) -> str:
    """What spans of others have in our company that they have not alone."""
    found: dict[str, set[str]] = {}
    for done in tried:
        alone = next(run for case, run in done.items() if not case.ours)
        for run in done.values():
            for call, observed in run.calls.items():
                for scope, names in added(alone.calls[call], observed):
                    found.setdefault(scope, set()).update(names)
    rows = [(CODE(scope), ", ".join(map(CODE, sorted(names)))) for scope, names in sorted(found.items())]
    return (
        "## What their spans get\n\n" + markdown(("instrumentation scope", "attributes, where they apply"), rows) + "\n"
    )


def added(alone: Observed, together: Observed) -> Iterable[tuple[str, set[str]]]:
    had = {span["name"]: span["attributes"].keys() for span in alone.spans}
    for span in together.spans:
        if COST in span["attributes"] and span["scope"] != OUR_SCOPE:
            yield span["scope"], span["attributes"].keys() - had.get(span["name"], set())


def tree(spans: list[Span]) -> str:
    """The spans below the program's own, `a > b` where b is in a; everything, where the program's own states tokens."""
    ids = {span["id"] for span in spans}
    tops = [span for span in spans if span["parent"] not in ids]
    if [span["name"] for span in tops] == ["agent"] and tokens(tops[0]) is None:
        tops = [span for span in spans if span["parent"] == tops[0]["id"]]
    return ", ".join(drawn(span, spans) for span in tops) or "no span"


def drawn(span: Span, spans: list[Span]) -> str:
    below = [drawn(child, spans) for child in spans if child["parent"] == span["id"]]
    inside = below[0] if len(below) == 1 else f"({', '.join(below)})"
    return f"{label(span)} > {inside}" if below else label(span)


def label(span: Span) -> str:
    name = ANY.sub("…", span["name"])
    name = f"**{name}**" if tokens(span) is not None else name
    if span["scope"] == OUR_SCOPE:
        return f"{name} (ours)"
    return f"{name} + cost" if COST in span["attributes"] else name
