"""Names of files that belong to tests."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

_UNSAFE: Final = re.compile(r"[^\w.,=+\[\]-]+", re.ASCII)
MAX_LENGTH: Final = 120  # characters


def path_of(nodeid: str) -> Path:
    """Where a test's file goes, without its suffix: `tests/test_agent.py/TestPlanner.test_research`."""
    file, _, name = nodeid.partition("::")
    return Path(*map(safe, file.split("/")), name_of(name) or "_")


def name_of(nodeid: str) -> str:
    """The last part of it: the test's name within its module."""
    return safe(nodeid.replace("::", "."))


def safe(name: str) -> str:
    """A file name for a test's: itself if it can be one, else one that still tells it from all others."""
    written = _UNSAFE.sub("_", name).lstrip(".")
    if written == name and len(name) <= MAX_LENGTH:
        return name
    return f"{written[:MAX_LENGTH]}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"
