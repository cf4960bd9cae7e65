"""`python -m interop.inside FOLDER`, in a namespace: runs the command of FOLDER/task.json beside the fake provider.

Standard input and output are the command's, and so is the exit code.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .fake_llm import HOSTS, FakeLLM
from .namespace import map_hosts, raise_loopback
from .play import Play


def main(folder: Path) -> int:
    task = json.loads((folder / "task.json").read_text())
    raise_loopback()
    map_hosts(folder, HOSTS)
    with FakeLLM(folder, Play(**task["play"])):
        return subprocess.run(task["command"], env=task["environ"], cwd=task["directory"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
