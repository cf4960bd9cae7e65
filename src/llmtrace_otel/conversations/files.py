"""Where records go: one file, or a directory with a file for each session.

Each record is appended whole, so that any number of processes may write the same file, and the file is open only while
that happens. Files are the user's alone (0600), like directories that are made for them (0700).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from llmtrace_otel.output.jsonl import LineFile

if TYPE_CHECKING:
    import os

    from llmtrace_otel.conversations.record import Record

NO_SESSION: Final = "+no-session"
MAX_NAME: Final = 120  # characters: file systems allow 255 bytes
KEPT: Final = 48  # of a longer name


class Destination(Protocol):
    """A place that records are written to."""

    path: Path

    def write(self, record: Record) -> None:
        """Appends a record. Raises OSError."""
        ...


class OneFile:
    """All records in one file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _absolute(path)

    def write(self, record: Record) -> None:
        """Appends a record. Raises OSError."""
        append(self.path, record.line())


class FilePerSession:
    """A directory with a file for each session; a sub-agent's session is its own."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _absolute(path)

    def write(self, record: Record) -> None:
        """Appends a record to its session's file. Raises OSError."""
        append(self.path / f"{file_name(record.session)}.jsonl", record.line())


def append(path: Path, line: bytes) -> None:
    """Appends a line to a file. Raises OSError."""
    file = LineFile(path)
    try:
        file.write(line)
    finally:
        file.close()


def file_name(session: str | None) -> str:
    """A file name for a session id: a different one for each, also where case does not count.

    What is not a lower-case letter, a digit, `-`, `_` or a `.` in the middle is percent-encoded. A long name is its
    beginning, `+` and a hash of it all; a `+` is in no other name but that of calls without a session.
    """
    if not session:
        return NO_SESSION
    raw = session.encode("utf-8", "surrogatepass")
    name = "".join(chr(byte) if _is_safe(byte, at) else f"%{byte:02X}" for at, byte in enumerate(raw))
    if len(name) <= MAX_NAME:
        return name
    return f"{re.sub('%.?$', '', name[:KEPT])}+{hashlib.sha256(raw).hexdigest()}"


def _is_safe(byte: int, at: int) -> bool:
    return chr(byte) in "abcdefghijklmnopqrstuvwxyz0123456789-_" or (byte == ord(".") and at > 0)


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(path).expanduser().absolute()  # the program may change its directory later
