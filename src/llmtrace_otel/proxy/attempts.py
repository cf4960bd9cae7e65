"""The attempts of an SDK that retries, made one call: to the proxy each is a request of its own.

The SDKs that are generated alike say in each request how many went before it (`x-stainless-retry-count`). A failed
attempt that may be repeated is held for as long as its SDK may wait; the request that repeats it takes it over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from llmtrace_otel.wire.call import Call

COUNT: Final = "x-stainless-retry-count"
_LONGEST_BACKOFF: Final = 8.0
_LONGEST_WAIT: Final = 60.0
"""Seconds: what the SDKs choose by themselves at most, and what they let a server choose."""
_GRACE: Final = 5.0
_REPEATED: Final = (408, 409, 429)

Seen = Callable[[str, Call, str | None], None]


class Key(NamedTuple):
    """What all attempts of a call have in common."""

    child: str
    host: str | None
    port: int | None
    path: str
    body: int
    """Its hash."""


class _Held(NamedTuple):
    call: Call
    traceparent: str | None
    timer: asyncio.TimerHandle


class Attempts:
    """Knows the failed attempts that may still be repeated. Used in the event loop's thread alone."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._held: dict[Key, list[_Held]] = {}

    def begin(self, child: str, path: str, headers: Mapping[str, str], body: bytes | None, call: Call) -> Key | None:
        """A request begins: it takes over the attempt that it repeats. `None` for clients that do not say."""
        count = headers.get(COUNT)
        if count is None:
            return None
        key = Key(child, call.server_address, call.server_port, path, hash(body))
        if count != "0" and key in self._held:
            held = self._take(key, self._held[key][0])
            call.start_ns, call.attempts = held.call.start_ns, held.call.attempts + 1
        return key

    def end(self, key: Key | None, child: str, call: Call, headers: Mapping[str, str], traceparent: str | None) -> None:
        """A request is over; `headers` are its answer's. The call is told of now, or when nobody can repeat it."""
        if key is None or not _may_be_repeated(call, headers):
            self._seen(child, call, traceparent)
            return
        timer = asyncio.get_running_loop().call_later(wait_seconds(headers) + _GRACE, self._tell, key, call)
        self._held.setdefault(key, []).append(_Held(call, traceparent, timer))

    def tell_all(self, child: str | None = None) -> None:
        """Nobody repeats what is held for a child, or for any."""
        for key, all_held in list(self._held.items()):
            if child in (None, key.child):
                for held in list(all_held):
                    self._tell(key, held.call)

    def _tell(self, key: Key, call: Call) -> None:
        held = self._take(key, next(held for held in self._held[key] if held.call is call))
        self._seen(key.child, held.call, held.traceparent)

    def _take(self, key: Key, held: _Held) -> _Held:
        self._held[key] = [other for other in self._held[key] if other is not held]
        if not self._held[key]:
            del self._held[key]
        held.timer.cancel()
        return held


def _may_be_repeated(call: Call, headers: Mapping[str, str]) -> bool:
    status = call.http_status
    if status is None:
        return not call.complete
    if (told := headers.get("x-should-retry")) in ("true", "false"):
        return told == "true" and status >= 400
    return status in _REPEATED or status >= 500


def wait_seconds(headers: Mapping[str, str]) -> float:
    """How long the SDK may wait before it tries again."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if 0 < seconds <= _LONGEST_WAIT:
            return seconds
    return _LONGEST_BACKOFF
