"""A peer's environment, made from the package index in the user's cache folder, and anew when its recipe changes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from compare.peers import REPOSITORY

sys.path.append(str(REPOSITORY / "scripts"))

from matrix import CACHE, run


class FailedError(Exception):
    """A peer could not be measured; the reason is what the table says of it."""


def made(name: str, install: list[str]) -> Path:
    """The interpreter of an environment, which is made if it is not there yet. Raises FailedError."""
    project = _project() if str(REPOSITORY) in install else ""
    folder = CACHE / f"{name}-{hashlib.sha256(f'{install}{project}{sys.version}'.encode()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / ".made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        try:
            run(sys.executable, "-m", "venv", folder)
            run(python, "-m", "pip", "install", "--quiet", "uv")
            uv = folder / "bin" / "uv"
            run(uv, "pip", "install", "--quiet", "--python", python, *install, stderr=subprocess.PIPE)
        except subprocess.CalledProcessError as failed:
            said = " ".join((failed.stderr or "").split())
            raise FailedError(f"it could not be installed: {said}".rstrip(": ")) from None
        (folder / ".made").touch()
    return python


def _project() -> dict[str, Any]:
    """What of the project an installation depends on."""
    project: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return {key: project[key] for key in ("dependencies", "entry-points")}
