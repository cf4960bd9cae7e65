"""The recorded exchanges: one JSON line each, bodies as they came but without content coding."""

from __future__ import annotations

import base64
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("LLMTRACE_CORPUS") or REPOSITORY / ".." / "shared" / "corpus").resolve()


@dataclass(frozen=True)
class Record:
    """One exchange, and what the vendor's own SDK read from it."""

    id: str
    file: str
    api: str
    method: str
    url: str
    request_headers: dict[str, str]
    request_body: bytes | None
    status: int
    headers: dict[str, str]
    body: bytes
    streamed: bool
    expected: dict[str, Any]
    unscored: frozenset[str]

    def pieces(self, seed: int) -> list[bytes]:
        """The body, cut at random bytes: the same ones for the same seed."""
        chance = random.Random(f"{self.id}{seed}")
        sizes = chance.choice([(1, 2, 3, 7), (1, 40, 300), (2_000, 9_000)])
        if len(self.body) > 100_000:
            sizes = (2_000, 9_000)
        cut, at = [], 0
        while at < len(self.body):
            size = chance.choice(sizes)
            cut.append(self.body[at : at + size])
            at += size
        return cut


def available() -> bool:
    return (CORPUS / "dev").is_dir()


def records() -> Iterator[Record]:
    """All recorded HTTP exchanges (frames of WebSockets are another matter)."""
    return records_in(CORPUS)


def records_in(corpus: Path) -> Iterator[Record]:
    """Those of any corpus."""
    for path in sorted((corpus / "dev").glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                raw = json.loads(line)
                if "frames" not in raw:
                    yield _record(path.stem, raw)


def _record(file: str, raw: dict[str, Any]) -> Record:
    request, response = raw["request"], raw["response"]
    return Record(
        id=raw["id"],
        file=file,
        api=raw["api"],
        method=request["method"],
        url=request["url"],
        request_headers=request["headers"],
        request_body=_body(request),
        status=response["status"],
        headers=response["headers"],
        body=_body(response) or b"",
        streamed=bool(response.get("streamed")),
        expected=raw["expected"],
        unscored=frozenset(raw.get("unscored", ())),
    )


def _body(side: dict[str, Any]) -> bytes | None:
    if side.get("body") is not None:
        return side["body"].encode("utf-8", "surrogatepass")
    return base64.b64decode(side["body_b64"]) if side.get("body_b64") else None
