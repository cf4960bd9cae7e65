"""What tracing adds to a call, under every instrumentation, side by side.

    python benchmarks/overhead.py                        everything: a results' file, and docs/overhead.md from it
    python benchmarks/overhead.py openai plain sync      the rows that have all these words; nothing is written
    python benchmarks/overhead.py litellm --peers llmtrace openinference --rounds 0
    python benchmarks/overhead.py --write 1kB            some rows, but written
    python benchmarks/overhead.py --page                 the page anew, from the newest results
    python benchmarks/overhead.py --budget               what a call of ours may cost; for continuous integration

Besides the words of the rows (`openai`, `stream`, `async`, `on`, `100kB`, `turns`, `concurrent`, `memory`, `other`, …)
there are `startup`, `proxy`, `collector` and `reading`. Environments are made in the user's cache folder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from compare import budget, page, results, startup
from compare.cases import CASES
from compare.environments import FailedError, made
from compare.peers import PEERS, REPOSITORY
from compare.runner import WAY, measure

HERE = Path(__file__).parent
Table = dict[str, dict[str, float]]


def proxies() -> Table:
    """Ours and mitmproxy, in an environment of its own."""
    command = [sys.executable, str(HERE / "proxy.py"), "--json"]
    try:
        command += ["--mitmproxy", str(made("bench-mitmproxy", ["mitmproxy"]).parent.parent)]
    except FailedError as failed:
        print(f"mitmproxy: {failed}", file=sys.stderr)
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    table: Table = json.loads(ran.stdout)
    return table


def collectors() -> Table:
    """Ours and, after `make tools`, the official one: CPU seconds per million spans, by exporter."""
    from install_interop_tools import OTELCOL

    import collector

    chance = random.Random(7)
    bodies = [collector.request(chance) for _ in range(collector.DISTINCT)]
    code = "from llmtrace_otel.cli import main; raise SystemExit(main())"
    engines = [collector.Engine("llmtrace", [sys.executable, "-c", code, "collect"])]
    if OTELCOL.is_installed:
        engines.append(collector.Engine("official", [str(OTELCOL.path)]))
    rows = list(collector.EXPORTERS)
    for _, row, engine in itertools.product(range(3), rows, engines):
        collector.measure(engine, row, bodies, 50_000)
    return {row: {engine.name: statistics.median(engine.figures[row]) for engine in engines} for row in rows}


def reading() -> Table:
    import reading

    return reading.measure(1_000_000, 1)


TABLES: dict[str, tuple[str, Callable[[], Table]]] = {
    "proxy": ("The proxy", proxies),
    "collector": ("The collector, CPU seconds per million spans", collectors),
    "reading": ("Reading a million spans", reading),
}


def run(words: list[str], peers: list[str], rounds: int, way: str, at_once: int) -> results.Results:
    """Measures what the words mean: everything, if there are none."""
    found = results.Results(results.today(), results.machine())
    special = {word for word in words if word in (*TABLES, "startup")}
    cases = [case for case in CASES if case.has(words)] if not special else []
    if cases:
        found.rows, lineups = measure(cases, peers, rounds, way, at_once)
        for line in lineups:
            found.missing |= line.missing
            for peer, versions in line.versions.items():
                found.versions.setdefault(peer, {}).update(versions)
    if not words or "startup" in special:
        found.startup, missing = startup.measure(peers, max(rounds, 1))
        found.missing |= missing
    for name, (heading, made_by) in TABLES.items():
        if not words or name in special:
            found.tables[heading] = made_by()
    return found


def show(found: results.Results) -> None:
    for row in found.rows:
        print(page.table(row))
    for peer, figures in found.startup.items():
        print(peer, figures)
    for heading, table in found.tables.items():
        print(heading, json.dumps(table, indent=1))
    for peer, reason in found.missing.items():
        print(f"{peer} was not measured: {reason}", file=sys.stderr)


def not_the_least(found: results.Results) -> list[str]:
    """Why ours does not add the least, or is not known to."""
    missing = [f"- {peer} was not measured: {reason}" for peer, reason in found.missing.items()]
    return missing + page.lost(found)


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
        "--rounds", type=int, default=5, help="turns that processes take for the times; 0 for counts alone"
    )
    parser.add_argument(
        "--at-once", type=int, default=os.cpu_count() or 1, help="processes whose calls are counted at once"
    )
    parser.add_argument("--write", action="store_true", help="write the results and the page")
    parser.add_argument("--page", action="store_true", help="write the page anew from the newest results")
    parser.add_argument("--budget", action="store_true", help="check what a call of ours costs")
    parser.add_argument("--record", action="store_true", help="with --budget: write it")
    parser.add_argument("--functions", action="store_true", help="count functions, which is quick, also with valgrind")
    parser.add_argument("--least", action="store_true", help="fail if ours is not the least in every row, by count")
    args = parser.parse_args()
    way = "functions" if args.functions else WAY
    if args.budget:
        return check_budget(args.record, way, args.at_once)
    if args.page:
        if (path := results.newest()) is None:
            parser.error(f"there are no results in {results.FOLDER.relative_to(REPOSITORY)}")
        return page.write(results.load(path), path.name)
    unknown = set(args.words) - {*TABLES, "startup"} - set().union(*(case.words for case in CASES))
    if unknown:
        parser.error(f"no row has the words {', '.join(sorted(unknown))}")
    if WAY == "functions":
        print("valgrind is not installed: functions are counted, not instructions", file=sys.stderr)
    found = run(args.words, args.peers, args.rounds, way, args.at_once)
    show(found)
    if args.write or not args.words:
        page.write(found, found.save().name)
    if args.least and (lost := not_the_least(found)):
        raise SystemExit("overhead: ours is not the least\n" + "\n".join(lost))
    return None


if __name__ == "__main__":
    try:
        main()
    except (FailedError, subprocess.CalledProcessError) as failed:
        raise SystemExit(f"overhead: {failed}") from None
