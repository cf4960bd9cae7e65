"""The `health_check` extension: an HTTP answer that tells whether the collector takes requests, as officially."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from llmtrace_collector.receivers.binding import bind, place_of
from llmtrace_collector.receivers.serving import Web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmtrace_collector.config.settings import HealthCheck

NEVER = "0001-01-01T00:00:00Z"


class HealthServer:
    """Serves the state; itself the ASGI application. It starts as not available."""

    def __init__(self, settings: HealthCheck, *, allow_remote: bool = False) -> None:
        self._settings = settings
        self._allow_remote = allow_remote
        self._up_since: float | None = None
        self._web: Web | None = None
        self.url = ""

    async def start(self) -> None:
        """Begins to serve, in the running event loop. Raises ConfigError."""
        listener = bind(self._settings.endpoint, allow_remote=self._allow_remote)
        self.url = f"http://{place_of(listener).text}{self._settings.path}"
        self._web = Web(self, listener)
        await self._web.start()

    async def stop(self, grace_seconds: float) -> None:
        """Ends serving."""
        if self._web is not None:
            await self._web.stop(grace_seconds)

    def ready(self) -> None:
        """From now on requests are taken."""
        self._up_since = time.time()

    def not_ready(self) -> None:
        """From now on they are not."""
        self._up_since = None

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Answers one request, of any method."""
        if self._settings.path in ("/", scope["path"]):
            status, body = self._state()
            media_type = b"application/json"
        else:
            status, body, media_type = 404, b"404 page not found\n", b"text/plain; charset=utf-8"
        headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _state(self) -> tuple[int, bytes]:
        if self._up_since is None:
            return 503, msgspec.json.encode({"status": "Server not available", "upSince": NEVER, "uptime": ""})
        since = datetime.fromtimestamp(self._up_since, UTC).isoformat().replace("+00:00", "Z")
        uptime = go_duration(max(0.0, time.time() - self._up_since))
        return 200, msgspec.json.encode({"status": "Server available", "upSince": since, "uptime": uptime})


def go_duration(seconds: float) -> str:
    """Seconds as Go writes a duration, such as `1h2m3.5s`."""
    minutes, rest = divmod(round(seconds, 6), 60)
    hours, minutes = divmod(int(minutes), 60)
    shown = f"{rest:.6f}".rstrip("0").rstrip(".") + "s"
    return f"{hours}h{minutes}m{shown}" if hours else f"{minutes}m{shown}" if minutes else shown
