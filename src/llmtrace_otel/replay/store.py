"""The directory of recordings: a file for each exchange, named after what was asked.

    api.openai.com.v1-chat-completions.3f2a91c4b07d.1.json           host, path, key, how often it was asked before + 1
    api.openai.com.v1-chat-completions.3f2a91c4b07d.1-0b9e4c.json    and its variant, for one with ids in its texts

Files are written whole or not at all, so that any number of processes may write at once; of two that write the same
file, the later one stays. One that says the same already is left as it is. Variants are kept beside each other, until
they are of an earlier run than what is written now.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from llmtrace_otel.replay import RECORD_BEGAN
from llmtrace_otel.replay.asked import Document, key
from llmtrace_otel.replay.recording import Damaged, Recording, decode, encode

_LONGEST_PATH: Final = 60
_OTHER: Final = re.compile(r"[^A-Za-z0-9_]+")
_SUFFIX: Final = ".json"
_BEGAN: Final = time.time() - 60  # who records beside this process may have begun a little earlier


class Store:
    """The recordings of one directory."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def path(self, request: Document, number: int, variant: str = "") -> Path:
        """The file of the `number`th time, counted from 1, that a request is made."""
        end = f"{number}-{variant}" if variant else str(number)
        return self.directory / f"{_name(request)}.{end}{_SUFFIX}"

    def write(self, path: Path, recording: Recording) -> None:
        """Writes a file, unless it says the same already. Raises OSError."""
        text = encode(recording)
        with suppress(OSError, Damaged):
            if read(path).same_as(decode(text)):
                os.utime(path)
                return
        self.directory.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            draft.write_text(text, encoding="utf-8")
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        _forget_others(path)

    def find(self, request: Document, number: int, variant: str = "", among: int = 1) -> Path | None:
        """The file for the `number`th time; that of the last time, where it was asked less often.

        Those of the very `variant` are preferred, of which this is the `among`th time.
        """
        files = sorted(self.directory.glob(f"{_name(request)}.*{_SUFFIX}"), key=_in_order)
        if same := [path for path in files if variant and path.stem.endswith(f"-{variant}")]:
            return same[min(among, len(same)) - 1]
        last = max((_number(path) for path in files if _number(path) <= number), default=0)
        return next((path for path in files if last and _number(path) == last), None)

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


def _name(request: Document) -> str:
    return f"{_place(request)}.{key(request)}"


def _in_order(path: Path) -> tuple[str, int, str]:
    begin, _, end = path.stem.rpartition(".")
    return begin, _number(path), end


def _number(path: Path) -> int:
    number = path.stem.rpartition(".")[2].partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _forget_others(path: Path) -> None:
    """Deletes the variants beside a file that an earlier run has written: theirs are the ids of another day."""
    name, _, end = path.stem.rpartition(".")
    with suppress(OSError, ValueError):
        began = float(os.environ.get(RECORD_BEGAN) or _BEGAN)
        for other in path.parent.glob(f"{name}.{end.partition('-')[0]}-*{_SUFFIX}"):
            if other != path and other.stat().st_mtime < began:
                other.unlink()
