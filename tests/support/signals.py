"""Signals as a program at a terminal is born with, whatever whoever runs the tests ignores."""

from __future__ import annotations

import signal

HEEDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1)


def heed_signals() -> None:
    """To be called in a child before it becomes its program: what is ignored then cannot be trapped by a shell."""
    for number in HEEDED:
        signal.signal(number, signal.SIG_DFL)
