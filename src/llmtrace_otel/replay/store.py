"""The directory of recordings: a file for each exchange, named after what was asked.

    api.openai.com.v1-chat-completions.3f2a91c4b07d.1.json        host, path, key, how often it was asked before + 1

Files are written whole or not at all, so that any number of processes may write at once; of two that write the same
file, the later one stays. One that says the same already is left as it is.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from llmtrace_otel.replay.asked import Document, key
from llmtrace_otel.replay.recording import Damaged, Recording, decode, encode

_LONGEST_PATH: Final = 60
_OTHER: Final = re.compile(r"[^A-Za-z0-9_]+")
_SUFFIX: Final = ".json"


class Store:
    """The recordings of one directory."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def path(self, request: Document, number: int) -> Path:
        """The file of the `number`th time, counted from 1, that a request is made."""
        return self.directory / f"{_place(request)}.{key(request)}.{number}{_SUFFIX}"

    def write(self, path: Path, recording: Recording) -> None:
        """Writes a file, unless it says the same already. Raises OSError."""
        text = encode(recording)
        with suppress(OSError, Damaged):
            if read(path).same_as(decode(text)):
                return
        self.directory.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            draft.write_text(text, encoding="utf-8")
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)

    def find(self, request: Document, number: int) -> Path | None:
        """The file for the `number`th time; that of the last time, where it was asked less often."""
        for earlier in range(number, 0, -1):
            path = self.path(request, earlier)
            if path.exists():
                return path
        return None

    def beside(self, request: Document) -> list[Path]:
        """The files of all that was asked there, the numbers of each request in their order."""
        begins = _place(request) + "."
        return sorted((path for path in self.files() if path.name.startswith(begins)), key=_in_order)

    def files(self) -> Iterator[Path]:
        """All recordings."""
        with suppress(OSError):
            for path in self.directory.iterdir():
                if path.suffix == _SUFFIX and not path.name.startswith("."):
                    yield path


def read(path: Path) -> Recording:
    """What a file says. Raises Damaged, and OSError."""
    try:
        return decode(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise Damaged("it is not UTF-8") from None


def _place(request: Document) -> str:
    path = _OTHER.sub("-", request["path"]).strip("-")[:_LONGEST_PATH]
    return f"{_OTHER.sub('.', request['host']).strip('.')}.{path}"


def _in_order(path: Path) -> tuple[str, int]:
    begin, _, number = path.stem.rpartition(".")
    return begin, int(number) if number.isdecimal() else 0
