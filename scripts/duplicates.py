"""Tries every other instrumentation together with ours, and says which calls are not counted once.

    python scripts/duplicates.py              makes the environments, and every call in each
    python scripts/duplicates.py genai        with one of the peers
    python scripts/duplicates.py --write      writes what was seen to docs/duplicates.md

The environments are virtual environments in the user's cache folder, as `matrix.py` makes them. One that cannot be
made is left out, and the page says why. `pytest -m duplicates` runs the same cases in the environments that are there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

from duplicates.environments import make  # noqa: E402 - the tests are not installed
from duplicates.page import Runs, page  # noqa: E402
from duplicates.peers import PEERS, Case, cases  # noqa: E402
from duplicates.runs import Run, problems, run  # noqa: E402
from provider import Provider  # noqa: E402

PAGE = REPOSITORY / "docs" / "duplicates.md"


def tried(peer: str, url: str) -> Runs | str:
    """Every case of a peer, the peer alone first; or why it could not be tried."""
    try:
        python = make(peer)
    except subprocess.CalledProcessError:
        return "it could not be installed"
    runs: Runs = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        waiting = {case: pool.submit(run, python, case, url) for case in (Case(peer), *cases(peer))}
        for case, done in waiting.items():
            runs[case] = done.result()
            report(case, runs[case])
    return runs


def report(case: Case, done: Run) -> None:
    """Prints what is wrong with a case; what a peer does alone is its own affair."""
    found = problems(case, done) if case.ours else []
    print(f"{case}: {len(found)} problems" if found else f"{case}: {len(done.calls)} calls", flush=True)
    for line in found:
        print(f"    {line}")


def wrong(runs: dict[str, Runs | str]) -> bool:
    tried = [item for done in runs.values() if isinstance(done, dict) for item in done.items()]
    return any(problems(case, done) for case, done in tried if case.ours)


def main() -> None:
    parser = argparse.ArgumentParser(description="Tries other instrumentations together with ours.")
    parser.add_argument("peers", nargs="*", help=f"any of {', '.join(PEERS)}; all by default")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}; only with all peers")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.peers if name not in PEERS]
    if unknown:
        parser.error(f"no peer {', '.join(unknown)}; there are {', '.join(PEERS)}")
    if arguments.peers and arguments.write:
        parser.error("--write needs all peers: name none")
    with Provider() as provider:
        runs = {peer: tried(peer, provider.url) for peer in arguments.peers or PEERS}
    if arguments.write:
        PAGE.write_text(page(runs))
    elif not arguments.peers and page(runs) != (PAGE.read_text() if PAGE.exists() else ""):
        print(f"duplicates: {PAGE.name} says otherwise, of other versions perhaps; --write writes it anew")
    if wrong(runs):
        sys.exit("duplicates: some calls are not counted once")


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as failed:
        raise SystemExit(f"duplicates: {failed}") from None
