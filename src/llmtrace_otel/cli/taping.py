"""`llmtrace run --record DIR` and `--replay DIR`: what the command is told, and what is said at its end."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from llmtrace_otel.cli.errors import UsageError
from llmtrace_otel.output.notice import say
from llmtrace_otel.read.text import plural
from llmtrace_otel.replay import MISSES, RECORD, RECORD_BEGAN, REPLAY

MISSED: Final = 3
"""The exit code of a command that did well, but for calls without a recording."""


class Misses:
    """The calls that had no recording, in whichever process they were made: a line of a file each."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path

    def told(self, code: int) -> int:
        """Says how many there were; the exit code in place of the command's."""
        lines: list[str] = []
        if self._path is not None:
            with suppress(OSError):
                lines = Path(self._path).read_text(encoding="utf-8").splitlines()
            Path(self._path).unlink(missing_ok=True)
        if not lines:
            return code
        say(f"{plural(len(lines), 'call')} had no recording; the first: {lines[0].removeprefix('llmtrace replay: ')}")
        return code or MISSED


def prepare(record: str | None, replay: str | None) -> Misses:
    """Has this process, and the command's, record or replay. Raises UsageError for a directory that is none."""
    if record is None and replay is None:
        return Misses()
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        raise UsageError("OTEL_SDK_DISABLED is true, so that no call is seen; unset it to record or replay")
    for variable in (RECORD, REPLAY):
        os.environ.pop(variable, None)
    if record is not None:
        os.environ[RECORD] = str(_made(Path(record).absolute()))
        os.environ[RECORD_BEGAN] = str(time.time())
        return Misses()
    directory = Path(replay or "").absolute()
    if not any(directory.glob("*.json")):
        what = "has no recordings" if directory.is_dir() else "is no directory"
        raise UsageError(f"{replay} {what}; make them first: llmtrace run --record {replay} -- COMMAND")
    os.environ[REPLAY] = str(directory)
    descriptor, os.environ[MISSES] = tempfile.mkstemp(prefix="llmtrace-misses-")
    os.close(descriptor)
    return Misses(os.environ[MISSES])


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{directory}: recordings cannot be written there: {error.strerror or error}") from None
    return directory
