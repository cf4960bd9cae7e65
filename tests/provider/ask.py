"""One request as the formats see it: its JSON body, and the headers that choose how it is answered.

| header | meaning |
|---|---|
| `x-mode` | comma-separated, see below |
| `x-encode` | content encoding of the answer: `gzip`, `deflate`, `br`, `zstd`; a stream is flushed at every event |
| `x-delay` | seconds before the head of the answer |
| `x-chunk-delay` | seconds between the chunks of the answer |
| `x-chunk-size` | bytes: the answer is split at every n bytes, inside UTF-8 characters too |
| `x-chunks` | number of content chunks of a stream |
| `x-big` | bytes: size of the answer's text |
| `x-usage` | `realistic`: counts follow from the sizes of the bodies (`usage.py`) |
| `x-input-tokens`, `x-output-tokens`, `x-cache-read-tokens`, `x-cache-write-tokens`, `x-reasoning-tokens` | these counts, in the format's own meaning |
| `x-test-id` | whose failures `fail-<status>-times-<n>` counts |

Modes: `fail-<status>` and `fail-<status>-times-<n>` (the first n requests), `cut` (the connection closes half way),
`error-in-stream`, `no-usage`, `invalid-json`, `html`; for streams also `nosp` (`data:` without a space), `crlf`, `cr`,
`comments` (a keep-alive comment before every event).
"""  # noqa: E501 - table rows do not wrap

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Providers answer with the dated name of the model they were asked for.
DATED = {
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
}


@dataclass(frozen=True)
class Ask:
    """A request: `number` counts from 1 and makes the ids of the answer, `headers` has lower-case names."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes
    body: Mapping[str, Any]
    realistic: bool = False

    @cached_property
    def modes(self) -> frozenset[str]:
        return frozenset(mode.strip() for mode in self.headers.get("x-mode", "").split(","))

    @property
    def model(self) -> str:
        """The name of the model that answers."""
        asked = str(self.body.get("model", "gpt-5-mini"))
        return DATED.get(asked, asked)

    @property
    def streamed(self) -> bool:
        return self.body.get("stream") is True

    @property
    def azure(self) -> bool:
        return "/openai/deployments/" in self.path

    @property
    def wants_usage_chunk(self) -> bool:
        """OpenAI's chat and completion streams tell their usage only when they are asked to."""
        options = self.body.get("stream_options") or {}
        return bool(options.get("include_usage")) and "no-usage" not in self.modes

    def id(self, prefix: str) -> str:
        return f"{prefix}{self.number:024d}"

    def seconds(self, header: str) -> float:
        return float(self.headers.get(header, 0))

    def count(self, header: str, default: int = 0) -> int:
        return int(self.headers.get(header, default))
