"""What a program pays that makes no call at all: `python -c pass` under each peer, by its own command or script."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from compare.environments import FailedError
from compare.figures import spread
from compare.peers import PEERS
from compare.runner import environment, python_of

MODULES = "import sys; print(len(sys.modules))"


def command(peer: str, python: Path, then: str = "pass") -> list[str]:
    """The program under a peer, which is switched on by a command, or by the script's first lines."""
    program = [str(python), "-c", f"{PEERS[peer].script}\n{then}"]
    starter = PEERS[peer].command
    return [str(python.with_name(starter)), *program] if starter else program


def measure(wanted: Iterable[str], rounds: int) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """CPU milliseconds (median, least, most), resident megabytes and modules imported, by peer; and who failed, why."""
    found: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    peers = [peer for peer in wanted if set(PEERS[peer].packages) != {"litellm"}]
    for peer in peers:
        try:
            found[peer] = {"cpu": [], "modules": _modules(peer)}
        except (FailedError, OSError, subprocess.CalledProcessError) as failed:
            missing[peer] = str(failed)
    for _ in range(rounds):
        for peer, figures in found.items():
            milliseconds, figures["memory"] = _ran(peer)
            figures["cpu"].append(milliseconds)
    print(f"start-up: {len(found)} peers", file=sys.stderr)
    return {peer: {**figures, "cpu": spread(figures["cpu"])} for peer, figures in found.items()}, missing


def _environment(peer: str) -> dict[str, str]:
    kept = environment(peer, "openai", "off")
    del kept["PYTHONPATH"]
    return kept


def _modules(peer: str) -> int:
    wanted = command(peer, python_of(peer, "openai"), MODULES)
    ran = subprocess.run(wanted, check=True, capture_output=True, text=True, env=_environment(peer))
    return int(ran.stdout.split()[-1])


def _ran(peer: str) -> tuple[float, float]:
    """CPU milliseconds of a process and its children, and the most megabytes resident."""
    wanted = command(peer, python_of(peer, "openai"))
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(wanted, env=_environment(peer), stdout=nowhere, stderr=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return 1000 * (usage.ru_utime + usage.ru_stime), usage.ru_maxrss / 1024
