"""What a destination is to the machinery that sends: one attempt, and its three outcomes.

Which answers may be tried again is said by the OTLP specification, "Failures" and "OTLP/HTTP Throttling".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from llmtrace_collector.otlp.signals import Signal

USER_AGENT = "llmtrace-collector"

Credential = Callable[[], tuple[str, str] | None]
"""Name and value of the header that authenticates a request, asked for at every request; None for none."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has the request. `rejected` items it did not take; `message` is its reason, or a warning."""

    rejected: int = 0
    message: str = ""


class Transport(Protocol):
    """A way to one destination."""

    url: str
    """The destination as it is shown to the user, without secrets."""

    async def send(self, signal: Signal, body: bytes) -> Delivered:
        """Sends a serialised export request once.

        Raises UnavailableError, with `retry_after` when the destination says so, if it may be tried again, and
        RejectedError if that is of no use.
        """

    async def close(self) -> None:
        """Closes the connections."""


def outcome(signal: Signal, response: Any) -> Delivered:
    """What the signal's export response says."""
    partial = response.partial_success
    return Delivered(getattr(partial, signal.rejected), partial.error_message)
