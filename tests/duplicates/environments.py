"""A peer's virtual environment, made as `scripts/matrix.py` makes its own. Tests look for it, and never make it."""

from __future__ import annotations

import sys
from pathlib import Path

from duplicates.peers import LIBRARIES, PEERS

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "scripts"))

from matrix import CACHE, Environment, made  # noqa: E402 - the scripts are not installed

LINKS = CACHE / "duplicates"
"""A link for each peer to the environment that was made for it last; peers with the same packages share one."""


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, which is there when `make` has made it."""
    return LINKS / peer / "bin" / "python"


def make(peer: str) -> Path:
    """Makes a peer's environment from the package index, if it is not there yet, and gives its interpreter.

    Raises `subprocess.CalledProcessError` when it cannot be installed.
    """
    folder = made("duplicates", Environment(["--editable", str(REPOSITORY), *LIBRARIES, *PEERS[peer].packages], []))
    LINKS.mkdir(exist_ok=True)
    link = LINKS / peer
    link.unlink(missing_ok=True)
    link.symlink_to(folder)
    return python_of(peer)
