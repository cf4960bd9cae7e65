"""`python after_kill.py FOLDER COMMAND…`: what goes on when the command, which is `parents/killed.py`, is killed.

Prints its exit code, whether the proxy was there when it was gone, and whether the proxy has ended by itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 30
"""How long to wait for what is to come."""


def proxies() -> list[str]:
    """The ids of the processes that are proxies of ours, in this namespace."""
    found = [process for process in Path("/proc").iterdir() if process.name.isdecimal()]
    return [process.name for process in found if b"llmtrace_otel.proxy.sidecar" in (process / "cmdline").read_bytes()]


def comes(true: Callable[[], object]) -> bool:
    until = time.monotonic() + SECONDS
    while not true() and time.monotonic() < until:
        time.sleep(0.05)
    return bool(true())


def main(folder: Path, command: list[str]) -> None:
    files = [folder / name for name in ("first", "go-on", "second")]
    code = subprocess.run([*command, *map(str, files)], check=False).returncode
    survived = len(proxies())
    files[1].touch()
    answered = comes(files[2].exists)
    ended = comes(lambda: not proxies())
    answers = [file.read_text() for file in files]
    print(json.dumps([code, survived, answered and answers[0] != "" and answers[2] != "", ended]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
