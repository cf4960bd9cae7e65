"""What a program pays that makes no call at all: `python -c pass` under each peer, by its own command or script."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from compare.environments import FailedError
from compare.peers import BARE, NONE, PEERS
from compare.runner import environment, python_of

LOOK = """
import sys
modules = len(sys.modules)
try:
    memory = next(int(line.split()[1]) * 1024 / 1e6 for line in open("/proc/self/status") if line.startswith("VmHWM"))
except OSError:
    import resource
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f'[{modules}, {memory}]')
"""
"""Memory is the process's own, from /proc: what `wait4` tells is also what its parent had when it was forked."""


def command(peer: str, python: Path, then: str = "pass") -> list[str]:
    """The program under a peer, which is switched on by a command, or by the script's first lines."""
    program = [str(python), "-c", f"{PEERS[peer].script}\n{then}" if PEERS[peer].script else then]
    starter = PEERS[peer].command
    return [str(python.with_name(starter)), *program] if starter else program


def way(peer: str) -> str:
    """How it is switched on, for the reader."""
    return PEERS[peer].command or PEERS[peer].script or "nothing"


def measure(wanted: Iterable[str], rounds: int) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """What each peer takes, and who failed, why.

    Milliseconds of each round, of CPU and elapsed; the most megabytes resident, and the modules imported, when the
    program's first line runs. Both baselines are measured, too. Raises FailedError if those cannot be.
    """
    found: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    for peer in dict.fromkeys([NONE, BARE, *wanted]):
        if peer not in (NONE, BARE) and not any(PEERS[peer].packages.values()):
            continue  # it is a part of an SDK, which this program does not import
        try:
            modules, memory = json.loads(_ran(peer, LOOK)[2].splitlines()[-1])
        except (FailedError, OSError) as failed:
            if peer in (NONE, BARE):
                raise FailedError(f"{PEERS[peer].title}: {failed}") from None
            missing[peer] = str(failed)
            continue
        found[peer] = {"cpu": [], "elapsed": [], "memory": memory, "modules": modules}
    for _ in range(rounds):
        for peer, figures in found.items():
            cpu, elapsed, _ = _ran(peer)
            figures["cpu"].append(cpu)
            figures["elapsed"].append(elapsed)
    return found, missing


def _ran(peer: str, then: str = "pass") -> tuple[float, float, str]:
    """Milliseconds, of CPU and elapsed, of a process and its children; and what it printed. Raises FailedError."""
    wanted = command(peer, python_of(peer, "openai"), then)
    environ = environment(peer, "openai", "off")
    del environ["PYTHONPATH"]
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(wanted, env=environ, stdout=printed, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        errors.seek(0)
        if process.returncode:
            said = errors.read().split("\n")
            raise FailedError(next((line for line in reversed(said) if line), f"it ended with {process.returncode}"))
        return 1000 * (usage.ru_utime + usage.ru_stime), 1000 * elapsed, printed.read()
