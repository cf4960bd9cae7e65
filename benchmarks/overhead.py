"""What tracing adds to a call, under every instrumentation, side by side.

    python benchmarks/overhead.py                        everything: a results' file, and docs/overhead.md from it
    python benchmarks/overhead.py openai plain sync      the rows that have all these words; nothing is written
    python benchmarks/overhead.py litellm --peers llmtrace openinference --rounds 0
    python benchmarks/overhead.py --write 1kB            some rows, put into the results of today, and the page
    python benchmarks/overhead.py --write startup proxy  some of what is no row of calls
    python benchmarks/overhead.py --resume               everything that the results of today do not have yet
    python benchmarks/overhead.py --times openai         the times alone, of rows that the results of today have
    python benchmarks/overhead.py --page                 the page anew, from the newest results
    python benchmarks/overhead.py --budget               what a call of ours may cost; for continuous integration

Besides the words of the rows (`openai`, `stream`, `async`, `on`, `100kB`, `turns`, `concurrent`, `memory`, `other`, …)
there are `startup`, `proxy`, `collector` and `reading`. Environments are made in the user's cache folder. What is
measured is written as it is found, part by part: a run that is broken off loses only the part that it was at, and can
be taken up with `--resume`; a part that fails is listed with the reason. Instructions are counted where the kernel can,
else functions; with `--instructions` valgrind counts them where the kernel cannot, which takes hours.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from compare import budget, page, results, startup, tables
from compare.cases import CASES, Case
from compare.environments import FailedError, made
from compare.peers import NONE, OURS, PEERS, REPOSITORY, home, recipe, supports
from compare.results import STARTUP, TIMES, Results, Run, Table
from compare.runner import KERNEL, WAY, measure, python_of
from compare.runner import Found as Figures

HERE = Path(__file__).parent
Found = tuple[Results, dict[str, str]]
"""What was measured, and who could not be, and why."""


class Step(NamedTuple):
    """What is measured in one go: the parts of the results that it makes, and how."""

    title: str
    parts: list[str]
    measure: Callable[[], Found]


def proxies(_: int) -> tuple[Table, dict[str, str]]:
    """Ours and mitmproxy, in an environment of its own."""
    missing = {}
    with tempfile.NamedTemporaryFile("r") as told:
        command = [sys.executable, str(HERE / "proxy.py"), "--json", told.name]
        try:
            command += ["--mitmproxy", str(made("bench-mitmproxy", ["mitmproxy"]).parent.parent)]
        except FailedError as failed:
            missing["mitmproxy"] = str(failed)
        subprocess.run(command, check=True, stdout=sys.stderr)
        table: Table = json.load(told)
    return table, missing


def collectors(rounds: int) -> tuple[Table, dict[str, str]]:
    """Ours and, after `make tools`, the official one."""
    from install_interop_tools import OTELCOL

    import collector

    chance = random.Random(7)
    bodies = [collector.request(chance) for _ in range(collector.DISTINCT)]
    code = "from llmtrace_otel.cli import main; raise SystemExit(main())"
    engines, missing = [collector.Engine("llmtrace", [sys.executable, "-c", code, "collect"])], {}
    if OTELCOL.is_installed:
        engines.append(collector.Engine("official", [str(OTELCOL.path)]))
    else:
        missing["the official collector"] = "it is not installed; `make tools` builds it"
    rows = ["file", "file-grpc", "forward", "forward-grpc", "spool"]
    for _, row, engine in itertools.product(range(min(rounds, 3)), rows, engines):
        collector.measure(engine, row, bodies, 50_000)
    return collector.table(engines, rows), missing


def reading(rounds: int) -> tuple[Table, dict[str, str]]:
    import reading

    missing = {} if "jq" in reading.commands(Path()) else {"jq": "it is not installed"}
    return reading.measure(1_000_000, min(rounds, 3)), missing


TABLES: dict[str, Callable[[int], tuple[Table, dict[str, str]]]] = {
    "proxy": proxies,
    "collector": collectors,
    "reading": reading,
}


def steps(
    words: list[str], peers: list[str], rounds: int, way: str, at_once: int, known: Figures | None = None
) -> Iterator[Step]:
    """What the words mean: everything, if there are none. Rows that share their processes are one step.

    With `known` counts, only the times of their rows.
    """
    special = {word for word in words if word in (STARTUP, *TABLES)}
    calls = [word for word in words if word not in special]
    cases = [case for case in CASES if case.has(calls)] if calls or not words else []
    if known is not None:
        cases, special = [case for case in cases if case in known and case.shape != "memory"], set()
    wants_startup, turns = (not words and known is None) or STARTUP in special, max(rounds, 1)
    unmade = environments([*(case.sdk for case in cases), *(["openai"] if wants_startup else [])], peers, at_once)
    for sdk, content in dict.fromkeys((case.sdk, case.content) for case in cases):
        group = [case for case in cases if (case.sdk, case.content) == (sdk, content)]
        measured = partial(measured_calls, group, peers, rounds, way, at_once, unmade[home(sdk)], known)
        parts = [str(case) if known is None else f"{TIMES}{case}" for case in group]
        yield Step(page.label(parts[0]), parts, measured)
    if wants_startup:
        yield Step(STARTUP, [STARTUP], partial(measured_startup, peers, min(turns, 5), unmade[home("openai")]))
    for name in TABLES:
        if (not words and known is None) or name in special:
            yield Step(name, [name], partial(measured_table, name, turns))


def environments(sdks: list[str], peers: list[str], at_once: int) -> dict[str, dict[str, str]]:
    """Makes them all, if they are not there; those that could not be made, and why."""
    unmade: dict[str, dict[str, str]] = {home(sdk): {} for sdk in sdks}
    begun = time.monotonic()
    sharing: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for sdk, peer in itertools.product(dict.fromkeys(sdks), dict.fromkeys([NONE, *peers])):
        if supports(peer, sdk):
            sharing.setdefault((home(sdk), *recipe(peer, sdk)), []).append((peer, sdk))

    def make(users: list[tuple[str, str]]) -> None:
        try:
            python_of(*users[0])
        except FailedError as failed:
            for peer, sdk in users:
                unmade[home(sdk)][peer] = str(failed)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(make, sharing.values()))
    if sharing:
        say(f"environments: {len(sharing)}, {time.monotonic() - begun:.0f} s")
    return unmade


def measured_calls(
    cases: list[Case],
    peers: list[str],
    rounds: int,
    way: str,
    at_once: int,
    unmade: dict[str, str],
    known: Figures | None,
) -> Found:
    wanted = [peer for peer in peers if peer not in unmade]
    rows, lineups = measure(cases, wanted, rounds, way, at_once, known)
    missing = {peer: reason for peer, reason in unmade.items() if supports(peer, cases[0].sdk)}
    found = Results(rows=rows)
    for line in lineups:
        missing |= line.missing
        found.versions[home(line.sdk)] = line.versions
    return found, missing


def measured_startup(peers: list[str], rounds: int, unmade: dict[str, str]) -> Found:
    found, missing = startup.measure([peer for peer in peers if peer not in unmade], rounds)
    return Results(startup=found), unmade | missing


def measured_table(name: str, rounds: int) -> Found:
    table, missing = TABLES[name](rounds)
    return Results(tables={name: table}), missing


def taken(step: Step, commit: str) -> Results:
    """What a step found; if it failed, that it did, and why."""
    command = shlex.join(["python", "benchmarks/overhead.py", *sys.argv[1:]])
    started, failed, found, missing = time.monotonic(), "", Results(), dict[str, str]()
    try:
        found, missing = step.measure()
    except (Exception, SystemExit) as error:  # whatever it is, the other steps' figures are worth having
        traceback.print_exc()
        failed = str(error) or type(error).__name__
    run = Run(command, commit, round(time.monotonic() - started, 1), missing, failed)
    found.runs = dict.fromkeys(step.parts, run)
    return found


def run(todo: list[Step], kept: Results | None) -> Results:
    """Measures step by step, and writes each to the results that are kept; says on standard error what it does."""
    everything = Results()
    commit, begun = results.commit(), time.monotonic()
    for number, step in enumerate(todo, 1):
        of = f" ({len(step.parts)} rows)" if len(step.parts) > 1 else ""
        say(f"[{number}/{len(todo)}] {step.title}{of}")
        found = taken(step, commit)
        took = found.runs[step.parts[0]]
        say(f"[{number}/{len(todo)}] {step.title}: {took.failed or 'done'}, {took.seconds:.0f} s")
        everything.take(found)
        if kept is not None:
            kept.take(found)
            kept.save()
    say(f"all of it: {(time.monotonic() - begun) / 60:.1f} minutes")
    return everything


def unfinished(todo: list[Step], kept: Results) -> list[Step]:
    """The steps that have a part which was not measured yet, or failed."""
    done = {part for part, took in kept.runs.items() if not took.failed}
    return [step for step in todo if not done.issuperset(step.parts)]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(found: Results) -> None:
    for row in found.rows:
        print(page.table(row))
    if found.startup:
        print(f"\n## Start-up\n\n{tables.startup_table(found.startup)}")
    for name, table in found.tables.items():
        print(f"\n## {tables.TABLES[name].heading}\n\n{tables.figures_table(name, table)}")
    for line in page.missing(found):
        say(line)


def not_the_least(found: Results) -> list[str]:
    """Why ours does not add the least of those that tell as much, or is not known to."""
    beaten = [
        f"- {row.case}: {ranking[0]} adds less"
        for row in found.rows
        if (ranking := row.ranking()) and ranking[0] != OURS
    ]
    return [*page.missing(found), *beaten]


def check_budget(record: bool, way: str, at_once: int) -> None:
    if record:
        budget.record(at_once)
    elif wrong := budget.check(way, at_once):
        raise SystemExit("overhead: over budget\n" + "\n".join(map(str, wrong)))


def main() -> None:
    parser = argparse.ArgumentParser(description="What tracing adds to a call, under every instrumentation.")
    parser.add_argument("words", nargs="*", help="of the rows that are wanted; none for everything")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS), metavar="PEER")
    parser.add_argument(
        "--rounds", type=int, default=20, help="turns that processes take for the times; 0 for counts alone"
    )
    parser.add_argument(
        "--at-once", type=int, default=os.cpu_count() or 1, help="processes that start, and count, at once"
    )
    parser.add_argument("--write", action="store_true", help="put it into the results of today and write the page")
    parser.add_argument("--resume", action="store_true", help="as --write, of what the results of today do not have")
    parser.add_argument("--times", action="store_true", help="as --write, the times of what the results of today have")
    parser.add_argument("--page", action="store_true", help="write the page anew from the newest results")
    parser.add_argument("--budget", action="store_true", help="check what a call of ours costs")
    parser.add_argument("--record", action="store_true", help="with --budget: write it")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--functions", action="store_const", const="functions", dest="way", help="count functions")
    ways.add_argument(
        "--instructions", action="store_const", const="instructions", dest="way", help="count them, if by valgrind"
    )
    parser.add_argument("--least", action="store_true", help="fail if ours is not the least in every row, by count")
    args = parser.parse_args()
    way = args.way or WAY
    if way == "instructions" and not KERNEL and not shutil.which("valgrind"):
        parser.error("neither the kernel nor valgrind, which is not installed, can count instructions here")
    if args.budget:
        return check_budget(args.record, way, args.at_once)
    if args.page:
        if (path := results.newest()) is None:
            parser.error(f"there are no results in {results.FOLDER.relative_to(REPOSITORY)}")
        return page.write(results.load(path), path.name)
    unknown = set(args.words) - {*TABLES, STARTUP} - set().union(*(case.words for case in CASES))
    if unknown:
        parser.error(f"no row has the words {', '.join(sorted(unknown))}")
    kept = results.begun() if args.write or args.resume or args.times or not args.words else None
    known = {row.case: row.figures for row in kept.rows} if kept is not None and args.times else None
    if not (todo := list(steps(args.words, args.peers, args.rounds, way, args.at_once, known))):
        parser.error("no row has all of these words" + (", of those that were counted today" if args.times else ""))
    if args.way is None and not KERNEL:
        say("the kernel counts no instructions here: functions called are counted")
    if kept is not None and args.resume:
        todo = unfinished(todo, kept)
    found = run(todo, kept)
    show(found)
    if kept is not None:
        page.write(kept, kept.path.name)
    failed = {part: took.failed for part, took in found.runs.items() if took.failed}
    if args.least and (lost := not_the_least(found)):
        raise SystemExit("overhead: ours is not the least\n" + "\n".join(lost))
    if failed:
        raise SystemExit("overhead: " + "; ".join(f"{part} failed: {reason}" for part, reason in failed.items()))
    return None


if __name__ == "__main__":
    try:
        main()
    except (FailedError, subprocess.CalledProcessError) as failed:
        raise SystemExit(f"overhead: {failed}") from None
