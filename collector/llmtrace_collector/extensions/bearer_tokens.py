"""The `bearertokenauth` extension: the tokens that a receiver accepts, or the one that an exporter sends.

Tokens stand in the configuration, or one a line in a file (what follows a token on its line is a comment) that is read
anew when it changes, so that a token can be replaced without a restart.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import TYPE_CHECKING

from llmtrace_collector.errors import ConfigError
from llmtrace_collector.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmtrace_collector.config.settings import BearerToken

    Fingerprint = tuple[int, int, int]


class BearerTokens:
    """The tokens of one extension; `tokens` come before `filename`, which comes before `token`, as officially.

    Raises ConfigError when there is none, or the file cannot be read.
    """

    def __init__(self, settings: BearerToken, say: Callable[[str], None]) -> None:
        if settings.token and settings.tokens:
            raise ConfigError("bearertokenauth: give either token or tokens, not both")
        self.name = settings.header
        self.challenge = settings.scheme or "Bearer"
        self._prefix = f"{settings.scheme} " if settings.scheme else ""
        self._outage = Outage(say)
        self._file = Path(settings.filename) if settings.filename and not settings.tokens else None
        self._read_at: Fingerprint | None = None
        self._values = self._headers(settings.tokens or filter(None, [settings.token]))
        if self._file is not None:
            self._read_first(self._file)
        if not self._values:
            raise ConfigError("bearertokenauth: no token; give token, tokens or filename")

    def accepts(self, value: str | None) -> bool:
        """Whether a request's header holds one of the tokens, in a time that tells nothing of them."""
        self._refresh()
        given = (value or "").encode()
        return sum(hmac.compare_digest(given, known.encode()) for known in self._values) > 0  # none is skipped

    def header(self) -> tuple[str, str]:
        """The header that a client sends, by name and value: the first token's."""
        self._refresh()
        return self.name, self._values[0]

    def _headers(self, tokens: Iterable[str]) -> list[str]:
        return [self._prefix + token for token in tokens]

    def _read_first(self, path: Path) -> None:
        try:
            self._read(path)
        except (OSError, ValueError) as error:
            raise ConfigError(f"bearertokenauth: filename {path} cannot be read: {_reason(error)}") from error

    def _refresh(self) -> None:
        if self._file is None:
            return
        try:
            self._read(self._file)
        except (OSError, ValueError) as error:
            self._outage.begins(f"bearertokenauth: {self._file} cannot be read, the old tokens stay: {_reason(error)}")
        else:
            self._outage.ends(f"bearertokenauth: {self._file} is read again")

    def _read(self, path: Path) -> None:
        found = path.stat()
        fingerprint = (found.st_mtime_ns, found.st_size, found.st_ino)
        if fingerprint != self._read_at:
            lines = path.read_text(encoding="utf-8").splitlines()
            tokens = [words[0] for line in lines if (words := line.split())]
            if not tokens:
                raise ValueError("it holds no token")
            self._values, self._read_at = self._headers(tokens), fingerprint


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
