"""Record and replay: LLM exchanges are written to a directory, and later answered from it without a network.

    LLMTRACE_RECORD=DIR    every LLM call that is seen is also written to DIR
    LLMTRACE_REPLAY=DIR    every LLM call is answered from DIR, and never sent

Whoever carries the bytes (a wrapper of an HTTP library, the proxy) asks for what the environment wants, which imports
nothing where that is nothing:

    recorder().begin(asked)    →  a Taking, which is told of the answer as it comes, and writes the recording at its end
    player().answer(asked)     →  an Answer: the recorded one, or an error that says which recording is nearest

`asked.py` makes of a request what identifies it: no secrets (`telemetry/secrets.py`), and nothing that changes from run
to run (`volatile.py`). `recording.py` is the file's format, `store.py` the directory, `nearest.py` tells why there is
no recording. Nothing here knows sockets or HTTP libraries.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llmtrace_otel.replay.tape import Player, Recorder

RECORD: Final = "LLMTRACE_RECORD"
REPLAY: Final = "LLMTRACE_REPLAY"
RECORD_BEGAN: Final = "LLMTRACE_RECORD_BEGAN"
"""When the run began that records, in seconds since 1970: what is older is of an earlier one."""
MISSES: Final = "LLMTRACE_REPLAY_MISSES"
"""A file to which each miss adds a line: `llmtrace run` counts them there, whichever process they are in."""


class CannotReplayError(ConnectionError):
    """A model would be spoken with in a way that is not recorded, and is to be answered from recordings."""


def recorder() -> Recorder | None:
    """What records, if the environment wants it; who replays does not record."""
    if (directory := _directory(RECORD)) is None or _directory(REPLAY) is not None:
        return None
    from llmtrace_otel.replay.store import Store
    from llmtrace_otel.replay.tape import Recorder

    return Recorder(Store(directory))


def player() -> Player | None:
    """What answers, if the environment wants it."""
    if (directory := _directory(REPLAY)) is None:
        return None
    from llmtrace_otel.replay.store import Store
    from llmtrace_otel.replay.tape import Player

    return Player(Store(directory))


def new_scope(name: str) -> None:
    """Counts anew how often each request has been made: a test of that name begins. Misses name it."""
    from llmtrace_otel.replay.tape import SCOPE

    SCOPE.begin(name)


def _directory(variable: str) -> str | None:
    directory = os.environ.get(variable, "").strip()
    return os.path.abspath(directory) if directory else None
