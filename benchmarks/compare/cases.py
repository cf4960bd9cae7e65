"""The rows: which calls are compared. Needs nothing but the standard library."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

from bodies import FORMATS

SDKS = ("openai", "anthropic", "google-genai", "litellm")
CHUNKS = 200
AT_ONCE = 1000
LONG = 10_000


class Case(NamedTuple):
    """A kind of call. `prompt` is the size of the last message, in bytes; `turns`, how many messages are before it."""

    sdk: str
    shape: str = "plain"
    mode: str = "sync"
    content: str = "off"
    prompt: int = 1_000
    turns: int = 0

    def __str__(self) -> str:
        return f"{self.sdk} {self.shape} {self.mode}, content {self.content}, {self.size}"

    @property
    def size(self) -> str:
        """The prompt's size, or the length of the conversation."""
        if self.turns:
            return f"{self.turns} turns"
        return f"{self.prompt // 1_000_000}MB" if self.prompt >= 1_000_000 else f"{self.prompt // 1_000}kB"

    @property
    def calls(self) -> int:
        """How many calls are counted, and twice as many; some take long."""
        if self.shape == "concurrent":
            return 60
        heavy = {"stream": 10, "memory": 10}.get(self.shape, 1) * max(1, self.prompt // 50_000, self.turns // 10)
        return max(1, 12 // heavy)

    @property
    def timed(self) -> int:
        """How many calls are timed in one turn: few, so that a noisy machine is as noisy to all of a round."""
        return {"concurrent": AT_ONCE, "other": 100}.get(self.shape, self.calls)

    def rounds(self, wanted: int) -> int:
        """How many turns are timed, of so many that are wanted: fewer of those that are long."""
        fewer = 10 if self.shape == "concurrent" else 4 if self.turns >= 1_000 else 1
        return -(-wanted // fewer)

    @property
    def words(self) -> set[str]:
        """The words that mean it."""
        return {self.sdk, self.shape, self.mode, self.content, *self.size.split()}

    def has(self, words: Iterable[str]) -> bool:
        """Whether it is meant by these words, all of them: `openai plain sync`, `1MB`, `turns`."""
        return self.words.issuperset(words)


def is_short(case: Case) -> bool:
    """Whether it is one of the plain and streamed calls that every SDK has."""
    return case.shape in ("plain", "stream") and not case.turns and case.prompt == Case(case.sdk).prompt


CASES = [
    *(Case(*row) for row in product(SDKS, ("plain", "stream"), ("sync", "async"), ("off", "on"))),
    *(Case("openai", content=content, prompt=prompt) for prompt in (100_000, 1_000_000) for content in ("off", "on")),
    *(Case("openai", content=content, turns=turns) for turns in (10, 100, 1_000) for content in ("off", "on", "delta")),
    *(Case("openai", "concurrent", "async", content) for content in ("off", "on")),
    *(Case("openai", "memory", "sync", content) for content in ("off", "on")),
    *(Case("formats", name) for name in FORMATS),
    Case("httpx2", "other"),
    Case("subprocess", "child"),
]
"""`memory` is a stream of LONG chunks, in bytes. `formats` are all wire formats, by a client of httpx2, so that no SDK
is in the way. `other` is a request that is no LLM call, `child` runs a program."""
