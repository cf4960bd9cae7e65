"""What every wire format offers to the routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import azure_error, openai_error
from .reply import Reply, stream_reply
from .sse import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .ask import Ask


@dataclass(frozen=True)
class Stream:
    """The events of an answer, those that tell of an error in the middle of them, and how they are framed."""

    events: Callable[[Ask], Iterable[Event]]
    error: Callable[[Ask], Iterable[Event]]
    reply: Callable[[Iterable[Event], Ask, dict[str, str]], Reply] = stream_reply


def no_headers(_: Ask, __: int) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Format:
    """The JSON answer to a request, the error body for a status, and the stream if the format has one.

    A format without an answer streams whatever the body says. `headers` are those of a status.
    """

    answer: Callable[[Ask], dict[str, Any]] | None
    error: Callable[[Ask, int], dict[str, Any]]
    stream: Stream | None = None
    request_id: str = "x-request-id"
    headers: Callable[[Ask, int], dict[str, str]] = no_headers


def openai_refusal(ask: Ask, status: int) -> dict[str, Any]:
    return azure_error(status) if ask.azure else openai_error(status)


def openai_stream_error(ask: Ask) -> list[Event]:
    return [Event(openai_error(500))]
