"""Records and answers requests, and counts how often each is made.

A request that is made several times has a recording for each. How often it has been made is counted by process, by
child program, and from the start of a test (`replay.new_scope`), so that neither other processes nor other tests
matter. Once there are no more, the last one is given again.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

from llmtrace_otel.output.notice import say
from llmtrace_otel.replay import MISSES
from llmtrace_otel.replay import asked as asking
from llmtrace_otel.replay import recording as recordings
from llmtrace_otel.replay.asked import Asked, Document, Identity
from llmtrace_otel.replay.nearest import Difference, differences, distance
from llmtrace_otel.replay.recording import Damaged, Recording
from llmtrace_otel.replay.store import Store, read
from llmtrace_otel.wire.encoding import Decoder, decoder

MISS: Final = "replay_miss"
MARK: Final = "x-llmtrace-replay"
"""The header of an answer that comes from here: the name of its file, or `miss`."""
_MAY_BE_REPEATED: Final = (408, 409, 429)
_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of an answer that are recorded."""

_log = logging.getLogger("llmtrace_otel")


class _Scope:
    """How often each request has been made, by whom, since the test began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str | None]] = Counter()
        self.name = ""

    def begin(self, name: str) -> None:
        with self._lock:
            self._counts.clear()
            self.name = name

    def number(self, who: str, identity: Identity) -> tuple[int, int]:
        """The how manieth time this is, and among those of the same variant."""
        key = asking.key(identity.document)
        with self._lock:
            self._counts.update([(who, key, None), (who, key, identity.variant)])
            return self._counts[who, key, None], self._counts[who, key, identity.variant]


SCOPE: Final = _Scope()


class Recorder:
    """Writes exchanges to a directory. Nothing here raises: a program is not to fail because it is recorded."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._failed = False

    def begin(self, asked: Asked, who: str = "") -> Taking | None:
        """A request is about to be sent; `who` is the child program that sends it."""
        try:
            identity = asking.identify(asked)
            request, variant = identity
            number, _ = SCOPE.number(who, identity)
            return Taking(self, self._store.path(request, number, variant), request, asked.secrets)
        except Exception as error:
            self.fail(error)
            return None

    def write(self, path: Path, recording: Recording) -> None:
        try:
            self._store.write(path, recording)
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Says once that something cannot be recorded."""
        _log.debug("llmtrace: an exchange could not be recorded", exc_info=True)
        if not self._failed:
            self._failed = True
            say(f"not everything can be recorded in {self._store.directory}: {error}")


class Taking:
    """A recording in the making, told of the answer as it comes. Never raises."""

    def __init__(self, recorder: Recorder, path: Path, request: Document, secrets: list[str]) -> None:
        self._recorder = recorder
        self._path = path
        self._request = request
        self._secrets = secrets
        self._began = monotonic()
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._size = 0
        self._decoder: Decoder | None = None

    def head(self, status: int, headers: Mapping[str, str], *, decoded: bool) -> None:
        """The head of the answer; `decoded` says that the body comes without its content coding."""
        self._status, self._headers = status, recordings.kept_headers(headers)
        coding = next((value for name, value in headers.items() if name.lower() == "content-encoding"), None)
        if coding and not decoded:
            try:
                self._decoder = decoder(coding)
            except Exception as error:
                self._give_up(error)

    def feed(self, chunk: bytes) -> None:
        """A piece of its body."""
        if self._status is None:
            return
        self._size += len(chunk)
        if self._size > _LARGEST:
            self._give_up(ValueError(f"an answer is over {_LARGEST >> 20} MiB"))
            return
        try:
            chunk = self._decoder.decompress(chunk) if self._decoder is not None else bytes(chunk)
        except Exception as error:
            self._give_up(error)
        else:
            if chunk:
                self._chunks.append(chunk)

    def end(self, cut: str | None = None) -> None:
        """The answer is over, or `cut` says why it is not whole; the first time counts."""
        if self._status is None:
            return
        chunks = [asking.without(self._secrets, chunk) for chunk in self._chunks]
        seconds = round(monotonic() - self._began, 3)
        recording = Recording(self._request, self._status, self._headers, chunks, seconds, cut)
        self._status = None
        self._recorder.write(self._path, recording)

    def _give_up(self, error: Exception) -> None:
        self._status = None
        self._chunks.clear()
        self._recorder.fail(error)


class Answer(NamedTuple):
    """What is answered in the place of a provider."""

    status: int
    headers: dict[str, str]
    chunks: list[bytes]
    seconds: float | None
    """How long the recorded answer took; `None` for an error of ours."""
    cut: str | None = None
    """Why it ends before its end."""


class Player:
    """Answers from a directory. Never raises: what cannot be answered is answered with an error that says why."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, asked: Asked, who: str = "") -> Answer:
        """The recorded answer, or an error; `who` is the child program that asks."""
        try:
            identity = asking.identify(asked)
            request, variant = identity
            number, among = SCOPE.number(who, identity)
            path = self._store.find(request, number, variant, among)
            near = _near(request, self._store.beside(request)) if path is None else []
            if path is None and near and not near[0].differences:
                same = [one.path for one in near if not one.differences]
                path = same[min(number, len(same)) - 1]
            return self._miss(request, near) if path is None else _played(path)
        except _UnreadableError as error:
            return refusal(str(error))
        except asking.UnseenError as error:
            return refusal(f"llmtrace replay: {error}")
        except Exception as error:
            _log.debug("llmtrace: a request could not be answered", exc_info=True)
            return refusal(f"llmtrace replay: a request to {asked.host} cannot be answered: {error!r}")

    def _miss(self, request: Document, near: list[_Near]) -> Answer:
        directory = _readable(self._store.directory)
        what = f"{request['method']} {request['host']}{request['path']}"
        return refusal(
            f"llmtrace replay: no recording of {what}{_in_test()}; {self._nearest(near)}; "
            f"record again by: llmtrace run --record {directory} -- …"
        )

    def _nearest(self, near: list[_Near]) -> str:
        if near:
            first, *others = near[0].differences
            more = f" (and {len(others)} more)" if others else ""
            return f"nearest is {near[0].path.name}: {first}{more}"
        directory = _readable(self._store.directory)
        if not self._store.directory.is_dir():
            return f"there is no directory {directory}"
        return f"none of its {sum(1 for _ in self._store.files())} recordings is of that path"


class _Near(NamedTuple):
    path: Path
    differences: list[Difference]


class _UnreadableError(Exception):
    """A recording is there, and damaged."""


def _near(request: Document, paths: list[Path]) -> list[_Near]:
    """The recordings of a path, the nearest first."""
    found = []
    for path in paths:
        with suppress(Damaged, OSError):
            found.append(_Near(path, differences(read(path).request, request)))
    return sorted(found, key=lambda one: distance(one.differences))


def _played(path: Path) -> Answer:
    try:
        found = read(path)
    except (Damaged, OSError) as error:
        directory = _readable(path.parent)
        raise _UnreadableError(
            f"llmtrace replay: {directory}/{path.name} cannot be read: {error}; delete it, and record again by: "
            f"llmtrace run --record {directory} -- …"
        ) from None
    headers = {**found.headers, MARK: path.name}
    if found.status in _MAY_BE_REPEATED or found.status >= 500:
        headers["retry-after-ms"] = "1"  # the SDKs wait no longer, whatever they once had to
    return Answer(found.status, headers, found.chunks, found.seconds, found.cut)


def refusal(message: str) -> Answer:
    """An error as the SDKs show it, which none of them tries again. It is said on stderr, and counted."""
    say(message.removeprefix("llmtrace "))
    _count(message)
    error = {"message": message, "type": MISS, "code": 400, "status": MISS.upper(), "param": None}
    headers = {"content-type": "application/json", "x-should-retry": "false", "x-amzn-errortype": MISS, MARK: "miss"}
    body = {"type": "error", "error": error, "message": message}  # Anthropic's type, AWS's message
    return Answer(400, headers, [json.dumps(body, ensure_ascii=False).encode()], None)


def _count(message: str) -> None:
    if path := os.environ.get(MISSES):
        with suppress(OSError), open(path, "a", encoding="utf-8") as file:
            file.write(" ".join(message.split()) + "\n")


def _in_test() -> str:
    return f" (in {SCOPE.name})" if SCOPE.name else ""


def _readable(directory: Path) -> str:
    here = os.getcwd()
    relative = os.path.relpath(directory, os.environ.get("PWD", here) if here == "/" else here)  # the proxy is at /
    return relative if not relative.startswith("..") else str(directory)
