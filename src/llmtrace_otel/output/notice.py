"""The one way in which this room speaks to people: single lines on stderr.

Telemetry fails open and says so once, so whoever calls `say` keeps count; nothing here can raise.
"""

from __future__ import annotations

import contextlib
import sys


def say(message: str) -> None:
    """Write `llmtrace: message` as one line to stderr, if the program has one."""
    line = "llmtrace: " + " ".join(message.split()) + "\n"
    with contextlib.suppress(Exception):
        sys.stderr.write(line)
        sys.stderr.flush()
